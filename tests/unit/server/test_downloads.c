/* SPDX-License-Identifier: Apache-2.0
 * Bodies from files through real sockets: whole, in pieces, under a ceiling; and the ends of a
 * service with downloads that wait, whose clients left, and under load. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/log.h"
#include "server/http.h"
#include "server/http_throttle.h"
#include "tests/unit/server/fake_api.h"
#include "tests/unit/server/raw_client.h"

#define HOST    "Host: x\r\n"
#define END     "\r\n"
#define CROWD   20
#define SLOWEST 64000 /* bits per second: nothing large ends within a test */

static const char big[] = "GET /big HTTP/1.1\r\n" HOST END;

struct fixture {
    struct srv_throttle *throttle;
    struct srv_http *http;
    uint16_t port;
};

static struct raw_answer answer;

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct srv_http_config c = {.listen_host = "127.0.0.1", .threads = 2, .timeout_s = 30};
    struct cp_error err;

    cp_log_init("test", CP_LOG_JSON, CP_LOG_ERROR, STDERR_FILENO);
    if (srv_throttle_new(&f->throttle, &err) != CP_OK) {
        return -1;
    }
    c.throttle = f->throttle;
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
    srv_throttle_free(f->throttle);
    free(f);
    return 0;
}

/* Asks, reads the headers of a 200. */
static int begin(struct fixture *f, const char *request)
{
    int fd = raw_connect(f->port);

    assert_true(raw_send(fd, request, strlen(request)));
    raw_read(fd, 1, &answer);
    assert_int_equal(answer.status, 200);
    return fd;
}

