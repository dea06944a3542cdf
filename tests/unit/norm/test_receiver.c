/* SPDX-License-Identifier: Apache-2.0
 * Receiver: what it learns from packets, what it refuses, and what its NACKs ask for. */
#include "core.h"

static struct norm_txbuf tx;
static uint8_t tx_data[512];

static struct norm_receiver *make(const struct norm_receiver_config *config)
{
    struct norm_receiver *r = NULL;

    assert_int_equal(norm_receiver_new(config, 0, &r), CP_OK);
    tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof(tx_data)};
    return r;
}

/* A message of the sender with K = 0: feedback comes at once. */
static struct norm_msg sender_msg(enum norm_type type)
{
    return (struct norm_msg){.type = type,
                             .source_id = SENDER,
                             .instance_id = 9,
                             .grtt = norm_rtt_quantize(10 * CP_MSEC),
                             .fec_id = 129,
                             .object_id = OBJECT,
                             .flags = NORM_FLAG_FILE};
}

static struct norm_rx rx;

static enum cp_err give_msg(struct norm_receiver *r, cp_time now, struct norm_msg *msg)
{
    static const uint8_t zeros[256];
    struct packet p = {0};

    if (msg->payload == NULL) {
        msg->payload = zeros;
    }
    p.size = norm_encode(msg, p.data, sizeof(p.data));
    assert_true(p.size > 0);
    return norm_receiver_on_packet(r, now, p.data, p.size, &rx);
}

static struct norm_msg data_msg(uint32_t sbn, uint16_t esi)
{
    struct norm_msg msg = sender_msg(NORM_DATA);

    msg.id = (struct norm_payload_id){sbn, 8, esi};
    msg.ext.has_fti = true;
    msg.ext.fti = sender_config().fti;
    msg.payload_size = SEGMENT;
    return msg;
}

static enum cp_err data(struct norm_receiver *r, cp_time now, uint32_t sbn, uint16_t esi)
{
    struct norm_msg msg = data_msg(sbn, esi);

    return give_msg(r, now, &msg);
}

static void flush(struct norm_receiver *r, cp_time now, const uint8_t *list, size_t size)
{
    struct norm_msg msg = sender_msg(NORM_CMD);

    msg.cmd = NORM_CMD_FLUSH;
    msg.id = (struct norm_payload_id){3, 8, 7};
    msg.payload = list;
    msg.payload_size = size;
    assert_int_equal(give_msg(r, now, &msg), CP_OK);
}

/* The feedback due now; false when there is none. */
static bool feedback(struct norm_receiver *r, cp_time now, struct norm_msg *ret_msg)
{
    norm_receiver_on_timer(r, now);
    norm_receiver_fill(r, now, &tx);
    if (tx.count == 0) {
        return false;
    }
    assert_int_equal(norm_decode(tx.data, tx.size, ret_msg), CP_OK);
    return true;
}

/* Entry `index` of a NACK. */
static struct norm_repair entry(const struct norm_msg *msg, unsigned index)
{
    struct norm_repair_reader reader;
    struct norm_repair e = {0};

    norm_repair_reader_init(&reader, msg->payload, msg->payload_size, 129);
    for (unsigned i = 0; i <= index; i++) {
        assert_true(norm_repair_next(&reader, &e));
    }
    return e;
}

/* Checks RFC5740 5.2, 5.1. */
static void learns_the_object(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;

    (void)state;
    c.object_known = false;
    c.sender_id = NORM_NODE_ANY;
    r = make(&c);
    assert_null(norm_receiver_partition(r));
    assert_false(norm_receiver_complete(r));
    assert_int_equal(data(r, CP_MSEC, 0, 0), CP_OK);
    assert_int_equal(rx.events, NORM_RX_OBJECT | NORM_RX_SYMBOL);
    assert_int_equal(norm_receiver_partition(r)->block_count, 4);
    assert_int_equal(norm_receiver_object_id(r), OBJECT);
    assert_int_equal(data(r, CP_MSEC, 0, 0), CP_OK);
    assert_int_equal(rx.events, 0); /* a duplicate */
    assert_true(norm_receiver_has_symbol(r, 0, 0));
    assert_false(norm_receiver_has_symbol(r, 0, 1));
    norm_receiver_free(r);
    norm_receiver_free(NULL);
}

