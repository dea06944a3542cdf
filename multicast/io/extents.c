/* SPDX-License-Identifier: Apache-2.0
 * Where an object's bytes lie; see extents.h. Touches files. */
#include "multicast/io/extents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool extent_sound(const struct io_extent *e, uint64_t expected_offset)
{
    return e->fd >= 0 && e->size > 0 && e->object_offset == expected_offset &&
           e->size <= UINT64_MAX - e->object_offset && e->file_offset <= (uint64_t)INT64_MAX;
}

enum cp_err io_extents_init(struct io_extents *x, const struct io_extent *item, size_t count)
{
    uint64_t at = 0;

    if (count == 0 || item == NULL) {
        return CP_ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!extent_sound(&item[i], at)) {
            return CP_ERR_INVALID;
        }
        at += item[i].size;
    }
    struct io_extent *copy = calloc(count, sizeof(*copy));
    if (copy == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    memcpy(copy, item, count * sizeof(*copy));
    x->item = copy;
    x->count = count;
    x->size = at;
    return CP_OK;
}

void io_extents_done(struct io_extents *x)
{
    free(x->item);
    memset(x, 0, sizeof(*x));
}

/* The piece that holds the byte at offset < x->size. */
static const struct io_extent *extent_at(const struct io_extents *x, uint64_t offset)
{
    size_t low = 0;
    size_t high = x->count - 1;

    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (x->item[middle].object_offset <= offset) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return &x->item[low];
}

static enum cp_err read_piece(int fd, uint64_t file_offset, uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t got = pread(fd, data, size, (off_t)file_offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return CP_ERR_STORAGE;
        }
        data += got;
        size -= (size_t)got;
        file_offset += (uint64_t)got;
    }
    return CP_OK;
}

static enum cp_err write_piece(int fd, uint64_t file_offset, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t put = pwrite(fd, data, size, (off_t)file_offset);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
            return full ? CP_ERR_OUTPUT_FULL : CP_ERR_OUTPUT;
        }
        if (put == 0) { /* a block device's end */
            return CP_ERR_OUTPUT_FULL;
        }
        data += put;
        size -= (size_t)put;
        file_offset += (uint64_t)put;
    }
    return CP_OK;
}

enum cp_err io_extents_read(const struct io_extents *x, uint64_t offset, uint8_t *data, size_t size)
{
    CP_ASSERT(offset <= x->size && size <= x->size - offset);
    while (size > 0) {
        const struct io_extent *e = extent_at(x, offset);
        uint64_t inside = offset - e->object_offset;
        size_t part = e->size - inside < size ? (size_t)(e->size - inside) : size;
        CP_TRY(read_piece(e->fd, e->file_offset + inside, data, part));
        data += part;
        offset += part;
        size -= part;
    }
    return CP_OK;
}

enum cp_err io_extents_write(const struct io_extents *x, uint64_t offset, const uint8_t *data,
                             size_t size)
{
    CP_ASSERT(offset <= x->size && size <= x->size - offset);
    while (size > 0) {
        const struct io_extent *e = extent_at(x, offset);
        uint64_t inside = offset - e->object_offset;
        size_t part = e->size - inside < size ? (size_t)(e->size - inside) : size;
        CP_TRY(write_piece(e->fd, e->file_offset + inside, data, part));
        data += part;
        offset += part;
        size -= part;
    }
    return CP_OK;
}

void io_extents_will_need(const struct io_extents *x, uint64_t offset, uint64_t size)
{
    while (size > 0 && offset < x->size) {
        const struct io_extent *e = extent_at(x, offset);
        uint64_t inside = offset - e->object_offset;
        uint64_t part = e->size - inside < size ? e->size - inside : size;
        /* Advice: a pipe or an odd file system may refuse it, which changes nothing. */
        (void)posix_fadvise(e->fd, (off_t)(e->file_offset + inside), (off_t)part,
                            POSIX_FADV_WILLNEED);
        offset += part;
        size -= part;
    }
}
