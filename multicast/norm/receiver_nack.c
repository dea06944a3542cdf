/* SPDX-License-Identifier: Apache-2.0
 * Receiver: the NACK cycle, which is back-off, decision, hold-off (RFC 5740 section 5.3). Pure. */
#include "multicast/norm/backoff.h"
#include "multicast/norm/receiver_state.h"

/* RFC5401 3.3: "Policies that limit the opportunities for receivers to begin participating in
 * the NACK process" */
uint32_t norm_receiver_need_floor(const struct norm_receiver *r)
{
    /* RFC5740 5.2: "a useful implementation policy is for new receivers joining the group to limit
     * or avoid repair requests for transport objects already in progress" */
    uint32_t floor = r->config.defer_missed && !r->pass_over ? r->join : 0;

    if (floor < r->window_low) {
        floor = r->window_low;
    }
    if (floor < r->held_below) {
        floor = r->held_below;
    }
    return floor > r->store.low ? floor : r->store.low;
}

/* RFC5740 4.2.2: "NORM receivers will NACK for retransmission of NORM_INFO when they have not
 * received it for a given NormObject." */
bool norm_receiver_needs_info(const struct norm_receiver *r)
{
    return r->object_named && r->info_offered && !r->info_here;
}

uint32_t norm_receiver_next_need(const struct norm_receiver *r, uint32_t from, uint32_t end)
{
    uint32_t sbn;

    if (!r->known || from >= end) {
        return end;
    }
    sbn = norm_bitset_next_gap(&r->store.complete, from);
    while (sbn < end && norm_receiver_heard_covers(r, sbn)) {
        sbn = norm_bitset_next_gap(&r->store.complete, sbn + 1);
    }
    return sbn < end ? sbn : end;
}

/* Lowest block needed before the position, whoever asked for it; false: nothing. */
static bool lowest_need(const struct norm_receiver *r, uint32_t end, uint32_t *ret_low)
{
    uint32_t low;

    if (norm_receiver_needs_info(r) || (!r->known && r->object_missed)) {
        *ret_low = 0;
        return true;
    }
    if (!r->known) {
        return false;
    }
    low = norm_bitset_next_gap(&r->store.complete, norm_receiver_need_floor(r));
    *ret_low = low;
    return low < end;
}

static cp_time backoff_max(const struct norm_receiver *r)
{
    return r->backoff * r->grtt;
}

/* RFC5740 5.3: "T_rcvrHoldoff =(K_sender+2)*GRTT_sender" */
static void hold_off(struct norm_receiver *r, cp_time now)
{
    r->nack_state = NORM_NACK_HOLDOFF;
    r->nack_at = now + (r->backoff + 2u) * r->grtt;
}

/* RFC5401 3.2.1: "it is important that the receivers record the position in the sender's
 * transmission sequence at which they initiate the NACK cycle" */
void norm_receiver_consider(struct norm_receiver *r, cp_time now)
{
    cp_time wait;

    if (r->held_below > 0 && now >= r->held_until) {
        r->held_below = 0;
    }
    if (r->nack_state != NORM_NACK_IDLE || r->config.silent || r->squelched || r->ended ||
        !lowest_need(r, r->at, &r->nack_low)) {
        return;
    }
    norm_receiver_heard_clear(r);
    r->nack_limit = r->at;
    wait = norm_backoff_random(&r->prng, backoff_max(r), r->gsize);
    /* RFC5740 5.3: "the receiver SHALL automatically suppress its NACK and immediately enter the
     * "holdoff" period described below when T_backoff is greater than
     * (K_sender-1)*GRTT_sender" "to avoid the possibility of NACK implosion [...] during SSM
     * operation". A group of the smallest size that the field can tell cannot implode, and there
     * the rule would but silence every second NACK of the only receivers. Nor twice in a row: a
     * sender that takes the group for larger than it is (1000 by default at NRL's) would have done
     * with its flushes, 40 GRTT, before the only receiver's cycles of 10 GRTT came to speak. */
    if (r->config.unicast_nack && !r->nack_silenced && r->gsize > NORM_GSIZE_SMALLEST &&
        r->backoff > 1 && wait > (r->backoff - 1u) * r->grtt) {
        r->nack_silenced = true;
        r->stats.nacks_suppressed++;
        hold_off(r, now);
        return;
    }
    r->nack_silenced = false;
    r->nack_state = NORM_NACK_BACKOFF;
    r->nack_at = now + wait;
}

/* RFC5740 5.3: "If the size of the NORM_NACK content exceeds the sender's NormSegmentSize, the NACK
 * content is truncated so the receiver only generates a single NORM_NACK message per NACK cycle".
 * The hold-off exists "to allow the sender worst-case time to respond": it binds what was asked
 * for. What found no room gets a cycle of its own, with its own back-off. */
void norm_receiver_nack_sent(struct norm_receiver *r, cp_time now, uint32_t cut)
{
    hold_off(r, now);
    r->held_below = 0;
    if (cut < r->at && r->known) {
        r->held_below = cut;
        r->held_until = r->nack_at;
        r->nack_state = NORM_NACK_IDLE;
        if (r->backoff > 0) { /* else the next block or FLUSH begins it: nothing spaces NACKs */
            norm_receiver_consider(r, now);
        }
    }
}

/* RFC5740 5.3: at the end of the back-off a NACK is sent "only if": the sender's position "exceeds
 * the earliest repair position of the receiver", and what was overheard "does not equal or
 * supersede the receiver's repair needs up to the sender transmission position at the time the
 * NACK procedure (backoff timeout) was initiated". */
static void decide(struct norm_receiver *r, cp_time now)
{
    uint32_t end = r->at < r->nack_limit ? r->at : r->nack_limit;
    uint32_t low;
    bool info = norm_receiver_needs_info(r) && !r->heard.info;
    bool object = !r->known && r->object_missed && !r->heard.object;

    if (!lowest_need(r, UINT32_MAX, &low)) {
        r->nack_state = NORM_NACK_IDLE;
        return;
    }
    if (info || object || norm_receiver_next_need(r, norm_receiver_need_floor(r), end) < end) {
        r->nack_due = true;
        r->nack_low = low;
    } else {
        r->stats.nacks_suppressed++;
    }
    hold_off(r, now);
}

void norm_receiver_nack_timer(struct norm_receiver *r, cp_time now)
{
    if (r->nack_state == NORM_NACK_IDLE || now < r->nack_at) {
        return;
    }
    if (r->nack_state == NORM_NACK_BACKOFF) {
        decide(r, now);
    } else {
        r->nack_state = NORM_NACK_IDLE;
    }
}

void norm_receiver_position(struct norm_receiver *r, cp_time now, uint32_t sbn)
{
    uint32_t before = r->at;

    if (sbn == before) {
        return;
    }
    r->at = sbn;
    if (sbn + 1 >= r->part.block_count) {
        r->pass_over = true;
    }
    norm_receiver_nack_timer(r, now);
    /* RFC5401 3.2.2: the sender's position that "rewinds" to "a point ordinally less than that of
     * the lowest sequence position of the local receiver's repair needs" shows that repair is
     * under way; what is still missing behind it is asked for when the position has passed. */
    if (sbn < before && sbn <= r->nack_low) {
        r->held_below = 0;
        if (r->nack_state == NORM_NACK_HOLDOFF && !r->nack_due) {
            r->nack_state = NORM_NACK_IDLE;
        }
    }
    norm_receiver_consider(r, now);
}
