/* SPDX-License-Identifier: Apache-2.0
 * Tests of the NORM codec: each message against bytes written by hand, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "multicast/norm/wire.h"
#include "tests/unit/norm/vectors.h"

#define SENDER 0x0a000001u

static struct norm_msg decode(const uint8_t *bytes, size_t size)
{
    struct norm_msg msg;

    assert_int_equal(norm_decode(bytes, size, &msg), CP_OK);
    return msg;
}
#define DECODE(v) decode(vector_##v, sizeof(vector_##v))

static void assert_sender_fields(const struct norm_msg *msg, uint16_t sequence)
{
    assert_int_equal(msg->sequence, sequence);
    assert_int_equal(msg->source_id, SENDER);
    assert_int_equal(msg->instance_id, 0xbeef);
    assert_int_equal(msg->grtt, 106);
    assert_int_equal(msg->backoff, 4);
    assert_int_equal(msg->gsize, 3);
}

static void assert_fti(const struct norm_fti *fti, uint64_t size, unsigned e, unsigned b,
                       unsigned p)
{
    assert_int_equal(fti->object_size, size);
    assert_int_equal(fti->instance, 0);
    assert_int_equal(fti->segment_size, e);
    assert_int_equal(fti->max_block_len, b);
    assert_int_equal(fti->num_parity, p);
}

static void assert_id(const struct norm_payload_id *id, uint32_t sbn, unsigned len, unsigned esi)
{
    assert_int_equal(id->sbn, sbn);
    assert_int_equal(id->block_len, len);
    assert_int_equal(id->esi, esi);
}

/* Checks RFC5740 4.2.2, RFC5740 4.1. */
static void decodes_info(void **state)
{
    struct norm_msg msg = DECODE(info);

    (void)state;
    assert_int_equal(msg.type, NORM_INFO);
    assert_sender_fields(&msg, 1);
    assert_int_equal(msg.flags, NORM_FLAG_INFO | NORM_FLAG_FILE);
    assert_int_equal(msg.fec_id, 129);
    assert_int_equal(msg.object_id, 42);
    assert_true(msg.ext.has_fti);
    assert_fti(&msg.ext.fti, 20000000, 1408, 128, 32);
    assert_false(msg.ext.has_cc || msg.ext.has_rate || msg.ext.has_auth);
    assert_int_equal(msg.payload_size, 3);
    assert_memory_equal(msg.payload, "img", 3);
}

/* Checks RFC5740 4.2.1, RFC5445 5.2, RFC5401 3.5. */
static void decodes_data(void **state)
{
    struct norm_msg msg = DECODE(data);

    (void)state;
    assert_int_equal(msg.type, NORM_DATA);
    assert_sender_fields(&msg, 0xffff);
    assert_int_equal(msg.flags, NORM_FLAG_REPAIR | NORM_FLAG_FILE);
    assert_id(&msg.id, 0x00010203, 128, 129);
    assert_fti(&msg.ext.fti, 20000000, 1408, 128, 32);
    assert_true(msg.ext.has_auth);
    assert_int_equal(msg.ext.auth_offset, 40);
    assert_int_equal(msg.ext.auth_size, 24);
    assert_int_equal(msg.payload_size, 5);
    assert_ptr_equal(msg.payload, vector_data + 64);
}

/* Checks RFC5510 4.1, 4.2.4.1, 5.1, 5.2.4.1. */
static void decodes_data_of_other_schemes(void **state)
{
    struct norm_msg msg = DECODE(data_5);

    (void)state;
    assert_int_equal(msg.fec_id, 5);
    assert_id(&msg.id, 258, 0, 63);
    assert_fti(&msg.ext.fti, 1000000, 1400, 64, 8);
    assert_int_equal(msg.payload_size, 1);

    msg = DECODE(data_2);
    assert_int_equal(msg.fec_id, 2);
    assert_id(&msg.id, 0xffffff, 0, 254);
    assert_fti(&msg.ext.fti, 0xffffffffffff, 1400, 200, 55);
    assert_int_equal(msg.payload_size, 1);
}

