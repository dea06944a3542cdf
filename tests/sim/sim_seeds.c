/* SPDX-License-Identifier: Apache-2.0
 * Random scenarios, one per seed: every receiver must complete in bounded virtual time with the
 * right content. `sim_seeds [FIRST [COUNT]]`; a single FIRST replays one seed and says more. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

#define RECEIVERS_MAX 50u
#define SEEDS_DEFAULT 1000u
#define BURST_MAX     32.0 /* packets */
#define OTHER_SEED    (UINT64_C(1) << 40)

struct scenario {
    struct sim_config config;
    struct sim_receiver_spec specs[RECEIVERS_MAX];
    unsigned count;
    cp_time restart_at; /* of the sender; 0: never */
};

static uint64_t between(struct cp_prng *p, uint64_t low, uint64_t high)
{
    return low + cp_prng_below(p, high - low + 1);
}

static uint64_t pick_size(struct cp_prng *p, const struct norm_fti *fti)
{
    uint64_t block = (uint64_t)fti->segment_size * fti->max_block_len;

    switch (cp_prng_below(p, 8)) {
    case 0:
        return between(p, 1, fti->segment_size); /* one symbol */
    case 1:
        return between(p, 1, block); /* one block */
    case 2:
        return block * between(p, 1, 12); /* whole blocks */
    default:
        return between(p, block, block * 24);
    }
}

static void pick_sender(struct cp_prng *p, struct norm_sender_config *c)
{
    static const uint8_t info[] = "an object";
    unsigned blocks = (unsigned)between(p, 1, 48);

    *c = (struct norm_sender_config){
        .node_id = SIM_SENDER_ID,
        .instance_id = (uint16_t)cp_prng_u64(p),
        .object_id = (uint16_t)cp_prng_u64(p),
        .fec_id = cp_prng_below(p, 5) == 0 ? 5 : 129,
        .fti = {.segment_size = (uint16_t)(8 * between(p, 4, 24)),
                .max_block_len = (uint16_t)blocks,
                .num_parity = (uint16_t)between(p, 0, 24)},
        .info = info,
        .info_size = cp_prng_below(p, 2) == 0 ? 0 : (uint16_t)sizeof(info),
        .auth_size = cp_prng_below(p, 2) == 0 ? 0 : 24,
        .repair_flag = cp_prng_below(p, 4) != 0,
        .cc_probe_rate = cp_prng_below(p, 2) == 0,
        .grtt = between(p, 1, 50) * CP_MSEC,
        .grtt_min = CP_MSEC,
        .grtt_max = 200 * CP_MSEC,
        .backoff = (uint8_t)between(p, 0, 6),
        .gsize = 10,
        .robust_factor = 20,
        .rate_bps = between(p, 2, 100) * 1000 * 1000,
        .live_window = between(p, 1, 40) * 50 * CP_MSEC,
        .hold = 2 * CP_SEC,
    };
    c->auto_parity = (uint8_t)between(p, 0, 3);
    c->fti.object_size = pick_size(p, &c->fti);
}

/* How the sender adapts: a third of the sessions each way. */
static void pick_adaption(struct cp_prng *p, struct norm_sender_config *c)
{
    static const enum norm_rate_mode modes[] = {NORM_RATE_FIXED, NORM_RATE_LAN, NORM_RATE_TFMCC};

    c->rate_mode = modes[cp_prng_below(p, 3)];
    /* By the equation 20 % loss over 40 ms leave 2 kB a second: no session for two minutes. */
    c->rate_floor_bps = c->rate_mode == NORM_RATE_TFMCC ? 500000 : 0;
    c->rate_start_bps = cp_prng_below(p, 2) == 0 ? 0 : c->rate_bps / between(p, 1, 20);
    c->slow_share = cp_prng_below(p, 2) == 0 ? 0.1 : 0.0;
    c->budget = cp_prng_below(p, 3) == 0;
    c->auto_parity_max = cp_prng_below(p, 2) == 0 ? 0 : (uint8_t)c->fti.num_parity;
    c->seed = cp_prng_u64(p);
}

static struct sim_clock pick_clock(struct cp_prng *p)
{
    return (struct sim_clock){
        .offset = cp_prng_below(p, 3) == 0 ? cp_prng_below(p, 3600) * CP_SEC : 0,
        .ppm = cp_prng_below(p, 2) == 0 ? (int32_t)cp_prng_below(p, 401) - 200 : 0,
    };
}

/* A burst counts packets, and feedback is sparse: a long one on the way up is an outage of minutes,
 * after which receivers may have given up. */
static void worsen(struct cp_prng *p, struct sim_link *l, double burst_max)
{
    l->burst = cp_prng_below(p, 4) == 0 ? 2.0 + cp_prng_unit(p) * (burst_max - 2.0) : 0.0;
    l->corrupt = cp_prng_below(p, 4) == 0 ? cp_prng_unit(p) * 0.03 : 0.0;
}

