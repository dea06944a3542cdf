/* SPDX-License-Identifier: Apache-2.0
 * Simulator: the driver of sender and receivers in virtual time. One thread. */
#include "sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim_content.h"
#include "sim_events.h"

#define NODE_SENDER 0u

static void fail(struct sim *sim, const char *why)
{
    if (sim->failure == NULL) {
        sim->failure = why;
    }
}

static double unit(struct sim *sim)
{
    return cp_prng_unit(&sim->prng);
}

/* ---- links ---- */

/* One copy over one link to one node. */
static void send_copy(struct sim *sim, const struct sim_link *link, cp_time *busy, unsigned to,
                      struct sim_buf *buf)
{
    cp_time at = sim->now;

    if (link->loss > 0.0 && unit(sim) < link->loss) {
        return;
    }
    if (link->rate_bps > 0) {
        cp_time start = *busy > at ? *busy : at;

        if (link->queue_bytes > 0 &&
            (start - at) / 8 * link->rate_bps / CP_SEC > link->queue_bytes) {
            return;
        }
        *busy = start + (cp_time)buf->size * 8 * CP_SEC / link->rate_bps;
        at = *busy;
    }
    at += link->delay;
    if (link->jitter > 0) {
        at += (cp_time)(unit(sim) * (double)link->jitter);
    }
    buf->references++;
    sim_events_push(sim->events, (struct sim_event){at, 0, SIM_DELIVER, to, buf});
}

static void send_over(struct sim *sim, const struct sim_link *link, cp_time *busy, unsigned to,
                      struct sim_buf *buf)
{
    send_copy(sim, link, busy, to, buf);
    if (link->duplicate > 0.0 && unit(sim) < link->duplicate) {
        send_copy(sim, link, busy, to, buf);
    }
}

static bool meddled(struct sim *sim, const struct sim_packet *p, unsigned to)
{
    return sim->config.drop != NULL && sim->config.drop(sim->config.arg, p, to);
}

/* To all receivers that are there, but the one that sent it. */
static void multicast(struct sim *sim, const struct sim_packet *p, struct sim_buf *buf)
{
    for (unsigned i = 0; i < sim->receiver_count; i++) {
        struct sim_receiver *r = &sim->receivers[i];

        if (r->joined && !r->left && i + 1 != buf->from && !meddled(sim, p, i + 1)) {
            send_over(sim, &r->spec.down, &r->down_busy, i + 1, buf);
        }
    }
}

static void count_packet(struct sim *sim, const struct sim_packet *p)
{
    struct sim_totals *t = &sim->totals;
    const struct norm_msg *m = p->msg;

    if (p->from == NODE_SENDER) {
        t->wire_bytes += p->size;
        *(m->type == NORM_DATA ? &t->data_bytes : &t->control_bytes) += p->size;
        if (m->type == NORM_CMD) {
            t->adverts += m->cmd == NORM_CMD_REPAIR_ADV;
            t->flushes += m->cmd == NORM_CMD_FLUSH;
            t->probes += m->cmd == NORM_CMD_CC;
            t->squelches += m->cmd == NORM_CMD_SQUELCH;
        }
        return;
    }
    t->nacks += m->type == NORM_NACK;
    t->acks_cc += m->type == NORM_ACK && m->ack_type == NORM_ACK_CC;
    t->acks_flush += m->type == NORM_ACK && m->ack_type == NORM_ACK_FLUSH;
}

/* Every packet that anybody sends must decode: what we write is strict. */
static bool observe(struct sim *sim, struct sim_packet *p, struct norm_msg *msg)
{
    if (norm_decode(p->data, p->size, msg) != CP_OK) {
        fail(sim, "a packet sent does not decode");
        return false;
    }
    p->msg = msg;
    count_packet(sim, p);
    if (sim->config.on_packet != NULL) {
        sim->config.on_packet(sim->config.arg, p);
    }
    return true;
}

/* ---- sender ---- */

