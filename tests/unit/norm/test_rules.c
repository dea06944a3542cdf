/* SPDX-License-Identifier: Apache-2.0
 * Rules of RFC 5740 for what a sender sends and when, clause by clause, on a whole session without
 * receivers: everything that it sends is recorded. */
#include <stdlib.h>

#include "core.h"

#define SENT_MAX 512u

struct sent {
    cp_time at;
    struct norm_msg msg; /* its payload is gone */
    bool symbol;
};

static struct sent sent[SENT_MAX];
static unsigned sent_count;
static struct norm_txbuf tx;
static uint8_t tx_data[NORM_TX_PACKETS_MAX * 256];

static void record(cp_time now)
{
    for (unsigned i = 0; i < tx.count; i++) {
        size_t at = i * (size_t)tx.stride;
        size_t size = i + 1 < tx.count ? tx.stride : tx.size - at;

        assert_true(sent_count < SENT_MAX);
        assert_int_equal(norm_decode(tx.data + at, size, &sent[sent_count].msg), CP_OK);
        sent[sent_count].at = now;
        sent[sent_count].symbol = tx.packet[i].kind != NORM_TX_CONTROL;
        sent_count++;
    }
}

static void run(struct norm_sender *s, cp_time from, cp_time until)
{
    for (cp_time now = from; now < until; now = norm_sender_next_time(s)) {
        assert_true(now >= from); /* time goes on */
        do {
            norm_sender_fill(s, now, &tx);
            record(now);
        } while (tx.count > 0);
    }
}

static struct norm_sender *start(const struct norm_sender_config *c)
{
    struct norm_sender *s = NULL;

    tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof tx_data};
    sent_count = 0;
    assert_int_equal(norm_sender_new(c, CP_SEC, &s), CP_OK);
    return s;
}

static bool is_command(const struct sent *p, enum norm_cmd cmd)
{
    return p->msg.type == NORM_CMD && p->msg.cmd == cmd;
}

/* Checks RFC5740 4.1, 4.2.1. */
static void every_message_has_the_next_sequence_number(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = start(&c);

    (void)state;
    run(s, CP_SEC, 3 * CP_SEC);
    assert_true(sent_count > 40);
    for (unsigned i = 0; i < sent_count; i++) {
        assert_int_equal(sent[i].msg.sequence, (uint16_t)(sent[0].msg.sequence + i));
        assert_int_equal(sent[i].msg.source_id, SENDER);
        assert_int_equal(sent[i].msg.instance_id, c.instance_id);
    }
    norm_sender_free(s);
}

/* Checks RFC5740 4.2.2, 5.1. */
static void info_comes_first_and_all_say_what_the_object_is(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = start(&c);
    bool info = false;

    (void)state;
    run(s, CP_SEC, 2 * CP_SEC);
    for (unsigned i = 0; i < sent_count; i++) {
        const struct norm_msg *m = &sent[i].msg;

        if (m->type != NORM_INFO && m->type != NORM_DATA) {
            continue;
        }
        info = info || m->type == NORM_INFO;
        assert_true(info);
        assert_true(m->type == NORM_INFO || (m->flags & NORM_FLAG_INFO) != 0);
        assert_true((m->flags & NORM_FLAG_FILE) != 0 && (m->flags & NORM_FLAG_REPAIR) == 0);
        assert_true(m->ext.has_fti);
        assert_int_equal(m->ext.fti.object_size, c.fti.object_size);
        assert_int_equal(m->ext.fti.segment_size, SEGMENT);
    }
    assert_true(info);
    norm_sender_free(s);
}

/* Checks RFC5740 2, 5.1.1, RFC5401 3.6. */
static void parity_follows_its_block(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s;
    unsigned seen = 0;

    (void)state;
    c.auto_parity = 3;
    s = start(&c);
    run(s, CP_SEC, 2 * CP_SEC);
    for (unsigned i = 0; i < sent_count; i++) {
        if (sent[i].symbol) {
            assert_int_equal(sent[i].msg.id.sbn, seen / 11);
            assert_int_equal(sent[i].msg.id.esi, seen % 11);
            assert_int_equal(sent[i].msg.id.block_len, 8);
            seen++;
        }
    }
    assert_int_equal(seen, 4 * 11);
    norm_sender_free(s);
}

