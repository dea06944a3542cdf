/* SPDX-License-Identifier: Apache-2.0
 * A refusal reaches a client that sends its whole body before it looks, through real sockets: who
 * closes with bytes unread resets the connection, and the answer is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "server/http.h"
#include "tests/unit/server/fake_api.h"
#include "tests/unit/server/raw_client.h"

#define HOST "Host: x\r\n"
#define END  "\r\n"
#define MIB  (1 << 20)
/* Before the rest was read nearly every one of them was lost. */
#define TIMES 20

static struct raw_answer answer;
static char piece[MIB];

static struct srv_http *start(void)
{
    struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = 2, .timeout_s = 5};
    struct srv_http *http = NULL;
    struct cp_error err;

    cp_log_init("test", CP_LOG_JSON, CP_LOG_ERROR, STDERR_FILENO);
    assert_int_equal(srv_http_start(&c, &http, &err), CP_OK);
    return http;
}

/* Sends head, then so many MiB, chunked or not, as far as they are taken. */
static int send_all(int fd, const char *head, int mib)
{
    bool chunked = strstr(head, "chunked") != NULL;
    int sent = 0;

    assert_true(raw_send(fd, head, strlen(head)));
    while (sent < mib && (!chunked || raw_send(fd, "100000\r\n", 8)) &&
           raw_send(fd, piece, sizeof piece) && (!chunked || raw_send(fd, "\r\n", 2))) {
        sent++;
    }
    return sent == mib && chunked && !raw_send(fd, "0\r\n\r\n", 5) ? 0 : sent;
}

static void the_answer_arrives(void **state)
{
    static const struct {
        const char *head;
        int mib, status;
    } cases[] = {
        {"PUT /up/no HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n" END, 8, 401},
        {"PATCH /up/no HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n" END, 8, 401},
        {"PUT /up/no HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END, 8, 401},
        {"PATCH /up/no HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END, 8, 401},
        {"POST /a HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n" END, 8, 413},
        {"POST /a HTTP/1.1\r\n" HOST HOST "Content-Length: 8388608\r\n" END, 8, 400},
        {"PUT /up/full HTTP/1.1\r\n" HOST "Content-Length: 67108864\r\n" END, 64, 507},
        {"PATCH /up/full HTTP/1.1\r\n" HOST "Content-Length: 67108864\r\n" END, 64, 507},
        {"PATCH /up/full HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END, 64, 507},
    };
    struct srv_http *http = start();

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int times = 0; times < (cases[i].mib > 8 ? 3 : TIMES); times++) {
            int fd = raw_connect(srv_http_port(http));

            if (send_all(fd, cases[i].head, cases[i].mib) != cases[i].mib) {
                fail_msg("'%.60s': the body is not read", cases[i].head);
            }
            raw_read(fd, 0, &answer);
            if (answer.status != cases[i].status) {
                fail_msg("'%.60s': %d, wanted %d", cases[i].head, answer.status, cases[i].status);
            }
            assert_true(raw_closed(fd));
            assert_int_equal(close(fd), 0);
        }
    }
    srv_http_stop(http);
}

/* A stranger cannot have the service read without end. */
static void not_for_ever(void **state)
{
    static const char *const heads[] = {
        "PUT /up/no HTTP/1.1\r\n" HOST "Content-Length: 999999999999\r\n" END,
        "PATCH /up/no HTTP/1.1\r\n" HOST "Content-Length: 999999999999\r\n" END,
        "PUT /up/no HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END,
        "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n" END,
    };
    struct srv_http *http = start();

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        int fd = raw_connect(srv_http_port(http));

        if (send_all(fd, heads[i], 200) == 200) {
            fail_msg("'%.60s' may go on for ever", heads[i]);
        }
        assert_int_equal(close(fd), 0);
    }
    srv_http_stop(http);
}

/* No byte of the body is needed for the answer, and the service does not wait for those that neither
 * send nor close. */
static void stopping_ends_them(void **state)
{
    static const char *const heads[] = {
        "PUT /up/full HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n" END,
        "PATCH /up/full HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n" END,
    };
    struct srv_http *http = start();
    int fds[300]; /* more than are read at a time */

    (void)state;
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        fds[i] = raw_connect_from(1 + (unsigned)i % 4, srv_http_port(http));
        assert_true(raw_send(fds[i], heads[i % 2], strlen(heads[i % 2])));
        raw_read(fds[i], 0, &answer);
        assert_int_equal(answer.status, 507);
        assert_true(raw_closed(fds[i]));
    }
    srv_http_stop(http);
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_arrives),
        cmocka_unit_test(not_for_ever),
        cmocka_unit_test(stopping_ends_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