/* A link that several share. Whoever goes at a fixed pace was told one that the link can take. */
static struct sim_link pick_shared(struct cp_prng *p, const struct norm_sender_config *c)
{
    uint64_t least = c->rate_mode == NORM_RATE_FIXED ? 105 : 30;
    struct sim_link l = {
        .loss = cp_prng_below(p, 2) == 0 ? cp_prng_unit(p) * 0.05 : 0.0,
        .delay = between(p, 10, 2000) * CP_USEC,
        .jitter = cp_prng_below(p, 4) == 0 ? between(p, 1, 1000) * CP_USEC : 0,
        .rate_bps = cp_prng_below(p, 2) == 0 ? c->rate_bps / 100 * between(p, least, 300) : 0,
        .queue_bytes = between(p, 16, 512) * 1024,
    };

    l.burst = cp_prng_below(p, 3) == 0 ? 2.0 + cp_prng_unit(p) * (BURST_MAX - 2.0) : 0.0;
    return l;
}

static void pick_network(struct cp_prng *p, struct scenario *s)
{
    unsigned branches = cp_prng_below(p, 3) == 0 ? (unsigned)between(p, 1, SIM_BRANCHES_MAX) : 0;

    if (cp_prng_below(p, 3) == 0) {
        s->config.trunk = pick_shared(p, &s->config.sender);
    }
    for (unsigned b = 0; b < branches; b++) {
        s->config.branch[b] = pick_shared(p, &s->config.sender);
    }
    for (unsigned i = 0; i < s->count; i++) {
        s->specs[i].branch = (unsigned)cp_prng_below(p, branches + 1);
        s->specs[i].clock = pick_clock(p);
        worsen(p, &s->specs[i].down, BURST_MAX);
        worsen(p, &s->specs[i].up, 4.0);
    }
    s->config.sender_clock = pick_clock(p);
    /* As the server does while somebody is not complete: a burst may swallow all flushes. */
    s->config.sender.hold = s->config.time_limit;
    s->config.forge = cp_prng_below(p, 3) == 0 ? between(p, 1, 50) * CP_MSEC : 0;
}

static struct sim_link pick_link(struct cp_prng *p, double worst)
{
    return (struct sim_link){
        .loss = cp_prng_below(p, 4) == 0 ? 0.0 : cp_prng_unit(p) * worst,
        .duplicate = cp_prng_below(p, 3) == 0 ? cp_prng_unit(p) * 0.05 : 0.0,
        .delay = between(p, 50, 20000) * CP_USEC,
        .jitter = cp_prng_below(p, 2) == 0 ? between(p, 1, 3000) * CP_USEC : 0,
        .rate_bps = cp_prng_below(p, 4) == 0 ? UINT64_C(200000000) : 0,
        .queue_bytes = 65536,
    };
}

static void make(struct scenario *s, uint64_t seed)
{
    struct cp_prng p;
    cp_time pass;

    cp_prng_seed(&p, seed);
    pick_sender(&p, &s->config.sender);
    s->config.seed = cp_prng_u64(&p);
    s->config.unicast_nack = cp_prng_below(&p, 2) == 0;
    s->config.time_limit = 120 * CP_SEC;
    s->count =
        (unsigned)(cp_prng_below(&p, 4) == 0 ? between(&p, 1, RECEIVERS_MAX) : between(&p, 1, 8));
    pass = s->config.sender.fti.object_size * 8 * CP_SEC / s->config.sender.rate_bps;
    bool known = cp_prng_below(&p, 2) == 0;
    double worst = cp_prng_below(&p, 2) == 0 ? 0.2 : 0.05;

    for (unsigned i = 0; i < s->count; i++) {
        bool late = cp_prng_below(&p, 4) == 0;

        s->specs[i] = (struct sim_receiver_spec){
            .down = pick_link(&p, worst),
            .up = pick_link(&p, worst),
            .join_at = late ? cp_prng_below(&p, pass + CP_MSEC) : 0,
            .object_known = known,
            .defer_missed = cp_prng_below(&p, 2) == 0,
        };
        s->specs[i].acker = cp_prng_below(&p, 4) != 0;
        s->specs[i].spoil = cp_prng_below(&p, 8) == 0 ? 0.1 : 0.0;
        s->specs[i].have = cp_prng_below(&p, 8) == 0 ? 0.5 : 0.0;
        if (i > 0 && cp_prng_below(&p, 12) == 0) {
            s->specs[i].leave_at = 1 + cp_prng_below(&p, 2 * pass + CP_MSEC);
        }
        s->specs[i].silent = s->specs[i].leave_at != 0 && cp_prng_below(&p, 2) == 0;
    }
    s->restart_at = cp_prng_below(&p, 8) == 0 ? 1 + cp_prng_below(&p, pass + CP_MSEC) : 0;
    /* New draws come last, so that old seeds keep their stories. */
    s->config.late = cp_prng_below(&p, 3) == 0 ? cp_prng_below(&p, 20 * CP_MSEC) : 0;
    pick_adaption(&p, &s->config.sender);
    pick_network(&p, s);
}

