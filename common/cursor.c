/* SPDX-License-Identifier: Apache-2.0
 * Bounded big-endian reads and writes. Pure. */
#include "common/cursor.h"

#include <string.h>

size_t cp_reader_left(const struct cp_reader *r)
{
    return r->failed ? 0 : r->size - r->at;
}

struct cp_reader cp_read_sub(struct cp_reader *r, size_t size)
{
    const uint8_t *p = cp_read_bytes(r, size);

    return (struct cp_reader){.data = p, .size = p == NULL ? 0 : size, .failed = p == NULL};
}

void cp_writer_init(struct cp_writer *w, void *data, size_t size)
{
    *w = (struct cp_writer){.data = data, .size = size};
}

size_t cp_writer_left(const struct cp_writer *w)
{
    return w->failed ? 0 : w->size - w->at;
}

static uint8_t *reserve(struct cp_writer *w, size_t size)
{
    uint8_t *p;

    if (w->failed || size > w->size - w->at) {
        w->failed = true;
        return NULL;
    }
    p = w->data + w->at;
    w->at += size;
    return p;
}

static void write_be(struct cp_writer *w, uint64_t v, size_t size)
{
    uint8_t *p = reserve(w, size);

    if (p == NULL) {
        return;
    }
    for (size_t i = size; i > 0; i--) {
        p[i - 1] = (uint8_t)v;
        v >>= 8;
    }
}

void cp_write_u8(struct cp_writer *w, uint8_t v)
{
    write_be(w, v, 1);
}

void cp_write_u16(struct cp_writer *w, uint16_t v)
{
    write_be(w, v, 2);
}

void cp_write_u24(struct cp_writer *w, uint32_t v)
{
    write_be(w, v, 3);
}

void cp_write_u32(struct cp_writer *w, uint32_t v)
{
    write_be(w, v, 4);
}

void cp_write_u40(struct cp_writer *w, uint64_t v)
{
    write_be(w, v, 5);
}

void cp_write_u48(struct cp_writer *w, uint64_t v)
{
    write_be(w, v, 6);
}

void cp_write_u64(struct cp_writer *w, uint64_t v)
{
    write_be(w, v, 8);
}

void cp_write_bytes(struct cp_writer *w, const void *data, size_t size)
{
    uint8_t *p = reserve(w, size);

    if (p != NULL && size > 0) {
        memcpy(p, data, size);
    }
}

void cp_write_zeros(struct cp_writer *w, size_t size)
{
    uint8_t *p = reserve(w, size);

    if (p != NULL) {
        memset(p, 0, size);
    }
}
