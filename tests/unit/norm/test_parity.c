/* SPDX-License-Identifier: Apache-2.0
 * Choice of proactive parity against the distribution of losses, computed here in another way. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "multicast/norm/parity.h"

#define K 128u
#define P 32u

static const struct norm_parity_goal goal = {0.98, 0.015 * K};

/* P(a receiver has at least k of k + a symbols). */
static double enough(unsigned k, unsigned a, double loss)
{
    double sum = 0.0;

    for (unsigned lost = 0; lost <= a; lost++) {
        sum += exp(lgamma(k + a + 1.0) - lgamma(lost + 1.0) - lgamma(k + a - lost + 1.0) +
                   lost * log(loss) + (k + a - lost) * log(1.0 - loss));
    }
    return sum < 1.0 ? sum : 1.0;
}

static struct norm_losses losses_of(unsigned receivers, double loss)
{
    struct norm_losses l;

    norm_losses_clear(&l);
    for (unsigned i = 0; i < receivers; i++) {
        norm_losses_add(&l, loss);
    }
    return l;
}

static unsigned choose(const struct norm_losses *l, const struct norm_needs *needs)
{
    return norm_parity_choose(l, needs, K, P, goal);
}

static void without_loss_there_is_none(void **state)
{
    struct norm_losses l = losses_of(1000, 0.0);

    (void)state;
    assert_int_equal(choose(&l, NULL), 0);
    norm_losses_clear(&l);
    assert_int_equal(choose(&l, NULL), 0);
    norm_losses_stand_for(&l, 500.0);
    assert_int_equal(choose(&l, NULL), 0);
    l = losses_of(5, 0.05);
    assert_int_equal(norm_parity_choose(&l, NULL, K, 0, goal), 0);
}

/* The least that keeps 98 of 100 blocks quiet, or the most whose price is right; and with the price
 * for what it is in vain the bytes stay within three points of any block code's bound. */
static void it_is_the_least_that_serves(void **state)
{
    static const unsigned receivers[] = {1, 10, 100, 1000, 5000};
    static const double loss[] = {0.0001, 0.001, 0.01, 0.05, 0.1};

    (void)state;
    for (size_t i = 0; i < sizeof(receivers) / sizeof(*receivers); i++) {
        for (size_t j = 0; j < sizeof(loss) / sizeof(*loss); j++) {
            struct norm_losses l = losses_of(receivers[i], loss[j]);
            unsigned a = choose(&l, NULL);
            double quiet = pow(enough(K, a, loss[j]), receivers[i]);
            double vain = 0.0; /* E[max(a - need, 0)] */

            for (unsigned n = 0; n < a; n++) {
                double less = pow(enough(K, n, loss[j]), receivers[i]);

                vain += less;
                assert_true(less < goal.quiet);
            }
            assert_true(vain <= goal.spare + 1e-9);
            assert_true(a == P || quiet >= goal.quiet || vain + quiet > goal.spare);
            assert_true(vain / K <= 0.03);
        }
    }
}

static void few_reports_stand_for_all(void **state)
{
    struct norm_losses few = losses_of(8, 0.02), all = losses_of(800, 0.02);

    (void)state;
    assert_true(choose(&few, NULL) < choose(&all, NULL));
    norm_losses_stand_for(&few, 800.0);
    assert_int_equal(choose(&few, NULL), choose(&all, NULL));
}

static void a_hopeless_minority_does_not_count(void **state)
{
    struct norm_losses l = losses_of(9, 0.01);
    unsigned without = choose(&l, NULL);

    (void)state;
    norm_losses_add(&l, 0.9);
    assert_in_range(choose(&l, NULL), without, without + 1);
    /* When most are lost without it, all of it goes out. */
    l = losses_of(9, 0.3);
    norm_losses_add(&l, 0.0);
    assert_int_equal(choose(&l, NULL), P);
}

static void reports_out_of_range_do_no_harm(void **state)
{
    struct norm_losses l;

    (void)state;
    norm_losses_clear(&l);
    norm_losses_add(&l, -1.0);
    norm_losses_add(&l, (double)NAN);
    assert_int_equal(choose(&l, NULL), 0);
    norm_losses_clear(&l);
    norm_losses_add(&l, 17.0);
    norm_losses_add(&l, (double)INFINITY);
    norm_losses_add(&l, 1e-300);
    assert_in_range(choose(&l, NULL), 0, P);
    l = losses_of(3, 1.0);
    assert_in_range(norm_parity_choose(&l, NULL, 1, 254, goal), 1, 254);
}

static void what_blocks_needed_counts_more_than_the_model(void **state)
{
    struct norm_losses l = losses_of(5, 0.0);
    static struct norm_needs needs;

    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        norm_needs_sent(&needs);
        if (i % 3 == 0) {
            norm_needs_told(&needs, 0, 1);
            norm_needs_told(&needs, 1, 2); /* another receiver lacks more … */
            norm_needs_told(&needs, 2, 1); /* … and this one less */
        }
    }
    assert_int_equal(choose(&l, &needs), 2);
    for (unsigned i = 0; i < 20; i++) {
        norm_needs_age(&needs);
    }
    assert_int_equal(choose(&l, &needs), 0);
}

/* One request in a hundred blocks is chance, and of ten blocks all. */
static void few_requests_prove_nothing(void **state)
{
    struct norm_losses l = losses_of(5, 0.0);
    static struct norm_needs needs;

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        norm_needs_sent(&needs);
        norm_needs_told(&needs, 0, 3);
    }
    assert_int_equal(choose(&l, &needs), 0);
    memset(&needs, 0, sizeof(needs));
    for (unsigned i = 0; i < 300; i++) {
        norm_needs_sent(&needs);
    }
    norm_needs_told(&needs, 0, 3);
    norm_needs_told(&needs, 0, NORM_BLOCK_SYMBOLS_MAX);
    assert_int_equal(choose(&l, &needs), 0);
}

/* Reports of short times count little, and a change of the loss is seen within a second. */
static void reports_are_averaged_over_time(void **state)
{
    double mean = 0.0;
    cp_time from = 0, at = 0, now = CP_SEC;

    (void)state;
    norm_loss_mean(&mean, &from, &at, 0.5, now);
    assert_true(mean == 0.5);
    norm_loss_mean(&mean, &from, &at, 0.5, now); /* the same again */
    for (unsigned i = 0; i < 100; i++) {
        now += 5 * CP_MSEC;
        norm_loss_mean(&mean, &from, &at, i % 5 == 0 ? 0.1 : 0.0, now);
        assert_true(i < 20 || (mean > 0.01 && mean < 0.03));
    }
    norm_loss_mean(&mean, &from, &at, 1.0, now); /* no time has passed */
    assert_true(mean < 0.03);
    for (unsigned i = 0; i < 10; i++) {
        now += 100 * CP_MSEC;
        norm_loss_mean(&mean, &from, &at, 0.2, now);
    }
    assert_true(mean > 0.19 && mean <= 0.2);
    now += 10 * CP_SEC;
    norm_loss_mean(&mean, &from, &at, 0.0, now);
    assert_true(mean == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_loss_there_is_none),
        cmocka_unit_test(it_is_the_least_that_serves),
        cmocka_unit_test(few_reports_stand_for_all),
        cmocka_unit_test(a_hopeless_minority_does_not_count),
        cmocka_unit_test(reports_out_of_range_do_no_harm),
        cmocka_unit_test(what_blocks_needed_counts_more_than_the_model),
        cmocka_unit_test(few_requests_prove_nothing),
        cmocka_unit_test(reports_are_averaged_over_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
