/* SPDX-License-Identifier: Apache-2.0
 * The NORM codec against packets that lie: lengths, types, extensions, truncation, random bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/prng.h"
#include "multicast/norm/wire.h"
#include "tests/unit/norm/vectors.h"

/* Decodes a copy of exactly `size` bytes on the heap, where the sanitizer sees every overrun, and
 * walks everything that a reader of the message would walk. */
static enum cp_err decode(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    struct norm_msg msg;
    struct norm_repair_reader r;
    struct norm_repair entry;
    struct norm_cc_node node;
    struct norm_watermark wm;
    enum cp_err rc;
    size_t count = 0;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    memset(&msg, 0x5a, sizeof(msg));
    rc = norm_decode(copy, size, &msg);
    if (rc == CP_OK) {
        assert_ptr_equal(msg.payload + msg.payload_size, copy + size);
        assert_true(!msg.ext.has_auth ||
                    msg.ext.auth_offset + msg.ext.auth_size <= (size_t)(msg.payload - copy));
        norm_repair_reader_init(&r, msg.payload, msg.payload_size, 129);
        while (norm_repair_next(&r, &entry)) {
            assert_true(++count <= size / 8);
        }
        (void)norm_node_list_has(&msg, 0x12345678);
        (void)norm_cc_node_get(&msg, 0, &node);
        if (norm_watermark_decode(&msg, &wm) == CP_OK) {
            assert_true(msg.payload_size == 8 || msg.payload_size == 12);
        }
    } else {
        const uint8_t untouched[sizeof(msg.type)] = {0x5a, 0x5a, 0x5a, 0x5a};

        assert_int_equal(rc, CP_ERR_MALFORMED);
        assert_memory_equal(&msg, untouched, sizeof(untouched));
    }
    free(copy);
    return rc;
}

/* The vector with one byte changed. */
static enum cp_err decode_changed(const uint8_t *bytes, size_t size, size_t at, uint8_t value)
{
    uint8_t pkt[VECTOR_SIZE_MAX];

    memcpy(pkt, bytes, size);
    pkt[at] = value;
    return decode(pkt, size);
}
#define CHANGED(v, at, value) decode_changed(vector_##v, sizeof(vector_##v), at, value)

static void every_prefix_is_rejected_or_consistent(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        size_t header = 4u * vectors[i].bytes[1];

        assert_int_equal(decode(vectors[i].bytes, vectors[i].size), CP_OK);
        for (size_t size = 0; size < vectors[i].size; size++) {
            enum cp_err rc = decode(vectors[i].bytes, size);

            if (size < header) {
                assert_int_equal(rc, CP_ERR_MALFORMED);
            }
        }
    }
}

static void list_payloads_are_whole_items(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 4; cut++) {
        assert_int_equal(decode(vector_flush, sizeof(vector_flush) - cut), CP_ERR_MALFORMED);
        assert_int_equal(decode(vector_ack_req, sizeof(vector_ack_req) - cut), CP_ERR_MALFORMED);
        assert_int_equal(decode(vector_cc, sizeof(vector_cc) - cut), CP_ERR_MALFORMED);
    }
    assert_int_equal(decode(vector_cc, sizeof(vector_cc) - 4), CP_ERR_MALFORMED);
    assert_int_equal(decode(vector_cc, sizeof(vector_cc) - 8), CP_OK);
    assert_int_equal(decode(vector_flush, sizeof(vector_flush) - 8), CP_OK);
    assert_int_equal(decode(vector_squelch, sizeof(vector_squelch) - 1), CP_ERR_MALFORMED);
    assert_int_equal(decode(vector_squelch, sizeof(vector_squelch) - 2), CP_OK);
    /* DATA needs a symbol, EOT has no content. */
    assert_int_equal(decode(vector_data, 64), CP_ERR_MALFORMED);
    assert_int_equal(decode(vector_data, 65), CP_OK);
    assert_int_equal(CHANGED(eot, 1, 3), CP_ERR_MALFORMED);
    assert_int_equal(decode((const uint8_t[20]){0x13, 4, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 2}, 20),
                     CP_ERR_MALFORMED);
}

