/* SPDX-License-Identifier: Apache-2.0
 * Tests of the table of progress between two flushes. */
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/session/progress.h"

static int make(void **state)
{
    struct api_progress *t = NULL;

    if (api_progress_new(&t) != CP_OK) {
        return -1;
    }
    *state = t;
    return 0;
}

static int clean(void **state)
{
    api_progress_free(*state);
    return 0;
}

static void make_id(uint32_t n, char ret_id[DB_ID_SIZE])
{
    (void)snprintf(ret_id, DB_ID_SIZE, "%08" PRIx32 "-0000-4000-8000-000000000000", n);
}

static enum cp_err put(struct api_progress *t, uint32_t n, uint64_t bytes)
{
    struct db_progress p = {.state = DB_RECEIVER_RECEIVING, .bytes_done = bytes};
    char id[DB_ID_SIZE];

    make_id(n, id);
    return api_progress_put(t, id, &p);
}

static void drop(struct api_progress *t, uint32_t n)
{
    char id[DB_ID_SIZE];

    make_id(n, id);
    api_progress_drop(t, id);
}

static void newest_report_wins(void **state)
{
    struct api_progress *t = *state;
    struct db_receiver_report reports[4];

    assert_int_equal(put(t, 1, 10), CP_OK);
    assert_int_equal(put(t, 2, 20), CP_OK);
    assert_int_equal(put(t, 1, 11), CP_OK);
    drop(t, 2);
    drop(t, 3);
    assert_int_equal(api_progress_take(t, reports, 4), 1);
    assert_string_equal(reports[0].id, "00000001-0000-4000-8000-000000000000");
    assert_int_equal(reports[0].progress.bytes_done, 11);
    assert_int_equal(api_progress_take(t, reports, 4), 0);
    assert_int_equal(put(t, 2, 21), CP_OK);
    assert_int_equal(api_progress_take(t, reports, 4), 1);
    assert_int_equal(reports[0].progress.bytes_done, 21);
}

/* Many ids, several growths, graves in between: every report comes out once, in pages. */
static void pages_hold_everything_once(void **state)
{
    enum { COUNT = 5000, PAGE = 999 };
    struct api_progress *t = *state;
    struct db_receiver_report *page = calloc(PAGE, sizeof *page);
    unsigned char *seen = calloc(COUNT, 1);
    size_t total = 0;
    size_t n;

    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(put(t, i, i), CP_OK);
    }
    for (uint32_t i = 0; i < COUNT; i += 5) {
        drop(t, i);
    }
    while ((n = api_progress_take(t, page, PAGE)) > 0) {
        for (size_t i = 0; i < n; i++) {
            uint64_t which = page[i].progress.bytes_done;

            assert_true(which < COUNT && which % 5 != 0);
            which %=
                COUNT; /* the compiler does not know that assert_true() returns only when true */
            assert_int_equal(seen[which], 0);
            seen[which] = 1;
        }
        total += n;
    }
    assert_int_equal(total, COUNT - COUNT / 5);
    free(seen);
    free(page);
}

static void full_table_refuses_and_recovers(void **state)
{
    struct api_progress *t = *state;
    struct db_receiver_report *page = calloc(API_PROGRESS_BATCH, sizeof *page);
    uint32_t n = 0;
    size_t taken = 0;
    size_t count;

    while (put(t, n, n) == CP_OK) {
        n++;
    }
    assert_int_equal(n, 65536);
    assert_int_equal(put(t, n, n), CP_ERR_UNAVAILABLE);
    while ((count = api_progress_take(t, page, API_PROGRESS_BATCH)) > 0) {
        taken += count;
    }
    assert_int_equal(taken, 65536);
    assert_int_equal(put(t, 1, 1), CP_OK);
    free(page);
}

/* Puts and drops forever leave no graves that fill the table. */
static void graves_are_cleared(void **state)
{
    struct api_progress *t = *state;

    for (uint32_t i = 0; i < 300000; i++) {
        assert_int_equal(put(t, i, i), CP_OK);
        drop(t, i);
    }
}

static void *put_many(void *arg)
{
    for (uint32_t i = 0; i < 2000; i++) {
        if (put(arg, i, i) != CP_OK) {
            return arg;
        }
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct api_progress *t = *state;
    struct db_receiver_report *page = calloc(API_PROGRESS_BATCH, sizeof *page);
    pthread_t threads[3];
    void *failed;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, t), 0);
    }
    for (int i = 0; i < 50; i++) {
        assert_true(api_progress_take(t, page, API_PROGRESS_BATCH) <= API_PROGRESS_BATCH);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    free(page);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(newest_report_wins),
        TEST(pages_hold_everything_once),
        TEST(full_table_refuses_and_recovers),
        TEST(graves_are_cleared),
        TEST(threads_share_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