static void refuses_what_cannot_be(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    struct norm_receiver_stats stats;
    struct norm_msg msg;

    (void)state;
    assert_int_equal(data(r, 0, 4, 0), CP_ERR_MALFORMED);  /* no such block */
    assert_int_equal(data(r, 0, 0, 12), CP_ERR_MALFORMED); /* no such parity */
    msg = data_msg(0, 0);
    msg.id.block_len = 7;
    assert_int_equal(give_msg(r, 0, &msg), CP_ERR_MALFORMED);
    msg = data_msg(0, 0);
    msg.payload_size = SEGMENT - 1;
    assert_int_equal(give_msg(r, 0, &msg), CP_ERR_MALFORMED);
    msg = data_msg(0, 0);
    msg.ext.fti.object_size++; /* FTI changes mid-object */
    assert_int_equal(give_msg(r, 0, &msg), CP_ERR_MALFORMED);
    msg = data_msg(0, 0);
    msg.fec_id = 5;
    msg.ext.has_fti = false;
    assert_int_equal(give_msg(r, 0, &msg), CP_ERR_MALFORMED);
    msg = data_msg(0, 0);
    msg.object_id++;
    assert_int_equal(give_msg(r, 0, &msg), CP_OK);
    assert_int_equal(rx.events, 0);
    msg = data_msg(0, 0);
    msg.source_id = 77;
    assert_int_equal(give_msg(r, 0, &msg), CP_OK);
    assert_int_equal(rx.events, 0);
    norm_receiver_get_stats(r, &stats);
    assert_int_equal(stats.malformed, 6);
    assert_int_equal(stats.foreign, 2);
    assert_int_equal(stats.symbols, 0);
    norm_receiver_free(r);
}

/* First attempt: the lowest parity, as many as are missing. Later: what of it is still missing. */
/* One packet of a stranger must not make us allocate gigabytes. */
static void refuses_a_giant_that_only_a_packet_announces(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_msg msg = data_msg(0, 0);

    (void)state;
    c.object_known = false;
    struct norm_receiver *r = make(&c);
    msg.ext.fti.object_size = 0xffffffffffff;
    assert_int_equal(give_msg(r, 1, &msg), CP_ERR_MALFORMED);
    assert_null(norm_receiver_partition(r));
    msg = data_msg(0, 0);
    assert_int_equal(give_msg(r, 1, &msg), CP_OK);
    assert_non_null(norm_receiver_partition(r));
    norm_receiver_free(r);
}

/* Checks RFC5740 5.3, RFC5401 3.2.3.1, 3.2.1. */
static void nack_asks_for_lowest_parity(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    struct norm_msg msg;
    struct norm_repair e;

    (void)state;
    for (uint16_t esi = 0; esi < 5; esi++) {
        assert_int_equal(data(r, 0, 0, esi), CP_OK);
    }
    assert_false(feedback(r, 0, &msg)); /* not before the block is over */
    assert_int_equal(data(r, 0, 1, 0), CP_OK);
    assert_true(feedback(r, 0, &msg));
    assert_true(tx.unicast);
    e = entry(&msg, 0);
    assert_int_equal(e.form, NORM_REPAIR_RANGES);
    assert_int_equal(e.first.id.esi, 8);
    assert_int_equal(e.last.id.esi, 10);
    assert_false(feedback(r, CP_MSEC, &msg)); /* hold-off */
    assert_int_equal(data(r, CP_MSEC, 0, 9), CP_OK);
    assert_int_equal(data(r, CP_MSEC, 1, 1), CP_OK);
    assert_true(feedback(r, CP_MSEC, &msg)); /* the rewind ended the hold-off */
    e = entry(&msg, 0);
    assert_int_equal(e.form, NORM_REPAIR_ITEMS);
    assert_int_equal(e.first.id.esi, 8);
    assert_int_equal(entry(&msg, 1).first.id.esi, 10);
    norm_receiver_free(r);
}

