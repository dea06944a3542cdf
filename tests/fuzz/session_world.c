/* SPDX-License-Identifier: Apache-2.0
 * See session_world.h. One thread. */
#include "tests/fuzz/session_world.h"

#include <stdlib.h>
#include <string.h>

#include "multicast/norm/rate.h"

#define FILLS_MAX 400u /* of one party at one instant: more is a loop */

static uint8_t content(uint32_t sbn, uint16_t esi, size_t i)
{
    return (uint8_t)(sbn * 31 + esi * 7 + i);
}

/* ---- promises ---- */

static void check_requests(const struct world *w, size_t author, const struct norm_msg *msg)
{
    const struct norm_partition *p = norm_receiver_partition(w->receiver[author]);
    struct norm_repair_reader r;
    struct norm_repair e;
    bool complete = norm_receiver_complete(w->receiver[author]);
    uint32_t before = 0;

    CP_ASSERT(msg->payload_size > 0);
    norm_repair_reader_init(&r, msg->payload, msg->payload_size, msg->fec_id);
    r.fec_id = w->config.fec_id;
    while (norm_repair_next(&r, &e)) {
        CP_ASSERT(!complete || e.flags == NORM_REPAIR_INFO); /* who has all asks for nothing */
        if (p == NULL || (e.flags & (NORM_REPAIR_SEGMENT | NORM_REPAIR_BLOCK)) == 0) {
            continue;
        }
        CP_ASSERT(e.first.id.sbn >= before && e.last.id.sbn < p->block_count);
        before = e.first.id.sbn;
        for (uint32_t b = e.first.id.sbn; b <= e.last.id.sbn; b++) {
            CP_ASSERT((e.flags & NORM_REPAIR_BLOCK) != 0 || b == e.first.id.sbn);
            CP_ASSERT((e.flags & NORM_REPAIR_SEGMENT) == 0 ||
                      e.last.id.esi < norm_partition_block_len(p, b) + p->num_parity);
        }
    }
    CP_ASSERT(!r.malformed);
}

static void check_feedback(const struct world *w, size_t author, const struct norm_msg *msg)
{
    CP_ASSERT(msg->type == NORM_NACK || msg->type == NORM_ACK);
    CP_ASSERT(!w->receiver_config[author].silent);
    CP_ASSERT(msg->source_id == WORLD_NODE_ID(author));
    CP_ASSERT(msg->server_id == WORLD_SENDER_ID ||
              (w->forged && w->receiver_config[author].sender_id == NORM_NODE_ANY));
    if (msg->type == NORM_NACK) {
        const struct norm_partition *p = norm_receiver_partition(w->receiver[author]);

        CP_ASSERT(p == NULL || msg->payload_size <= p->segment_size);
        check_requests(w, author, msg);
    }
}

/* Never above the ceiling: over any time it allows what runs in that time, the credit of a late
 * driver, one batch and one packet. */
static void check_pace(struct world *w, size_t bytes)
{
    double rate = (double)w->ceiling_bps / 8;
    double slack = rate * (NORM_RATE_BURST + NORM_RATE_BATCH) / CP_SEC + 2.0 * w->tx.stride;

    w->pace_level -= rate * (double)(w->now - w->pace_at) / CP_SEC;
    w->pace_level = (w->pace_level > 0 ? w->pace_level : 0) + (double)bytes;
    w->pace_at = w->now;
    CP_ASSERT(w->pace_level <= slack);
}

static void check_data(struct world *w, const struct norm_msg *msg, const struct norm_tx_packet *p)
{
    const struct norm_partition *part = norm_sender_partition(w->sender);
    uint16_t k;

    CP_ASSERT(!w->withdrawn);
    CP_ASSERT(msg->id.sbn == p->sbn && msg->id.esi == p->esi && p->sbn < part->block_count);
    k = norm_partition_block_len(part, p->sbn);
    CP_ASSERT(p->esi < k + part->num_parity);
    CP_ASSERT((p->kind == NORM_TX_SOURCE) == (p->esi < k));
    /* Parity is as long as the longest symbol of its block. */
    CP_ASSERT(p->payload_size == norm_partition_symbol_size(part, p->sbn, p->esi < k ? p->esi : 0));
    CP_ASSERT(w->config.repair_flag || (msg->flags & NORM_FLAG_REPAIR) == 0);
    CP_ASSERT(msg->object_id == w->config.object_id && msg->fec_id == w->config.fec_id);
    check_pace(w, msg->payload_size);
}