static void describe(const struct scenario *s)
{
    const struct norm_sender_config *c = &s->config.sender;

    printf("  object %" PRIu64 " B, E %u B %u P %u, auto %u, fec %u, auth %u\n", c->fti.object_size,
           c->fti.segment_size, c->fti.max_block_len, c->fti.num_parity, c->auto_parity, c->fec_id,
           c->auth_size);
    printf("  %" PRIu64 " bit/s, grtt %.1f ms, K %u, live %.2f s, %s NACK, %u receivers\n",
           c->rate_bps, (double)c->grtt / 1e6, c->backoff, (double)c->live_window / 1e9,
           s->config.unicast_nack ? "unicast" : "multicast", s->count);
    printf("  rate mode %d, auto parity up to %u, budget %d, slow share %.1f; trunk loss %.3f "
           "%.1f Mbit/s; forged every %.0f ms; timers late by %.0f ms\n",
           (int)c->rate_mode, c->auto_parity_max, c->budget, c->slow_share, s->config.trunk.loss,
           (double)s->config.trunk.rate_bps / 1e6, (double)s->config.forge / 1e6,
           (double)s->config.late / 1e6);
}

static void report(const struct sim *sim)
{
    const struct sim_totals *t = &sim->totals;
    struct norm_sender_stats stats;

    norm_sender_get_stats(sim->sender, &stats);
    printf("  ended at %.3f s; sent %" PRIu64 " source %" PRIu64 " parity %" PRIu64
           " repair symbols; nacks %" PRIu64 " adverts %" PRIu64 " flushes %" PRIu64 "\n",
           (double)sim->now / 1e9, stats.source_symbols, stats.parity_symbols, stats.repair_symbols,
           t->nacks, t->adverts, t->flushes);
    for (unsigned i = 0; i < sim->receiver_count; i++) {
        const struct sim_receiver *r = &sim->receivers[i];
        struct norm_receiver_stats rs;

        norm_receiver_get_stats(r->core, &rs);
        printf("  receiver %u: loss %.3f/%.3f joined %.3f s, %u of %u blocks%s at %.3f s, "
               "nacks %" PRIu64 " suppressed %" PRIu64 "\n",
               i, r->spec.down.loss, r->spec.up.loss, (double)r->spec.join_at / 1e9,
               rs.blocks_complete, sim->part.block_count, r->complete ? " complete" : "",
               (double)r->complete_at / 1e9, rs.nacks_sent, rs.nacks_suppressed);
    }
}

/* Whom the budget leaves alone does not complete. */
struct session {
    struct scenario scenario;
    struct sim sim;
    bool verbose;
};

/* Whom the budget leaves alone does not complete. */
static void on_decision(void *arg, const struct norm_trace *t)
{
    struct session *s = arg;

    if (t->kind == NORM_TRACE_BUDGET) {
        sim_excuse(&s->sim, t->node_id - SIM_RECEIVER_ID);
    }
    if (s->verbose) {
        printf("  %.3f s: %s %" PRIu64 " to %" PRIu64 ", %s, node %" PRIu32 " loss %.3f\n",
               (double)s->sim.now / 1e9, norm_trace_kind_name(t->kind), t->before, t->after,
               norm_reason_name(t->reason), t->node_id, t->loss);
    }
}

static void set_up(struct session *s, uint64_t seed, struct sim *beside)
{
    struct scenario *sc = &s->scenario;

    *sc = (struct scenario){0};
    make(sc, seed);
    sc->config.sender.trace = on_decision;
    sc->config.sender.trace_arg = s;
    sc->config.beside = beside;
    sim_init(&s->sim, &sc->config, sc->specs, sc->count);
}

/* In every eighth scenario another session has the same network. */
static bool run(uint64_t seed, bool verbose)
{
    struct session one = {.verbose = verbose}, other = {.verbose = verbose};
    bool pair = seed % 8 == 7, right;

    set_up(&one, seed, NULL);
    if (pair) {
        set_up(&other, seed + OTHER_SEED, &one.sim);
    }
    if (one.scenario.restart_at > 0) {
        sim_run_until(&one.sim, one.scenario.restart_at);
        sim_restart_sender(&one.sim, (uint16_t)(one.scenario.config.sender.instance_id + 1));
    }
    right = sim_run(&one.sim);
    if (!right) {
        printf("seed %" PRIu64 " FAILED: %s\n", seed, one.sim.failure);
    }
    for (unsigned i = 0; i <= pair && (!right || verbose); i++) {
        describe(i == 0 ? &one.scenario : &other.scenario);
        report(i == 0 ? &one.sim : &other.sim);
    }
    if (pair) {
        sim_done(&other.sim);
    }
    sim_done(&one.sim);
    return right;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : SEEDS_DEFAULT;
    unsigned failures = 0;

    for (uint64_t seed = first; seed < first + count; seed++) {
        failures += !run(seed, count == 1);
    }
    printf("%" PRIu64 " seeds, %u failed\n", count, failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
