/* SPDX-License-Identifier: Apache-2.0
 * Sender: every decision is told, once, with cause and figures. Receivers are paths here, which answer
 * each probe with what they got of what was sent. */
#include "core.h"

#include "multicast/norm/sender_state.h"

#define K       8u
#define P       4u
#define PATHS   4u
#define REASONS (NORM_REASON_WISH + 1u)

static struct norm_txbuf tx;
static uint8_t tx_data[NORM_TX_PACKETS_MAX * 256];

/* Of the test that runs; of all of them. */
static struct norm_trace latest[NORM_TRACE_KINDS][REASONS];
static unsigned told[NORM_TRACE_KINDS][REASONS];
static unsigned ever[NORM_TRACE_KINDS];

static void keep(void *arg, const struct norm_trace *t)
{
    (void)arg;
    assert_true(t->kind < NORM_TRACE_KINDS && t->reason < REASONS);
    latest[t->kind][t->reason] = *t;
    told[t->kind][t->reason]++;
    ever[t->kind]++;
}

struct path {
    uint64_t capacity_bps;
    double loss;
    bool slow, deaf;
};

struct world {
    struct norm_sender *sender;
    cp_time now;
    uint16_t answered;
    struct path path[PATHS];
};

static struct norm_sender_config config_of(enum norm_rate_mode mode, unsigned blocks)
{
    struct norm_sender_config c = sender_config();

    c.fti.object_size = (uint64_t)blocks * K * SEGMENT;
    c.rate_bps = 10000000;
    c.rate_mode = mode;
    c.rate_floor_bps = 100000;
    c.cc_probe_rate = true;
    c.trace = keep;
    return c;
}

static void begin(struct world *w, const struct norm_sender_config *c)
{
    *w = (struct world){0};
    memset(told, 0, sizeof(told));
    tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof(tx_data)};
    assert_int_equal(norm_sender_new(c, 0, &w->sender), CP_OK);
    for (unsigned i = 0; i < PATHS; i++) {
        w->path[i].capacity_bps = UINT64_C(1000000000);
    }
}

static void answer(struct world *w, unsigned i)
{
    const struct norm_sent *sent = &w->sender->control.sent[w->answered % NORM_SENT_SLOTS];
    const struct path *path = &w->path[i];
    double got = (double)sent->bps * (1.0 - path->loss);
    struct norm_msg msg = nack_msg();
    struct packet p = {0};

    got = got < (double)path->capacity_bps ? got : (double)path->capacity_bps;
    msg.type = NORM_ACK;
    msg.ack_type = NORM_ACK_CC;
    msg.source_id = NODE + i;
    msg.ext.has_cc = true;
    msg.ext.cc.sequence = w->answered;
    msg.ext.cc.loss = norm_loss_quantize(sent->bps > 0 ? 1.0 - got / (double)sent->bps : 0.0);
    msg.ext.cc.rate = norm_rate_quantize(got / 8.0);
    if (w->sender->config.rate_mode == NORM_RATE_TFMCC) {
        msg.ext.cc.flags = path->loss > 0.0 ? 0 : NORM_CC_START;
        msg.ext.cc.rate = norm_rate_quantize(path->loss > 0.0 ? got / 8.0 : got / 4.0);
    } else {
        msg.ext.cc.flags = NORM_CC_PLAIN | (path->slow ? NORM_CC_SLOW : 0);
        msg.ext.cc.rtt = 1;
    }
    p.size = norm_encode(&msg, p.data, sizeof(p.data));
    assert_true(p.size > 0);
    assert_int_equal(norm_sender_on_packet(w->sender, w->now, p.data, p.size), CP_OK);
}

static void run(struct world *w, cp_time time)
{
    cp_time until = w->now + time;

    while (w->now < until) {
        norm_sender_on_timer(w->sender, w->now);
        norm_sender_fill(w->sender, w->now, &tx);
        if (tx.count == 0) {
            w->now += CP_MSEC / 4;
        }
        while (w->sender->cc_sequence > 0 &&
               (int16_t)(w->answered - (w->sender->cc_sequence - 1)) < 0) {
            w->answered++;
            for (unsigned i = 0; i < PATHS; i++) {
                if (!w->path[i].deaf) {
                    answer(w, i);
                }
            }
        }
    }
}