/* A driver's timer. *asked: what it was set to, so that setting it again changes nothing. */
static void set_timer(struct sim *sim, cp_time at, unsigned node, cp_time *asked, cp_time *wake)
{
    if (at == *asked) {
        return;
    }
    *asked = at;
    if (at == CP_TIME_NEVER) {
        *wake = CP_TIME_NEVER;
        return;
    }
    at = at > sim->now ? at : sim->now;
    if (sim->config.late > 0) {
        at += (cp_time)(unit(sim) * (double)sim->config.late);
    }
    *wake = at;
    sim_events_push(
        sim->events,
        (struct sim_event){at, 0, node == 0 ? SIM_WAKE_SENDER : SIM_WAKE_RECEIVER, node, NULL});
}

static void wake_sender_at(struct sim *sim, cp_time at)
{
    set_timer(sim, at, NODE_SENDER, &sim->sender_asked, &sim->sender_wake);
}

static void send_batch(struct sim *sim)
{
    size_t at = 0;

    for (unsigned i = 0; i < sim->tx.count; i++) {
        const struct norm_tx_packet *t = &sim->tx.packet[i];
        size_t size = i + 1 < sim->tx.count ? sim->tx.stride : sim->tx.size - at;
        uint8_t *data = sim->tx.data + at;
        struct sim_packet p = {sim->now, NODE_SENDER, false, data, size, NULL};
        struct norm_msg msg;

        if (size > sim->tx.stride) {
            fail(sim, "a packet is longer than the stride");
        }
        if (t->kind != NORM_TX_CONTROL) {
            sim_content_fill(sim, t->sbn, t->esi, data + t->payload_offset, t->payload_size);
        }
        at += size;
        if (observe(sim, &p, &msg)) {
            struct sim_buf *buf = sim_buf_get(sim->events, data, size, NODE_SENDER);

            multicast(sim, &p, buf);
            sim_buf_put(sim->events, buf);
        }
    }
}

static void drive_sender(struct sim *sim)
{
    if (sim->sender == NULL) {
        return;
    }
    norm_sender_on_timer(sim->sender, sim->now);
    for (;;) {
        norm_sender_fill(sim->sender, sim->now, &sim->tx);
        if (sim->tx.count == 0) {
            break;
        }
        send_batch(sim);
    }
    cp_time next = norm_sender_next_time(sim->sender);

    /* A core that asks to be called at once but has nothing to do would spin a real driver. */
    if (next <= sim->now) {
        norm_sender_on_timer(sim->sender, sim->now);
        norm_sender_fill(sim->sender, sim->now, &sim->tx);
        if (sim->tx.count == 0 && norm_sender_next_time(sim->sender) <= sim->now) {
            fail(sim, "the sender spins");
            return;
        }
        send_batch(sim);
        next = norm_sender_next_time(sim->sender);
    }
    wake_sender_at(sim, next);
}

void sim_poke_sender(struct sim *sim)
{
    drive_sender(sim);
}

/* ---- receivers ---- */

static void wake_receiver_at(struct sim *sim, unsigned index, cp_time at)
{
    struct sim_receiver *r = &sim->receivers[index];

    set_timer(sim, at, index + 1, &r->asked, &r->wake);
}

static void send_feedback(struct sim *sim, unsigned index)
{
    struct sim_receiver *r = &sim->receivers[index];
    struct sim_packet p = {sim->now, index + 1, sim->tx.unicast, sim->tx.data, sim->tx.size, NULL};
    struct norm_msg msg;

    if (!observe(sim, &p, &msg)) {
        return;
    }
    struct sim_buf *buf = sim_buf_get(sim->events, sim->tx.data, sim->tx.size, index + 1);

    if (!meddled(sim, &p, NODE_SENDER)) {
        send_over(sim, &r->spec.up, &r->up_busy, NODE_SENDER, buf);
    }
    if (!sim->tx.unicast) {
        multicast(sim, &p, buf);
    }
    sim_buf_put(sim->events, buf);
}