/* More missing than parity can replace: all parity and the highest missing source symbols. */
static void nack_never_asks_past_the_parity(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    struct norm_msg msg;

    (void)state;
    assert_int_equal(data(r, 0, 0, 1), CP_OK);
    assert_int_equal(data(r, 0, 0, 7), CP_OK);
    assert_int_equal(data(r, 0, 1, 0), CP_OK);
    assert_true(feedback(r, 0, &msg));
    assert_int_equal(entry(&msg, 0).first.id.esi, 5);
    assert_int_equal(entry(&msg, 1).first.id.esi, 6);
    assert_int_equal(entry(&msg, 2).first.id.esi, 8);
    assert_int_equal(entry(&msg, 2).last.id.esi, 11);
    norm_receiver_free(r);
}

/* Checks RFC5740 5.3, 4.2.2. */
static void nack_names_whole_blocks_and_info(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    struct norm_msg msg = data_msg(3, 0);
    struct norm_repair e;

    (void)state;
    msg.flags |= NORM_FLAG_INFO;
    assert_int_equal(give_msg(r, 0, &msg), CP_OK);
    flush(r, 0, NULL, 0);
    assert_true(feedback(r, 0, &msg));
    assert_int_equal(entry(&msg, 0).flags, NORM_REPAIR_INFO);
    e = entry(&msg, 1);
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
    r = make(&c);
    for (uint32_t sbn = 0; sbn < 40; sbn++) {
        msg = data_msg(sbn, 3);
        msg.ext.fti = c.fti;
        assert_int_equal(give_msg(r, 0, &msg), CP_OK);
        (void)norm_receiver_next_time(r);
    }
    assert_true(feedback(r, CP_MSEC, &msg));
    assert_in_range(msg.payload_size, 1, SEGMENT);
    assert_int_equal(entry(&msg, 0).first.id.sbn, 0); /* the lowest come first */
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
    r = make(&c);
    tx.cap = 100;
    msg = sender_msg(NORM_INFO);
    msg.ext.has_fti = true;
    msg.ext.fti = c.fti;
    assert_int_equal(give_msg(r, 0, &msg), CP_OK);
    flush(r, CP_MSEC, NULL, 0);
    assert_true(feedback(r, CP_MSEC, &msg));
    assert_int_equal(msg.type, NORM_NACK);
    assert_in_range(tx.size, msg.payload_size, 100);
    assert_in_range(msg.payload_size, 1, 99);
    norm_receiver_free(r);
}

