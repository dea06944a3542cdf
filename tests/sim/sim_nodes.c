/* SPDX-License-Identifier: Apache-2.0
 * Simulator: the drivers of the sender's and the receivers' cores, in the order of calls of
 * multicast/session_*.c. One thread. */
#include <string.h>

#include "sim_content.h"
#include "sim_inside.h"

/* ---- timers ---- */

static struct sim_timer *timer_of(struct sim *sim, unsigned node)
{
    return node == SIM_NODE_SENDER ? &sim->sender_timer : &sim->receivers[node - 1].timer;
}

/* Each packet puts a receiver's timers off; so an event that comes too early looks again, rather
 * than a new one be queued each time. */
void sim_timer_set(struct sim *sim, unsigned node, cp_time at)
{
    struct sim_timer *t = timer_of(sim, node);

    if (at == t->asked) {
        return;
    }
    t->asked = at;
    if (at >= t->wake) {
        return;
    }
    at = at > sim->now ? at : sim->now;
    if (sim->config.late > 0) {
        at += (cp_time)(sim_unit(sim) * (double)sim->config.late);
    }
    t->wake = at;
    sim_events_push(
        sim->network->events,
        (struct sim_event){.time = at,
                           .sim = sim,
                           .kind = node == SIM_NODE_SENDER ? SIM_WAKE_SENDER : SIM_WAKE_RECEIVER,
                           .node = node});
}

/* Is it due? The event that stands for it fires now, true time `now`. */
static bool timer_fires(struct sim *sim, unsigned node)
{
    struct sim_timer *t = timer_of(sim, node);
    cp_time asked = t->asked;

    if (t->wake != sim->now) {
        return false; /* a later wish took its place */
    }
    *t = (struct sim_timer){CP_TIME_NEVER, CP_TIME_NEVER};
    if (asked > sim->now) {
        sim_timer_set(sim, node, asked);
        return false;
    }
    return true;
}

/* A driver drops what is not genuine; without a MAC UDP's checksum finds what changed on the way.
 * What does not even decode goes to the core, which must refuse it. */
static bool driver_drops(const struct sim *sim, const struct sim_buf *buf, bool decoded)
{
    switch (buf->origin) {
    case SIM_CORRUPTED:
        return decoded;
    case SIM_FORGED:
        return sim->config.sender.auth_size > 0;
    case SIM_GENUINE:
    default:
        return false;
    }
}

/* ---- sender ---- */

static void send_batch(struct sim *sim)
{
    struct sim_buf *buf;

    for (unsigned i = 0; i < sim->tx.count; i++) {
        const struct norm_tx_packet *t = &sim->tx.packet[i];
        uint8_t *data = sim->tx.data + (size_t)i * sim->tx.stride;

        if (t->kind != NORM_TX_CONTROL) {
            sim_content_fill(sim, t->sbn, t->esi, data + t->payload_offset, t->payload_size);
        }
    }
    buf = sim_buf_get(&sim->tx, SIM_NODE_SENDER);
    for (unsigned i = 0; i < buf->count; i++) {
        struct sim_packet p = sim_packet_of(sim, buf, i);

        if (p.size > buf->stride) {
            sim_fail(sim, "a packet is longer than the stride");
        }
        sim_count_sent(sim, &p);
    }
    sim_send_to_all(sim, buf);
    sim_buf_put(buf);
}

/* Sends all that may go now; false: nothing did. */
static bool send_due(struct sim *sim, cp_time now)
{
    bool any = false;

    for (;;) {
        norm_sender_fill(sim->sender, now, &sim->tx);
        if (sim->tx.count == 0) {
            return any;
        }
        send_batch(sim);
        any = true;
    }
}

void sim_drive_sender(struct sim *sim)
{
    const struct sim_clock *clock = &sim->config.sender_clock;
    cp_time now = sim_clock_read(clock, sim->now), next;

    if (sim->sender == NULL) {
        return;
    }
    norm_sender_on_timer(sim->sender, now);
    (void)send_due(sim, now);
    next = norm_sender_next_time(sim->sender);
    /* A core that asks to be called at once but has nothing to do would spin a real driver. */
    if (next <= now) {
        norm_sender_on_timer(sim->sender, now);
        if (!send_due(sim, now) && norm_sender_next_time(sim->sender) <= now) {
            sim_fail(sim, "the sender spins");
            return;
        }
        next = norm_sender_next_time(sim->sender);
    }
    sim_timer_set(sim, SIM_NODE_SENDER, sim_clock_true(clock, next));
}

void sim_wake_sender(struct sim *sim)
{
    if (timer_fires(sim, SIM_NODE_SENDER)) {
        sim_drive_sender(sim);
    }
}

void sim_sender_gets(struct sim *sim, const struct sim_event *e)
{
    cp_time now = sim_clock_read(&sim->config.sender_clock, sim->now);

    if (sim->sender == NULL) {
        return;
    }
    for (uint64_t rest = e->packets; rest != 0; rest &= rest - 1) {
        struct sim_packet p = sim_packet_of(sim, e->buf, (unsigned)__builtin_ctzll(rest));

        if (driver_drops(sim, e->buf, p.msg != NULL)) {
            sim->totals.refused++;
            continue;
        }
        bool taken = norm_sender_on_packet(sim->sender, now, p.data, p.size) == CP_OK;

        if (taken == (e->buf->origin == SIM_CORRUPTED)) {
            sim_fail(sim, taken ? "the sender took a broken packet" : "it refused a good one");
        }
        sim->totals.refused += e->buf->origin != SIM_GENUINE;
        if (e->buf->origin == SIM_GENUINE) {
            sim_count_feedback(sim);
        }
    }
    sim_drive_sender(sim);
}