/* Checks RFC5740 4.2.3.1, 4.2.3.3. */
static void decodes_flush_and_squelch(void **state)
{
    struct norm_msg msg = DECODE(flush);

    (void)state;
    assert_int_equal(msg.type, NORM_CMD);
    assert_int_equal(msg.cmd, NORM_CMD_FLUSH);
    assert_sender_fields(&msg, 4);
    assert_int_equal(msg.object_id, 42);
    assert_id(&msg.id, 110, 127, 126);
    assert_true(norm_node_list_has(&msg, 99));
    assert_true(norm_node_list_has(&msg, 100));
    assert_false(norm_node_list_has(&msg, 101));
    assert_false(norm_node_list_has(&msg, 0x63000000));

    msg = DECODE(squelch);
    assert_int_equal(msg.cmd, NORM_CMD_SQUELCH);
    assert_sender_fields(&msg, 6);
    assert_int_equal(msg.object_id, 42);
    assert_id(&msg.id, 0, 128, 0);
    assert_int_equal(msg.payload_size, 4);
    assert_false(norm_node_list_has(&msg, 0x002b002d)); /* it is no node list */
}

/* Checks RFC5740 4.2.3.4. */
static void decodes_cc(void **state)
{
    struct norm_msg msg = DECODE(cc);
    struct norm_cc_node node;

    (void)state;
    assert_int_equal(msg.cmd, NORM_CMD_CC);
    assert_sender_fields(&msg, 7);
    assert_int_equal(msg.cc_sequence, 875);
    assert_int_equal(msg.time_sec, 0x65000001);
    assert_int_equal(msg.time_usec, 999999);
    assert_true(msg.ext.has_rate);
    assert_int_equal(msg.ext.rate, 0x51f4);
    assert_true(norm_cc_node_get(&msg, 0, &node));
    assert_int_equal(node.node_id, 99);
    assert_int_equal(node.flags, NORM_CC_CLR | NORM_CC_RTT);
    assert_int_equal(node.rtt, 76);
    assert_int_equal(node.rate, 0x4006);
    assert_false(norm_cc_node_get(&msg, 1, &node));
    assert_false(norm_cc_node_get(&msg, SIZE_MAX, &node));
}

/* Checks RFC5740 4.2.3.5. */
static void decodes_repair_adv(void **state)
{
    struct norm_msg msg = DECODE(repair_adv);
    struct norm_repair_reader r;
    struct norm_repair e;

    (void)state;
    assert_int_equal(msg.cmd, NORM_CMD_REPAIR_ADV);
    assert_sender_fields(&msg, 8);
    assert_int_equal(msg.flags, 0x01);
    assert_true(msg.ext.has_cc);
    assert_int_equal(msg.ext.cc.sequence, 875);
    assert_int_equal(msg.ext.cc.flags, NORM_CC_RTT);
    assert_int_equal(msg.ext.cc.rtt, 76);
    assert_int_equal(msg.ext.cc.loss, 328);
    assert_int_equal(msg.ext.cc.rate, 0x2009);
    norm_repair_reader_init(&r, msg.payload, msg.payload_size, 129);
    assert_true(norm_repair_next(&r, &e));
    assert_int_equal(e.flags, NORM_REPAIR_OBJECT);
    assert_int_equal(e.first.object_id, 42);
    assert_false(norm_repair_next(&r, &e));
    assert_false(r.malformed);
}