static void check_packet(struct world *w, size_t author, unsigned index, const uint8_t *pkt,
                         size_t size)
{
    const struct norm_tx_packet *p = &w->tx.packet[index];
    struct norm_msg msg;

    CP_ASSERT(norm_decode(pkt, size, &msg) == CP_OK);
    CP_ASSERT(msg.ext.auth_size == w->config.auth_size);
    CP_ASSERT(w->config.auth_size == 0 || p->auth_offset == msg.ext.auth_offset);
    if (author != WORLD_SENDER) {
        check_feedback(w, author, &msg);
        return;
    }
    CP_ASSERT(!w->tx.unicast && msg.source_id == WORLD_SENDER_ID);
    CP_ASSERT(msg.instance_id == w->config.instance_id);
    CP_ASSERT((p->kind != NORM_TX_CONTROL) == (msg.type == NORM_DATA));
    if (msg.type == NORM_DATA) {
        check_data(w, &msg, p);
    }
}

/* ---- delivery ---- */

static void receive(struct world *w, size_t who, const uint8_t *pkt, size_t size)
{
    struct norm_receiver *r = w->receiver[who];
    const struct norm_partition *p;
    struct norm_receiver_stats stats;
    struct norm_rx rx = {0};
    enum cp_err rc = norm_receiver_on_packet(r, w->now, pkt, size, &rx);

    if (rc != CP_OK || (rx.events & NORM_RX_SYMBOL) == 0) {
        CP_ASSERT(rx.payload_size <= size);
        return;
    }
    p = norm_receiver_partition(r);
    CP_ASSERT(p != NULL && rx.sbn < p->block_count && rx.payload_size <= p->segment_size);
    CP_ASSERT(rx.esi < norm_partition_block_len(p, rx.sbn) + p->num_parity);
    CP_ASSERT(norm_receiver_has_symbol(r, rx.sbn, rx.esi) ||
              norm_receiver_block_complete(r, rx.sbn));
    CP_ASSERT(((rx.events & NORM_RX_BLOCK) != 0) == norm_receiver_block_complete(r, rx.sbn));
    CP_ASSERT((rx.events & NORM_RX_COMPLETE) == 0 || norm_receiver_complete(r));
    norm_receiver_get_stats(r, &stats);
    CP_ASSERT(stats.blocks_complete <= stats.block_count);
    CP_ASSERT(norm_receiver_complete(r) == (stats.blocks_complete == stats.block_count));
    for (size_t i = 0; i < rx.payload_size && !w->forged; i++) {
        CP_ASSERT(rx.payload[i] == content(rx.sbn, rx.esi, i));
    }
}

void world_give(struct world *w, size_t to, const uint8_t *pkt, size_t size)
{
    w->work++;
    if (to == WORLD_SENDER) {
        enum cp_err rc = norm_sender_on_packet(w->sender, w->now, pkt, size);

        CP_ASSERT(rc == CP_OK || rc == CP_ERR_MALFORMED);
    } else if (w->receiver[to] != NULL) {
        receive(w, to, pkt, size);
    }
}

struct world_packet *world_head(struct world *w)
{
    return w->flight_count == 0 ? NULL : &w->flight[w->flight_at];
}

static void send(struct world *w, size_t to, const uint8_t *pkt, size_t size)
{
    struct world_packet *p;

    if (cp_prng_below(&w->prng, 256) < w->loss[to] || w->flight_count == WORLD_FLIGHT_MAX) {
        return;
    }
    p = &w->flight[(w->flight_at + w->flight_count++) % WORLD_FLIGHT_MAX];
    *p = (struct world_packet){.due = w->now + w->delay, .to = to, .size = size};
    p->data = malloc(size);
    CP_ASSERT(p->data != NULL);
    memcpy(p->data, pkt, size);
}

static void deliver_head(struct world *w)
{
    struct world_packet p = *world_head(w);

    w->flight_at = (w->flight_at + 1) % WORLD_FLIGHT_MAX;
    w->flight_count--;
    world_give(w, p.to, p.data, p.size);
    free(p.data);
}

/* ---- the drivers ---- */

