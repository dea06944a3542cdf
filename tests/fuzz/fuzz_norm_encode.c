/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target of the NORM encoder: messages of arbitrary fields. What is encoded decodes to the
 * same fields, fits the size that was announced, and is refused where it does not fit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "tests/fuzz/forge.h"
#include "tests/fuzz/fuzz.h"

static void check_header(const struct norm_msg *a, const struct norm_msg *b)
{
    CP_ASSERT(a->type == b->type && a->cmd == b->cmd && a->sequence == b->sequence);
    CP_ASSERT(a->source_id == b->source_id);
    switch (a->type) {
    case NORM_INFO:
    case NORM_DATA:
        CP_ASSERT(a->flags == b->flags && a->fec_id == b->fec_id && a->object_id == b->object_id);
        CP_ASSERT(a->type == NORM_INFO || (a->id.sbn == b->id.sbn && a->id.esi == b->id.esi &&
                                           a->id.block_len == b->id.block_len));
        break;
    case NORM_CMD:
        CP_ASSERT(a->grtt == b->grtt && a->backoff == b->backoff && a->gsize == b->gsize);
        break;
    case NORM_NACK:
    case NORM_ACK:
        CP_ASSERT(a->server_id == b->server_id && a->instance_id == b->instance_id);
        CP_ASSERT(a->time_sec == b->time_sec && a->time_usec == b->time_usec);
        break;
    default:
        break;
    }
}

static void check_ext(const struct norm_ext *a, const struct norm_ext *b)
{
    CP_ASSERT(a->has_fti == b->has_fti && a->has_cc == b->has_cc && a->has_rate == b->has_rate);
    CP_ASSERT(a->auth_size == b->auth_size && a->auth_offset == b->auth_offset);
    CP_ASSERT(!a->has_rate || a->rate == b->rate);
    CP_ASSERT(!a->has_cc ||
              (a->cc.sequence == b->cc.sequence && a->cc.flags == b->cc.flags &&
               a->cc.rtt == b->cc.rtt && a->cc.loss == b->cc.loss && a->cc.rate == b->cc.rate));
    CP_ASSERT(!a->has_fti || (a->fti.object_size == b->fti.object_size &&
                              a->fti.segment_size == b->fti.segment_size &&
                              a->fti.max_block_len == b->fti.max_block_len &&
                              a->fti.num_parity == b->fti.num_parity));
}

static void check_message(const struct norm_msg *msg)
{
    struct norm_msg written = *msg, again;
    size_t size = norm_header_size(msg) + msg->payload_size;
    uint8_t *pkt = malloc(size > 0 ? size : 1);

    CP_ASSERT(pkt != NULL);
    if (norm_encode(&written, pkt, size) > 0) {
        CP_ASSERT(norm_decode(pkt, size, &again) == CP_OK);
        check_header(&written, &again);
        check_ext(&written.ext, &again.ext);
        CP_ASSERT(again.payload_size == msg->payload_size &&
                  memcmp(again.payload, msg->payload, msg->payload_size) == 0);
        for (size_t cap = 0; cap < size; cap++) {
            uint8_t *small = malloc(cap > 0 ? cap : 1);

            CP_ASSERT(small != NULL);
            CP_ASSERT(norm_encode(&written, small, cap) == 0);
            free(small);
        }
    }
    free(pkt);
}

/* Each quantiser gives back what it was given, or the next step. */
static void check_quantisers(struct script *s)
{
    uint64_t ns = (uint64_t)script_u32(s) << script_u8(s) % 16u;
    uint8_t rtt = norm_rtt_quantize(ns);
    uint8_t gsize = norm_gsize_quantize(script_u32(s));
    double rate = (double)script_u32(s) * script_u8(s);
    double loss = script_u16(s) / 65535.0;
    double back = norm_rate_unquantize(norm_rate_quantize(rate));

    CP_ASSERT(norm_rtt_quantize(norm_rtt_unquantize(rtt)) == rtt || rtt == 30 || rtt == 31);
    CP_ASSERT(gsize < 16 && norm_gsize_quantize(norm_gsize_unquantize(gsize)) == gsize);
    CP_ASSERT(rate < 1 || fabs(back - rate) <= rate * 0.002);
    CP_ASSERT(fabs(norm_loss_unquantize(norm_loss_quantize(loss)) - loss) < 1.0 / 65535);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t fec_ids[] = {129, 5, 2};
    struct script s = {.data = data, .size = size};
    uint8_t payload[FORGE_PAYLOAD_MAX];
    struct norm_msg msg;
    struct forge_base base = {.sender_id = 1,
                              .receiver_id = 2,
                              .instance_id = script_u16(&s),
                              .object_id = script_u16(&s),
                              .fec_id = fec_ids[script_u8(&s) % 3],
                              .fti = {.object_size = script_u32(&s),
                                      .segment_size = 64,
                                      .max_block_len = script_u8(&s),
                                      .num_parity = script_u8(&s)},
                              .sbn = script_u8(&s)};

    check_quantisers(&s);
    while (!script_over(&s)) {
        forge_message(&s, &base, payload, &msg);
        check_message(&msg);
    }
    return 0;
}
