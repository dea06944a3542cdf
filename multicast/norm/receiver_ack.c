/* SPDX-License-Identifier: Apache-2.0
 * Receiver: ACK(FLUSH), ACK(CC) and ACKs that an application asks for (RFC 5740 sections 5.5.2.2 and
 * 5.5.3). Pure. */
#include "multicast/norm/backoff.h"
#include "multicast/norm/receiver_state.h"

#define CC_BACKOFF_LEAST 4u              /* RFC5740 5.5.2.2: max(K, 4) GRTT */
#define STRAGGLERS       (500 * CP_USEC) /* packets that the probe overtook are not lost */
#define SAMPLE           16.0            /* receivers of a large group that answer a probe */

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

/* RFC5740 4.2.3.6: who is listed "SHALL schedule transmission of a NORM_ACK message", RFC5740 5.5.3:
 * "randomly, with a uniform distribution, [...] over a time window of (1*GRTT_sender)". That the
 * request came is all that we can tell. Types below are the protocol's own. */
void norm_receiver_want_app_ack(struct norm_receiver *r, cp_time now, const struct norm_msg *msg)
{
    bool pending = r->app_ack_at != CP_TIME_NEVER && r->app_ack_type == msg->ack_type &&
                   r->app_ack_id == msg->ack_id;

    if (r->config.silent || msg->ack_type < NORM_ACK_APPLICATION || pending) {
        return;
    }
    r->app_ack_type = msg->ack_type;
    r->app_ack_id = msg->ack_id;
    r->app_ack_at = now + norm_backoff_uniform(&r->prng, r->grtt);
}

/* Ours in the list; RFC5740 4.2.3.4: a zero "cc_rate" says nothing, but for us it need not. */
static bool listed(const struct norm_receiver *r, const struct norm_msg *msg,
                   struct norm_cc_node *ret)
{
    for (size_t i = 0; norm_cc_node_get(msg, i, ret); i++) {
        if (ret->node_id == r->config.node_id) {
            return true;
        }
    }
    return false;
}

/* RFC5740 5.5.2.2: a competing rate "Rfb" silences us "when Rcalc > (0.9 * Rfb)"; "receivers that
 * have not yet received an RTT measurement from the sender are suppressed only by other receivers
 * that have not yet measured RTT". In cc_node_list a zero rate "MUST be treated as an invalid value
 * and be ignored for the purposes of feedback suppression". */
static void hear_rate(struct norm_receiver *r, cp_time now, double rate, bool has_rtt)
{
    bool start;

    if (r->plain || r->cc_ack_at == CP_TIME_NEVER || r->cc_limiting || rate <= 0.0 ||
        (r->measure.rtt == 0 && has_rtt)) {
        return;
    }
    if (norm_receiver_cc_rate(r, &start) > 0.9 * rate) {
        norm_receiver_cc_told(r, now);
    }
}

void norm_receiver_cc_heard(struct norm_receiver *r, cp_time now, const struct norm_ext_cc *cc)
{
    /* RFC5740 5.5.2.2: cancelled when "other receiver feedback with an ordinally greater
     * "cc_sequence" field value is received" */
    if (!r->plain && !r->cc_limiting && r->probed && (int16_t)(cc->sequence - r->cc_sequence) > 0) {
        r->cc_ack_at = CP_TIME_NEVER;
    }
    hear_rate(r, now, norm_rate_unquantize(cc->rate), (cc->flags & NORM_CC_RTT) != 0);
}

/* RFC5740 5.5.2.2: "After a congestion control feedback message is generated or when the feedback is
 * suppressed, a non-CLR receiver begins a "holdoff" timeout period", "T_ccHoldoff = (K_sender *
 * GRTT_sender)". */
void norm_receiver_cc_told(struct norm_receiver *r, cp_time now)
{
    r->cc_ack_at = CP_TIME_NEVER;
    r->cc_limiting = false;
    r->cc_ack_next = r->plain ? now : now + r->backoff * r->grtt;
}

static unsigned cc_backoff(const struct norm_receiver *r)
{
    return r->backoff > CC_BACKOFF_LEAST ? r->backoff : CC_BACKOFF_LEAST;
}

/* Of a large group a few answer each probe, drawn by lot. */
static bool drawn(struct norm_receiver *r)
{
    return r->gsize <= NORM_GSIZE_SMALLEST || cp_prng_unit(&r->prng) * (double)r->gsize < SAMPLE;
}

