/* SPDX-License-Identifier: Apache-2.0
 * Tests of content/chunks and content/object_map: digests, zero chunks, where bytes lie. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/prng.h"
#include "content/chunks.h"
#include "content/object_map.h"

#define MIB ((uint64_t)CONTENT_CHUNK_SIZE)

static int memory_file(const void *data, size_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    return fd;
}

static void sizes_and_counts(void **state)
{
    (void)state;
    assert_int_equal(content_chunk_count(0), 0);
    assert_int_equal(content_chunk_count(1), 1);
    assert_int_equal(content_chunk_count(MIB), 1);
    assert_int_equal(content_chunk_count(MIB + 1), 2);
    assert_int_equal(content_chunk_count(UINT64_MAX), UINT64_MAX / MIB + 1);
    assert_int_equal(content_chunk_size(MIB + 7, 0), MIB);
    assert_int_equal(content_chunk_size(MIB + 7, 1), 7);
    assert_int_equal(content_chunk_size(MIB, 0), MIB);
}

static void zeros_are_seen(void **state)
{
    uint8_t data[100] = {0};

    (void)state;
    assert_true(content_is_zero(data, 0));
    assert_true(content_is_zero(data, sizeof data));
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = 1;
        assert_false(content_is_zero(data, sizeof data));
        data[i] = 0;
    }
}

static void sha256_known_answer(void **state)
{
    static const uint8_t abc[4] = {0xba, 0x78, 0x16, 0xbf}; /* FIPS 180-4, "abc" */
    struct content_sha256 *h;
    uint8_t a[CONTENT_DIGEST_SIZE], b[CONTENT_DIGEST_SIZE];

    (void)state;
    assert_int_equal(content_sha256("abc", 3, a), CP_OK);
    assert_memory_equal(a, abc, sizeof abc);
    assert_int_equal(content_sha256_new(&h), CP_OK);
    for (int i = 0; i < 2; i++) { /* finish makes it new */
        content_sha256_add(h, "a", 1);
        content_sha256_add(h, "bc", 2);
        content_sha256_finish(h, b);
        assert_memory_equal(a, b, sizeof a);
    }
    content_sha256_free(h);
    content_sha256_free(NULL);
}

/* Whatever pieces the bytes come in, the chunks are those of the whole. */
static void chunker_does_not_mind_pieces(void **state)
{
    size_t size = 3 * MIB + 12345;
    uint8_t *data = calloc(1, size);
    struct cp_prng prng;

    (void)state;
    assert_non_null(data);
    data[MIB - 1] = 1;         /* chunk 0: zeros but for the last byte */
    data[2 * MIB] = 2;         /* chunk 1 zero; chunk 2 not */
    cp_prng_seed(&prng, 4711); /* chunk 3, short: zero */
    for (int round = 0; round < 4; round++) {
        struct content_chunker *c;
        struct content_chunk *chunks;
        size_t count, at = 0;
        uint8_t digest[CONTENT_DIGEST_SIZE];

        assert_int_equal(content_chunker_new(&c), CP_OK);
        while (at < size) {
            size_t n = (size_t)cp_prng_below(&prng, round == 0 ? size : 300000) + 1;

            n = n < size - at ? n : size - at;
            assert_int_equal(content_chunker_add(c, data + at, n), CP_OK);
            at += n;
        }
        assert_int_equal(content_chunker_finish(c, &chunks, &count), CP_OK);
        assert_int_equal(count, 4);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(chunks[i].zero, i == 1 || i == 3);
            if (!chunks[i].zero) {
                assert_int_equal(content_sha256(data + i * MIB, MIB, digest), CP_OK);
                assert_memory_equal(chunks[i].digest, digest, sizeof digest);
            }
        }
        free(chunks);
        content_chunker_free(c);
    }
    free(data);
}

