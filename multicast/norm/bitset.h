/* SPDX-License-Identifier: Apache-2.0
 * Fixed-size set of block numbers as a bitmap; searches go word by word. Pure. */
#ifndef NORM_BITSET_H
#define NORM_BITSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct norm_bitset {
    uint64_t *words;
    uint32_t size;  /* members are 0 … size - 1 */
    uint32_t count; /* members in the set */
};

/* An empty set; CP_ERR_NO_MEMORY. The only function that allocates. */
CP_MUST_CHECK enum cp_err norm_bitset_init(struct norm_bitset *b, uint32_t size);
void norm_bitset_done(struct norm_bitset *b);

static inline bool norm_bitset_has(const struct norm_bitset *b, uint32_t i)
{
    return ((b->words[i / 64] >> (i % 64)) & 1u) != 0;
}

static inline void norm_bitset_add(struct norm_bitset *b, uint32_t i)
{
    uint64_t bit = (uint64_t)1 << (i % 64);

    b->count += (b->words[i / 64] & bit) == 0;
    b->words[i / 64] |= bit;
}

static inline void norm_bitset_remove(struct norm_bitset *b, uint32_t i)
{
    uint64_t bit = (uint64_t)1 << (i % 64);

    b->count -= (b->words[i / 64] & bit) != 0;
    b->words[i / 64] &= ~bit;
}

/* Lowest member (or lowest non-member) ≥ from; `size` when there is none. */
uint32_t norm_bitset_next(const struct norm_bitset *b, uint32_t from);
uint32_t norm_bitset_next_gap(const struct norm_bitset *b, uint32_t from);

/* Members of `from`, of the same size, move over; `from` is empty then. */
void norm_bitset_move(struct norm_bitset *to, struct norm_bitset *from);
void norm_bitset_clear(struct norm_bitset *b);

#endif
