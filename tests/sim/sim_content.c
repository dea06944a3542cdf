/* SPDX-License-Identifier: Apache-2.0
 * Content of simulated symbols. */
#include "sim_content.h"

#include <string.h>

#define STAMP_SIZE 8u

static uint64_t stamp(uint32_t sbn, uint16_t esi, size_t at)
{
    uint64_t x = ((uint64_t)sbn << 24 | (uint64_t)esi << 8) + at * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 31)) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 29);
}

/* Calls for each stamp's place: all of them, or the first and the last one. */
static size_t next_place(const struct sim *sim, size_t at, size_t size)
{
    if (sim->config.fast_content && at == 0 && size > 2 * STAMP_SIZE) {
        return size - STAMP_SIZE;
    }
    return at + STAMP_SIZE;
}

void sim_content_fill(const struct sim *sim, uint32_t sbn, uint16_t esi, uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at = next_place(sim, at, size)) {
        uint64_t s = stamp(sbn, esi, at);

        memcpy(data + at, &s, size - at < STAMP_SIZE ? size - at : STAMP_SIZE);
    }
}

static bool content_right(const struct sim *sim, const struct norm_rx *rx)
{
    for (size_t at = 0; at < rx->payload_size; at = next_place(sim, at, rx->payload_size)) {
        size_t left = rx->payload_size - at;
        uint64_t s = stamp(rx->sbn, rx->esi, at);

        if (memcmp(rx->payload + at, &s, left < STAMP_SIZE ? left : STAMP_SIZE) != 0) {
            return false;
        }
    }
    return true;
}

static unsigned symbols_here(const uint64_t *map)
{
    unsigned count = 0;

    for (unsigned w = 0; w < SIM_SYMBOL_WORDS; w++) {
        count += (unsigned)__builtin_popcountll(map[w]);
    }
    return count;
}

const char *sim_content_store(struct sim *sim, struct sim_receiver *r, const struct norm_rx *rx)
{
    uint64_t *map = &r->symbols[(size_t)rx->sbn * SIM_SYMBOL_WORDS];
    uint64_t bit = (uint64_t)1 << (rx->esi % 64);
    unsigned k;

    if (rx->sbn >= sim->part.block_count) {
        return "a symbol of no block";
    }
    k = norm_partition_block_len(&sim->part, rx->sbn);
    if (rx->esi >= k + sim->part.num_parity) {
        return "a symbol past the block's parity";
    }
    if (rx->esi < k &&
        rx->payload_size != norm_partition_symbol_size(&sim->part, rx->sbn, rx->esi)) {
        return "a symbol of the wrong size";
    }
    if (!content_right(sim, rx)) {
        return "wrong content";
    }
    if ((map[rx->esi / 64] & bit) != 0) {
        return "a symbol was given out twice";
    }
    map[rx->esi / 64] |= bit;
    if (((rx->events & NORM_RX_BLOCK) != 0) != (symbols_here(map) == k)) {
        return "BLOCK does not come with the k-th symbol";
    }
    r->blocks_done += (rx->events & NORM_RX_BLOCK) != 0;
    return NULL;
}

void sim_content_have(struct sim *sim, struct sim_receiver *r, uint32_t sbn)
{
    unsigned k = norm_partition_block_len(&sim->part, sbn);

    for (unsigned esi = 0; esi < k; esi++) {
        r->symbols[(size_t)sbn * SIM_SYMBOL_WORDS + esi / 64] |= (uint64_t)1 << (esi % 64);
    }
    r->blocks_done++;
}

void sim_content_forget(struct sim *sim, struct sim_receiver *r, uint32_t sbn)
{
    uint64_t *map = &r->symbols[(size_t)sbn * SIM_SYMBOL_WORDS];

    if (symbols_here(map) == norm_partition_block_len(&sim->part, sbn)) {
        r->blocks_done--;
    }
    memset(map, 0, SIM_SYMBOL_WORDS * sizeof(*map));
}