/* The same requests from the sender or from a peer: bounded work, and what it says counts. */
static void greedy_requests_are_cut_short(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    uint8_t payload[128];

    (void)state;
    assert_int_equal(data(r, 0, 0, 0), CP_OK);
    for (unsigned times = 2; times <= 3; times++) {
        struct norm_msg adv = sender_msg(NORM_CMD);
        struct norm_msg peer = nack_msg();

        adv.cmd = NORM_CMD_REPAIR_ADV;
        peer.source_id = NODE + 1;
        adv.payload = peer.payload = payload;
        adv.payload_size = peer.payload_size = greedy_requests(times, payload, sizeof(payload));
        enum cp_err expected = times == 2 ? CP_OK : CP_ERR_MALFORMED;

        assert_int_equal(give_msg(r, CP_MSEC, &adv), expected);
        assert_int_equal(give_msg(r, CP_MSEC, &peer), expected);
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
    r = make(&c);
    for (uint16_t esi = 0; esi < 7; esi++) {
        assert_int_equal(data(r, 0, 0, esi), CP_OK);
    }
    msg = data_msg(1, 0);
    msg.backoff = 4;
    assert_int_equal(give_msg(r, 0, &msg), CP_OK);
    assert_int_equal(norm_receiver_on_packet(r, 0, other.data, other.size, &rx), CP_OK);
    assert_false(feedback(r, 50 * CP_MSEC, &msg));
    norm_receiver_get_stats(r, &stats);
    assert_int_equal(stats.nacks_suppressed, 1);
    /* Nothing came of it: after the hold-off we ask ourselves. */
    flush(r, 200 * CP_MSEC, NULL, 0);
    norm_receiver_on_timer(r, 200 * CP_MSEC);
    flush(r, 201 * CP_MSEC, NULL, 0);
    assert_true(feedback(r, 300 * CP_MSEC, &msg));
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
    r = make(&c);
    assert_int_equal(data(r, 0, 1, 3), CP_OK);
    assert_int_equal(data(r, 0, 2, 0), CP_OK);
    assert_false(feedback(r, 0, &msg)); /* blocks 0 and 1 began before we were there */
    assert_int_equal(data(r, 0, 3, 0), CP_OK);
    assert_true(feedback(r, 0, &msg)); /* the last block: the pass is over */
    assert_int_equal(entry(&msg, 0).first.id.sbn, 0);
    norm_receiver_free(r);
}

static void blocks_had_and_forgotten(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    struct norm_msg msg;

    (void)state;
    norm_receiver_block_have(r, 0);
    norm_receiver_block_have(r, 2);
    norm_receiver_block_have(r, 99); /* no such block: nothing happens */
    assert_true(norm_receiver_block_complete(r, 2));
    assert_false(norm_receiver_block_complete(r, 99));
    assert_false(norm_receiver_has_symbol(r, 99, 0));
    for (uint16_t esi = 1; esi < 9; esi++) {
        assert_int_equal(data(r, 0, 1, esi), CP_OK);
    }
    assert_int_equal(rx.events, NORM_RX_SYMBOL | NORM_RX_BLOCK);
    for (uint16_t esi = 0; esi < 8; esi++) {
        assert_int_equal(data(r, 0, 3, esi), CP_OK);
    }
    assert_int_equal(rx.events, NORM_RX_SYMBOL | NORM_RX_BLOCK | NORM_RX_COMPLETE);
    assert_true(norm_receiver_complete(r));
    assert_false(feedback(r, 0, &msg));
    norm_receiver_block_forget(r, 1); /* its digest was wrong */
    assert_false(norm_receiver_complete(r));
    flush(r, 0, NULL, 0);
    assert_true(feedback(r, 0, &msg));
    assert_int_equal(entry(&msg, 0).flags, NORM_REPAIR_BLOCK);
    assert_int_equal(entry(&msg, 0).first.id.sbn, 1);
    /* Parity given up counts no longer. */
    assert_int_equal(data(r, 0, 1, 0), CP_OK);
    assert_int_equal(data(r, 0, 1, 8), CP_OK);
    assert_int_equal(data(r, 0, 1, 11), CP_OK);
    norm_receiver_block_forget_parity(r, 1);
    assert_true(norm_receiver_has_symbol(r, 1, 0));
    assert_false(norm_receiver_has_symbol(r, 1, 8));
    assert_int_equal(data(r, 0, 1, 8), CP_OK);
    assert_int_equal(rx.events, NORM_RX_SYMBOL);
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
    r = make(&c);
    flush(r, 0, list, sizeof(list));
    assert_true(feedback(r, 0, &msg));
    assert_int_equal(msg.type, NORM_NACK); /* not complete: no ACK */
    assert_false(feedback(r, 0, &msg));
    for (uint32_t sbn = 0; sbn < 4; sbn++) {
        norm_receiver_block_have(r, sbn);
    }
    flush(r, CP_SEC, list, 4); /* asks somebody else */
    assert_false(feedback(r, CP_SEC, &msg));
    flush(r, CP_SEC, list, sizeof(list));
    assert_true(feedback(r, CP_SEC, &msg));
    assert_int_equal(msg.type, NORM_ACK);
    assert_int_equal(msg.ack_type, NORM_ACK_FLUSH);
    assert_int_equal(norm_watermark_decode(&msg, &wm), CP_OK);
    assert_int_equal(wm.id.sbn, 3);
    assert_int_equal(wm.id.esi, 7);
    assert_true(msg.ext.has_auth);
    assert_int_equal(tx.packet[0].auth_offset, msg.ext.auth_offset);
    assert_false(feedback(r, CP_SEC, &msg));
    norm_receiver_free(r);
}

/* Checks RFC5740 5.5.1, 4.3.1. */
static void probe_is_echoed(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    struct norm_msg probe = sender_msg(NORM_CMD), msg;

    (void)state;
    probe.cmd = NORM_CMD_CC;
    probe.cc_sequence = 17;
    probe.time_sec = 3;
    probe.time_usec = 999900;
    assert_int_equal(give_msg(r, CP_SEC, &probe), CP_OK);
    assert_false(feedback(r, CP_SEC, &msg)); /* no EXT_RATE: a time stamp only */
    probe.ext.has_rate = true;
    assert_int_equal(give_msg(r, CP_SEC, &probe), CP_OK);
    assert_true(feedback(r, CP_SEC + 200 * CP_USEC, &msg));
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
    struct norm_receiver *r = make(&c);
    struct norm_msg msg = data_msg(0, 0);

    (void)state;
    msg.instance_id = 10;
    assert_int_equal(give_msg(r, CP_SEC, &msg), CP_OK);
    assert_int_equal(data(r, CP_SEC, 0, 1), CP_OK); /* instance 9, overtaken */
    assert_int_equal(rx.events, NORM_RX_RESTART | NORM_RX_SYMBOL);
    assert_false(norm_receiver_has_symbol(r, 0, 0));
    assert_int_equal(give_msg(r, CP_SEC + CP_MSEC, &msg), CP_OK);
    assert_int_equal(rx.events, 0);
    assert_int_equal(give_msg(r, CP_SEC + 300 * CP_MSEC, &msg), CP_OK); /* 9 is silent */
    assert_int_equal(rx.events, NORM_RX_RESTART | NORM_RX_SYMBOL);
    assert_int_equal(data(r, CP_SEC + 300 * CP_MSEC, 0, 1), CP_OK);
    assert_int_equal(rx.events, 0);
    norm_receiver_free(r);
}

static void silent_says_nothing(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r;
    struct norm_msg msg;

    (void)state;
    c.silent = true;
    r = make(&c);
    assert_int_equal(data(r, 0, 0, 0), CP_OK);
    flush(r, 0, NULL, 0);
    for (cp_time now = 0; now < 20 * CP_SEC; now += CP_SEC) {
        assert_false(feedback(r, now, &msg));
    }
    norm_receiver_free(r);
}

static void loss_is_estimated(void **state)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = make(&c);
    struct norm_receiver_stats stats;

    (void)state;
    assert_int_equal(data(r, 0, 0, 0), CP_OK);
    assert_int_equal(data(r, 0, 0, 2), CP_OK);
    assert_int_equal(data(r, 0, 0, 1), CP_OK); /* it was only late */
    assert_int_equal(data(r, 0, 0, 5), CP_OK); /* 3 and 4 lost */
    assert_int_equal(data(r, 0, 2, 1), CP_OK); /* 6, 7, all of block 1, 2:0 */
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
    r = make(&c);
    assert_int_equal(data(r, 0, 0, 0), CP_OK);
    for (unsigned i = 0; i < 30000; i++) {
        cp_time now = i * CP_MSEC;
        struct norm_msg msg =
            data_msg((uint32_t)cp_prng_below(&prng, 4), (uint16_t)cp_prng_below(&prng, 12));
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
        if (norm_receiver_on_packet(r, now, p.data, p.size, &rx) == CP_OK &&
            (rx.events & NORM_RX_SYMBOL) != 0) {
            assert_true(rx.sbn < 4 && rx.esi < 12 && rx.payload_size == SEGMENT);
        }
        (void)feedback(r, now, &msg);
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
        cmocka_unit_test(nack_asks_for_lowest_parity),
        cmocka_unit_test(nack_never_asks_past_the_parity),
        cmocka_unit_test(nack_names_whole_blocks_and_info),
        cmocka_unit_test(nack_fits_a_segment),
        cmocka_unit_test(nack_fits_the_drivers_buffer),
        cmocka_unit_test(greedy_requests_are_cut_short),
        cmocka_unit_test(an_overheard_nack_is_enough),
        cmocka_unit_test(late_joiner_defers),
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
