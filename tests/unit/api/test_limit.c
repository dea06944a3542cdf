/* SPDX-License-Identifier: Apache-2.0
 * The counting of requests, and what is an origin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "api/access/cors.h"
#include "api/framework/limit.h"

#define START ((cp_time)1000 * CP_SEC)

static uint32_t taken(struct api_limit *l, const char *name, uint32_t per_minute, cp_time now)
{
    uint32_t count = 0;
    uint32_t wait_s = 0;

    while (count < 100000 && api_limit_take(l, name, per_minute, now, &wait_s)) {
        count++;
    }
    return count;
}

static void a_bucket_empties_and_fills(void **state)
{
    struct api_limit *l;
    uint32_t wait_s = 0;

    (void)state;
    assert_int_equal(api_limit_new(&l), CP_OK);
    assert_int_equal(taken(l, "address 192.0.2.1", 6000, START), 1000); /* a sixth at once */
    assert_false(api_limit_take(l, "address 192.0.2.1", 6000, START, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_int_equal(taken(l, "address 192.0.2.2", 6000, START), 1000); /* others have their own */
    /* 100 a second come back, and no more than the bucket holds */
    assert_int_equal(taken(l, "address 192.0.2.1", 6000, START + CP_SEC), 100);
    assert_int_equal(taken(l, "address 192.0.2.1", 6000, START + 3600 * CP_SEC), 1000);
    api_limit_free(l);
}

static void what_is_given_back_can_be_taken_again(void **state)
{
    struct api_limit *l;
    uint32_t wait_s = 0;

    (void)state;
    assert_int_equal(api_limit_new(&l), CP_OK);
    api_limit_give(l, "a", 60, START); /* nothing was taken: it is full, not over-full */
    assert_int_equal(taken(l, "a", 60, START), 20);
    api_limit_give(l, "a", 60, START);
    api_limit_give(l, "b", 60, START);
    api_limit_give(l, "a", 0, START);
    assert_int_equal(taken(l, "a", 60, START), 1);
    for (int i = 0; i < 1000; i++) {
        api_limit_give(l, "a", 60, START);
    }
    assert_int_equal(taken(l, "a", 60, START), 20);
    assert_false(api_limit_take(l, "a", 60, START, &wait_s));
    api_limit_free(l);
}

static void a_small_limit_and_none(void **state)
{
    struct api_limit *l;
    uint32_t wait_s = 0;

    (void)state;
    assert_int_equal(api_limit_new(&l), CP_OK);
    assert_int_equal(taken(l, "a", 1, START), 20);
    assert_false(api_limit_take(l, "a", 1, START, &wait_s));
    assert_int_equal(wait_s, 60);
    assert_false(api_limit_take(l, "a", 1, START + 59 * CP_SEC, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_true(api_limit_take(l, "a", 1, START + 60 * CP_SEC, &wait_s));
    assert_int_equal(taken(l, "a", 0, START), 100000);
    api_limit_free(l);
}

/* More names than there are places: the table stays as it is, and who is over its limit is not
 * forgotten for others that sent one request. */
static void many_names_are_bounded(void **state)
{
    struct api_limit *l;
    uint32_t wait_s = 0;
    uint32_t refused = 0;

    (void)state;
    assert_int_equal(api_limit_new(&l), CP_OK);
    assert_int_equal(taken(l, "greedy", 60, START), 20);
    for (unsigned i = 0; i < 100000; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "address %u", i);
        refused += !api_limit_take(l, name, 60, START, &wait_s);
    }
    assert_int_equal(refused, 0);
    assert_false(api_limit_take(l, "greedy", 60, START, &wait_s));
    api_limit_free(l);
    api_limit_free(NULL);
}

struct taker {
    struct api_limit *limit;
    pthread_t thread;
    uint32_t taken;
};

static void *take_many(void *arg)
{
    struct taker *t = arg;
    uint32_t wait_s;

    for (int i = 0; i < 1000; i++) {
        t->taken += api_limit_take(t->limit, "shared", 6000, START, &wait_s);
    }
    return NULL;
}

static void threads_share_a_bucket(void **state)
{
    struct taker takers[8];
    struct api_limit *l;
    uint32_t sum = 0;

    (void)state;
    assert_int_equal(api_limit_new(&l), CP_OK);
    for (size_t i = 0; i < 8; i++) {
        takers[i] = (struct taker){.limit = l};
        assert_int_equal(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(takers[i].thread, NULL), 0);
        sum += takers[i].taken;
    }
    assert_int_equal(sum, 1000);
    api_limit_free(l);
}

static void origins(void **state)
{
    static const char *const good[] = {"https://console.example", "http://localhost:8080",
                                       "https://192.0.2.1",       "https://[2001:db8::1]",
                                       "https://[::1]:8443",      "https://a-b.example:444"};
    static const char *const bad[] = {"",
                                      "*",
                                      "null",
                                      "console.example",
                                      "https://",
                                      "https://console.example/",
                                      "https://Console.example",
                                      "https://console.example:443",
                                      "http://console.example:80",
                                      "https://console.example:0444",
                                      "https://console.example:99999",
                                      "https://console.example:",
                                      "https://a b",
                                      "https://user@console.example",
                                      "https://[::1",
                                      "ftp://console.example",
                                      "https://*.example"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!api_cors_is_origin(good[i])) {
            fail_msg("%s", good[i]);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (api_cors_is_origin(bad[i])) {
            fail_msg("%s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_empties_and_fills),
        cmocka_unit_test(what_is_given_back_can_be_taken_again),
        cmocka_unit_test(a_small_limit_and_none),
        cmocka_unit_test(many_names_are_bounded),
        cmocka_unit_test(threads_share_a_bucket),
        cmocka_unit_test(origins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
