/* SPDX-License-Identifier: Apache-2.0
 * A receiver's store of symbols: a bounded number of block buffers. The receiver's thread fills
 * them and hands whole ones to the sink, whose thread gives them back: only io_pool_put() may be
 * called from there. No file, no socket. */
#ifndef MULTICAST_IO_BLOCKPOOL_H
#define MULTICAST_IO_BLOCKPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"
#include "multicast/norm/block.h"

/* One block's buffer. Symbol i (source first, then parity) lies at data + i × segment_size;
 * short symbols are filled up with zeros. */
struct io_block {
    uint8_t *data;
    uint32_t sbn;
    uint16_t block_len;    /* k */
    uint16_t source_count; /* source symbols in data */
    uint16_t parity_count;
    uint8_t present[NORM_BLOCK_SYMBOLS_MAX + 1]; /* 1: symbol is in data */
    uint8_t on_disk[NORM_BLOCK_SYMBOLS_MAX + 1]; /* 1: source symbol was spilled; the sink reads it
                                                    back (set by the receiver) */
    bool spill;            /* for the sink: write what is there, the block is not whole yet */
    bool filling;          /* pool's: belongs to the receiver and to block sbn */
    uint64_t touched;      /* pool's: for the choice of a victim */
    struct io_block *next; /* in the free list or the sink's queue */
};

struct io_pool;

/* `memory` bytes of buffers, at least four blocks. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err io_pool_new(const struct norm_partition *partition, size_t memory,
                                      struct io_pool **ret_pool);
void io_pool_free(struct io_pool *p); /* every block must be back or forgotten; NULL allowed */

size_t io_pool_count(const struct io_pool *p);
size_t io_pool_free_count(struct io_pool *p);

/* Buffer that holds symbols of block sbn, NULL when there is none. */
struct io_block *io_pool_find(struct io_pool *p, uint32_t sbn);

/* A buffer for block sbn, which has none: empty, filling. NULL when none is free. */
struct io_block *io_pool_take(struct io_pool *p, uint32_t sbn);

/* Waits until more than so many buffers are free or `timeout` (relative) is over; true when they
 * are. */
bool io_pool_wait(struct io_pool *p, size_t more_than, cp_time timeout);

/* The filling block that was left alone for the longest: it waits for a repair. NULL: none. */
struct io_block *io_pool_victim(struct io_pool *p);

/* Stores symbol esi, size ≤ segment_size; esi < block_len + num_parity. A symbol that is there
 * already stays as it is. */
void io_pool_store(struct io_pool *p, struct io_block *b, uint16_t esi, const uint8_t *data,
                   size_t size);

/* The block leaves the receiver's hands: it goes to the sink. */
void io_pool_release(struct io_pool *p, struct io_block *b);

/* Back into the free list. Any thread. */
void io_pool_put(struct io_pool *p, struct io_block *b);

/* Gives up all blocks that are being filled. */
void io_pool_reset(struct io_pool *p);

#endif