void norm_receiver_cc_unasked(struct norm_receiver *r, cp_time now)
{
    if (drawn(r)) {
        r->measure.urgent = true;
        r->cc_ack_at = cp_time_min(r->cc_ack_at, now + STRAGGLERS);
    }
}

/* How our own sender wants it: from a small group everything at once, from a large one a sample,
 * spread over a GRTT; those that limit the pace are listed and answer always. */
static void answer_plain(struct norm_receiver *r, cp_time now, bool limits)
{
    if (limits || (r->gsize <= NORM_GSIZE_SMALLEST)) {
        r->cc_ack_at = cp_time_min(r->cc_ack_at, now + STRAGGLERS);
    } else if (r->cc_ack_at == CP_TIME_NEVER && drawn(r)) {
        r->cc_ack_at = now + norm_backoff_uniform(&r->prng, r->grtt);
    }
}

/* RFC5740 5.5.2.2: "Receivers marked as CLR or PLR nodes in the NORM_CMD(CC) "cc_node_list"
 * immediately provide feedback"; the others after "T_backoff = RandomBackoff(K_backoff *
 * GRTT_sender, GSIZE_sender)", which they cancel "When the T_backoff is greater than
 * 1*GRTT_sender". A handful cannot implode and is not held back by that: else a lone receiver would
 * mostly be silent. Nor is anybody while the list is empty: the sender has not heard from anyone,
 * and by that rule one of 370 back-offs would pass at the group size of 1000 that NRL takes for
 * granted, by the one for newer probes not even that. It would stay at one segment per second. */
static void answer_rfc(struct norm_receiver *r, cp_time now, bool limits, bool unheard)
{
    cp_time wait;

    r->cc_limiting = limits;
    if (unheard && r->cc_ack_at != CP_TIME_NEVER) {
        return; /* the back-off goes on; it will answer this newer probe */
    }
    r->cc_ack_at = CP_TIME_NEVER; /* a newer probe cancels what was pending */
    if (limits || r->gsize <= NORM_GSIZE_SMALLEST) {
        r->cc_ack_at = limits || now >= r->cc_ack_next ? now : CP_TIME_NEVER;
    } else if (now >= r->cc_ack_next) {
        wait = norm_backoff_random(&r->prng, cc_backoff(r) * r->grtt, r->gsize);
        r->cc_ack_at = unheard || wait <= r->grtt ? now + wait : CP_TIME_NEVER;
    }
}

void norm_receiver_on_probe(struct norm_receiver *r, cp_time now, const struct norm_msg *msg)
{
    struct norm_cc_node node;
    bool limits = false;

    r->plain = (msg->flags & NORM_PROBE_PLAIN) != 0;
    norm_receiver_measure_probe(r, now, msg->cc_sequence);
    r->probed = true;
    r->cc_sequence = msg->cc_sequence;
    r->probe_time = (cp_time)msg->time_sec * CP_SEC + (cp_time)msg->time_usec * CP_USEC;
    r->probe_heard = now;
    if (listed(r, msg, &node)) {
        limits = (node.flags & (NORM_CC_CLR | NORM_CC_PLR)) != 0;
        if ((node.flags & NORM_CC_RTT) != 0) {
            r->measure.rtt = norm_rtt_unquantize(node.rtt);
        }
    }
    if (r->config.silent || !msg->ext.has_rate) {
        return;
    }
    if (r->plain) {
        answer_plain(r, now, limits);
        return;
    }
    answer_rfc(r, now, limits, msg->payload_size == 0);
    for (size_t i = 0; norm_cc_node_get(msg, i, &node); i++) {
        if (node.node_id != r->config.node_id) {
            hear_rate(r, now, norm_rate_unquantize(node.rate), (node.flags & NORM_CC_RTT) != 0);
        }
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

    msg.ack_type = NORM_ACK_CC;
    norm_receiver_cc_told(r, now);
    norm_receiver_emit(r, &msg, tx);
}

static void fill_app_ack(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = norm_receiver_feedback(r, now, NORM_ACK);

    msg.ack_type = r->app_ack_type;
    msg.ack_id = r->app_ack_id;
    r->app_ack_at = CP_TIME_NEVER;
    norm_receiver_emit(r, &msg, tx);
}

bool norm_receiver_fill_ack(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx)
{
    if (now >= r->flush_ack_at) {
        fill_flush_ack(r, now, tx);
    } else if (now >= r->app_ack_at) {
        fill_app_ack(r, now, tx);
    } else if (now >= r->cc_ack_at) {
        fill_cc_ack(r, now, tx);
    } else {
        return false;
    }
    r->stats.acks_sent++;
    return true;
}
