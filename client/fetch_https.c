/* SPDX-License-Identifier: Apache-2.0
 * HTTPS fetch of missing chunks. */
#include "client/fetch_https.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "common/pages.h"
#include "content/object_map.h"

#define TRIES_MAX   7u /* failures in a row without a chunk between */
#define FIRST_PAUSE (500 * CP_MSEC)
#define BAD_MAX     3u /* wrong digests of one chunk */
#define POLL        (100 * CP_MSEC)
#define TICK        (100 * CP_MSEC)
#define CHUNK_PATH  (512u + CONTENT_DIGEST_TEXT_SIZE)

bool cl_range_next(const struct manifest *m, const uint8_t *chunks, uint64_t at,
                   struct cl_range *ret_range)
{
    size_t chunk = (size_t)(at / CONTENT_CHUNK_SIZE);
    uint64_t end;
    struct object_piece piece;

    while (chunk < m->chunk_count && chunks[chunk] != 0) {
        chunk++;
        at = (uint64_t)chunk * CONTENT_CHUNK_SIZE;
    }
    if (chunk >= m->chunk_count || at >= m->stream_size) {
        return false;
    }
    end = at;
    while (chunk < m->chunk_count && chunks[chunk] == 0 && end - at < CL_RANGE_MAX) {
        end = (uint64_t)chunk * CONTENT_CHUNK_SIZE + content_chunk_size(m->stream_size, chunk);
        chunk++;
    }
    piece = stream_piece_at(m, at, end - at);
    *ret_range = (struct cl_range){.stream_offset = at,
                                   .file_index = piece.file_index,
                                   .file_offset = piece.file_offset,
                                   .size = piece.size};
    return true;
}

/* The chunk in progress: bytes come in stream order, possibly out of several files. */
struct assembler {
    const struct cl_https *fetch;
    uint8_t *buffer;   /* CONTENT_CHUNK_SIZE */
    uint64_t at;       /* stream position of the next byte; the chunk's start is in the buffer */
    uint64_t verified; /* bytes of chunks that were right */
    cp_time last_tick;
};

static enum cp_err tick(struct assembler *a, struct cp_error *err)
{
    cp_time now = cp_clock_now();

    if (now < cp_time_add(a->last_tick, TICK)) {
        return CP_OK;
    }
    a->last_tick = now;
    return a->fetch->tick(a->fetch->arg, a->verified, err);
}

static enum cp_err end_chunk(struct assembler *a, size_t chunk, size_t size, struct cp_error *err)
{
    const struct manifest *m = a->fetch->manifest;
    uint8_t digest[CONTENT_DIGEST_SIZE];

    if (content_sha256(a->buffer, size, digest) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "chunk %zu", chunk);
    }
    if (memcmp(digest, m->chunks[chunk].digest, sizeof digest) != 0) {
        return cp_error_set(err, CP_ERR_CHUNK_DIGEST,
                            "chunk %zu of the version is not what was signed", chunk);
    }
    CP_TRY(cl_output_write_chunk(a->fetch->output, chunk, a->buffer, err));
    a->verified += size;
    return CP_OK;
}

static enum cp_err take(void *arg, const void *data, size_t size, struct cp_error *err)
{
    struct assembler *a = arg;
    const uint8_t *p = data;

    while (size > 0) {
        size_t chunk = (size_t)(a->at / CONTENT_CHUNK_SIZE);
        size_t fill = (size_t)(a->at % CONTENT_CHUNK_SIZE);
        size_t whole = content_chunk_size(a->fetch->manifest->stream_size, chunk);
        size_t n = whole - fill < size ? whole - fill : size;

        memcpy(a->buffer + fill, p, n);
        a->at += n;
        p += n;
        size -= n;
        if (fill + n == whole) {
            CP_TRY(end_chunk(a, chunk, whole, err));
        }
    }
    return tick(a, err);
}

/* Waits, ticking, so that an interruption is heeded. */
static enum cp_err pause_for(struct assembler *a, cp_time duration, struct cp_error *err)
{
    cp_time end = cp_clock_now() + duration;
    const struct timespec poll = {.tv_nsec = (long)POLL};

    while (cp_clock_now() < end) {
        (void)nanosleep(&poll, NULL);
        CP_TRY(tick(a, err));
    }
    return CP_OK;
}

static enum cp_err get_range(struct assembler *a, const struct cl_range *r, struct cp_error *err)
{
    const struct manifest_file *file = &a->fetch->manifest->files[r->file_index];
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    char path[CHUNK_PATH];
    struct cl_http_range request = {.path = path,
                                    .offset = r->file_offset,
                                    .size = r->size,
                                    .whole_size = file->size,
                                    .sink = take,
                                    .arg = a};
    enum cp_err code;

    cp_hex_encode(file->sha256, CONTENT_DIGEST_SIZE, hex);
    (void)snprintf(path, sizeof path, "%s%s", a->fetch->content_url, hex);
    a->at = r->stream_offset;
    code = cl_http_get_range(a->fetch->http, &request, err);
    if (code != CP_OK) {
        cp_error_prefix(err, "%.200s", file->path);
    }
    return code;
}

/* Failures in a row. */
struct trouble {
    unsigned tries;
    uint64_t verified; /* at the last one */
    unsigned bad;
    size_t bad_chunk;
};

/* After a failed transfer: CP_OK to go on from a->at, else the failure stays. */
static enum cp_err recover(struct assembler *a, struct trouble *t, enum cp_err code,
                           struct cp_error *err)
{
    if (code == CP_ERR_CHUNK_DIGEST) {
        size_t chunk = (size_t)((a->at - 1) / CONTENT_CHUNK_SIZE); /* at stands behind it */

        t->bad = t->bad_chunk == chunk ? t->bad + 1 : 1;
        t->bad_chunk = chunk;
        a->at = (uint64_t)chunk * CONTENT_CHUNK_SIZE;
        return t->bad < BAD_MAX ? CP_OK : code;
    }
    if (!cl_http_is_passing(code)) {
        return code;
    }
    t->tries = t->verified == a->verified ? t->tries + 1 : 1;
    t->verified = a->verified;
    if (t->tries >= TRIES_MAX) {
        return code;
    }
    cp_log_error(CP_LOG_WARN, "https-retry", err);
    return pause_for(a, FIRST_PAUSE << (t->tries - 1), err);
}

enum cp_err cl_https_fetch(const struct cl_https *f, uint64_t *ret_bytes, struct cp_error *err)
{
    struct assembler a = {.fetch = f, .buffer = cp_pages_alloc(CONTENT_CHUNK_SIZE)};
    struct trouble trouble = {.bad_chunk = SIZE_MAX};
    struct cl_range range;
    enum cp_err code = CP_OK;

    *ret_bytes = 0;
    if (a.buffer == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "HTTPS");
    }
    while (code == CP_OK && cl_range_next(f->manifest, cl_output_chunks(f->output), a.at, &range)) {
        code = get_range(&a, &range, err);
        if (code != CP_OK) {
            code = recover(&a, &trouble, code, err);
        }
    }
    *ret_bytes = a.verified;
    free(a.buffer);
    return code;
}