static void files_are_read_end_to_end(void **state)
{
    size_t size = MIB + 500;
    uint8_t *data = malloc(size);
    uint8_t digests[3 * CONTENT_DIGEST_SIZE], digest[CONTENT_DIGEST_SIZE];
    struct content_source files[3];
    struct content_chunk *chunks;
    size_t count;

    (void)state;
    assert_non_null(data);
    memset(data, 7, size);
    files[0] = (struct content_source){memory_file(data, 10), 10};
    files[1] = (struct content_source){memory_file(data + 10, MIB), MIB};
    files[2] = (struct content_source){memory_file(data, 490), 490};
    assert_int_equal(content_chunks_read(files, 3, digests, &chunks, &count, NULL), CP_OK);
    assert_int_equal(count, 2);
    assert_int_equal(content_sha256(data, MIB, digest), CP_OK);
    assert_memory_equal(chunks[0].digest, digest, sizeof digest);
    assert_int_equal(content_sha256(data, 500, digest), CP_OK);
    assert_memory_equal(chunks[1].digest, digest, sizeof digest);
    assert_int_equal(content_sha256(data, 490, digest), CP_OK);
    assert_memory_equal(digests + 2 * CONTENT_DIGEST_SIZE, digest, sizeof digest);
    free(chunks);
    for (int i = 0; i < 3; i++) {
        (void)close(files[i].fd);
    }
    free(data);
}

static void short_and_broken_files_fail(void **state)
{
    struct content_source file = {memory_file("abc", 3), 4};
    struct content_chunk *chunks;
    struct cp_error err;
    size_t count;

    (void)state;
    assert_int_equal(content_chunks_read(&file, 1, NULL, &chunks, &count, &err), CP_ERR_STORAGE);
    assert_non_null(strstr(err.text, "ends after 3 of 4"));
    (void)close(file.fd);
    file.fd = -1;
    assert_int_equal(content_chunks_read(&file, 1, NULL, &chunks, &count, &err), CP_ERR_STORAGE);
}

/* A manifest by hand: sizes of files, '0' and '1' for zero and other chunks. */
static struct manifest *make(const uint64_t *sizes, size_t file_count, const char *pattern)
{
    struct manifest *m = calloc(1, sizeof *m);

    assert_non_null(m);
    m->files = calloc(file_count, sizeof *m->files);
    m->file_count = file_count;
    for (size_t i = 0; i < file_count; i++) {
        m->files[i].path = strdup("f");
        m->files[i].size = sizes[i];
        m->files[i].stream_offset = m->stream_size;
        m->stream_size += sizes[i];
    }
    m->chunk_count = strlen(pattern);
    m->chunks = calloc(m->chunk_count, sizeof *m->chunks);
    assert_int_equal(m->chunk_count, content_chunk_count(m->stream_size));
    for (size_t i = 0; i < m->chunk_count; i++) {
        m->chunks[i].zero = pattern[i] == '0';
        m->chunks[i].digest[0] = (uint8_t)i;
    }
    return m;
}

/* Pieces are ascending without gaps and each of their bytes is at the right place of the stream. */
static void check_map(const struct manifest *m, const struct object_map *map)
{
    uint64_t at = 0;

    for (size_t i = 0; i < map->piece_count; i++) {
        const struct object_piece *p = &map->pieces[i];
        uint64_t ends[2] = {0, p->size - 1};

        assert_int_equal(p->object_offset, at);
        assert_true(p->size > 0);
        assert_true(p->file_offset + p->size <= m->files[p->file_index].size);
        for (int e = 0; e < 2; e++) {
            uint64_t object = at + ends[e];
            uint64_t stream = map->stream_chunks[object / MIB] * MIB + object % MIB;

            assert_int_equal(m->files[p->file_index].stream_offset + p->file_offset + ends[e],
                             stream);
        }
        at += p->size;
    }
    assert_int_equal(at, map->content_size);
    for (size_t d = 0; d < map->chunk_count; d++) {
        assert_int_equal(map->digests[d * CONTENT_DIGEST_SIZE], map->stream_chunks[d]);
        assert_int_equal(object_map_from_stream(map, map->stream_chunks[d]), d);
    }
}

