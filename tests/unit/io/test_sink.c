/* SPDX-License-Identifier: Apache-2.0
 * Block pool and sink together: whole blocks, rebuilt and spilled ones, bad chunks, chunks had
 * before, a full output. */
#include "multicast/io/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/prng.h"
#include "tests/support/failing_alloc.h"

#define SEGMENT 64u
#define BLOCK   16u
#define PARITY  4u
#define CHUNK   2500u /* no multiple of a block (1024) */

struct fixture {
    struct norm_partition partition;
    uint8_t *content;
    uint8_t *object; /* ciphertext, padded */
    uint8_t *digests;
    uint64_t content_size;
    size_t chunk_count;
    struct seal_content_key key;
    struct fec_code *code;
    struct io_pool *pool;
    struct io_sink *sink;
    int fd;
    struct io_extent extent;
};

static void setup(struct fixture *f, size_t content_size)
{
    size_t object_size = (content_size + SEGMENT * BLOCK - 1) / (SEGMENT * BLOCK) * SEGMENT * BLOCK;
    struct norm_fti fti = {.object_size = object_size,
                           .segment_size = SEGMENT,
                           .max_block_len = BLOCK,
                           .num_parity = PARITY};
    struct cp_prng prng;
    struct seal_cipher *cipher = NULL;

    memset(f, 0, sizeof(*f));
    cp_prng_seed(&prng, content_size);
    f->content_size = content_size;
    f->content = calloc(object_size, 1);
    f->object = malloc(object_size);
    for (size_t i = 0; i < content_size; i++) {
        f->content[i] = (uint8_t)cp_prng_u64(&prng);
    }
    memcpy(f->object, f->content, object_size);
    f->key.key[0] = 42;
    assert_int_equal(seal_cipher_new(&f->key, &cipher), CP_OK);
    assert_int_equal(seal_cipher_apply(cipher, 0, f->object, object_size), CP_OK);
    seal_cipher_free(cipher);
    f->chunk_count = (content_size + CHUNK - 1) / CHUNK;
    f->digests = malloc(f->chunk_count * SEAL_DIGEST_SIZE);
    for (size_t i = 0; i < f->chunk_count; i++) {
        size_t left = content_size - i * CHUNK;
        assert_int_equal(seal_sha256(f->content + i * CHUNK, left < CHUNK ? left : CHUNK,
                                     f->digests + i * SEAL_DIGEST_SIZE),
                         CP_OK);
    }
    assert_int_equal(norm_partition_init(&f->partition, &fti, 129), CP_OK);
    assert_int_equal(fec_code_new(BLOCK, PARITY, &f->code), CP_OK);
    assert_int_equal(io_pool_new(&f->partition, 6u * (BLOCK + PARITY) * SEGMENT, &f->pool), CP_OK);
    f->fd = memfd_create("sink", MFD_CLOEXEC);
    f->extent = (struct io_extent){.fd = f->fd, .size = content_size};
}

static enum cp_err open_sink(struct fixture *f, const uint8_t *have)
{
    struct io_sink_config config = {.partition = &f->partition,
                                    .content_size = f->content_size,
                                    .extents = &f->extent,
                                    .extent_count = 1,
                                    .key = &f->key,
                                    .code = f->code,
                                    .pool = f->pool,
                                    .chunk_size = CHUNK,
                                    .digests = f->digests,
                                    .chunk_count = f->chunk_count,
                                    .chunks_have = have,
                                    .retry_max = 2};
    return io_sink_new(&config, &f->sink);
}

static void teardown(struct fixture *f)
{
    io_sink_free(f->sink);
    io_pool_free(f->pool);
    fec_code_free(f->code);
    close(f->fd);
    free(f->content);
    free(f->object);
    free(f->digests);
}

static struct io_block *take(struct fixture *f, uint32_t sbn)
{
    struct io_block *b = io_pool_find(f->pool, sbn);
    if (b == NULL) {
        b = io_pool_take(f->pool, sbn);
    }
    assert_non_null(b);
    return b;
}

