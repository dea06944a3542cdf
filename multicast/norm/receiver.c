/* SPDX-License-Identifier: Apache-2.0
 * Receiver: life, who the sender is, timers and questions. Pure; one thread. */
#include "multicast/norm/receiver.h"

#include <stdlib.h>

#include "multicast/norm/receiver_state.h"

#define INACTIVITY_LEAST CP_SEC
#define INSTANCE_GRACE   (200 * CP_MSEC) /* longer than packets overtake each other by */
#define BACKOFF_START    4u
#define GSIZE_START      10000u /* RFC5740 5.5.4: default until the sender advertises one */

enum cp_err norm_receiver_new(const struct norm_receiver_config *config, cp_time now,
                              struct norm_receiver **ret_receiver)
{
    struct norm_receiver *r;

    (void)now;
    if (config->node_id == NORM_NODE_NONE || config->node_id == NORM_NODE_ANY ||
        config->sender_id == NORM_NODE_NONE) {
        return CP_ERR_INVALID;
    }
    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    r->config = *config;
    cp_prng_seed(&r->prng, config->seed);
    r->sender_known = config->sender_id != NORM_NODE_ANY;
    r->sender_id = config->sender_id;
    r->grtt = config->grtt;
    r->backoff = BACKOFF_START;
    r->gsize = GSIZE_START;
    r->flush_ack_at = r->cc_ack_at = r->app_ack_at = r->inactive_at = CP_TIME_NEVER;
    r->heard.limit = UINT32_MAX;
    if (config->object_known) {
        enum cp_err err =
            norm_receiver_set_object(r, config->object_id, config->fec_id, &config->fti);

        if (err != CP_OK) {
            norm_receiver_free(r);
            return err;
        }
    }
    *ret_receiver = r;
    return CP_OK;
}

void norm_receiver_free(struct norm_receiver *r)
{
    if (r == NULL) {
        return;
    }
    norm_store_done(&r->store);
    free(r->heard.count);
    free(r);
}

const struct norm_partition *norm_receiver_partition(const struct norm_receiver *r)
{
    return r->known ? &r->part : NULL;
}

uint16_t norm_receiver_object_id(const struct norm_receiver *r)
{
    return r->object_id;
}

static void restart(struct norm_receiver *r, struct norm_rx *rx)
{
    rx->events |= NORM_RX_RESTART;
    r->instance_before = r->instance_id;
    r->instance_replaced = true;
    r->squelched = r->ended = false;
    r->joined = r->pass_over = r->probed = r->tracked = false;
    r->window_low = r->at = r->join = 0;
    r->nack_state = NORM_NACK_IDLE;
    r->nack_due = false;
    r->flush_ack_at = r->cc_ack_at = r->app_ack_at = CP_TIME_NEVER;
    r->cc_ack_next = 0;
    r->measure = (struct norm_measure){.backlog = r->measure.backlog, .slow = r->measure.slow};
    if (r->known) {
        norm_receiver_heard_clear(r);
        norm_store_restart(&r->store);
    }
}

/* Who speaks, and under which instance. False: not our sender, or a packet of an instance that was
 * replaced, overtaken on its way. When that one goes on while the present one is silent, it was the
 * present one that was overtaken. */
static bool accept_sender(struct norm_receiver *r, cp_time now, const struct norm_msg *msg,
                          struct norm_rx *rx)
{
    if (!r->sender_known) {
        r->sender_known = true;
        r->sender_id = msg->source_id;
    }
    if (msg->source_id != r->sender_id) {
        return false;
    }
    if (r->instance_known && msg->instance_id != r->instance_id) {
        if (r->instance_replaced && msg->instance_id == r->instance_before &&
            now < r->stats.last_heard + INSTANCE_GRACE) {
            return false;
        }
        restart(r, rx);
    }
    r->instance_known = true;
    r->instance_id = msg->instance_id;
    return true;
}

/* RFC5740 5.3: "T_inactivity = NORM_ROBUST_FACTOR * 2 * GRTT_sender", at least 1 second, rescaled
 * as the advertised GRTT changes. */
static void heard_sender(struct norm_receiver *r, cp_time now, const struct norm_msg *msg)
{
    cp_time wait;

    /* They change seldom, and to decode them takes longer than the rest of this. */
    if (!r->timed || msg->grtt != r->grtt_coded || msg->gsize != r->gsize_coded) {
        r->timed = true;
        r->grtt_coded = msg->grtt;
        r->gsize_coded = msg->gsize;
        r->grtt = norm_rtt_unquantize(msg->grtt);
        r->gsize = norm_gsize_unquantize(msg->gsize);
    }
    r->backoff = msg->backoff;
    wait = 2u * r->config.robust_factor * r->grtt;
    r->inactive_at = now + (wait > INACTIVITY_LEAST ? wait : INACTIVITY_LEAST);
    r->inactive_count = 0;
    r->stats.last_heard = now;
}

