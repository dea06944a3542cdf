/* SPDX-License-Identifier: Apache-2.0
 * Sender: parity that follows reports, receivers that ask for too much, order of the second pass.
 * Looks into the sender for what reports would leave there. */
#include "core.h"

#include "multicast/norm/sender_state.h"

#define BLOCKS 600u
#define K      8u
#define P      4u
#define OTHER  200u

static struct norm_txbuf tx;
static uint8_t tx_data[NORM_TX_PACKETS_MAX * 256];
static struct norm_trace traced[8]; /* of parity and budgets */
static struct norm_trace steps[8];  /* of state, GRTT and second pass */
static unsigned traces, step_count;

static void keep_trace(void *arg, const struct norm_trace *t)
{
    (void)arg;
    if ((t->kind == NORM_TRACE_PARITY || t->kind == NORM_TRACE_BUDGET) && traces < 8) {
        traced[traces++] = *t;
    }
    if ((t->kind == NORM_TRACE_STATE || t->kind == NORM_TRACE_GRTT || t->kind == NORM_TRACE_PASS) &&
        step_count < 8) {
        steps[step_count++] = *t;
    }
}

static struct norm_sender *make(const struct norm_sender_config *config)
{
    struct norm_sender *s = NULL;

    assert_int_equal(norm_sender_new(config, 0, &s), CP_OK);
    tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof(tx_data)};
    traces = step_count = 0;
    return s;
}

static struct norm_sender_config config_of(void)
{
    struct norm_sender_config c = sender_config();

    c.fti.object_size = (uint64_t)BLOCKS * K * SEGMENT;
    c.rate_bps = 10000000;
    c.trace = keep_trace;
    return c;
}

typedef void packet_fn(void *arg, const struct norm_tx_packet *p);

static void drain(struct norm_sender *s, cp_time *now, cp_time until, packet_fn *each, void *arg)
{
    while (*now < until) {
        norm_sender_on_timer(s, *now);
        norm_sender_fill(s, *now, &tx);
        for (unsigned i = 0; i < tx.count; i++) {
            if (tx.packet[i].kind != NORM_TX_CONTROL && each != NULL) {
                each(arg, &tx.packet[i]);
            }
        }
        if (tx.count == 0) {
            cp_time next = norm_sender_next_time(s);

            *now = next > *now && next < *now + CP_MSEC ? next : *now + CP_MSEC;
        }
    }
}

static struct norm_member *report(struct norm_sender *s, cp_time now, uint32_t node, double loss)
{
    struct norm_member *m = norm_members_heard(&s->members, now, node);

    assert_non_null(m);
    m->reported = true;
    m->reported_at = now;
    m->loss = loss;
    return m;
}

/* The request comes from that node. */
static void give(struct norm_sender *s, cp_time now, uint32_t node, uint8_t flags, uint32_t a,
                 uint32_t b)
{
    struct packet p = nack(NORM_REPAIR_RANGES, flags, a, 0, b, K + P - 1);

    p.data[4] = (uint8_t)(node >> 24);
    p.data[5] = (uint8_t)(node >> 16);
    p.data[6] = (uint8_t)(node >> 8);
    p.data[7] = (uint8_t)node;
    assert_int_equal(norm_sender_on_packet(s, now, p.data, p.size), CP_OK);
}

struct blocks {
    uint8_t sent[BLOCKS]; /* symbols */
    uint8_t latest[BLOCKS];
};

static void count_block(void *arg, const struct norm_tx_packet *p)
{
    struct blocks *b = arg;

    assert_int_equal(p->esi, b->sent[p->sbn]); /* in order, each once */
    b->sent[p->sbn]++;
}