static void store_source(struct fixture *f, struct io_block *b, uint16_t esi)
{
    uint64_t at = norm_partition_offset(&f->partition, b->sbn, esi);
    io_pool_store(f->pool, b, esi, f->object + at,
                  norm_partition_symbol_size(&f->partition, b->sbn, esi));
}

static void store_parity(struct fixture *f, struct io_block *b, uint16_t row)
{
    const uint8_t *source[BLOCK];
    uint8_t symbol[SEGMENT];
    uint8_t *parity = symbol;

    for (uint16_t i = 0; i < b->block_len; i++) {
        source[i] = f->object + norm_partition_offset(&f->partition, b->sbn, i);
    }
    fec_encode(f->code, b->block_len, source, SEGMENT, row, 1, &parity);
    io_pool_store(f->pool, b, (uint16_t)(b->block_len + row), symbol, SEGMENT);
}

static void submit(struct fixture *f, struct io_block *b, bool spill)
{
    b->spill = spill;
    io_pool_release(f->pool, b);
    io_sink_submit(f->sink, b);
}

/* Waits until the sink has nothing left to do, or failed. */
static struct io_sink_state settle(struct fixture *f)
{
    struct io_sink_state state;
    struct pollfd p = {.fd = io_sink_fd(f->sink), .events = POLLIN};

    for (;;) {
        io_sink_get_state(f->sink, &state);
        if (state.pending == 0) {
            return state;
        }
        assert_int_equal(poll(&p, 1, 10000), 1);
        uint64_t count;
        assert_int_equal(read(p.fd, &count, sizeof(count)), sizeof(count));
    }
}

static void send_block(struct fixture *f, uint32_t sbn)
{
    struct io_block *b = take(f, sbn);
    for (uint16_t esi = 0; esi < b->block_len; esi++) {
        store_source(f, b, esi);
    }
    submit(f, b, false);
}

static void check_content(struct fixture *f)
{
    uint8_t *got = calloc(f->content_size, 1);
    assert_int_equal(pread(f->fd, got, f->content_size, 0), (ssize_t)f->content_size);
    assert_memory_equal(got, f->content, f->content_size);
    assert_int_equal(lseek(f->fd, 0, SEEK_END), (off_t)f->content_size);
    free(got);
}

static void test_in_any_order(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 10 * 1024 - 77);
    assert_int_equal(open_sink(&f, NULL), CP_OK);
    struct io_sink_state st = settle(&f);
    assert_int_equal(st.bytes_verified, 0);
    for (uint32_t i = 0; i < 10; i++) {
        send_block(&f, (i * 7) % 10);
        st = settle(&f);
        assert_int_equal(st.complete, i == 9);
    }
    assert_int_equal(st.error, CP_OK);
    assert_int_equal(st.bytes_verified, f.content_size);
    assert_int_equal(st.chunks_bad, 0);
    uint8_t chunks[8];
    io_sink_get_chunks(f.sink, chunks, sizeof(chunks));
    for (size_t i = 0; i < sizeof(chunks); i++) {
        assert_int_equal(chunks[i], i < f.chunk_count);
    }
    check_content(&f);
    teardown(&f);
}

static void test_rebuilt_and_spilled(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 3 * 1024 - 300); /* the last symbols are padding only */
    assert_int_equal(open_sink(&f, NULL), CP_OK);
    for (uint32_t sbn = 0; sbn < 3; sbn++) {
        struct io_block *b = take(&f, sbn);
        for (uint16_t esi = 3; esi < 9; esi++) {
            store_source(&f, b, esi);
        }
        for (uint16_t esi = 12; esi < 15; esi++) {
            store_source(&f, b, esi);
        }
        store_parity(&f, b, 1); /* given up by the spill */
        assert_ptr_equal(io_pool_victim(f.pool), b);
        submit(&f, b, true);
        struct io_sink_state st = settle(&f);
        assert_int_equal(st.error, CP_OK);
        assert_false(st.complete);

        b = take(&f, sbn);
        for (uint16_t esi = 3; esi < 15; esi++) {
            b->on_disk[esi] = (esi < 9 || esi >= 12);
        }
        store_source(&f, b, 0);
        store_source(&f, b, 1);
        store_source(&f, b, 10);
        for (uint16_t row = 0; row < PARITY; row++) {
            store_parity(&f, b, row);
        }
        submit(&f, b, false); /* 9 on disk, 3 here, 4 rebuilt */
        st = settle(&f);
        assert_int_equal(st.error, CP_OK);
        assert_int_equal(st.complete, sbn == 2);
    }
    check_content(&f);
    teardown(&f);
}

