/* SPDX-License-Identifier: Apache-2.0
 * RFC 5740 5.5.2 as arithmetic: equation, loss events, limiting receiver, rate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "multicast/norm/tfmcc.h"

#define SEGMENT 1452.0

/* Checks RFC5740 5.5.2: figures of docs/norm.md 6.2 at 1 ms. */
static void equation(void **state)
{
    double rate = norm_tfmcc_rate(SEGMENT, CP_MSEC, 1e-3);

    (void)state;
    assert_in_range((uint64_t)(rate * 8e-6), 440, 452);
    assert_in_range((uint64_t)(norm_tfmcc_rate(SEGMENT, CP_MSEC, 1e-2) * 8e-6), 127, 133);
    assert_in_range((uint64_t)(norm_tfmcc_loss(SEGMENT, CP_MSEC, rate) * 1e6), 990, 1010);
    assert_true(norm_tfmcc_rate(SEGMENT, 0, 0.0) >= NORM_TFMCC_RATE_MAX);
    assert_true(norm_tfmcc_rate(SEGMENT, 1000 * CP_SEC, 1.0) > 0.0);
}

/* Checks RFC5740 5.5.2.1, 5.5.2.2. */
static void losses_within_a_round_trip_are_one_event(void **state)
{
    const struct norm_loss_path path = {SEGMENT, 10 * CP_MSEC, 0.0};
    struct norm_loss_events e = {0};
    cp_time now = CP_SEC;

    (void)state;
    assert_true(norm_loss_events_fraction(&e) <= 0.0);
    for (unsigned i = 0, sequence = 65000; i < 10000; i++, now += CP_MSEC) {
        sequence += i % 100 < 3 ? 2 : 1; /* wraps */
        norm_loss_events_packet(&e, now, (uint16_t)sequence, &path);
    }
    /* One event in 103 packets, whatever is lost in it. */
    assert_in_range((uint64_t)(norm_loss_events_fraction(&e) * 1e5), 930, 1010);
}

/* RFC 5348 section 5.1: what is overtaken by two packets is late, what three overtake is lost, and
 * stays so. */
static void three_later_packets_tell_a_loss(void **state)
{
    static const uint16_t late[] = {65530, 65531, 65532, 65533, 65535, 0, 65534, 1, 4,
                                    3,     2,     2,     7,     5,     6, 8,     9, 10};
    static const uint16_t gone[] = {12, 13, 14};
    const struct norm_loss_path path = {SEGMENT, 10 * CP_MSEC, 0.0};
    struct norm_loss_events e = {0};
    double fraction;

    (void)state;
    for (size_t i = 0; i < sizeof(late) / sizeof(*late); i++) {
        norm_loss_events_packet(&e, CP_SEC, late[i], &path);
        assert_int_equal(e.count, 0);
    }
    for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++) {
        assert_int_equal(e.count, 0);
        norm_loss_events_packet(&e, CP_SEC, gone[i], &path);
    }
    assert_int_equal(e.count, 1);
    fraction = norm_loss_events_fraction(&e);
    norm_loss_events_packet(&e, 2 * CP_SEC, 11, &path);
    norm_loss_events_packet(&e, 2 * CP_SEC, 12, &path);
    assert_int_equal(e.count, 1);
    assert_true(norm_loss_events_fraction(&e) >= fraction);
}

struct world {
    bool limited;
    struct norm_tfmcc t;
    struct norm_members members;
};

static void begin(struct world *w)
{
    w->limited = false;
    const struct norm_tfmcc_config config = {SEGMENT, 0, UINT64_C(1000000000), 20};

    norm_tfmcc_init(&w->t, &config, 10 * CP_MSEC);
    assert_int_equal(norm_members_init(&w->members, 8), CP_OK);
}

static void report(struct world *w, cp_time now, uint32_t node, uint8_t flags, double loss,
                   double rate)
{
    struct norm_member *m = norm_members_heard(&w->members, now, node);
    const struct norm_tfmcc_report r = {.cc = {.sequence = 5,
                                               .flags = flags,
                                               .loss = norm_loss_quantize(loss),
                                               .rate = norm_rate_quantize(rate)},
                                        .rtt = 10 * CP_MSEC,
                                        .grtt = 10 * CP_MSEC,
                                        .limited = w->limited};

    m->reported = true;
    m->reported_at = now;
    m->cc_sequence = 5;
    norm_tfmcc_report(&w->t, now, &w->members, m, &r);
}

