/* SPDX-License-Identifier: Apache-2.0
 * A receiver of webhooks. Sockets, a thread of its own. */
#include "tests/api/hook_receiver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUESTS_MAX 128
#define REQUEST_SIZE 8192
#define PATIENCE_S   20

struct receiver {
    int fd;
    int port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum receiver_mode mode;
    bool stop;
    size_t count;
    char *requests[REQUESTS_MAX];
    int hung[REQUESTS_MAX]; /* connections that wait for ever */
    size_t hung_count;
};

static int open_port(int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&a, &size), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

int receiver_dead_port(void)
{
    int port;

    (void)close(open_port(&port));
    return port;
}

/* Headers and as much body as Content-Length says; false: the client left. */
static bool read_request(int fd, char *text)
{
    size_t size = 0;
    size_t want = REQUEST_SIZE;

    while (size < want) {
        ssize_t n = recv(fd, text + size, REQUEST_SIZE - 1 - size, 0);
        char *end;

        if (n <= 0) {
            return false;
        }
        size += (size_t)n;
        text[size] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (end != NULL) {
            const char *length = strcasestr(text, "\r\nContent-Length: ");

            want = (size_t)(end - text) + 4 + (length != NULL ? strtoul(length + 18, NULL, 10) : 0);
        }
    }
    return true;
}

static void put(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void flood(int fd)
{
    static const char block[4096] = {'x'};
    ssize_t n = 1;

    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
    while (n > 0) {
        n = send(fd, block, sizeof block, MSG_NOSIGNAL);
    }
}

static void answer(struct receiver *r, int fd, enum receiver_mode mode)
{
    static const char *const texts[] = {
        [RECEIVER_TAKES] = "HTTP/1.1 204 No Content\r\n\r\n",
        [RECEIVER_FAILS] = "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nsad\n",
        [RECEIVER_REDIRECTS] =
            "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
        [RECEIVER_CLOSES] = "",
        [RECEIVER_BABBLES] = "blah blah\r\n\r\n",
    };

    if (mode == RECEIVER_HANGS) {
        r->hung[r->hung_count++] = fd;
        return;
    }
    if (mode == RECEIVER_FLOODS) {
        flood(fd);
    } else {
        put(fd, texts[mode]);
    }
    (void)close(fd);
}

static void take(struct receiver *r, int fd)
{
    char *text = calloc(1, REQUEST_SIZE);
    enum receiver_mode mode;

    if (text == NULL || !read_request(fd, text)) {
        free(text);
        (void)close(fd);
        return;
    }
    (void)pthread_mutex_lock(&r->lock);
    mode = r->mode;
    if (r->count < REQUESTS_MAX) {
        r->requests[r->count++] = text;
    } else {
        free(text);
    }
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    answer(r, fd, mode);
}

static void *receive(void *arg)
{
    struct receiver *r = arg;

    for (;;) {
        int fd = accept(r->fd, NULL, NULL);

        if (fd < 0) {
            return NULL;
        }
        take(r, fd);
    }
}

struct receiver *receiver_new(void)
{
    struct receiver *r = calloc(1, sizeof *r);

    assert_non_null(r);
    r->fd = open_port(&r->port);
    assert_int_equal(listen(r->fd, 16), 0);
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_cond_init(&r->changed, NULL);
    assert_int_equal(pthread_create(&r->thread, NULL, receive, r), 0);
    return r;
}

void receiver_free(struct receiver *r)
{
    (void)shutdown(r->fd, SHUT_RDWR); /* ends accept() */
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    (void)close(r->fd);
    for (size_t i = 0; i < r->hung_count; i++) {
        (void)close(r->hung[i]);
    }
    for (size_t i = 0; i < r->count; i++) {
        free(r->requests[i]);
    }
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

void receiver_set(struct receiver *r, enum receiver_mode mode)
{
    (void)pthread_mutex_lock(&r->lock);
    r->mode = mode;
    (void)pthread_mutex_unlock(&r->lock);
}

void receiver_url(const struct receiver *r, char ret_url[64])
{
    (void)snprintf(ret_url, 64, "http://127.0.0.1:%d/hook", r->port);
}

void receiver_await(struct receiver *r, size_t count)
{
    struct timespec end;
    int rc = 0;

    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    (void)pthread_mutex_lock(&r->lock);
    while (r->count < count && rc == 0) {
        rc = pthread_cond_timedwait(&r->changed, &r->lock, &end);
    }
    (void)pthread_mutex_unlock(&r->lock);
    assert_int_equal(rc, 0);
}

size_t receiver_count(struct receiver *r)
{
    size_t count;

    (void)pthread_mutex_lock(&r->lock);
    count = r->count;
    (void)pthread_mutex_unlock(&r->lock);
    return count;
}

const char *receiver_request(struct receiver *r, size_t i)
{
    assert_true(i < receiver_count(r));
    return r->requests[i];
}

const char *receiver_body(struct receiver *r, size_t i)
{
    return strstr(receiver_request(r, i), "\r\n\r\n") + 4;
}

void receiver_header(struct receiver *r, size_t i, const char *name, char ret_value[128])
{
    char line[80];
    const char *at;

    (void)snprintf(line, sizeof line, "\r\n%s: ", name);
    at = strcasestr(receiver_request(r, i), line);
    assert_non_null(at);
    at += strlen(line);
    (void)snprintf(ret_value, 128, "%.*s", (int)strcspn(at, "\r"), at);
}
