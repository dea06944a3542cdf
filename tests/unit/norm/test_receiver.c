/* SPDX-License-Identifier: Apache-2.0
 * Receiver: what it learns from packets, what it refuses, and how it answers. */
#include "receiver_rig.h"

/* Checks RFC5740 5.2, 5.1. */
static void learns_the_object(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;

    (void)state;
    c.object_known = false;
    c.sender_id = NORM_NODE_ANY;
    r = rcv_make(&c);
    assert_null(norm_receiver_partition(r));
    assert_false(norm_receiver_complete(r));
    assert_int_equal(rcv_data(r, CP_MSEC, 0, 0), CP_OK);
    assert_int_equal(rcv_rx.events, NORM_RX_OBJECT | NORM_RX_SYMBOL);
    assert_int_equal(norm_receiver_partition(r)->block_count, 4);
    assert_int_equal(norm_receiver_object_id(r), OBJECT);
    assert_int_equal(rcv_data(r, CP_MSEC, 0, 0), CP_OK);
    assert_int_equal(rcv_rx.events, 0); /* a duplicate */
    assert_true(norm_receiver_has_symbol(r, 0, 0));
    assert_false(norm_receiver_has_symbol(r, 0, 1));
    norm_receiver_free(r);
    norm_receiver_free(NULL);
}

static void refuses_what_cannot_be(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_receiver_stats stats;
    struct norm_msg msg;

    (void)state;
    assert_int_equal(rcv_data(r, 0, 4, 0), CP_ERR_MALFORMED);  /* no such block */
    assert_int_equal(rcv_data(r, 0, 0, 12), CP_ERR_MALFORMED); /* no such parity */
    msg = rcv_data_msg(0, 0);
    msg.id.block_len = 7;
    assert_int_equal(rcv_give(r, 0, &msg), CP_ERR_MALFORMED);
    msg = rcv_data_msg(0, 0);
    msg.payload_size = SEGMENT - 1;
    assert_int_equal(rcv_give(r, 0, &msg), CP_ERR_MALFORMED);
    msg = rcv_data_msg(0, 0);
    msg.ext.fti.object_size++; /* FTI changes mid-object */
    assert_int_equal(rcv_give(r, 0, &msg), CP_ERR_MALFORMED);
    msg = rcv_data_msg(0, 0);
    msg.fec_id = 5;
    msg.ext.has_fti = false;
    assert_int_equal(rcv_give(r, 0, &msg), CP_ERR_MALFORMED);
    msg = rcv_data_msg(0, 0);
    msg.object_id++;
    assert_int_equal(rcv_give(r, 0, &msg), CP_OK);
    assert_int_equal(rcv_rx.events, 0);
    msg = rcv_data_msg(0, 0);
    msg.source_id = 77;
    assert_int_equal(rcv_give(r, 0, &msg), CP_OK);
    assert_int_equal(rcv_rx.events, 0);
    norm_receiver_get_stats(r, &stats);
    assert_int_equal(stats.malformed, 6);
    assert_int_equal(stats.foreign, 2);
    assert_int_equal(stats.symbols, 0);
    norm_receiver_free(r);
}

/* One packet of a stranger must not make us allocate gigabytes. */
static void refuses_a_giant_that_only_a_packet_announces(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_msg msg = rcv_data_msg(0, 0);

    (void)state;
    c.object_known = false;
    struct norm_receiver *r = rcv_make(&c);
    msg.ext.fti.object_size = 0xffffffffffff;
    assert_int_equal(rcv_give(r, 1, &msg), CP_ERR_MALFORMED);
    assert_null(norm_receiver_partition(r));
    msg = rcv_data_msg(0, 0);
    assert_int_equal(rcv_give(r, 1, &msg), CP_OK);
    assert_non_null(norm_receiver_partition(r));
    norm_receiver_free(r);
}

