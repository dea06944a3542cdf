/* SPDX-License-Identifier: Apache-2.0
 * Shared by the tests of sender and receiver: an object of 4 blocks of 8 + 4 symbols of 64 bytes,
 * and feedback packets made by hand. */
#ifndef TESTS_UNIT_NORM_CORE_H
#define TESTS_UNIT_NORM_CORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/prng.h"
#include "multicast/norm/receiver.h"
#include "multicast/norm/sender.h"

#define SENDER  1u
#define NODE    100u
#define OBJECT  5u
#define SEGMENT 64u

struct packet {
    uint8_t data[512];
    size_t size;
};

static inline struct norm_sender_config sender_config(void)
{
    return (struct norm_sender_config){
        .node_id = SENDER,
        .instance_id = 9,
        .object_id = OBJECT,
        .fec_id = 129,
        .fti = {.object_size = 4 * 8 * SEGMENT,
                .segment_size = SEGMENT,
                .max_block_len = 8,
                .num_parity = 4},
        .repair_flag = true,
        .grtt = 10 * CP_MSEC,
        .grtt_min = CP_MSEC,
        .grtt_max = 200 * CP_MSEC,
        .backoff = 0,
        .gsize = 10,
        .robust_factor = 3,
        .rate_bps = 1000000000,
        .live_window = 2 * CP_SEC,
    };
}

static inline struct norm_receiver_config receiver_config(void)
{
    return (struct norm_receiver_config){
        .node_id = NODE,
        .sender_id = SENDER,
        .object_known = true,
        .object_id = OBJECT,
        .fec_id = 129,
        .fti = sender_config().fti,
        .unicast_nack = true,
        .robust_factor = 3,
        .grtt = 10 * CP_MSEC,
        .seed = 1,
    };
}

static inline struct norm_msg nack_msg(void)
{
    return (struct norm_msg){.type = NORM_NACK,
                             .source_id = NODE,
                             .server_id = SENDER,
                             .instance_id = sender_config().instance_id};
}

/* One request: symbols, blocks … of sbn a:esi x to b:y. */
static inline struct packet nack(uint8_t form, uint8_t flags, uint32_t a, uint16_t x, uint32_t b,
                                 uint16_t y)
{
    struct norm_repair e = {.form = form, .flags = flags};
    struct norm_msg msg = nack_msg();
    struct norm_repair_writer w;
    struct packet p = {0};
    uint8_t payload[64];

    e.first.object_id = e.last.object_id = OBJECT;
    e.first.id = (struct norm_payload_id){a, 8, x};
    e.last.id = (struct norm_payload_id){b, 8, y};
    norm_repair_writer_init(&w, payload, sizeof(payload), 129);
    assert_true(norm_repair_add(&w, &e));
    msg.payload = payload;
    msg.payload_size = norm_repair_size(&w);
    p.size = norm_encode(&msg, p.data, sizeof(p.data));
    assert_true(p.size > 0);
    return p;
}

/* All blocks of the object so many times over; the payload's size. */
static inline size_t greedy_requests(unsigned times, uint8_t *buf, size_t cap)
{
    struct norm_repair e = {.form = NORM_REPAIR_RANGES, .flags = NORM_REPAIR_BLOCK};
    struct norm_repair_writer w;

    e.first.object_id = e.last.object_id = OBJECT;
    e.first.id = (struct norm_payload_id){0, 8, 0};
    e.last.id = (struct norm_payload_id){3, 8, 0};
    norm_repair_writer_init(&w, buf, cap, 129);
    for (unsigned i = 0; i < times; i++) {
        assert_true(norm_repair_add(&w, &e));
    }
    return norm_repair_size(&w);
}

#endif
