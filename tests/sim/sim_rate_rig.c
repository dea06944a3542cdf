/* SPDX-License-Identifier: Apache-2.0
 * See sim_rate_rig.h. */
#include "sim_rate_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sim_lan.h"
#include "sim_limits.h"

static const char *only; /* scenario asked for; NULL: all */

static void print_decision(void *arg, const struct norm_trace *t)
{
    (void)arg;
    if (only != NULL && t->kind == NORM_TRACE_RATE) {
        printf("    %8.4f s %-10s %8.1f to %8.1f Mbit/s, node %u, loss %.4f, received %.1f\n",
               (double)t->at / 1e9, norm_reason_name(t->reason), (double)t->before / 1e6,
               (double)t->after / 1e6, t->node_id, t->loss, (double)t->rate_bps / 1e6);
    }
}

struct sim_config rate_lan(uint64_t object_size, uint64_t gsize, uint64_t ceiling)
{
    struct sim_config c = {
        .unicast_nack = true,
        .seed = 42,
        .time_limit = 200 * CP_SEC,
        .fast_content = true,
    };

    /* The pace alone: nobody is left behind, parity does not change. */
    c.sender = sim_lan_sender(object_size, gsize);
    c.sender.rate_bps = ceiling;
    c.sender.auto_parity_max = 0;
    c.sender.slow_share = 0.0;
    c.sender.budget = false;
    c.sender.trace = print_decision;
    return c;
}

void rate_sample(struct rate_pace *p, uint64_t bps)
{
    double is = (double)bps;

    p->mean = (p->mean * p->samples + is) / (p->samples + 1);
    p->least = p->samples == 0 || is < p->least ? is : p->least;
    p->most = is > p->most ? is : p->most;
    p->samples++;
}

uint64_t rate_of(const struct sim *sim)
{
    struct norm_sender_stats stats;

    norm_sender_get_stats(sim->sender, &stats);
    return stats.rate_bps;
}

bool rate_sending(const struct sim *sim)
{
    struct norm_sender_stats stats;

    norm_sender_get_stats(sim->sender, &stats);
    return stats.next_block < sim->part.block_count;
}

struct rate_pace rate_watch(struct sim *sim, cp_time from, cp_time until)
{
    struct rate_pace p = {0};

    sim_run_until(sim, from);
    while (sim->failure == NULL && sim->now < until && rate_sending(sim)) {
        sim_run_until(sim, sim->now + RATE_STEP);
        rate_sample(&p, rate_of(sim));
    }
    return p;
}

double rate_wire(const struct sim *sim)
{
    return (double)sim->totals.wire_bytes /
           ((double)(sim->config.sender.fti.object_size / LAN_SEGMENT) * LAN_PACKET);
}

void rate_report(const char *name, const struct sim *sim, const struct rate_pace *p)
{
    printf("%s: pace %.1f (%.1f to %.1f) Mbit/s, done at %.3f s, wire %.4f of the object, "
           "%" PRIu64 " acks, %" PRIu64 " nacks\n",
           name, p->mean / 1e6, p->least / 1e6, p->most / 1e6,
           (double)sim_last_completion(sim) / 1e9, rate_wire(sim), sim->totals.acks_cc,
           sim->totals.nacks);
}

int rate_run(int argc, char **argv, const struct rate_scenario *scenarios, size_t count)
{
    only = argc > 1 ? argv[1] : NULL;
    for (size_t i = 0; i < count; i++) {
        if (only == NULL || strcmp(only, scenarios[i].name) == 0) {
            scenarios[i].run();
        }
    }
    return sim_limits_exit();
}
