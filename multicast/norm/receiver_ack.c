/* SPDX-License-Identifier: Apache-2.0
 * Receiver: ACK(FLUSH) and ACK(CC) (RFC 5740 sections 5.5.2.2 and 5.5.3). Pure. */
#include "multicast/norm/backoff.h"
#include "multicast/norm/receiver_state.h"

#define CC_BACKOFF_LEAST 4u             /* RFC5740 5.5.2.2: max(K, 4) GRTT */
#define CC_SPACING_LEAST (10 * CP_MSEC) /* between two ACK(CC) of ours */
#define LOSS_GAIN        0.5

/* RFC5740 5.5.3: "receivers will not ACK until they have received complete transmission of all
 * data up to and including the given watermark transmission point", and answer "randomly, with a
 * uniform distribution, [...] over a time window of (1*GRTT_sender)" */
void norm_receiver_want_flush_ack(struct norm_receiver *r, cp_time now, const struct norm_msg *msg)
{
    uint32_t gap = norm_bitset_next_gap(&r->store.complete, r->store.low);

    if (r->config.silent || gap <= msg->id.sbn || norm_receiver_needs_info(r)) {
        return;
    }
    r->watermark = (struct norm_watermark){msg->fec_id, msg->object_id, msg->id};
    if (r->flush_ack_at == CP_TIME_NEVER) {
        r->flush_ack_at = now + (r->backoff == 0 ? 0 : norm_backoff_uniform(&r->prng, r->grtt));
    }
}

/* Rate and loss since the last probe. */
static void measure(struct norm_receiver *r, cp_time now)
{
    uint64_t expected = r->stats.symbols_expected - r->probe_expected;

    if (r->probed && now > r->probe_heard) {
        r->rate = (double)(r->stats.bytes - r->probe_bytes) * (double)CP_SEC /
                  (double)(now - r->probe_heard);
    }
    if (expected > 0) {
        uint64_t lost =
            r->stats.symbols_lost > r->probe_lost ? r->stats.symbols_lost - r->probe_lost : 0;
        double sample = (double)lost / (double)expected;

        r->loss += ((sample > 1.0 ? 1.0 : sample) - r->loss) * LOSS_GAIN;
    }
    r->probe_bytes = r->stats.bytes;
    r->probe_lost = r->stats.symbols_lost;
    r->probe_expected = r->stats.symbols_expected;
}

static bool limiting(const struct norm_receiver *r, const struct norm_msg *msg)
{
    struct norm_cc_node node;

    for (size_t i = 0; norm_cc_node_get(msg, i, &node); i++) {
        if (node.node_id == r->config.node_id) {
            return (node.flags & (NORM_CC_CLR | NORM_CC_PLR)) != 0;
        }
    }
    return false;
}

void norm_receiver_on_probe(struct norm_receiver *r, cp_time now, const struct norm_msg *msg)
{
    measure(r, now);
    r->probed = true;
    r->cc_sequence = msg->cc_sequence;
    r->probe_time = (cp_time)msg->time_sec * CP_SEC + (cp_time)msg->time_usec * CP_USEC;
    r->probe_heard = now;
    if (r->config.silent || !msg->ext.has_rate || r->cc_ack_at != CP_TIME_NEVER) {
        return;
    }
    /* RFC5740 5.5.2.2: the limiting receivers answer at once, the others after a back-off and
     * not again within the hold-off of K GRTT. A handful needs no back-off either. */
    if (limiting(r, msg) || (r->gsize <= NORM_GSIZE_SMALLEST && now >= r->cc_ack_next)) {
        r->cc_ack_at = now;
    } else if (now >= r->cc_ack_next) {
        unsigned k = r->backoff > CC_BACKOFF_LEAST ? r->backoff : CC_BACKOFF_LEAST;

        r->cc_ack_at = now + norm_backoff_random(&r->prng, k * r->grtt, r->gsize);
    }
}

static void fill_flush_ack(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = norm_receiver_feedback(r, now, NORM_ACK);
    uint8_t content[16];

    msg.ack_type = NORM_ACK_FLUSH;
    msg.payload = content;
    msg.payload_size = norm_watermark_encode(&r->watermark, content, sizeof(content));
    r->flush_ack_at = CP_TIME_NEVER;
    norm_receiver_emit(r, &msg, tx);
}

static void fill_cc_ack(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = norm_receiver_feedback(r, now, NORM_ACK);
    cp_time spacing = r->backoff * r->grtt;

    msg.ack_type = NORM_ACK_CC;
    r->cc_ack_at = CP_TIME_NEVER;
    r->cc_ack_next = now + (spacing > CC_SPACING_LEAST ? spacing : CC_SPACING_LEAST);
    norm_receiver_emit(r, &msg, tx);
}

bool norm_receiver_fill_ack(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx)
{
    if (now >= r->flush_ack_at) {
        fill_flush_ack(r, now, tx);
    } else if (now >= r->cc_ack_at) {
        fill_cc_ack(r, now, tx);
    } else {
        return false;
    }
    r->stats.acks_sent++;
    return true;
}
