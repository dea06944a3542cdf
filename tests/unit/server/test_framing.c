/* SPDX-License-Identifier: Apache-2.0
 * Where a request ends, through real sockets: what libmicrohttpd refuses by itself, before it shows
 * the service anything (docs/limits.md), and clients that end their side of the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "server/http.h"
#include "tests/unit/server/fake_api.h"
#include "tests/unit/server/raw_client.h"

#define HOST    "Host: x\r\n"
#define END     "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n" END
/* What lies behind a request whose end is not known: it must never be taken for one. */
#define SMUGGLED "GET /smuggled HTTP/1.1\r\n" HOST END
/* More than what a connection may keep. */
#define MANY 70000

static struct raw_answer answer;
static char text[2 * MANY];

static struct srv_http *start(unsigned timeout_s)
{
    struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = 2, .timeout_s = timeout_s};
    struct srv_http *http = NULL;
    struct cp_error err;

    cp_log_init("test", CP_LOG_JSON, CP_LOG_ERROR, STDERR_FILENO);
    assert_int_equal(srv_http_start(&c, &http, &err), CP_OK);
    return http;
}

/* All that comes until the service closes. */
static void read_to_the_end(int fd)
{
    ssize_t n;

    memset(&answer, 0, sizeof answer);
    while ((n = recv(fd, answer.text + answer.size, sizeof answer.text - 1 - answer.size, 0)) > 0) {
        answer.size += (size_t)n;
    }
    assert_true(raw_closed(fd));
    answer.status = strncmp(answer.text, "HTTP/1.1 ", 9) == 0 ? atoi(answer.text + 9) : 0;
}

static int count_of(const char *word)
{
    int count = 0;

    for (const char *at = strstr(answer.text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}

/* libmicrohttpd's own answer: that status and no code of ours, as often as `heads` says; then the
 * connection ends, nothing was executed, and the service goes on. */
static void refused_by_itself(uint16_t port, const char *request, int status, int heads)
{
    int calls = fake_calls();
    int fd = raw_connect(port);

    (void)raw_send(fd, request, strlen(request));
    read_to_the_end(fd);
    if (answer.status != status || count_of("HTTP/1.1 ") != heads ||
        count_of("X-Request-Id") != 0) {
        fail_msg("'%.100s' gave '%s', wanted %d", request, answer.text, status);
    }
    assert_int_equal(close(fd), 0);
    assert_int_equal(fake_calls(), calls);
    raw_ask(port, "GET /a HTTP/1.1\r\n" HOST END, &answer);
    assert_int_equal(answer.status, 200);
}

static void content_length_that_is_no_number(void **state)
{
    static const struct {
        const char *value;
        int status;
    } cases[] = {{"+5", 400},   {"5, 5", 400}, {"", 400},   {"0x5", 400},
                 {"-1", 400},   {"5 ", 400},   {"5a", 400}, {"18446744073709551616", 413},
                 {"5;a=b", 400}};
    static const char *const heads[] = {"POST /a", "PUT /up", "GET /a"};
    struct srv_http *http = start(5);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t k = 0; k < sizeof heads / sizeof heads[0]; k++) {
            (void)snprintf(text, sizeof text,
                           "%s HTTP/1.1\r\n" HOST "Content-Length: %s\r\n" END "%s", heads[k],
                           cases[i].value, SMUGGLED);
            refused_by_itself(srv_http_port(http), text, cases[i].status, 2);
        }
    }
    srv_http_stop(http);
}

/* What libmicrohttpd can read, and the service does not take, has an answer with a code. */
static void content_length_that_is_too_long(void **state)
{
    static const char *const values[] = {"18446744073709551615", "0000000000000000005"};
    struct srv_http *http = start(5);

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        int calls = fake_calls();
        int fd = raw_connect(srv_http_port(http));

        (void)snprintf(text, sizeof text,
                       "POST /a HTTP/1.1\r\n" HOST "Content-Length: %s\r\n" END "%s", values[i],
                       SMUGGLED);
        assert_true(raw_send(fd, text, strlen(text)));
        read_to_the_end(fd);
        assert_int_equal(answer.status, 400);
        assert_int_equal(count_of("HTTP/1.1 "), 1);
        assert_int_equal(count_of("invalid-request: Content-Length"), 1);
        assert_int_equal(close(fd), 0);
        assert_int_equal(fake_calls(), calls);
    }
    srv_http_stop(http);
}

