/* SPDX-License-Identifier: Apache-2.0
 * Repair requests, the payload of NORM_NACK and NORM_CMD(REPAIR_ADV) (RFC 5740 section 4.3.1):
 * reader and writer. Pure. */
#include "multicast/norm/codec.h"

#define REQUEST_HEADER_SIZE 4u /* form, flags, length */
#define ITEM_HEADER_SIZE    4u /* fec_id, reserved, object id */
#define LENGTH_SIZE         2u
#define FLAGS_KNOWN                                                                                \
    (NORM_REPAIR_SEGMENT | NORM_REPAIR_BLOCK | NORM_REPAIR_INFO | NORM_REPAIR_OBJECT)
#define OBJECT_ID_HALF 0x8000u

void norm_repair_reader_init(struct norm_repair_reader *r, const uint8_t *payload, size_t size,
                             uint8_t fec_id)
{
    *r = (struct norm_repair_reader){.fec_id = fec_id};
    cp_reader_init(&r->in, payload, size);
    cp_reader_init(&r->items, payload, 0);
}

/* Opens the next request; false at the end or when it is malformed. */
static bool request_open(struct norm_repair_reader *r)
{
    uint16_t length;

    if (cp_reader_left(&r->in) == 0) {
        return false;
    }
    r->form = cp_read_u8(&r->in);
    r->flags = cp_read_u8(&r->in) & FLAGS_KNOWN;
    length = cp_read_u16(&r->in);
    r->items = cp_read_sub(&r->in, length);
    if (r->items.failed || r->flags == 0 || r->form < NORM_REPAIR_ITEMS ||
        r->form > NORM_REPAIR_ERASURES) {
        r->malformed = true;
        return false;
    }
    return true;
}

static uint8_t item_read(struct cp_reader *in, struct norm_repair_item *ret_item)
{
    uint8_t fec_id = cp_read_u8(in);

    (void)cp_read_u8(in); /* RFC5740 4.3.1: reserved, "ignored by NORM nodes" */
    ret_item->object_id = cp_read_u16(in);
    norm_payload_id_read(in, fec_id, &ret_item->id);
    return fec_id;
}

/* A range runs upwards; which fields count depends on the level that the flags name. */
static bool range_valid(const struct norm_repair *e)
{
    const struct norm_repair_item *a = &e->first, *b = &e->last;

    if (a->object_id != b->object_id) {
        return (uint16_t)(b->object_id - a->object_id) < OBJECT_ID_HALF;
    }
    if ((e->flags & NORM_REPAIR_OBJECT) != 0 ||
        (e->flags & (NORM_REPAIR_BLOCK | NORM_REPAIR_SEGMENT)) == 0) {
        return true;
    }
    if (a->id.sbn != b->id.sbn) {
        return a->id.sbn < b->id.sbn;
    }
    return (e->flags & NORM_REPAIR_BLOCK) != 0 || a->id.esi <= b->id.esi;
}

/* Reads one entry of the open request. ret_ours: it is of our fec_id. */
static bool entry_read(struct norm_repair_reader *r, struct norm_repair *ret_entry, bool *ret_ours)
{
    struct norm_repair e = {.form = r->form, .flags = r->flags};
    uint8_t fec_first = item_read(&r->items, &e.first);
    uint8_t fec_last = fec_first;

    e.last = e.first;
    if (r->form == NORM_REPAIR_RANGES) {
        fec_last = item_read(&r->items, &e.last);
    }
    if (r->items.failed || fec_first != fec_last || !range_valid(&e)) {
        return false;
    }
    *ret_entry = e;
    *ret_ours = fec_first == r->fec_id;
    return true;
}

bool norm_repair_next(struct norm_repair_reader *r, struct norm_repair *ret)
{
    while (!r->malformed) {
        struct norm_repair entry;
        bool ours;

        if (cp_reader_left(&r->items) == 0) {
            if (!request_open(r)) {
                return false;
            }
            continue;
        }
        if (!entry_read(r, &entry, &ours)) {
            r->malformed = true;
            return false;
        }
        if (ours && entry.form != NORM_REPAIR_ERASURES) {
            *ret = entry;
            return true;
        }
    }
    return false;
}

void norm_repair_writer_init(struct norm_repair_writer *w, uint8_t *buf, size_t cap, uint8_t fec_id)
{
    *w = (struct norm_repair_writer){.fec_id = fec_id};
    cp_writer_init(&w->out, buf, cap);
}

static bool entry_valid(const struct norm_repair_writer *w, const struct norm_repair *e)
{
    if ((e->form != NORM_REPAIR_ITEMS && e->form != NORM_REPAIR_RANGES) || e->flags == 0 ||
        (e->flags & ~FLAGS_KNOWN) != 0 || !norm_payload_id_fits(w->fec_id, &e->first.id)) {
        return false;
    }
    return e->form == NORM_REPAIR_ITEMS ||
           (norm_payload_id_fits(w->fec_id, &e->last.id) && range_valid(e));
}

/* RFC5401 3.2.3.2: "NACK content can be composed of lists and/or ranges of these TPDU
 * identifiers" */
bool norm_repair_add(struct norm_repair_writer *w, const struct norm_repair *entry)
{
    size_t items = entry->form == NORM_REPAIR_RANGES ? 2 : 1;
    size_t size = items * (ITEM_HEADER_SIZE + norm_payload_id_size(w->fec_id));
    struct cp_writer patch;
    size_t length;
    bool fresh;

    if (!entry_valid(w, entry)) {
        return false;
    }
    length = w->out.at - w->length_at - LENGTH_SIZE;
    fresh = w->form != entry->form || w->flags != entry->flags || length + size > UINT16_MAX;
    if (size + (fresh ? REQUEST_HEADER_SIZE : 0) > cp_writer_left(&w->out)) {
        return false;
    }
    if (fresh) {
        w->form = entry->form;
        w->flags = entry->flags;
        cp_write_u8(&w->out, w->form);
        cp_write_u8(&w->out, w->flags);
        w->length_at = w->out.at;
        cp_write_u16(&w->out, 0);
        length = 0;
    }
    norm_item_write(&w->out, w->fec_id, entry->first.object_id, &entry->first.id);
    if (entry->form == NORM_REPAIR_RANGES) {
        norm_item_write(&w->out, w->fec_id, entry->last.object_id, &entry->last.id);
    }
    cp_writer_init(&patch, w->out.data + w->length_at, LENGTH_SIZE);
    cp_write_u16(&patch, (uint16_t)(length + size));
    return true;
}

size_t norm_repair_size(const struct norm_repair_writer *w)
{
    return w->out.at;
}
