/* SPDX-License-Identifier: Apache-2.0
 * Receiver: which symbols and blocks are here. Pure. */
#include <stdlib.h>
#include <string.h>

#include "multicast/norm/receiver_state.h"

enum cp_err norm_store_init(struct norm_store *st, uint32_t block_count, unsigned symbols_per_block)
{
    st->words = (symbols_per_block + 63) / 64;
    st->low = 0;
    CP_TRY(norm_bitset_init(&st->complete, block_count));
    st->symbols = calloc((size_t)block_count * st->words, sizeof(*st->symbols));
    st->count = calloc(block_count, sizeof(*st->count));
    return st->symbols == NULL || st->count == NULL ? CP_ERR_NO_MEMORY : CP_OK;
}

void norm_store_done(struct norm_store *st)
{
    norm_bitset_done(&st->complete);
    free(st->symbols);
    free(st->count);
    *st = (struct norm_store){0};
}

static uint64_t *map_of(struct norm_store *st, uint32_t sbn)
{
    return &st->symbols[(size_t)sbn * st->words];
}

bool norm_store_has(const struct norm_store *st, uint32_t sbn, uint16_t esi)
{
    return ((st->symbols[(size_t)sbn * st->words + esi / 64u] >> (esi % 64u)) & 1u) != 0;
}

/* A complete block's remaining symbols count as here. */
bool norm_store_add(struct norm_store *st, uint32_t sbn, uint16_t esi, uint16_t k,
                    bool *ret_complete)
{
    *ret_complete = false;
    if (norm_bitset_has(&st->complete, sbn) || norm_store_has(st, sbn, esi)) {
        return false;
    }
    map_of(st, sbn)[esi / 64u] |= (uint64_t)1 << (esi % 64u);
    st->count[sbn]++;
    if (st->count[sbn] == k) {
        norm_store_have(st, sbn);
        *ret_complete = true;
    }
    return true;
}

void norm_store_have(struct norm_store *st, uint32_t sbn)
{
    norm_bitset_add(&st->complete, sbn);
    if (sbn == st->low) {
        st->low = norm_bitset_next_gap(&st->complete, sbn);
    }
}

void norm_store_forget(struct norm_store *st, uint32_t sbn)
{
    memset(map_of(st, sbn), 0, st->words * sizeof(*st->symbols));
    st->count[sbn] = 0;
    norm_bitset_remove(&st->complete, sbn);
    if (sbn < st->low) {
        st->low = sbn;
    }
}

void norm_store_forget_parity(struct norm_store *st, uint32_t sbn, uint16_t k)
{
    uint64_t *map = map_of(st, sbn);
    unsigned count = 0;

    if (norm_bitset_has(&st->complete, sbn)) {
        return;
    }
    for (unsigned w = 0; w < st->words; w++) {
        if (w * 64 + 63 >= k) {
            map[w] &= w * 64 >= k ? 0 : ((uint64_t)1 << (k % 64u)) - 1;
        }
        count += (unsigned)__builtin_popcountll(map[w]);
    }
    st->count[sbn] = (uint8_t)count;
}

void norm_store_restart(struct norm_store *st)
{
    uint32_t sbn = norm_bitset_next_gap(&st->complete, st->low);

    while (sbn < st->complete.size) {
        norm_store_forget(st, sbn);
        sbn = norm_bitset_next_gap(&st->complete, sbn + 1);
    }
}
