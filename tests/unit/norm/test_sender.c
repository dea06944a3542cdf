/* SPDX-License-Identifier: Apache-2.0
 * Sender: feedback that must not harm, bookkeeping of repairs, limits of configuration. */
#include "core.h"

#include "multicast/norm/members.h"

static struct norm_txbuf tx;
static uint8_t tx_data[NORM_TX_PACKETS_MAX * 256];

static struct norm_sender *make(const struct norm_sender_config *config)
{
    struct norm_sender *s = NULL;

    assert_int_equal(norm_sender_new(config, 0, &s), CP_OK);
    tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof(tx_data)};
    return s;
}

/* Sends everything that may go by then; returns the DATA packets, the last one's id in *ret_id. */
static unsigned drain(struct norm_sender *s, cp_time from, cp_time until,
                      struct norm_tx_packet *ret_last)
{
    unsigned count = 0;

    for (cp_time now = from; now <= until;) {
        norm_sender_on_timer(s, now);
        norm_sender_fill(s, now, &tx);
        for (unsigned i = 0; i < tx.count; i++) {
            if (tx.packet[i].kind != NORM_TX_CONTROL) {
                count++;
                *ret_last = tx.packet[i];
            }
        }
        if (tx.count == 0) {
            cp_time next = norm_sender_next_time(s);

            now = next > now ? next : now + CP_MSEC;
        }
    }
    return count;
}

static enum cp_err give(struct norm_sender *s, cp_time now, struct packet p)
{
    return norm_sender_on_packet(s, now, p.data, p.size);
}

static void batches_have_one_shape(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s;
    unsigned seen = 0;

    (void)state;
    c.fti.object_size = 4 * 8 * SEGMENT - 10;
    c.auth_size = 24;
    c.auto_parity = 2;
    s = make(&c);
    for (cp_time now = 0; now < 20 * CP_MSEC; now += 10 * CP_USEC) {
        norm_sender_fill(s, now, &tx);
        assert_true(tx.count <= NORM_TX_PACKETS_MAX);
        size_t last = tx.count == 0 ? 0 : tx.size - (tx.count - 1) * (size_t)tx.stride;

        assert_true(last <= tx.stride);
        for (unsigned i = 0; i < tx.count; i++) {
            const struct norm_tx_packet *p = &tx.packet[i];
            const uint8_t *data = tx.data + i * (size_t)tx.stride;

            if (p->kind == NORM_TX_CONTROL) {
                assert_int_equal(tx.count, 1);
                continue;
            }
            /* EXT_AUTH is the last extension, right before the symbol. */
            assert_int_equal(p->auth_offset + 24, p->payload_offset);
            assert_int_equal(data[p->auth_offset], 1);
            assert_int_equal(p->payload_size, p->sbn == 3 && p->esi == 7 ? 54 : 64);
            seen++;
        }
    }
    assert_int_equal(seen, 4 * 10);
    norm_sender_free(s);
}

static void refuses_bad_configuration(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = NULL;

    (void)state;
    c.node_id = NORM_NODE_ANY;
    assert_int_equal(norm_sender_new(&c, 0, &s), CP_ERR_INVALID);
    c = sender_config();
    c.rate_bps = 0;
    assert_int_equal(norm_sender_new(&c, 0, &s), CP_ERR_INVALID);
    c = sender_config();
    c.info_size = 3;
    assert_int_equal(norm_sender_new(&c, 0, &s), CP_ERR_INVALID);
    c = sender_config();
    c.backoff = 16;
    assert_int_equal(norm_sender_new(&c, 0, &s), CP_ERR_INVALID);
    c = sender_config();
    c.fti.object_size = 0;
    assert_int_equal(norm_sender_new(&c, 0, &s), CP_ERR_MALFORMED);
    assert_null(s);
    norm_sender_free(NULL);
}

/* Checks RFC5740 5.4.2, 5.4, RFC5401 3.2.4. */
static void nack_is_answered_with_fresh_parity(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};

    (void)state;
    assert_int_equal(drain(s, 0, 5 * CP_MSEC, &last), 32);
    /* Any parity id may be asked for: the next fresh ones go out, as many. */
    assert_int_equal(
        give(s, 5 * CP_MSEC, nack(NORM_REPAIR_RANGES, NORM_REPAIR_SEGMENT, 1, 10, 1, 11)), CP_OK);
    assert_int_equal(drain(s, 5 * CP_MSEC, 6 * CP_MSEC, &last), 2);
    assert_int_equal(last.kind, NORM_TX_PARITY);
    assert_int_equal(last.sbn, 1);
    assert_int_equal(last.esi, 9);
    /* The same again while the repair is under way says nothing new … */
    assert_int_equal(
        give(s, 7 * CP_MSEC, nack(NORM_REPAIR_ITEMS, NORM_REPAIR_SEGMENT, 1, 10, 1, 10)), CP_OK);
    assert_int_equal(drain(s, 7 * CP_MSEC, 35 * CP_MSEC, &last), 0);
    /* … and later it does. */
    assert_int_equal(
        give(s, 40 * CP_MSEC, nack(NORM_REPAIR_RANGES, NORM_REPAIR_SEGMENT, 1, 8, 1, 11)), CP_OK);
    assert_int_equal(drain(s, 40 * CP_MSEC, 42 * CP_MSEC, &last), 4);
    /* Two were fresh, the other two were sent before and are wanted by name. */
    assert_int_equal(last.esi, 11);
    norm_sender_free(s);
}

