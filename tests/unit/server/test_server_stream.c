/* SPDX-License-Identifier: Apache-2.0
 * Bodies without end over libmicrohttpd: what is said arrives at once, silent connections cost no
 * thread, clients that left are found by the next word, and the service stops with all of them
 * open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "server/http.h"
#include "tests/unit/server/fake_feed.h"
#include "tests/unit/server/raw_client.h"

#define LISTENERS 200

static struct api_context api;
static struct srv_http *http;

static int start(void **state)
{
    struct srv_http_config config = {
        .listen_host = "127.0.0.1", .threads = 2, .connections = 1000, .api = &api};
    struct cp_error err;

    (void)state;
    /* Only its address is looked at. */
    api.stream = (struct api_stream *)(void *)&api;
    fake_feed_reset();
    return srv_http_start(&config, &http, &err) == CP_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    srv_http_stop(http);
    http = NULL;
    return 0;
}

static int listen_to_feed(void)
{
    static const char request[] = "GET /feed HTTP/1.1\r\nHost: h\r\n\r\n";
    int fd = raw_connect(srv_http_port(http));

    assert_true(raw_send(fd, request, sizeof request - 1));
    return fd;
}

/* Reads until the word was seen; all must come within what was said. */
static void read_until(int fd, const char *word)
{
    char text[4096];
    size_t size = 0;

    text[0] = '\0';
    while (strstr(text, word) == NULL) {
        ssize_t n = recv(fd, text + size, sizeof text - 1 - size, 0);

        assert_true(n > 0);
        size += (size_t)n;
        text[size] = '\0';
    }
}

static size_t thread_count(void)
{
    DIR *dir = opendir("/proc/self/task");
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

static void words_arrive_as_they_are_said(void **state)
{
    int fd = listen_to_feed();

    (void)state;
    read_until(fd, "hello\n");
    fake_feed_await(1, 1);
    fake_feed_say("one\n");
    read_until(fd, "one\n");
    fake_feed_await(1, 1);
    fake_feed_say("two\n");
    read_until(fd, "two\n");
    (void)close(fd);
}

static void two_hundred_listeners_cost_no_thread(void **state)
{
    size_t threads = thread_count();
    int fds[LISTENERS];

    (void)state;
    for (int i = 0; i < LISTENERS; i++) {
        fds[i] = listen_to_feed();
    }
    fake_feed_await(LISTENERS, LISTENERS);
    assert_int_equal(thread_count(), threads);
    for (int round = 0; round < 3; round++) {
        fake_feed_say("again\n");
        for (int i = 0; i < LISTENERS; i++) {
            read_until(fds[i], "again\n");
        }
        fake_feed_await(LISTENERS, LISTENERS);
    }
    for (int i = 0; i < LISTENERS; i++) {
        (void)close(fds[i]);
    }
}

static void who_left_is_found_by_a_word(void **state)
{
    int stays = listen_to_feed();
    int leaves = listen_to_feed();
    struct linger at_once = {.l_onoff = 1};

    (void)state;
    fake_feed_await(2, 2);
    assert_int_equal(setsockopt(leaves, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    (void)close(leaves);
    fake_feed_say("there?\n");
    fake_feed_await(1, 1);
    read_until(stays, "there?\n");
    (void)close(stays);
}

static void the_service_stops_with_listeners(void **state)
{
    int fds[20];

    (void)state;
    for (int i = 0; i < 20; i++) {
        fds[i] = listen_to_feed();
    }
    fake_feed_await(20, 20);
    srv_http_stop(http); /* libmicrohttpd would abort if one were suspended still */
    http = NULL;
    fake_feed_await(0, 0);
    for (int i = 0; i < 20; i++) {
        read_until(fds[i], "hello\n");
        (void)close(fds[i]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(words_arrive_as_they_are_said),
        TEST(two_hundred_listeners_cost_no_thread),
        TEST(who_left_is_found_by_a_word),
        TEST(the_service_stops_with_listeners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
