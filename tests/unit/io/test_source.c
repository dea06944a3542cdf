/* SPDX-License-Identifier: Apache-2.0
 * The sender's supply of blocks: first pass, repairs behind the ring, padding, cipher, failing
 * reads. */
#include "multicast/io/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/prng.h"
#include "tests/support/failing_alloc.h"

#define SEGMENT 64u
#define BLOCK   16u

struct fixture {
    int fd;
    uint8_t *content;
    size_t content_size;
    struct norm_partition partition;
    struct io_extent extent;
};

static void make(struct fixture *f, size_t content_size, uint64_t object_size)
{
    struct norm_fti fti = {.object_size = object_size,
                           .segment_size = SEGMENT,
                           .max_block_len = BLOCK,
                           .num_parity = 4};
    struct cp_prng prng;

    cp_prng_seed(&prng, content_size);
    f->content = malloc(content_size);
    f->content_size = content_size;
    for (size_t i = 0; i < content_size; i++) {
        f->content[i] = (uint8_t)cp_prng_u64(&prng);
    }
    f->fd = memfd_create("source", MFD_CLOEXEC);
    assert_int_equal(write(f->fd, f->content, content_size), (ssize_t)content_size);
    assert_int_equal(norm_partition_init(&f->partition, &fti, 129), CP_OK);
    f->extent = (struct io_extent){.fd = f->fd, .size = content_size};
}

static void drop(struct fixture *f)
{
    close(f->fd);
    free(f->content);
}

static struct io_source *open_source(struct fixture *f, const struct seal_content_key *key)
{
    struct io_source_config config = {.partition = &f->partition,
                                      .content_size = f->content_size,
                                      .extents = &f->extent,
                                      .extent_count = 1,
                                      .key = key,
                                      .memory = 12u * SEGMENT * BLOCK};
    struct io_source *s = NULL;
    assert_int_equal(io_source_new(&config, &s), CP_OK);
    return s;
}

/* What block sbn must be, computed from the content. */
static void check_block(struct fixture *f, struct io_source *s, uint32_t sbn,
                        struct seal_cipher *cipher)
{
    uint8_t want[SEGMENT * BLOCK] = {0};
    const uint8_t *got = NULL;
    uint64_t offset = norm_partition_offset(&f->partition, sbn, 0);
    size_t size = norm_partition_block_size(&f->partition, sbn);
    size_t padded = (size_t)norm_partition_block_len(&f->partition, sbn) * SEGMENT;

    for (size_t i = 0; i < size && offset + i < f->content_size; i++) {
        want[i] = f->content[offset + i];
    }
    if (cipher != NULL) {
        assert_int_equal(seal_cipher_apply(cipher, offset, want, size), CP_OK);
    }
    assert_int_equal(io_source_get(s, sbn, &got), CP_OK);
    assert_memory_equal(got, want, padded);
}

static void test_passes(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 100u * SEGMENT * BLOCK - 100, 100u * SEGMENT * BLOCK);
    struct io_source *s = open_source(&f, NULL);
    struct cp_prng prng;
    cp_prng_seed(&prng, 7);

    for (uint32_t sbn = 0; sbn < f.partition.block_count; sbn++) {
        assert_true(io_source_wait(s, sbn, 10 * CP_SEC));
        assert_true(io_source_ready(s, sbn));
        check_block(&f, s, sbn, NULL);
        /* Repairs meanwhile: near the head, far behind, even ahead. */
        check_block(&f, s, (uint32_t)cp_prng_below(&prng, sbn + 1), NULL);
        check_block(&f, s, sbn > 0 ? sbn - 1 : 0, NULL);
    }
    for (uint32_t sbn = 0; sbn < f.partition.block_count; sbn++) { /* the second pass */
        check_block(&f, s, sbn, NULL);
    }
    io_source_free(s);
    drop(&f);
}

static void test_jump_ahead(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 50u * SEGMENT * BLOCK, 50u * SEGMENT * BLOCK);
    struct io_source *s = open_source(&f, NULL);
    check_block(&f, s, 49, NULL);
    assert_true(io_source_ready(s, 49)); /* not a matter of reading ahead */
    check_block(&f, s, 0, NULL);
    check_block(&f, s, 3, NULL);
    io_source_free(s);
    drop(&f);
}

static void test_cipher_and_short_end(void **state)
{
    (void)state;
    struct fixture f;
    struct seal_content_key key = {.key = {1, 2, 3}, .nonce = {9}};
    struct seal_cipher *cipher = NULL;

    /* An object that is not padded: its last symbol is short and zero behind its end. */
    make(&f, 7777, 7777);
    assert_int_equal(seal_cipher_new(&key, &cipher), CP_OK);
    struct io_source *s = open_source(&f, &key);
    for (uint32_t sbn = 0; sbn < f.partition.block_count; sbn++) {
        check_block(&f, s, sbn, cipher);
    }
    check_block(&f, s, 0, cipher);
    io_source_free(s);
    seal_cipher_free(cipher);
    drop(&f);
}

static void test_failures(void **state)
{
    (void)state;
    struct fixture f;
    const uint8_t *data = NULL;
    make(&f, 20u * SEGMENT * BLOCK, 20u * SEGMENT * BLOCK);
    assert_int_equal(ftruncate(f.fd, 10 * SEGMENT * BLOCK), 0);
    struct io_source *s = open_source(&f, NULL);
    for (uint32_t sbn = 0; sbn < 2; sbn++) {
        assert_true(io_source_wait(s, sbn, 10 * CP_SEC));
    }
    enum cp_err code = CP_OK;
    for (uint32_t sbn = 0; sbn < 20 && code == CP_OK; sbn++) {
        code = io_source_get(s, sbn, &data);
    }
    assert_int_equal(code, CP_ERR_STORAGE);
    assert_true(io_source_ready(s, 19)); /* nobody waits for what will not come */
    io_source_free(s);

    struct io_source_config config = {.partition = &f.partition,
                                      .content_size = f.content_size + 1,
                                      .extents = &f.extent,
                                      .extent_count = 1,
                                      .memory = 1};
    assert_int_equal(io_source_new(&config, &s), CP_ERR_INVALID);
    io_source_free(NULL);
    drop(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct seal_content_key key = {.nonce = {1}};
    unsigned refused = 0;

    make(&f, 20u * SEGMENT * BLOCK, 20u * SEGMENT * BLOCK);
    struct io_source_config config = {.partition = &f.partition,
                                      .content_size = f.content_size,
                                      .extents = &f.extent,
                                      .extent_count = 1,
                                      .key = &key,
                                      .memory = 1};
    for (int i = 0;; i++) {
        struct io_source *s = NULL;
        failing_alloc_after(i);
        enum cp_err code = io_source_new(&config, &s);
        bool failed = failing_alloc_happened();
        failing_alloc_after(-1);
        io_source_free(s);
        if (!failed) {
            assert_int_equal(code, CP_OK);
            break;
        }
        assert_int_equal(code, CP_ERR_NO_MEMORY);
        refused++;
    }
    assert_true(refused >= 4);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_jump_ahead),
        cmocka_unit_test(test_cipher_and_short_end),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