static void nack_of_what_does_not_exist(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};
    struct norm_sender_stats stats;

    (void)state;
    (void)drain(s, 0, 5 * CP_MSEC, &last);
    assert_int_equal(give(s, CP_SEC, nack(NORM_REPAIR_ITEMS, NORM_REPAIR_SEGMENT, 1, 12, 1, 12)),
                     CP_ERR_MALFORMED);
    assert_int_equal(give(s, CP_SEC, nack(NORM_REPAIR_ITEMS, NORM_REPAIR_SEGMENT, 4, 0, 4, 0)),
                     CP_ERR_MALFORMED);
    assert_int_equal(give(s, CP_SEC, nack(NORM_REPAIR_RANGES, NORM_REPAIR_BLOCK, 0, 0, 4, 0)),
                     CP_ERR_MALFORMED);
    assert_int_equal(give(s, CP_SEC, nack(NORM_REPAIR_RANGES, NORM_REPAIR_SEGMENT, 0, 0, 1, 3)),
                     CP_ERR_MALFORMED);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.malformed, 4);
    assert_int_equal(stats.pending_blocks, 0);
    norm_sender_free(s);
}

/* Dozens of ranges over all blocks fit one packet: the work that they make is bounded. */
static void greedy_nacks_are_cut_short(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};
    uint8_t payload[128];

    (void)state;
    (void)drain(s, 0, 5 * CP_MSEC, &last);
    for (unsigned times = 2; times <= 3; times++) {
        struct norm_msg msg = nack_msg();
        struct packet p = {0};

        msg.payload = payload;
        msg.payload_size = greedy_requests(times, payload, sizeof(payload));
        p.size = norm_encode(&msg, p.data, sizeof(p.data));
        assert_int_equal(give(s, times * CP_SEC, p), times == 2 ? CP_OK : CP_ERR_MALFORMED);
        assert_int_equal(drain(s, times * CP_SEC, times * CP_SEC + 5 * CP_MSEC, &last), 32);
    }
    norm_sender_free(s);
}

static void erasures_are_not_taken(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct packet p = nack(NORM_REPAIR_ITEMS, NORM_REPAIR_SEGMENT, 1, 2, 1, 2);
    struct norm_tx_packet last = {0};

    (void)state;
    (void)drain(s, 0, 5 * CP_MSEC, &last);
    p.data[24] = NORM_REPAIR_ERASURES; /* form of the first request, behind the 24-byte header */
    assert_int_equal(give(s, CP_SEC, p), CP_OK);
    assert_int_equal(drain(s, CP_SEC, CP_SEC + 5 * CP_MSEC, &last), 0);
    norm_sender_free(s);
}

/* Checks RFC5740 4.3.1. */
static void foreign_feedback_is_ignored(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s;
    struct packet p = nack(NORM_REPAIR_ITEMS, NORM_REPAIR_BLOCK, 1, 0, 1, 0);
    struct norm_tx_packet last = {0};
    struct norm_sender_stats stats;

    (void)state;
    p.data[13]++; /* instance_id */
    s = make(&c);
    (void)drain(s, 0, 5 * CP_MSEC, &last);
    assert_int_equal(give(s, CP_SEC, p), CP_OK);
    p.data[13]--;
    p.data[11]++; /* server_id */
    assert_int_equal(give(s, CP_SEC, p), CP_OK);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.foreign, 2);
    assert_int_equal(stats.nacks, 0);
    assert_int_equal(drain(s, CP_SEC, CP_SEC + 5 * CP_MSEC, &last), 0);
    norm_sender_free(s);
}

/* Only echoes of our own stamps move the estimate. Checks RFC5740 4.3.1, 5.5.1. */
static void bogus_round_trips_are_ignored(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};
    struct norm_sender_stats stats;
    const uint32_t bogus[][2] = {{0, 1}, {5000, 0}, {1, 2000000}, {0xffffffff, 999999}};

    (void)state;
    (void)drain(s, CP_SEC, CP_SEC + 5 * CP_MSEC, &last);
    norm_sender_get_stats(s, &stats);
    cp_time before = stats.grtt;

    for (size_t i = 0; i < sizeof(bogus) / sizeof(*bogus); i++) {
        struct packet p = {0};
        struct norm_msg msg = nack_msg();

        msg.type = NORM_ACK;
        msg.ack_type = NORM_ACK_CC;
        msg.time_sec = bogus[i][0];
        msg.time_usec = bogus[i][1];
        p.size = norm_encode(&msg, p.data, sizeof(p.data));
        if (p.size > 0) {
            (void)give(s, 60 * CP_SEC, p);
        }
    }
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.grtt, before);
    norm_sender_free(s);
}

