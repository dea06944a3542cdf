/* SPDX-License-Identifier: Apache-2.0
 * The strict front door (docs/limits.md), through real sockets: each limit and each way to be
 * ambiguous has an answer with a code, and never reaches the API; slow senders are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/http.h"
#include "server/http_request.h"
#include "tests/unit/server/fake_api.h"
#include "tests/unit/server/raw_client.h"

#define HOST        "Host: x\r\n"
#define END         "\r\n"
#define CONNECTIONS 3
#define SURPLUS     20 /* more than the service tells so */
#define MANY        40000

static struct raw_answer answer;
static char text[2 * MANY];

static struct srv_http *start(struct srv_http_config c)
{
    struct srv_http *http = NULL;
    struct cp_error err;

    cp_log_init("test", CP_LOG_JSON, CP_LOG_ERROR, STDERR_FILENO);
    c.listen_host = "127.0.0.1";
    c.threads = 2;
    assert_int_equal(srv_http_start(&c, &http, &err), CP_OK);
    return http;
}

/* Sends bytes as they are, expects a refusal that names code and word, and the connection's end. */
static void refused(uint16_t port, const char *data, size_t size, const char *code,
                    const char *word)
{
    int fd = raw_connect(port);
    int calls = fake_calls();

    (void)raw_send(fd, data, size);
    raw_read(fd, 0, &answer);
    if (answer.status < 400 || answer.status > 499 ||
        strncmp(answer.body, code, strlen(code)) != 0 || strstr(answer.body, word) == NULL) {
        fail_msg("'%.60s' gave %d '%s', wanted %s '%s'", data, answer.status, answer.body, code,
                 word);
    }
    if (!raw_closed(fd)) {
        fail_msg("'%.60s': the connection goes on", data);
    }
    assert_int_equal(close(fd), 0);
    assert_int_equal(fake_calls(), calls);
}

#define CASE(code, word, request)                                                                  \
    {                                                                                              \
        request, sizeof(request) - 1, code, word                                                   \
    }
static const struct {
    const char *request;
    size_t size;
    const char *code, *word;
} hostile[] = {
    CASE("invalid-request", "no Host", "GET / HTTP/1.1\r\n" END),
    CASE("invalid-request", "no Host", "GET / HTTP/1.0\r\n" END),
    CASE("invalid-request", "more than one Host", "GET / HTTP/1.1\r\n" HOST HOST END),
    CASE("invalid-request", "Host header is not", "GET / HTTP/1.1\r\nHost: a b\r\n" END),
    CASE("invalid-request", "more than one Content-Type",
         "POST / HTTP/1.1\r\n" HOST "Content-Type: a/b\r\ncontent-type: a/b\r\n" END),
    CASE("invalid-request", "more than one Authorization",
         "GET / HTTP/1.1\r\n" HOST "Authorization: x\r\nA: b\r\nAuthorization: y\r\n" END),
    CASE("invalid-request", "more than one Range",
         "GET / HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\nRange: bytes=2-3\r\n" END),
    CASE("invalid-request", "more than one If-Unmodified-Since",
         "GET / HTTP/1.1\r\n" HOST "If-Unmodified-Since: a\r\nIf-Unmodified-Since: b\r\n" END),
    CASE("invalid-request", "more than one Upload-Offset",
         "PUT /up HTTP/1.1\r\n" HOST "Upload-Offset: 0\r\nUpload-Offset: 0\r\n"
         "Content-Length: 1\r\n" END "x"),
    CASE("invalid-request", "more than one Content-Length",
         "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n" END "x"),
    CASE("invalid-request", "both Content-Length and Transfer-Encoding",
         "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END
         "0\r\n\r\n"),
    CASE("invalid-request", "Transfer-Encoding",
         "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n" END),
    CASE("invalid-request", "Transfer-Encoding",
         "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n" END "0\r\n\r\n"),
    CASE("invalid-request", "not a path", "GET http://x/a HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "not a path", "OPTIONS * HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "not a path", "CONNECT x:443 HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "not a path", "GET /a\x80 HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "not a path", "GET /a#b HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "%-escape", "GET /?a=%g0 HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "%-escape", "GET /?a=%00 HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "NUL", "GET /a\0b HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "NUL", "GET /a\0HTTP/1.1 HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "NUL", "GET / HTTP/1.1\r\nHost: x\0y\r\n" END),
    CASE("invalid-request", "NUL", "GET / HTTP/1.1\r\n" HOST "A: b\0\r\nC: d\r\n" END),
    CASE("invalid-request", "NUL", "GET / HTTP/1.1\r\n" HOST "A: b\0Content-Length: 5\r\n" END),
    CASE("invalid-request", "folded", "GET / HTTP/1.1\r\n" HOST "A: b\r\n  c\r\nD: e\r\n" END),
    CASE("invalid-request", "not well-formed", "GET / HTTP/1.1\r\n" HOST "A\x01: b\r\n" END),
    CASE("invalid-request", "not well-formed", "GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n" END),
    CASE("invalid-request", "no name", "GET / HTTP/1.1\r\n" HOST ":\r\n" END),
    CASE("invalid-request", "no name",
         "GET / HTTP/1.1\r\n" HOST ": x\r\nGET /a?x:y HTTP/1.1\r\n" HOST END),
    CASE("invalid-request", "no name",
         "POST / HTTP/1.1\r\n" HOST ":a\r\nContent-Length: 1\r\n" END "x"),
    CASE("method-not-allowed", "'TRACE'", "TRACE / HTTP/1.1\r\n" HOST END),
    CASE("too-large", "", "POST / HTTP/1.1\r\n" HOST "Content-Length: 999999999999999999\r\n" END),
};

static void hostile_requests(void **state)
{
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});

    (void)state;
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        refused(srv_http_port(http), hostile[i].request, hostile[i].size, hostile[i].code,
                hostile[i].word);
    }
    srv_http_stop(http);
}

