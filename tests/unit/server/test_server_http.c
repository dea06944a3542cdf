/* SPDX-License-Identifier: Apache-2.0
 * Tests of the HTTP glue through real sockets: what reaches the API, what is refused before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <gnutls/gnutls.h>

#include "common/log.h"
#include "server/http.h"
#include "server/tls_cert.h"
#include "tests/unit/server/fake_api.h"
#include "tests/unit/server/raw_client.h"

#define HOST "Host: x\r\n"
#define END  "\r\n"
#define SLOW 20

struct fixture {
    struct srv_http *http;
    uint16_t port;
    struct raw_answer answer;
    FILE *log;
};

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = 2, .timeout_s = 5};
    struct cp_error err;

    f->log = tmpfile();
    cp_log_init("test", CP_LOG_JSON, CP_LOG_INFO, fileno(f->log));
    if (srv_http_start(&c, &f->http, &err) != CP_OK) {
        return -1;
    }
    f->port = srv_http_port(f->http);
    *state = f;
    return 0;
}

static int stop(void **state)
{
    struct fixture *f = *state;

    srv_http_stop(f->http);
    (void)fclose(f->log);
    free(f);
    return 0;
}

static void expect(struct fixture *f, const char *request, int status, const char *body)
{
    raw_ask(f->port, request, &f->answer);
    if (f->answer.status != status || strstr(f->answer.body, body) == NULL) {
        fail_msg("'%.60s' gave %d '%s', wanted %d '%s'", request, f->answer.status, f->answer.body,
                 status, body);
    }
}

static void requests_reach_the_api(void **state)
{
    struct fixture *f = *state;

    expect(f, "GET /a%2Fb/c?x=1&y=a+%41%26&z HTTP/1.1\r\n" HOST "X-Echo: hi\r\n" END, 200,
           "GET /a%2Fb/c|x=1|y=a A&|z=|0|0:-|127.0.0.1|hi");
    expect(f, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello", 200,
           "POST /a|5|5:hello|");
    expect(f,
           "PATCH /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
           "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
           200, "PATCH /a|-1|5:abcde|");
    expect(f, "DELETE /a HTTP/1.1\r\n" HOST END, 200, "DELETE /a|");
    expect(f, "GET /empty HTTP/1.1\r\n" HOST END, 204, "");
}

static void head_has_no_body(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    const char *two = "HEAD /file HTTP/1.1\r\n" HOST END "GET /b HTTP/1.1\r\n" HOST END;

    assert_true(raw_send(fd, two, strlen(two)));
    raw_read(fd, 1, &f->answer);
    assert_int_equal(f->answer.status, 206);
    assert_non_null(strcasestr(f->answer.text, "Content-Length: 20\r\n"));
    raw_read(fd, 0, &f->answer);
    assert_int_equal(f->answer.status, 200);
    assert_non_null(strstr(f->answer.body, "GET /b|"));
    (void)close(fd);
}

static void piece_of_a_file_is_sent(void **state)
{
    struct fixture *f = *state;

    expect(f, "GET /file HTTP/1.1\r\n" HOST END, 206, "");
    assert_int_equal(strlen(f->answer.body), 20);
    assert_memory_equal(f->answer.body, fake_file_text() + 10, 20);
    assert_non_null(strstr(f->answer.text, "Content-Range: bytes 10-29/46\r\n"));
}

static void ambiguous_requests_are_refused(void **state)
{
    static const char *const cases[][2] = {
        {"GET / HTTP/1.1\r\n" END, "no Host"},
        {"GET / HTTP/1.0\r\n" END, "no Host"},
        {"GET / HTTP/1.1\r\n" HOST "Host: y\r\n" END, "more than one Host"},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n" END, "Host header is not"},
        {"GET / HTTP/1.1\r\nHost:\r\n" END, "Host"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n" END "hello!",
         "more than one Content-Length"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n" END "hello",
         "more than one Content-Length"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" END
         "0\r\n\r\n",
         "both Content-Length and Transfer-Encoding"},
        {"POST / HTTP/1.1\r\n" HOST
         "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n",
         "Transfer-Encoding"},
        {"GET http://x/ HTTP/1.1\r\n" HOST END, "not a path"},
        {"GET / HTTP/1.1\r\nHost : x\r\n" END, "not well-formed"},
        {"GET / HTTP/1.1\r\n" HOST "a(b: c\r\n" END, "not well-formed"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n" END "0\r\n\r\n",
         "not well-formed"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n" END "0\r\n\r\n",
         "Transfer-Encoding"},
        {"GET /a b HTTP/1.1\r\n" HOST END, "not a path"},
        {"GET /?a=%zz HTTP/1.1\r\n" HOST END, "%-escape"},
        {"GET /?a=%00 HTTP/1.1\r\n" HOST END, "%-escape"},
        {"GET /?a=%4 HTTP/1.1\r\n" HOST END, "%-escape"},
    };
    struct fixture *f = *state;
    int before = fake_calls();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = raw_connect(f->port);

        assert_true(raw_send(fd, cases[i][0], strlen(cases[i][0])));
        raw_read(fd, 0, &f->answer);
        if (f->answer.status != 400 || strstr(f->answer.body, cases[i][1]) == NULL) {
            fail_msg("case %zu: %d '%s'", i, f->answer.status, f->answer.body);
        }
        if (!raw_closed(fd)) {
            fail_msg("case %zu: the connection goes on after '%s'", i, f->answer.text);
        }
        (void)close(fd);
    }
    assert_int_equal(fake_calls(), before);
}

/* Forms that MHD may refuse by itself or by a cut: no matter how, they never reach the API. */
static void malformed_requests_do_not_pass(void **state)
{
    static const char *const cases[] = {
        "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n" END "hello",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n" END "hello",
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n" END "hello",
        "GET / HTTP/1.1\r\n" HOST "nocolon\r\n" END,
        "\x16\x03\x01\x02\r\n\r\n",
    };
    struct fixture *f = *state;
    int before = fake_calls();

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        raw_ask(f->port, cases[i], &f->answer);
        if (f->answer.status != 400 && f->answer.status != 413 && f->answer.status != 0) {
            fail_msg("case %zu: %d '%s'", i, f->answer.status, f->answer.body);
        }
    }
    assert_int_equal(fake_calls(), before);
}

