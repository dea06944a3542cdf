/* SPDX-License-Identifier: Apache-2.0
 * Sender: the aggregated repair state as the payload of CMD(REPAIR_ADV), so that receivers who
 * cannot hear each other's NACKs hold theirs back (RFC 5740 section 5.4.4). Pure. */
#include "multicast/norm/sender_state.h"

static struct norm_repair entry_of(const struct norm_sender *s, uint8_t flags, uint32_t first,
                                   uint32_t last)
{
    struct norm_repair e = {.form = first == last ? NORM_REPAIR_ITEMS : NORM_REPAIR_RANGES,
                            .flags = flags};

    e.first.object_id = s->config.object_id;
    e.first.id.sbn = first;
    e.first.id.block_len = norm_partition_block_len(&s->part, first);
    e.last.object_id = s->config.object_id;
    e.last.id.sbn = last;
    e.last.id.block_len = norm_partition_block_len(&s->part, last);
    return e;
}

/* Symbols from … to of one block; a pair is two items, which receivers of any make understand. */
static bool add_symbols(const struct norm_sender *s, struct norm_repair_writer *w, uint32_t sbn,
                        unsigned from, unsigned to)
{
    struct norm_repair e = entry_of(s, NORM_REPAIR_SEGMENT, sbn, sbn);

    e.form = from == to ? NORM_REPAIR_ITEMS : NORM_REPAIR_RANGES;
    e.first.id.esi = (uint16_t)from;
    e.last.id.esi = (uint16_t)to;
    return norm_repair_add(w, &e);
}

/* Symbols wanted by name, and of fresh parity the lowest of the block, which is what receivers
 * ask for: the number is what counts. */
static bool add_block(const struct norm_sender *s, struct norm_repair_writer *w, uint32_t sbn)
{
    const struct norm_repairs *r = &s->repairs;
    const uint64_t *map = &r->explicit_map[(size_t)sbn * r->words];
    unsigned k = norm_partition_block_len(&s->part, sbn);
    unsigned end = k + s->part.num_parity;
    unsigned start = end; /* of the open run */
    bool fits = true;

    for (unsigned esi = 0; esi < end && fits; esi++) {
        bool wanted = ((map[esi / 64] >> (esi % 64)) & 1u) != 0 ||
                      (esi >= k && esi < k + (unsigned)r->want[sbn]);

        if (wanted && start == end) {
            start = esi;
        } else if (!wanted && start != end) {
            fits = add_symbols(s, w, sbn, start, esi - 1);
            start = end;
        }
    }
    if (fits && start != end) {
        fits = add_symbols(s, w, sbn, start, end - 1);
    }
    return fits;
}

static uint32_t next_wanted(const struct norm_sender *s, uint32_t from)
{
    uint32_t a = norm_bitset_next(&s->repairs.asked, from);
    uint32_t b = norm_bitset_next(&s->repairs.pending, from);
    uint32_t c = norm_bitset_next(&s->repairs.bulk, from);

    a = a < b ? a : b;
    return a < c ? a : c;
}

/* Last block of the run of wholly wanted blocks that begins at sbn. */
static uint32_t whole_run(const struct norm_bitset *set, uint32_t sbn, uint32_t end)
{
    uint32_t stop = norm_bitset_next_gap(set, sbn);

    return (stop < end ? stop : end) - 1;
}

/* RFC5740 5.4.4: "the sender does not merely retransmit NACK content it receives, but instead
 * transmits a representation of its aggregated repair state" */
size_t norm_sender_adv_payload(const struct norm_sender *s, uint32_t first, uint32_t end,
                               uint8_t *buf, bool *ret_limit)
{
    const struct norm_repairs *r = &s->repairs;
    struct norm_repair_writer w;
    bool fits = true;

    norm_repair_writer_init(&w, buf, s->part.segment_size, s->config.fec_id);
    if (first == norm_sender_live_floor(s) && (r->info_asked || r->info_pending)) {
        struct norm_repair e = entry_of(s, NORM_REPAIR_INFO, 0, 0);

        fits = norm_repair_add(&w, &e);
    }
    for (uint32_t sbn = next_wanted(s, first); sbn < end && fits; sbn = next_wanted(s, sbn + 1)) {
        const struct norm_bitset *set = norm_bitset_has(&r->bulk, sbn) ? &r->bulk : &r->whole;

        if (norm_bitset_has(set, sbn)) {
            uint32_t last = whole_run(set, sbn, end);
            struct norm_repair e = entry_of(s, NORM_REPAIR_BLOCK, sbn, last);

            fits = norm_repair_add(&w, &e);
            sbn = last;
        } else {
            fits = add_block(s, &w, sbn);
        }
    }
    *ret_limit = !fits;
    return norm_repair_size(&w);
}
