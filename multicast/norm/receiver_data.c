/* SPDX-License-Identifier: Apache-2.0
 * Receiver: INFO and DATA (RFC 5740 sections 4.2.1, 4.2.2 and 5.2). Pure but for the one allocation
 * when an object that was not preset becomes known. */
#include <stdlib.h>
#include <string.h>

#include "multicast/norm/receiver_state.h"

/* Most blocks of an object that a packet, and not the configuration, announces: what it says makes
 * us allocate 26 bytes a block. 2^20 blocks are 189 GB at 128 symbols of 1408 bytes. */
#define LEARNT_BLOCKS_MAX (1u << 20)

enum cp_err norm_receiver_set_object(struct norm_receiver *r, uint16_t object_id, uint8_t fec_id,
                                     const struct norm_fti *fti)
{
    CP_TRY(norm_partition_init(&r->part, fti, fec_id));
    r->heard.count = calloc(r->part.block_count, sizeof(*r->heard.count));
    if (r->heard.count == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    enum cp_err err = norm_store_init(&r->store, r->part.block_count,
                                      (unsigned)r->part.max_block_len + r->part.num_parity);
    if (err != CP_OK) {
        norm_store_done(&r->store);
        free(r->heard.count);
        r->heard.count = NULL;
        return err;
    }
    r->object_named = true;
    r->known = true;
    r->object_id = object_id;
    r->fec_id = fec_id;
    r->fti = *fti;
    r->stats.block_count = r->part.block_count;
    return CP_OK;
}

static bool fti_equal(const struct norm_fti *a, const struct norm_fti *b)
{
    return a->object_size == b->object_size && a->instance == b->instance &&
           a->segment_size == b->segment_size && a->max_block_len == b->max_block_len &&
           a->num_parity == b->num_parity;
}

/* Learns the object, or checks that the message is of ours. *ret_ours false: it is not. */
static enum cp_err match_object(struct norm_receiver *r, const struct norm_msg *msg,
                                struct norm_rx *rx, bool *ret_ours)
{
    struct norm_partition part;

    *ret_ours = false;
    if ((msg->flags & NORM_FLAG_STREAM) != 0) {
        return CP_OK;
    }
    if (!r->object_named) {
        r->object_named = true;
        r->object_id = msg->object_id;
        r->fec_id = msg->fec_id;
    }
    if (msg->object_id != r->object_id) {
        return CP_OK;
    }
    if (msg->fec_id != r->fec_id) {
        return CP_ERR_MALFORMED;
    }
    *ret_ours = true;
    if (!msg->ext.has_fti) {
        return CP_OK;
    }
    if (r->known) {
        return fti_equal(&r->fti, &msg->ext.fti) ? CP_OK : CP_ERR_MALFORMED;
    }
    CP_TRY(norm_partition_init(&part, &msg->ext.fti, msg->fec_id));
    if (part.block_count > LEARNT_BLOCKS_MAX) {
        return CP_ERR_MALFORMED;
    }
    CP_TRY(norm_receiver_set_object(r, msg->object_id, msg->fec_id, &msg->ext.fti));
    rx->events |= NORM_RX_OBJECT;
    return CP_OK;
}

static void on_info(struct norm_receiver *r, const struct norm_msg *msg, struct norm_rx *rx)
{
    if (r->info_here) {
        r->stats.duplicates++;
        return;
    }
    r->info_here = true;
    rx->events |= NORM_RX_INFO;
    rx->payload = msg->payload;
    rx->payload_size = msg->payload_size;
}

/* Ids and sizes against the partition. *ret_size: bytes of the symbol; a sender may pad the last
 * source symbol and the parity of a short block to full length. */
static bool symbol_valid(const struct norm_receiver *r, const struct norm_msg *msg,
                         uint16_t *ret_size)
{
    const struct norm_payload_id *id = &msg->id;
    uint16_t k, size;

    if (id->sbn >= r->part.block_count) {
        return false;
    }
    k = norm_partition_block_len(&r->part, id->sbn);
    if ((id->block_len != 0 && id->block_len != k) || id->esi >= (unsigned)k + r->part.num_parity) {
        return false;
    }
    size = norm_partition_symbol_size(&r->part, id->sbn, id->esi < k ? id->esi : 0);
    if (msg->payload_size != size && msg->payload_size != r->part.segment_size) {
        return false;
    }
    *ret_size = id->esi < k ? size : (uint16_t)msg->payload_size;
    return true;
}

/* Loss before repair, from the order of first transmissions (source symbols only). What comes late,
 * from the block before too, was counted as lost. */
static void track_loss(struct norm_receiver *r, uint32_t sbn, uint16_t esi)
{
    uint32_t from = r->track_sbn;
    uint64_t steps;

    if (esi >= norm_partition_block_len(&r->part, sbn)) {
        return;
    }
    if (!r->tracked) {
        r->tracked = true;
        steps = 1;
    } else if (sbn < from || (sbn == from && esi <= r->track_esi)) {
        if (sbn + 1 >= from && !norm_store_has(&r->store, sbn, esi) && r->stats.symbols_lost > 0) {
            r->stats.symbols_lost--;
        }
        return;
    } else if (sbn == from) {
        steps = (uint64_t)esi - r->track_esi;
    } else {
        steps = (uint64_t)norm_partition_block_len(&r->part, from) - r->track_esi + esi;
        steps += (uint64_t)(sbn - from - 1) * r->part.small_len;
    }
    r->track_sbn = sbn;
    r->track_esi = esi;
    r->stats.symbols_expected += steps;
    r->stats.symbols_lost += steps - 1;
}

static void join(struct norm_receiver *r, const struct norm_msg *msg)
{
    if (r->joined) {
        return;
    }
    r->joined = true;
    r->at = msg->id.sbn;
    /* The block under way is ours to repair only when it began before our eyes. */
    r->join = msg->id.sbn;
    if (msg->id.sbn > 0 && (msg->id.esi > 0 || (msg->flags & NORM_FLAG_REPAIR) != 0)) {
        r->join++;
    }
}

static enum cp_err on_data(struct norm_receiver *r, cp_time now, const struct norm_msg *msg,
                           struct norm_rx *rx)
{
    bool complete;
    uint16_t size, k;

    if (!r->known) {
        /* Without FTI only the INFO can tell what the object is. */
        norm_receiver_consider(r, now);
        return CP_OK;
    }
    if (!symbol_valid(r, msg, &size)) {
        return CP_ERR_MALFORMED;
    }
    join(r, msg);
    if ((msg->flags & NORM_FLAG_REPAIR) == 0) {
        track_loss(r, msg->id.sbn, msg->id.esi);
    }
    k = norm_partition_block_len(&r->part, msg->id.sbn);
    if (norm_store_add(&r->store, msg->id.sbn, msg->id.esi, k, &complete)) {
        r->stats.symbols++;
        r->stats.repair_symbols += (msg->flags & NORM_FLAG_REPAIR) != 0;
        rx->events |= NORM_RX_SYMBOL | (complete ? (unsigned)NORM_RX_BLOCK : 0);
        rx->sbn = msg->id.sbn;
        rx->esi = msg->id.esi;
        rx->repair = (msg->flags & NORM_FLAG_REPAIR) != 0;
        rx->payload = msg->payload;
        rx->payload_size = size;
        if (complete && r->store.complete.count == r->part.block_count) {
            rx->events |= NORM_RX_COMPLETE;
        }
    } else {
        r->stats.duplicates++;
    }
    norm_receiver_position(r, now, msg->id.sbn);
    return CP_OK;
}

enum cp_err norm_receiver_on_object(struct norm_receiver *r, cp_time now,
                                    const struct norm_msg *msg, struct norm_rx *rx)
{
    bool ours;

    CP_TRY(match_object(r, msg, rx, &ours));
    if (!ours || r->squelched) {
        r->stats.foreign++;
        return CP_OK;
    }
    if (msg->type == NORM_INFO || (msg->flags & NORM_FLAG_INFO) != 0) {
        r->info_offered = true;
    }
    if (msg->type == NORM_INFO) {
        on_info(r, msg, rx);
        return CP_OK;
    }
    return on_data(r, now, msg, rx);
}
