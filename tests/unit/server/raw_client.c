/* SPDX-License-Identifier: Apache-2.0
 * The raw client. */
#include "tests/unit/server/raw_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

int raw_connect(uint16_t port)
{
    return raw_connect_from(1, port);
}

int raw_connect_from(unsigned last, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in own = {.sin_family = AF_INET};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + last);
    assert_int_equal(bind(fd, (const struct sockaddr *)&own, sizeof own), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

int raw_send(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

        if (n <= 0) {
            return 0;
        }
        data += n;
        size -= (size_t)n;
    }
    return 1;
}

/* Bytes the answer has in all; 0 while the headers are not whole. */
static size_t expected(const struct raw_answer *a, int head)
{
    const char *end = strstr(a->text, "\r\n\r\n");
    const char *length = strcasestr(a->text, "\r\nContent-Length:");
    size_t headers;

    if (end == NULL) {
        return 0;
    }
    headers = (size_t)(end - a->text) + 4;
    return head || length == NULL || length > end ? headers
                                                  : headers + strtoul(length + 17, NULL, 10);
}

void raw_read(int fd, int head, struct raw_answer *ret_answer)
{
    struct raw_answer *a = ret_answer;
    size_t want = 0;

    memset(a, 0, sizeof *a);
    while ((want == 0 || a->size < want) && a->size < sizeof a->text - 1) {
        /* Byte by byte until the headers are whole, so as not to eat a following response. */
        size_t step = want == 0 ? 1 : want - a->size;
        ssize_t n = recv(fd, a->text + a->size, step, 0);

        if (n <= 0) {
            break;
        }
        a->size += (size_t)n;
        want = want == 0 ? expected(a, head) : want;
    }
    if (strncmp(a->text, "HTTP/1.1 ", 9) == 0) {
        a->status = atoi(a->text + 9);
    }
    a->body = strstr(a->text, "\r\n\r\n");
    a->body = a->body == NULL ? "" : a->body + 4;
}

int raw_closed(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);

    return n == 0 || (n < 0 && errno == ECONNRESET);
}

void raw_ask(uint16_t port, const char *request, struct raw_answer *ret_answer)
{
    int fd = raw_connect(port);

    (void)raw_send(fd, request, strlen(request));
    raw_read(fd, strncmp(request, "HEAD", 4) == 0, ret_answer);
    assert_int_equal(close(fd), 0);
}

int raw_try(uint16_t port, const char *request, char *ret_some, size_t cap)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval limit = {.tv_usec = 200000}; /* a request may be half of one on purpose */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int there;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    there = fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0;
    if (there && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
        raw_send(fd, request, strlen(request))) {
        (void)recv(fd, ret_some, cap, 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return there;
}
