/* SPDX-License-Identifier: Apache-2.0
 * Simulator: setting up, the run, the end. One thread. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#include "sim_content.h"
#include "sim_inside.h"

#define SENDER_START CP_MSEC /* receivers are there by then */

static const struct sim_timer no_timer = {CP_TIME_NEVER, CP_TIME_NEVER};

void sim_fail(struct sim *sim, const char *why)
{
    if (sim->failure == NULL) {
        sim->failure = why;
    }
}

/* ---- run ---- */

static void fan_out(struct sim *sim, const struct sim_event *e)
{
    const struct sim_group *g = &sim->groups[e->node];

    for (unsigned n = 0; n < g->count; n++) {
        unsigned index = g->member[n];
        struct sim_receiver *r = &sim->receivers[index];

        if (r->joined && !r->left && index + 1 != e->buf->from) {
            uint64_t packets =
                sim_losses_pass(&r->down.losses, &sim->prng, &r->spec.down, e->packets);

            if (packets != 0) {
                sim_receiver_gets(sim, index, e->buf, packets);
            }
        }
    }
}

static void deliver(struct sim *sim, const struct sim_event *e)
{
    if (e->node == SIM_NODE_SENDER) {
        sim_sender_gets(sim, e);
    } else if (!sim->receivers[e->node - 1].left) {
        sim_receiver_gets(sim, e->node - 1, e->buf, e->packets);
    }
}

static void step(const struct sim_event *e)
{
    struct sim *sim = e->sim;

    sim->now = e->time;
    switch (e->kind) {
    case SIM_WAKE_SENDER:
        sim_wake_sender(sim);
        break;
    case SIM_WAKE_RECEIVER:
        sim_wake_receiver(sim, e->node - 1);
        break;
    case SIM_JOIN:
        sim->receivers[e->node - 1].joined = true;
        break;
    case SIM_LEAVE:
        sim->receivers[e->node - 1].left = true;
        break;
    case SIM_DELIVER:
        deliver(sim, e);
        sim_buf_put(e->buf);
        break;
    case SIM_FAN_OUT:
        fan_out(sim, e);
        sim_buf_put(e->buf);
        break;
    case SIM_FORGE:
        sim_forge(sim);
        break;
    }
}

static bool session_over(const struct sim *sim)
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

/* Nothing more to wait for, or one of the sessions failed. */
static bool over(const struct sim_network *net, const char **ret_failure)
{
    bool all = true;

    for (unsigned i = 0; i < net->session_count; i++) {
        if (net->session[i]->failure != NULL) {
            *ret_failure = net->session[i]->failure;
            return true;
        }
        all = all && session_over(net->session[i]);
    }
    return all;
}

bool sim_run(struct sim *sim)
{
    struct sim_network *net = sim->network;
    const char *failure = NULL;
    struct sim_event e;

    while (!over(net, &failure)) {
        if (!sim_events_pop(net->events, sim->config.time_limit, &e)) {
            sim_fail(sim, sim_events_empty(net->events) ? "nothing more happens" : "time limit");
            continue;
        }
        step(&e);
    }
    sim->failure = failure;
    return failure == NULL;
}

void sim_run_until(struct sim *sim, cp_time until)
{
    struct sim_network *net = sim->network;
    struct sim_event e;

    while (sim->failure == NULL && sim_events_pop(net->events, until, &e)) {
        step(&e);
    }
    for (unsigned i = 0; i < net->session_count; i++) {
        net->session[i]->now = until;
    }
}

/* ---- life ---- */

/* Some blocks, never the last, so that something is left to complete. */
static void read_journal(struct sim *sim, struct sim_receiver *r)
{
    for (uint32_t sbn = 0; sbn + 1 < sim->part.block_count; sbn++) {
        if (r->spec.object_known && r->spec.have > 0.0 && sim_unit(sim) < r->spec.have) {
            norm_receiver_block_have(r->core, sbn);
            sim_content_have(sim, r, sbn);
        }
    }
}

static void plan(struct sim *sim, cp_time at, enum sim_event_kind kind, unsigned node)
{
    sim_events_push(sim->network->events,
                    (struct sim_event){.time = at, .sim = sim, .kind = kind, .node = node});
}

