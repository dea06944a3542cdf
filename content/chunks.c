/* SPDX-License-Identifier: Apache-2.0
 * Chunk digests of a stream. Reads the caller's descriptors in content_chunks_read(). */
#include "content/chunks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/pages.h"

struct content_chunker {
    struct content_sha256 *hash;
    struct content_chunk *chunks;
    size_t count, capacity;
    size_t fill;     /* bytes of the chunk in progress */
    bool all_zero;   /* of the chunk in progress */
    size_t unhashed; /* leading zero bytes of it that the hash has not seen yet */
};

uint64_t content_chunk_count(uint64_t stream_size)
{
    return stream_size / CONTENT_CHUNK_SIZE + (stream_size % CONTENT_CHUNK_SIZE != 0);
}

size_t content_chunk_size(uint64_t stream_size, uint64_t index)
{
    uint64_t left;

    CP_ASSERT(index < content_chunk_count(stream_size));
    left = stream_size - index * CONTENT_CHUNK_SIZE;
    return left < CONTENT_CHUNK_SIZE ? (size_t)left : CONTENT_CHUNK_SIZE;
}

/* Compares the bytes with themselves one further: memcmp's speed, and it stops early. */
bool content_is_zero(const void *data, size_t size)
{
    const unsigned char *p = data;

    return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

enum cp_err content_chunker_new(struct content_chunker **ret_chunker)
{
    struct content_chunker *c = calloc(1, sizeof *c);

    if (c == NULL || content_sha256_new(&c->hash) != CP_OK) {
        free(c);
        return CP_ERR_NO_MEMORY;
    }
    c->all_zero = true;
    *ret_chunker = c;
    return CP_OK;
}

void content_chunker_free(struct content_chunker *c)
{
    if (c != NULL) {
        content_sha256_free(c->hash);
        free(c->chunks);
        free(c);
    }
}

static void hash_zeros(struct content_chunker *c, size_t size)
{
    static const uint8_t zeros[4096];

    while (size > 0) {
        size_t n = size < sizeof zeros ? size : sizeof zeros;

        content_sha256_add(c->hash, zeros, n);
        size -= n;
    }
}

static enum cp_err end_chunk(struct content_chunker *c)
{
    struct content_chunk *chunk;

    if (c->count == c->capacity) {
        size_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        struct content_chunk *more = realloc(c->chunks, capacity * sizeof *more);

        if (more == NULL) {
            return CP_ERR_NO_MEMORY;
        }
        c->chunks = more;
        c->capacity = capacity;
    }
    chunk = &c->chunks[c->count++];
    memset(chunk, 0, sizeof *chunk);
    chunk->zero = c->all_zero;
    if (!c->all_zero) {
        content_sha256_finish(c->hash, chunk->digest);
    }
    c->fill = 0;
    c->all_zero = true;
    c->unhashed = 0;
    return CP_OK;
}

enum cp_err content_chunker_add(struct content_chunker *c, const void *data, size_t size)
{
    const uint8_t *p = data;

    while (size > 0) {
        size_t n = CONTENT_CHUNK_SIZE - c->fill;

        n = n < size ? n : size;
        /* Zeros at a chunk's start are only counted: a chunk of zeros is never hashed. */
        if (c->all_zero && content_is_zero(p, n)) {
            c->unhashed += n;
        } else {
            hash_zeros(c, c->unhashed);
            c->unhashed = 0;
            c->all_zero = false;
            content_sha256_add(c->hash, p, n);
        }
        c->fill += n;
        p += n;
        size -= n;
        if (c->fill == CONTENT_CHUNK_SIZE) {
            CP_TRY(end_chunk(c));
        }
    }
    return CP_OK;
}

enum cp_err content_chunker_finish(struct content_chunker *c, struct content_chunk **ret_chunks,
                                   size_t *ret_count)
{
    if (c->fill > 0) {
        CP_TRY(end_chunk(c));
    }
    *ret_chunks = c->chunks;
    *ret_count = c->count;
    c->chunks = NULL;
    c->count = 0;
    c->capacity = 0;
    return CP_OK;
}

struct chunk_reader {
    struct content_chunker *chunker;
    struct content_sha256 *file_hash; /* NULL: not wanted */
    uint8_t *buffer;                  /* CONTENT_CHUNK_SIZE */
};

static enum cp_err read_file(struct chunk_reader *r, const struct content_source *file,
                             struct cp_error *err)
{
    uint64_t at = 0;

    while (at < file->size) {
        uint64_t left = file->size - at;
        size_t want = left < CONTENT_CHUNK_SIZE ? (size_t)left : CONTENT_CHUNK_SIZE;
        ssize_t n = pread(file->fd, r->buffer, want, (off_t)at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return cp_error_set(err, CP_ERR_STORAGE, "reading: %s", strerror(errno));
        }
        if (n == 0) {
            return cp_error_set(err, CP_ERR_STORAGE, "the file ends after %llu of %llu bytes",
                                (unsigned long long)at, (unsigned long long)file->size);
        }
        if (r->file_hash != NULL) {
            content_sha256_add(r->file_hash, r->buffer, (size_t)n);
        }
        if (content_chunker_add(r->chunker, r->buffer, (size_t)n) != CP_OK) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "chunk digests");
        }
        at += (uint64_t)n;
    }
    return CP_OK;
}

enum cp_err content_chunks_read(const struct content_source *files, size_t file_count,
                                uint8_t *ret_digests, struct content_chunk **ret_chunks,
                                size_t *ret_chunk_count, struct cp_error *err)
{
    struct chunk_reader r = {.buffer = cp_pages_alloc(CONTENT_CHUNK_SIZE)};
    enum cp_err code = CP_ERR_NO_MEMORY;

    if (r.buffer == NULL || content_chunker_new(&r.chunker) != CP_OK ||
        (ret_digests != NULL && content_sha256_new(&r.file_hash) != CP_OK)) {
        (void)cp_error_set(err, code, "chunk digests");
        goto out;
    }
    for (size_t i = 0; i < file_count; i++) {
        code = read_file(&r, &files[i], err);
        if (code != CP_OK) {
            cp_error_prefix(err, "file %zu of %zu", i + 1, file_count);
            goto out;
        }
        if (ret_digests != NULL) {
            content_sha256_finish(r.file_hash, ret_digests + i * CONTENT_DIGEST_SIZE);
        }
    }
    code = content_chunker_finish(r.chunker, ret_chunks, ret_chunk_count);
    if (code != CP_OK) {
        (void)cp_error_set(err, code, "chunk digests");
    }
out:
    free(r.buffer);
    content_chunker_free(r.chunker);
    content_sha256_free(r.file_hash);
    return code;
}
