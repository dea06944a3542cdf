/* SPDX-License-Identifier: Apache-2.0
 * Where an object's bytes lie: pieces of files, laid end to end. Reads and writes at object offsets
 * with positional system calls. Touches files. Immutable once made: threads may share it. */
#ifndef MULTICAST_IO_EXTENTS_H
#define MULTICAST_IO_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* `size` bytes at object_offset lie in the file at file_offset. The descriptor stays the
 * caller's. */
struct io_extent {
    int fd;
    uint64_t file_offset;
    uint64_t object_offset;
    uint64_t size;
};

struct io_extents {
    struct io_extent *item;
    size_t count;
    uint64_t size; /* of all pieces together */
};

/* Copies the list. CP_ERR_INVALID when it is empty or not ascending without gaps from offset 0, or
 * a piece has no descriptor, no bytes or ends past what a file can hold; CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err io_extents_init(struct io_extents *x, const struct io_extent *item,
                                          size_t count);
void io_extents_done(struct io_extents *x);

/* Reads object bytes offset … offset + size - 1, all within x->size. CP_ERR_STORAGE when a file
 * cannot be read or is shorter than its piece. */
CP_MUST_CHECK enum cp_err io_extents_read(const struct io_extents *x, uint64_t offset,
                                          uint8_t *data, size_t size);

/* Writes object bytes, all within x->size. CP_ERR_OUTPUT_FULL for want of room (file system,
 * device, quota or size limit), CP_ERR_OUTPUT for any other failure. */
CP_MUST_CHECK enum cp_err io_extents_write(const struct io_extents *x, uint64_t offset,
                                           const uint8_t *data, size_t size);

/* Tells the kernel that these bytes are read soon (advice only, clipped to x->size). */
void io_extents_will_need(const struct io_extents *x, uint64_t offset, uint64_t size);

#endif