static void drive_receiver(struct sim *sim, unsigned index)
{
    struct sim_receiver *r = &sim->receivers[index];
    cp_time next;

    norm_receiver_on_timer(r->core, sim->now);
    for (unsigned n = 0;; n++) {
        norm_receiver_fill(r->core, sim->now, &sim->tx);
        if (sim->tx.count == 0) {
            break;
        }
        if (n > 8) {
            fail(sim, "a receiver never stops sending");
            return;
        }
        send_feedback(sim, index);
    }
    next = norm_receiver_next_time(r->core);
    if (next <= sim->now) {
        fail(sim, "a receiver spins");
        return;
    }
    wake_receiver_at(sim, index, next);
}

void sim_poke_receiver(struct sim *sim, unsigned index)
{
    drive_receiver(sim, index);
}

static void completed(struct sim *sim, struct sim_receiver *r)
{
    if (r->blocks_done != sim->part.block_count || !norm_receiver_complete(r->core)) {
        fail(sim, "complete, but not every block is");
    }
    if (!r->complete) {
        r->complete = true;
        r->complete_at = sim->now;
        sim->complete_count++;
    }
}

/* Loses what is not part of a complete block, as the driver's contract for a restart says. */
static void restarted(struct sim *sim, struct sim_receiver *r)
{
    r->restarts++;
    for (uint32_t sbn = 0; sbn < sim->part.block_count; sbn++) {
        if (!norm_receiver_block_complete(r->core, sbn)) {
            sim_content_forget(sim, r, sbn);
        }
    }
}

/* The digest of the finished block was wrong. */
static bool spoil(struct sim *sim, struct sim_receiver *r, const struct norm_rx *rx)
{
    if (r->spec.spoil <= 0.0 || unit(sim) >= r->spec.spoil) {
        return false;
    }
    norm_receiver_block_forget(r->core, rx->sbn);
    sim_content_forget(sim, r, rx->sbn);
    return true;
}

static void handle_rx(struct sim *sim, struct sim_receiver *r, const struct norm_rx *rx)
{
    if ((rx->events & NORM_RX_RESTART) != 0) {
        restarted(sim, r);
    }
    if ((rx->events & NORM_RX_INFO) != 0) {
        if (r->info || rx->payload_size != sim->config.sender.info_size ||
            memcmp(rx->payload, sim->config.sender.info, rx->payload_size) != 0) {
            fail(sim, "wrong INFO");
        }
        r->info = true;
    }
    if ((rx->events & NORM_RX_SYMBOL) != 0) {
        const char *wrong = sim_content_store(sim, r, rx);

        if (wrong != NULL) {
            fail(sim, wrong);
        }
    }
    r->commands += (rx->events & NORM_RX_COMMAND) != 0;
    r->squelched = r->squelched || (rx->events & NORM_RX_SQUELCHED) != 0;
    r->ended = r->ended || (rx->events & NORM_RX_EOT) != 0;
    if ((rx->events & NORM_RX_BLOCK) != 0 && spoil(sim, r, rx)) {
        return;
    }
    if ((rx->events & NORM_RX_COMPLETE) != 0) {
        completed(sim, r);
    }
}

static void deliver(struct sim *sim, const struct sim_event *e)
{
    sim->totals.deliveries++;
    if (e->node == NODE_SENDER) {
        if (sim->sender != NULL) {
            if (norm_sender_on_packet(sim->sender, sim->now, e->buf->data, e->buf->size) != CP_OK) {
                fail(sim, "the sender refused a packet");
            }
            drive_sender(sim);
        }
        return;
    }
    struct sim_receiver *r = &sim->receivers[e->node - 1];
    struct norm_rx rx;

    if (r->left) {
        return;
    }
    if (norm_receiver_on_packet(r->core, sim->now, e->buf->data, e->buf->size, &rx) != CP_OK) {
        fail(sim, "a receiver refused a packet");
        return;
    }
    handle_rx(sim, r, &rx);
    cp_time next = norm_receiver_next_time(r->core);

    if (next <= sim->now) {
        drive_receiver(sim, e->node - 1);
    } else {
        wake_receiver_at(sim, e->node - 1, next);
    }
}