/* Checks RFC5740 5.5.2.3. */
static void slow_start_ends_with_a_loss(void **state)
{
    uint8_t list[4 * NORM_CC_NODE_SIZE];
    struct world w;
    double before;

    (void)state;
    begin(&w);
    assert_in_range((uint64_t)w.t.rate, 1452, 1452);
    report(&w, CP_SEC, 7, NORM_CC_START, 0.0, 1e6);
    report(&w, CP_SEC + CP_MSEC, 8, NORM_CC_START, 0.0, 4e5);
    assert_in_range((uint64_t)w.t.rate, 399000, 401000); /* the least */
    assert_int_equal(w.t.clr, 8);
    report(&w, 2 * CP_SEC, 7, 0, 0.5, 1e4);
    assert_false(w.t.slow_start);
    assert_int_equal(w.t.clr, 7);
    before = w.t.rate;
    /* Up: one packet per round-trip time at most. */
    report(&w, 2 * CP_SEC + 10 * CP_MSEC, 7, 0, 0.001, 1e6);
    assert_true(w.t.rate <= before + SEGMENT / 0.01 + 1.0);
    assert_int_equal(norm_tfmcc_nodes(&w.t, &w.members, 2 * CP_SEC, list, 4), 2);
    assert_int_equal(list[3], 7);
    assert_int_equal(list[4] & NORM_CC_CLR, NORM_CC_CLR);
    norm_members_done(&w.members);
}

/* The next one takes its place, without the rate's falling first. */
static void a_limiting_receiver_that_is_gone_limits_nobody(void **state)
{
    struct world w;
    double before;

    (void)state;
    begin(&w);
    report(&w, CP_SEC, 7, NORM_CC_START, 0.0, 1e6);
    report(&w, CP_SEC + CP_MSEC, 8, NORM_CC_START, 0.0, 4e5);
    assert_int_equal(w.t.clr, 8);
    before = w.t.rate;
    norm_members_remove(&w.members, norm_members_find(&w.members, 8));
    norm_tfmcc_gone(&w.t, &w.members, 8, 6);
    assert_int_equal(w.t.clr, 7);
    norm_tfmcc_gone(&w.t, &w.members, 8, 6); /* of no account any more */
    assert_int_equal(w.t.clr, 7);
    norm_members_remove(&w.members, norm_members_find(&w.members, 7));
    norm_tfmcc_gone(&w.t, &w.members, 7, 6);
    assert_int_equal(w.t.clr, 0);
    assert_true(w.t.rate >= before);
    report(&w, CP_SEC + 20 * CP_MSEC, 9, NORM_CC_START, 0.0, 8e5);
    assert_int_equal(w.t.clr, 9);
    norm_members_done(&w.members);
}

/* Checks RFC5740 5.5.2.3: feedback of the CLR ages, then it is taken to have left. */
static void aged_feedback_halves_the_rate(void **state)
{
    struct world w;
    double before;

    (void)state;
    begin(&w);
    report(&w, CP_SEC, 7, NORM_CC_START, 0.0, 1e6);
    before = w.t.rate;
    norm_tfmcc_probe(&w.t, 2 * CP_SEC, &w.members, 5 + 4, true);
    assert_true(w.t.rate >= before);
    norm_tfmcc_probe(&w.t, 2 * CP_SEC, &w.members, 5 + 5, true);
    assert_true(w.t.rate <= before / 2.0 + 1.0);
    norm_tfmcc_probe(&w.t, 3 * CP_SEC, &w.members, 5 + 21, true);
    assert_int_equal(w.t.clr, 0);
    assert_true(w.t.slow_start);
    assert_true(w.t.rate >= SEGMENT);
    norm_members_done(&w.members);
}

/* Checks RFC5740 5.5.2.3: what a receiver without loss measures tells of the network only while the
 * sender fills it. */
static void little_data_keeps_the_rate(void **state)
{
    struct world w;

    (void)state;
    begin(&w);
    report(&w, CP_SEC, 7, NORM_CC_START, 0.0, 1e6);
    report(&w, CP_SEC + CP_MSEC, 8, NORM_CC_START, 0.0, 1e6);
    report(&w, 2 * CP_SEC, 8, 0, 0.001, 1e6);
    assert_int_equal(w.t.clr, 8);
    double before = w.t.rate;
    w.limited = true;
    report(&w, 3 * CP_SEC, 7, NORM_CC_START, 0.0, 3e3);
    assert_int_equal(w.t.clr, 8);
    assert_true(w.t.rate >= before);
    w.limited = false;
    report(&w, 4 * CP_SEC, 7, NORM_CC_START, 0.0, 3e3);
    assert_int_equal(w.t.clr, 7);
    assert_true(w.t.rate < 3100.0);
    norm_members_done(&w.members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equation),
        cmocka_unit_test(losses_within_a_round_trip_are_one_event),
        cmocka_unit_test(three_later_packets_tell_a_loss),
        cmocka_unit_test(slow_start_ends_with_a_loss),
        cmocka_unit_test(aged_feedback_halves_the_rate),
        cmocka_unit_test(a_limiting_receiver_that_is_gone_limits_nobody),
        cmocka_unit_test(little_data_keeps_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