/* ---- receivers ---- */

static void send_feedback(struct sim *sim, unsigned index)
{
    struct sim_buf *buf = sim_buf_get(&sim->tx, index + 1);
    struct sim_packet p = sim_packet_of(sim, buf, 0);

    p.unicast = sim->tx.unicast;
    if (p.unicast != sim->config.unicast_nack) {
        sim_fail(sim, "feedback goes the wrong way");
    }
    sim_count_sent(sim, &p);
    sim_send_feedback(sim, index, buf);
    sim_buf_put(buf);
}

static void drive_receiver(struct sim *sim, unsigned index)
{
    struct sim_receiver *r = &sim->receivers[index];
    cp_time now = sim_clock_read(&r->spec.clock, sim->now), next;

    norm_receiver_on_timer(r->core, now);
    for (unsigned n = 0;; n++) {
        norm_receiver_fill(r->core, now, &sim->tx);
        if (sim->tx.count == 0) {
            break;
        }
        if (n > 8) {
            sim_fail(sim, "a receiver never stops sending");
            return;
        }
        send_feedback(sim, index);
    }
    next = norm_receiver_next_time(r->core);
    if (next <= now) {
        sim_fail(sim, "a receiver spins");
        return;
    }
    sim_timer_set(sim, index + 1, sim_clock_true(&r->spec.clock, next));
}

void sim_wake_receiver(struct sim *sim, unsigned index)
{
    if (!sim->receivers[index].left && timer_fires(sim, index + 1)) {
        drive_receiver(sim, index);
    }
}

void sim_poke_receiver(struct sim *sim, unsigned index)
{
    drive_receiver(sim, index);
}

static void completed(struct sim *sim, struct sim_receiver *r)
{
    if (r->blocks_done != sim->part.block_count || !norm_receiver_complete(r->core)) {
        sim_fail(sim, "complete, but not every block is");
    }
    if (!r->complete) {
        r->complete = true;
        r->complete_at = sim->now;
        sim->complete_count += r->spec.leave_at == 0 && !r->spec.optional;
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
    if (r->spec.spoil <= 0.0 || sim_unit(sim) >= r->spec.spoil) {
        return false;
    }
    norm_receiver_block_forget(r->core, rx->sbn);
    sim_content_forget(sim, r, rx->sbn);
    return true;
}

static void handle_symbol(struct sim *sim, struct sim_receiver *r, const struct norm_rx *rx)
{
    const char *wrong = sim_content_store(sim, r, rx);

    if (wrong != NULL) {
        sim_fail(sim, wrong);
    }
    if ((rx->events & NORM_RX_BLOCK) != 0 && spoil(sim, r, rx)) {
        return;
    }
    if ((rx->events & NORM_RX_COMPLETE) != 0) {
        completed(sim, r);
    }
}

static void handle_rest(struct sim *sim, struct sim_receiver *r, const struct norm_rx *rx)
{
    if ((rx->events & NORM_RX_RESTART) != 0) {
        restarted(sim, r);
    }
    if ((rx->events & NORM_RX_INFO) != 0) {
        if (r->info || rx->payload_size != sim->config.sender.info_size ||
            memcmp(rx->payload, sim->config.sender.info, rx->payload_size) != 0) {
            sim_fail(sim, "wrong INFO");
        }
        r->info = true;
    }
    r->commands += (rx->events & NORM_RX_COMMAND) != 0;
    r->squelched = r->squelched || (rx->events & NORM_RX_SQUELCHED) != 0;
    r->ended = r->ended || (rx->events & NORM_RX_EOT) != 0;
}

static void hand_over(struct sim *sim, struct sim_receiver *r, cp_time now,
                      const struct sim_buf *buf, unsigned i)
{
    bool decoded = (buf->decoded >> i & 1) != 0;
    struct norm_rx rx = {0};
    enum cp_err err;
    bool taken;
    size_t size;
    const uint8_t *data = sim_buf_packet(buf, i, &size);

    sim->totals.deliveries++;
    if (buf->origin != SIM_GENUINE) {
        sim->totals.refused++;
        if (driver_drops(sim, buf, decoded)) {
            return;
        }
    }
    err = decoded ? norm_receiver_on_message(r->core, now, &buf->msg[i], size, &rx)
                  : norm_receiver_on_packet(r->core, now, data, size, &rx);
    taken = err == CP_OK;
    if (taken == (buf->origin == SIM_CORRUPTED)) {
        sim_fail(sim, taken ? "a receiver took a broken packet" : "it refused a good one");
    }
    if (buf->origin == SIM_FORGED && rx.events != 0) {
        sim_fail(sim, "a receiver believed a stranger");
    }
    if ((rx.events & ~(unsigned)(NORM_RX_SYMBOL | NORM_RX_BLOCK | NORM_RX_COMPLETE)) != 0) {
        handle_rest(sim, r, &rx);
    }
    if ((rx.events & NORM_RX_SYMBOL) != 0) {
        handle_symbol(sim, r, &rx);
    }
}

/* All that came with one call; then the timers are looked at. */
void sim_receiver_gets(struct sim *sim, unsigned index, const struct sim_buf *buf, uint64_t packets)
{
    struct sim_receiver *r = &sim->receivers[index];
    cp_time now = sim_clock_read(&r->spec.clock, sim->now), next;

    for (uint64_t rest = packets; rest != 0; rest &= rest - 1) {
        hand_over(sim, r, now, buf, (unsigned)__builtin_ctzll(rest));
    }
    next = norm_receiver_next_time(r->core);
    if (next <= now) {
        drive_receiver(sim, index);
    } else {
        sim_timer_set(sim, index + 1, sim_clock_true(&r->spec.clock, next));
    }
}