/* Checks RFC5740 5.1, 5.5.2.1, 4.2.3.4. */
static void probes_begin_at_once(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s;
    const struct sent *before = NULL;
    unsigned probes = 0;

    (void)state;
    c.cc_probe_rate = true;
    c.hold = CP_TIME_NEVER;
    s = start(&c);
    run(s, CP_SEC, 3 * CP_SEC);
    assert_true(is_command(&sent[0], NORM_CMD_CC));
    assert_int_equal(sent[0].at, CP_SEC);
    for (unsigned i = 0; i < sent_count; i++) {
        if (!is_command(&sent[i], NORM_CMD_CC)) {
            continue;
        }
        assert_true(sent[i].msg.ext.has_rate);
        if (before != NULL) {
            assert_int_equal(sent[i].msg.cc_sequence, (uint16_t)(before->msg.cc_sequence + 1));
            assert_true(sent[i].at > before->at && sent[i].at <= before->at + 30 * CP_SEC);
        }
        before = &sent[i];
        probes++;
    }
    assert_true(probes >= 4);
    norm_sender_free(s);
}

/* Checks RFC5740 4.2.3.1, 5.1. */
static void flushes_end_the_pass(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = start(&c);
    struct norm_sender_stats stats;
    cp_time before = 0;
    unsigned flushes = 0;

    (void)state;
    run(s, CP_SEC, 30 * CP_SEC);
    for (unsigned i = 0; i < sent_count; i++) {
        if (!is_command(&sent[i], NORM_CMD_FLUSH)) {
            assert_true(!sent[i].symbol || flushes == 0);
            continue;
        }
        assert_int_equal(sent[i].msg.object_id, OBJECT);
        assert_int_equal(sent[i].msg.id.sbn, 3);
        assert_int_equal(sent[i].msg.id.esi, 7);
        assert_true(flushes == 0 ||
                    sent[i].at >= before + 2 * norm_rtt_unquantize(sent[i].msg.grtt));
        before = sent[i].at;
        flushes++;
    }
    assert_int_equal(flushes, c.robust_factor);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.state, NORM_SENDER_IDLE);
    norm_sender_free(s);
}

/* Checks RFC5740 5.5.4, RFC5401 3.8, 3.7.4. */
static void group_size_and_grtt_are_told(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s = start(&c);

    (void)state;
    run(s, CP_SEC, CP_SEC + CP_MSEC);
    norm_sender_set_gsize(s, 400);
    norm_sender_set_backoff(s, 6);
    run(s, CP_SEC + CP_MSEC, 2 * CP_SEC);
    for (unsigned i = 0; i < sent_count; i++) {
        const struct norm_msg *m = &sent[i].msg;

        assert_int_equal(norm_gsize_unquantize(m->gsize), sent[i].at < CP_SEC + CP_MSEC ? 10 : 500);
        assert_true(norm_rtt_unquantize(m->grtt) >= c.grtt);
        assert_int_equal(m->backoff, sent[i].at < CP_SEC + CP_MSEC ? c.backoff : 6);
    }
    norm_sender_free(s);
}

/* Checks RFC5740 5, 5.4, 5.4.2. */
static void repair_rewinds(void **state)
{
    struct norm_sender_config c = sender_config();
    struct norm_sender *s;
    struct packet p;
    unsigned first;

    (void)state;
    c.rate_bps = 1000000; /* 2 ms for two packets: the pass is under way */
    s = start(&c);
    run(s, CP_SEC, CP_SEC + 15 * CP_MSEC);
    first = sent_count;
    assert_true(sent[first - 1].msg.id.sbn > 0);
    p = nack(NORM_REPAIR_ITEMS, NORM_REPAIR_SEGMENT, 0, 8, 0, 8);
    assert_int_equal(norm_sender_on_packet(s, CP_SEC + 15 * CP_MSEC, p.data, p.size), CP_OK);
    run(s, CP_SEC + 15 * CP_MSEC, CP_SEC + 40 * CP_MSEC);
    while (first < sent_count && !sent[first].symbol) {
        first++;
    }
    assert_true(first < sent_count);
    assert_int_equal(sent[first].msg.id.sbn, 0);
    assert_int_equal(sent[first].msg.id.esi, 8); /* fresh parity */
    assert_true((sent[first].msg.flags & NORM_FLAG_REPAIR) != 0);
    assert_true(sent[first + 1].msg.id.sbn > 0); /* and on with what is new */
    assert_true((sent[first + 1].msg.flags & NORM_FLAG_REPAIR) == 0);
    norm_sender_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_has_the_next_sequence_number),
        cmocka_unit_test(info_comes_first_and_all_say_what_the_object_is),
        cmocka_unit_test(parity_follows_its_block),
        cmocka_unit_test(probes_begin_at_once),
        cmocka_unit_test(flushes_end_the_pass),
        cmocka_unit_test(group_size_and_grtt_are_told),
        cmocka_unit_test(repair_rewinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