static void unknown_methods_are_405(void **state)
{
    struct fixture *f = *state;

    expect(f, "BREW / HTTP/1.1\r\n" HOST END, 405, "method-not-allowed");
    expect(f, "TRACE / HTTP/1.1\r\n" HOST END, 405, "'TRACE'");
    expect(f, "CONNECT /x HTTP/1.1\r\n" HOST END, 405, "method-not-allowed");
}

static void too_many_headers_are_refused(void **state)
{
    struct fixture *f = *state;
    char request[8192];
    int at = snprintf(request, sizeof request, "GET / HTTP/1.1\r\n" HOST);

    for (int i = 0; i < 110; i++) {
        at += snprintf(request + at, sizeof request - (size_t)at, "X-A: %d\r\n", i);
    }
    (void)snprintf(request + at, sizeof request - (size_t)at, END);
    expect(f, request, 431, "header fields");
}

static void announced_large_body_is_refused_at_once(void **state)
{
    struct fixture *f = *state;

    /* No byte of the body is sent: the answer must not wait for it. */
    expect(f, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n" END, 413, "too-large");
    expect(f, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1001\r\nExpect: 100-continue\r\n" END,
           413, "too-large");
}

static void body_limit_is_exact(void **state)
{
    struct fixture *f = *state;
    char request[2048];
    int at = snprintf(request, sizeof request,
                      "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n" END);

    memset(request + at, 'x', 1000);
    request[at + 1000] = '\0';
    expect(f, request, 200, "POST /a|1000|1000:xxxxx");
    at = snprintf(request, sizeof request,
                  "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END "3e9\r\n");
    memset(request + at, 'x', 1001);
    (void)snprintf(request + at + 1001, sizeof request - (size_t)at - 1001, "\r\n0\r\n\r\n");
    expect(f, request, 413, "too-large");
}

static void uploads_are_streamed(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f->port);
    static char data[300000];
    const char *head = "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n" END;

    memset(data, 1, sizeof data);
    assert_true(raw_send(fd, head, strlen(head)));
    assert_true(raw_send(fd, data, sizeof data));
    raw_read(fd, 0, &f->answer);
    assert_int_equal(f->answer.status, 201);
    assert_string_equal(f->answer.body, "300000 announced, 300000 got, sum 300000");
    (void)close(fd);
    expect(f,
           "PUT /up HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END
           "4\r\nabcd\r\n0\r\n\r\n",
           201, "-1 announced, 4 got");
    expect(f, "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 0\r\n" END, 201, "0 announced, 0 got");
    expect(f, "PUT /up/no HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n" END, 401,
           "authentication-required");
}

static void broken_upload_is_told(void **state)
{
    struct fixture *f = *state;
    const char *half = "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 100\r\n"
                       "Expect: 100-continue\r\n" END;
    int before = fake_uploads_cut();
    int fd = raw_connect(f->port);

    assert_true(raw_send(fd, half, strlen(half)));
    raw_read(fd, 1, &f->answer); /* 100: the upload has begun */
    assert_int_equal(f->answer.status, 100);
    assert_true(raw_send(fd, "half", 4));
    (void)close(fd);
    /* Stopping waits for all requests to end. */
    srv_http_stop(f->http);
    f->http = NULL;
    assert_int_equal(fake_uploads_cut(), before + 1);
}

/* What is refused on the way is read on for a while, so that the answer arrives; not for ever. */
static void a_refused_upload_is_cut_off(void **state)
{
    struct fixture *f = *state;
    static char data[1 << 20];
    char head[128];
    int sizes_mib[] = {2, 512};
    int before = fake_uploads_cut();

    memset(data, FAKE_REFUSED, sizeof data);
    for (int i = 0; i < 2; i++) {
        int fd = raw_connect(f->port);
        int sent = 0;

        (void)snprintf(head, sizeof head, "PUT /up HTTP/1.1\r\n" HOST "Content-Length: %d\r\n" END,
                       sizes_mib[i] << 20);
        assert_true(raw_send(fd, head, strlen(head)));
        while (sent < sizes_mib[i] && raw_send(fd, data, sizeof data)) {
            sent++;
        }
        if (i == 0) {
            raw_read(fd, 0, &f->answer);
            assert_int_equal(f->answer.status, 201); /* the stand-in's answer to all */
        } else {
            assert_true(sent < 400);
        }
        (void)close(fd);
    }
    srv_http_stop(f->http);
    f->http = NULL;
    assert_int_equal(fake_uploads_cut(), before + 1);
}

/* More of them than there are threads that move bytes. */
static void slow_handlers_hold_up_nobody_else(void **state)
{
    static const char wait[] = "GET /wait HTTP/1.1\r\n" HOST END;
    struct fixture *f = *state;
    struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = SLOW + 1, .timeout_s = 5};
    struct srv_http *http = NULL;
    struct cp_error err;
    int fds[SLOW + 1];

    assert_int_equal(srv_http_start(&c, &http, &err), CP_OK);
    for (int i = 0; i < SLOW; i++) {
        fds[i] = raw_connect(srv_http_port(http));
        assert_true(raw_send(fds[i], wait, strlen(wait)));
    }
    fake_await_waiting(SLOW);
    raw_ask(srv_http_port(http), "GET /quick HTTP/1.1\r\n" HOST END, &f->answer);
    assert_int_equal(f->answer.status, 200);
    /* and when no worker is left, there is what needs none */
    fds[SLOW] = raw_connect(srv_http_port(http));
    assert_true(raw_send(fds[SLOW], wait, strlen(wait)));
    fake_await_waiting(SLOW + 1);
    raw_ask(srv_http_port(http), "GET /prompt HTTP/1.1\r\n" HOST END, &f->answer);
    assert_int_equal(f->answer.status, 200);
    fake_release();
    for (int i = 0; i < SLOW + 1; i++) {
        raw_read(fds[i], 0, &f->answer);
        assert_int_equal(f->answer.status, 200);
        (void)close(fds[i]);
    }
    srv_http_stop(http);
}

