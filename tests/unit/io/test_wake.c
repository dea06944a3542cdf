/* SPDX-License-Identifier: Apache-2.0
 * Waiting: another thread's call, a descriptor, a time. */
#include "multicast/io/wake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"

static void *raise_it(void *arg)
{
    io_wake_raise(arg);
    return NULL;
}

static void test_wake(void **state)
{
    (void)state;
    struct io_wake w;
    pthread_t thread;

    assert_int_equal(io_wake_init(&w), CP_OK);
    assert_false(io_wake_take(&w));
    assert_int_equal(pthread_create(&thread, NULL, raise_it, &w), 0);
    io_wait(&w.fd, 1, 0, CP_TIME_NEVER); /* would never end without the other thread */
    assert_true(io_wake_take(&w));
    assert_false(io_wake_take(&w));
    assert_int_equal(pthread_join(thread, NULL), 0);

    io_wake_raise(&w);
    io_wake_raise(&w);
    assert_true(io_wake_take(&w)); /* two calls are one wish */
    assert_false(io_wake_take(&w));
    cp_time now = cp_clock_now();
    io_wait(&w.fd, 1, now, now + CP_MSEC); /* nothing left that is readable */
    assert_true(cp_clock_now() >= now + CP_MSEC);
    io_wake_done(&w);
    io_wake_done(&w);
}

static void test_times_and_descriptors(void **state)
{
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    const int fds[] = {-1, pipes[0]};

    cp_time now = cp_clock_now();
    io_wait(fds, 2, now, now); /* come already */
    io_wait(fds, 2, now + CP_SEC, now);
    io_wait(NULL, 0, now, now + CP_MSEC);
    assert_true(cp_clock_now() >= now + CP_MSEC);
    assert_int_equal(write(pipes[1], "x", 1), 1);
    io_wait(fds, 2, now, CP_TIME_NEVER);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_times_and_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