/* Checks RFC5740 4.2.3, 4.2.3.2, 4.2.3.6, 4.2.3.7. */
static void decodes_other_commands(void **state)
{
    struct norm_msg msg = DECODE(eot);
    struct norm_cc_node node;

    (void)state;
    assert_int_equal(msg.cmd, NORM_CMD_EOT);
    assert_sender_fields(&msg, 5);
    assert_int_equal(msg.payload_size, 0);
    assert_false(norm_cc_node_get(&msg, 0, &node));

    msg = DECODE(ack_req);
    assert_int_equal(msg.cmd, NORM_CMD_ACK_REQ);
    assert_int_equal(msg.ack_type, 16);
    assert_int_equal(msg.ack_id, 7);
    assert_true(norm_node_list_has(&msg, 99));

    msg = DECODE(application);
    assert_int_equal(msg.cmd, NORM_CMD_APPLICATION);
    assert_int_equal(msg.payload_size, 4);
    assert_memory_equal(msg.payload, "leav", 4);
}

/* Checks RFC5740 4.3.1. */
static void decodes_nack(void **state)
{
    struct norm_msg msg = DECODE(nack);
    struct norm_repair_reader r;
    struct norm_repair e;

    (void)state;
    assert_int_equal(msg.type, NORM_NACK);
    assert_int_equal(msg.source_id, 99);
    assert_int_equal(msg.server_id, SENDER);
    assert_int_equal(msg.instance_id, 0xbeef);
    assert_int_equal(msg.time_sec, 0x65000002);
    assert_int_equal(msg.time_usec, 5);
    assert_int_equal(msg.ext.cc.flags, NORM_CC_RTT | NORM_CC_START);
    assert_int_equal(msg.ext.cc.rtt, 97);
    assert_int_equal(msg.ext.cc.loss, 655);
    norm_repair_reader_init(&r, msg.payload, msg.payload_size, 129);
    assert_true(norm_repair_next(&r, &e));
    assert_int_equal(e.form, NORM_REPAIR_RANGES);
    assert_int_equal(e.flags, NORM_REPAIR_SEGMENT);
    assert_int_equal(e.first.object_id, 18);
    assert_id(&e.first.id, 6, 32, 5);
    assert_id(&e.last.id, 6, 32, 10);
    assert_true(norm_repair_next(&r, &e));
    assert_int_equal(e.form, NORM_REPAIR_ITEMS);
    assert_int_equal(e.flags, NORM_REPAIR_SEGMENT | NORM_REPAIR_INFO);
    assert_int_equal(e.first.object_id, 19);
    assert_id(&e.first.id, 1, 32, 3);
    assert_memory_equal(&e.first, &e.last, sizeof(e.first));
    assert_false(norm_repair_next(&r, &e));
    assert_false(r.malformed);
}

/* Checks RFC5740 4.3.2, 4.4.1. */
static void decodes_ack_and_report(void **state)
{
    struct norm_msg msg = DECODE(ack);
    struct norm_watermark wm;

    (void)state;
    assert_int_equal(msg.type, NORM_ACK);
    assert_int_equal(msg.source_id, 99);
    assert_int_equal(msg.server_id, SENDER);
    assert_int_equal(msg.ack_type, NORM_ACK_FLUSH);
    assert_int_equal(msg.time_sec, 0);
    assert_int_equal(norm_watermark_decode(&msg, &wm), CP_OK);
    assert_int_equal(wm.fec_id, 129);
    assert_int_equal(wm.object_id, 42);
    assert_id(&wm.id, 110, 127, 126);

    msg = DECODE(report);
    assert_int_equal(msg.type, NORM_REPORT);
    assert_int_equal(msg.sequence, 11);
    assert_int_equal(msg.payload_size, 3);
}

