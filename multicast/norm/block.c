/* SPDX-License-Identifier: Apache-2.0
 * Division of an object into blocks and symbols (RFC 5052 section 9.1). Pure. */
#include "multicast/norm/block.h"

#include "multicast/norm/codec.h"

#define OBJECT_SIZE_MAX 0xffffffffffffu
#define BLOCKS_24_MAX   0x1000000u
#define BLOCKS_32_MAX   0xffffffffu

/* Written so that no sum can overflow. */
static uint64_t div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* RFC5740 5.1.1: "NORM senders and receivers MUST use a common algorithm for logically
 * segmenting transport data", RFC5052 9.1. */
enum cp_err norm_partition_init(struct norm_partition *p, const struct norm_fti *fti,
                                uint8_t fec_id)
{
    size_t id_size = norm_payload_id_size(fec_id);
    uint64_t symbols, blocks;

    if (id_size == 0 || fti->object_size == 0 || fti->object_size > OBJECT_SIZE_MAX ||
        fti->segment_size == 0 || fti->max_block_len == 0 ||
        (uint32_t)fti->max_block_len + fti->num_parity > NORM_BLOCK_SYMBOLS_MAX) {
        return CP_ERR_MALFORMED;
    }
    symbols = div_up(fti->object_size, fti->segment_size);
    blocks = div_up(symbols, fti->max_block_len);
    if (blocks > (id_size == 8 ? BLOCKS_32_MAX : BLOCKS_24_MAX)) {
        return CP_ERR_MALFORMED;
    }
    *p = (struct norm_partition){
        .object_size = fti->object_size,
        .segment_size = fti->segment_size,
        .max_block_len = fti->max_block_len,
        .num_parity = fti->num_parity,
        .block_count = (uint32_t)blocks,
        .large_len = (uint16_t)div_up(symbols, blocks),
        .small_len = (uint16_t)(symbols / blocks),
        .large_count = (uint32_t)(symbols % blocks),
        .last_size = (uint16_t)(fti->object_size - (symbols - 1) * fti->segment_size),
    };
    return CP_OK;
}

uint16_t norm_partition_block_len(const struct norm_partition *p, uint32_t sbn)
{
    CP_ASSERT(sbn < p->block_count);
    return sbn < p->large_count ? p->large_len : p->small_len;
}

/* Position of the block's first symbol among all symbols of the object. */
static uint64_t first_symbol(const struct norm_partition *p, uint32_t sbn)
{
    if (sbn < p->large_count) {
        return (uint64_t)sbn * p->large_len;
    }
    return (uint64_t)p->large_count * p->large_len +
           (uint64_t)(sbn - p->large_count) * p->small_len;
}

uint64_t norm_partition_offset(const struct norm_partition *p, uint32_t sbn, uint16_t esi)
{
    CP_ASSERT(esi < norm_partition_block_len(p, sbn));
    return (first_symbol(p, sbn) + esi) * p->segment_size;
}

uint16_t norm_partition_symbol_size(const struct norm_partition *p, uint32_t sbn, uint16_t esi)
{
    uint16_t len = norm_partition_block_len(p, sbn);

    CP_ASSERT(esi < len);
    return sbn == p->block_count - 1 && esi == len - 1 ? p->last_size : p->segment_size;
}

size_t norm_partition_block_size(const struct norm_partition *p, uint32_t sbn)
{
    size_t size = (size_t)norm_partition_block_len(p, sbn) * p->segment_size;

    if (sbn == p->block_count - 1) {
        size -= (size_t)(p->segment_size - p->last_size);
    }
    return size;
}

uint32_t norm_partition_block_at(const struct norm_partition *p, uint64_t offset)
{
    uint64_t symbol = offset / p->segment_size;
    uint64_t large_symbols = (uint64_t)p->large_count * p->large_len;

    CP_ASSERT(offset < p->object_size);
    if (symbol < large_symbols) {
        return (uint32_t)(symbol / p->large_len);
    }
    return p->large_count + (uint32_t)((symbol - large_symbols) / p->small_len);
}
