/* SPDX-License-Identifier: Apache-2.0
 * What the engine promises of large groups, in virtual time and asserted: from one receiver to
 * thousands, with the settings of the service and no rate but the link's.
 *   sim_scale [growth|late|slow|crowd|bursts]… [small] [print] [trace]
 * small: groups a tenth as large, for builds with sanitizers; print: limits missed do not fail;
 * trace: the sender's decisions too. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "sim_lan.h"

#define LINK_BPS  UINT64_C(1000000000)
#define OBJECT    (UINT64_C(350) * LAN_SEGMENT * LAN_BLOCK) /* 63 MB: half a second of the link */
#define CROWD     5000u
#define RUNS      3u /* of which the mean counts, where chance matters */
#define NODES_MAX (CROWD + 1u)

/* What growth may cost: never more than 3 points over the bound and 12 % over the time of one
 * receiver; measured it is less, and stays so. */
static const struct {
    double loss, wire_max, time_max;
} growths[] = {{0.0, 0.005, 1.05}, {0.01, 0.02, 1.09}, {0.05, 0.02, 1.12}};

struct bench {
    unsigned divisor; /* of the groups' sizes */
    uint64_t seed;
    bool trace;
    unsigned failures;
};

struct result {
    double time;   /* of the last receiver that the run waits for, over the object's time */
    double excess; /* wire bytes above the bound of any block code, share of the object */
    bool finished;
};

static void expect(struct bench *b, const char *what, double is, double limit)
{
    if (is > limit) {
        printf("  MISSED: %s is %.4f, limit %.4f\n", what, is, limit);
        b->failures++;
    }
}

static void print_decision(void *arg, const struct norm_trace *t)
{
    (void)arg;
    printf("      %.3f s %s: %" PRIu64 " to %" PRIu64 ", %s, node %" PRIu32
           " loss %.4f rate %.1f Mbit/s\n",
           (double)t->at / (double)CP_SEC, norm_trace_kind_name(t->kind), t->before, t->after,
           norm_reason_name(t->reason), t->node_id, t->loss, (double)t->rate_bps / 1e6);
}

static struct sim_config lan(const struct bench *b, uint64_t object_size, uint64_t gsize)
{
    struct sim_config c = {
        .trunk = {.rate_bps = LINK_BPS, .queue_bytes = 1 << 20},
        .unicast_nack = true,
        .seed = b->seed,
        .time_limit = 100 * CP_SEC,
        .fast_content = true,
    };

    c.sender = sim_lan_sender(object_size, gsize);
    c.sender.rate_bps = LINK_BPS;
    c.sender.trace = b->trace ? print_decision : NULL;
    return c;
}

static struct sim_receiver_spec *lan_specs(unsigned count, double loss)
{
    static struct sim_receiver_spec specs[NODES_MAX];

    for (unsigned i = 0; i < count; i++) {
        specs[i] = (struct sim_receiver_spec){
            .down = {.loss = loss, .delay = 100 * CP_USEC},
            .up = {.loss = loss, .delay = 100 * CP_USEC},
            .object_known = true,
            .defer_missed = true,
            .acker = i < NORM_ACKING_MAX,
        };
    }
    return specs;
}

static double seconds(cp_time t)
{
    return (double)t / (double)CP_SEC;
}

/* Time that the object takes at the link's rate without any protection. */
static double object_time(const struct sim_config *c)
{
    return (double)c->sender.fti.object_size / LAN_SEGMENT * LAN_PACKET * 8.0 / (double)LINK_BPS;
}

/* Runs, and tells all that is of interest anywhere. */
static struct result measure(struct bench *b, struct sim *sim, double loss)
{
    const struct sim_config *c = &sim->config;
    struct result r = {.finished = sim_run(sim)};
    double symbols = (double)c->sender.fti.object_size / LAN_SEGMENT;

