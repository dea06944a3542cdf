/* SPDX-License-Identifier: Apache-2.0
 * The output's chunks: what is there, writing, taking over, and the end. Touches files. */
#include "client/output.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "client/output_private.h"
#include "common/pages.h"
#include "content/object_map.h"

/* Descriptors beyond one for each file: sockets, logs, folders on the way. */
#define SPARE_DESCRIPTORS 64u

int cl_output_fd(const struct cl_output *o, size_t file_index)
{
    CP_ASSERT(file_index < o->file_count);
    return o->files[file_index].fd;
}

const uint8_t *cl_output_chunks(const struct cl_output *o)
{
    return o->chunks;
}

size_t cl_output_missing(const struct cl_output *o)
{
    return o->missing;
}

uint64_t cl_output_bytes(const struct cl_output *o)
{
    return o->bytes;
}

void cl_output_mark_chunk(struct cl_output *o, size_t stream_chunk)
{
    CP_ASSERT(stream_chunk < o->manifest->chunk_count);
    if (o->chunks[stream_chunk] == 0) {
        o->chunks[stream_chunk] = 1;
        o->missing--;
        o->bytes += content_chunk_size(o->manifest->stream_size, stream_chunk);
    }
}

static enum cp_err write_piece(int fd, const uint8_t *data, size_t size, uint64_t offset,
                               struct cp_error *err)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return output_error(err, n < 0 ? errno : EIO, "writing the output");
        }
        data += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return CP_OK;
}

static enum cp_err write_bytes(struct cl_output *o, size_t stream_chunk, const uint8_t *data,
                               struct cp_error *err)
{
    uint64_t at = (uint64_t)stream_chunk * CONTENT_CHUNK_SIZE;
    uint64_t end = at + content_chunk_size(o->manifest->stream_size, stream_chunk);

    while (at < end) {
        struct object_piece p = stream_piece_at(o->manifest, at, end - at);

        CP_TRY(write_piece(o->files[p.file_index].fd, data, (size_t)p.size, p.file_offset, err));
        data += p.size;
        at += p.size;
    }
    return CP_OK;
}

enum cp_err cl_output_write_chunk(struct cl_output *o, size_t stream_chunk, const void *data,
                                  struct cp_error *err)
{
    CP_TRY(write_bytes(o, stream_chunk, data, err));
    cl_output_mark_chunk(o, stream_chunk);
    return CP_OK;
}

/* Whole chunk into data; false when a part cannot be read. */
static bool read_bytes(struct cl_output *o, size_t stream_chunk, uint8_t *data)
{
    uint64_t at = (uint64_t)stream_chunk * CONTENT_CHUNK_SIZE;
    uint64_t end = at + content_chunk_size(o->manifest->stream_size, stream_chunk);

    while (at < end) {
        struct object_piece p = stream_piece_at(o->manifest, at, end - at);
        ssize_t n = pread(o->files[p.file_index].fd, data, (size_t)p.size, (off_t)p.file_offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        data += n;
        at += (uint64_t)n;
    }
    return true;
}

/* A chunk that may have been written by a run that was killed: only its bytes count. */
static enum cp_err take_over_chunk(struct cl_output *o, size_t chunk, uint8_t *buffer,
                                   struct cp_error *err)
{
    const struct content_chunk *expected = &o->manifest->chunks[chunk];
    size_t size = content_chunk_size(o->manifest->stream_size, chunk);
    uint8_t digest[CONTENT_DIGEST_SIZE];
    bool readable = read_bytes(o, chunk, buffer);
    bool zero = readable && content_is_zero(buffer, size);

    if (expected->zero) {
        if (!zero) {
            memset(buffer, 0, size);
            CP_TRY(write_bytes(o, chunk, buffer, err));
        }
        cl_output_mark_chunk(o, chunk);
        return CP_OK;
    }
    if (readable && !zero && content_sha256(buffer, size, digest) == CP_OK &&
        memcmp(digest, expected->digest, sizeof digest) == 0) {
        cl_output_mark_chunk(o, chunk);
    }
    return CP_OK;
}

static bool touches_resumed(const struct cl_output *o, size_t chunk)
{
    uint64_t at = (uint64_t)chunk * CONTENT_CHUNK_SIZE;
    uint64_t end = at + content_chunk_size(o->manifest->stream_size, chunk);

    while (at < end) {
        struct object_piece p = stream_piece_at(o->manifest, at, end - at);

        if (o->files[p.file_index].resumed) {
            return true;
        }
        at += p.size;
    }
    return false;
}

static enum cp_err take_over(struct cl_output *o, const atomic_bool *stop, struct cp_error *err)
{
    uint8_t *buffer = cp_pages_alloc(CONTENT_CHUNK_SIZE);
    enum cp_err code = CP_OK;

    if (buffer == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "output");
    }
    for (size_t i = 0; i < o->manifest->chunk_count && code == CP_OK; i++) {
        if (o->kind != OUTPUT_DEVICE && touches_resumed(o, i)) {
            code = stop != NULL && atomic_load(stop)
                       ? cp_error_set(err, CP_ERR_INTERRUPTED, "stopped by a signal")
                       : take_over_chunk(o, i, buffer, err);
        } else if (o->manifest->chunks[i].zero) {
            cl_output_mark_chunk(o, i); /* a hole; a device is zeroed at the end */
        }
    }
    free(buffer);
    return code;
}