/* Blocks a … b as a whole, or parity of one. */
static void ask(struct world *w, uint32_t node, uint8_t flags, uint32_t a, uint32_t b)
{
    struct packet p = nack(NORM_REPAIR_RANGES, flags, a, 0, b, K + P - 1);

    for (unsigned i = 0; i < 4; i++) {
        p.data[4 + i] = (uint8_t)(node >> (24 - 8 * i));
    }
    assert_int_equal(norm_sender_on_packet(w->sender, w->now, p.data, p.size), CP_OK);
}

static const struct norm_trace *once(enum norm_trace_kind kind, enum norm_reason reason)
{
    assert_int_equal(told[kind][reason], 1);
    return &latest[kind][reason];
}

static void a_trial_and_its_verdict(void **state)
{
    const struct norm_sender_config c = config_of(NORM_RATE_LAN, 20000);
    const struct norm_trace *start, *end;
    struct world w;

    (void)state;
    begin(&w, &c);
    run(&w, CP_SEC);
    assert_int_equal(told[NORM_TRACE_LIMIT][NORM_REASON_START], 0);
    w.path[1].capacity_bps = 4000000;
    run(&w, 450 * CP_MSEC);
    start = once(NORM_TRACE_LIMIT, NORM_REASON_START);
    end = once(NORM_TRACE_LIMIT, NORM_REASON_CONGESTION);
    assert_int_equal(start->node_id, NODE + 1);
    assert_int_equal(start->before, 0);
    assert_in_range(start->after, 2700000, 2900000); /* shares its path with somebody new */
    assert_in_range((uint64_t)(start->loss * 100.0), 55, 65);
    assert_int_equal(end->node_id, NODE + 1);
    assert_int_equal(end->before, start->after);
    assert_in_range(end->after, 2700000, 2900000);
    assert_true(told[NORM_TRACE_RATE][NORM_REASON_CONGESTION] > 0);
    /* Not heard of for long it has no limit any more. */
    w.path[1].deaf = true;
    run(&w, 4 * CP_SEC);
    end = once(NORM_TRACE_LIMIT, NORM_REASON_SILENCE);
    assert_int_equal(end->after, 0);
    norm_sender_free(w.sender);
}

static void loss_that_is_random(void **state)
{
    const struct norm_sender_config c = config_of(NORM_RATE_LAN, 20000);
    const struct norm_trace *t;
    struct world w;

    (void)state;
    begin(&w, &c);
    run(&w, CP_SEC);
    w.path[2].loss = 0.1;
    run(&w, 2 * CP_SEC);
    t = once(NORM_TRACE_LIMIT, NORM_REASON_RANDOM);
    assert_int_equal(t->node_id, NODE + 2);
    assert_int_equal(t->after, 0);
    assert_in_range((uint64_t)(t->loss * 1000.0), 95, 105);
    norm_sender_free(w.sender);
}

static void buffers_that_fill(void **state)
{
    const struct norm_sender_config c = config_of(NORM_RATE_LAN, 20000);
    const struct norm_trace *t;
    struct world w;

    (void)state;
    begin(&w, &c);
    run(&w, CP_SEC);
    w.path[3].slow = true;
    run(&w, 100 * CP_MSEC);
    t = once(NORM_TRACE_LIMIT, NORM_REASON_SLOW);
    assert_int_equal(t->node_id, NODE + 3);
    assert_int_equal(t->before, 0);
    assert_true(t->after > 0 && t->after < c.rate_bps);
    w.path[3].slow = false;
    run(&w, 100 * CP_MSEC);
    t = once(NORM_TRACE_LIMIT, NORM_REASON_ROOM);
    assert_true(t->before > 0);
    norm_sender_free(w.sender);
}

