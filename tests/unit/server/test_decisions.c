/* SPDX-License-Identifier: Apache-2.0
 * Tests of the ring of decisions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "server/decisions.h"

static struct mc_trace trace(uint64_t after)
{
    return (struct mc_trace){.at = cp_clock_now() - CP_SEC,
                             .what = "rate",
                             .reason = "congestion",
                             .node_id = 7,
                             .before = 1,
                             .after = after,
                             .loss = 0.25,
                             .rate_bps = 9};
}

static void decisions_are_taken_once(void **state)
{
    struct db_decision got[DB_DECISIONS_KEPT];
    struct srv_decisions d;
    struct mc_trace t = trace(5);
    uint64_t wall = cp_clock_wall();

    (void)state;
    srv_decisions_init(&d);
    assert_int_equal(srv_decisions_take(&d, got, DB_DECISIONS_KEPT), 0);
    srv_decisions_note(&d, &t);
    t.reason = NULL;
    srv_decisions_note(&d, &t);
    assert_int_equal(srv_decisions_take(&d, got, 1), 1);
    assert_string_equal(got[0].what, "rate");
    assert_string_equal(got[0].reason, "congestion");
    assert_int_equal(got[0].norm_node_id, 7);
    assert_int_equal(got[0].before, 1);
    assert_int_equal(got[0].after, 5);
    assert_int_equal(got[0].loss_ppm, 250000);
    assert_int_equal(got[0].rate_bps, 9);
    /* A second ago, by the wall clock. */
    assert_true(got[0].time > wall - 2 * CP_SEC && got[0].time < wall);
    assert_int_equal(srv_decisions_take(&d, got, DB_DECISIONS_KEPT), 1);
    assert_string_equal(got[0].reason, "");
    assert_int_equal(srv_decisions_take(&d, got, DB_DECISIONS_KEPT), 0);
    srv_decisions_done(&d);
}

static void the_engines_own_are_only_logged(void **state)
{
    static const char *const whats[] = {"grtt", "parity", "pass", "state", "budget"};
    struct db_decision got[DB_DECISIONS_KEPT];
    struct srv_decisions d;

    (void)state;
    srv_decisions_init(&d);
    for (size_t i = 0; i < sizeof whats / sizeof whats[0]; i++) {
        struct mc_trace t = trace(i);

        t.what = whats[i];
        srv_decisions_note(&d, &t);
    }
    assert_int_equal(srv_decisions_take(&d, got, DB_DECISIONS_KEPT), 2);
    assert_string_equal(got[0].what, "parity");
    assert_string_equal(got[1].what, "budget");
    srv_decisions_done(&d);
}

static void the_newest_stay(void **state)
{
    struct db_decision got[DB_DECISIONS_KEPT];
    struct srv_decisions d;

    (void)state;
    srv_decisions_init(&d);
    for (uint64_t i = 1; i <= DB_DECISIONS_KEPT + 10; i++) {
        struct mc_trace t = trace(i);

        srv_decisions_note(&d, &t);
    }
    assert_int_equal(srv_decisions_take(&d, got, DB_DECISIONS_KEPT), DB_DECISIONS_KEPT);
    assert_int_equal(got[0].after, 11);
    assert_int_equal(got[DB_DECISIONS_KEPT - 1].after, DB_DECISIONS_KEPT + 10);
    srv_decisions_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_are_taken_once),
        cmocka_unit_test(the_engines_own_are_only_logged),
        cmocka_unit_test(the_newest_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