/* "GET /aaa… HTTP/1.1" with a target of that many bytes. */
static size_t long_target(int size)
{
    return (size_t)snprintf(text, sizeof text, "GET /%0*d HTTP/1.1\r\n" HOST END, size - 1, 0);
}

static size_t header_of(int size)
{
    return (size_t)snprintf(text, sizeof text, "GET /h HTTP/1.1\r\n" HOST "A: %0*d\r\n" END, size,
                            0);
}

static size_t authorization_of(int size)
{
    return (size_t)snprintf(text, sizeof text,
                            "GET /h HTTP/1.1\r\n" HOST "authorization: %0*d\r\n" END, size, 0);
}

static size_t headers(int count)
{
    int at = snprintf(text, sizeof text, "GET /h HTTP/1.1\r\n");

    for (int i = 0; i < count - 1; i++) {
        at += snprintf(text + at, sizeof text - (size_t)at, "X-A: %d\r\n", i);
    }
    return (size_t)at + (size_t)snprintf(text + at, sizeof text - (size_t)at, HOST END);
}

static void taken(uint16_t port, const char *request)
{
    raw_ask(port, request, &answer);
    assert_int_equal(answer.status, 200);
}

static void limits_are_exact(void **state)
{
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});
    uint16_t port = srv_http_port(http);
    const int rest = 1 + 4 + 1; /* "A", "Host", "x" */
    size_t size;

    (void)state;
    (void)headers(SRV_HEADERS_MAX);
    taken(port, text);
    size = headers(SRV_HEADERS_MAX + 1);
    refused(port, text, size, "headers-too-large", "100");
    (void)header_of(SRV_HEADERS_SIZE_MAX - rest);
    taken(port, text);
    size = header_of(SRV_HEADERS_SIZE_MAX - rest + 1);
    refused(port, text, size, "headers-too-large", "16384");
    (void)authorization_of(SRV_AUTHORIZATION_MAX);
    taken(port, text);
    size = authorization_of(SRV_AUTHORIZATION_MAX + 1);
    refused(port, text, size, "headers-too-large", "Authorization");
    (void)long_target(SRV_TARGET_MAX);
    raw_ask(port, text, &answer);
    assert_int_equal(answer.status, 200);
    size = long_target(SRV_TARGET_MAX + 1);
    refused(port, text, size, "target-too-long", "8192");
    srv_http_stop(http);
}

/* What comes in several lines is one list, whatever lies between them. */
static void lines_are_one_list(void **state)
{
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});

    (void)state;
    raw_ask(srv_http_port(http),
            "GET /a HTTP/1.1\r\nX-Echo: \"a\"\r\nA: b\r\n" HOST
            "x-echo: \"b\", \"c\"\r\nA:\r\nX-ECHO:\r\nX-Echo: d\r\n" END,
            &answer);
    assert_int_equal(answer.status, 200);
    if (strstr(answer.body, "|\"a\", \"b\", \"c\", , d") == NULL) {
        fail_msg("'%s'", answer.body);
    }
    srv_http_stop(http);
}