static void parity_follows_the_reports_block_by_block(void **state)
{
    struct norm_sender_config c = config_of();
    static struct blocks b;
    struct norm_sender_stats stats;
    struct norm_sender *s;
    cp_time now = 0;
    unsigned grown = 0;

    (void)state;
    c.auto_parity = 1;
    c.auto_parity_max = 200; /* never more than P */
    c.gsize = 1000;
    s = make(&c);
    drain(s, &now, 100 * CP_MSEC, count_block, &b);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.auto_parity, 1); /* nobody reported */
    report(s, now, NODE, 0.2);
    drain(s, &now, 350 * CP_MSEC, count_block, &b);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.auto_parity, P);
    assert_true(traces >= 1);
    assert_int_equal(traced[0].kind, NORM_TRACE_PARITY);
    assert_int_equal(traced[0].node_id, NODE);
    assert_int_equal(traced[0].before, 1);
    assert_int_equal(traced[traces - 1].after, P);
    report(s, now, NODE, 0.0);
    drain(s, &now, CP_SEC, count_block, &b);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.auto_parity, 0);
    assert_int_equal(stats.next_block, BLOCKS);
    /* Every block is whole, and the sender knows what it sent of it. */
    for (uint32_t sbn = 0; sbn < BLOCKS; sbn++) {
        assert_in_range(b.sent[sbn], K, K + P);
        assert_int_equal(s->repairs.parity_sent[sbn], b.sent[sbn] - K);
        grown += b.sent[sbn] == K + P;
    }
    assert_int_equal(b.sent[0], K + 1);
    assert_int_equal(b.sent[BLOCKS - 1], K);
    assert_true(grown > 50);
    norm_sender_free(s);
}

static void fixed_parity_stays(void **state)
{
    struct norm_sender_config c = config_of();
    struct norm_sender_stats stats;
    struct norm_sender *s;
    cp_time now = 0;

    (void)state;
    c.auto_parity = 2;
    s = make(&c);
    drain(s, &now, 200 * CP_MSEC, NULL, NULL);
    report(s, now, NODE, 0.2);
    drain(s, &now, 400 * CP_MSEC, NULL, NULL);
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.auto_parity, 2);
    assert_int_equal(traces, 0);
    norm_sender_free(s);
}

/* Checks RFC5740 5.2. */
static void who_asks_for_everything_is_left_out(void **state)
{
    struct norm_sender_config c = config_of();
    struct norm_sender_stats stats, later;
    struct norm_sender *s;
    cp_time now = 0;

    (void)state;
    c.budget = true;
    c.rate_bps = 1000000; /* 3 s for the object */
    c.backoff = 4;
    s = make(&c);
    for (uint32_t node = OTHER; node < OTHER + 4; node++) {
        assert_int_equal(norm_sender_add_acker(s, node), CP_OK);
        report(s, 0, node, 0.0);
    }
    assert_int_equal(norm_sender_add_acker(s, NODE), CP_OK);
    while (now < 9 * CP_SEC) {
        drain(s, &now, now + 10 * CP_MSEC, NULL, NULL);
        norm_sender_get_stats(s, &stats);
        for (uint32_t i = 0; i < 8 && stats.next_block > 8; i++) {
            give(s, now, NODE, NORM_REPAIR_SEGMENT, stats.next_block - 1 - i,
                 stats.next_block - 1 - i);
        }
    }
    norm_sender_get_stats(s, &stats);
    assert_int_equal(stats.over_budget, 1);
    assert_int_equal(stats.acks_missing, 4);
    assert_true(stats.repair_symbols < stats.source_symbols / 2);
    assert_int_equal(traced[traces - 1].kind, NORM_TRACE_BUDGET);
    assert_int_equal(traced[traces - 1].node_id, NODE);
    assert_true(traced[traces - 1].after > traced[traces - 1].before);
    assert_true(norm_members_find(&s->members, NODE)->over_budget);
    /* From now on nothing that it asks for is sent; what others ask for is. */
    drain(s, &now, now + CP_SEC, NULL, NULL);
    norm_sender_get_stats(s, &stats);
    give(s, now, NODE, NORM_REPAIR_BLOCK, 0, BLOCKS - 1);
    give(s, now, NODE, NORM_REPAIR_SEGMENT, 5, 5);
    drain(s, &now, now + CP_SEC, NULL, NULL);
    norm_sender_get_stats(s, &later);
    assert_int_equal(later.repair_symbols, stats.repair_symbols);
    assert_int_equal(later.pending_blocks, 0);
    give(s, now, OTHER, NORM_REPAIR_BLOCK, 5, 5);
    drain(s, &now, now + CP_SEC, NULL, NULL);
    norm_sender_get_stats(s, &later);
    assert_true(later.repair_symbols >= stats.repair_symbols + K);
    norm_sender_free(s);
}