static void test_bad_chunk(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t first = 99;
    uint32_t last = 99;
    setup(&f, 6 * 1024);
    f.digests[SEAL_DIGEST_SIZE] ^= 1; /* chunk 1: bytes 2500 … 4999, blocks 2 … 4 */
    assert_int_equal(open_sink(&f, NULL), CP_OK);
    for (uint32_t sbn = 0; sbn < 6; sbn++) {
        send_block(&f, sbn);
    }
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        struct pollfd p = {.fd = io_sink_fd(f.sink), .events = POLLIN};
        struct io_sink_state st;
        do {
            assert_int_equal(poll(&p, 1, 10000), 1);
            io_sink_get_state(f.sink, &st);
        } while (st.pending > 0);
        assert_int_equal(st.chunks_bad, attempt + 1);
        assert_int_equal(st.chunks_failed, attempt == 2);
        assert_false(st.complete);
        /* Chunk 2 shares block 4, which is asked for again: it is verified when 4 is back. */
        assert_int_equal(st.bytes_verified, attempt == 0 ? CHUNK : 6 * 1024 - CHUNK);
        assert_int_equal(io_sink_next_bad(f.sink, &first, &last), attempt < 2);
        assert_int_equal(first, 2);
        assert_int_equal(last, 4);
        if (attempt < 2) {
            assert_false(io_sink_next_bad(f.sink, &first, &last));
            assert_int_equal(poll(&p, 1, 0), 0);
            for (uint32_t sbn = 2; sbn <= 4; sbn++) {
                send_block(&f, sbn);
            }
        }
    }
    uint8_t chunks[3];
    io_sink_get_chunks(f.sink, chunks, 3);
    assert_int_equal(chunks[0], 1);
    assert_int_equal(chunks[1], 0);
    assert_int_equal(chunks[2], 1);
    teardown(&f);
}

/* Sends a block of which one byte is wrong. */
static void send_forged(struct fixture *f, uint32_t sbn, size_t byte)
{
    uint8_t *at = f->object + norm_partition_offset(&f->partition, sbn, 0) + byte;

    *at ^= 1;
    send_block(f, sbn);
    *at ^= 1;
}

/* A chunk has hashed its part of a right block; the block comes anew for its neighbour's sake, and
 * that copy is forged: what counts is what lies on the disk. Blocks 0, 1 and the first part of 2 are
 * chunk 0; the rest of 2, 3 and most of 4 chunk 1. */
static void test_block_replaced(void **state)
{
    (void)state;
    struct fixture f;
    uint32_t first;
    uint32_t last;
    uint8_t chunks[3];

    setup(&f, 6 * 1024);
    assert_int_equal(open_sink(&f, NULL), CP_OK);
    send_forged(&f, 0, 0);
    send_block(&f, 2);
    send_block(&f, 3);
    send_block(&f, 1);
    assert_int_equal(settle(&f).chunks_bad, 1);
    assert_true(io_sink_next_bad(f.sink, &first, &last));
    assert_int_equal(first, 0);
    assert_int_equal(last, 2);
    send_block(&f, 0);
    send_block(&f, 1);
    send_forged(&f, 2, 1000); /* in chunk 1's part */
    send_block(&f, 4);
    assert_int_equal(settle(&f).chunks_bad, 2);
    io_sink_get_chunks(f.sink, chunks, 3);
    assert_int_equal(chunks[0], 1);
    assert_int_equal(chunks[1], 0);
    assert_true(io_sink_next_bad(f.sink, &first, &last));
    assert_int_equal(first, 2);
    assert_int_equal(last, 4);
    for (uint32_t sbn = 2; sbn < 6; sbn++) {
        send_block(&f, sbn);
    }
    assert_true(settle(&f).complete);
    check_content(&f);
    teardown(&f);
}

