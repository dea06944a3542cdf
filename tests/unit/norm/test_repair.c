/* SPDX-License-Identifier: Apache-2.0
 * Repair requests: writer and reader, and requests that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "multicast/norm/wire.h"

static struct norm_repair item(uint8_t flags, uint16_t object, uint32_t sbn, uint16_t esi)
{
    struct norm_repair e = {.form = NORM_REPAIR_ITEMS, .flags = flags};

    e.first.object_id = object;
    e.first.id = (struct norm_payload_id){.sbn = sbn, .esi = esi};
    e.last = e.first;
    return e;
}

static struct norm_repair segments(uint32_t sbn, uint16_t first, uint16_t last)
{
    struct norm_repair e = item(NORM_REPAIR_SEGMENT, 12, sbn, first);

    e.form = NORM_REPAIR_RANGES;
    e.last.id.esi = last;
    return e;
}

/* RFC5740 4.3.1, example 1: three items under one request header. Checks RFC5740 4.3.1,
 * RFC5401 3.2.3.2. */
static void writes_the_rfc_example(void **state)
{
    const uint8_t expected[] = {
        0x01, 0x01, 0x00, 0x24,                                                 /* length 36 */
        0x81, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x02, /* 12::3::2 */
        0x81, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x05, /* 12::3::5 */
        0x81, 0x00, 0x00, 0x0c, 0x00, 0x00, 0x00, 0x03, 0x00, 0x20, 0x00, 0x08, /* 12::3::8 */
    };
    const uint16_t esi[] = {2, 5, 8};
    struct norm_repair_writer w;
    uint8_t buf[64];

    (void)state;
    norm_repair_writer_init(&w, buf, sizeof(buf), 129);
    for (size_t i = 0; i < 3; i++) {
        struct norm_repair e = item(NORM_REPAIR_SEGMENT, 12, 3, esi[i]);

        e.first.id.block_len = 32;
        assert_true(norm_repair_add(&w, &e));
    }
    assert_int_equal(norm_repair_size(&w), sizeof(expected));
    assert_memory_equal(buf, expected, sizeof(expected));
}

static void round_trip_of_mixed_entries(void **state)
{
    const uint8_t fec_ids[] = {129, 5, 2};
    struct norm_repair blocks = item(NORM_REPAIR_BLOCK | NORM_REPAIR_INFO, 12, 5, 0);

    (void)state;
    blocks.form = NORM_REPAIR_RANGES;
    blocks.last.id.sbn = 900;
    for (size_t f = 0; f < 3; f++) {
        const struct norm_repair in[] = {
            item(NORM_REPAIR_INFO, 12, 0, 0),
            item(NORM_REPAIR_SEGMENT, 12, 3, 7),
            item(NORM_REPAIR_SEGMENT, 12, 3, 9),
            segments(4, 0, 12),
            segments(4, 200, 200),
            blocks,
            item(NORM_REPAIR_OBJECT, 13, 0, 0),
        };
        struct norm_repair_writer w;
        struct norm_repair_reader r;
        struct norm_repair out;
        uint8_t buf[256];

        norm_repair_writer_init(&w, buf, sizeof(buf), fec_ids[f]);
        for (size_t i = 0; i < 7; i++) {
            assert_true(norm_repair_add(&w, &in[i]));
        }
        norm_repair_reader_init(&r, buf, norm_repair_size(&w), fec_ids[f]);
        for (size_t i = 0; i < 7; i++) {
            assert_true(norm_repair_next(&r, &out));
            assert_int_equal(out.form, in[i].form);
            assert_int_equal(out.flags, in[i].flags);
            assert_int_equal(out.first.object_id, in[i].first.object_id);
            assert_int_equal(out.first.id.sbn, in[i].first.id.sbn);
            assert_int_equal(out.first.id.esi, in[i].first.id.esi);
            assert_int_equal(out.last.id.sbn, in[i].last.id.sbn);
            assert_int_equal(out.last.id.esi, in[i].last.id.esi);
        }
        assert_false(norm_repair_next(&r, &out));
        assert_false(r.malformed);
    }
}