static void object_leaves_zero_chunks_out(void **state)
{
    static const uint64_t sizes[] = {MIB / 2, 3 * MIB, 5, MIB / 2 + 100};
    struct manifest *m = make(sizes, 4, "01101");
    struct object_map *map;

    (void)state;
    assert_int_equal(object_map_new(m, &map), CP_OK);
    check_map(m, map);
    assert_int_equal(map->chunk_count, 3);
    assert_int_equal(map->content_size, 2 * MIB + 105);
    assert_int_equal(object_map_from_stream(map, 0), OBJECT_MAP_NONE);
    assert_int_equal(object_map_from_stream(map, 3), OBJECT_MAP_NONE);
    assert_int_equal(object_map_from_stream(map, 5), OBJECT_MAP_NONE);
    assert_int_equal(map->pieces[0].file_index, 1);
    assert_int_equal(map->pieces[0].file_offset, MIB / 2);
    assert_int_equal(map->pieces[0].size, 2 * MIB); /* two chunks, one piece */
    object_map_free(map);
    manifest_free(m);
}

static void object_may_be_empty_or_whole(void **state)
{
    static const uint64_t sizes[] = {1, 2 * MIB};
    struct manifest *m = make(sizes, 2, "000");
    struct object_map *map;

    (void)state;
    assert_int_equal(object_map_new(m, &map), CP_OK);
    assert_int_equal(map->content_size, 0);
    assert_int_equal(map->piece_count, 0);
    assert_int_equal(object_map_from_stream(map, 0), OBJECT_MAP_NONE);
    object_map_free(map);
    manifest_free(m);

    m = make(sizes, 2, "111");
    assert_int_equal(object_map_new(m, &map), CP_OK);
    check_map(m, map);
    assert_int_equal(map->piece_count, 2);
    assert_int_equal(map->content_size, m->stream_size);
    object_map_free(map);
    manifest_free(m);
    object_map_free(NULL);
}

static void random_maps_hold(void **state)
{
    struct cp_prng prng;

    (void)state;
    cp_prng_seed(&prng, 20261123);
    for (int round = 0; round < 200; round++) {
        uint64_t sizes[40], total = 0;
        size_t files = 1 + (size_t)cp_prng_below(&prng, 40);
        char pattern[200];
        struct manifest *m;
        struct object_map *map;

        for (size_t i = 0; i < files; i++) {
            sizes[i] = 1 + cp_prng_below(&prng, i % 3 == 0 ? 3 * MIB : 3000);
            total += sizes[i];
        }
        for (size_t i = 0; i < content_chunk_count(total); i++) {
            pattern[i] = (char)('0' + cp_prng_below(&prng, 2));
            pattern[i + 1] = '\0';
        }
        m = make(sizes, files, pattern);
        assert_int_equal(object_map_new(m, &map), CP_OK);
        check_map(m, map);
        for (uint64_t at = 0; at < total;) {
            struct object_piece p = stream_piece_at(m, at, MIB);

            assert_int_equal(m->files[p.file_index].stream_offset + p.file_offset, at);
            assert_true(p.size > 0 && p.size <= MIB);
            assert_true(p.size == MIB || p.file_offset + p.size == m->files[p.file_index].size);
            at += p.size;
        }
        object_map_free(map);
        manifest_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_counts),
        cmocka_unit_test(zeros_are_seen),
        cmocka_unit_test(sha256_known_answer),
        cmocka_unit_test(chunker_does_not_mind_pieces),
        cmocka_unit_test(files_are_read_end_to_end),
        cmocka_unit_test(short_and_broken_files_fail),
        cmocka_unit_test(object_leaves_zero_chunks_out),
        cmocka_unit_test(object_may_be_empty_or_whole),
        cmocka_unit_test(random_maps_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