/* ---- run ---- */

static void leave_due(struct sim *sim)
{
    for (unsigned i = 0; i < sim->receiver_count; i++) {
        struct sim_receiver *r = &sim->receivers[i];

        if (!r->left && r->spec.leave_at != 0 && sim->now >= r->spec.leave_at) {
            r->left = true;
        }
    }
}

static void step(struct sim *sim, const struct sim_event *e)
{
    sim->now = e->time;
    switch (e->kind) {
    case SIM_WAKE_SENDER:
        if (e->time == sim->sender_wake) {
            sim->sender_asked = sim->sender_wake = CP_TIME_NEVER;
            drive_sender(sim);
        }
        break;
    case SIM_WAKE_RECEIVER:
        if (e->time == sim->receivers[e->node - 1].wake && !sim->receivers[e->node - 1].left) {
            sim->receivers[e->node - 1].asked = CP_TIME_NEVER;
            sim->receivers[e->node - 1].wake = CP_TIME_NEVER;
            drive_receiver(sim, e->node - 1);
        }
        break;
    case SIM_JOIN:
        sim->receivers[e->node - 1].joined = true;
        break;
    case SIM_DELIVER:
        deliver(sim, e);
        sim_buf_put(sim->events, e->buf);
        break;
    }
}

static bool over(const struct sim *sim)
{
    struct norm_sender_stats stats;

    if (sim->complete_count < sim->wait_count) {
        return false;
    }
    if (!sim->config.run_to_idle) {
        return true;
    }
    norm_sender_get_stats(sim->sender, &stats);
    return stats.state == NORM_SENDER_IDLE;
}

bool sim_run(struct sim *sim)
{
    struct sim_event e;

    while (sim->failure == NULL && !over(sim)) {
        if (!sim_events_pop(sim->events, sim->config.time_limit, &e)) {
            fail(sim, sim_events_empty(sim->events) ? "nothing more happens" : "time limit");
            break;
        }
        step(sim, &e);
        leave_due(sim);
    }
    return sim->failure == NULL;
}

void sim_run_until(struct sim *sim, cp_time until)
{
    struct sim_event e;

    while (sim->failure == NULL && sim_events_pop(sim->events, until, &e)) {
        step(sim, &e);
        leave_due(sim);
    }
    sim->now = until;
}

/* Some blocks, never the last, so that something is left to complete. */
static void read_journal(struct sim *sim, struct sim_receiver *r)
{
    for (uint32_t sbn = 0; sbn + 1 < sim->part.block_count; sbn++) {
        if (r->spec.object_known && r->spec.have > 0.0 && unit(sim) < r->spec.have) {
            norm_receiver_block_have(r->core, sbn);
            sim_content_have(sim, r, sbn);
        }
    }
}

static void new_receiver(struct sim *sim, unsigned index)
{
    struct sim_receiver *r = &sim->receivers[index];
    struct norm_receiver_config config = {
        .node_id = SIM_RECEIVER_ID + index,
        .sender_id = r->spec.object_known ? SIM_SENDER_ID : NORM_NODE_ANY,
        .object_known = r->spec.object_known,
        .object_id = sim->config.sender.object_id,
        .fec_id = sim->config.sender.fec_id,
        .fti = sim->config.sender.fti,
        .auth_size = sim->config.sender.auth_size,
        .unicast_nack = sim->config.unicast_nack,
        .silent = r->spec.silent,
        .defer_missed = r->spec.defer_missed,
        .robust_factor = sim->config.sender.robust_factor,
        .grtt = sim->config.sender.grtt,
        .seed = cp_prng_u64(&sim->prng),
    };
    enum cp_err err = norm_receiver_new(&config, r->spec.join_at, &r->core);

    CP_ASSERT(err == CP_OK);
    r->symbols = calloc((size_t)sim->part.block_count * SIM_SYMBOL_WORDS, sizeof(*r->symbols));
    CP_ASSERT(r->symbols != NULL);
    read_journal(sim, r);
    r->asked = r->wake = CP_TIME_NEVER;
    sim_events_push(sim->events, (struct sim_event){r->spec.join_at, 0, SIM_JOIN, index + 1, NULL});
    if (r->spec.leave_at == 0) {
        sim->wait_count++;
    }
    if (r->spec.acker) {
        err = norm_sender_add_acker(sim->sender, config.node_id);
        CP_ASSERT(err == CP_OK);
    }
}

