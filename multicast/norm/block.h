/* SPDX-License-Identifier: Apache-2.0
 * Arithmetic of an object: its division into source blocks and symbols (RFC 5052 section 9.1).
 * Pure. */
#ifndef NORM_BLOCK_H
#define NORM_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "multicast/norm/wire.h"

/* Most symbols of one block, source and parity: GF(2^8) with 256 evaluation points, NRL's limit. */
#define NORM_BLOCK_SYMBOLS_MAX 255u

struct norm_partition {
    uint64_t object_size;
    uint16_t segment_size;  /* E */
    uint16_t max_block_len; /* B */
    uint16_t num_parity;    /* P */
    uint32_t block_count;   /* N */
    uint16_t large_len;     /* A_large, blocks 0 … large_count - 1 */
    uint16_t small_len;     /* A_small */
    uint32_t large_count;   /* I */
    uint16_t last_size;     /* bytes of the very last symbol */
};

/* CP_ERR_MALFORMED for an FTI that cannot be: size, E or B zero, B + P over the limit, more than
 * 2^32 - 1 blocks (24 bits: 2^24 for fec_id 5 and 2). */
CP_MUST_CHECK enum cp_err norm_partition_init(struct norm_partition *p, const struct norm_fti *fti,
                                              uint8_t fec_id);
uint16_t norm_partition_block_len(const struct norm_partition *p, uint32_t sbn); /* k */
uint64_t norm_partition_offset(const struct norm_partition *p, uint32_t sbn, uint16_t esi);
/* Bytes of a source symbol (E but for the very last). */
uint16_t norm_partition_symbol_size(const struct norm_partition *p, uint32_t sbn, uint16_t esi);
/* Bytes of the block's source. */
size_t norm_partition_block_size(const struct norm_partition *p, uint32_t sbn);
/* Block that holds the byte at offset < object_size. */
uint32_t norm_partition_block_at(const struct norm_partition *p, uint64_t offset);

#endif
