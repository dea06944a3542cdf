/* SPDX-License-Identifier: Apache-2.0
 * Rate control as arithmetic: what each report and each silence does to the pace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "multicast/norm/pace.h"

#define MBIT UINT64_C(1000000)

struct world {
    struct norm_pace pace;
    struct norm_members members;
    cp_time now;
    uint16_t sequence; /* of the probe that goes next */
    uint64_t sent;     /* pace of the interval that reports are about */
    cp_time patience;
};

static void begin(struct world *w, double slow_share)
{
    const struct norm_pace_config config = {1000 * MBIT, MBIT, 500 * MBIT, slow_share,
                                            true,        NULL, NULL};

    *w = (struct world){.now = CP_SEC, .sequence = 1};
    norm_pace_init(&w->pace, &config);
    assert_int_equal(norm_members_init(&w->members, 16), CP_OK);
}

/* What a receiver behind `bottleneck` (0: none) with that random loss says of 50 ms at the pace. */
static void report(struct world *w, uint32_t node, uint64_t bottleneck, double loss, bool slow)
{
    struct norm_member *m = norm_members_heard(&w->members, w->now, node);
    uint64_t pace = w->sent, got = pace;
    struct norm_pace_report r = {.sequence = (uint16_t)(w->sequence - 1),
                                 .first = (uint16_t)(w->sequence - 1),
                                 .slow = slow,
                                 .sent_bps = pace,
                                 .packets = pace / 20 / 8 / 1472,
                                 .busy = true};

    if (bottleneck != 0 && got > bottleneck) {
        got = bottleneck;
    }
    got = (uint64_t)((double)got * (1.0 - loss));
    r.rate_bps = got;
    r.loss = slow ? 0.0 : 1.0 - (double)got / (double)pace;
    m->reported = true;
    m->reported_at = w->now;
    m->slow = slow;
    if (norm_pace_report(&w->pace, w->now, m, &r, w->sequence)) {
        norm_pace_decide(&w->pace, w->now, &w->members, w->sequence);
    }
}

/* 50 ms go by, all of them busy. */
static void interval(struct world *w, uint64_t sent_bps)
{
    const struct norm_pace_interval in = {w->sequence, 50 * CP_MSEC, sent_bps, true, w->patience};

    w->now += 50 * CP_MSEC;
    w->sent = w->pace.bps;
    norm_pace_interval(&w->pace, w->now, &w->members, &in);
    w->sequence++;
}

static void doubles_up_to_the_ceiling(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    assert_int_equal(w.pace.bps, 500 * MBIT);
    interval(&w, w.pace.bps); /* nobody reported: it stays */
    assert_int_equal(w.pace.bps, 500 * MBIT);
    for (unsigned i = 0; i < 4; i++) {
        interval(&w, w.pace.bps);
        report(&w, 7, 0, 0.0, false);
    }
    interval(&w, w.pace.bps);
    assert_int_equal(w.pace.bps, 1000 * MBIT);
    assert_int_equal(w.pace.reason, NORM_REASON_CEILING);
    norm_pace_set_ceiling(&w.pace, 200 * MBIT, w.sequence);
    assert_int_equal(w.pace.bps, 200 * MBIT);
    assert_int_equal(w.pace.reason, NORM_REASON_WISH);
    norm_members_done(&w.members);
}

static void congestion_is_found(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    for (unsigned i = 0; i < 40; i++) {
        interval(&w, w.pace.bps);
        report(&w, 7, 300 * MBIT, 0.0, false);
        assert_in_range(w.pace.bps, MBIT, 1000 * MBIT);
    }
    assert_in_range(w.pace.bps, 285 * MBIT, 306 * MBIT);
    assert_int_equal(w.pace.setter, 7);
    norm_members_done(&w.members);
}

