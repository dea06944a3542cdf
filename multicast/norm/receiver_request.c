/* SPDX-License-Identifier: Apache-2.0
 * Receiver: content of a NACK (RFC 5740 sections 4.3.1 and 5.3). Items and ranges, ascending, never
 * ERASURES, never a symbol that the block does not have. Pure. */
#include "multicast/norm/receiver_state.h"

#define SYMBOL_WORDS 4u
#define RANGE_LEAST  3u /* a pair of items is no longer than a range and plainer */

struct request {
    const struct norm_receiver *r;
    struct norm_repair_writer w;
};

/* Entries first … last of one level; false when they do not fit. */
static bool add_run(struct request *q, uint8_t flags, struct norm_payload_id first,
                    struct norm_payload_id last, uint32_t length)
{
    struct norm_repair e = {.form = NORM_REPAIR_RANGES, .flags = flags};

    e.first.object_id = q->r->object_id;
    e.last.object_id = q->r->object_id;
    e.first.id = first;
    e.last.id = last;
    if (length >= RANGE_LEAST) {
        return norm_repair_add(&q->w, &e);
    }
    e.form = NORM_REPAIR_ITEMS;
    e.last.id = first;
    if (!norm_repair_add(&q->w, &e)) {
        return false;
    }
    e.first.id = last;
    e.last.id = last;
    return length == 1 || norm_repair_add(&q->w, &e);
}

/* RFC5740 5.3: "request the parity portion of the FEC coding block beginning with the lowest
 * ordinal parity" symbol for the erasure count, later "only those repair symbols from the first
 * set it has not yet received up to the remaining erasure count"; where parity does not suffice
 * "all available parity segments plus the ordinally highest missing data segments".
 * RFC5401 3.2.3.1: "the rule is to request the lower ordinal portion of the parity content" */
static void select_symbols(const struct norm_receiver *r, uint32_t sbn, unsigned k,
                           uint64_t wanted[SYMBOL_WORDS])
{
    unsigned need = k - r->store.count[sbn];

    for (unsigned esi = k; esi < k + r->part.num_parity && need > 0; esi++) {
        if (!norm_store_has(&r->store, sbn, (uint16_t)esi)) {
            wanted[esi / 64] |= (uint64_t)1 << (esi % 64);
            need--;
        }
    }
    for (unsigned esi = k; esi > 0 && need > 0; esi--) {
        unsigned i = esi - 1;

        if (!norm_store_has(&r->store, sbn, (uint16_t)i)) {
            wanted[i / 64] |= (uint64_t)1 << (i % 64);
            need--;
        }
    }
}

static bool add_symbols(struct request *q, uint32_t sbn)
{
    const struct norm_receiver *r = q->r;
    uint16_t k = norm_partition_block_len(&r->part, sbn);
    unsigned end = (unsigned)k + r->part.num_parity;
    uint64_t wanted[SYMBOL_WORDS] = {0};
    bool fits = true;

    select_symbols(r, sbn, k, wanted);
    for (unsigned esi = 0; esi < end && fits; esi++) {
        unsigned last = esi;

        if (((wanted[esi / 64] >> (esi % 64)) & 1u) == 0) {
            continue;
        }
        while (last + 1 < end && ((wanted[(last + 1) / 64] >> ((last + 1) % 64)) & 1u) != 0) {
            last++;
        }
        fits = add_run(q, NORM_REPAIR_SEGMENT, (struct norm_payload_id){sbn, k, (uint16_t)esi},
                       (struct norm_payload_id){sbn, k, (uint16_t)last}, last - esi + 1);
        esi = last;
    }
    return fits;
}

/* Blocks of which nothing is here, from sbn on. *ret_last: the run's last block. */
static bool add_blocks(struct request *q, uint32_t sbn, uint32_t end, uint32_t *ret_last)
{
    const struct norm_receiver *r = q->r;
    uint32_t last = sbn;

    while (last + 1 < end && !norm_bitset_has(&r->store.complete, last + 1) &&
           r->store.count[last + 1] == 0 && !norm_receiver_heard_covers(r, last + 1)) {
        last++;
    }
    *ret_last = last;
    return add_run(q, NORM_REPAIR_BLOCK,
                   (struct norm_payload_id){sbn, norm_partition_block_len(&r->part, sbn), 0},
                   (struct norm_payload_id){last, norm_partition_block_len(&r->part, last), 0},
                   last - sbn + 1);
}

size_t norm_receiver_requests(const struct norm_receiver *r, uint8_t *buf, size_t cap,
                              uint32_t *ret_cut)
{
    struct request q = {.r = r};
    uint32_t end = r->at;
    bool fits = true;

    *ret_cut = UINT32_MAX;
    norm_repair_writer_init(&q.w, buf, cap, r->fec_id);
    if (norm_receiver_needs_info(r) && !r->heard.info) {
        struct norm_payload_id id = {0, r->known ? norm_partition_block_len(&r->part, 0) : 0, 0};

        fits = add_run(&q, NORM_REPAIR_INFO, id, id, 1);
    }
    if (!r->known) {
        /* RFC5740 5.3: "For FEC coding blocks or NormObjects missed in their entirety, the NORM
         * receiver constructs repair requests with NORM_NACK_BLOCK or NORM_NACK_OBJECT flags" */
        if (r->object_missed && !r->heard.object) {
            struct norm_payload_id none = {0};

            (void)add_run(&q, NORM_REPAIR_OBJECT, none, none, 1);
        }
        return norm_repair_size(&q.w);
    }
    for (uint32_t sbn = norm_receiver_next_need(r, norm_receiver_need_floor(r), end);
         sbn < end && fits; sbn = norm_receiver_next_need(r, sbn + 1, end)) {
        uint32_t first = sbn;

        if (r->store.count[sbn] == 0) {
            fits = add_blocks(&q, sbn, end, &sbn);
        } else {
            fits = add_symbols(&q, sbn);
        }
        *ret_cut = fits ? *ret_cut : first;
    }
    return norm_repair_size(&q.w);
}