/* Writes the symbol, checks each packet of tx and sends it to everybody else. */
static void spread(struct world *w, size_t author)
{
    CP_ASSERT(w->tx.count <= NORM_TX_PACKETS_MAX && w->tx.size <= w->tx.cap);
    for (unsigned i = 0; i < w->tx.count; i++) {
        const struct norm_tx_packet *p = &w->tx.packet[i];
        size_t at = (size_t)i * w->tx.stride;
        size_t size = i + 1 < w->tx.count ? w->tx.stride : w->tx.size - at;

        CP_ASSERT(size > 0 && size <= w->tx.stride && at + size <= w->tx.size);
        if (p->kind != NORM_TX_CONTROL) {
            CP_ASSERT((size_t)p->payload_offset + p->payload_size == size);
            for (size_t j = 0; j < p->payload_size; j++) {
                w->tx.data[at + p->payload_offset + j] = content(p->sbn, p->esi, j);
            }
        }
        check_packet(w, author, i, w->tx.data + at, size);
        for (size_t to = 0; to < WORLD_PARTIES; to++) {
            bool there = to == WORLD_SENDER || w->receiver[to] != NULL;

            if (there && to != author && !(w->tx.unicast && to != WORLD_SENDER)) {
                send(w, to, w->tx.data + at, size);
            }
        }
    }
}

/* As drivers do: until there is nothing to send and nothing to do before a time to come. */
static void drain_one(struct world *w, size_t author)
{
    unsigned fills = 0;
    cp_time next;

    do {
        CP_ASSERT(++fills < FILLS_MAX);
        w->tx.count = 0;
        if (author == WORLD_SENDER) {
            norm_sender_on_timer(w->sender, w->now);
            norm_sender_fill(w->sender, w->now, &w->tx);
            next = norm_sender_next_time(w->sender);
        } else {
            norm_receiver_on_timer(w->receiver[author], w->now);
            norm_receiver_fill(w->receiver[author], w->now, &w->tx);
            next = norm_receiver_next_time(w->receiver[author]);
        }
        spread(w, author);
    } while (w->tx.count > 0 || next <= w->now);
}

bool world_step(struct world *w)
{
    const struct world_packet *head = world_head(w);
    cp_time t = norm_sender_next_time(w->sender);

    for (size_t i = 0; i < WORLD_RECEIVERS; i++) {
        if (w->receiver[i] != NULL) {
            t = cp_time_min(t, norm_receiver_next_time(w->receiver[i]));
        }
    }
    t = head != NULL ? cp_time_min(t, head->due) : t;
    if (t == CP_TIME_NEVER) {
        return false;
    }
    w->now = t > w->now ? t : w->now;
    while ((head = world_head(w)) != NULL && head->due <= w->now) {
        deliver_head(w);
    }
    for (size_t i = 0; i < WORLD_PARTIES; i++) {
        if (i == WORLD_SENDER || w->receiver[i] != NULL) {
            drain_one(w, i);
        }
    }
    return true;
}

bool world_complete(const struct world *w)
{
    for (size_t i = 0; i < WORLD_RECEIVERS; i++) {
        if (w->receiver[i] != NULL && !w->receiver_config[i].silent &&
            !norm_receiver_complete(w->receiver[i])) {
            return false;
        }
    }
    return true;
}

/* ---- beginning and end ---- */

/* Every decision has words for logs and the API. */
static void on_trace(void *arg, const struct norm_trace *t)
{
    const struct world *w = arg;

    CP_ASSERT(t->at <= w->now && norm_trace_kind_name(t->kind)[0] != '\0');
    CP_ASSERT(norm_reason_name(t->reason)[0] != '\0' && t->loss >= 0 && t->loss <= 1);
}

