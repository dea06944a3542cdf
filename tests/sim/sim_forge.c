/* SPDX-License-Identifier: Apache-2.0
 * Simulator: packets that do not belong into the session: broken on the way, noise, and what
 * somebody outside the group makes up. One thread. */
#include <string.h>

#include "sim_inside.h"

#define STRANGER    77u  /* a node id of nobody */
#define FORGED_SIZE 128u /* the longest made up */

struct sim_buf *sim_corrupt(struct sim *sim, const struct sim_buf *buf, unsigned i)
{
    struct norm_txbuf tx = {.count = 1};
    const uint8_t *data = sim_buf_packet(buf, i, &tx.size);
    struct sim_buf *copy;

    tx.data = (uint8_t *)(uintptr_t)data; /* it is only read */
    tx.stride = (uint16_t)tx.size;
    copy = sim_buf_get(&tx, buf->from);
    copy->origin = SIM_CORRUPTED;
    do {
        uint64_t bit = cp_prng_below(&sim->prng, copy->size * 8);

        copy->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    } while (cp_prng_below(&sim->prng, 4) != 0);
    if (cp_prng_below(&sim->prng, 8) == 0) {
        copy->size = 1 + cp_prng_below(&sim->prng, copy->size); /* cut off */
    }
    sim_buf_decode(copy);
    return copy;
}

static uint32_t any_block(struct sim *sim)
{
    return (uint32_t)cp_prng_below(&sim->prng, sim->part.block_count);
}

/* A message as it could be of this session, with contents that would do harm. */
static struct norm_msg harmful(struct sim *sim, enum norm_type type, const uint8_t *payload)
{
    const struct norm_sender_config *c = &sim->config.sender;
    struct norm_msg msg = {
        .type = type,
        .sequence = (uint16_t)cp_prng_u64(&sim->prng),
        .source_id = c->node_id,
        .instance_id = c->instance_id,
        .grtt = 0xff,
        .backoff = 15,
        .fec_id = c->fec_id,
        .object_id = c->object_id,
        .ext.auth_size = c->auth_size,
    };

    if (type == NORM_CMD) {
        static const enum norm_cmd cmds[] = {NORM_CMD_FLUSH, NORM_CMD_EOT, NORM_CMD_SQUELCH};

        msg.cmd = cmds[cp_prng_below(&sim->prng, 3)];
        msg.object_id++;
    } else {
        msg.payload = payload;
        msg.payload_size = 16;
    }
    msg.id.sbn = any_block(sim);
    msg.id.block_len = norm_partition_block_len(&sim->part, msg.id.sbn);
    return msg;
}

/* A request for all of the object, in the name of a receiver. */
static struct norm_msg greedy(struct sim *sim, uint8_t *payload, size_t cap)
{
    const struct norm_sender_config *c = &sim->config.sender;
    struct norm_msg msg = harmful(sim, NORM_NACK, payload);
    struct norm_repair e = {.form = NORM_REPAIR_RANGES, .flags = NORM_REPAIR_BLOCK};
    struct norm_repair_writer w;

    e.first.object_id = e.last.object_id = c->object_id;
    e.first.id.block_len = norm_partition_block_len(&sim->part, 0);
    e.last.id.sbn = sim->part.block_count - 1;
    e.last.id.block_len = norm_partition_block_len(&sim->part, e.last.id.sbn);
    norm_repair_writer_init(&w, payload, cap, c->fec_id);
    CP_ASSERT(norm_repair_add(&w, &e));
    msg.payload_size = norm_repair_size(&w);
    msg.server_id = c->node_id;
    msg.source_id = SIM_RECEIVER_ID;
    return msg;
}

/* Only the key tells our own from others, so without one a forger is another session, which the
 * header shows. A receiver that takes the first sender it hears may not hear this one. */
static void make_foreign(struct sim *sim, struct norm_msg *msg)
{
    if (sim->config.sender.auth_size > 0) {
        return;
    }
    if (msg->type != NORM_NACK) {
        msg->source_id = STRANGER;
    } else if (cp_prng_below(&sim->prng, 2) == 0) {
        msg->server_id = STRANGER;
    } else {
        msg->instance_id ^= 0x5555;
    }
}

/* Anything at all; false: it would be a message. */
static bool noise(struct sim *sim, uint8_t *data, size_t size)
{
    struct norm_msg msg;

    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)cp_prng_u64(&sim->prng);
    }
    data[0] = (uint8_t)(0x10 | (data[0] & 7));
    return norm_decode(data, size, &msg) != CP_OK;
}

static void make_up(struct sim *sim, unsigned to, struct norm_txbuf *tx,
                    enum sim_origin *ret_origin)
{
    uint8_t payload[FORGED_SIZE / 2] = {0};
    struct norm_msg msg;

    *ret_origin = SIM_FORGED;
    if (cp_prng_below(&sim->prng, 3) == 0) {
        tx->size = 1 + cp_prng_below(&sim->prng, FORGED_SIZE);
        if (noise(sim, tx->data, tx->size)) {
            *ret_origin = SIM_CORRUPTED;
            return;
        }
    }
    if (to == SIM_NODE_SENDER || cp_prng_below(&sim->prng, 2) == 0 ||
        !sim->receivers[to - 1].spec.object_known) {
        msg = greedy(sim, payload, sizeof(payload));
    } else {
        msg = harmful(sim, cp_prng_below(&sim->prng, 2) == 0 ? NORM_CMD : NORM_DATA, payload);
    }
    make_foreign(sim, &msg);
    tx->size = norm_encode(&msg, tx->data, FORGED_SIZE);
    CP_ASSERT(tx->size > 0);
}

void sim_forge(struct sim *sim)
{
    unsigned to = (unsigned)cp_prng_below(&sim->prng, sim->receiver_count + 1);
    struct norm_txbuf tx = {.count = 1};
    uint8_t data[FORGED_SIZE];
    enum sim_origin origin;
    struct sim_event e = {.time = sim->now, .sim = sim, .kind = SIM_DELIVER, .node = to};

    if (to == SIM_NODE_SENDER || sim->receivers[to - 1].joined) {
        tx.data = data;
        make_up(sim, to, &tx, &origin);
        tx.stride = (uint16_t)tx.size;
        e.packets = 1;
        e.buf = sim_buf_get(&tx, sim->receiver_count + 1);
        e.buf->origin = origin;
        sim_events_push(sim->network->events, e);
    }
    sim_events_push(
        sim->network->events,
        (struct sim_event){.time = sim->now + 1 + cp_prng_below(&sim->prng, 2 * sim->config.forge),
                           .sim = sim,
                           .kind = SIM_FORGE});
}