/* Reads so many bytes; how many came before the end. */
static size_t drain(int fd, size_t size)
{
    static char buffer[1 << 16];
    size_t got = 0;

    while (got < size) {
        ssize_t n = recv(fd, buffer, size - got < sizeof buffer ? size - got : sizeof buffer, 0);

        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    return got;
}

static void large_files_are_whole(void **state)
{
    struct fixture *f = *state;
    int fd = begin(f, big);

    assert_non_null(strstr(answer.text, "Content-Length: 33554432\r\n"));
    assert_int_equal(drain(fd, FAKE_BIG_SIZE), FAKE_BIG_SIZE);
    /* and the connection goes on */
    assert_true(raw_send(fd, big, sizeof big - 1));
    raw_read(fd, 1, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(close(fd), 0);
}

/* Several at once, more than there are workers to wait for the disk. */
static void what_lies_on_the_disk_only_is_whole(void **state)
{
    static uint32_t place[FAKE_COLD_SIZE / 4];
    struct fixture *f = *state;
    int fds[4];

    for (size_t i = 0; i < 4; i++) {
        fds[i] = begin(f, "GET /cold HTTP/1.1\r\n" HOST END);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(recv(fds[i], place, sizeof place, MSG_WAITALL), sizeof place);
        for (uint32_t k = 0; k < FAKE_COLD_SIZE / 4; k++) {
            if (place[k] != k) {
                fail_msg("word %u of file %zu is %u", k, i, place[k]);
            }
        }
        assert_int_equal(close(fds[i]), 0);
    }
}

static void pieces_are_sent_in_turn(void **state)
{
    struct fixture *f = *state;

    raw_ask(f->port, "GET /pieces HTTP/1.1\r\n" HOST END, &answer);
    assert_int_equal(answer.status, 206);
    assert_string_equal(answer.body, "<abcdefghijklmnopqrst|01234>");
    assert_non_null(
        strstr(answer.text, "Content-Type: multipart/byteranges; boundary=b0undary\r\n"));
    assert_non_null(strstr(answer.text, "Content-Length: 28\r\n"));
}

/* A file that got shorter is a broken connection, never an answer that looks whole. */
static void what_is_missing_is_not_made_up(void **state)
{
    struct fixture *f = *state;
    int fd = begin(f, "GET /big/short HTTP/1.1\r\n" HOST END);

    assert_int_equal(drain(fd, FAKE_BIG_SIZE), FAKE_BIG_SIZE / 2);
    assert_true(raw_closed(fd));
    assert_int_equal(close(fd), 0);
}

/* Never faster: what is measured is a bound from below. */
static void the_ceiling_holds_for_all_together(void **state)
{
    const size_t each = 300000;
    struct fixture *f = *state;
    int fds[3];
    cp_time began;

    srv_throttle_set(f->throttle, 16000000);
    began = cp_clock_now();
    for (size_t i = 0; i < 3; i++) {
        fds[i] = begin(f, big);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(drain(fds[i], each), each);
    }
    assert_true((cp_clock_now() - began) / CP_MSEC >= (3 * each - 3 * 65536) / 2000);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

static void a_change_reaches_running_downloads(void **state)
{
    struct fixture *f = *state;
    int fd;

    srv_throttle_set(f->throttle, SLOWEST);
    fd = begin(f, big);
    assert_int_equal(drain(fd, 100), 100);
    srv_throttle_set(f->throttle, 0);
    assert_int_equal(drain(fd, FAKE_BIG_SIZE - 100), FAKE_BIG_SIZE - 100);
    assert_int_equal(close(fd), 0);
}

/* While downloads wait for their turn, other requests do not. */
static void waiting_downloads_hold_up_nobody(void **state)
{
    struct fixture *f = *state;
    int fds[CROWD];

    srv_throttle_set(f->throttle, SLOWEST);
    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = begin(f, big);
    }
    raw_ask(f->port, "GET /quick HTTP/1.1\r\n" HOST END, &answer);
    assert_int_equal(answer.status, 200);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

/* ---- the end ---- */

static void end_in_time(struct fixture *f)
{
    cp_time began = cp_clock_now();

    srv_http_stop(f->http);
    f->http = NULL;
    assert_true(cp_clock_now() - began < 10 * CP_SEC);
}

static void stop_while_downloads_wait(void **state)
{
    struct fixture *f = *state;
    int fds[CROWD];

    srv_throttle_set(f->throttle, SLOWEST);
    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = begin(f, big);
    }
    end_in_time(f);
    for (size_t i = 0; i < CROWD; i++) {
        (void)drain(fds[i], FAKE_BIG_SIZE);
        assert_int_equal(close(fds[i]), 0);
    }
}

static void stop_after_clients_left(void **state)
{
    struct fixture *f = *state;

    srv_throttle_set(f->throttle, SLOWEST);
    for (size_t i = 0; i < CROWD; i++) {
        struct linger reset = {.l_onoff = 1};
        int fd = begin(f, big);

        if (i % 2 == 0) {
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
        }
        assert_int_equal(close(fd), 0);
    }
    end_in_time(f);
}

/* Clients that read nothing fill their sockets; the service must not wait for them. */
static void stop_while_nobody_reads(void **state)
{
    struct fixture *f = *state;
    int fds[CROWD];

    for (size_t i = 0; i < CROWD; i++) {
        fds[i] = begin(f, big);
    }
    end_in_time(f);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(close(fds[i]), 0);
    }
}

/* Asks for this and that until the service is gone. */
static void *keep_asking(void *arg)
{
    static const char *const requests[] = {
        "GET /a HTTP/1.1\r\n" HOST END,
        "GET /big HTTP/1.1\r\n" HOST END,
        "POST /a HTTP/1.1\r\n" HOST "Content-Length: 500\r\n" END "not all of it",
        "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" END "hello",
        "PUT /up HTTP/1.1\r\n" HOST "Content-Length: 500000\r\n" END "not all of it",
    };
    const uint16_t *port = arg;
    char some[1000];

    for (size_t i = 0; raw_try(*port, requests[i % 5], some, sizeof some); i++) {
    }
    return NULL;
}

static void stop_under_load(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[8];

    srv_throttle_set(f->throttle, 80000000);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, keep_asking, &f->port), 0);
    }
    for (int calls = fake_calls(); fake_calls() < calls + 200;) {
        raw_ask(f->port, "GET /a HTTP/1.1\r\n" HOST END, &answer);
    }
    end_in_time(f);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(large_files_are_whole),
        TEST(what_lies_on_the_disk_only_is_whole),
        TEST(pieces_are_sent_in_turn),
        TEST(what_is_missing_is_not_made_up),
        TEST(the_ceiling_holds_for_all_together),
        TEST(a_change_reaches_running_downloads),
        TEST(waiting_downloads_hold_up_nobody),
        TEST(stop_while_downloads_wait),
        TEST(stop_after_clients_left),
        TEST(stop_while_nobody_reads),
        TEST(stop_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
