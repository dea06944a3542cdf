/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of the NORM codec. The input chooses a packet (tests/unit/norm/vectors.h, or raw bytes)
 * and edits it; what decodes is walked, encoded again and must decode to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "multicast/norm/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/norm/vectors.h"

#define PACKET_MAX 4096u

/* Every list that the payload may hold, as every reader of one would see it. */
static void walk(const struct norm_msg *msg)
{
    static const uint8_t fec_ids[] = {129, 5, 2};
    struct norm_cc_node node;
    struct norm_watermark wm;

    for (size_t i = 0; i < sizeof(fec_ids); i++) {
        struct norm_repair_reader r;
        struct norm_repair e;
        size_t count = 0;

        norm_repair_reader_init(&r, msg->payload, msg->payload_size, fec_ids[i]);
        while (norm_repair_next(&r, &e)) {
            CP_ASSERT(++count <= msg->payload_size / 8);
            CP_ASSERT(e.form == NORM_REPAIR_ITEMS || e.form == NORM_REPAIR_RANGES);
        }
    }
    for (size_t i = 0; norm_cc_node_get(msg, i, &node); i++) {
        CP_ASSERT(i < msg->payload_size / 8);
    }
    (void)norm_node_list_has(msg, 0x01020304);
    if (norm_watermark_decode(msg, &wm) == CP_OK) {
        uint8_t buf[12];
        size_t size = norm_watermark_encode(&wm, buf, sizeof(buf));

        CP_ASSERT(size == msg->payload_size);
    }
}

static void check_same(const struct norm_msg *a, const struct norm_msg *b)
{
    CP_ASSERT(a->type == b->type && a->cmd == b->cmd && a->source_id == b->source_id);
    CP_ASSERT(a->sequence == b->sequence && a->instance_id == b->instance_id);
    CP_ASSERT(a->object_id == b->object_id && a->fec_id == b->fec_id && a->flags == b->flags);
    CP_ASSERT(a->id.sbn == b->id.sbn && a->id.esi == b->id.esi &&
              a->id.block_len == b->id.block_len);
    CP_ASSERT(a->ext.has_fti == b->ext.has_fti && a->ext.has_cc == b->ext.has_cc &&
              a->ext.has_rate == b->ext.has_rate && a->ext.has_auth == b->ext.has_auth);
    CP_ASSERT(a->ext.fti.object_size == b->ext.fti.object_size && a->ext.rate == b->ext.rate);
    CP_ASSERT(a->ext.auth_size == b->ext.auth_size);
    CP_ASSERT(a->payload_size == b->payload_size &&
              memcmp(a->payload, b->payload, a->payload_size) == 0);
}

static void check_packet(const uint8_t *pkt, size_t size)
{
    struct norm_msg msg, again;
    uint8_t *out;
    size_t out_size;

    if (norm_decode(pkt, size, &msg) != CP_OK) {
        return;
    }
    walk(&msg);
    out = malloc(size);
    CP_ASSERT(out != NULL);
    again = msg;
    out_size = norm_encode(&again, out, size);
    CP_ASSERT(out_size > 0 && out_size <= size); /* smaller without the extensions unknown to us */
    CP_ASSERT(norm_decode(out, out_size, &again) == CP_OK);
    check_same(&msg, &again);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *pkt = malloc(PACKET_MAX);
    size_t pkt_size = 0, kind = size > 0 ? data[0] % (VECTOR_COUNT + 1) : VECTOR_COUNT;
    uint8_t *exact;

    CP_ASSERT(pkt != NULL);
    if (kind < VECTOR_COUNT) {
        pkt_size = vectors[kind].size;
        memcpy(pkt, vectors[kind].bytes, pkt_size);
        for (size_t i = 1; i + 1 < size; i += 2) {
            pkt[data[i] % pkt_size] = data[i + 1];
        }
        if (size % 2 == 0) { /* an odd byte is left: cut there */
            pkt_size = data[size - 1] % (pkt_size + 1);
        }
    } else if (size > 1 && size <= PACKET_MAX) {
        pkt_size = size - 1;
        memcpy(pkt, data + 1, pkt_size);
    }
    exact = malloc(pkt_size > 0 ? pkt_size : 1); /* so that the sanitizer sees every overrun */
    CP_ASSERT(exact != NULL);
    memcpy(exact, pkt, pkt_size);
    check_packet(exact, pkt_size);
    free(exact);
    free(pkt);
    return 0;
}