/* Checks RFC5740 4.1. */
static void version_and_types(void **state)
{
    (void)state;
    for (unsigned version = 0; version < 16; version++) {
        assert_int_equal(CHANGED(info, 0, (uint8_t)(version << 4 | 1)),
                         version == 1 ? CP_OK : CP_ERR_MALFORMED);
    }
    assert_int_equal(CHANGED(report, 0, 0x10), CP_ERR_MALFORMED);
    for (unsigned type = 7; type < 16; type++) {
        assert_int_equal(CHANGED(report, 0, (uint8_t)(0x10 | type)), CP_ERR_MALFORMED);
    }
    assert_int_equal(CHANGED(eot, 12, 0), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(eot, 12, 8), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(eot, 12, 255), CP_ERR_MALFORMED);
}

static void header_length_lies(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        const struct vector *v = &vectors[i];
        uint8_t base = v->bytes[0] == 0x16 ? 2 : 4;

        /* Below the base header, of whatever type. */
        for (uint8_t words = 0; words < base; words++) {
            assert_int_equal(decode_changed(v->bytes, v->size, 1, words), CP_ERR_MALFORMED);
        }
        /* Past the datagram. */
        assert_int_equal(decode_changed(v->bytes, v->size, 1, (uint8_t)(v->size / 4 + 1)),
                         CP_ERR_MALFORMED);
        assert_int_equal(decode_changed(v->bytes, v->size, 1, 255), CP_ERR_MALFORMED);
    }
    /* Between base and payload id; between base and extension's end. */
    assert_int_equal(CHANGED(data, 1, 5), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(data, 1, 7), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(cc, 1, 5), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(nack, 1, 5), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(nack, 1, 8), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(flush, 1, 5), CP_ERR_MALFORMED);
}

/* Checks RFC5401 3.4. */
static void node_ids_that_are_nobody(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        uint8_t pkt[VECTOR_SIZE_MAX];

        memcpy(pkt, vectors[i].bytes, vectors[i].size);
        memset(pkt + 4, 0, 4);
        assert_int_equal(decode(pkt, vectors[i].size), CP_ERR_MALFORMED);
        memset(pkt + 4, 0xff, 4);
        assert_int_equal(decode(pkt, vectors[i].size), CP_ERR_MALFORMED);
    }
    assert_int_equal(CHANGED(nack, 8, 0x0b), CP_OK);
    assert_int_equal(decode((const uint8_t[24]){0x14, 6, 0, 0, 1, 1, 1, 1}, 24), CP_ERR_MALFORMED);
}

static void unknown_fec_ids(void **state)
{
    (void)state;
    for (unsigned fec_id = 0; fec_id < 256; fec_id++) {
        bool known = fec_id == 129 || fec_id == 5 || fec_id == 2;

        if (!known) {
            assert_int_equal(CHANGED(info, 13, (uint8_t)fec_id), CP_ERR_MALFORMED);
            assert_int_equal(CHANGED(data, 13, (uint8_t)fec_id), CP_ERR_MALFORMED);
            assert_int_equal(CHANGED(flush, 13, (uint8_t)fec_id), CP_ERR_MALFORMED);
            assert_int_equal(CHANGED(squelch, 13, (uint8_t)fec_id), CP_ERR_MALFORMED);
            assert_int_equal(CHANGED(ack, 24, (uint8_t)fec_id), CP_OK); /* a reader's business */
        }
    }
    /* The FTI's size belongs to its scheme; m and G of scheme 2 are fixed. */
    assert_int_equal(CHANGED(info, 13, 5), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(data_2, 28, 16), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(data_2, 29, 2), CP_ERR_MALFORMED);
}

/* Checks RFC5740 4.1. */
static void extension_lengths_lie(void **state)
{
    (void)state;
    assert_int_equal(CHANGED(info, 17, 0), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(info, 17, 3), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(info, 17, 5), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(info, 17, 255), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(nack, 25, 0), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(nack, 25, 2), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(nack, 25, 4), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(data, 41, 0), CP_ERR_MALFORMED);
    assert_int_equal(CHANGED(data, 41, 7), CP_ERR_MALFORMED);
    /* An unknown extension is stepped over by its length, but not blindly. */
    assert_int_equal(CHANGED(nack, 24, 65), CP_OK);
    assert_int_equal(decode_changed(vector_nack, 36, 24, 127), CP_OK);
    assert_int_equal(CHANGED(cc, 24, 255), CP_OK);
}

/* EOT with the given extension words. */
static enum cp_err decode_ext(const uint8_t *ext, size_t size)
{
    uint8_t pkt[64];

