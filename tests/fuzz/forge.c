/* SPDX-License-Identifier: Apache-2.0
 * Forged messages: see forge.h. Pure. */
#include "tests/fuzz/forge.h"

#include <string.h>

#include "common/err.h"

static struct norm_payload_id forge_id(struct script *s, const struct forge_base *b)
{
    return (struct norm_payload_id){
        .sbn = script_near(s, b->sbn),
        .block_len =
            b->fec_id == 129 ? (uint16_t)script_near(s, b->fti.max_block_len) : (uint16_t)0,
        .esi = (uint16_t)script_near(s, script_u8(s) % (b->fti.max_block_len + 1u))};
}

/* Repair requests; what the writer takes, the reader must give back. */
static size_t forge_requests(struct script *s, const struct forge_base *b, uint8_t *buf)
{
    struct norm_repair sent[32], got;
    struct norm_repair_writer w;
    struct norm_repair_reader r;
    size_t cap = script_u8(s) < 128 ? FORGE_PAYLOAD_MAX : script_u8(s);
    size_t count = 0, size;

    norm_repair_writer_init(&w, buf, cap, b->fec_id);
    for (unsigned i = 1u + script_u8(s) % 31u; i > 0; i--) {
        struct norm_repair *e = &sent[count];
        uint8_t how = script_u8(s);

        e->form = how % 4 == 0 ? NORM_REPAIR_RANGES : NORM_REPAIR_ITEMS;
        e->flags = how < 192 ? (uint8_t)(1u << (how / 4) % 4) : (uint8_t)(how % 16);
        e->first.object_id = (uint16_t)script_near(s, b->object_id);
        e->first.id = forge_id(s, b);
        e->last = e->first;
        if (e->form == NORM_REPAIR_RANGES) {
            e->last.object_id = (uint16_t)(e->first.object_id + how / 64);
            e->last.id.sbn += script_u8(s) % 8u;
            e->last.id.esi = (uint16_t)(e->last.id.esi + script_u8(s) % 8u);
        }
        size = norm_repair_size(&w);
        if (norm_repair_add(&w, e)) {
            count++;
        } else {
            CP_ASSERT(norm_repair_size(&w) == size);
        }
    }
    size = norm_repair_size(&w);
    CP_ASSERT(size <= cap);
    norm_repair_reader_init(&r, buf, size, b->fec_id);
    for (size_t i = 0; i < count; i++) {
        CP_ASSERT(norm_repair_next(&r, &got));
        CP_ASSERT(got.form == sent[i].form && got.flags == sent[i].flags);
        CP_ASSERT(got.first.object_id == sent[i].first.object_id &&
                  got.first.id.sbn == sent[i].first.id.sbn &&
                  got.first.id.esi == sent[i].first.id.esi &&
                  got.first.id.block_len == sent[i].first.id.block_len);
        CP_ASSERT(got.last.id.sbn == sent[i].last.id.sbn && got.last.id.esi == sent[i].last.id.esi);
    }
    CP_ASSERT(!norm_repair_next(&r, &got) && !r.malformed);
    return size;
}

/* Node ids, or object ids of two bytes. */
static size_t forge_list(struct script *s, uint8_t *buf, size_t item_size, uint32_t node_id)
{
    size_t count = script_u8(s) % 9u;

    for (size_t i = 0; i < count; i++) {
        uint32_t item = item_size == 2 ? script_u16(s) : script_near(s, node_id);

        for (size_t byte = 0; byte < item_size; byte++) {
            buf[i * item_size + byte] = (uint8_t)(item >> (8 * (item_size - 1 - byte)));
        }
    }
    return count * item_size;
}

/* CMD(CC)'s list; what is written there must be found there. */
static size_t forge_cc_nodes(struct script *s, uint8_t *buf, uint32_t node_id)
{
    size_t count = script_u8(s) % 9u;
    struct norm_msg msg = {.type = NORM_CMD, .cmd = NORM_CMD_CC, .payload = buf};
    struct norm_cc_node got;
    struct cp_writer out;

    cp_writer_init(&out, buf, FORGE_PAYLOAD_MAX);
    for (size_t i = 0; i < count; i++) {
        struct norm_cc_node node = {.node_id = script_near(s, node_id),
                                    .flags = script_u8(s),
                                    .rtt = script_u8(s),
                                    .rate = script_u16(s)};

        cp_write_u32(&out, node.node_id);
        cp_write_u8(&out, node.flags);
        cp_write_u8(&out, node.rtt);
        cp_write_u16(&out, node.rate);
        msg.payload_size = out.at;
        CP_ASSERT(norm_cc_node_get(&msg, i, &got) && got.node_id == node.node_id);
        CP_ASSERT(got.flags == node.flags && got.rtt == node.rtt && got.rate == node.rate);
    }
    CP_ASSERT(!norm_cc_node_get(&msg, count, &got));
    return msg.payload_size;
}

