/* SPDX-License-Identifier: Apache-2.0
 * Receiver: what it takes for lost and for late, by the sender's sequence numbers. Looks inside: the
 * figures leave in the sender's intervals only. */
#include "core.h"

#include "multicast/norm/receiver_state.h"

struct world {
    struct norm_receiver *r;
    uint16_t next; /* sequence number of the sender */
};

/* `came` packets, of which the last is number `last`. */
static void begin(struct world *w, uint16_t last, unsigned came)
{
    const struct norm_receiver_config c = receiver_config();

    assert_int_equal(norm_receiver_new(&c, 0, &w->r), CP_OK);
    for (unsigned i = came; i > 0; i--) {
        norm_receiver_measure(w->r, CP_SEC, (uint16_t)(last - i + 1));
    }
    w->next = (uint16_t)(last + 1);
    assert_int_equal(w->r->measure.lost, 0);
    assert_int_equal(w->r->measure.expected, came);
}

static void come(struct world *w, uint16_t first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        norm_receiver_measure(w->r, CP_SEC, (uint16_t)(first + i));
    }
}

/* Checks RFC5740 4.1. */
static void a_packet_late_by_2000_is_not_lost(void **state)
{
    static const uint16_t lasts[] = {30000, 1000}; /* the second wraps */

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        uint16_t held = (uint16_t)(lasts[i] - 2000);

        begin(&w, (uint16_t)(held - 1), 100);
        come(&w, (uint16_t)(held + 1), 2000);
        assert_int_equal(w.r->measure.lost, 1);
        come(&w, held, 1);
        assert_int_equal(w.r->measure.lost, 0);
        come(&w, held, 1); /* twice: nothing more */
        assert_int_equal(w.r->measure.lost, 0);
        assert_int_equal(w.r->measure.expected, 2101);
        assert_int_equal(w.r->measure.high, lasts[i]);
        norm_receiver_free(w.r);
    }
}

/* Nobody remembers those: neither loss nor cure of one. */
static void whatever_is_later_says_nothing(void **state)
{
    static const uint16_t by[] = {NORM_SEEN_MAX, 5000, 20000, 32767, 32768};

    (void)state;
    for (size_t i = 0; i < sizeof(by) / sizeof(*by); i++) {
        struct world w;

        begin(&w, 7, 100);
        come(&w, 9, 1);
        come(&w, (uint16_t)(9 - by[i]), 1);
        assert_int_equal(w.r->measure.lost, 1);
        assert_int_equal(w.r->measure.expected, 102);
        assert_int_equal(w.r->measure.high, 9);
        norm_receiver_free(w.r);
    }
}

static void an_outage_is_loss(void **state)
{
    static const uint16_t gaps[] = {1, 2000, 32766};
    static const uint16_t lasts[] = {5000, 64000}; /* the second wraps */

    (void)state;
    for (size_t i = 0; i < sizeof(gaps) / sizeof(*gaps); i++) {
        for (size_t j = 0; j < 2; j++) {
            struct world w;

            begin(&w, lasts[j], 100);
            come(&w, (uint16_t)(w.next + gaps[i]), 50);
            assert_int_equal(w.r->measure.lost, gaps[i]);
            assert_int_equal(w.r->measure.expected, 150 + gaps[i]);
            norm_receiver_free(w.r);
        }
    }
}

/* More than half of all numbers: it looks late until nothing else comes. */
static void a_long_outage_is_found_out(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 5000, 100);
    w.r->measure.rate = 1e6;
    come(&w, (uint16_t)(w.next + 40000), 1000);
    assert_int_equal(w.r->measure.lost, 40000);
    assert_int_equal(w.r->measure.expected, 100 + 40000 + 1000);
    assert_true(norm_loss_events_fraction(&w.r->measure.events) > 0.0);
    norm_receiver_free(w.r);
}

static void late_ones_among_others_do_not_add_up(void **state)
{
    struct world w;

    (void)state;
    begin(&w, 20000, 100);
    for (unsigned i = 0; i < 1000; i++) {
        come(&w, (uint16_t)(w.next + i), 1);
        come(&w, (uint16_t)(w.next + i - 6000), 1);
    }
    assert_int_equal(w.r->measure.lost, 0);
    assert_int_equal(w.r->measure.expected, 1100);
    norm_receiver_free(w.r);
}

static void probe(struct norm_receiver *r, uint16_t instance, uint16_t sequence)
{
    struct norm_msg msg = {.type = NORM_CMD,
                           .cmd = NORM_CMD_CC,
                           .source_id = SENDER,
                           .instance_id = instance,
                           .sequence = sequence,
                           .grtt = norm_rtt_quantize(10 * CP_MSEC)};
    struct packet p = {0};
    struct norm_rx rx;

    p.size = norm_encode(&msg, p.data, sizeof(p.data));
    assert_true(p.size > 0);
    assert_int_equal(norm_receiver_on_packet(r, CP_SEC, p.data, p.size, &rx), CP_OK);
}

/* Another instance counts anew, from anywhere. */
static void a_restart_is_no_loss(void **state)
{
    const struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = NULL;

    (void)state;
    assert_int_equal(norm_receiver_new(&c, 0, &r), CP_OK);
    probe(r, 9, 100);
    probe(r, 9, 103);
    assert_int_equal(r->measure.high, 103);
    probe(r, 10, 30000);
    probe(r, 10, 30001);
    assert_int_equal(r->measure.high, 30001);
    assert_int_equal(r->measure.lost, 0);
    norm_receiver_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_late_by_2000_is_not_lost),
        cmocka_unit_test(whatever_is_later_says_nothing),
        cmocka_unit_test(an_outage_is_loss),
        cmocka_unit_test(a_long_outage_is_found_out),
        cmocka_unit_test(late_ones_among_others_do_not_add_up),
        cmocka_unit_test(a_restart_is_no_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
