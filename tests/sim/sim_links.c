/* SPDX-License-Identifier: Apache-2.0
 * Simulator: links, queues, and the fan-out to the receivers. One thread. */
#include <stdlib.h>

#include "sim_inside.h"

/* When the packets of a buffer get to some point of their way; those of no bit were lost. */
struct flight {
    uint64_t packets;
    cp_time at[NORM_TX_PACKETS_MAX];
};

/* One packet that enters a link then; false: it gets lost. */
static bool pass(struct sim *sim, const struct sim_link *link, struct sim_path *path, size_t size,
                 cp_time *at)
{
    if (sim_losses_pass(&path->losses, &sim->prng, link, 1) == 0) {
        return false;
    }
    if (link->rate_bps > 0) {
        cp_time start = path->busy > *at ? path->busy : *at;

        if (link->queue_bytes > 0 &&
            (double)(start - *at) * (double)link->rate_bps / 8e9 > (double)link->queue_bytes) {
            return false;
        }
        path->busy = start + (cp_time)size * 8 * CP_SEC / link->rate_bps;
        *at = path->busy;
    }
    *at += link->delay;
    if (link->jitter > 0) {
        *at += (cp_time)(sim_unit(sim) * (double)link->jitter);
    }
    return true;
}

static void pass_all(struct sim *sim, const struct sim_link *link, struct sim_path *path,
                     const struct sim_buf *buf, struct flight *f)
{
    for (uint64_t rest = f->packets; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        size_t size;

        (void)sim_buf_packet(buf, i, &size);
        if (!pass(sim, link, path, size, &f->at[i])) {
            f->packets &= ~(UINT64_C(1) << i);
        }
    }
}

/* ---- one node's own link ---- */

static void send_copy(struct sim *sim, const struct sim_link *link, struct sim_path *path,
                      struct sim_event e)
{
    size_t size;
    unsigned i = (unsigned)__builtin_ctzll(e.packets);

    (void)sim_buf_packet(e.buf, i, &size);
    if (!pass(sim, link, path, size, &e.time)) {
        return;
    }
    if (link->corrupt > 0.0 && sim_unit(sim) < link->corrupt) {
        e.buf = sim_corrupt(sim, e.buf, i);
        e.packets = 1;
    } else {
        e.buf->references++;
    }
    sim_events_push(sim->network->events, e);
}

static void send_over(struct sim *sim, const struct sim_link *link, struct sim_path *path,
                      struct sim_event e)
{
    send_copy(sim, link, path, e);
    if (link->duplicate > 0.0 && sim_unit(sim) < link->duplicate) {
        send_copy(sim, link, path, e);
    }
}

struct sim_packet sim_packet_of(const struct sim *sim, const struct sim_buf *buf, unsigned i)
{
    struct sim_packet p = {.time = sim->now, .from = buf->from};

    p.data = sim_buf_packet(buf, i, &p.size);
    p.msg = (buf->decoded >> i & 1) != 0 ? &buf->msg[i] : NULL;
    return p;
}

static bool meddled(struct sim *sim, const struct sim_buf *buf, unsigned i, unsigned to)
{
    struct sim_packet p = sim_packet_of(sim, buf, i);

    return sim->config.drop != NULL && sim->config.drop(sim->config.arg, &p, to);
}

/* ---- fan-out ---- */

/* Nothing about this link but its loss, which is drawn at delivery, makes its receiver differ. */
static bool plain(const struct sim *sim, const struct sim_link *l)
{
    return l->jitter == 0 && l->rate_bps == 0 && l->duplicate <= 0.0 && l->corrupt <= 0.0 &&
           sim->config.drop == NULL;
}

static struct sim_group *group_for(struct sim *sim, const struct sim_receiver_spec *spec)
{
    bool alike = plain(sim, &spec->down);

    for (unsigned i = 0; i < sim->group_count; i++) {
        struct sim_group *g = &sim->groups[i];

        if (g->branch == spec->branch && g->alike == alike &&
            (!alike || g->delay == spec->down.delay)) {
            return g;
        }
    }
    struct sim_group *g = &sim->groups[sim->group_count++];

    *g = (struct sim_group){.alike = alike, .branch = spec->branch, .delay = spec->down.delay};
    g->member = calloc(sim->receiver_count, sizeof(*g->member));
    CP_ASSERT(g->member != NULL);
    return g;
}