static void who_sets_the_pace_is_served(void **state)
{
    struct norm_sender_config c = config_of();
    struct norm_sender *s;
    struct norm_member *m;
    cp_time now = 0;

    (void)state;
    c.budget = true;
    s = make(&c);
    drain(s, &now, 100 * CP_MSEC, NULL, NULL);
    for (uint32_t node = OTHER; node < OTHER + 4; node++) {
        report(s, now, node, 0.0);
    }
    m = report(s, now, NODE, 0.5);
    drain(s, &now, 250 * CP_MSEC, NULL, NULL);
    norm_sender_charge(s, now, m, 2000);
    assert_true(norm_sender_refuses(s, now, m));
    s->control.setter = NODE;
    assert_false(norm_sender_refuses(s, now, m));
    norm_sender_free(s);
}

struct order {
    uint32_t sbn[BLOCKS];
    unsigned count;
};

static void note_order(void *arg, const struct norm_tx_packet *p)
{
    struct order *o = arg;

    if (p->esi == 0 && o->count < BLOCKS) {
        o->sbn[o->count++] = p->sbn;
    }
}

/* The one that was heard first has its blocks first, though they are higher; what both want goes
 * out once. */
static void the_second_pass_serves_the_oldest_first(void **state)
{
    struct norm_sender_config c = config_of();
    static struct order o;
    struct norm_sender *s;
    cp_time now = 0;

    (void)state;
    c.backoff = 1;
    s = make(&c);
    report(s, 0, OTHER, 0.0);
    drain(s, &now, 50 * CP_MSEC, NULL, NULL);
    report(s, now, NODE, 0.0);
    while (s->next_block < BLOCKS) {
        drain(s, &now, now + 10 * CP_MSEC, NULL, NULL);
    }
    o.count = 0;
    give(s, now, NODE, NORM_REPAIR_BLOCK, 0, 99);
    give(s, now, OTHER, NORM_REPAIR_BLOCK, 50, 199);
    drain(s, &now, now + 2 * CP_SEC, note_order, &o);
    assert_int_equal(o.count, 200);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(o.sbn[i], i < 150 ? 50 + i : i - 150);
    }
    /* All sent; the pass; all sent again; nobody asks any more. */
    assert_true(step_count >= 5);
    assert_int_equal(steps[0].kind, NORM_TRACE_STATE);
    assert_int_equal(steps[0].before, NORM_SENDER_SENDING);
    assert_int_equal(steps[0].after, NORM_SENDER_FLUSHING);
    assert_int_equal(steps[1].kind, NORM_TRACE_PASS);
    assert_int_equal(steps[1].before, 200);
    assert_int_equal(steps[2].after, NORM_SENDER_SENDING);
    assert_int_equal(steps[step_count - 1].after, NORM_SENDER_IDLE);
    norm_sender_free(s);
}

static void answer(struct norm_sender *s, cp_time now, cp_time rtt)
{
    struct norm_msg msg = nack_msg();
    struct packet p = {0};
    cp_time stamp = now + NORM_STAMP_OFFSET - rtt;

    msg.type = NORM_ACK;
    msg.ack_type = NORM_ACK_CC;
    msg.time_sec = (uint32_t)(stamp / CP_SEC);
    msg.time_usec = (uint32_t)(stamp % CP_SEC / CP_USEC);
    p.size = norm_encode(&msg, p.data, sizeof(p.data));
    assert_int_equal(norm_sender_on_packet(s, now, p.data, p.size), CP_OK);
}