    memcpy(pkt, vector_eot, sizeof(vector_eot));
    memcpy(pkt + sizeof(vector_eot), ext, size);
    pkt[1] = (uint8_t)(4 + size / 4);
    return decode(pkt, sizeof(vector_eot) + size);
}
#define DECODE_EXT(...)                                                                            \
    decode_ext((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Checks RFC6584 5.1. */
static void auth_extension(void **state)
{
    (void)state;
    assert_int_equal(DECODE_EXT(1, 2, 0x10, 0, 9, 9, 9, 9), CP_OK);
    assert_int_equal(DECODE_EXT(1, 2, 0x10, 1, 9, 9, 9, 9), CP_ERR_MALFORMED); /* AR 0 with SN */
    assert_int_equal(DECODE_EXT(1, 1, 0x10, 0), CP_ERR_MALFORMED);             /* no MAC */
    assert_int_equal(DECODE_EXT(1, 2, 0x11, 0, 0, 0, 0, 1), CP_ERR_MALFORMED); /* no MAC */
    assert_int_equal(DECODE_EXT(1, 3, 0x11, 0, 0, 0, 0, 1, 9, 9, 9, 9), CP_OK);
    /* RFC6584 5.1: reserved bits are ignored. */
    assert_int_equal(DECODE_EXT(1, 2, 0x1e, 0, 9, 9, 9, 9), CP_OK);
    /* "exactly one EXT_AUTH" */
    assert_int_equal(DECODE_EXT(1, 2, 0x10, 0, 9, 9, 9, 9, 1, 2, 0x10, 0, 9, 9, 9, 9),
                     CP_ERR_MALFORMED);
}

static void repeated_and_misplaced_extensions(void **state)
{
    (void)state;
    assert_int_equal(DECODE_EXT(128, 0, 0x51, 0xf4), CP_OK);
    assert_int_equal(DECODE_EXT(128, 0, 0x51, 0xf4, 128, 0, 0x51, 0xf4), CP_ERR_MALFORMED);
    assert_int_equal(DECODE_EXT(3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), CP_OK);
    assert_int_equal(
        DECODE_EXT(3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        CP_ERR_MALFORMED);
    /* A command has no fec_id to read an FTI by: it is an unknown extension there. */
    assert_int_equal(DECODE_EXT(64, 1, 0, 0), CP_OK);
    assert_int_equal(DECODE_EXT(64, 2, 0, 0), CP_ERR_MALFORMED);
    /* hel 0 and an extension whose second half lies in the payload. */
    assert_int_equal(DECODE_EXT(65, 0, 0, 0), CP_ERR_MALFORMED);
    assert_int_equal(DECODE_EXT(129, 0, 0, 0, 65, 2, 0, 0), CP_ERR_MALFORMED);
}

/* Every byte of every vector takes every value. */
static void every_single_byte_change(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        for (size_t at = 0; at < vectors[i].size; at++) {
            for (unsigned value = 0; value < 256; value++) {
                (void)decode_changed(vectors[i].bytes, vectors[i].size, at, (uint8_t)value);
            }
        }
    }
}

static void random_changes(void **state)
{
    struct cp_prng prng;

    (void)state;
    cp_prng_seed(&prng, 5740);
    for (unsigned round = 0; round < 50000; round++) {
        const struct vector *v = &vectors[cp_prng_below(&prng, VECTOR_COUNT)];
        uint8_t pkt[VECTOR_SIZE_MAX];
        size_t size = 1 + cp_prng_below(&prng, v->size);

        memcpy(pkt, v->bytes, v->size);
        for (uint64_t changes = cp_prng_below(&prng, 6); changes > 0; changes--) {
            pkt[cp_prng_below(&prng, size)] = (uint8_t)cp_prng_u64(&prng);
        }
        (void)decode(pkt, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_is_rejected_or_consistent),
        cmocka_unit_test(list_payloads_are_whole_items),
        cmocka_unit_test(version_and_types),
        cmocka_unit_test(header_length_lies),
        cmocka_unit_test(node_ids_that_are_nobody),
        cmocka_unit_test(unknown_fec_ids),
        cmocka_unit_test(extension_lengths_lie),
        cmocka_unit_test(auth_extension),
        cmocka_unit_test(repeated_and_misplaced_extensions),
        cmocka_unit_test(every_single_byte_change),
        cmocka_unit_test(random_changes),
    };

    return cmocka_run_group_tests_name("norm_wire_hostile", tests, NULL, NULL);
}