static void blocks_had_and_forgotten(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_msg msg;

    (void)state;
    norm_receiver_block_have(r, 0);
    norm_receiver_block_have(r, 2);
    norm_receiver_block_have(r, 99); /* no such block: nothing happens */
    assert_true(norm_receiver_block_complete(r, 2));
    assert_false(norm_receiver_block_complete(r, 99));
    assert_false(norm_receiver_has_symbol(r, 99, 0));
    for (uint16_t esi = 1; esi < 9; esi++) {
        assert_int_equal(rcv_data(r, 0, 1, esi), CP_OK);
    }
    assert_int_equal(rcv_rx.events, NORM_RX_SYMBOL | NORM_RX_BLOCK);
    for (uint16_t esi = 0; esi < 8; esi++) {
        assert_int_equal(rcv_data(r, 0, 3, esi), CP_OK);
    }
    assert_int_equal(rcv_rx.events, NORM_RX_SYMBOL | NORM_RX_BLOCK | NORM_RX_COMPLETE);
    assert_true(norm_receiver_complete(r));
    assert_false(rcv_feedback(r, 0, &msg));
    norm_receiver_block_forget(r, 1); /* its digest was wrong */
    assert_false(norm_receiver_complete(r));
    rcv_flush(r, 0, NULL, 0);
    assert_true(rcv_feedback(r, 0, &msg));
    assert_int_equal(rcv_entry(&msg, 0).flags, NORM_REPAIR_BLOCK);
    assert_int_equal(rcv_entry(&msg, 0).first.id.sbn, 1);
    /* Parity given up counts no longer. */
    assert_int_equal(rcv_data(r, 0, 1, 0), CP_OK);
    assert_int_equal(rcv_data(r, 0, 1, 8), CP_OK);
    assert_int_equal(rcv_data(r, 0, 1, 11), CP_OK);
    norm_receiver_block_forget_parity(r, 1);
    assert_true(norm_receiver_has_symbol(r, 1, 0));
    assert_false(norm_receiver_has_symbol(r, 1, 8));
    assert_int_equal(rcv_data(r, 0, 1, 8), CP_OK);
    assert_int_equal(rcv_rx.events, NORM_RX_SYMBOL);
    norm_receiver_free(r);
}

/* Checks RFC5740 5.5.3, 4.3.2. */
static void ack_answers_the_watermark(void **state)
{
    static const uint8_t list[8] = {0, 0, 0, 7, 0, 0, 0, NODE};
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct norm_watermark wm;
    struct norm_msg msg;

    (void)state;
    c.auth_size = 24;
    r = rcv_make(&c);
    rcv_flush(r, 0, list, sizeof(list));
    assert_true(rcv_feedback(r, 0, &msg));
    assert_int_equal(msg.type, NORM_NACK); /* not complete: no ACK */
    assert_false(rcv_feedback(r, 0, &msg));
    for (uint32_t sbn = 0; sbn < 4; sbn++) {
        norm_receiver_block_have(r, sbn);
    }
    rcv_flush(r, CP_SEC, list, 4); /* asks somebody else */
    assert_false(rcv_feedback(r, CP_SEC, &msg));
    rcv_flush(r, CP_SEC, list, sizeof(list));
    assert_true(rcv_feedback(r, CP_SEC, &msg));
    assert_int_equal(msg.type, NORM_ACK);
    assert_int_equal(msg.ack_type, NORM_ACK_FLUSH);
    assert_int_equal(norm_watermark_decode(&msg, &wm), CP_OK);
    assert_int_equal(wm.id.sbn, 3);
    assert_int_equal(wm.id.esi, 7);
    assert_true(msg.ext.has_auth);
    assert_int_equal(rcv_tx.packet[0].auth_offset, msg.ext.auth_offset);
    assert_false(rcv_feedback(r, CP_SEC, &msg));
    norm_receiver_free(r);
}

/* Checks RFC5740 5.5.1, 4.3.1. */
static void probe_is_echoed(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_msg probe = rcv_sender_msg(NORM_CMD), msg;

    (void)state;
    probe.cmd = NORM_CMD_CC;
    probe.cc_sequence = 17;
    probe.time_sec = 3;
    probe.time_usec = 999900;
    assert_int_equal(rcv_give(r, CP_SEC, &probe), CP_OK);
    assert_false(rcv_feedback(r, CP_SEC, &msg)); /* no EXT_RATE: a time stamp only */
    probe.ext.has_rate = true;
    assert_int_equal(rcv_give(r, CP_SEC, &probe), CP_OK);
    assert_true(rcv_feedback(r, CP_SEC + 200 * CP_USEC, &msg));
    assert_int_equal(msg.type, NORM_ACK);
    assert_int_equal(msg.ack_type, NORM_ACK_CC);
    assert_int_equal(msg.time_sec, 4);
    assert_int_equal(msg.time_usec, 100);
    assert_true(msg.ext.has_cc);
    assert_int_equal(msg.ext.cc.sequence, 17);
    norm_receiver_free(r);
}

/* A packet of the old instance may come after the first of the new one: it must not lock us in.
 * Checks RFC5740 4.2.1. */