static size_t forge_watermark(struct script *s, const struct forge_base *b, uint8_t *buf)
{
    struct norm_watermark wm = {.fec_id = b->fec_id,
                                .object_id = (uint16_t)script_near(s, b->object_id)};

    wm.id = forge_id(s, b);
    return norm_watermark_encode(&wm, buf, FORGE_PAYLOAD_MAX);
}

static size_t forge_payload(struct script *s, const struct forge_base *b,
                            const struct norm_msg *msg, uint8_t *buf)
{
    size_t size;

    if (msg->type == NORM_NACK || (msg->type == NORM_CMD && msg->cmd == NORM_CMD_REPAIR_ADV)) {
        return forge_requests(s, b, buf);
    }
    if (msg->type == NORM_ACK) {
        return msg->ack_type == NORM_ACK_FLUSH ? forge_watermark(s, b, buf) : 0;
    }
    if (msg->type == NORM_CMD) {
        switch (msg->cmd) {
        case NORM_CMD_FLUSH:
        case NORM_CMD_ACK_REQ:
            return forge_list(s, buf, 4, b->receiver_id);
        case NORM_CMD_SQUELCH:
            return forge_list(s, buf, 2, 0);
        case NORM_CMD_CC:
            return forge_cc_nodes(s, buf, b->receiver_id);
        case NORM_CMD_EOT:
            return 0;
        default:
            break;
        }
    }
    size = script_near(s, b->fti.segment_size) % FORGE_PAYLOAD_MAX;
    memset(buf, script_u8(s), size);
    return size;
}

static void forge_ext(struct script *s, const struct forge_base *b, struct norm_ext *ext)
{
    uint8_t wanted = script_u8(s);

    if ((wanted & 3) == 1) {
        ext->has_fti = true;
        ext->fti = b->fti;
        ext->fti.object_size =
            (wanted & 0x80) != 0 ? script_u32(s) * (uint64_t)script_u16(s) : b->fti.object_size;
        ext->fti.segment_size = (uint16_t)script_near(s, b->fti.segment_size);
        ext->fti.max_block_len = (uint16_t)script_near(s, b->fti.max_block_len);
        ext->fti.num_parity = (uint16_t)script_near(s, b->fti.num_parity);
    }
    if ((wanted & 4) != 0) {
        ext->has_cc = true;
        ext->cc = (struct norm_ext_cc){.sequence = (uint16_t)script_near(s, b->cc_sequence),
                                       .flags = script_u8(s),
                                       .rtt = script_u8(s),
                                       .loss = script_u16(s),
                                       .rate = script_u16(s)};
    }
    if ((wanted & 8) != 0) {
        ext->has_rate = true;
        ext->rate = script_u16(s);
    }
    if ((wanted & 16) != 0) {
        ext->has_auth = true;
        ext->auth_size = 24;
    }
}

void forge_message(struct script *s, const struct forge_base *b, uint8_t payload[FORGE_PAYLOAD_MAX],
                   struct norm_msg *ret_msg)
{
    uint8_t kind = script_u8(s);
    struct norm_msg m = {.type = (enum norm_type)(1 + kind % 6)};
    bool feedback;

    m.cmd = m.type == NORM_CMD ? (enum norm_cmd)(1 + kind / 6 % 7) : (enum norm_cmd)0;
    feedback = m.type == NORM_NACK || m.type == NORM_ACK || m.type == NORM_REPORT;
    m.sequence = script_u16(s);
    m.source_id = script_near(s, feedback ? b->receiver_id : b->sender_id);
    m.instance_id = (uint16_t)script_near(s, b->instance_id);
    m.object_id = (uint16_t)script_near(s, b->object_id);
    m.fec_id = b->fec_id;
    m.flags = script_u8(s) & 0x3f;
    m.grtt = script_u8(s);
    m.backoff = script_u8(s) & 15;
    m.gsize = script_u8(s) & 15;
    m.id = forge_id(s, b);
    m.cc_sequence = (uint16_t)script_near(s, b->cc_sequence);
    m.time_sec = script_near(s, b->time_sec);
    m.time_usec = script_near(s, b->time_usec) % 1000000;
    m.server_id = script_near(s, b->sender_id);
    m.ack_type = kind >= 128 ? NORM_ACK_FLUSH : (uint8_t)(kind / 6 % 4);
    m.ack_id = script_u8(s);
    forge_ext(s, b, &m.ext);
    m.payload_size = forge_payload(s, b, &m, payload);
    m.payload = payload;
    *ret_msg = m;
}
