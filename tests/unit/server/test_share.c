/* SPDX-License-Identifier: Apache-2.0
 * Tests of fair shares: hand-made cases, a property over random ones, and a swing of two sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/prng.h"
#include "server/share.h"

#define MBIT UINT64_C(1000000)
#define ALL  SRV_SHARE_ALL

static void alone_it_has_all(void **state)
{
    uint64_t want = ALL;
    uint64_t share = 0;

    (void)state;
    srv_share_divide(1000 * MBIT, &want, 1, &share);
    assert_int_equal(share, 1000 * MBIT);
    want = 0; /* its receivers are slow: nothing is gained by holding it down */
    srv_share_divide(1000 * MBIT, &want, 1, &share);
    assert_int_equal(share, 1000 * MBIT);
    srv_share_divide(1000 * MBIT, NULL, 0, NULL);
}

static void those_who_want_all_get_the_same(void **state)
{
    uint64_t wants[] = {ALL, ALL, ALL};
    uint64_t shares[3];

    (void)state;
    srv_share_divide(900 * MBIT, wants, 3, shares);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(shares[i], 300 * MBIT);
    }
    srv_share_divide(2, wants, 3, shares); /* less than can be divided */
    assert_int_equal(shares[0] + shares[1] + shares[2], 0);
}

static void the_slow_ones_leave_their_rest(void **state)
{
    uint64_t wants[] = {100 * MBIT, ALL, 350 * MBIT, ALL};
    uint64_t shares[4];

    (void)state;
    srv_share_divide(1000 * MBIT, wants, 4, shares);
    assert_int_equal(shares[0], 100 * MBIT);
    assert_int_equal(shares[1], 300 * MBIT); /* (1000 − 100) / 3: the third wants more too */
    assert_int_equal(shares[2], 300 * MBIT);
    assert_int_equal(shares[3], 300 * MBIT);
    wants[2] = 200 * MBIT;
    srv_share_divide(1000 * MBIT, wants, 4, shares);
    assert_int_equal(shares[2], 200 * MBIT);
    assert_int_equal(shares[1], 350 * MBIT);
}

static void idle_ones_can_wake_up(void **state)
{
    uint64_t wants[] = {0, ALL};
    uint64_t shares[2];

    (void)state;
    srv_share_divide(1000 * MBIT, wants, 2, shares);
    assert_int_equal(shares[0], 50 * MBIT);
    assert_int_equal(shares[1], 950 * MBIT);
}

static void what_nobody_wants_is_spread(void **state)
{
    uint64_t wants[] = {100 * MBIT, 300 * MBIT};
    uint64_t shares[2];

    (void)state;
    srv_share_divide(1000 * MBIT, wants, 2, shares);
    assert_int_equal(shares[0], 400 * MBIT);
    assert_int_equal(shares[1], 600 * MBIT);
}

/* Never above the ceiling in sum; nobody has less than it wants while another one has more than it
 * wants; who is short has as much as anybody who is short. */
static void every_division_is_fair(void **state)
{
    struct cp_prng rng;

    (void)state;
    cp_prng_seed(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        uint64_t wants[12], shares[12];
        size_t count = 1 + (size_t)cp_prng_below(&rng, 12);
        uint64_t ceiling = 1 + cp_prng_below(&rng, 100000 * MBIT);
        uint64_t idle = ceiling / count / 10;
        uint64_t sum = 0, poorest = ALL;

        for (size_t i = 0; i < count; i++) {
            wants[i] = cp_prng_below(&rng, 3) == 0 ? ALL : cp_prng_below(&rng, ceiling);
        }
        srv_share_divide(ceiling, wants, count, shares);
        for (size_t i = 0; i < count; i++) {
            sum += shares[i];
            if (shares[i] < wants[i] && shares[i] < poorest) {
                poorest = shares[i];
            }
        }
        assert_true(sum <= ceiling && ceiling - sum < count);
        for (size_t i = 0; poorest != ALL && i < count; i++) {
            uint64_t want = wants[i] > idle ? wants[i] : idle;

            assert_true(shares[i] <= want); /* somebody is short: nobody has more than it wants */
            assert_true(shares[i] <= poorest); /* … nor more than who is short */
        }
    }
}

static void use_is_measured(void **state)
{
    struct srv_use u;

    (void)state;
    srv_use_init(&u, 10 * CP_SEC, 100 * MBIT);
    assert_true(u.want_bps == ALL);
    srv_use_sample(&u, 11 * CP_SEC, 1000); /* it still finds its pace */
    assert_true(u.want_bps == ALL);
    srv_use_sample(&u, 16 * CP_SEC, 1000 + 5 * 1000000); /* 8 Mbit/s in these five seconds */
    assert_int_equal(u.want_bps, 10 * MBIT);
    srv_use_sample(&u, 16 * CP_SEC + 499 * CP_MSEC, 900000000); /* too soon to tell */
    assert_int_equal(u.want_bps, 10 * MBIT);
    srv_use_sample(&u, 17 * CP_SEC, 5001000 + 11250000); /* 90 Mbit/s of 100 */
    assert_true(u.want_bps == ALL);
    srv_use_grant(&u, 50 * MBIT);
    srv_use_grant(&u, 200 * MBIT);
    srv_use_sample(&u, 18 * CP_SEC, 16251000 + 5625000); /* 45 Mbit/s: for a while it had only 50 */
    assert_true(u.want_bps == ALL);
    srv_use_sample(&u, 19 * CP_SEC, 21876000 + 5625000); /* now it had 200 */
    assert_int_equal(u.want_bps, 56250000);
    srv_use_sample(&u, 20 * CP_SEC, 27501000);
    assert_int_equal(u.want_bps, 0);
}

/* A session whose receivers take 100 of 1000 Mbit/s meets one that takes everything; when they get
 * faster it has its half within a few rounds, and the sum never passes the ceiling. */
static void two_sessions_find_their_shares(void **state)
{
    struct srv_use u[2];
    uint64_t bytes[2] = {0}, wants[2], shares[2] = {500 * MBIT, 500 * MBIT};
    uint64_t can[2] = {100 * MBIT, ALL};

    (void)state;
    srv_use_init(&u[0], 0, shares[0]);
    srv_use_init(&u[1], 0, shares[1]);
    for (unsigned second = 1; second <= 30; second++) {
        if (second == 15) {
            can[0] = ALL;
        }
        for (size_t i = 0; i < 2; i++) {
            bytes[i] += (shares[i] < can[i] ? shares[i] : can[i]) / 8;
            srv_use_sample(&u[i], second * CP_SEC, bytes[i]);
            wants[i] = u[i].want_bps;
        }
        srv_share_divide(1000 * MBIT, wants, 2, shares);
        assert_true(shares[0] + shares[1] <= 1000 * MBIT);
        srv_use_grant(&u[0], shares[0]);
        srv_use_grant(&u[1], shares[1]);
        if (second == 14) {
            assert_int_equal(shares[0], 125 * MBIT);
            assert_int_equal(shares[1], 875 * MBIT);
        }
    }
    assert_int_equal(shares[0], 500 * MBIT);
    assert_int_equal(shares[1], 500 * MBIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_it_has_all),
        cmocka_unit_test(those_who_want_all_get_the_same),
        cmocka_unit_test(the_slow_ones_leave_their_rest),
        cmocka_unit_test(idle_ones_can_wake_up),
        cmocka_unit_test(what_nobody_wants_is_spread),
        cmocka_unit_test(every_division_is_fair),
        cmocka_unit_test(use_is_measured),
        cmocka_unit_test(two_sessions_find_their_shares),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