static void open_sender(struct world *w, struct script *s)
{
    uint8_t bits = script_u8(s), shape = script_u8(s), speed = script_u8(s), repair = script_u8(s);
    struct norm_sender_config *c = &w->config;
    uint16_t k = (uint16_t)(1u + shape % 16u);

    *c = (struct norm_sender_config){
        .node_id = WORLD_SENDER_ID,
        .instance_id = (uint16_t)(0xfffe + script_u8(s) % 3u),
        .object_id = (uint16_t)(0xfffe + repair % 4u),
        .fec_id = (bits & 1) != 0 ? 5 : 129,
        .fti = {.segment_size = (uint16_t)(32u + shape / 16u * 8u),
                .max_block_len = k,
                .num_parity = (uint16_t)(repair % 9u)},
        .auth_size = (bits & 2) != 0 ? 24 : 0,
        .repair_flag = (bits & 4) == 0,
        .multicast_nack = (bits & 8) != 0,
        .cc_probe_rate = (bits & 16) == 0,
        .grtt = 10 * CP_MSEC,
        .grtt_min = CP_MSEC,
        .grtt_max = 200 * CP_MSEC,
        .backoff = repair / 32u,
        .gsize = (bits & 32) != 0 ? 10 : 1000,
        .robust_factor = 20,
        .rate_bps = 1000000u + speed % 16u * 2000000u,
        .rate_mode = (enum norm_rate_mode)(speed / 16u % 3u),
        .rate_floor_bps = speed / 64u * 500000u,
        .slow_share = (bits & 64) != 0 ? 0.34 : 0,
        .budget = (bits & 128) != 0,
        .live_window = (speed & 64) != 0 ? 2 * CP_SEC : 5 * CP_MSEC,
        .hold = CP_TIME_NEVER,
        .seed = repair,
        .trace = on_trace,
        .trace_arg = w,
    };
    c->fti.object_size =
        (1u + script_u8(s) % 20u) * (uint64_t)k * c->fti.segment_size - script_u8(s) % 32u;
    c->auto_parity = c->fti.num_parity == 0 ? 0 : (uint8_t)(script_u8(s) % c->fti.num_parity);
    c->auto_parity_max = (repair & 16) != 0 ? (uint8_t)c->fti.num_parity : 0;
    CP_ASSERT(norm_sender_new(c, w->now, &w->sender) == CP_OK);
    w->ceiling_bps = c->rate_bps;
    w->pace_at = w->now;
}

void world_open(struct world *w, struct script *s)
{
    uint8_t who;

    memset(w, 0, sizeof *w);
    w->now = CP_SEC;
    cp_prng_seed(&w->prng, 1);
    open_sender(w, s);
    w->tx.cap = (size_t)w->config.fti.segment_size + 200u + script_u8(s) * 128u;
    w->tx.data = malloc(w->tx.cap); /* exactly that: the sanitizer sees every overrun */
    CP_ASSERT(w->tx.data != NULL);
    w->delay = (cp_time)script_u8(s) * 100 * CP_USEC;
    who = script_u8(s);
    for (size_t i = 0; i < WORLD_RECEIVERS; i++) {
        uint8_t bits = script_u8(s);

        w->receiver_config[i] = (struct norm_receiver_config){
            .node_id = WORLD_NODE_ID(i),
            .sender_id = (bits & 1) != 0 ? NORM_NODE_ANY : WORLD_SENDER_ID,
            .object_known = (bits & 2) != 0,
            .object_id = w->config.object_id,
            .fec_id = w->config.fec_id,
            .fti = w->config.fti,
            .auth_size = w->config.auth_size,
            .unicast_nack = !w->config.multicast_nack,
            .silent = (bits & 0xf0) == 0xf0,
            .defer_missed = (bits & 4) != 0,
            .robust_factor = 20,
            .grtt = 10 * CP_MSEC,
            .seed = i,
        };
        if (i == 0 || (who & 1u << i) != 0) {
            world_join(w, i);
        }
    }
}

void world_join(struct world *w, size_t index)
{
    norm_receiver_free(w->receiver[index]);
    w->receiver[index] = NULL;
    CP_ASSERT(norm_receiver_new(&w->receiver_config[index], w->now, &w->receiver[index]) == CP_OK);
}

void world_restart_sender(struct world *w)
{
    norm_sender_free(w->sender);
    w->sender = NULL;
    w->config.instance_id++;
    w->config.rate_bps = w->ceiling_bps;
    w->pace_level = 0;
    w->withdrawn = false;
    CP_ASSERT(norm_sender_new(&w->config, w->now, &w->sender) == CP_OK);
}

void world_set_rate(struct world *w, uint64_t bps)
{
    w->ceiling_bps = bps;
    w->pace_level = 0;
    norm_sender_set_rate(w->sender, w->now, bps);
}

void world_close(struct world *w)
{
    while (w->flight_count > 0) {
        free(world_head(w)->data);
        w->flight_at = (w->flight_at + 1) % WORLD_FLIGHT_MAX;
        w->flight_count--;
    }
    norm_sender_free(w->sender);
    for (size_t i = 0; i < WORLD_RECEIVERS; i++) {
        norm_receiver_free(w->receiver[i]);
    }
    free(w->tx.data);
}