static void writer_stops_at_its_room(void **state)
{
    struct norm_repair one = item(NORM_REPAIR_SEGMENT, 12, 3, 2);
    struct norm_repair two = segments(3, 5, 9);
    struct norm_repair_writer w;
    struct norm_repair_reader r;
    uint8_t buf[64];

    (void)state;
    norm_repair_writer_init(&w, buf, 15, 129);
    assert_false(norm_repair_add(&w, &one));
    assert_int_equal(norm_repair_size(&w), 0);
    memset(buf, 0xcc, sizeof(buf));
    norm_repair_writer_init(&w, buf, 16 + 27, 129);
    assert_true(norm_repair_add(&w, &one));
    assert_false(norm_repair_add(&w, &two)); /* 4 + 24 */
    assert_int_equal(norm_repair_size(&w), 16);
    assert_int_equal(buf[16], 0xcc);
    /* What still fits may follow. */
    assert_true(norm_repair_add(&w, &one));
    assert_true(norm_repair_add(&w, &one));
    assert_false(norm_repair_add(&w, &one));
    assert_int_equal(norm_repair_size(&w), 40);
    norm_repair_reader_init(&r, buf, norm_repair_size(&w), 129);
    for (size_t i = 0; i < 3; i++) {
        assert_true(norm_repair_next(&r, &one));
    }
    assert_false(norm_repair_next(&r, &one));
    assert_false(r.malformed);
}

static void writer_refuses_nonsense(void **state)
{
    struct norm_repair e = item(NORM_REPAIR_SEGMENT, 12, 0x1000000, 0);
    struct norm_repair_writer w;
    uint8_t buf[64];

    (void)state;
    norm_repair_writer_init(&w, buf, sizeof(buf), 5);
    assert_false(norm_repair_add(&w, &e));
    e = segments(3, 9, 5);
    assert_false(norm_repair_add(&w, &e));
    e = segments(3, 5, 256);
    assert_false(norm_repair_add(&w, &e));
    e = item(0, 12, 0, 0);
    assert_false(norm_repair_add(&w, &e));
    e = item(0x10, 12, 0, 0);
    assert_false(norm_repair_add(&w, &e));
    e = item(NORM_REPAIR_OBJECT, 12, 0, 0);
    e.form = NORM_REPAIR_ERASURES;
    assert_false(norm_repair_add(&w, &e));
    assert_int_equal(norm_repair_size(&w), 0);
    norm_repair_writer_init(&w, buf, sizeof(buf), 4);
    e = item(NORM_REPAIR_OBJECT, 12, 0, 0);
    assert_false(norm_repair_add(&w, &e));
}

/* Entries read before the end or the first malformed request. */
static size_t count(const uint8_t *bytes, size_t size, uint8_t fec_id, bool *ret_malformed)
{
    struct norm_repair_reader r;
    struct norm_repair e;
    size_t n = 0;

    norm_repair_reader_init(&r, bytes, size, fec_id);
    while (norm_repair_next(&r, &e)) {
        n++;
    }
    *ret_malformed = r.malformed;
    assert_false(norm_repair_next(&r, &e)); /* the end stays the end */
    return n;
}
#define ASSERT_READS(n, bad, ...)                                                                  \
    do {                                                                                           \
        const uint8_t bytes_[] = {__VA_ARGS__};                                                    \
        bool malformed_;                                                                           \
        assert_int_equal(count(bytes_, sizeof(bytes_), 5, &malformed_), n);                        \
        assert_int_equal(malformed_, bad);                                                         \
    } while (0)

#define GOOD 1, 1, 0, 8, 5, 0, 0, 1, 0, 0, 1, 2 /* ITEMS, SEGMENT: object 1, block 1, symbol 2 */