/* Checks RFC5740 5.5.1: whose delay is its own does not raise the GRTT of all. */
static void who_is_left_behind_slows_nobody(void **state)
{
    struct norm_sender_config c = config_of();
    struct norm_sender *s = make(&c);
    struct norm_member *m;
    cp_time now = 0, before;

    (void)state;
    drain(s, &now, 300 * CP_MSEC, NULL, NULL);
    m = report(s, now, NODE, 0.0);
    before = s->grtt.value;
    m->outlier = true;
    answer(s, now, 150 * CP_MSEC);
    assert_int_equal(s->grtt.value, before);
    m->outlier = false;
    m->over_budget = true;
    answer(s, now, 150 * CP_MSEC);
    assert_int_equal(s->grtt.value, before);
    m->over_budget = false;
    answer(s, now, 150 * CP_MSEC);
    assert_in_range(s->grtt.value, 150 * CP_MSEC, 150 * CP_MSEC + CP_USEC); /* stamps count µs */
    norm_sender_free(s);
}

/* Everybody who counts has acknowledged: who was left behind holds up no second pass. */
static void the_second_pass_waits_for_none_but_the_served(void **state)
{
    struct norm_sender_config c = config_of();
    struct norm_sender *s;
    cp_time now = 0;

    (void)state;
    c.backoff = 4;
    s = make(&c);
    assert_int_equal(norm_sender_add_acker(s, NODE), CP_OK);
    report(s, now, NODE, 0.0);
    report(s, now, OTHER, 0.0);
    while (s->state != NORM_SENDER_FLUSHING || s->flush_count == 0) {
        drain(s, &now, now + CP_MSEC, NULL, NULL);
    }
    give(s, now, NODE, NORM_REPAIR_BLOCK, 0, 99);
    s->state = NORM_SENDER_FLUSHING;
    assert_true(norm_sender_bulk_time(s) > s->flush_first); /* the other may want something */
    norm_members_find(&s->members, OTHER)->over_budget = true;
    assert_int_equal(norm_sender_bulk_time(s), s->flush_first);
    norm_members_find(&s->members, OTHER)->over_budget = false;
    s->stats.over_budget = 1; /* one that was left behind, and left: it makes up for nobody */
    assert_true(norm_sender_bulk_time(s) > s->flush_first);
    norm_sender_remove_member(s, OTHER);
    assert_int_equal(norm_sender_bulk_time(s), s->flush_first);
    norm_sender_free(s);
}

static void a_grtt_twice_as_long_is_told(void **state)
{
    struct norm_sender_config c = config_of();
    struct norm_sender *s = make(&c);
    cp_time now = 0;

    (void)state;
    drain(s, &now, 50 * CP_MSEC, NULL, NULL);
    assert_int_equal(step_count, 0);
    norm_grtt_sample(&s->grtt, 15 * CP_MSEC, 1);
    drain(s, &now, 60 * CP_MSEC, NULL, NULL);
    assert_int_equal(step_count, 0);
    norm_grtt_sample(&s->grtt, 40 * CP_MSEC, 1);
    drain(s, &now, 70 * CP_MSEC, NULL, NULL);
    assert_int_equal(step_count, 1);
    assert_int_equal(steps[0].kind, NORM_TRACE_GRTT);
    assert_true(steps[0].after >= 40 * CP_MSEC && steps[0].before < 20 * CP_MSEC);
    norm_sender_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parity_follows_the_reports_block_by_block),
        cmocka_unit_test(fixed_parity_stays),
        cmocka_unit_test(who_asks_for_everything_is_left_out),
        cmocka_unit_test(who_sets_the_pace_is_served),
        cmocka_unit_test(the_second_pass_serves_the_oldest_first),
        cmocka_unit_test(who_is_left_behind_slows_nobody),
        cmocka_unit_test(the_second_pass_waits_for_none_but_the_served),
        cmocka_unit_test(a_grtt_twice_as_long_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
