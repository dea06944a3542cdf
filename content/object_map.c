/* SPDX-License-Identifier: Apache-2.0
 * Stream and object. Pure. */
#include "content/object_map.h"

#include <stdlib.h>
#include <string.h>

/* Index of the file that holds the byte at stream_offset: the last one beginning at or before it. */
static size_t file_at(const struct manifest *m, uint64_t stream_offset)
{
    size_t low = 0;
    size_t high = m->file_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (m->files[middle].stream_offset <= stream_offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

struct object_piece stream_piece_at(const struct manifest *m, uint64_t stream_offset,
                                    uint64_t max_size)
{
    struct object_piece piece = {.object_offset = 0};
    uint64_t left;

    CP_ASSERT(stream_offset < m->stream_size && max_size > 0);
    piece.file_index = file_at(m, stream_offset);
    piece.file_offset = stream_offset - m->files[piece.file_index].stream_offset;
    left = m->files[piece.file_index].size - piece.file_offset;
    piece.size = left < max_size ? left : max_size;
    return piece;
}

/* Appends, or lengthens the last piece when this one goes on where it ends. */
static enum cp_err add_piece(struct object_map *map, size_t *capacity, struct object_piece piece)
{
    struct object_piece *last = map->piece_count > 0 ? &map->pieces[map->piece_count - 1] : NULL;

    if (last != NULL && last->file_index == piece.file_index &&
        last->file_offset + last->size == piece.file_offset) {
        last->size += piece.size;
        return CP_OK;
    }
    if (map->piece_count == *capacity) {
        size_t more = *capacity == 0 ? 16 : *capacity * 2;
        struct object_piece *pieces = realloc(map->pieces, more * sizeof *pieces);

        if (pieces == NULL) {
            return CP_ERR_NO_MEMORY;
        }
        map->pieces = pieces;
        *capacity = more;
    }
    map->pieces[map->piece_count++] = piece;
    return CP_OK;
}

static enum cp_err add_chunk(struct object_map *map, size_t *capacity, const struct manifest *m,
                             size_t chunk)
{
    uint64_t at = (uint64_t)chunk * CONTENT_CHUNK_SIZE;
    uint64_t end = at + content_chunk_size(m->stream_size, chunk);

    map->stream_chunks[map->chunk_count] = chunk;
    memcpy(map->digests + map->chunk_count * CONTENT_DIGEST_SIZE, m->chunks[chunk].digest,
           CONTENT_DIGEST_SIZE);
    map->chunk_count++;
    while (at < end) {
        struct object_piece piece = stream_piece_at(m, at, end - at);

        piece.object_offset = map->content_size;
        CP_TRY(add_piece(map, capacity, piece));
        map->content_size += piece.size;
        at += piece.size;
    }
    return CP_OK;
}

enum cp_err object_map_new(const struct manifest *m, struct object_map **ret_map)
{
    struct object_map *map = calloc(1, sizeof *map);
    size_t capacity = 0;

    if (map == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    map->stream_chunks = calloc(m->chunk_count + 1, sizeof *map->stream_chunks);
    map->digests = calloc(m->chunk_count + 1, CONTENT_DIGEST_SIZE);
    if (map->stream_chunks == NULL || map->digests == NULL) {
        object_map_free(map);
        return CP_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < m->chunk_count; i++) {
        if (!m->chunks[i].zero && add_chunk(map, &capacity, m, i) != CP_OK) {
            object_map_free(map);
            return CP_ERR_NO_MEMORY;
        }
    }
    *ret_map = map;
    return CP_OK;
}

void object_map_free(struct object_map *map)
{
    if (map != NULL) {
        free(map->pieces);
        free(map->stream_chunks);
        free(map->digests);
        free(map);
    }
}

size_t object_map_from_stream(const struct object_map *map, size_t stream_chunk)
{
    size_t low = 0;
    size_t high = map->chunk_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (map->stream_chunks[middle] < stream_chunk) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < map->chunk_count && map->stream_chunks[low] == stream_chunk ? low
                                                                             : OBJECT_MAP_NONE;
}