static void reader_rejects_lying_lengths(void **state)
{
    bool malformed;

    (void)state;
    assert_int_equal(count(NULL, 0, 5, &malformed), 0);
    assert_false(malformed);
    ASSERT_READS(1, false, GOOD);
    ASSERT_READS(2, false, GOOD, GOOD);
    ASSERT_READS(1, true, GOOD, 1);
    ASSERT_READS(1, true, GOOD, 1, 1, 0);
    ASSERT_READS(1, true, GOOD, 1, 1, 0, 8);
    ASSERT_READS(1, true, GOOD, 1, 1, 0, 8, 5, 0, 0, 1, 0, 0, 1);
    ASSERT_READS(1, true, GOOD, 1, 1, 0xff, 0xff, 5, 0, 0, 1, 0, 0, 1, 2);
    ASSERT_READS(0, true, 1, 1, 0, 7, 5, 0, 0, 1, 0, 0, 1, 2);
    ASSERT_READS(1, true, 1, 1, 0, 9, 5, 0, 0, 1, 0, 0, 1, 2, 0);
    ASSERT_READS(0, true, 2, 1, 0, 8, 5, 0, 0, 1, 0, 0, 1, 2); /* half a range */
    ASSERT_READS(1, false, 1, 1, 0, 0, GOOD);                  /* empty, and harmless */
}

static void reader_rejects_lying_fields(void **state)
{
    (void)state;
    ASSERT_READS(0, true, 0, 1, 0, 8, 5, 0, 0, 1, 0, 0, 1, 2);
    ASSERT_READS(0, true, 4, 1, 0, 8, 5, 0, 0, 1, 0, 0, 1, 2);
    ASSERT_READS(0, true, 1, 0, 0, 8, 5, 0, 0, 1, 0, 0, 1, 2);
    ASSERT_READS(0, true, 1, 0xf0, 0, 8, 5, 0, 0, 1, 0, 0, 1, 2);
    ASSERT_READS(0, true, 1, 1, 0, 8, 7, 0, 0, 1, 0, 0, 1, 2); /* unknown fec_id */
    /* Ranges that run backwards, at each level. */
    ASSERT_READS(0, true, 2, 1, 0, 16, 5, 0, 0, 1, 0, 0, 1, 2, 5, 0, 0, 1, 0, 0, 1, 1);
    ASSERT_READS(0, true, 2, 2, 0, 16, 5, 0, 0, 1, 0, 0, 9, 0, 5, 0, 0, 1, 0, 0, 8, 0);
    ASSERT_READS(0, true, 2, 8, 0, 16, 5, 0, 0, 2, 0, 0, 0, 0, 5, 0, 0, 1, 0, 0, 0, 0);
    /* What a level does not use may hold anything. */
    ASSERT_READS(1, false, 2, 2, 0, 16, 5, 0, 0, 1, 0, 0, 8, 9, 5, 0, 0, 1, 0, 0, 8, 1);
    ASSERT_READS(1, false, 2, 8, 0, 16, 5, 0, 0, 1, 0, 0, 9, 9, 5, 0, 0, 1, 0, 0, 8, 1);
    /* Object ids wrap: 65 500 … 3 is a range of 40. */
    ASSERT_READS(1, false, 2, 8, 0, 16, 5, 0, 0xff, 0xdc, 0, 0, 0, 0, 5, 0, 0, 3, 0, 0, 0, 0);
    /* A range from one scheme to another. */
    ASSERT_READS(0, true, 2, 2, 0, 16, 5, 0, 0, 1, 0, 0, 1, 0, 2, 0, 0, 1, 0, 0, 2, 0);
}

static void reader_skips_what_is_not_for_us(void **state)
{
    (void)state;
    /* ERASURES, then an item of fec_id 129 between ours. */
    ASSERT_READS(1, false, 3, 1, 0, 8, 5, 0, 0, 1, 0, 0, 1, 2, GOOD);
    ASSERT_READS(2, false, 1, 1, 0, 28, 5, 0, 0, 1, 0, 0, 1, 2, 129, 0, 0, 1, 0, 0, 0, 1, 0, 32, 0,
                 3, 5, 0, 0, 1, 0, 0, 1, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_rfc_example),
        cmocka_unit_test(round_trip_of_mixed_entries),
        cmocka_unit_test(writer_stops_at_its_room),
        cmocka_unit_test(writer_refuses_nonsense),
        cmocka_unit_test(reader_rejects_lying_lengths),
        cmocka_unit_test(reader_rejects_lying_fields),
        cmocka_unit_test(reader_skips_what_is_not_for_us),
    };

    return cmocka_run_group_tests_name("norm_repair", tests, NULL, NULL);
}
