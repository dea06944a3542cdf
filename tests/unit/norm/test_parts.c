/* SPDX-License-Identifier: Apache-2.0
 * Small parts of the protocol core: block set, pacing, round-trip estimate, back-off, acking list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "multicast/norm/acklist.h"
#include "multicast/norm/backoff.h"
#include "multicast/norm/bitset.h"
#include "multicast/norm/grtt.h"
#include "multicast/norm/rate.h"

static void bitset_finds_members_and_gaps(void **state)
{
    struct norm_bitset b;

    (void)state;
    assert_int_equal(norm_bitset_init(&b, 200), CP_OK);
    assert_int_equal(norm_bitset_next(&b, 0), 200);
    assert_int_equal(norm_bitset_next_gap(&b, 0), 0);
    norm_bitset_add(&b, 0);
    norm_bitset_add(&b, 63);
    norm_bitset_add(&b, 64);
    norm_bitset_add(&b, 199);
    norm_bitset_add(&b, 199);
    assert_int_equal(b.count, 4);
    assert_int_equal(norm_bitset_next(&b, 1), 63);
    assert_int_equal(norm_bitset_next(&b, 65), 199);
    assert_int_equal(norm_bitset_next(&b, 200), 200);
    assert_int_equal(norm_bitset_next_gap(&b, 63), 65);
    assert_int_equal(norm_bitset_next_gap(&b, 199), 200);
    norm_bitset_remove(&b, 63);
    norm_bitset_remove(&b, 63);
    assert_int_equal(b.count, 3);
    assert_false(norm_bitset_has(&b, 63));
    for (uint32_t i = 0; i < 200; i++) {
        norm_bitset_add(&b, i);
    }
    assert_int_equal(norm_bitset_next_gap(&b, 0), 200);
    norm_bitset_clear(&b);
    assert_int_equal(b.count, 0);
    assert_int_equal(norm_bitset_next(&b, 0), 200);
    norm_bitset_done(&b);
    norm_bitset_done(&b);
}

static void bitset_of_exact_words(void **state)
{
    struct norm_bitset b;

    (void)state;
    assert_int_equal(norm_bitset_init(&b, 64), CP_OK);
    for (uint32_t i = 0; i < 64; i++) {
        norm_bitset_add(&b, i);
    }
    assert_int_equal(norm_bitset_next_gap(&b, 0), 64);
    assert_int_equal(norm_bitset_next(&b, 63), 63);
    norm_bitset_done(&b);
}

static void bitset_moves_members(void **state)
{
    struct norm_bitset a, b;

    (void)state;
    assert_int_equal(norm_bitset_init(&a, 100), CP_OK);
    assert_int_equal(norm_bitset_init(&b, 100), CP_OK);
    norm_bitset_add(&a, 3);
    norm_bitset_add(&b, 3);
    norm_bitset_add(&b, 99);
    norm_bitset_move(&a, &b);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 0);
    assert_true(norm_bitset_has(&a, 99));
    assert_false(norm_bitset_has(&b, 3));
    norm_bitset_move(&a, &b);
    assert_int_equal(a.count, 2);
    norm_bitset_done(&a);
    norm_bitset_done(&b);
}

static void rate_is_exact_in_the_long_run(void **state)
{
    struct norm_rate r;
    cp_time now = CP_SEC;

    (void)state;
    norm_rate_init(&r, now, 7000001); /* does not divide anything */
    for (unsigned i = 0; i < 100000; i++) {
        now = r.ready > now ? r.ready : now;
        assert_true(norm_rate_ready(&r, now));
        norm_rate_charge(&r, now, 1000);
    }
    /* 100,000 × 8,000 bits at 7,000,001 bit/s */
    uint64_t expected = UINT64_C(800000000) * CP_SEC / 7000001;

    assert_in_range(r.ready - CP_SEC, expected - 2, expected + 2);
}

/* Checks RFC5401 3.1. */
static void rate_bounds_what_is_made_up(void **state)
{
    struct norm_rate r;
    unsigned packets = 0;

    (void)state;
    norm_rate_init(&r, 0, 8000000); /* 1000 bytes are a millisecond */
    while (norm_rate_ready(&r, 10 * CP_SEC)) {
        norm_rate_charge(&r, 10 * CP_SEC, 100);
        packets++;
    }
    assert_int_equal(packets,
                     41); /* four milliseconds of credit, and the one that goes into debt */
    assert_false(norm_rate_ready(&r, 10 * CP_SEC));
}