static struct packet object_nack(uint16_t object_id)
{
    struct packet p = nack(NORM_REPAIR_ITEMS, NORM_REPAIR_OBJECT, 0, 0, 0, 0);

    p.data[30] = (uint8_t)(object_id >> 8); /* item behind header 24, request 4, fec_id, reserved */
    p.data[31] = (uint8_t)object_id;
    return p;
}

/* RFC5740 5.4.3: at most one SQUELCH per 2 GRTT. Checks RFC5740 5.4.3, 4.2.3.3. */
static void unknown_object_is_squelched(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};
    unsigned squelches = 0;
    struct norm_msg msg;

    (void)state;
    (void)drain(s, 0, CP_SEC, &last);
    for (cp_time now = 2 * CP_SEC; now < 2 * CP_SEC + 100 * CP_MSEC; now += CP_MSEC) {
        assert_int_equal(give(s, now, object_nack(OBJECT + 7)), CP_OK);
        norm_sender_fill(s, now, &tx);
        if (tx.count == 1 && norm_decode(tx.data, tx.size, &msg) == CP_OK && msg.type == NORM_CMD &&
            msg.cmd == NORM_CMD_SQUELCH) {
            squelches++;
            assert_int_equal(msg.object_id, OBJECT);
            assert_int_equal(msg.payload_size, 2);
            assert_int_equal(msg.payload[1], OBJECT + 7);
        }
    }
    assert_in_range(squelches, 4, 6); /* GRTT 10 ms, advertised a little more */
    norm_sender_free(s);
}

static void an_object_request_brings_everything(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};

    (void)state;
    (void)drain(s, 0, CP_SEC, &last);
    assert_int_equal(give(s, 2 * CP_SEC, object_nack(OBJECT)), CP_OK);
    assert_int_equal(drain(s, 2 * CP_SEC, 3 * CP_SEC, &last), 32);
    norm_sender_free(s);
}

static void hold_keeps_it_open(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};
    struct norm_sender_stats stats;

    (void)state;
    norm_sender_set_hold(s, 0, CP_TIME_NEVER);
    (void)drain(s, 0, 10 * CP_SEC, &last);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.state, NORM_SENDER_FLUSHING);
    norm_sender_set_hold(s, 10 * CP_SEC, 0);
    (void)drain(s, 10 * CP_SEC, 11 * CP_SEC, &last);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.state, NORM_SENDER_IDLE);
    assert_true(norm_sender_next_time(s) == CP_TIME_NEVER);
    assert_int_equal(norm_sender_add_acker(s, NODE), CP_OK); /* wakes it */
    norm_sender_fill(s, 12 * CP_SEC, &tx);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.state, NORM_SENDER_FLUSHING);
    assert_int_equal(stats.acks_missing, 1);
    norm_sender_free(s);
}

/* Who has left is neither waited for nor remembered; who is left keeps its account. */
static void who_left_is_forgotten(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};
    struct norm_sender_stats stats;
    struct packet other = nack(NORM_REPAIR_ITEMS, NORM_REPAIR_BLOCK, 1, 0, 1, 0);

    (void)state;
    other.data[7] = NODE + 1; /* source_id */
    assert_int_equal(norm_sender_add_acker(s, NODE), CP_OK);
    assert_int_equal(norm_sender_add_acker(s, NODE + 1), CP_OK);
    (void)drain(s, 0, 20 * CP_MSEC, &last);
    assert_int_equal(give(s, 20 * CP_MSEC, nack(NORM_REPAIR_ITEMS, NORM_REPAIR_BLOCK, 0, 0, 0, 0)),
                     CP_OK);
    assert_int_equal(give(s, 20 * CP_MSEC, other), CP_OK);
    assert_int_equal(norm_sender_member(s, 0)->node_id, NODE);
    norm_sender_remove_member(s, NODE);
    norm_sender_remove_member(s, NODE); /* again, and one never heard of: nothing happens */
    norm_sender_remove_member(s, NODE + 7);
    assert_int_equal(norm_sender_member(s, 0)->node_id, NODE + 1);
    assert_null(norm_sender_member(s, 1));
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.acks_missing, 1);
    assert_true(drain(s, 20 * CP_MSEC, 5 * CP_SEC, &last) >= 16); /* both blocks all the same */
    norm_sender_remove_member(s, NODE + 1);
    assert_null(norm_sender_member(s, 0));
    norm_sender_free(s);
}