/* Beside the largest ticket there is room for a long target, for other headers and for a body. */
static void largest_ticket_leaves_room(void **state)
{
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});
    int fd = raw_connect(srv_http_port(http));
    int size = snprintf(text, sizeof text,
                        "POST /%0*d HTTP/1.1\r\n" HOST "A: %0*d\r\nAuthorization: %0*d\r\n"
                        "Content-Length: 1000\r\n" END "%01000d",
                        2000, 0, 4000, 0, SRV_AUTHORIZATION_MAX, 0, 0);

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_true(raw_send(fd, text, (size_t)size));
        raw_read(fd, 0, &answer);
        assert_int_equal(answer.status, 200);
    }
    assert_int_equal(close(fd), 0);
    srv_http_stop(http);
}

/* Beyond what a connection may keep libmicrohttpd answers itself: no code, but the status. */
static void what_is_absurdly_large(void **state)
{
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});
    uint16_t port = srv_http_port(http);

    (void)state;
    (void)snprintf(text, sizeof text, "GET /%0*d", (int)sizeof text - 6, 0);
    raw_ask(port, text, &answer);
    assert_int_equal(answer.status, 414);
    (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nA: %0*d", (int)sizeof text - 20, 0);
    raw_ask(port, text, &answer);
    assert_int_equal(answer.status, 431);
    srv_http_stop(http);
}

/* Headers that come in pieces and make libmicrohttpd's buffer grow are whole all the same. */
static void headers_in_pieces(void **state)
{
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});
    size_t size = headers(SRV_HEADERS_MAX);
    int fd = raw_connect(srv_http_port(http));

    (void)state;
    for (size_t at = 0; at < size; at += 7) {
        assert_true(raw_send(fd, text + at, size - at < 7 ? size - at : 7));
    }
    raw_read(fd, 0, &answer);
    assert_int_equal(answer.status, 200);
    (void)header_of(SRV_HEADERS_SIZE_MAX / 2);
    size = strlen(text);
    for (size_t at = 0; at < size; at += 1000) {
        assert_true(raw_send(fd, text + at, size - at < 1000 ? size - at : 1000));
    }
    raw_read(fd, 0, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(close(fd), 0);
    srv_http_stop(http);
}

/* Several requests at once are answered in their order; after a refusal nothing more is read. */
static void pipelined_requests(void **state)
{
    static const char three[] = "GET /one HTTP/1.1\r\n" HOST END "POST /two HTTP/1.1\r\n" HOST
                                "Content-Length: 3\r\n" END "abc"
                                "GET /three HTTP/1.1\r\n" HOST END;
    static const char smuggled[] =
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 40\r\n" END
        "GET /smuggled HTTP/1.1\r\n" HOST END;
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});
    int fd = raw_connect(srv_http_port(http));

    (void)state;
    assert_true(raw_send(fd, three, sizeof three - 1));
    raw_read(fd, 0, &answer);
    assert_memory_equal(answer.body, "GET /one|", 9);
    raw_read(fd, 0, &answer);
    assert_memory_equal(answer.body, "POST /two|3|3:abc|", 18);
    raw_read(fd, 0, &answer);
    assert_memory_equal(answer.body, "GET /three|", 11);
    assert_int_equal(close(fd), 0);
    refused(srv_http_port(http), smuggled, sizeof smuggled - 1, "invalid-request",
            "Content-Length");
    srv_http_stop(http);
}

static void http_1_0_is_answered_and_closed(void **state)
{
    static const char ask[] = "GET /old HTTP/1.0\r\n" HOST END;
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5});
    int fd = raw_connect(srv_http_port(http));

    (void)state;
    assert_true(raw_send(fd, ask, sizeof ask - 1));
    raw_read(fd, 0, &answer);
    assert_non_null(strstr(answer.body, "GET /old|"));
    assert_true(raw_closed(fd));
    assert_int_equal(close(fd), 0);
    srv_http_stop(http);
}

/* ---- slow senders ---- */

/* One byte after another until the service has had enough; false: it took them all. */
static bool trickle(int fd, const char *data)
{
    for (; *data != '\0'; data++) {
        struct timespec pause = {.tv_nsec = 20000000};

        if (!raw_send(fd, data, 1)) {
            return true;
        }
        (void)nanosleep(&pause, NULL);
    }
    return false;
}