static void random_loss_is_told_apart(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    for (unsigned i = 0; i < 40; i++) {
        interval(&w, w.pace.bps);
        report(&w, 7, 0, 0.05, false);
    }
    assert_int_equal(w.pace.bps, 1000 * MBIT);
    norm_members_done(&w.members);
}

static void full_buffers_slow_down(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    interval(&w, w.pace.bps);
    report(&w, 7, 300 * MBIT, 0.0, true);
    assert_in_range(w.pace.bps, 260 * MBIT, 280 * MBIT);
    assert_int_equal(w.pace.reason, NORM_REASON_SLOW);
    for (unsigned i = 0; i < 20; i++) {
        interval(&w, w.pace.bps);
        report(&w, 7, 0, 0.0, false);
    }
    assert_in_range(w.pace.bps, 290 * MBIT, 1000 * MBIT);
    norm_members_done(&w.members);
}

/* One of ten may be left out when it cannot keep half the pace of the others; two may not. */
static void outliers_have_no_say(void **state)
{
    struct world w;

    (void)state;
    for (unsigned slow = 1; slow <= 2; slow++) {
        begin(&w, 0.1);
        for (unsigned i = 0; i < 40; i++) {
            interval(&w, w.pace.bps);
            for (uint32_t node = 1; node <= 10; node++) {
                report(&w, node, node <= slow ? 100 * MBIT : 0, 0.0, false);
            }
        }
        if (slow == 1) {
            assert_int_equal(w.pace.bps, 1000 * MBIT);
            assert_true(norm_members_find(&w.members, 1)->outlier);
        } else {
            assert_in_range(w.pace.bps, 85 * MBIT, 110 * MBIT);
        }
        norm_members_done(&w.members);
    }
}

/* Ten have full buffers at one time, from what came at the pace before; then each takes its backlog
 * while it goes on saying so. */
static void a_crowd_of_full_buffers_counts_once(void **state)
{
    struct world w;
    uint64_t after;

    (void)state;
    begin(&w, 0.0);
    interval(&w, w.pace.bps);
    for (uint32_t node = 2; node < 12; node++) {
        report(&w, node, 400 * MBIT, 0.0, true);
    }
    after = w.pace.bps;
    assert_in_range(after, 355 * MBIT, 365 * MBIT); /* 0.9 of what each took */
    for (uint32_t node = 2; node < 12; node++) {
        w.now += 10 * CP_MSEC;
        report(&w, node, 0, 0.0, true); /* of the old pace still */
    }
    assert_int_equal(w.pace.bps, after);
    for (unsigned i = 0; i < 4; i++) {
        interval(&w, w.pace.bps);
        for (uint32_t node = 2; node < 12; node++) {
            report(&w, node, 0, 0.0, true);
        }
    }
    assert_in_range(w.pace.bps, 290 * MBIT, 325 * MBIT); /* nor may it stay so for long */
    norm_members_done(&w.members);
}

static void silence_slows_down_to_the_floor(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    interval(&w, w.pace.bps);
    report(&w, 7, 0, 0.0, false);
    for (unsigned i = 0; i < 400; i++) {
        interval(&w, w.pace.bps);
    }
    assert_int_equal(w.pace.bps, MBIT);
    norm_members_done(&w.members);

    /* Receivers whose answers take long are not silent. */
    begin(&w, 0.0);
    w.patience = 2 * CP_SEC;
    interval(&w, w.pace.bps);
    report(&w, 7, 0, 0.0, false);
    for (unsigned i = 0; i < 39; i++) {
        interval(&w, w.pace.bps);
    }
    assert_in_range(w.pace.bps, 500 * MBIT, 1000 * MBIT);
    interval(&w, w.pace.bps);
    assert_int_equal(w.pace.reason, NORM_REASON_SILENCE);
    norm_members_done(&w.members);
}

static void the_sender_itself_may_be_the_limit(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    for (unsigned i = 0; i < 40; i++) {
        interval(&w, w.pace.bps < 200 * MBIT ? w.pace.bps : 200 * MBIT);
        report(&w, 7, 0, 0.0, false);
    }
    assert_in_range(w.pace.bps, 200 * MBIT, 250 * MBIT);
    norm_members_done(&w.members);
}