/* EOT goes at once, in line with what was sent before and with the group as it is. Checks RFC5740
 * 4.2.3.2, 4.1. */
static void goodbye_is_one_eot(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_msg before, msg;

    (void)state;
    norm_sender_fill(s, 0, &tx); /* in the midst of it: data and commands wait */
    assert_int_equal(norm_decode(tx.data, tx.size, &before), CP_OK);
    norm_sender_set_gsize(s, 400);
    norm_sender_set_backoff(s, 6);
    assert_int_equal(norm_sender_command(s, NULL, 0), CP_OK);
    for (unsigned i = 1; i <= 3; i++) {
        norm_sender_goodbye(s);
        norm_sender_fill(s, CP_MSEC, &tx);
        assert_int_equal(tx.count, 1);
        assert_int_equal(norm_decode(tx.data, tx.size, &msg), CP_OK);
        assert_int_equal(msg.type, NORM_CMD);
        assert_int_equal(msg.cmd, NORM_CMD_EOT);
        assert_int_equal(msg.sequence, before.sequence + i);
        assert_int_equal(msg.backoff, 6);
        assert_int_equal(norm_gsize_unquantize(msg.gsize), 500);
    }
    norm_sender_free(s);
}

/* Checks RFC5401 3.1. */
static void pace_is_kept(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s;
    struct norm_tx_packet last = {0};
    struct norm_sender_stats stats;

    (void)state;
    c.rate_bps = 1000000;
    c.fti.object_size = 100000;
    s = make(&c);
    (void)drain(s, 0, 500 * CP_MSEC, &last);
    norm_sender_get_stats(s, &stats);
    assert_in_range(stats.bytes_sent, 61000, 64500); /* 1 Mbit/s for half a second, 4 ms more */
    norm_sender_set_rate(s, 500 * CP_MSEC, 500000);
    (void)drain(s, 500 * CP_MSEC, CP_SEC, &last);
    uint64_t before = stats.bytes_sent;

    norm_sender_get_stats(s, &stats);
    assert_in_range(stats.bytes_sent - before, 30000, 32500);
    norm_sender_free(s);
}

/* Checks RFC5740 4.2.3.7. */
static void commands_fit_a_segment(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    uint8_t data[SEGMENT + 1] = {0};

    (void)state;
    assert_int_equal(norm_sender_command(s, data, SEGMENT + 1), CP_ERR_INVALID);
    assert_int_equal(norm_sender_command(s, data, SEGMENT), CP_OK);
    norm_sender_free(s);
}

/* Random damage to plausible packets: nothing may crash, hang or ask for what is not there. */
static void survives_damaged_packets(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = make(&c);
    struct norm_tx_packet last = {0};
    struct cp_prng prng;

    (void)state;
    cp_prng_seed(&prng, 7);
    (void)drain(s, 0, CP_SEC, &last);
    for (unsigned i = 0; i < 30000; i++) {
        cp_time now = CP_SEC + i * CP_MSEC;
        struct packet p =
            nack(cp_prng_below(&prng, 2) == 0 ? NORM_REPAIR_ITEMS : NORM_REPAIR_RANGES,
                 (uint8_t)(1u << cp_prng_below(&prng, 4)), 1, 2, 1, 5);

        for (unsigned n = (unsigned)cp_prng_below(&prng, 4); n > 0; n--) {
            p.data[24 + cp_prng_below(&prng, p.size - 24)] = (uint8_t)cp_prng_u64(&prng);
        }
        if (cp_prng_below(&prng, 8) == 0) {
            p.size = (size_t)cp_prng_below(&prng, p.size + 1);
        }
        (void)give(s, now, p);
        (void)drain(s, now, now, &last);
        assert_true(last.sbn < 4 && last.esi < 12);
    }
    norm_sender_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_have_one_shape),
        cmocka_unit_test(refuses_bad_configuration),
        cmocka_unit_test(nack_is_answered_with_fresh_parity),
        cmocka_unit_test(nack_of_what_does_not_exist),
        cmocka_unit_test(greedy_nacks_are_cut_short),
        cmocka_unit_test(erasures_are_not_taken),
        cmocka_unit_test(foreign_feedback_is_ignored),
        cmocka_unit_test(bogus_round_trips_are_ignored),
        cmocka_unit_test(unknown_object_is_squelched),
        cmocka_unit_test(an_object_request_brings_everything),
        cmocka_unit_test(hold_keeps_it_open),
        cmocka_unit_test(who_left_is_forgotten),
        cmocka_unit_test(goodbye_is_one_eot),
        cmocka_unit_test(pace_is_kept),
        cmocka_unit_test(commands_fit_a_segment),
        cmocka_unit_test(survives_damaged_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