static void restart_in_disorder(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_msg msg = rcv_data_msg(0, 0);

    (void)state;
    msg.instance_id = 10;
    assert_int_equal(rcv_give(r, CP_SEC, &msg), CP_OK);
    assert_int_equal(rcv_data(r, CP_SEC, 0, 1), CP_OK); /* instance 9, overtaken */
    assert_int_equal(rcv_rx.events, NORM_RX_RESTART | NORM_RX_SYMBOL);
    assert_false(norm_receiver_has_symbol(r, 0, 0));
    assert_int_equal(rcv_give(r, CP_SEC + CP_MSEC, &msg), CP_OK);
    assert_int_equal(rcv_rx.events, 0);
    assert_int_equal(rcv_give(r, CP_SEC + 300 * CP_MSEC, &msg), CP_OK); /* 9 is silent */
    assert_int_equal(rcv_rx.events, NORM_RX_RESTART | NORM_RX_SYMBOL);
    assert_int_equal(rcv_data(r, CP_SEC + 300 * CP_MSEC, 0, 1), CP_OK);
    assert_int_equal(rcv_rx.events, 0);
    norm_receiver_free(r);
}

static void silent_says_nothing(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct norm_msg msg;

    (void)state;
    c.silent = true;
    r = rcv_make(&c);
    assert_int_equal(rcv_data(r, 0, 0, 0), CP_OK);
    rcv_flush(r, 0, NULL, 0);
    for (cp_time now = 0; now < 20 * CP_SEC; now += CP_SEC) {
        assert_false(rcv_feedback(r, now, &msg));
    }
    norm_receiver_free(r);
}

static void loss_is_estimated(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = rcv_make(&c);
    struct norm_receiver_stats stats;

    (void)state;
    assert_int_equal(rcv_data(r, 0, 0, 0), CP_OK);
    assert_int_equal(rcv_data(r, 0, 0, 2), CP_OK);
    assert_int_equal(rcv_data(r, 0, 0, 1), CP_OK); /* it was only late */
    assert_int_equal(rcv_data(r, 0, 0, 5), CP_OK); /* 3 and 4 lost */
    assert_int_equal(rcv_data(r, 0, 2, 1), CP_OK); /* 6, 7, all of block 1, 2:0 */
    norm_receiver_get_stats(r, &stats);
    assert_int_equal(stats.symbols_lost, 2 + 2 + 8 + 1);
    assert_int_equal(stats.symbols_expected, 18);
    norm_receiver_free(r);
}

/* Random damage to packets of all kinds: nothing may crash, hang, or bring an impossible symbol. */
static void survives_damaged_packets(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct cp_prng prng;

    (void)state;
    cp_prng_seed(&prng, 11);
    c.object_known = false;
    r = rcv_make(&c);
    assert_int_equal(rcv_data(r, 0, 0, 0), CP_OK);
    for (unsigned i = 0; i < 30000; i++) {
        cp_time now = i * CP_MSEC;
        struct norm_msg msg =
            rcv_data_msg((uint32_t)cp_prng_below(&prng, 4), (uint16_t)cp_prng_below(&prng, 12));
        struct packet p = nack(NORM_REPAIR_RANGES, NORM_REPAIR_BLOCK, 0, 0, 3, 0);
        static const uint8_t zeros[SEGMENT];

        if (cp_prng_below(&prng, 2) == 0) {
            msg.type = NORM_CMD;
            msg.cmd = (enum norm_cmd)(1 + cp_prng_below(&prng, 7));
            msg.ext = (struct norm_ext){0};
            msg.payload_size = cp_prng_below(&prng, 3) * 24;
        }
        if (cp_prng_below(&prng, 4) != 0) {
            msg.payload = zeros;
            size_t size = norm_encode(&msg, p.data, sizeof(p.data));

            p.size = size > 0 ? size : p.size;
        }
        for (unsigned n = (unsigned)cp_prng_below(&prng, 4); n > 0; n--) {
            p.data[8 + cp_prng_below(&prng, p.size - 8)] = (uint8_t)cp_prng_u64(&prng);
        }
        if (cp_prng_below(&prng, 16) == 0) {
            p.size = (size_t)cp_prng_below(&prng, p.size + 1);
        }
        if (norm_receiver_on_packet(r, now, p.data, p.size, &rcv_rx) == CP_OK &&
            (rcv_rx.events & NORM_RX_SYMBOL) != 0) {
            assert_true(rcv_rx.sbn < 4 && rcv_rx.esi < 12 && rcv_rx.payload_size == SEGMENT);
        }
        (void)rcv_feedback(r, now, &msg);
        assert_true(norm_receiver_next_time(r) > now);
    }
    norm_receiver_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(learns_the_object),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(refuses_a_giant_that_only_a_packet_announces),
        cmocka_unit_test(blocks_had_and_forgotten),
        cmocka_unit_test(ack_answers_the_watermark),
        cmocka_unit_test(probe_is_echoed),
        cmocka_unit_test(restart_in_disorder),
        cmocka_unit_test(silent_says_nothing),
        cmocka_unit_test(loss_is_estimated),
        cmocka_unit_test(survives_damaged_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
