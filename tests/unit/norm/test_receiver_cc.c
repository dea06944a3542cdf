/* SPDX-License-Identifier: Apache-2.0
 * Receiver: when it answers probes of a sender with RFC 5740's congestion control, and requests for
 * acknowledgements of the application's own. */
#include "core.h"

#define GRTT  (100 * CP_MSEC)
#define K     4u
#define SEEDS 50u

static struct norm_txbuf tx;
static uint8_t tx_data[512];

static struct norm_receiver *make(uint64_t seed)
{
    struct norm_receiver_config c = receiver_config();
    struct norm_receiver *r = NULL;

    c.seed = seed;
    assert_int_equal(norm_receiver_new(&c, 0, &r), CP_OK);
    tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof(tx_data)};
    return r;
}

/* A probe that asks for rates of a group of 1000, with a list of nodes; 0: empty. */
static void probe(struct norm_receiver *r, cp_time now, uint16_t sequence, uint32_t node,
                  uint8_t flags)
{
    struct norm_cc_node item = {.node_id = node, .flags = flags, .rate = norm_rate_quantize(1e3)};
    struct norm_msg msg = {.type = NORM_CMD,
                           .cmd = NORM_CMD_CC,
                           .source_id = SENDER,
                           .instance_id = 9,
                           .grtt = norm_rtt_quantize(GRTT),
                           .backoff = K,
                           .gsize = norm_gsize_quantize(1000),
                           .cc_sequence = sequence};
    uint8_t list[NORM_CC_NODE_SIZE];
    struct packet p = {0};
    struct norm_rx rx;

    msg.ext.has_rate = true;
    norm_cc_node_put(list, 0, &item);
    msg.payload = list;
    msg.payload_size = node == 0 ? 0 : sizeof(list);
    p.size = norm_encode(&msg, p.data, sizeof(p.data));
    assert_true(p.size > 0);
    assert_int_equal(norm_receiver_on_packet(r, now, p.data, p.size, &rx), CP_OK);
}

/* The ACK(CC) that is due now; false: none. */
static bool answer(struct norm_receiver *r, cp_time now, struct norm_msg *ret_msg)
{
    norm_receiver_on_timer(r, now);
    norm_receiver_fill(r, now, &tx);
    if (tx.count == 0) {
        return false;
    }
    assert_int_equal(norm_decode(tx.data, tx.size, ret_msg), CP_OK);
    assert_int_equal(ret_msg->type, NORM_ACK);
    assert_int_equal(ret_msg->ack_type, NORM_ACK_CC);
    return true;
}

/* Probes once per GRTT for so long, steps of a tenth; time of the first answer, NEVER: none. */
static cp_time first_answer(struct norm_receiver *r, unsigned probes, uint32_t node, uint8_t flags,
                            struct norm_msg *ret_msg)
{
    for (unsigned i = 0; i < probes * 10; i++) {
        cp_time now = CP_SEC + i * GRTT / 10;

        if (i % 10 == 0) {
            probe(r, now, (uint16_t)(i / 10), node, flags);
        }
        if (answer(r, now, ret_msg)) {
            return now - CP_SEC;
        }
    }
    return CP_TIME_NEVER;
}

/* Nobody has answered yet, so we do, within the longest back-off, however large the sender takes
 * the group for; the answer is to the newest probe. Checks RFC5740 5.5.2.2. */
static void an_unheard_group_is_heard(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct norm_receiver *r = make(seed);
        struct norm_msg msg;
        cp_time at = first_answer(r, K + 2, 0, 0, &msg);

        assert_true(at <= (K + 1) * GRTT);
        assert_int_equal(msg.ext.cc.sequence, at / GRTT);
        norm_receiver_free(r);
    }
}

/* Once somebody limits the pace hardly anyone else answers. Checks RFC5740 5.5.2.2. */
static void others_are_held_back(void **state)
{
    unsigned answers = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct norm_receiver *r = make(seed);
        struct norm_msg msg;

        answers += first_answer(r, K + 2, NODE + 1, NORM_CC_CLR, &msg) != CP_TIME_NEVER;
        norm_receiver_free(r);
    }
    assert_in_range(answers, 0, SEEDS / 10);
}

