/* SPDX-License-Identifier: Apache-2.0
 * The sender's supply of object bytes: blocks of ciphertext, read ahead of the first pass by a
 * thread of its own into a bounded ring; anything else (repairs of old blocks) is read on demand
 * through the page cache. Touches files. All functions belong to the sender's thread. */
#ifndef MULTICAST_IO_SOURCE_H
#define MULTICAST_IO_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"
#include "multicast/io/extents.h"
#include "multicast/norm/block.h"
#include "multicast/seal/seal.h"

struct io_source_config {
    const struct norm_partition *partition; /* copied */
    uint64_t content_size; /* bytes that the extents hold; up to the object's size: zeros */
    const struct io_extent *extents; /* copied */
    size_t extent_count;
    const struct seal_content_key *key; /* NULL: the object is plain content */
    size_t memory;                      /* bytes for block buffers, at least six blocks are taken */
};

struct io_source;

/* Starts the reading thread. CP_ERR_INVALID, CP_ERR_NO_MEMORY, CP_ERR_INTERNAL (no thread, no
 * cipher). */
CP_MUST_CHECK enum cp_err io_source_new(const struct io_source_config *config,
                                        struct io_source **ret_source);
void io_source_free(struct io_source *s); /* joins the thread; NULL allowed */

/* Is block `sbn` in memory, or not a matter of reading ahead? When false the caller may wait with
 * io_source_wait() instead of being blocked inside io_source_get(). */
bool io_source_ready(struct io_source *s, uint32_t sbn);

/* Waits until io_source_ready(sbn) or `timeout` (relative) is over; true when ready. */
bool io_source_wait(struct io_source *s, uint32_t sbn, cp_time timeout);

/* The block's symbols as they go on the wire, block_len × segment_size bytes (what lies past the
 * object's end is zero). Borrowed until the next call. A block ahead of all asked for before
 * moves the reading-ahead there. CP_ERR_STORAGE when reading failed. */
CP_MUST_CHECK enum cp_err io_source_get(struct io_source *s, uint32_t sbn,
                                        const uint8_t **ret_data);

#endif