static void slow_senders_are_cut(void **state)
{
    static const char *const begins[] = {
        "",
        "GET / HTTP/1.1\r\n" HOST "A: ",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 900\r\n" END,
        "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n" END,
    };
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 60, .slow_s = 1});
    int calls = fake_calls();

    (void)state;
    memset(text, 'a', 3000); /* a minute's worth */
    text[3000] = '\0';
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        int fd = raw_connect(srv_http_port(http));

        assert_true(raw_send(fd, begins[i], strlen(begins[i])));
        if (!trickle(fd, text)) {
            fail_msg("'%.40s' may go on for ever", begins[i]);
        }
        assert_int_equal(close(fd), 0);
    }
    srv_http_stop(http);
    assert_int_equal(fake_calls(), calls);
}

/* Fast bodies, slow handlers and idle connections are not slow senders. */
static void others_are_not_cut(void **state)
{
    static const char put[] = "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n" END;
    static const char wait[] = "GET /wait HTTP/1.1\r\n" HOST END;
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 60, .slow_s = 3});
    cp_time end = cp_clock_now() + 4 * CP_SEC;
    int slow = raw_connect(srv_http_port(http));
    int up = raw_connect(srv_http_port(http));

    (void)state;
    assert_true(raw_send(slow, wait, sizeof wait - 1));
    assert_true(raw_send(up, put, sizeof put - 1));
    memset(text, 'a', sizeof text);
    for (size_t sent = 0; sent < 200000; sent += 40000) { /* each second's 32 KiB and more */
        struct timespec pause = {.tv_nsec = 800000000};

        assert_true(raw_send(up, text, 40000));
        (void)nanosleep(&pause, NULL);
    }
    raw_read(up, 0, &answer);
    assert_int_equal(answer.status, 201);
    while (cp_clock_now() < end) {
        struct timespec pause = {.tv_nsec = 100000000};

        (void)nanosleep(&pause, NULL);
    }
    fake_release();
    raw_read(slow, 0, &answer);
    assert_int_equal(answer.status, 200);
    /* both were idle for a while, and are asked again */
    assert_true(raw_send(up, wait, sizeof wait - 1));
    raw_read(up, 0, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(close(slow), 0);
    assert_int_equal(close(up), 0);
    srv_http_stop(http);
}

/* ---- the number of connections ---- */

static void one_connection_too_many_is_told(void **state)
{
    static const char ask[] = "GET /a HTTP/1.1\r\n" HOST END;
    struct srv_http *http =
        start((struct srv_http_config){.timeout_s = 5, .connections = CONNECTIONS});
    int fds[CONNECTIONS];
    int fd;

    (void)state;
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = raw_connect(srv_http_port(http));
        assert_true(raw_send(fds[i], ask, sizeof ask - 1));
        raw_read(fds[i], 0, &answer);
        assert_int_equal(answer.status, 200);
    }
    fd = raw_connect(srv_http_port(http));
    assert_true(raw_send(fd, ask, sizeof ask - 1));
    raw_read(fd, 0, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "connections"));
    assert_true(raw_closed(fd));
    assert_int_equal(close(fd), 0);
    /* those that are in go on */
    assert_true(raw_send(fds[0], ask, sizeof ask - 1));
    raw_read(fds[0], 0, &answer);
    assert_int_equal(answer.status, 200);
    /* and one that leaves makes room, as soon as the service has seen it leave */
    assert_int_equal(close(fds[0]), 0);
    do {
        raw_ask(srv_http_port(http), ask, &answer);
    } while (answer.status == 503);
    assert_int_equal(answer.status, 200);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(close(fds[2]), 0);
    srv_http_stop(http);
}