    if (!r.finished) {
        unsigned done = 0;

        for (unsigned i = 0; i < sim->receiver_count; i++) {
            done += sim->receivers[i].complete;
        }
        printf("  MISSED: %s, %u of %u complete\n", sim->failure, done, sim->receiver_count);
        b->failures++;
    }
    r.time = seconds(sim_last_completion(sim)) / object_time(c);
    r.excess = (double)sim->totals.wire_bytes / (symbols * LAN_PACKET) - 1.0 -
               sim_bound(LAN_BLOCK, sim->receiver_count, loss);
    printf("%5u receivers, loss %.3f: %.3f object times, wire %+.2f points of the bound, nacks "
           "%" PRIu64 ", adverts %" PRIu64 ", feedback %" PRIu64 ", at most %u/s\n",
           sim->receiver_count, loss, r.time, r.excess * 100, sim->totals.nacks,
           sim->totals.adverts, sim->totals.feedback, sim->totals.feedback_peak);
    fflush(stdout);
    return r;
}

static struct result run_group(struct bench *b, unsigned count, double loss)
{
    struct sim_config c = lan(b, OBJECT, count);
    struct sim sim;
    struct result r;

    sim_init(&sim, &c, lan_specs(count, loss), count);
    r = measure(b, &sim, loss);
    sim_done(&sim);
    return r;
}

/* The time hardly grows with the group, and what is sent is what must be sent. */
static void run_growth(struct bench *b, double loss, double wire_max, double time_max)
{
    double alone = 0.0;

    for (unsigned count = 1; count <= 1000 / b->divisor; count *= 10) {
        unsigned runs = count <= 10 ? RUNS : 1; /* in large groups chance evens out */
        double time = 0.0;

        for (b->seed = 1; b->seed <= runs; b->seed++) {
            struct result r = run_group(b, count, loss);

            time += r.time / runs;
            expect(b, "wire bytes over the bound", r.excess, wire_max);
        }
        alone = count == 1 ? time : alone;
        expect(b, "time over that of one receiver", time / alone, time_max);
    }
}

/* Time of the last of the first `count` receivers, of which there may be one more. */
static double others_time(const struct sim *sim, unsigned count)
{
    double last = 0.0;

    for (unsigned i = 0; i < count; i++) {
        double t = seconds(sim->receivers[i].complete_at);

        last = t > last ? t : last;
    }
    return last;
}

/* Completion of the first `count`, with or without one more that makes a difference. */
struct pair {
    double without, with; /* seconds */
    double extra;         /* from its joining to its end; 0: never complete */
};

static void run_pair(struct bench *b, const struct sim_config *c,
                     const struct sim_receiver_spec *extra, unsigned count, double loss,
                     struct pair *sum)
{
    /* The odd one is one of the group, or one more when it is not there from the start. */
    bool late = extra->join_at > 0;
    struct sim_config config = *c;
    struct sim sim;

    for (b->seed = 1; b->seed <= RUNS; b->seed++) {
        config.seed = b->seed;
        struct sim_receiver_spec *specs = lan_specs(count + 1, loss);

        sim_init(&sim, &config, specs, late ? count : count + 1);
        (void)measure(b, &sim, loss);
        sum->without += others_time(&sim, count);
        sim_done(&sim);

        specs[count] = *extra;
        sim_init(&sim, &config, specs, count + 1);
        (void)measure(b, &sim, loss);
        sum->with += others_time(&sim, count);
        if (sim.receivers[count].complete) {
            sum->extra += seconds(sim.receivers[count].complete_at - extra->join_at);
        }
        sim_done(&sim);
    }
}

