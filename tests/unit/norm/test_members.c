/* SPDX-License-Identifier: Apache-2.0
 * Table of the nodes heard: order, look-up, what happens when it is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "multicast/norm/members.h"

static void keeps_the_order_of_first_hearing(void **state)
{
    struct norm_members m;
    struct norm_member *first;

    (void)state;
    assert_int_equal(norm_members_init(&m, 100), CP_OK);
    assert_null(norm_members_find(&m, 7));
    first = norm_members_heard(&m, CP_MSEC, 7);
    assert_non_null(first);
    assert_int_equal(first->over_since, CP_TIME_NEVER);
    assert_true(first->bulk_first > first->bulk_last);
    for (uint32_t id = 1000; id < 1050; id++) {
        assert_non_null(norm_members_heard(&m, 2 * CP_MSEC, id));
    }
    assert_ptr_equal(norm_members_heard(&m, 9 * CP_MSEC, 7), first);
    assert_int_equal(m.count, 51);
    assert_int_equal(first->first_heard, CP_MSEC);
    assert_int_equal(first->last_heard, 9 * CP_MSEC);
    for (uint32_t id = 1000; id < 1050; id++) {
        assert_ptr_equal(norm_members_find(&m, id), &m.member[1 + id - 1000]);
    }
    norm_members_done(&m);
}

static void a_full_table_takes_nobody_in(void **state)
{
    struct norm_members m;

    (void)state;
    assert_int_equal(norm_members_init(&m, 3), CP_OK);
    for (uint32_t id = 1; id <= 3; id++) {
        assert_non_null(norm_members_heard(&m, 0, id));
    }
    assert_null(norm_members_heard(&m, 0, 4));
    assert_null(norm_members_find(&m, 4));
    assert_non_null(norm_members_heard(&m, 5, 2));
    assert_int_equal(m.count, 3);
    norm_members_clear(&m);
    assert_null(norm_members_find(&m, 2));
    assert_non_null(norm_members_heard(&m, 0, 4));
    assert_int_equal(m.count, 1);
    norm_members_done(&m);
}

/* Ids in a row, as a control plane gives them, and ids far apart. */
static void the_largest_table_finds_everybody(void **state)
{
    struct norm_members m;

    (void)state;
    assert_int_equal(norm_members_init(&m, NORM_MEMBERS_MAX), CP_OK);
    for (uint32_t i = 0; i < NORM_MEMBERS_MAX; i++) {
        assert_non_null(norm_members_heard(&m, i, i % 2 == 0 ? i : i << 16));
    }
    assert_int_equal(m.count, NORM_MEMBERS_MAX);
    for (uint32_t i = 0; i < NORM_MEMBERS_MAX; i++) {
        assert_ptr_equal(norm_members_find(&m, i % 2 == 0 ? i : i << 16), &m.member[i]);
    }
    norm_members_done(&m);
}

/* The last one moves into the gap; whoever is left is found, in buckets of one and of many. */
static void who_is_removed_leaves_a_place(void **state)
{
    struct norm_members m;

    (void)state;
    assert_int_equal(norm_members_init(&m, 64), CP_OK);
    for (uint32_t id = 1; id <= 64; id++) {
        norm_members_heard(&m, id, id)->asked = id;
    }
    assert_null(norm_members_heard(&m, 100, 65));
    norm_members_remove(&m, norm_members_find(&m, 5));
    assert_null(norm_members_find(&m, 5));
    assert_int_equal(m.member[4].node_id, 64);
    assert_non_null(norm_members_heard(&m, 100, 65));
    for (uint32_t id = 64; id > 0; id -= 2) {
        norm_members_remove(&m, norm_members_find(&m, id));
    }
    assert_int_equal(m.count, 32);
    for (uint32_t id = 1; id <= 64; id++) {
        const struct norm_member *found = norm_members_find(&m, id);

        assert_true((found != NULL) == (id % 2 == 1 && id != 5));
        assert_true(found == NULL || (found->node_id == id && found->asked == id));
    }
    while (m.count > 0) {
        norm_members_remove(&m, &m.member[0]);
    }
    assert_null(norm_members_find(&m, 1));
    assert_non_null(norm_members_heard(&m, 200, 1));
    norm_members_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_of_first_hearing),
        cmocka_unit_test(a_full_table_takes_nobody_in),
        cmocka_unit_test(the_largest_table_finds_everybody),
        cmocka_unit_test(who_is_removed_leaves_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