/* Rate 0, loss 1, rates beyond any link: bounded by floor and ceiling. */
static void hostile_reports_are_bounded(void **state)
{
    static const double losses[] = {0.0, 0.3, 1.0};
    static const uint64_t rates[] = {0, 1, UINT64_C(1000000000000000000)};
    struct world w;

    (void)state;
    begin(&w, 0.0);
    for (unsigned i = 0; i < 900; i++) {
        struct norm_member *m = norm_members_heard(&w.members, w.now, 7 + i % 3);
        const struct norm_pace_report r = {.sequence = (uint16_t)(i * 7919),
                                           .first = (uint16_t)(i * 104729),
                                           .loss = losses[i % 3],
                                           .rate_bps = rates[i / 3 % 3],
                                           .slow = i % 7 == 0,
                                           .sent_bps = rates[i / 9 % 3],
                                           .packets = i % 5 * 1000,
                                           .busy = true};

        m->reported = true;
        m->reported_at = w.now;
        if (norm_pace_report(&w.pace, w.now, m, &r, w.sequence)) {
            norm_pace_decide(&w.pace, w.now, &w.members, w.sequence);
        }
        interval(&w, w.pace.bps);
        assert_in_range(w.pace.bps, MBIT, 1000 * MBIT);
    }
    norm_members_done(&w.members);
}

/* A moment's stall is no limit of the sender, and what it costs comes back. */
static void a_stall_at_the_start_is_forgotten(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    interval(&w, 10 * MBIT);
    assert_in_range(w.pace.bps, 450 * MBIT, 500 * MBIT);
    for (unsigned i = 0; i < 10; i++) {
        interval(&w, w.pace.bps);
        report(&w, 7, 0, 0.0, false);
    }
    assert_int_equal(w.pace.bps, 1000 * MBIT);
    norm_members_done(&w.members);
}

/* Losses in runs look like congestion in one report, not in those that follow it. */
static void one_bad_report_costs_nothing(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.0);
    for (unsigned i = 0; i < 40; i++) {
        interval(&w, w.pace.bps);
        report(&w, 7, 0, i % 10 == 9 ? 0.04 : 0.0, false);
        assert_true(w.pace.bps >= 500 * MBIT);
    }
    assert_int_equal(w.pace.bps, 1000 * MBIT);
    assert_int_equal(w.pace.changes, 1);
    norm_members_done(&w.members);
}

/* An outlier's limit begins without any trial; a later say must not divide by zero. */
static void outliers_come_back(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 0.1);
    for (unsigned i = 0; i < 120; i++) {
        interval(&w, w.pace.bps);
        for (uint32_t node = 1; node <= 10; node++) {
            report(&w, node, node == 1 && i < 40 ? 100 * MBIT : 0, 0.0, false);
        }
        assert_int_equal(norm_members_find(&w.members, 1)->outlier, i >= 1 && i < 60);
    }
    assert_int_equal(w.pace.bps, 1000 * MBIT);
    norm_members_done(&w.members);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_the_ceiling),
        cmocka_unit_test(congestion_is_found),
        cmocka_unit_test(random_loss_is_told_apart),
        cmocka_unit_test(full_buffers_slow_down),
        cmocka_unit_test(outliers_have_no_say),
        cmocka_unit_test(a_crowd_of_full_buffers_counts_once),
        cmocka_unit_test(silence_slows_down_to_the_floor),
        cmocka_unit_test(the_sender_itself_may_be_the_limit),
        cmocka_unit_test(a_stall_at_the_start_is_forgotten),
        cmocka_unit_test(one_bad_report_costs_nothing),
        cmocka_unit_test(outliers_come_back),
        cmocka_unit_test(hostile_reports_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