static void request_id_is_kept_or_made(void **state)
{
    struct fixture *f = *state;
    const char *at;

    expect(f, "GET / HTTP/1.1\r\n" HOST "X-Request-Id: my-id_1.2\r\n" END, 200, "");
    assert_non_null(strstr(f->answer.text, "X-Request-Id: my-id_1.2\r\n"));
    expect(f, "GET / HTTP/1.1\r\n" HOST "X-Request-Id: a b\"c\r\n" END, 200, "");
    at = strstr(f->answer.text, "X-Request-Id: ");
    assert_non_null(at);
    assert_int_equal(strcspn(at + 14, "\r"), 32);
    expect(f, "BREW / HTTP/1.1\r\n" HOST "X-Request-Id: bad-one\r\n" END, 405, "[bad-one]");
}

static void access_log_has_no_secrets(void **state)
{
    struct fixture *f = *state;
    char text[8192];
    size_t size;

    expect(f,
           "GET /logged?token=s3cret HTTP/1.1\r\n" HOST
           "Authorization: Bearer s3cret\r\nX-Request-Id: log-1\r\n" END,
           200, "");
    srv_http_stop(f->http);
    f->http = NULL;
    rewind(f->log);
    size = fread(text, 1, sizeof text - 1, f->log);
    text[size] = '\0';
    assert_non_null(strstr(text, "\"path\":\"/logged\""));
    assert_non_null(strstr(text, "log-1"));
    assert_non_null(strstr(text, "\"status\":"));
    assert_null(strstr(text, "s3cret"));
}

