/* SPDX-License-Identifier: Apache-2.0
 * Division of an object into blocks and symbols: RFC 5052 section 9.1 and its edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/prng.h"
#include "multicast/norm/block.h"

static struct norm_fti fti_of(uint64_t size, uint16_t e, uint16_t b, uint16_t p)
{
    return (struct norm_fti){
        .object_size = size, .segment_size = e, .max_block_len = b, .num_parity = p};
}

static struct norm_partition partition(uint64_t size, uint16_t e, uint16_t b, uint16_t p)
{
    struct norm_fti fti = fti_of(size, e, b, p);
    struct norm_partition part;

    assert_int_equal(norm_partition_init(&part, &fti, 129), CP_OK);
    return part;
}

/* Checks RFC5740 5.1.1, RFC5052 9.1. */
static void big_object_mixes_two_lengths(void **state)
{
    struct norm_partition p = partition(50000000000, 1408, 128, 32);

    (void)state;
    assert_int_equal(p.block_count, 277433);
    assert_int_equal(p.large_len, 128);
    assert_int_equal(p.small_len, 127);
    /* T = 35 511 364 = 277 433 × 127 + 277 373 */
    assert_int_equal(p.large_count, 277373);
    assert_int_equal(p.last_size, 50000000000 - 35511363ull * 1408);
    assert_int_equal(norm_partition_block_len(&p, 277372), 128);
    assert_int_equal(norm_partition_block_len(&p, 277373), 127);
}

/* The split that the reference implementation announces for 1 MB at its defaults. */
static void one_megabyte_at_the_defaults_of_nrl(void **state)
{
    struct norm_partition p = partition(1000000, 1400, 64, 8);

    (void)state;
    assert_int_equal(p.block_count, 12); /* 715 symbols */
    assert_int_equal(p.large_len, 60);
    assert_int_equal(p.small_len, 59);
    assert_int_equal(p.large_count, 7);
    assert_int_equal(p.last_size, 400);
}

static void padded_object_is_even(void **state)
{
    struct norm_partition p = partition(180224ull * 111, 1408, 128, 32);

    (void)state;
    assert_int_equal(p.block_count, 111);
    assert_int_equal(p.small_len, 128);
    assert_int_equal(p.large_len, 128);
    assert_int_equal(p.large_count, 0);
    assert_int_equal(p.last_size, 1408);
    assert_int_equal(norm_partition_block_size(&p, 110), 180224);
    assert_int_equal(norm_partition_offset(&p, 110, 127), 180224ull * 111 - 1408);
}

static void one_symbol(void **state)
{
    struct norm_partition p = partition(1, 1408, 128, 32);

    (void)state;
    assert_int_equal(p.block_count, 1);
    assert_int_equal(norm_partition_block_len(&p, 0), 1);
    assert_int_equal(norm_partition_symbol_size(&p, 0, 0), 1);
    assert_int_equal(norm_partition_block_size(&p, 0), 1);
    assert_int_equal(norm_partition_block_at(&p, 0), 0);
    p = partition(1408, 1408, 128, 32);
    assert_int_equal(p.last_size, 1408);
    p = partition(1409, 1408, 128, 32);
    assert_int_equal(norm_partition_block_len(&p, 0), 2);
    assert_int_equal(norm_partition_symbol_size(&p, 0, 0), 1408);
    assert_int_equal(norm_partition_symbol_size(&p, 0, 1), 1);
    assert_int_equal(norm_partition_block_size(&p, 0), 1409);
}

/* For many shapes: symbols lie end to end and cover the object, and block_at is the inverse.
 * Checks RFC5740 5.1.1. */
static void symbols_cover_the_object(void **state)
{
    struct cp_prng prng;

    (void)state;
    cp_prng_seed(&prng, 5052);
    for (unsigned round = 0; round < 300; round++) {
        uint64_t size = 1 + cp_prng_below(&prng, 60000);
        struct norm_partition p = partition(size, (uint16_t)(1 + cp_prng_below(&prng, 97)),
                                            (uint16_t)(1 + cp_prng_below(&prng, 200)), 9);
        uint64_t offset = 0;

        for (uint32_t sbn = 0; sbn < p.block_count; sbn++) {
            uint64_t start = offset;
            uint16_t len = norm_partition_block_len(&p, sbn);

            assert_in_range(len, 1, p.max_block_len);
            for (uint16_t esi = 0; esi < len; esi++) {
                assert_int_equal(norm_partition_offset(&p, sbn, esi), offset);
                assert_int_equal(norm_partition_block_at(&p, offset), sbn);
                offset += norm_partition_symbol_size(&p, sbn, esi);
                assert_int_equal(norm_partition_block_at(&p, offset - 1), sbn);
            }
            assert_int_equal(norm_partition_block_size(&p, sbn), offset - start);
        }
        assert_int_equal(offset, size);
    }
}

static enum cp_err init(uint64_t size, uint16_t e, uint16_t b, uint16_t parity, uint8_t fec_id)
{
    struct norm_fti fti = fti_of(size, e, b, parity);
    struct norm_partition p;

    return norm_partition_init(&p, &fti, fec_id);
}

static void impossible_information(void **state)
{
    (void)state;
    assert_int_equal(init(0, 1408, 128, 32, 129), CP_ERR_MALFORMED);
    assert_int_equal(init(1000, 0, 128, 32, 129), CP_ERR_MALFORMED);
    assert_int_equal(init(1000, 1408, 0, 32, 129), CP_ERR_MALFORMED);
    assert_int_equal(init(1000, 1408, 200, 55, 129), CP_OK);
    assert_int_equal(init(1000, 1408, 200, 56, 129), CP_ERR_MALFORMED);
    assert_int_equal(init(1000, 1408, 255, 0, 129), CP_OK);
    assert_int_equal(init(1000, 1408, 256, 0, 129), CP_ERR_MALFORMED);
    assert_int_equal(init(1000, 1408, 65535, 65535, 129), CP_ERR_MALFORMED);
    assert_int_equal(init(1000, 1408, 128, 32, 128), CP_ERR_MALFORMED);
    assert_int_equal(init(0x1000000000000, 65535, 255, 0, 129), CP_ERR_MALFORMED);
}

static void block_numbers_fit_their_field(void **state)
{
    (void)state;
    assert_int_equal(init(0xffffffffull, 1, 1, 0, 129), CP_OK);
    assert_int_equal(init(0x100000000ull, 1, 1, 0, 129), CP_ERR_MALFORMED);
    assert_int_equal(init(0xffffffffffff, 1408, 128, 32, 129), CP_OK);
    assert_int_equal(init(0x1000000, 1, 1, 0, 5), CP_OK);
    assert_int_equal(init(0x1000001, 1, 1, 0, 5), CP_ERR_MALFORMED);
    assert_int_equal(init(0x1000000, 1, 1, 0, 2), CP_OK);
    assert_int_equal(init(0x1000001, 1, 1, 0, 2), CP_ERR_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(big_object_mixes_two_lengths),
        cmocka_unit_test(one_megabyte_at_the_defaults_of_nrl),
        cmocka_unit_test(padded_object_is_even),
        cmocka_unit_test(one_symbol),
        cmocka_unit_test(symbols_cover_the_object),
        cmocka_unit_test(impossible_information),
        cmocka_unit_test(block_numbers_fit_their_field),
    };

    return cmocka_run_group_tests_name("norm_block", tests, NULL, NULL);
}