void sim_init(struct sim *sim, const struct sim_config *config,
              const struct sim_receiver_spec *specs, unsigned count)
{
    size_t packet = (size_t)config->sender.fti.segment_size + 128;
    enum cp_err err;

    *sim = (struct sim){.config = *config,
                        .receiver_count = count,
                        .sender_asked = CP_TIME_NEVER,
                        .sender_wake = CP_TIME_NEVER};
    cp_prng_seed(&sim->prng, config->seed);
    sim->config.sender.multicast_nack = !config->unicast_nack;
    sim->events = sim_events_new(packet);
    sim->tx.cap = packet * NORM_TX_PACKETS_MAX;
    sim->tx.data = malloc(sim->tx.cap);
    sim->receivers = calloc(count, sizeof(*sim->receivers));
    CP_ASSERT(sim->tx.data != NULL && sim->receivers != NULL);
    err = norm_sender_new(&sim->config.sender, 0, &sim->sender);
    CP_ASSERT(err == CP_OK);
    sim->part = *norm_sender_partition(sim->sender);
    for (unsigned i = 0; i < count; i++) {
        sim->receivers[i].spec = specs[i];
        new_receiver(sim, i);
    }
    wake_sender_at(sim, CP_MSEC);
}

void sim_restart_sender(struct sim *sim, uint16_t instance_id)
{
    enum cp_err err;

    norm_sender_free(sim->sender);
    sim->config.sender.instance_id = instance_id;
    err = norm_sender_new(&sim->config.sender, sim->now, &sim->sender);
    CP_ASSERT(err == CP_OK);
    drive_sender(sim);
}

void sim_kill_sender(struct sim *sim)
{
    norm_sender_free(sim->sender);
    sim->sender = NULL;
    sim->sender_asked = sim->sender_wake = CP_TIME_NEVER;
}

void sim_done(struct sim *sim)
{
    for (unsigned i = 0; i < sim->receiver_count; i++) {
        norm_receiver_free(sim->receivers[i].core);
        free(sim->receivers[i].symbols);
    }
    free(sim->receivers);
    norm_sender_free(sim->sender);
    sim_events_free(sim->events);
    free(sim->tx.data);
}

cp_time sim_last_completion(const struct sim *sim)
{
    cp_time last = 0;

    for (unsigned i = 0; i < sim->receiver_count; i++) {
        if (sim->receivers[i].complete && sim->receivers[i].complete_at > last) {
            last = sim->receivers[i].complete_at;
        }
    }
    return last;
}

/* P(all have k of t symbols) = P(Binomial(t, 1 - loss) ≥ k)^receivers; E[T] = Σ P(T > t). */
double sim_bound(unsigned k, unsigned receivers, double loss)
{
    double expected = 0.0;

    for (unsigned t = 0; t < 8 * k + 64; t++) {
        double have = 0.0; /* P(Binomial(t, 1 - loss) ≥ k) */

        for (unsigned i = k; i <= t && loss > 0.0; i++) {
            have += exp(lgamma(t + 1.0) - lgamma(i + 1.0) - lgamma(t - i + 1.0) +
                        i * log(1.0 - loss) + (t - i) * log(loss));
        }
        if (loss <= 0.0 && t >= k) {
            have = 1.0;
        }
        expected += 1.0 - pow(have > 1.0 ? 1.0 : have, receivers);
    }
    return (expected - k) / k;
}