static void test_had_before(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 6 * 1024);
    const uint8_t have[3] = {0, 1, 0};
    /* Chunk 1 is on the disk; a forger's bytes for block 2, which straddles, must not touch it. */
    assert_int_equal(pwrite(f.fd, f.content + CHUNK, CHUNK, CHUNK), CHUNK);
    assert_int_equal(open_sink(&f, have), CP_OK);
    struct io_sink_state st = settle(&f);
    assert_int_equal(st.bytes_verified, CHUNK);
    for (uint32_t sbn = 0; sbn < 6; sbn++) {
        assert_int_equal(io_sink_block_had(f.sink, sbn), sbn == 3);
    }
    f.object[CHUNK] ^= 0xff; /* in block 2, behind chunk 0 */
    for (uint32_t sbn = 0; sbn < 6; sbn++) {
        if (sbn != 3) {
            send_block(&f, sbn);
        }
    }
    st = settle(&f);
    assert_true(st.complete);
    assert_int_equal(st.bytes_verified, f.content_size);
    check_content(&f);
    teardown(&f);
}

static void test_full_and_refused(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 6 * 1024);
    f.extent.size--;
    assert_int_equal(open_sink(&f, NULL), CP_ERR_INVALID);
    f.extent.size++;
    f.chunk_count--;
    assert_int_equal(open_sink(&f, NULL), CP_ERR_INVALID);
    f.chunk_count++;
    f.extent.fd = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_int_equal(open_sink(&f, NULL), CP_OK);
    for (uint32_t sbn = 0; sbn < 6; sbn++) {
        send_block(&f, sbn);
    }
    struct io_sink_state st = settle(&f);
    assert_int_equal(st.error, CP_ERR_OUTPUT_FULL);
    assert_int_equal(st.bytes_verified, 0);
    close(f.extent.fd);
    teardown(&f);
}

static void test_pool(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 10 * 1024);
    assert_int_equal(io_pool_count(f.pool), 6);
    for (uint32_t sbn = 0; sbn < 6; sbn++) {
        assert_null(io_pool_find(f.pool, sbn));
        struct io_block *b = io_pool_take(f.pool, sbn);
        store_source(&f, b, 5);
        store_source(&f, b, 5);
        assert_int_equal(b->source_count, 1);
    }
    assert_null(io_pool_take(f.pool, 6));
    store_source(&f, io_pool_find(f.pool, 0), 1);
    assert_int_equal(io_pool_victim(f.pool)->sbn, 1);
    io_pool_reset(f.pool);
    assert_null(io_pool_victim(f.pool));
    assert_null(io_pool_find(f.pool, 0));
    assert_non_null(io_pool_take(f.pool, 6));
    /* A short symbol is filled up with zeros. */
    uint8_t short_symbol[3] = {7, 8, 9};
    struct io_block *b = io_pool_find(f.pool, 6);
    memset(b->data, 0xff, SEGMENT);
    io_pool_store(f.pool, b, 0, short_symbol, sizeof(short_symbol));
    assert_memory_equal(b->data, short_symbol, 3);
    for (size_t i = 3; i < SEGMENT; i++) {
        assert_int_equal(b->data[i], 0);
    }
    teardown(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct io_pool *pool = NULL;
    const uint8_t have[3] = {1, 0, 0};
    unsigned refused = 0;
    bool failed = true;

    setup(&f, 6 * 1024);
    for (int i = 0; i < 3; i++) {
        failing_alloc_after(i);
        assert_int_equal(io_pool_new(&f.partition, 1, &pool), CP_ERR_NO_MEMORY);
    }
    for (int i = 0; failed; i++) {
        failing_alloc_after(i);
        enum cp_err code = open_sink(&f, have);
        failed = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_int_equal(code, failed ? CP_ERR_NO_MEMORY : CP_OK);
        refused += failed;
    }
    assert_true(refused >= 8);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_in_any_order),
        cmocka_unit_test(test_rebuilt_and_spilled),
        cmocka_unit_test(test_bad_chunk),
        cmocka_unit_test(test_block_replaced),
        cmocka_unit_test(test_had_before),
        cmocka_unit_test(test_full_and_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
