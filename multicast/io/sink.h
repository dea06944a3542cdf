/* SPDX-License-Identifier: Apache-2.0
 * A receiver's way to the disk: a thread that takes whole blocks of ciphertext, rebuilds lost
 * symbols, decrypts, writes, and verifies every chunk that has all its bytes: hashed as they are
 * written, read back only where blocks came out of order. Touches files; no socket. io_sink_*
 * belong to the receiver's thread unless they say otherwise. */
#ifndef MULTICAST_IO_SINK_H
#define MULTICAST_IO_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "multicast/fec/fec.h"
#include "multicast/io/blockpool.h"
#include "multicast/io/extents.h"
#include "multicast/norm/block.h"
#include "multicast/seal/seal.h"

struct io_sink_config {
    const struct norm_partition *partition; /* copied */
    uint64_t content_size;                  /* what is written; the padding behind it is dropped */
    const struct io_extent *extents;        /* copied; open for reading and writing */
    size_t extent_count;
    const struct seal_content_key *key; /* NULL: the object is plain content */
    const struct fec_code *code;        /* the caller's, must outlive the sink */
    struct io_pool *pool;               /* the same */
    uint32_t chunk_size;
    const uint8_t *digests;     /* SHA-256 of each chunk, copied; NULL: no verification */
    size_t chunk_count;         /* of digests */
    const uint8_t *chunks_have; /* bytes 0/1: verified before; NULL none */
    unsigned retry_max;         /* a bad chunk is reported as worth another try so often */
};

struct io_sink;

/* Starts the thread. CP_ERR_INVALID (chunk_count does not fit content_size, extents too small),
 * CP_ERR_NO_MEMORY, CP_ERR_INTERNAL. */
CP_MUST_CHECK enum cp_err io_sink_new(const struct io_sink_config *config,
                                      struct io_sink **ret_sink);
/* Finishes what was submitted, unless that failed, and joins the thread; NULL allowed. */
void io_sink_free(struct io_sink *s);

/* Readable when a chunk turned out bad, writing failed, or all that was submitted is done. */
int io_sink_fd(const struct io_sink *s);

/* Hands over a block that io_pool_release() let go; the thread puts it back into the pool. With
 * b->spill its source symbols are only written. Never waits: the pool bounds the queue. */
void io_sink_submit(struct io_sink *s, struct io_block *b);

/* The next bad chunk whose blocks are to be asked for again: its blocks *ret_first … *ret_last
 * count as not written any more. false: none. Clears io_sink_fd() when there is none. */
bool io_sink_next_bad(struct io_sink *s, uint32_t *ret_first, uint32_t *ret_last);

/* Is every content byte of the block in verified chunks? Asked once, before the first submit, it
 * tells which blocks the receiver need not ask for. */
bool io_sink_block_had(struct io_sink *s, uint32_t sbn);

/* Figures; any thread. */
struct io_sink_state {
    size_t pending;          /* blocks submitted and not done with */
    uint64_t bytes_verified; /* in verified chunks; without digests: written */
    uint64_t chunks_bad;     /* mismatches seen */
    uint32_t chunks_failed;  /* chunks that stayed wrong after retry_max tries */
    bool complete;           /* every chunk is verified */
    enum cp_err error;       /* CP_ERR_OUTPUT_FULL, CP_ERR_OUTPUT; nothing is written any more */
};
void io_sink_get_state(struct io_sink *s, struct io_sink_state *ret_state);

/* One byte per chunk, 1 = verified; entries past the chunks are 0. Any thread. */
void io_sink_get_chunks(struct io_sink *s, uint8_t *ret_chunks, size_t chunk_count);

#endif