/* What is still to be written against what the file system offers; blocks that a killed run left
 * are there already. */
static enum cp_err check_room(struct cl_output *o, struct cp_error *err)
{
    struct statvfs fs;
    struct stat st;
    uint64_t needed = 0;
    uint64_t have = 0;
    uint64_t room;

    if (o->kind == OUTPUT_DEVICE) {
        return CP_OK;
    }
    for (size_t i = 0; i < o->manifest->chunk_count; i++) {
        needed += o->manifest->chunks[i].zero ? 0 : content_chunk_size(o->manifest->stream_size, i);
    }
    for (size_t i = 0; i < o->file_count; i++) {
        if (o->files[i].resumed && fstat(o->files[i].fd, &st) == 0) {
            have += (uint64_t)st.st_blocks * 512;
        }
    }
    if (fstatvfs(o->root, &fs) != 0) {
        return output_error(err, errno, o->root_path);
    }
    room = (uint64_t)fs.f_bavail * fs.f_frsize + have;
    return room >= needed
               ? CP_OK
               : cp_error_set(err, CP_ERR_OUTPUT_FULL,
                              "%s has room for %llu bytes, the content needs %llu", o->root_path,
                              (unsigned long long)room, (unsigned long long)needed);
}

/* One descriptor for each file of the version. */
static enum cp_err raise_descriptor_limit(size_t file_count, struct cp_error *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || file_count + SPARE_DESCRIPTORS <= limit.rlim_cur) {
        return CP_OK;
    }
    limit.rlim_cur = limit.rlim_max;
    if (file_count + SPARE_DESCRIPTORS > limit.rlim_max || setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return cp_error_set(err, CP_ERR_OUTPUT,
                            "the version has %zu files, and this process may open only %llu; "
                            "raise 'ulimit -n'",
                            file_count, (unsigned long long)limit.rlim_max);
    }
    return CP_OK;
}

static enum cp_err check_names(const struct manifest *m, struct cp_error *err)
{
    static const size_t suffix = sizeof CL_PARTIAL_SUFFIX - 1;

    for (size_t i = 0; i < m->file_count; i++) {
        size_t size = strlen(m->files[i].path);

        if (size >= suffix && strcmp(m->files[i].path + size - suffix, CL_PARTIAL_SUFFIX) == 0) {
            return cp_error_set(err, CP_ERR_OUTPUT, "%s: names ending in %s are castget's own",
                                m->files[i].path, CL_PARTIAL_SUFFIX);
        }
    }
    return CP_OK;
}

static enum cp_err allocate(const struct manifest *m, struct cl_output **ret_output)
{
    struct cl_output *o = calloc(1, sizeof *o);

