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

/* Bytes that are stamped; the rest of a large object's symbols is whatever it is. */
static size_t stamped(const struct sim *sim, size_t size)
{
    return sim->config.fast_content && size > STAMP_SIZE ? STAMP_SIZE : size;
}

void sim_content_fill(const struct sim *sim, uint32_t sbn, uint16_t esi, uint8_t *data, size_t size)
{
    size_t end = stamped(sim, size);

    for (size_t at = 0; at < end; at += STAMP_SIZE) {
        uint64_t s = stamp(sbn, esi, at);

        memcpy(data + at, &s, end - at < STAMP_SIZE ? end - at : STAMP_SIZE);
    }
}

static bool content_right(const struct sim *sim, const struct norm_rx *rx)
{
    size_t end = stamped(sim, rx->payload_size);

    for (size_t at = 0; at < end; at += STAMP_SIZE) {
        uint64_t expected = stamp(rx->sbn, rx->esi, at), is = expected;

        memcpy(&is, rx->payload + at, end - at < STAMP_SIZE ? end - at : STAMP_SIZE);
        if (is != expected) {
            return false;
        }
    }
    return true;
}

const char *sim_content_store(struct sim *sim, struct sim_receiver *r, const struct norm_rx *rx)
{
    struct sim_block *block = &r->blocks[rx->sbn];
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
    if ((block->map[rx->esi / 64] & bit) != 0) {
        return "a symbol was given out twice";
    }
    block->map[rx->esi / 64] |= bit;
    block->count++;
    if (((rx->events & NORM_RX_BLOCK) != 0) != (block->count == k)) {
        return "BLOCK does not come with the k-th symbol";
    }
    r->blocks_done += (rx->events & NORM_RX_BLOCK) != 0;
    return NULL;
}

void sim_content_have(struct sim *sim, struct sim_receiver *r, uint32_t sbn)
{
    struct sim_block *block = &r->blocks[sbn];

    block->count = norm_partition_block_len(&sim->part, sbn);
    for (unsigned esi = 0; esi < block->count; esi++) {
        block->map[esi / 64] |= (uint64_t)1 << (esi % 64);
    }
    r->blocks_done++;
}

void sim_content_forget(struct sim *sim, struct sim_receiver *r, uint32_t sbn)
{
    struct sim_block *block = &r->blocks[sbn];

    if (block->count == norm_partition_block_len(&sim->part, sbn)) {
        r->blocks_done--;
    }
    *block = (struct sim_block){0};
}