static void taken_port_is_named(void **state)
{
    struct fixture *f = *state;
    struct srv_http_config c = {.listen_host = "127.0.0.1", .listen_port = f->port, .threads = 2};
    struct srv_http *second = NULL;
    struct cp_error err;

    assert_int_equal(srv_http_start(&c, &second, &err), CP_ERR_LISTEN);
    assert_non_null(strstr(err.text, "127.0.0.1 port"));
    assert_null(second);
}

/* ---- TLS ---- */

static int handshake(uint16_t port, const char *priorities, char *ret_answer, size_t cap)
{
    gnutls_certificate_credentials_t none;
    gnutls_session_t s;
    const char *ask = "GET /tls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    int fd = raw_connect(port);
    ssize_t n = 0;
    size_t at = 0;
    int rc;

    assert_int_equal(gnutls_certificate_allocate_credentials(&none), 0);
    assert_int_equal(gnutls_init(&s, GNUTLS_CLIENT), 0);
    assert_int_equal(gnutls_priority_set_direct(s, priorities, NULL), 0);
    assert_int_equal(gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, none), 0);
    gnutls_transport_set_int(s, fd);
    do {
        rc = gnutls_handshake(s);
    } while (rc < 0 && gnutls_error_is_fatal(rc) == 0);
    if (rc == 0) {
        assert_int_equal(gnutls_record_send(s, ask, strlen(ask)), (ssize_t)strlen(ask));
        while (at < cap - 1 && (n = gnutls_record_recv(s, ret_answer + at, cap - 1 - at)) > 0) {
            at += (size_t)n;
        }
        rc = (int)gnutls_protocol_get_version(s);
    }
    ret_answer[at] = '\0';
    gnutls_deinit(s);
    gnutls_certificate_free_credentials(none);
    (void)close(fd);
    return rc;
}

static void tls_is_modern(void **state)
{
    struct fixture *f = *state;
    struct srv_tls tls = {0};
    struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = 2};
    char dir[] = "/tmp/castpoint-test-XXXXXX";
    char path[64];
    char answer[2048];
    struct cp_error err;
    struct srv_http *http = NULL;

    (void)f;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(srv_tls_self_signed(dir, "127.0.0.1", &tls, &err), CP_OK);
    c.cert_pem = tls.cert_pem;
    c.key_pem = tls.key_pem;
    assert_int_equal(srv_http_start(&c, &http, &err), CP_OK);
    assert_int_equal(handshake(srv_http_port(http), "NORMAL", answer, sizeof answer),
                     GNUTLS_TLS1_3);
    assert_non_null(strstr(answer, "GET /tls|"));
    assert_int_equal(
        handshake(srv_http_port(http), "NORMAL:-VERS-ALL:+VERS-TLS1.2", answer, sizeof answer),
        GNUTLS_TLS1_2);
    assert_non_null(strstr(answer, "GET /tls|"));
    assert_true(handshake(srv_http_port(http), "NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT", answer,
                          sizeof answer) < 0);
    srv_http_stop(http);
    srv_tls_done(&tls);
    (void)snprintf(path, sizeof path, "%s/key.pem", dir);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(path, sizeof path, "%s/cert.pem", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_reach_the_api),
        TEST(head_has_no_body),
        TEST(piece_of_a_file_is_sent),
        TEST(ambiguous_requests_are_refused),
        TEST(malformed_requests_do_not_pass),
        TEST(unknown_methods_are_405),
        TEST(too_many_headers_are_refused),
        TEST(announced_large_body_is_refused_at_once),
        TEST(body_limit_is_exact),
        TEST(uploads_are_streamed),
        TEST(broken_upload_is_told),
        TEST(a_refused_upload_is_cut_off),
        TEST(slow_handlers_hold_up_nobody_else),
        TEST(request_id_is_kept_or_made),
        TEST(access_log_has_no_secrets),
        TEST(taken_port_is_named),
        TEST(tls_is_modern),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
