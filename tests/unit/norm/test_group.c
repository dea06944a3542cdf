/* SPDX-License-Identifier: Apache-2.0
 * A group that grows while the sender is at work: what it is told of its size bounds its feedback.
 * A sender and all receivers in one loop, without loss or delay. */
#include "core.h"

#include "multicast/norm/profile.h"

#define GROUP 200u
#define STEP  (500 * CP_USEC)

struct world {
    struct norm_sender *sender;
    struct norm_receiver *receiver[GROUP];
    cp_time now;
};

static struct norm_txbuf tx;
static uint8_t tx_data[NORM_TX_PACKETS_MAX * 256];

static void begin(struct world *w)
{
    struct norm_sender_config c = sender_config();
    struct norm_receiver_config rc = receiver_config();

    c.fti.object_size = (uint64_t)4000 * 8 * SEGMENT;
    c.rate_bps = 5000000;
    c.rate_mode = NORM_RATE_LAN;
    c.cc_probe_rate = true;
    c.backoff = 4;
    c.gsize = 1;
    c.robust_factor = 20;
    rc.fti = c.fti;
    rc.robust_factor = 20;
    *w = (struct world){.now = 0};
    assert_int_equal(norm_sender_new(&c, 0, &w->sender), CP_OK);
    for (uint32_t i = 0; i < GROUP; i++) {
        rc.node_id = NODE + i;
        rc.seed = i;
        assert_int_equal(norm_receiver_new(&rc, 0, &w->receiver[i]), CP_OK);
    }
}

static void end(struct world *w)
{
    norm_sender_free(w->sender);
    for (uint32_t i = 0; i < GROUP; i++) {
        norm_receiver_free(w->receiver[i]);
    }
}

static void send_all(struct world *w)
{
    static uint8_t symbol[SEGMENT];
    struct norm_rx rx;

    for (norm_sender_fill(w->sender, w->now, &tx); tx.count > 0;
         norm_sender_fill(w->sender, w->now, &tx)) {
        for (unsigned i = 0; i < tx.count; i++) {
            uint8_t *pkt = tx.data + (size_t)i * tx.stride;
            size_t size = i + 1 < tx.count ? tx.stride : tx.size - (size_t)i * tx.stride;

            if (tx.packet[i].kind != NORM_TX_CONTROL) {
                memcpy(pkt + tx.packet[i].payload_offset, symbol, tx.packet[i].payload_size);
            }
            for (unsigned n = 0; n < GROUP; n++) {
                assert_int_equal(norm_receiver_on_packet(w->receiver[n], w->now, pkt, size, &rx),
                                 CP_OK);
            }
        }
    }
}

/* Runs until then; returns the feedback messages that the sender got. */
static unsigned run(struct world *w, cp_time until)
{
    unsigned count = 0;

    for (; w->now < until; w->now += STEP) {
        norm_sender_on_timer(w->sender, w->now);
        send_all(w);
        for (unsigned n = 0; n < GROUP; n++) {
            if (norm_receiver_next_time(w->receiver[n]) > w->now) {
                continue;
            }
            norm_receiver_on_timer(w->receiver[n], w->now);
            norm_receiver_fill(w->receiver[n], w->now, &tx);
            if (tx.count > 0) {
                count++;
                assert_int_equal(norm_sender_on_packet(w->sender, w->now, tx.data, tx.size), CP_OK);
            }
        }
    }
    return count;
}

/* Checks RFC5740 5.5.4. */
static void feedback_of_a_grown_group_is_bounded(void **state)
{
    static struct world w;

    (void)state;
    tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof(tx_data)};
    begin(&w);
    (void)run(&w, CP_SEC);
    /* All of a group that is told to be a handful answer every probe. */
    unsigned a = run(&w, 2 * CP_SEC);
    print_message("A %u\n", a);
    assert_true(a > 10 * GROUP);
    norm_sender_set_gsize(w.sender, GROUP);
    norm_sender_set_backoff(w.sender, 6);
    (void)run(&w, 2 * CP_SEC + 300 * CP_MSEC); /* the next probes */
    assert_true(run(&w, 3 * CP_SEC + 300 * CP_MSEC) < GROUP);
    end(&w);
}

/* K as docs/norm.md section 6.3 has it; with ids and an object the profile makes a sender. */
static void the_profile_fits_the_group(void **state)
{
    const struct norm_sender_config mine = sender_config();
    struct norm_sender_config c = norm_profile_sender(51);
    struct norm_sender *s = NULL;

    (void)state;
    assert_int_equal(norm_profile_sender(1).backoff, 4);
    assert_int_equal(norm_profile_sender(50).backoff, 4);
    assert_int_equal(c.backoff, 6);
    assert_int_equal(c.gsize, 51);
    c.node_id = mine.node_id;
    c.instance_id = mine.instance_id;
    c.fec_id = mine.fec_id;
    c.fti = mine.fti;
    c.rate_bps = mine.rate_bps;
    assert_int_equal(norm_sender_new(&c, 0, &s), CP_OK);
    norm_sender_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feedback_of_a_grown_group_is_bounded),
        cmocka_unit_test(the_profile_fits_the_group),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