static void watermark_round_trip(void **state)
{
    const struct norm_watermark in = {.fec_id = 5, .object_id = 9, .id = {.sbn = 70000, .esi = 63}};
    const uint8_t expected[] = {5, 0, 0, 9, 0x01, 0x11, 0x70, 63};
    struct norm_watermark bad = in, out;
    uint8_t buf[16];
    struct norm_msg msg = {.type = NORM_ACK, .ack_type = NORM_ACK_FLUSH, .payload = buf};

    (void)state;
    msg.payload_size = norm_watermark_encode(&in, buf, sizeof(buf));
    assert_int_equal(msg.payload_size, sizeof(expected));
    assert_memory_equal(buf, expected, sizeof(expected));
    assert_int_equal(norm_watermark_decode(&msg, &out), CP_OK);
    assert_int_equal(out.id.sbn, 70000);
    assert_int_equal(out.id.esi, 63);
    assert_int_equal(norm_watermark_encode(&in, buf, 7), 0);
    bad.fec_id = 4;
    assert_int_equal(norm_watermark_encode(&bad, buf, sizeof(buf)), 0);
    bad = in;
    bad.id.sbn = 0x1000000;
    assert_int_equal(norm_watermark_encode(&bad, buf, sizeof(buf)), 0);
    msg.payload_size = 7;
    assert_int_equal(norm_watermark_decode(&msg, &out), CP_ERR_MALFORMED);
    msg.payload_size = 9;
    assert_int_equal(norm_watermark_decode(&msg, &out), CP_ERR_MALFORMED);
    msg.payload_size = 8;
    msg.ack_type = NORM_ACK_CC;
    assert_int_equal(norm_watermark_decode(&msg, &out), CP_ERR_MALFORMED);
}

/* Decoding and encoding again gives the same bytes (the MAC apart, which is the driver's). */
static void every_vector_round_trips(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTOR_COUNT; i++) {
        uint8_t expected[VECTOR_SIZE_MAX], pkt[VECTOR_SIZE_MAX];
        struct norm_msg msg = decode(vectors[i].bytes, vectors[i].size);
        size_t auth = msg.ext.auth_offset, header = norm_header_size(&msg);

        memcpy(expected, vectors[i].bytes, vectors[i].size);
        if (msg.ext.has_auth) {
            memset(expected + auth + 2, 0, msg.ext.auth_size - 2);
        }
        assert_int_equal(header + msg.payload_size, vectors[i].size);
        assert_int_equal(header, 4u * vectors[i].bytes[1]);
        memset(pkt, 0xcc, sizeof(pkt));
        assert_int_equal(norm_encode(&msg, pkt, vectors[i].size), vectors[i].size);
        assert_memory_equal(pkt, expected, vectors[i].size);
        assert_int_equal(msg.ext.auth_offset, auth);
        /* One byte less of room, and nothing comes out. */
        assert_int_equal(norm_encode(&msg, pkt, vectors[i].size - 1), 0);
        /* Header only: the payload is the caller's. */
        msg.payload = NULL;
        memset(pkt, 0xcc, sizeof(pkt));
        assert_int_equal(norm_encode(&msg, pkt, header), header);
        assert_memory_equal(pkt, expected, header);
        assert_int_equal(pkt[header], 0xcc);
    }
}

/* CC, RATE, FTI, AUTH: the order that the reference implementation's quirks ask for. */
static void extensions_keep_their_order(void **state)
{
    struct norm_msg msg = {.type = NORM_INFO, .source_id = SENDER, .fec_id = 129}, out;
    const uint8_t het_at[][2] = {{16, 3}, {28, 128}, {32, 64}, {48, 1}};
    uint8_t pkt[128];

    (void)state;
    msg.ext = (struct norm_ext){.has_fti = true, .has_cc = true, .has_rate = true, .auth_size = 24};
    assert_int_equal(norm_encode(&msg, pkt, sizeof(pkt)), 72);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pkt[het_at[i][0]], het_at[i][1]);
    }
    assert_int_equal(pkt[49], 6);
    assert_int_equal(msg.ext.auth_offset, 48);
    assert_int_equal(norm_decode(pkt, 72, &out), CP_OK);
    assert_true(out.ext.has_fti && out.ext.has_cc && out.ext.has_rate && out.ext.has_auth);
    assert_int_equal(out.payload_size, 0);
}

static size_t encode(struct norm_msg msg)
{
    uint8_t pkt[2048];

    msg.source_id = msg.source_id == 0 ? SENDER : msg.source_id;
    return norm_encode(&msg, pkt, sizeof(pkt));
}