static enum cp_err on_peer(struct norm_receiver *r, cp_time now, const struct norm_msg *msg)
{
    if (msg->type == NORM_REPORT || msg->source_id == r->config.node_id || !r->instance_known ||
        msg->server_id != r->sender_id || msg->instance_id != r->instance_id) {
        r->stats.foreign++;
        return CP_OK;
    }
    if (msg->ext.has_cc) {
        norm_receiver_cc_heard(r, now, &msg->ext.cc);
    }
    return msg->type == NORM_NACK ? norm_receiver_heard_add(r, msg) : CP_OK;
}

enum cp_err norm_receiver_on_message(struct norm_receiver *r, cp_time now,
                                     const struct norm_msg *msg, size_t size,
                                     struct norm_rx *ret_rx)
{
    enum cp_err err = CP_OK;

    *ret_rx = (struct norm_rx){0};
    if (msg->type == NORM_NACK || msg->type == NORM_ACK || msg->type == NORM_REPORT) {
        err = on_peer(r, now, msg);
    } else if (accept_sender(r, now, msg, ret_rx)) {
        heard_sender(r, now, msg);
        r->stats.packets++;
        r->stats.bytes += size;
        norm_receiver_measure(r, now, msg->sequence);
        /* What a packet changed (a restart, the object) holds even when its rest is refused. */
        err = msg->type == NORM_CMD ? norm_receiver_on_command(r, now, msg, ret_rx)
                                    : norm_receiver_on_object(r, now, msg, ret_rx);
    } else {
        r->stats.foreign++;
    }
    if (err == CP_ERR_MALFORMED) {
        r->stats.malformed++;
    }
    return err;
}

enum cp_err norm_receiver_on_packet(struct norm_receiver *r, cp_time now, const uint8_t *pkt,
                                    size_t size, struct norm_rx *ret_rx)
{
    struct norm_msg msg;
    enum cp_err err = norm_decode(pkt, size, &msg);

    if (err != CP_OK) {
        r->stats.malformed++;
        return err;
    }
    return norm_receiver_on_message(r, now, &msg, size, ret_rx);
}

static bool inactivity_over(const struct norm_receiver *r)
{
    return r->inactive_count > r->config.robust_factor;
}

/* RFC5740 5.3: "The NORM receiver SHOULD reset this inactivity timer and repeat NACK initiation
 * upon timeout for up to NORM_ROBUST_FACTOR times". Of an object of known size everything may be
 * asked for then: the end may have been lost. */
static void inactivity_timer(struct norm_receiver *r, cp_time now)
{
    cp_time wait = 2u * r->config.robust_factor * r->grtt;

    if (now < r->inactive_at || inactivity_over(r)) {
        return;
    }
    r->inactive_count++;
    r->inactive_at = now + (wait > INACTIVITY_LEAST ? wait : INACTIVITY_LEAST);
    if (inactivity_over(r)) {
        return;
    }
    if (r->known) {
        r->at = r->part.block_count;
        r->pass_over = true;
    }
    if (r->nack_state == NORM_NACK_HOLDOFF) {
        r->nack_state = NORM_NACK_IDLE;
    }
    norm_receiver_consider(r, now);
}

void norm_receiver_on_timer(struct norm_receiver *r, cp_time now)
{
    inactivity_timer(r, now);
    norm_receiver_nack_timer(r, now);
}

cp_time norm_receiver_next_time(const struct norm_receiver *r)
{
    cp_time t = cp_time_min(cp_time_min(r->flush_ack_at, r->cc_ack_at), r->app_ack_at);

    if (r->nack_due) {
        return 0;
    }
    if (r->nack_state != NORM_NACK_IDLE) {
        t = cp_time_min(t, r->nack_at);
    }
    return inactivity_over(r) ? t : cp_time_min(t, r->inactive_at);
}

void norm_receiver_block_have(struct norm_receiver *r, uint32_t sbn)
{
    if (r->known && sbn < r->part.block_count) {
        norm_store_have(&r->store, sbn);
    }
}

void norm_receiver_block_forget(struct norm_receiver *r, uint32_t sbn)
{
    if (r->known && sbn < r->part.block_count) {
        norm_store_forget(&r->store, sbn);
    }
}

void norm_receiver_block_forget_parity(struct norm_receiver *r, uint32_t sbn)
{
    if (r->known && sbn < r->part.block_count) {
        norm_store_forget_parity(&r->store, sbn, norm_partition_block_len(&r->part, sbn));
    }
}

bool norm_receiver_block_complete(const struct norm_receiver *r, uint32_t sbn)
{
    return r->known && sbn < r->part.block_count && norm_bitset_has(&r->store.complete, sbn);
}

bool norm_receiver_has_symbol(const struct norm_receiver *r, uint32_t sbn, uint16_t esi)
{
    return r->known && sbn < r->part.block_count && esi < r->store.words * 64u &&
           norm_store_has(&r->store, sbn, esi);
}

bool norm_receiver_complete(const struct norm_receiver *r)
{
    return r->known && r->store.complete.count == r->part.block_count;
}

bool norm_receiver_inactive(const struct norm_receiver *r)
{
    return inactivity_over(r);
}

void norm_receiver_get_stats(const struct norm_receiver *r, struct norm_receiver_stats *ret_stats)
{
    *ret_stats = r->stats;
    ret_stats->blocks_complete = r->known ? r->store.complete.count : 0;
    ret_stats->grtt = r->grtt;
}