static void rate_shapes_batches(void **state)
{
    struct norm_rate r;

    (void)state;
    norm_rate_init(&r, 0, 1000000000);
    assert_int_equal(norm_rate_batch(&r, 1472), 84);
    norm_rate_set(&r, 1000000);
    assert_int_equal(norm_rate_batch(&r, 1472), 1);
    assert_int_equal(norm_rate_time(&r, 125), CP_MSEC);
}

/* Checks RFC5401 3.7.1, RFC5740 5.5.1. */
static void grtt_rises_at_once_and_falls_slowly(void **state)
{
    struct norm_grtt g;

    (void)state;
    norm_grtt_init(&g, 10 * CP_MSEC, CP_MSEC, 200 * CP_MSEC, 0);
    assert_in_range(g.advertised, 10 * CP_MSEC, 11 * CP_MSEC);
    norm_grtt_sample(&g, 40 * CP_MSEC, 0);
    assert_int_equal(g.value, 40 * CP_MSEC);
    norm_grtt_probe(&g, 0, false);
    assert_int_equal(g.value, 40 * CP_MSEC); /* the peak of this interval is the estimate */
    norm_grtt_sample(&g, 39 * CP_MSEC, 0);
    norm_grtt_probe(&g, 0, false);
    assert_int_equal(g.value, 39 * CP_MSEC);
    norm_grtt_sample(&g, 2 * CP_MSEC, 0);
    norm_grtt_probe(&g, 0, false);
    assert_int_equal(g.value, 39 * CP_MSEC / 10 * 9);
    cp_time before = g.value;

    norm_grtt_probe(&g, 0, false); /* no feedback: unchanged */
    assert_int_equal(g.value, before);
    norm_grtt_sample(&g, 2 * CP_MSEC, 0);
    norm_grtt_probe(&g, 0, true);
    assert_int_equal(g.value, before / 2);
}

/* Checks RFC5740 5.5.1. */
static void grtt_stays_in_its_limits(void **state)
{
    struct norm_grtt g;

    (void)state;
    norm_grtt_init(&g, 500 * CP_MSEC, CP_MSEC, 200 * CP_MSEC, 0);
    assert_int_equal(g.value, 200 * CP_MSEC);
    norm_grtt_sample(&g, 3600 * CP_SEC, 0);
    assert_int_equal(g.value, 200 * CP_MSEC);
    for (unsigned i = 0; i < 200; i++) {
        norm_grtt_sample(&g, 1, 0);
        norm_grtt_probe(&g, 0, false);
    }
    assert_int_equal(g.value, CP_MSEC);
    norm_grtt_probe(&g, 50 * CP_MSEC, false); /* a packet takes longer than that */
    assert_in_range(g.advertised, 50 * CP_MSEC, 55 * CP_MSEC);
}

/* Checks RFC5401 3.2.2. */
static void backoff_has_its_distribution(void **state)
{
    struct cp_prng p;
    uint64_t sum = 0;
    unsigned early = 0;

    (void)state;
    cp_prng_seed(&p, 1);
    assert_int_equal(norm_backoff_random(&p, 0, 1000), 0);
    for (unsigned i = 0; i < 20000; i++) {
        cp_time t = norm_backoff_random(&p, 1000000, 1000);

        assert_true(t <= 1000000);
        sum += t;
        early += t < 500000;
    }
    /* Density rises as e^(L t/T), L = ln 1000 + 1: the mean is near T (1 - 1/L) = 0.874 T, and
     * P(t < T/2) near e^(-L/2) = 0.019. */
    assert_in_range(sum / 20000, 860000, 885000);
    assert_in_range(early, 250, 550);
    assert_true(norm_backoff_random(&p, 1000, 0) <= 1000);
}

static void backoff_uniform_covers_its_range(void **state)
{
    struct cp_prng p;
    uint64_t sum = 0;

    (void)state;
    cp_prng_seed(&p, 2);
    assert_int_equal(norm_backoff_uniform(&p, 0), 0);
    for (unsigned i = 0; i < 20000; i++) {
        cp_time t = norm_backoff_uniform(&p, 1000);

        assert_true(t < 1000);
        sum += t;
    }
    assert_in_range(sum / 20000, 480, 520);
}