void sim_groups_init(struct sim *sim)
{
    sim->groups = calloc(sim->receiver_count, sizeof(*sim->groups));
    CP_ASSERT(sim->groups != NULL);
    for (unsigned i = 0; i < sim->receiver_count; i++) {
        struct sim_group *g = group_for(sim, &sim->receivers[i].spec);

        g->member[g->count++] = i;
    }
}

void sim_groups_done(struct sim *sim)
{
    for (unsigned i = 0; i < sim->group_count; i++) {
        free(sim->groups[i].member);
    }
    free(sim->groups);
}

static void to_each(struct sim *sim, const struct sim_group *g, struct sim_buf *buf,
                    const struct flight *f)
{
    for (unsigned n = 0; n < g->count; n++) {
        unsigned index = g->member[n];
        struct sim_receiver *r = &sim->receivers[index];

        if (!r->joined || r->left || index + 1 == buf->from) {
            continue;
        }
        for (uint64_t rest = f->packets; rest != 0; rest &= rest - 1) {
            unsigned i = (unsigned)__builtin_ctzll(rest);

            if (!meddled(sim, buf, i, index + 1)) {
                send_over(sim, &r->spec.down, &r->down,
                          (struct sim_event){.time = f->at[i],
                                             .sim = sim,
                                             .buf = buf,
                                             .packets = UINT64_C(1) << i,
                                             .kind = SIM_DELIVER,
                                             .node = index + 1});
            }
        }
    }
}

/* What one system call sent and no link tore apart is received as it is sent, with one call when
 * the last of it is there. `apart`: its packets overtook each other. */
static void to_group(struct sim *sim, unsigned group, struct sim_buf *buf, const struct flight *f,
                     bool apart)
{
    struct sim_event e = {.sim = sim, .buf = buf, .kind = SIM_FAN_OUT, .node = group};

    for (uint64_t rest = f->packets; rest != 0; rest &= rest - 1) {
        cp_time at = f->at[__builtin_ctzll(rest)] + sim->groups[group].delay;

        e.time = apart || at > e.time ? at : e.time;
        e.packets |= rest & -rest;
        if (apart || (rest & (rest - 1)) == 0) {
            buf->references++;
            sim_events_push(sim->network->events, e);
            e.packets = 0;
        }
    }
}

/* To all receivers that are there, but the one that sent it. */
static void fan_out(struct sim *sim, struct sim_buf *buf, const struct flight *trunk, bool apart)
{
    struct flight branch[SIM_BRANCHES_MAX];
    bool passed[SIM_BRANCHES_MAX] = {false};

    for (unsigned n = 0; n < sim->group_count; n++) {
        const struct sim_group *g = &sim->groups[n];
        const struct flight *f = trunk;
        bool torn = apart;

        if (g->branch > 0) {
            unsigned b = g->branch - 1;
            const struct sim_link *link = &sim->network->session[0]->config.branch[b];

            if (!passed[b]) {
                passed[b] = true;
                branch[b] = *trunk;
                pass_all(sim, link, &sim->network->branch[b], buf, &branch[b]);
            }
            f = &branch[b];
            torn = apart || link->jitter > 0;
        }
        if (g->alike) {
            to_group(sim, n, buf, f, torn);
        } else {
            to_each(sim, g, buf, f);
        }
    }
}

static void take_off(const struct sim *sim, const struct sim_buf *buf, struct flight *f)
{
    CP_ASSERT(buf->count <= NORM_TX_PACKETS_MAX);
    f->packets = (UINT64_C(1) << buf->count) - 1;
    for (unsigned i = 0; i < buf->count; i++) {
        f->at[i] = sim->now;
    }
}

void sim_send_to_all(struct sim *sim, struct sim_buf *buf)
{
    const struct sim_link *trunk = &sim->network->session[0]->config.trunk;
    struct flight f;

    take_off(sim, buf, &f);
    pass_all(sim, trunk, &sim->network->trunk, buf, &f);
    fan_out(sim, buf, &f, trunk->jitter > 0);
}

void sim_send_feedback(struct sim *sim, unsigned index, struct sim_buf *buf)
{
    struct sim_receiver *r = &sim->receivers[index];
    struct flight f;

    if (!meddled(sim, buf, 0, SIM_NODE_SENDER)) {
        send_over(sim, &r->spec.up, &r->up,
                  (struct sim_event){.time = sim->now,
                                     .sim = sim,
                                     .buf = buf,
                                     .packets = 1,
                                     .kind = SIM_DELIVER,
                                     .node = SIM_NODE_SENDER});
    }
    if (!sim->config.unicast_nack) {
        take_off(sim, buf, &f);
        fan_out(sim, buf, &f, false);
    }
}
