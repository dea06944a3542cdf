/* SPDX-License-Identifier: Apache-2.0
 * Fixed-size set of block numbers as a bitmap. Pure. */
#include "multicast/norm/bitset.h"

#include <stdlib.h>
#include <string.h>

static size_t word_count(const struct norm_bitset *b)
{
    return ((size_t)b->size + 63) / 64;
}

enum cp_err norm_bitset_init(struct norm_bitset *b, uint32_t size)
{
    uint64_t *words = calloc(((size_t)size + 63) / 64 + 1, sizeof(*words));

    if (words == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    *b = (struct norm_bitset){.words = words, .size = size};
    return CP_OK;
}

void norm_bitset_done(struct norm_bitset *b)
{
    free(b->words);
    *b = (struct norm_bitset){0};
}

/* Lowest bit ≥ from of the map xor `flip` in every word. */
static uint32_t next_in(const struct norm_bitset *b, uint32_t from, uint64_t flip)
{
    size_t n = word_count(b);

    if (from >= b->size) {
        return b->size;
    }
    size_t at = from / 64;
    uint64_t word = (b->words[at] ^ flip) & (~(uint64_t)0 << (from % 64));

    while (word == 0) {
        at++;
        if (at == n) {
            return b->size;
        }
        word = b->words[at] ^ flip;
    }
    uint64_t found = (uint64_t)at * 64 + (unsigned)__builtin_ctzll(word);

    return found < b->size ? (uint32_t)found : b->size;
}

uint32_t norm_bitset_next(const struct norm_bitset *b, uint32_t from)
{
    return next_in(b, from, 0);
}

uint32_t norm_bitset_next_gap(const struct norm_bitset *b, uint32_t from)
{
    return next_in(b, from, ~(uint64_t)0);
}

void norm_bitset_move(struct norm_bitset *to, struct norm_bitset *from)
{
    size_t n = word_count(to);

    CP_ASSERT(to->size == from->size);
    if (from->count == 0) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t fresh = from->words[i] & ~to->words[i];

        to->words[i] |= fresh;
        to->count += (uint32_t)__builtin_popcountll(fresh);
        from->words[i] = 0;
    }
    from->count = 0;
}

void norm_bitset_clear(struct norm_bitset *b)
{
    memset(b->words, 0, word_count(b) * sizeof(*b->words));
    b->count = 0;
}
