/* SPDX-License-Identifier: Apache-2.0
 * Sender: NACKs and ACKs (RFC 5740 sections 5.4 and 5.5). Every id is checked against the object
 * before it touches any state. Pure. */
#include <string.h>

#include "multicast/norm/sender_state.h"

/* The requests of one NACK, those for one block gathered until the block changes. */
struct wish {
    bool open, refused;
    struct norm_wish w;
    uint64_t blocks;  /* asked for as a whole by this NACK so far */
    uint64_t charged; /* symbols that it cost so far */
};

/* Of what has to wait every block is charged once only, however often it is asked for. */
static void refuse(struct wish *w)
{
    if (w->w.sbn >= w->w.member->refused_to) {
        w->charged += w->w.count;
        w->w.member->refused_to = w->w.sbn + 1;
    }
}

static void wish_close(struct norm_sender *s, cp_time now, struct wish *w)
{
    if (w->open && w->w.count > 0) {
        if (w->refused) {
            refuse(w);
        } else {
            w->charged += norm_sender_want_symbols(s, now, &w->w);
        }
    }
    w->open = false;
    w->w = (struct norm_wish){.member = w->w.member};
}

/* Whole blocks, and the work that they make: who names each block once cannot exceed the object,
 * while a hostile NACK has room for dozens of ranges over all of it. */
static bool wish_blocks(struct norm_sender *s, cp_time now, struct wish *w, uint32_t first,
                        uint32_t last)
{
    w->blocks += (uint64_t)last - first + 1;
    if (w->blocks > 2 * (uint64_t)s->part.block_count) {
        return false;
    }
    wish_close(s, now, w);
    if (!w->refused) {
        w->charged += norm_sender_want_blocks(s, now, first, last, w->w.member);
    }
    return true;
}

/* Adds symbols first … last of a block; false when they do not exist. */
static bool wish_add(struct norm_sender *s, cp_time now, struct wish *w,
                     const struct norm_repair *e)
{
    uint32_t sbn = e->first.id.sbn;
    unsigned limit;

    if (sbn != e->last.id.sbn || sbn >= s->part.block_count) {
        return false;
    }
    limit = (unsigned)norm_partition_block_len(&s->part, sbn) + s->part.num_parity;
    if (e->first.id.esi > e->last.id.esi || e->last.id.esi >= limit) {
        return false;
    }
    if (!w->open || w->w.sbn != sbn) {
        wish_close(s, now, w);
        w->open = true;
        w->w.sbn = sbn;
    }
    for (unsigned esi = e->first.id.esi; esi <= e->last.id.esi; esi++) {
        uint64_t bit = (uint64_t)1 << (esi % 64);

        w->w.count += (w->w.symbols[esi / 64] & bit) == 0;
        w->w.symbols[esi / 64] |= bit;
    }
    return true;
}

static void squelch(struct norm_sender *s, uint16_t object_id)
{
    /* RFC5740 5.4.3: "SHALL begin with the lowest "object_transport_id" from the invalid NORM_NACK
     * messages received since the last" SQUELCH */
    if (!s->squelch_listed || (int16_t)(object_id - s->squelch_object) < 0) {
        s->squelch_object = object_id;
    }
    s->squelch_listed = true;
    s->squelch_due = true;
}

static bool object_in_range(const struct norm_repair *e, uint16_t object_id)
{
    return (uint16_t)(object_id - e->first.object_id) <=
           (uint16_t)(e->last.object_id - e->first.object_id);
}

static bool apply_request(struct norm_sender *s, cp_time now, struct wish *w,
                          const struct norm_repair *e)
{
    if (!object_in_range(e, s->config.object_id) || s->withdrawn) {
        squelch(s, e->first.object_id);
        return true;
    }
    if (e->first.object_id != e->last.object_id) {
        squelch(s,
                e->first.object_id == s->config.object_id ? e->last.object_id : e->first.object_id);
    }
    if ((e->flags & (NORM_REPAIR_INFO | NORM_REPAIR_OBJECT)) != 0) {
        norm_sender_want_info(s, now);
    }
    if ((e->flags & NORM_REPAIR_OBJECT) != 0) {
        return wish_blocks(s, now, w, 0, s->part.block_count - 1);
    }
    if ((e->flags & NORM_REPAIR_BLOCK) != 0) {
        if (e->first.id.sbn > e->last.id.sbn || e->last.id.sbn >= s->part.block_count) {
            return false;
        }
        return wish_blocks(s, now, w, e->first.id.sbn, e->last.id.sbn);
    }
    return (e->flags & NORM_REPAIR_SEGMENT) == 0 || wish_add(s, now, w, e);
}