static void encode_refuses_what_does_not_fit_a_field(void **state)
{
    const struct norm_msg data = {.type = NORM_DATA, .fec_id = 5, .payload_size = 1};
    struct norm_msg msg = data;

    (void)state;
    assert_int_equal(encode(msg), 20);
    msg.id.sbn = 0xffffff;
    msg.id.esi = 255;
    assert_int_equal(encode(msg), 20);
    msg.id.sbn = 0x1000000;
    assert_int_equal(encode(msg), 0);
    msg = data;
    msg.id.esi = 256;
    assert_int_equal(encode(msg), 0);
    msg = data;
    msg.fec_id = 128;
    assert_int_equal(encode(msg), 0);
    msg = data;
    msg.backoff = 16;
    assert_int_equal(encode(msg), 0);
    msg = data;
    msg.gsize = 16;
    assert_int_equal(encode(msg), 0);
    msg = data;
    msg.source_id = NORM_NODE_ANY;
    assert_int_equal(encode(msg), 0);
    msg = data;
    msg.payload_size = 0;
    assert_int_equal(encode(msg), 0);
    msg = data;
    msg.ext.has_fti = true;
    assert_int_equal(encode(msg), 32);
    msg.ext.fti.object_size = 0x1000000000000;
    assert_int_equal(encode(msg), 0);
    msg.ext.fti = (struct norm_fti){.max_block_len = 256};
    assert_int_equal(encode(msg), 0);
    msg.ext.fti = (struct norm_fti){.num_parity = 256};
    assert_int_equal(encode(msg), 0);
}

static void encode_refuses_wrong_lengths_and_types(void **state)
{
    struct norm_msg msg = {.type = NORM_CMD, .cmd = NORM_CMD_EOT};

    (void)state;
    assert_int_equal(encode(msg), 16);
    msg.ext.has_fti = true; /* EXT_FTI belongs to INFO and DATA */
    assert_int_equal(encode(msg), 0);
    msg.ext = (struct norm_ext){.auth_size = 6};
    assert_int_equal(encode(msg), 0);
    msg.ext.auth_size = 4;
    assert_int_equal(encode(msg), 0);
    msg.ext.auth_size = 1004; /* hdr_len 255 */
    assert_int_equal(encode(msg), 1020);
    msg.ext.auth_size = 1008;
    assert_int_equal(encode(msg), 0);
    msg.ext.auth_size = 0;
    msg.cmd = 0;
    assert_int_equal(encode(msg), 0);
    msg.cmd = 8;
    assert_int_equal(encode(msg), 0);
    msg.cmd = NORM_CMD_FLUSH;
    msg.fec_id = 129;
    msg.payload_size = 6;
    assert_int_equal(encode(msg), 0);
    msg = (struct norm_msg){.type = 7};
    assert_int_equal(encode(msg), 0);
    assert_int_equal(norm_header_size(&msg), 0);
    msg = (struct norm_msg){.type = NORM_NACK};
    assert_int_equal(encode(msg), 0); /* server_id is missing */
    msg.server_id = 1;
    assert_int_equal(encode(msg), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_info),
        cmocka_unit_test(decodes_data),
        cmocka_unit_test(decodes_data_of_other_schemes),
        cmocka_unit_test(decodes_flush_and_squelch),
        cmocka_unit_test(decodes_cc),
        cmocka_unit_test(decodes_repair_adv),
        cmocka_unit_test(decodes_other_commands),
        cmocka_unit_test(decodes_nack),
        cmocka_unit_test(decodes_ack_and_report),
        cmocka_unit_test(watermark_round_trip),
        cmocka_unit_test(every_vector_round_trips),
        cmocka_unit_test(extensions_keep_their_order),
        cmocka_unit_test(encode_refuses_what_does_not_fit_a_field),
        cmocka_unit_test(encode_refuses_wrong_lengths_and_types),
    };

    return cmocka_run_group_tests_name("norm_wire", tests, NULL, NULL);
}