/* A receiver that joins at half time gets what it missed when the others are done. */
static void run_late(struct bench *b, unsigned count, double loss)
{
    struct sim_config c = lan(b, 2 * OBJECT, count);
    struct sim_receiver_spec extra = lan_specs(1, loss)[0];
    struct pair sum = {0};

    extra.join_at = (cp_time)(object_time(&c) * 0.5 * (double)CP_SEC);
    run_pair(b, &c, &extra, count, loss, &sum);
    sum.extra /= RUNS * object_time(&c);
    printf("      one of them late: done %.3f object times after it joined, others %+.2f %%\n",
           sum.extra, (sum.with / sum.without - 1.0) * 100);
    expect(b, "late joiner's time over the object's", sum.extra, 1.08);
    expect(b, "others' time over that without it", sum.with / sum.without, 1.02);
}

/* One receiver on a tenth of the bandwidth is left behind, not the others with it. */
static void run_slow(struct bench *b, unsigned count, double loss)
{
    struct sim_config c = lan(b, 2 * OBJECT, count + 1);
    struct sim_receiver_spec extra = lan_specs(1, loss)[0];
    struct pair sum = {0};

    extra.down.rate_bps = LINK_BPS / 10;
    extra.down.queue_bytes = 256 * 1024;
    extra.optional = true;
    run_pair(b, &c, &extra, count, loss, &sum);
    printf("      one of them on a tenth of the bandwidth: others %+.2f %%\n",
           (sum.with / sum.without - 1.0) * 100);
    expect(b, "others' time over that without it", sum.with / sum.without, 1.04);
}

/* Thousands that lose a little each must not drown the sender in feedback. */
static void run_crowd(struct bench *b, unsigned count)
{
    struct sim_config c = lan(b, OBJECT, count);
    struct sim sim;

    sim_init(&sim, &c, lan_specs(count, 0.001), count);
    (void)measure(b, &sim, 0.001);
    expect(b, "feedback messages in a second", sim.totals.feedback_peak, 150);
    sim_done(&sim);
}

/* Losses in runs of 20: more than a block's proactive parity can heal. */
static void run_bursts(struct bench *b, unsigned count, double loss, double time_max)
{
    struct sim_config c = lan(b, OBJECT, count);
    struct sim_receiver_spec *specs = lan_specs(count, loss);
    struct sim sim;

    for (unsigned i = 0; i < count; i++) {
        specs[i].down.burst = 20.0;
    }
    sim_init(&sim, &c, specs, count);
    printf("      in bursts of 20 packets:\n");
    expect(b, "time over the object's", measure(b, &sim, loss).time, time_max);
    sim_done(&sim);
}

/* ---- choice ---- */

static void growth(struct bench *b)
{
    for (size_t i = 0; i < sizeof(growths) / sizeof(*growths); i++) {
        run_growth(b, growths[i].loss, growths[i].wire_max, growths[i].time_max);
    }
}

static void late(struct bench *b)
{
    run_late(b, 10, 0.0);
    run_late(b, 10, 0.01);
}

static void slow(struct bench *b)
{
    run_slow(b, 10, 0.0);
    run_slow(b, 10, 0.01);
}

static void crowd(struct bench *b)
{
    run_crowd(b, CROWD / b->divisor);
}

static void bursts(struct bench *b)
{
    run_bursts(b, 10, 0.01, 1.2);
    run_bursts(b, 100, 0.05, 2.1);
}

static const struct {
    const char *name;
    void (*run)(struct bench *b);
} cases[] = {
    {"growth", growth}, {"late", late}, {"slow", slow}, {"crowd", crowd}, {"bursts", bursts},
};

static bool has_argument(char **argv, const char *word)
{
    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, word) == 0) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    struct bench b = {.divisor = has_argument(argv, "small") ? 10 : 1,
                      .seed = 1,
                      .trace = has_argument(argv, "trace")};
    bool all = true;

    (void)argc;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        all = all && !has_argument(argv + 1, cases[i].name);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (all || has_argument(argv + 1, cases[i].name)) {
            cases[i].run(&b);
        }
    }
    printf("%u limits missed\n", b.failures);
    return b.failures == 0 || has_argument(argv, "print") ? EXIT_SUCCESS : EXIT_FAILURE;
}
