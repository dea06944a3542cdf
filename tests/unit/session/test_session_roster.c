/* SPDX-License-Identifier: Apache-2.0
 * The set of a session's node ids: what it holds, what it refuses, what is left after removals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/prng.h"
#include "multicast/session_roster.h"

static void holds_each_id_once(void **state)
{
    struct mc_roster r, copy;

    (void)state;
    assert_int_equal(mc_roster_init(&r), CP_OK);
    assert_int_equal(mc_roster_init(&copy), CP_OK);
    assert_false(mc_roster_has(&r, 2));
    assert_false(mc_roster_remove(&r, 2));
    assert_true(mc_roster_add(&r, 2));
    assert_false(mc_roster_add(&r, 2));
    assert_true(mc_roster_add(&r, 0xfffffffe));
    assert_int_equal(r.count, 2);
    mc_roster_copy(&copy, &r);
    assert_true(mc_roster_remove(&r, 2));
    assert_false(mc_roster_has(&r, 2));
    assert_true(mc_roster_has(&r, 0xfffffffe));
    assert_int_equal(r.count, 1);
    assert_true(mc_roster_has(&copy, 2));
    assert_int_equal(copy.count, 2);
    mc_roster_done(&r);
    mc_roster_done(&copy);
}

static void refuses_reserved_ids_and_too_many(void **state)
{
    struct mc_roster r;

    (void)state;
    assert_int_equal(mc_roster_init(&r), CP_OK);
    assert_false(mc_roster_add(&r, 0));
    assert_false(mc_roster_add(&r, UINT32_MAX));
    assert_false(mc_roster_has(&r, 0));
    assert_false(mc_roster_remove(&r, 0));
    for (uint32_t id = 2; id < 2 + MC_ROSTER_MAX; id++) {
        assert_true(mc_roster_add(&r, id));
    }
    assert_false(mc_roster_add(&r, 2 + MC_ROSTER_MAX));
    assert_int_equal(r.count, MC_ROSTER_MAX);
    for (uint32_t id = 2; id < 2 + MC_ROSTER_MAX; id++) {
        assert_true(mc_roster_remove(&r, id));
        assert_false(mc_roster_has(&r, id));
    }
    assert_int_equal(r.count, 0);
    for (size_t i = 0; i < MC_ROSTER_SLOTS; i++) {
        assert_int_equal(r.slot[i], 0);
    }
    mc_roster_done(&r);
}

/* Whatever comes and goes, in whatever order: nobody gets lost in a gap. Thrown at a full table, so
 * that runs of taken slots are long. */
static void finds_everybody_after_removals(void **state)
{
    struct mc_roster r;
    struct cp_prng prng;
    static uint32_t id[MC_ROSTER_MAX];

    (void)state;
    cp_prng_seed(&prng, 5);
    assert_int_equal(mc_roster_init(&r), CP_OK);
    for (size_t i = 0; i < MC_ROSTER_MAX; i++) {
        do {
            id[i] = (uint32_t)cp_prng_u64(&prng);
        } while (!mc_roster_add(&r, id[i]));
    }
    for (unsigned round = 0; round < 20000; round++) {
        size_t i = (size_t)(cp_prng_u64(&prng) % MC_ROSTER_MAX);

        assert_true(mc_roster_remove(&r, id[i]));
        do {
            id[i] = (uint32_t)cp_prng_u64(&prng);
        } while (!mc_roster_add(&r, id[i]));
    }
    assert_int_equal(r.count, MC_ROSTER_MAX);
    for (size_t i = 0; i < MC_ROSTER_MAX; i++) {
        assert_true(mc_roster_has(&r, id[i]));
    }
    mc_roster_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_each_id_once),
        cmocka_unit_test(refuses_reserved_ids_and_too_many),
        cmocka_unit_test(finds_everybody_after_removals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
