/* SPDX-License-Identifier: Apache-2.0
 * Accounts of what receivers ask for: who is over its budget, and who is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "multicast/norm/budget.h"

struct group {
    struct norm_members members;
    struct norm_budget budget;
    cp_time now;
    uint64_t sent;
};

static void begin(struct group *g, uint32_t count)
{
    *g = (struct group){.budget = {.window = NORM_BUDGET_WINDOW, .reports = true}};
    assert_int_equal(norm_members_init(&g->members, 100), CP_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_non_null(norm_members_heard(&g->members, 0, 100 + i));
    }
}

/* A tenth of a second at 10,000 symbols a second; each asks for its share of them. */
static void pass(struct group *g, const double *share, unsigned tenths)
{
    for (unsigned t = 0; t < tenths; t++) {
        g->now += 100 * CP_MSEC;
        g->sent += 1000;
        for (size_t i = 0; i < g->members.count; i++) {
            norm_budget_charge(&g->budget, &g->members.member[i], g->now,
                               (uint64_t)(share[i] * 1000.0));
            g->members.member[i].asked += (uint64_t)(share[i] * 1000.0);
        }
        norm_budget_review(&g->budget, &g->members, g->now, g->sent, 0);
    }
}

static bool over(const struct group *g, size_t i)
{
    return norm_budget_exceeded(&g->budget, &g->members.member[i], g->now);
}

static void who_asks_for_far_more_than_the_others_is_over(void **state)
{
    static const double share[] = {0.01, 0.02, 0.0, 0.4, 0.05};
    struct group g;

    (void)state;
    begin(&g, 5);
    pass(&g, share, 10);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(over(&g, i), i == 3);
    }
    /* It behaves again: soon it is served again, however much it asked for. */
    g.members.member[3].over_since = g.now;
    pass(&g, (const double[]){0.01, 0.02, 0.0, 0.01, 0.05}, 10);
    assert_false(over(&g, 3));
    assert_int_equal(g.members.member[3].over_since, CP_TIME_NEVER);
    norm_members_done(&g.members);
}

static void nobody_is_over_when_all_ask_for_much(void **state)
{
    static const double share[] = {0.4, 0.5, 0.3, 0.4, 0.6};
    struct group g;

    (void)state;
    begin(&g, 5);
    pass(&g, share, 30);
    for (size_t i = 0; i < 5; i++) {
        assert_false(over(&g, i));
    }
    norm_members_done(&g.members);
}

static void the_only_receiver_is_never_over(void **state)
{
    static const double share[] = {3.0};
    struct group g;

    (void)state;
    begin(&g, 1);
    pass(&g, share, 30);
    assert_false(over(&g, 0));
    /* Others that were never heard ask for nothing. */
    norm_budget_review(&g.budget, &g.members, g.now, g.sent, 5);
    assert_true(over(&g, 0));
    norm_members_done(&g.members);
}

static void a_little_is_nobodys_trouble(void **state)
{
    struct group g;

    (void)state;
    begin(&g, 5);
    norm_budget_charge(&g.budget, &g.members.member[0], CP_MSEC, 500);
    norm_budget_review(&g.budget, &g.members, CP_MSEC, 100, 0);
    g.now = CP_MSEC;
    assert_false(over(&g, 0));
    norm_budget_charge(&g.budget, &g.members.member[0], CP_MSEC, 100);
    assert_false(over(&g, 0)); /* none of it was served */
    g.members.member[0].asked = 600;
    assert_true(over(&g, 0));
    norm_members_done(&g.members);
}

/* Long before it is over its budget one waits while data is on its way to all. */
static void who_asks_for_more_than_the_others_waits(void **state)
{
    static const double share[] = {0.0, 0.001, 0.1, 0.0, 0.02};
    struct group g;

    (void)state;
    begin(&g, 5);
    pass(&g, share, 20);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(norm_budget_waits(&g.budget, &g.members.member[i], g.now), i == 2);
        assert_false(over(&g, i));
    }
    norm_members_done(&g.members);
}

/* A NACK has no room for all that a slow receiver lacks: what it reports tells. */
static void reported_loss_counts(void **state)
{
    static const double share[] = {0.0, 0.0, 0.0, 0.1, 0.01};
    struct group g;

    (void)state;
    begin(&g, 5);
    for (size_t i = 0; i < 5; i++) {
        g.members.member[i].reported = true;
        g.members.member[i].loss = i == 3 ? 0.9 : 0.02;
    }
    pass(&g, share, 20);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(over(&g, i), i == 3);
    }
    for (size_t i = 0; i < 5; i++) {
        g.members.member[i].loss = 0.9; /* all of them: the network's, not its own */
    }
    pass(&g, share, 1);
    assert_false(over(&g, 3));
    g.members.member[0].loss = g.members.member[1].loss = g.members.member[2].loss = 0.0;
    pass(&g, share, 1);
    assert_true(over(&g, 3));
    pass(&g, share, 20); /* its report grows old */
    assert_false(over(&g, 3));
    norm_members_done(&g.members);
}

static void an_account_has_an_end(void **state)
{
    struct group g;
    double allowed;

    (void)state;
    begin(&g, 3);
    for (unsigned i = 0; i < 1000; i++) {
        norm_budget_charge(&g.budget, &g.members.member[0], CP_MSEC, UINT64_C(1) << 40);
    }
    allowed = norm_budget_allowed(&g.budget, CP_MSEC, NORM_BUDGET_SHARE);
    assert_true(g.members.member[0].recent <= 2.0 * allowed);
    norm_members_done(&g.members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_for_far_more_than_the_others_is_over),
        cmocka_unit_test(nobody_is_over_when_all_ask_for_much),
        cmocka_unit_test(the_only_receiver_is_never_over),
        cmocka_unit_test(a_little_is_nobodys_trouble),
        cmocka_unit_test(who_asks_for_more_than_the_others_waits),
        cmocka_unit_test(reported_loss_counts),
        cmocka_unit_test(an_account_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
