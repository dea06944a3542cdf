/* SPDX-License-Identifier: Apache-2.0
 * Receiver: when it sends NACKs, and what they ask for. */
#include "receiver_rig.h"

/* First attempt: the lowest parity, as many as are missing. Later: what of it is still missing.
 * Checks RFC5740 5.3, RFC5401 3.2.3.1, 3.2.1. */
static void nack_asks_for_lowest_parity(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_msg msg;
    struct norm_repair e;

    (void)state;
    for (uint16_t esi = 0; esi < 5; esi++) {
        assert_int_equal(rcv_data(r, 0, 0, esi), CP_OK);
    }
    assert_false(rcv_feedback(r, 0, &msg)); /* not before the block is over */
    assert_int_equal(rcv_data(r, 0, 1, 0), CP_OK);
    assert_true(rcv_feedback(r, 0, &msg));
    assert_true(rcv_tx.unicast);
    e = rcv_entry(&msg, 0);
    assert_int_equal(e.form, NORM_REPAIR_RANGES);
    assert_int_equal(e.first.id.esi, 8);
    assert_int_equal(e.last.id.esi, 10);
    assert_false(rcv_feedback(r, CP_MSEC, &msg)); /* hold-off */
    assert_int_equal(rcv_data(r, CP_MSEC, 0, 9), CP_OK);
    assert_int_equal(rcv_data(r, CP_MSEC, 1, 1), CP_OK);
    assert_true(rcv_feedback(r, CP_MSEC, &msg)); /* the rewind ended the hold-off */
    e = rcv_entry(&msg, 0);
    assert_int_equal(e.form, NORM_REPAIR_ITEMS);
    assert_int_equal(e.first.id.esi, 8);
    assert_int_equal(rcv_entry(&msg, 1).first.id.esi, 10);
    norm_receiver_free(r);
}

/* More missing than parity can replace: all parity and the highest missing source symbols. */
static void nack_never_asks_past_the_parity(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_msg msg;

    (void)state;
    assert_int_equal(rcv_data(r, 0, 0, 1), CP_OK);
    assert_int_equal(rcv_data(r, 0, 0, 7), CP_OK);
    assert_int_equal(rcv_data(r, 0, 1, 0), CP_OK);
    assert_true(rcv_feedback(r, 0, &msg));
    assert_int_equal(rcv_entry(&msg, 0).first.id.esi, 5);
    assert_int_equal(rcv_entry(&msg, 1).first.id.esi, 6);
    assert_int_equal(rcv_entry(&msg, 2).first.id.esi, 8);
    assert_int_equal(rcv_entry(&msg, 2).last.id.esi, 11);
    norm_receiver_free(r);
}

/* Checks RFC5740 5.3, 4.2.2. */
static void nack_names_whole_blocks_and_info(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_msg msg = rcv_data_msg(3, 0);
    struct norm_repair e;

    (void)state;
    msg.flags |= NORM_FLAG_INFO;
    assert_int_equal(rcv_give(r, 0, &msg), CP_OK);
    rcv_flush(r, 0, NULL, 0);
    assert_true(rcv_feedback(r, 0, &msg));
    assert_int_equal(rcv_entry(&msg, 0).flags, NORM_REPAIR_INFO);
    e = rcv_entry(&msg, 1);
    assert_int_equal(e.flags, NORM_REPAIR_BLOCK);
    assert_int_equal(e.form, NORM_REPAIR_RANGES);
    assert_int_equal(e.first.id.sbn, 0);
    assert_int_equal(e.last.id.sbn, 2);
    assert_int_equal(msg.payload_size, 44); /* block 3 found no room in 64 bytes */
    norm_receiver_free(r);
}

/* Checks RFC5740 5.3, 4.3.1. */
static void nack_fits_a_segment(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct norm_msg msg;

    (void)state;
    c.fti.object_size = 40 * 8 * SEGMENT;
    r = rcv_make(&c);
    for (uint32_t sbn = 0; sbn < 40; sbn++) {
        msg = rcv_data_msg(sbn, 3);
        msg.ext.fti = c.fti;
        assert_int_equal(rcv_give(r, 0, &msg), CP_OK);
        (void)norm_receiver_next_time(r);
    }
    assert_true(rcv_feedback(r, CP_MSEC, &msg));
    assert_in_range(msg.payload_size, 1, SEGMENT);
    assert_int_equal(rcv_entry(&msg, 0).first.id.sbn, 0); /* the lowest come first */
    norm_receiver_free(r);
}