/* One host takes its own connections only: beyond them it is told so, then not even that. */
static void one_address_does_not_take_all(void **state)
{
    static const char ask[] = "GET /a HTTP/1.1\r\n" HOST END;
    struct srv_http *http = start(
        (struct srv_http_config){.timeout_s = 5, .connections = 100, .per_address = CONNECTIONS});
    uint16_t port = srv_http_port(http);
    int fds[CONNECTIONS];
    int surplus[SURPLUS];
    int other;

    (void)state;
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = raw_connect(port);
        assert_true(raw_send(fds[i], ask, sizeof ask - 1));
        raw_read(fds[i], 0, &answer);
        assert_int_equal(answer.status, 200);
    }
    raw_ask(port, ask, &answer);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "one address"));
    for (int i = 0; i < SURPLUS; i++) {
        surplus[i] = raw_connect(port);
    }
    other = raw_connect_from(2, port);
    assert_true(raw_send(other, ask, sizeof ask - 1));
    raw_read(other, 0, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(raw_closed(surplus[SURPLUS - 1]));
    for (int i = 0; i < SURPLUS; i++) {
        assert_int_equal(close(surplus[i]), 0);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
    do {
        char some[64] = "";

        answer.status = raw_try(port, ask, some, sizeof some - 1) && strstr(some, " 200 ") != NULL;
    } while (answer.status == 0);
    assert_int_equal(close(other), 0);
    srv_http_stop(http);
}

/* ---- large bodies ---- */

#define LARGE    30000
#define BUDGET   (8u * LARGE)
#define BODY_MAX (2u * LARGE)

/* Headers with this one, and so many bytes. */
static void ask_body(unsigned last, uint16_t port, const char *length, size_t size)
{
    int at = snprintf(text, sizeof text, "POST /b HTTP/1.1\r\n" HOST "%s\r\n" END, length);
    int fd = raw_connect_from(last, port);

    memset(text + at, 'a', size);
    assert_true(raw_send(fd, text, (size_t)at + size));
    raw_read(fd, 0, &answer);
    assert_int_equal(close(fd), 0);
}

/* Begins a large body, and leaves it at that: until the service asks for it, it is counted. */
static int begin_large(unsigned last, uint16_t port)
{
    static const char ask[] =
        "POST /b HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 30000\r\n" END;
    int fd = raw_connect_from(last, port);

    assert_true(raw_send(fd, ask, sizeof ask - 1));
    raw_read(fd, 1, &answer);
    assert_int_equal(answer.status, 100);
    return fd;
}

/* An address may have a quarter of the memory, all of them together no more than all of it. */
static void large_bodies_are_bounded(void **state)
{
    struct srv_http *http = start((struct srv_http_config){.timeout_s = 5, .bodies = BUDGET});
    uint16_t port = srv_http_port(http);
    int fds[8];

    (void)state;
    fake_set_body_max(BODY_MAX);
    fds[0] = begin_large(1, port);
    fds[1] = begin_large(1, port);
    ask_body(1, port, "Content-Length: 30000", 0);
    assert_int_equal(answer.status, 503);
    assert_non_null(strstr(answer.body, "bodies"));
    for (unsigned i = 2; i < 8; i++) {
        fds[i] = begin_large(i / 2 + 1, port);
    }
    ask_body(5, port, "Content-Length: 30000", 0);
    assert_int_equal(answer.status, 503);
    ask_body(5, port, "Transfer-Encoding: chunked", 0);
    assert_int_equal(answer.status, 503);
    /* small ones are always taken */
    for (unsigned i = 1; i <= 5; i++) {
        ask_body(i, port, "Content-Length: 9000", 9000);
        assert_int_equal(answer.status, 200);
    }
    /* those that are in go on; one that broke makes room as well */
    memset(text, 'a', LARGE);
    assert_true(raw_send(fds[0], text, LARGE));
    raw_read(fds[0], 0, &answer);
    assert_int_equal(answer.status, 200);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
    do {
        ask_body(1, port, "Transfer-Encoding: chunked\r\n\r\n0\r\n", 0);
    } while (answer.status == 503);
    assert_int_equal(answer.status, 200);
    fake_set_body_max(FAKE_BODY_MAX);
    srv_http_stop(http);
}

/* ---- without TLS ---- */

static void the_plain_listener_is_marked(void **state)
{
    struct srv_http *http =
        start((struct srv_http_config){.timeout_s = 5, .plain_host = "127.0.0.1"});

    (void)state;
    assert_int_not_equal(srv_http_plain_port(http), 0);
    assert_int_not_equal(srv_http_plain_port(http), srv_http_port(http));
    raw_ask(srv_http_plain_port(http), "GET /plain HTTP/1.1\r\n" HOST END, &answer);
    assert_string_equal(answer.body, "plain");
    raw_ask(srv_http_port(http), "GET /plain HTTP/1.1\r\n" HOST END, &answer);
    assert_string_equal(answer.body, "not plain");
    srv_http_stop(http);
    http = start((struct srv_http_config){.timeout_s = 5});
    assert_int_equal(srv_http_plain_port(http), 0);
    srv_http_stop(http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_requests),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(lines_are_one_list),
        cmocka_unit_test(largest_ticket_leaves_room),
        cmocka_unit_test(what_is_absurdly_large),
        cmocka_unit_test(headers_in_pieces),
        cmocka_unit_test(pipelined_requests),
        cmocka_unit_test(http_1_0_is_answered_and_closed),
        cmocka_unit_test(slow_senders_are_cut),
        cmocka_unit_test(others_are_not_cut),
        cmocka_unit_test(one_connection_too_many_is_told),
        cmocka_unit_test(one_address_does_not_take_all),
        cmocka_unit_test(large_bodies_are_bounded),
        cmocka_unit_test(the_plain_listener_is_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