/* Who limits the pace answers each probe at once. Checks RFC5740 5.5.2.2. */
static void the_limiting_receiver_answers_at_once(void **state)
{
    struct norm_receiver *r = make(1);
    struct norm_msg msg;

    (void)state;
    for (uint16_t i = 0; i < 5; i++) {
        cp_time now = CP_SEC + i * GRTT;

        probe(r, now, i, NODE, NORM_CC_CLR);
        assert_true(answer(r, now, &msg));
        assert_int_equal(msg.ext.cc.sequence, i);
        assert_false(answer(r, now, &msg));
    }
    norm_receiver_free(r);
}

static void request(struct norm_receiver *r, cp_time now, uint8_t type, uint8_t id, uint32_t node)
{
    const uint8_t list[8] = {0, 0, 0, 99, 0, 0, 0, (uint8_t)node};
    struct norm_msg msg = {.type = NORM_CMD,
                           .cmd = NORM_CMD_ACK_REQ,
                           .source_id = SENDER,
                           .instance_id = 9,
                           .grtt = norm_rtt_quantize(GRTT),
                           .backoff = K,
                           .ack_type = type,
                           .ack_id = id,
                           .payload = list,
                           .payload_size = sizeof(list)};
    struct packet p = {0};
    struct norm_rx rx;

    p.size = norm_encode(&msg, p.data, sizeof(p.data));
    assert_true(p.size > 0);
    assert_int_equal(norm_receiver_on_packet(r, now, p.data, p.size, &rx), CP_OK);
}

/* Once per request, at any time within a GRTT. Checks RFC5740 4.2.3.6, 5.5.3. */
static void a_listed_receiver_acknowledges(void **state)
{
    unsigned early = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct norm_receiver *r = make(seed);
        struct norm_msg msg;
        cp_time at;

        request(r, CP_SEC, 16, 3, NODE);
        at = norm_receiver_next_time(r);
        assert_in_range(at, CP_SEC, CP_SEC + norm_rtt_unquantize(norm_rtt_quantize(GRTT)));
        early += at < CP_SEC + GRTT / 2;
        request(r, CP_SEC, 16, 3, NODE); /* repeated: the same answer */
        assert_int_equal(norm_receiver_next_time(r), at);
        norm_receiver_fill(r, at, &tx);
        assert_int_equal(tx.count, 1);
        assert_int_equal(norm_decode(tx.data, tx.size, &msg), CP_OK);
        assert_int_equal(msg.type, NORM_ACK);
        assert_int_equal(msg.ack_type, 16);
        assert_int_equal(msg.ack_id, 3);
        assert_int_equal(msg.payload_size, 0);
        norm_receiver_fill(r, at + GRTT, &tx);
        assert_int_equal(tx.count, 0);
        norm_receiver_free(r);
    }
    assert_in_range(early, SEEDS / 4, SEEDS * 3 / 4);
}

/* Others' requests, and types that are the protocol's own. */
static void other_requests_are_not_answered(void **state)
{
    struct norm_receiver *r = make(1);

    (void)state;
    request(r, CP_SEC, 16, 3, NODE + 1);
    for (uint8_t type = 0; type < 16; type++) {
        request(r, CP_SEC, type, 3, NODE);
    }
    norm_receiver_fill(r, CP_SEC + 2 * GRTT, &tx);
    assert_int_equal(tx.count, 0);
    request(r, CP_SEC, 255, 4, NODE);
    norm_receiver_fill(r, CP_SEC + 2 * GRTT, &tx);
    assert_int_equal(tx.count, 1);
    norm_receiver_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unheard_group_is_heard),
        cmocka_unit_test(others_are_held_back),
        cmocka_unit_test(the_limiting_receiver_answers_at_once),
        cmocka_unit_test(a_listed_receiver_acknowledges),
        cmocka_unit_test(other_requests_are_not_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