    if (o == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    o->manifest = m;
    o->root = -1;
    o->files = calloc(m->file_count, sizeof *o->files);
    o->chunks = calloc(m->chunk_count, 1);
    o->missing = m->chunk_count;
    if (o->files == NULL || o->chunks == NULL) {
        cl_output_close(o);
        return CP_ERR_NO_MEMORY;
    }
    o->file_count = m->file_count;
    for (size_t i = 0; i < m->file_count; i++) {
        o->files[i].fd = -1;
        o->files[i].path = m->files[i].path;
    }
    *ret_output = o;
    return CP_OK;
}

enum cp_err cl_output_open(const char *path, const struct manifest *manifest,
                           const atomic_bool *stop, struct cl_output **ret_output,
                           struct cp_error *err)
{
    struct cl_output *o;
    enum cp_err code;

    CP_TRY(check_names(manifest, err));
    CP_TRY(raise_descriptor_limit(manifest->file_count, err));
    if (allocate(manifest, &o) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "output");
    }
    code = output_open_root(o, path, err);
    if (code == CP_OK && o->kind != OUTPUT_DEVICE) {
        code = output_open_files(o, err);
    }
    if (code == CP_OK) {
        code = check_room(o, err);
    }
    if (code == CP_OK) {
        code = take_over(o, stop, err);
    }
    if (code != CP_OK) {
        cl_output_close(o);
        return code;
    }
    *ret_output = o;
    return CP_OK;
}

/* A device has no holes: what the manifest says is zero has to be made zero. */
static enum cp_err zero_device(struct cl_output *o, struct cp_error *err)
{
    static const uint8_t zeros[65536];
    int fd = o->files[0].fd;

    for (size_t i = 0; i < o->manifest->chunk_count; i++) {
        uint64_t range[2] = {(uint64_t)i * CONTENT_CHUNK_SIZE,
                             content_chunk_size(o->manifest->stream_size, i)};

        if (!o->manifest->chunks[i].zero ||
            (range[1] % 4096 == 0 && ioctl(fd, BLKZEROOUT, range) == 0)) {
            continue;
        }
        while (range[1] > 0) {
            size_t n = range[1] < sizeof zeros ? (size_t)range[1] : sizeof zeros;

            CP_TRY(write_piece(fd, zeros, n, range[0], err));
            range[0] += n;
            range[1] -= n;
        }
    }
    return CP_OK;
}

static enum cp_err sync_files(struct cl_output *o, struct cp_error *err)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    for (size_t i = 0; i < o->file_count; i++) {
        if (o->kind != OUTPUT_DEVICE &&
            fchmod(o->files[i].fd, (mode_t)o->manifest->files[i].mode & ~mask) != 0) {
            return output_error(err, errno, o->files[i].path);
        }
        if (fsync(o->files[i].fd) != 0) {
            return output_error(err, errno, o->files[i].path);
        }
    }
    return CP_OK;
}

enum cp_err cl_output_commit(struct cl_output *o, struct cp_error *err)
{
    CP_ASSERT(o->missing == 0);
    if (o->kind == OUTPUT_DEVICE) {
        CP_TRY(zero_device(o, err));
    }
    CP_TRY(sync_files(o, err));
    if (o->kind != OUTPUT_DEVICE) {
        CP_TRY(output_rename_files(o, err));
    }
    o->committed = true;
    return CP_OK;
}

void cl_output_close(struct cl_output *o)
{
    if (o == NULL) {
        return;
    }
    if (!o->committed && o->kind != OUTPUT_DEVICE && o->root >= 0) {
        output_remove_files(o);
    }
    for (size_t i = 0; i < o->file_count; i++) {
        if (o->files[i].fd >= 0) {
            (void)close(o->files[i].fd);
        }
    }
    for (size_t i = 0; i < o->made_count; i++) {
        free(o->made[i]);
    }
    if (o->root >= 0) {
        (void)close(o->root);
    }
    free(o->made);
    free(o->files);
    free(o->chunks);
    free(o->root_path);
    free(o->name);
    free(o);
}
