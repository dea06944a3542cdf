/* SPDX-License-Identifier: Apache-2.0
 * Tests of wrong passwords by address: counting, locking, forgetting, and a flood of addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/access/lockout.h"

static const struct db_login_limits limits = {.failures = 3, .lockout_s = 60};
static const uint8_t alice[DB_HASH_SIZE] = {1};
static const uint8_t bob[DB_HASH_SIZE] = {2};

static struct api_lockout *make(void)
{
    struct api_lockout *l;

    assert_int_equal(api_lockout_new(&l), CP_OK);
    return l;
}

static void miss(struct api_lockout *l, const char *remote, int times, cp_time now)
{
    for (int i = 0; i < times; i++) {
        api_lockout_failed(l, remote, alice, &limits, now);
    }
}

static void the_limit_locks(void **state)
{
    struct api_lockout *l = make();
    cp_time now = 1000 * CP_SEC;

    (void)state;
    miss(l, "192.0.2.1", 2, now);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", now), 0);
    miss(l, "192.0.2.1", 1, now);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", now), 60);
    assert_int_equal(api_lockout_wait(l, "192.0.2.2", now), 0);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", now + 60 * CP_SEC - 1), 1);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", now + 60 * CP_SEC), 0);
    /* counting begins anew after a lock */
    miss(l, "192.0.2.1", 2, now + 61 * CP_SEC);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", now + 61 * CP_SEC), 0);
    api_lockout_free(l);
}

static void the_window_ends(void **state)
{
    struct api_lockout *l = make();

    (void)state;
    miss(l, "192.0.2.1", 2, CP_SEC);
    miss(l, "192.0.2.1", 1, (2 + DB_LOGIN_WINDOW_S) * CP_SEC);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", (2 + DB_LOGIN_WINDOW_S) * CP_SEC), 0);
    miss(l, "192.0.2.1", 2, (3 + DB_LOGIN_WINDOW_S) * CP_SEC);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", (3 + DB_LOGIN_WINDOW_S) * CP_SEC), 60);
    api_lockout_free(l);
}

/* Whoever logs in as himself must not wash off what he guessed of others. */
static void success_forgets_the_same_name_only(void **state)
{
    struct api_lockout *l = make();

    (void)state;
    miss(l, "192.0.2.1", 2, CP_SEC);
    api_lockout_succeeded(l, "192.0.2.1", bob);
    miss(l, "192.0.2.1", 1, CP_SEC);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", CP_SEC), 60);
    miss(l, "192.0.2.2", 2, CP_SEC);
    api_lockout_succeeded(l, "192.0.2.2", alice);
    miss(l, "192.0.2.2", 1, CP_SEC);
    assert_int_equal(api_lockout_wait(l, "192.0.2.2", CP_SEC), 0);
    api_lockout_forget(l, bob);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", CP_SEC), 60);
    api_lockout_forget(l, alice);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", CP_SEC), 0);
    api_lockout_free(l);
}

/* Nor by a slip at his own name before each guess. */
static void success_takes_back_its_own_slips_only(void **state)
{
    struct api_lockout *l = make();

    (void)state;
    for (int i = 0; i < 2; i++) {
        api_lockout_failed(l, "192.0.2.1", bob, &limits, CP_SEC);
        api_lockout_succeeded(l, "192.0.2.1", bob);
        api_lockout_succeeded(l, "192.0.2.1", bob); /* once */
        miss(l, "192.0.2.1", 1, CP_SEC);
    }
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", CP_SEC), 0);
    miss(l, "192.0.2.1", 1, CP_SEC);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", CP_SEC), 60);
    /* what came after a lock ended was counted from the start */
    miss(l, "192.0.2.1", 1, 62 * CP_SEC);
    api_lockout_succeeded(l, "192.0.2.1", alice);
    miss(l, "192.0.2.1", 2, 62 * CP_SEC);
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", 62 * CP_SEC), 0);
    api_lockout_free(l);
}

static void an_ipv6_subscriber_is_one(void **state)
{
    struct api_lockout *l = make();

    (void)state;
    miss(l, "2001:db8:1:2::1", 1, CP_SEC);
    miss(l, "2001:db8:1:2:ffff::2", 1, CP_SEC);
    miss(l, "2001:db8:1:2:3:4:5:6", 1, CP_SEC);
    assert_int_equal(api_lockout_wait(l, "2001:db8:1:2::77", CP_SEC), 60);
    assert_int_equal(api_lockout_wait(l, "2001:db8:1:3::77", CP_SEC), 0);
    assert_int_equal(api_lockout_wait(l, NULL, CP_SEC), 0);
    miss(l, NULL, 3, CP_SEC);
    assert_int_equal(api_lockout_wait(l, "", CP_SEC), 60); /* what is no address is one */
    assert_int_equal(api_lockout_wait(l, "0.0.0.1", CP_SEC), 0);
    api_lockout_free(l);
}

/* A locked address outlives any number of others that fail once. */
static void a_flood_does_not_unlock(void **state)
{
    struct api_lockout *l = make();
    char remote[32];

    (void)state;
    miss(l, "192.0.2.1", 3, CP_SEC);
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(remote, sizeof remote, "10.0.%d.%d", i / 250, i % 250);
        miss(l, remote, 1, 2 * CP_SEC);
    }
    assert_int_equal(api_lockout_wait(l, "192.0.2.1", 2 * CP_SEC), 59);
    miss(l, remote, 2, 2 * CP_SEC); /* the last one is still known */
    assert_int_equal(api_lockout_wait(l, remote, 2 * CP_SEC), 60);
    api_lockout_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_limit_locks),
        cmocka_unit_test(the_window_ends),
        cmocka_unit_test(success_forgets_the_same_name_only),
        cmocka_unit_test(success_takes_back_its_own_slips_only),
        cmocka_unit_test(an_ipv6_subscriber_is_one),
        cmocka_unit_test(a_flood_does_not_unlock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