static void who_has_no_say(void **state)
{
    struct norm_sender_config c = config_of(NORM_RATE_LAN, 20000);
    const struct norm_trace *t;
    struct world w;

    (void)state;
    c.slow_share = 0.25;
    begin(&w, &c);
    run(&w, CP_SEC);
    w.path[0].capacity_bps = 1000000;
    run(&w, CP_SEC);
    t = once(NORM_TRACE_OUTLIER, NORM_REASON_SLOW);
    assert_int_equal(t->node_id, NODE);
    assert_in_range(t->before, 8000000, 10500000);
    assert_in_range(t->after, 900000, 1100000);
    w.path[0].capacity_bps = UINT64_C(1000000000);
    run(&w, 2 * CP_SEC);
    t = once(NORM_TRACE_OUTLIER, NORM_REASON_ROOM);
    assert_int_equal(t->node_id, NODE);
    assert_true(t->after > t->before * 7 / 10);
    norm_sender_free(w.sender);
}

/* Checks RFC5740 5.5.2.3. */
static void who_limits_the_rate(void **state)
{
    const struct norm_sender_config c = config_of(NORM_RATE_TFMCC, 2000);
    const struct norm_trace *t;
    struct world w;

    (void)state;
    begin(&w, &c);
    run(&w, 3 * CP_SEC);
    assert_true(told[NORM_TRACE_CLR][NORM_REASON_START] > 0);
    assert_int_equal(told[NORM_TRACE_CLR][NORM_REASON_TFMCC], 0);
    w.path[2].loss = 0.1;
    run(&w, CP_SEC);
    assert_true(told[NORM_TRACE_CLR][NORM_REASON_TFMCC] > 0);
    t = &latest[NORM_TRACE_CLR][NORM_REASON_TFMCC];
    assert_int_equal(t->node_id, NODE + 2);
    assert_int_equal(t->after, NODE + 2);
    assert_int_equal(told[NORM_TRACE_RATE][NORM_REASON_SILENCE], 0);
    for (unsigned i = 0; i < PATHS; i++) {
        w.path[i].deaf = true;
    }
    run(&w, CP_SEC);
    assert_true(told[NORM_TRACE_RATE][NORM_REASON_SILENCE] > 0);
    assert_int_equal(latest[NORM_TRACE_CLR][NORM_REASON_START].after, 0);
    norm_sender_set_rate(w.sender, w.now, 60000);
    t = once(NORM_TRACE_RATE, NORM_REASON_WISH);
    assert_int_equal(t->after, 60000);
    norm_sender_free(w.sender);
}

static void parity_of_all_kinds(void **state)
{
    struct norm_sender_config c = config_of(NORM_RATE_FIXED, 2000);
    struct world w;

    (void)state;
    c.auto_parity_max = P;
    begin(&w, &c);
    for (unsigned i = 0; i < PATHS; i++) {
        w.path[i].loss = 0.02;
    }
    run(&w, 500 * CP_MSEC);
    for (unsigned kind = NORM_TRACE_PARITY; kind <= NORM_TRACE_PARITY_ALONE; kind++) {
        assert_true(told[kind][NORM_REASON_RANDOM] > 0);
        assert_in_range((uint64_t)(latest[kind][NORM_REASON_RANDOM].loss * 1000.0), 18, 22);
    }
    assert_int_equal(latest[NORM_TRACE_PARITY][NORM_REASON_RANDOM].after, w.sender->protection.now);
    assert_int_equal(latest[NORM_TRACE_PARITY_LAST][NORM_REASON_RANDOM].after,
                     w.sender->protection.last);
    assert_int_equal(latest[NORM_TRACE_PARITY_ALONE][NORM_REASON_RANDOM].after,
                     w.sender->protection.alone);
    norm_sender_free(w.sender);
}

