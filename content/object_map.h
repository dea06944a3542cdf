/* SPDX-License-Identifier: Apache-2.0
 * Where the bytes of stream, files and multicast object lie: the object is the stream without its
 * zero chunks (docs/protocol.md section 2). Pure. */
#ifndef CONTENT_OBJECT_MAP_H
#define CONTENT_OBJECT_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "content/manifest.h"

#define OBJECT_MAP_NONE SIZE_MAX

/* `size` bytes that lie in one file and, when of the object, at object_offset. */
struct object_piece {
    size_t file_index; /* in manifest order */
    uint64_t file_offset;
    uint64_t object_offset;
    uint64_t size;
};

/* Read only for everybody but object_map.c. */
struct object_map {
    uint64_t content_size;       /* bytes of the object before padding; 0: nothing to send */
    struct object_piece *pieces; /* ascending, without gaps, 0 … content_size: mc_extent's shape */
    size_t piece_count;
    size_t *stream_chunks; /* object chunk d is stream chunk stream_chunks[d] */
    uint8_t *digests;      /* 32 × chunk_count, by object chunk: mc_receiver_config's shape */
    size_t chunk_count;    /* of the object */
};

/* CP_ERR_NO_MEMORY. The map does not refer to the manifest afterwards. */
CP_MUST_CHECK enum cp_err object_map_new(const struct manifest *m, struct object_map **ret_map);
void object_map_free(struct object_map *map); /* NULL allowed */

/* Object chunk of a stream chunk; OBJECT_MAP_NONE for a zero chunk or one outside. */
size_t object_map_from_stream(const struct object_map *map, size_t stream_chunk);

/* The piece of the stream that begins at stream_offset (< stream_size), at most max_size (> 0)
 * bytes and not beyond its file. object_offset is not filled (0). Callers walk a range by it. */
struct object_piece stream_piece_at(const struct manifest *m, uint64_t stream_offset,
                                    uint64_t max_size);

#endif