/* All requests up to the first malformed one count; the rest of such a NACK is dropped. */
static enum cp_err on_nack(struct norm_sender *s, cp_time now, const struct norm_msg *msg,
                           struct norm_member *member)
{
    struct wish w = {.w.member = member, .refused = norm_sender_makes_wait(s, now, member)};
    uint32_t deferred = s->repairs.bulk.count;
    struct norm_repair_reader reader;
    struct norm_repair entry;
    bool valid = true;

    s->stats.nacks++;
    if (w.refused && member->over_budget) {
        return CP_OK;
    }
    norm_repair_reader_init(&reader, msg->payload, msg->payload_size, s->config.fec_id);
    while (valid && norm_repair_next(&reader, &entry)) {
        valid = apply_request(s, now, &w, &entry);
    }
    wish_close(s, now, &w);
    if (member != NULL && !w.refused) {
        member->asked += w.charged;
    }
    norm_sender_charge(s, now, member, w.charged);
    if (s->repairs.bulk.count > deferred) {
        norm_sender_tell_deferred(s, now, member);
    }
    if (!s->config.multicast_nack && !w.refused &&
        (s->repairs.aggregate_end != CP_TIME_NEVER || s->repairs.bulk.count > 0)) {
        s->adv_due = true;
    }
    return valid && !reader.malformed ? CP_OK : CP_ERR_MALFORMED;
}

static enum cp_err on_ack(struct norm_sender *s, const struct norm_msg *msg)
{
    struct norm_watermark wm;
    uint32_t last = s->part.block_count - 1;

    s->stats.acks++;
    if (msg->ack_type != NORM_ACK_FLUSH) {
        return CP_OK;
    }
    CP_TRY(norm_watermark_decode(msg, &wm));
    /* RFC5740 5.5.3: "valid responses (i.e., matching watermark point or "ack_id")" */
    if (wm.fec_id == s->config.fec_id && wm.object_id == s->config.object_id && wm.id.sbn == last &&
        wm.id.esi + 1u == norm_partition_block_len(&s->part, last)) {
        (void)norm_acklist_ack(&s->ackers, msg->source_id);
    }
    return CP_OK;
}

/* A receiver whose own buffers fill saw the probe that much later, and one that is left behind may
 * be slow to answer: that delay is its alone. It keeps the estimate from falling but does not raise
 * it for everybody (RFC5740 5.5.1: "an algorithm that assigns weights"). */
static bool delays_itself(const struct norm_member *m, const struct norm_msg *msg)
{
    return (msg->ext.has_cc && (msg->ext.cc.flags & NORM_CC_SLOW) != 0) ||
           (m != NULL && (m->outlier || m->over_budget));
}

static void on_grtt_response(struct norm_sender *s, cp_time now, const struct norm_member *m,
                             const struct norm_msg *msg)
{
    cp_time rtt = norm_sender_rtt(s, now, msg);

    if (rtt > s->grtt.value && delays_itself(m, msg)) {
        rtt = s->grtt.value;
    }
    if (rtt > 0) {
        norm_grtt_sample(&s->grtt, rtt, norm_sender_packet_time(s));
    }
}

enum cp_err norm_sender_on_packet(struct norm_sender *s, cp_time now, const uint8_t *pkt,
                                  size_t size)
{
    struct norm_member *member;
    struct norm_msg msg;
    enum cp_err err = norm_decode(pkt, size, &msg);

    if (err != CP_OK) {
        s->stats.malformed++;
        return err;
    }
    /* RFC5740 4.3.1: "The sender SHOULD ignore feedback messages containing an invalid
     * "instance_id" value." */
    if ((msg.type != NORM_NACK && msg.type != NORM_ACK) || msg.server_id != s->config.node_id ||
        msg.instance_id != s->config.instance_id) {
        s->stats.foreign++;
        return CP_OK;
    }
    member = norm_members_heard(&s->members, now, msg.source_id);
    norm_sender_on_report(s, now, member, &msg);
    on_grtt_response(s, now, member, &msg);
    err = msg.type == NORM_NACK ? on_nack(s, now, &msg, member) : on_ack(s, &msg);
    if (err != CP_OK) {
        s->stats.malformed++;
    }
    return err;
}