static void requests_that_wait(void **state)
{
    struct norm_sender_config c = config_of(NORM_RATE_FIXED, 2000);
    const struct norm_trace *t;
    struct world w;

    (void)state;
    c.live_window = 100 * CP_MSEC;
    begin(&w, &c);
    run(&w, 500 * CP_MSEC);
    ask(&w, NODE, NORM_REPAIR_BLOCK, 10, 49);
    t = once(NORM_TRACE_DEFER, NORM_REASON_NONE);
    assert_int_equal(t->node_id, NODE);
    assert_int_equal(t->before, 10);
    assert_int_equal(t->after, 49);
    ask(&w, NODE, NORM_REPAIR_BLOCK, 10, 49); /* nothing new */
    assert_int_equal(told[NORM_TRACE_DEFER][NORM_REASON_NONE], 1);
    /* A few symbols of long ago, again and again. */
    for (uint32_t i = 0; i < 3; i++) {
        ask(&w, NODE + 1, NORM_REPAIR_SEGMENT, 5 + i, 5 + i);
        run(&w, 20 * CP_MSEC);
    }
    assert_int_equal(told[NORM_TRACE_DEFER][NORM_REASON_NONE], 2);
    assert_int_equal(t->node_id, 0);
    assert_int_equal(t->before, 5);
    assert_true(t->after > 50);
    run(&w, 3 * CP_SEC);
    assert_true(told[NORM_TRACE_PASS][NORM_REASON_NONE] > 0);
    assert_int_equal(latest[NORM_TRACE_PASS][NORM_REASON_NONE].before, 40);
    assert_true(told[NORM_TRACE_STATE][NORM_REASON_NONE] >= 2);
    norm_sender_free(w.sender);
}

/* First its NACKs wait, then they are not served any more. */
static void who_asks_for_too_much(void **state)
{
    struct norm_sender_config c = config_of(NORM_RATE_FIXED, 600);
    const struct norm_trace *t;
    struct world w;

    (void)state;
    c.budget = true;
    c.rate_bps = 1000000;
    c.backoff = 4;
    begin(&w, &c);
    while (told[NORM_TRACE_BUDGET][NORM_REASON_NONE] == 0 && w.now < 12 * CP_SEC) {
        run(&w, 10 * CP_MSEC);
        for (uint32_t i = 0; i < 8 && w.sender->next_block > 8; i++) {
            uint32_t sbn = w.sender->next_block - 1 - i;

            ask(&w, NODE + 3, NORM_REPAIR_SEGMENT, sbn, sbn);
        }
    }
    t = once(NORM_TRACE_BUDGET, NORM_REASON_NONE);
    assert_int_equal(t->node_id, NODE + 3);
    assert_true(t->after > t->before);
    t = once(NORM_TRACE_WAIT, NORM_REASON_NONE);
    assert_int_equal(t->node_id, NODE + 3);
    assert_int_equal(t->before, 0);
    assert_int_equal(t->after, 1);
    norm_sender_free(w.sender);
}

static void a_longer_grtt(void **state)
{
    const struct norm_sender_config c = config_of(NORM_RATE_FIXED, 1000);
    struct world w;

    (void)state;
    begin(&w, &c);
    run(&w, 50 * CP_MSEC);
    norm_grtt_sample(&w.sender->grtt, 90 * CP_MSEC, 1);
    run(&w, 5 * CP_MSEC);
    assert_true(once(NORM_TRACE_GRTT, NORM_REASON_NONE)->after >= 90 * CP_MSEC);
    norm_sender_free(w.sender);
}

/* A kind that no test above saw is told by nobody, or tested by nobody. */
static void every_kind_was_told(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NORM_TRACE_KINDS; i++) {
        const char *name = norm_trace_kind_name((enum norm_trace_kind)i);

        if (ever[i] == 0) {
            fail_msg("nobody was told of \"%s\"", name);
        }
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(name, norm_trace_kind_name((enum norm_trace_kind)j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trial_and_its_verdict), cmocka_unit_test(loss_that_is_random),
        cmocka_unit_test(buffers_that_fill),       cmocka_unit_test(who_has_no_say),
        cmocka_unit_test(who_limits_the_rate),     cmocka_unit_test(parity_of_all_kinds),
        cmocka_unit_test(requests_that_wait),      cmocka_unit_test(who_asks_for_too_much),
        cmocka_unit_test(a_longer_grtt),           cmocka_unit_test(every_kind_was_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