/* Segments larger than the driver made its buffer for are announced: the request is cut to fit. */
static void nack_fits_the_drivers_buffer(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct norm_msg msg;

    (void)state;
    c.fti.object_size = UINT64_C(40) * 8 * 8000;
    c.fti.segment_size = 8000;
    r = rcv_make(&c);
    rcv_tx.cap = 100;
    msg = rcv_sender_msg(NORM_INFO);
    msg.ext.has_fti = true;
    msg.ext.fti = c.fti;
    assert_int_equal(rcv_give(r, 0, &msg), CP_OK);
    rcv_flush(r, CP_MSEC, NULL, 0);
    assert_true(rcv_feedback(r, CP_MSEC, &msg));
    assert_int_equal(msg.type, NORM_NACK);
    assert_in_range(rcv_tx.size, msg.payload_size, 100);
    assert_in_range(msg.payload_size, 1, 99);
    norm_receiver_free(r);
}

/* The same requests from the sender or from a peer: bounded work, and what it says counts. */
static void greedy_requests_are_cut_short(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    uint8_t payload[128];

    (void)state;
    assert_int_equal(rcv_data(r, 0, 0, 0), CP_OK);
    for (unsigned times = 2; times <= 3; times++) {
        struct norm_msg adv = rcv_sender_msg(NORM_CMD);
        struct norm_msg peer = nack_msg();

        adv.cmd = NORM_CMD_REPAIR_ADV;
        peer.source_id = NODE + 1;
        adv.payload = peer.payload = payload;
        adv.payload_size = peer.payload_size = greedy_requests(times, payload, sizeof(payload));
        enum cp_err expected = times == 2 ? CP_OK : CP_ERR_MALFORMED;

        assert_int_equal(rcv_give(r, CP_MSEC, &adv), expected);
        assert_int_equal(rcv_give(r, CP_MSEC, &peer), expected);
    }
    norm_receiver_free(r);
}

/* Checks RFC5740 5.3, RFC5401 3.2.2. */
static void an_overheard_nack_is_enough(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct norm_receiver_stats stats;
    struct norm_msg msg;
    struct packet other = nack(NORM_REPAIR_ITEMS, NORM_REPAIR_SEGMENT, 0, 8, 0, 8);

    (void)state;
    other.data[7]++; /* another node's */
    c.unicast_nack = false;
    r = rcv_make(&c);
    for (uint16_t esi = 0; esi < 7; esi++) {
        assert_int_equal(rcv_data(r, 0, 0, esi), CP_OK);
    }
    msg = rcv_data_msg(1, 0);
    msg.backoff = 4;
    assert_int_equal(rcv_give(r, 0, &msg), CP_OK);
    assert_int_equal(norm_receiver_on_packet(r, 0, other.data, other.size, &rcv_rx), CP_OK);
    assert_false(rcv_feedback(r, 50 * CP_MSEC, &msg));
    norm_receiver_get_stats(r, &stats);
    assert_int_equal(stats.nacks_suppressed, 1);
    /* Nothing came of it: after the hold-off we ask ourselves. */
    rcv_flush(r, 200 * CP_MSEC, NULL, 0);
    norm_receiver_on_timer(r, 200 * CP_MSEC);
    rcv_flush(r, 201 * CP_MSEC, NULL, 0);
    assert_true(rcv_feedback(r, 300 * CP_MSEC, &msg));
    norm_receiver_free(r);
}

/* Checks RFC5740 5.2, RFC5401 3.3. */
static void late_joiner_defers(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct norm_msg msg;

    (void)state;
    c.defer_missed = true;
    r = rcv_make(&c);
    assert_int_equal(rcv_data(r, 0, 1, 3), CP_OK);
    assert_int_equal(rcv_data(r, 0, 2, 0), CP_OK);
    assert_false(rcv_feedback(r, 0, &msg)); /* blocks 0 and 1 began before we were there */
    assert_int_equal(rcv_data(r, 0, 3, 0), CP_OK);
    assert_true(rcv_feedback(r, 0, &msg)); /* the last block: the pass is over */
    assert_int_equal(rcv_entry(&msg, 0).first.id.sbn, 0);
    norm_receiver_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nack_asks_for_lowest_parity),
        cmocka_unit_test(nack_never_asks_past_the_parity),
        cmocka_unit_test(nack_names_whole_blocks_and_info),
        cmocka_unit_test(nack_fits_a_segment),
        cmocka_unit_test(nack_fits_the_drivers_buffer),
        cmocka_unit_test(greedy_requests_are_cut_short),
        cmocka_unit_test(an_overheard_nack_is_enough),
        cmocka_unit_test(late_joiner_defers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
