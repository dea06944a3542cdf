/* SPDX-License-Identifier: Apache-2.0
 * Receiver: repair requests of others, heard in NACKs and in CMD(REPAIR_ADV), which make ours
 * superfluous (RFC 5740 section 5.3). Pure. */
#include <string.h>

#include "multicast/norm/receiver_state.h"

/* Requests of one message for one block, until the block changes. */
struct tally {
    bool open;
    uint32_t sbn;
    unsigned count;
    uint64_t blocks; /* named as a whole by this message so far */
};

void norm_receiver_heard_clear(struct norm_receiver *r)
{
    struct norm_heard *h = &r->heard;

    if (h->high > h->low) {
        memset(h->count + h->low, 0, h->high - h->low);
    }
    h->low = h->high = 0;
    h->info = h->object = false;
    h->limit = UINT32_MAX;
}

static void extend(struct norm_heard *h, uint32_t first, uint32_t end)
{
    if (h->high == h->low) {
        h->low = first;
        h->high = end;
    }
    h->low = first < h->low ? first : h->low;
    h->high = end > h->high ? end : h->high;
}

static void tally_close(struct norm_heard *h, struct tally *t)
{
    if (t->open) {
        unsigned count = t->count < NORM_HEARD_WHOLE ? t->count : NORM_HEARD_WHOLE - 1;

        extend(h, t->sbn, t->sbn + 1);
        if (count > h->count[t->sbn]) {
            h->count[t->sbn] = (uint8_t)count;
        }
    }
    t->open = false;
}

/* False: what is named as a whole exceeds the object; nobody needs more than each block once, while
 * a hostile message has room for dozens of ranges over all of it. */
static bool apply(struct norm_receiver *r, struct tally *t, const struct norm_repair *e)
{
    struct norm_heard *h = &r->heard;
    uint32_t first = e->first.id.sbn, last = e->last.id.sbn;

    h->info = h->info || (e->flags & (NORM_REPAIR_INFO | NORM_REPAIR_OBJECT)) != 0;
    h->object = h->object || (e->flags & NORM_REPAIR_OBJECT) != 0;
    if ((e->flags & (NORM_REPAIR_BLOCK | NORM_REPAIR_SEGMENT)) == 0 || !r->known || first > last ||
        last >= r->part.block_count) {
        return true;
    }
    if ((e->flags & NORM_REPAIR_BLOCK) != 0) {
        tally_close(h, t);
        t->blocks += (uint64_t)last - first + 1;
        if (t->blocks > 2 * (uint64_t)r->part.block_count) {
            return false;
        }
        memset(h->count + first, (int)NORM_HEARD_WHOLE, (size_t)last - first + 1);
        extend(h, first, last + 1);
        return true;
    }
    if (t->open && t->sbn != first) {
        tally_close(h, t);
    }
    if (!t->open) {
        *t = (struct tally){.open = true, .sbn = first, .blocks = t->blocks};
    }
    t->count += (unsigned)(e->last.id.esi - e->first.id.esi) + 1u;
    return true;
}

enum cp_err norm_receiver_heard_add(struct norm_receiver *r, const struct norm_msg *msg)
{
    struct norm_repair_reader reader;
    struct norm_repair e;
    struct tally t = {0};
    uint32_t highest = 0;
    bool valid = true;

    norm_repair_reader_init(&reader, msg->payload, msg->payload_size, r->fec_id);
    while (valid && norm_repair_next(&reader, &e)) {
        if ((uint16_t)(r->object_id - e.first.object_id) <=
            (uint16_t)(e.last.object_id - e.first.object_id)) {
            highest = e.last.id.sbn > highest ? e.last.id.sbn : highest;
            valid = apply(r, &t, &e);
        }
    }
    tally_close(&r->heard, &t);
    /* RFC5740 4.2.3.5: with LIMIT "receivers SHALL limit their NACK response to generating NACK
     * content only up through the maximum ordinal transmission position" in it */
    if (msg->type == NORM_CMD && (msg->flags & 0x01) != 0) {
        r->heard.limit = highest + 1;
    }
    return valid && !reader.malformed ? CP_OK : CP_ERR_MALFORMED;
}

/* Parity that goes out for others repairs us as well, symbol for symbol. Once parity alone cannot
 * do it we need symbols of our own, and only a repair of the whole block covers those. */
bool norm_receiver_heard_covers(const struct norm_receiver *r, uint32_t sbn)
{
    const struct norm_heard *h = &r->heard;
    unsigned need = (unsigned)norm_partition_block_len(&r->part, sbn) - r->store.count[sbn];

    if (h->object || sbn >= h->limit) {
        return true;
    }
    if (h->count[sbn] == NORM_HEARD_WHOLE) {
        return true;
    }
    return need <= r->part.num_parity && need <= h->count[sbn];
}
