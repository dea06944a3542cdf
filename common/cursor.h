/* SPDX-License-Identifier: Apache-2.0
 * Bounded cursor over bytes: every wire format is read and written through it, big endian. A
 * read or write past the end changes nothing but the sticky `failed` mark, so a parser checks
 * once at its end. Pure; the cursor borrows the bytes. Reading is inline, since a packet takes a few
 * dozen reads: as calls they were half the time of decoding one. */
#ifndef CP_COMMON_CURSOR_H
#define CP_COMMON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cp_reader {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool failed; /* a read went past the end; all reads since gave 0 */
};

struct cp_writer {
    uint8_t *data;
    size_t size;
    size_t at;
    bool failed; /* a write went past the end and was left out */
};

static inline void cp_reader_init(struct cp_reader *r, const void *data, size_t size)
{
    *r = (struct cp_reader){.data = (const uint8_t *)data, .size = size};
}

size_t cp_reader_left(const struct cp_reader *r);

/* The next `size` bytes, borrowed; NULL (and failed) when there are fewer. */
static inline const uint8_t *cp_read_bytes(struct cp_reader *r, size_t size)
{
    const uint8_t *p;

    if (r->failed || size > r->size - r->at) {
        r->failed = true;
        return NULL;
    }
    p = r->data + r->at;
    r->at += size;
    return p;
}

/* A number of `size` bytes, at most 8. */
static inline uint64_t cp_read_be(struct cp_reader *r, size_t size)
{
    const uint8_t *p = cp_read_bytes(r, size);
    uint64_t v = 0;

    if (p == NULL) {
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static inline uint8_t cp_read_u8(struct cp_reader *r)
{
    return (uint8_t)cp_read_be(r, 1);
}

static inline uint16_t cp_read_u16(struct cp_reader *r)
{
    return (uint16_t)cp_read_be(r, 2);
}

static inline uint32_t cp_read_u24(struct cp_reader *r)
{
    return (uint32_t)cp_read_be(r, 3);
}

static inline uint32_t cp_read_u32(struct cp_reader *r)
{
    return (uint32_t)cp_read_be(r, 4);
}

static inline uint64_t cp_read_u40(struct cp_reader *r)
{
    return cp_read_be(r, 5);
}

static inline uint64_t cp_read_u48(struct cp_reader *r)
{
    return cp_read_be(r, 6);
}

static inline uint64_t cp_read_u64(struct cp_reader *r)
{
    return cp_read_be(r, 8);
}

/* A cursor over the next `size` bytes; an empty failed one when there are fewer. */
struct cp_reader cp_read_sub(struct cp_reader *r, size_t size);

void cp_writer_init(struct cp_writer *w, void *data, size_t size);
size_t cp_writer_left(const struct cp_writer *w);
void cp_write_u8(struct cp_writer *w, uint8_t v);
void cp_write_u16(struct cp_writer *w, uint16_t v);
void cp_write_u24(struct cp_writer *w, uint32_t v);
void cp_write_u32(struct cp_writer *w, uint32_t v);
void cp_write_u40(struct cp_writer *w, uint64_t v);
void cp_write_u48(struct cp_writer *w, uint64_t v);
void cp_write_u64(struct cp_writer *w, uint64_t v);
void cp_write_bytes(struct cp_writer *w, const void *data, size_t size);
void cp_write_zeros(struct cp_writer *w, size_t size);

#endif