static void new_core(struct sim *sim, unsigned index)
{
    struct sim_receiver *r = &sim->receivers[index];
    struct norm_receiver_config config = {
        .node_id = SIM_RECEIVER_ID + index,
        .sender_id = r->spec.object_known ? sim->config.sender.node_id : NORM_NODE_ANY,
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
    enum cp_err err =
        norm_receiver_new(&config, sim_clock_read(&r->spec.clock, r->spec.join_at), &r->core);

    CP_ASSERT(err == CP_OK);
    if (r->spec.acker) {
        err = norm_sender_add_acker(sim->sender, config.node_id);
        CP_ASSERT(err == CP_OK);
    }
}

static void new_receiver(struct sim *sim, unsigned index)
{
    struct sim_receiver *r = &sim->receivers[index];

    r->timer = no_timer;
    new_core(sim, index);
    r->blocks = calloc(sim->part.block_count, sizeof(*r->blocks));
    CP_ASSERT(r->blocks != NULL);
    read_journal(sim, r);
    plan(sim, r->spec.join_at, SIM_JOIN, index + 1);
    if (r->spec.leave_at != 0) {
        plan(sim, r->spec.leave_at, SIM_LEAVE, index + 1);
    } else if (!r->spec.optional) {
        sim->wait_count++;
    }
}

static void init_network(struct sim *sim)
{
    if (sim->config.beside != NULL) {
        sim->network = sim->config.beside->network;
    } else {
        sim->network = calloc(1, sizeof(*sim->network));
        CP_ASSERT(sim->network != NULL);
        sim->network->events = sim_events_new();
    }
    CP_ASSERT(sim->network->session_count < SIM_SESSIONS_MAX);
    sim->network->session[sim->network->session_count++] = sim;
}

void sim_init(struct sim *sim, const struct sim_config *config,
              const struct sim_receiver_spec *specs, unsigned count)
{
    size_t packet = (size_t)config->sender.fti.segment_size + 128;
    enum cp_err err;

    *sim = (struct sim){.config = *config, .receiver_count = count, .sender_timer = no_timer};
    cp_prng_seed(&sim->prng, config->seed);
    init_network(sim);
    sim->config.sender.multicast_nack = !config->unicast_nack;
    sim->window = sim_window_new();
    sim->tx.cap = packet * NORM_TX_PACKETS_MAX;
    sim->tx.data = malloc(sim->tx.cap);
    sim->receivers = calloc(count, sizeof(*sim->receivers));
    CP_ASSERT(sim->tx.data != NULL && sim->receivers != NULL);
    err = norm_sender_new(&sim->config.sender,
                          sim_clock_read(&config->sender_clock, config->start_at), &sim->sender);
    CP_ASSERT(err == CP_OK);
    sim->part = *norm_sender_partition(sim->sender);
    for (unsigned i = 0; i < count; i++) {
        sim->receivers[i].spec = specs[i];
        new_receiver(sim, i);
    }
    sim_groups_init(sim);
    sim_timer_set(sim, SIM_NODE_SENDER, config->start_at + SENDER_START);
    if (config->forge > 0) {
        plan(sim, config->start_at + SENDER_START, SIM_FORGE, SIM_NODE_SENDER);
    }
}

void sim_restart_sender(struct sim *sim, uint16_t instance_id)
{
    enum cp_err err;

    norm_sender_free(sim->sender);
    sim->config.sender.instance_id = instance_id;
    err = norm_sender_new(&sim->config.sender, sim_clock_read(&sim->config.sender_clock, sim->now),
                          &sim->sender);
    CP_ASSERT(err == CP_OK);
    sim_drive_sender(sim);
}

void sim_kill_sender(struct sim *sim)
{
    norm_sender_free(sim->sender);
    sim->sender = NULL;
    sim->sender_timer = no_timer;
}

void sim_excuse(struct sim *sim, unsigned index)
{
    struct sim_receiver *r = &sim->receivers[index];

    if (!r->complete && r->spec.leave_at == 0 && !r->spec.optional) {
        r->spec.optional = true;
        sim->wait_count--;
    }
}

void sim_poke_sender(struct sim *sim)
{
    sim_drive_sender(sim);
}

static void leave_network(struct sim *sim)
{
    struct sim_network *net = sim->network;

    if (sim->config.beside == NULL) {
        CP_ASSERT(net->session_count == 1); /* the others refer to it */
        sim_events_free(net->events);
        free(net);
        return;
    }
    net->session_count--;
    for (unsigned i = 0; i < net->session_count; i++) {
        if (net->session[i] == sim) {
            net->session[i] = net->session[net->session_count];
        }
    }
}

void sim_done(struct sim *sim)
{
    for (unsigned i = 0; i < sim->receiver_count; i++) {
        norm_receiver_free(sim->receivers[i].core);
        free(sim->receivers[i].blocks);
    }
    sim_groups_done(sim);
    free(sim->receivers);
    norm_sender_free(sim->sender);
    sim_window_free(sim->window);
    leave_network(sim);
    free(sim->tx.data);
}
