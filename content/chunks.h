/* SPDX-License-Identifier: Apache-2.0
 * The stream of a version (its files end to end) cut into chunks of 1 MiB: their digests, and
 * which of them are zeros only. The chunker is pure; content_chunks_read() reads descriptors. */
#ifndef CONTENT_CHUNKS_H
#define CONTENT_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "content/sha256.h"

#define CONTENT_CHUNK_SIZE 1048576u

struct content_chunk {
    uint8_t digest[CONTENT_DIGEST_SIZE]; /* zeros when `zero` */
    bool zero;                           /* only zero bytes: `null` in the manifest, never sent */
};

/* Chunks of a stream: the last one may be short. */
uint64_t content_chunk_count(uint64_t stream_size);
/* Bytes of chunk `index` (< the count). */
size_t content_chunk_size(uint64_t stream_size, uint64_t index);
bool content_is_zero(const void *data, size_t size);

/* The pure helper: bytes in, chunks out. */
struct content_chunker;
CP_MUST_CHECK enum cp_err content_chunker_new(struct content_chunker **ret_chunker);
void content_chunker_free(struct content_chunker *c); /* NULL allowed */
/* CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err content_chunker_add(struct content_chunker *c, const void *data,
                                              size_t size);
/* All chunks of what was added, malloced: the caller frees them. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err content_chunker_finish(struct content_chunker *c,
                                                 struct content_chunk **ret_chunks,
                                                 size_t *ret_count);

/* One file of the stream, in stream order. */
struct content_source {
    int fd; /* read from offset 0 by pread; stays the caller's */
    uint64_t size;
};

/* Reads all files end to end. ret_digests (NULL: not wanted) gets the SHA-256 of each file, 32 ×
 * file_count bytes, to be compared with the blobs' names. *ret_chunks is malloced, the caller
 * frees it. CP_ERR_STORAGE when reading fails or a file is shorter than its size; CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err content_chunks_read(const struct content_source *files, size_t file_count,
                                              uint8_t *ret_digests,
                                              struct content_chunk **ret_chunks,
                                              size_t *ret_chunk_count, struct cp_error *err);

#endif