/* Checks RFC5740 5.5.3. */
/* A crowd's answers would all come at once. */
static void acklist_asks_no_crowd(void **state)
{
    static struct norm_acklist l;
    uint8_t buf[8];

    (void)state;
    for (uint32_t id = 1; id <= NORM_ACK_CROWD + 1; id++) {
        assert_int_equal(norm_acklist_add(&l, id), CP_OK);
    }
    assert_int_equal(norm_acklist_ask(&l, 20, buf, sizeof(buf)), 0);
    assert_false(norm_acklist_pending(&l, 20));
    norm_acklist_remove(&l, 7);
    assert_true(norm_acklist_pending(&l, 20));
    assert_int_equal(norm_acklist_ask(&l, 20, buf, sizeof(buf)), sizeof(buf));
}

static void acklist_asks_each_in_turn(void **state)
{
    static struct norm_acklist l;
    uint8_t buf[8];

    (void)state;
    assert_int_equal(norm_acklist_add(&l, NORM_NODE_NONE), CP_ERR_INVALID);
    assert_int_equal(norm_acklist_add(&l, NORM_NODE_ANY), CP_ERR_INVALID);
    assert_int_equal(norm_acklist_ask(&l, 3, buf, sizeof(buf)), 0);
    for (uint32_t id = 1; id <= 3; id++) {
        assert_int_equal(norm_acklist_add(&l, id), CP_OK);
    }
    assert_int_equal(norm_acklist_add(&l, 3), CP_OK);
    assert_int_equal(l.count, 3);
    assert_int_equal(norm_acklist_ask(&l, 2, buf, 11), 8); /* room for two */
    assert_int_equal(buf[3], 1);
    assert_int_equal(buf[7], 2);
    assert_int_equal(norm_acklist_ask(&l, 2, buf, 8), 8);
    assert_int_equal(buf[3], 3);
    assert_int_equal(buf[7], 1);
    assert_true(norm_acklist_ack(&l, 3));
    assert_false(norm_acklist_ack(&l, 3));
    assert_false(norm_acklist_ack(&l, 77));
    assert_int_equal(norm_acklist_ask(&l, 2, buf, 8), 4); /* 1 was asked twice, 3 has answered */
    assert_int_equal(buf[3], 2);
    assert_false(norm_acklist_pending(&l, 2));
    assert_int_equal(norm_acklist_ask(&l, 2, buf, 8), 0);
    norm_acklist_restart(&l);
    assert_true(norm_acklist_pending(&l, 2));
    norm_acklist_remove(&l, 1);
    norm_acklist_remove(&l, 1);
    assert_int_equal(l.missing, 1);
    assert_true(norm_acklist_acked(&l, 3));
    assert_false(norm_acklist_acked(&l, 2));
    assert_true(norm_acklist_ack(&l, 2));
    assert_int_equal(l.missing, 0);
    assert_false(norm_acklist_pending(&l, 2));
}

static void acklist_has_a_limit(void **state)
{
    static struct norm_acklist l;

    (void)state;
    for (uint32_t id = 1; id <= NORM_ACKING_MAX; id++) {
        assert_int_equal(norm_acklist_add(&l, id), CP_OK);
    }
    assert_int_equal(norm_acklist_add(&l, NORM_ACKING_MAX + 1), CP_ERR_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bitset_finds_members_and_gaps),
        cmocka_unit_test(bitset_of_exact_words),
        cmocka_unit_test(bitset_moves_members),
        cmocka_unit_test(rate_is_exact_in_the_long_run),
        cmocka_unit_test(rate_bounds_what_is_made_up),
        cmocka_unit_test(rate_shapes_batches),
        cmocka_unit_test(grtt_rises_at_once_and_falls_slowly),
        cmocka_unit_test(grtt_stays_in_its_limits),
        cmocka_unit_test(backoff_has_its_distribution),
        cmocka_unit_test(backoff_uniform_covers_its_range),
        cmocka_unit_test(acklist_asks_each_in_turn),
        cmocka_unit_test(acklist_asks_no_crowd),
        cmocka_unit_test(acklist_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