/* The head was taken: an upload has begun, and is ended as one that broke. */
static void broken_chunks(void **state)
{
    static const struct {
        const char *body;
        int status;
    } cases[] = {
        {"zz\r\nhello\r\n0\r\n\r\n", 400},
        {"5\r\nhelloo\r\n0\r\n\r\n", 400},
        {"-5\r\nhello\r\n0\r\n\r\n", 400},
        {"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", 413},
        {"5\r\nhello\r\n0\r\nno colon\r\n\r\n", 400},
    };
    struct srv_http *http = start(5);
    uint16_t port = srv_http_port(http);
    int cut = fake_uploads_cut();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(text, sizeof text, "POST /a HTTP/1.1\r\n" HOST CHUNKED "%s" SMUGGLED,
                       cases[i].body);
        refused_by_itself(port, text, cases[i].status, 1);
        (void)snprintf(text, sizeof text, "PUT /up HTTP/1.1\r\n" HOST CHUNKED "%s" SMUGGLED,
                       cases[i].body);
        refused_by_itself(port, text, cases[i].status, 1);
    }
    srv_http_stop(http);
    assert_int_equal(fake_uploads_cut(), cut + (int)(sizeof cases / sizeof cases[0]));
}

/* A chunk's extension that does not fit into the connection's memory is the one request that gives a
 * 500, and one that is no fault of ours. */
static void absurd_chunks(void **state)
{
    struct srv_http *http = start(5);
    int cut = fake_uploads_cut();

    (void)state;
    (void)snprintf(text, sizeof text, "POST /a HTTP/1.1\r\n" HOST CHUNKED "5;a=%0*d\r\nhello\r\n",
                   MANY, 0);
    refused_by_itself(srv_http_port(http), text, 500, 1);
    (void)snprintf(text, sizeof text, "PUT /up HTTP/1.1\r\n" HOST CHUNKED "5;a=%0*d\r\nhello\r\n",
                   MANY, 0);
    refused_by_itself(srv_http_port(http), text, 500, 1);
    (void)snprintf(text, sizeof text,
                   "POST /a HTTP/1.1\r\n" HOST CHUNKED "5\r\nhello\r\n0\r\nA: %0*d\r\n", MANY, 0);
    refused_by_itself(srv_http_port(http), text, 431, 1);
    srv_http_stop(http);
    assert_int_equal(fake_uploads_cut(), cut + 1);
}

static void lines_that_are_none(void **state)
{
    struct srv_http *http = start(5);
    uint16_t port = srv_http_port(http);

    (void)state;
    refused_by_itself(port, "GET /a\r\n" HOST END SMUGGLED, 400, 1);
    refused_by_itself(port, "GET /a HTTP/1.1\r\nno colon\r\n" HOST END SMUGGLED, 400, 1);
    refused_by_itself(port, "GET /a HTTP/2.0\r\n" HOST END SMUGGLED, 505, 1);
    refused_by_itself(port, "GET /a HTTP/0.9\r\n" HOST END SMUGGLED, 505, 1);
    refused_by_itself(port, "garbage\r\n" END SMUGGLED, 0, 0);
    srv_http_stop(http);
}

/* Who has said all ends its side of the connection, and still reads. */
static void a_half_closed_connection_is_answered(void **state)
{
    static const struct {
        const char *request, *body;
    } cases[] = {
        {"GET /half HTTP/1.1\r\n" HOST END, "GET /half|"},
        {"POST /half HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello",
         "POST /half|5|5:hello"},
        {"POST /half HTTP/1.1\r\n" HOST CHUNKED "5\r\nhello\r\n0\r\n\r\n", "5:hello"},
        {"PUT /up HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello", "5 got"},
        {"GET /one HTTP/1.1\r\n" HOST END "GET /two HTTP/1.1\r\n" HOST END, "GET /two|"},
    };
    struct srv_http *http = start(5);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = raw_connect(srv_http_port(http));

        assert_true(raw_send(fd, cases[i].request, strlen(cases[i].request)));
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        read_to_the_end(fd);
        if (strstr(answer.text, cases[i].body) == NULL) {
            fail_msg("'%.60s' gave '%s'", cases[i].request, answer.text);
        }
        assert_int_equal(close(fd), 0);
    }
    srv_http_stop(http);
}

/* What ends before the request does is no request. */
static void half_a_request_is_not_executed(void **state)
{
    static const char *const begins[] = {
        "GET /a HTTP/1.1\r\n" HOST,
        "POST /a HTTP/1.1\r\n" HOST "Content-Length: 6\r\n" END "hello",
        "POST /a HTTP/1.1\r\n" HOST CHUNKED "5\r\nhello\r\n",
        "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 6\r\n" END "hello",
    };
    struct srv_http *http = start(1);
    int calls = fake_calls();
    int cut = fake_uploads_cut();

    (void)state;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        int fd = raw_connect(srv_http_port(http));

        assert_true(raw_send(fd, begins[i], strlen(begins[i])));
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        read_to_the_end(fd);
        assert_int_equal(answer.size, 0);
        assert_int_equal(close(fd), 0);
    }
    srv_http_stop(http);
    assert_int_equal(fake_calls(), calls);
    assert_int_equal(fake_uploads_cut(), cut + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_length_that_is_no_number),
        cmocka_unit_test(content_length_that_is_too_long),
        cmocka_unit_test(broken_chunks),
        cmocka_unit_test(absurd_chunks),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(a_half_closed_connection_is_answered),
        cmocka_unit_test(half_a_request_is_not_executed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
