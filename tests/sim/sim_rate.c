/* SPDX-License-Identifier: Apache-2.0
 * Rate control over a network, in virtual time: which pace is found, how fast, and what it costs, over
 * bottlenecks, random loss, shared links, for many, and below a ceiling that changes. `sim_rate NAME`
 * runs one scenario and prints every decision of the sender. */
#include <inttypes.h>
#include <stdio.h>

#include "sim_lan.h"
#include "sim_limits.h"
#include "sim_rate_rig.h"

#define SPEC_MAX 64u

/* Within two seconds the pace is right, and what overflowed meanwhile costs little. */
static void bottleneck(uint64_t ceiling, uint64_t rate, size_t queue, double loss)
{
    double most;
    struct sim_receiver_spec specs[3];
    struct sim_config c = rate_lan(rate >= 300 * MBIT ? 300 * MB : 150 * MB, 3, ceiling);
    char name[96];
    struct sim sim;
    struct rate_pace p;

    snprintf(name, sizeof(name), "%" PRIu64 " Mbit/s below %" PRIu64 ", queue %zu KiB, loss %.2f",
             rate / MBIT, ceiling / MBIT, queue / 1024, loss);
    sim_lan_specs(specs, 3, loss);
    c.trunk.rate_bps = ceiling; /* the sender's own interface */
    c.branch[0] = (struct sim_link){.rate_bps = rate, .queue_bytes = queue};
    specs[0].branch = specs[1].branch = specs[2].branch = 1;
    sim_init(&sim, &c, specs, 3);
    p = rate_watch(&sim, CP_SEC, 60 * CP_SEC);
    sim_finish(&sim);
    rate_report(name, &sim, &p);
    sim_expect(p.mean >= 0.92 * (double)rate, "pace", p.mean / (double)rate, 0.92);
    sim_expect(p.least >= 0.75 * (double)rate, "least pace", p.least / (double)rate, 0.75);
    sim_expect(p.mean <= 1.01 * (double)rate, "pace", p.mean / (double)rate, 1.01);
    sim_expect(p.most <= 1.08 * (double)rate, "most pace", p.most / (double)rate, 1.08);
    /* Half of 10 Gbit/s runs for the 42 ms that a queue of 512 KiB hides what happens. */
    most = (ceiling > GBIT ? 1.20 : 1.05) + 1.5 * loss;
    sim_expect(rate_wire(&sim) <= most, "wire", rate_wire(&sim), most);
    sim_done(&sim);
}

static void bottlenecks(void)
{
    static const uint64_t rates[] = {100 * MBIT, 300 * MBIT, 900 * MBIT};
    static const size_t queues[] = {64 * 1024, 512 * 1024};

    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 2; j++) {
            bottleneck(GBIT, rates[i], queues[j], 0.0);
            bottleneck(10 * GBIT, rates[i], queues[j], 0.0);
        }
    }
}

static void lossy_bottlenecks(void)
{
    bottleneck(GBIT, 300 * MBIT, 256 * 1024, 0.01);
    bottleneck(GBIT, 300 * MBIT, 256 * 1024, 0.05);
}

/* Loss that has nothing to do with the pace does not change it. */
static void random_loss(double loss, double burst, unsigned count)
{
    struct sim_receiver_spec specs[SPEC_MAX];
    struct sim_config c = rate_lan(count > 10 ? 100 * MB : 200 * MB, count, GBIT);
    char name[64];
    struct sim sim;
    struct rate_pace p;

    snprintf(name, sizeof(name), "loss %.2f in runs of %.0f, %u receivers", loss, burst, count);
    sim_lan_specs(specs, count, loss);
    for (unsigned i = 0; i < count; i++) {
        specs[i].down.burst = burst;
    }
    sim_init(&sim, &c, specs, count);
    p = rate_watch(&sim, 100 * CP_MSEC, 60 * CP_SEC);
    sim_finish(&sim);
    rate_report(name, &sim, &p);
    sim_expect(p.mean >= 0.95 * (double)GBIT, "pace", p.mean / (double)GBIT, 0.95);
    sim_done(&sim);
}

static void random_losses(void)
{
    random_loss(0.0, 0.0, 3);
    random_loss(0.01, 0.0, 1);
    random_loss(0.01, 0.0, 10);
    random_loss(0.01, 0.0, 50);
    random_loss(0.05, 0.0, 5);
    random_loss(0.05, 0.0, 50);
    random_loss(0.01, 20.0, 5);
}

/* Two sessions over one link, the second begins a second later. */
static void shared(void)
{
    struct sim_receiver_spec specs[2][3];
    struct sim_config c = rate_lan(400 * MB, 3, GBIT);
    struct rate_pace p[2] = {{0}};
    struct sim sim[2];
    double fair, used;

    c.trunk = (struct sim_link){.rate_bps = 400 * MBIT, .queue_bytes = 256 * 1024};
    sim_lan_specs(specs[0], 3, 0.0);
    sim_lan_specs(specs[1], 3, 0.0);
    sim_init(&sim[0], &c, specs[0], 3);
    c.beside = &sim[0];
    c.start_at = CP_SEC;
    c.seed = 43;
    sim_init(&sim[1], &c, specs[1], 3);
    for (sim_run_until(&sim[0], 3 * CP_SEC); sim[0].failure == NULL && sim[0].now < 12 * CP_SEC;) {
        sim_run_until(&sim[0], sim[0].now + RATE_STEP);
        rate_sample(&p[0], rate_of(&sim[0]));
        rate_sample(&p[1], rate_of(&sim[1]));
    }
    fair = p[0].mean / p[1].mean;
    used = (p[0].mean + p[1].mean) / (double)(400 * MBIT);
    printf("two sessions on one link: %.1f and %.1f Mbit/s\n", p[0].mean / 1e6, p[1].mean / 1e6);
    sim_expect(fair >= 1 / 1.4, "share of the first over the second's", fair, 1 / 1.4);
    sim_expect(fair <= 1.4, "share of the first over the second's", fair, 1.4);
    sim_expect(used >= 0.85, "of the link", used, 0.85);
    sim_expect(used <= 1.04, "of the link", used, 1.04);
    sim_finish(&sim[0]);
    sim_done(&sim[1]);
    sim_done(&sim[0]);
}

static void ceiling_changes(void)
{
    struct sim_receiver_spec specs[3];
    struct sim_config c = rate_lan(300 * MB, 3, GBIT);
    struct sim sim;
    struct rate_pace p;

    sim_lan_specs(specs, 3, 0.0);
    sim_init(&sim, &c, specs, 3);
    p = rate_watch(&sim, 200 * CP_MSEC, 500 * CP_MSEC);
    sim_expect(p.least >= (double)GBIT, "pace", p.least / 1e9, 1.0);
    norm_sender_set_rate(sim.sender, sim.now, 200 * MBIT);
    p = rate_watch(&sim, sim.now, 2 * CP_SEC);
    sim_expect(p.most <= 200e6, "pace below the new ceiling", p.most / 1e6, 200);
    sim_expect(p.least >= 200e6, "pace at the new ceiling", p.least / 1e6, 200);
    norm_sender_set_rate(sim.sender, sim.now, 800 * MBIT);
    p = rate_watch(&sim, sim.now + 500 * CP_MSEC, 3 * CP_SEC);
    sim_expect(p.least >= 800e6, "pace at the raised ceiling", p.least / 1e6, 800);
    sim_finish(&sim);
    rate_report("ceiling changes", &sim, &p);
    sim_done(&sim);
}

/* Thousands of receivers: a sample of them is enough. */
static void many(void)
{
    enum { COUNT = 300 };
    static struct sim_receiver_spec specs[COUNT];
    struct sim_config c = rate_lan(30 * MB, COUNT, GBIT);
    struct sim sim;
    struct rate_pace p;
    double feedback;

    c.sender.backoff = 6;
    sim_lan_specs(specs, COUNT, 0.001);
    for (unsigned i = 0; i < COUNT; i++) {
        specs[i].acker = false;
    }
    sim_init(&sim, &c, specs, COUNT);
    p = rate_watch(&sim, 100 * CP_MSEC, 60 * CP_SEC);
    feedback = (double)(sim.totals.nacks + sim.totals.acks_cc) / ((double)sim.now / 1e9);
    sim_finish(&sim);
    rate_report("300 receivers", &sim, &p);
    printf("  %.0f feedback messages a second\n", feedback);
    sim_expect(p.mean >= 0.9e9, "pace", p.mean / 1e6, 900);
    sim_expect(feedback <= 600, "feedback a second", feedback, 600);
    sim_done(&sim);
}

/* Few packets a second must tell as well: each of the sessions comes to its ceiling. */
static void low(void)
{
    static const uint64_t ceilings[] = {200000, 1500000, 5 * MBIT, 14 * MBIT};
    struct sim_receiver_spec specs[3];

    sim_lan_specs(specs, 3, 0.01);
    for (size_t i = 0; i < sizeof(ceilings) / sizeof(*ceilings); i++) {
        struct sim_config c = rate_lan(ceilings[i] * 2, 3, ceilings[i]);
        struct sim sim[2];
        struct rate_pace p[2];

        c.trunk = (struct sim_link){.rate_bps = 2 * ceilings[i], .queue_bytes = 64 * 1024};
        sim_init(&sim[0], &c, specs, 3);
        c.beside = &sim[0];
        c.seed = 43;
        sim_init(&sim[1], &c, specs, 3);
        p[0] = rate_watch(&sim[0], 3 * CP_SEC, 60 * CP_SEC);
        rate_sample(&p[0], rate_of(&sim[0]));
        p[1] = (struct rate_pace){0};
        rate_sample(&p[1], rate_of(&sim[1]));
        sim_expect(p[0].least >= 0.95 * (double)ceilings[i], "low pace of one", p[0].least / 1e6,
                   0.95 * (double)ceilings[i] / 1e6);
        sim_expect(p[1].least >= 0.95 * (double)ceilings[i], "low pace of the other",
                   p[1].least / 1e6, 0.95 * (double)ceilings[i] / 1e6);
        sim_finish(&sim[0]);
        rate_report("two at a low pace", &sim[0], &p[0]);
        sim_done(&sim[1]);
        sim_done(&sim[0]);
    }
}

int main(int argc, char **argv)
{
    static const struct rate_scenario scenarios[] = {
        {"bottleneck", bottlenecks},
        {"lossy", lossy_bottlenecks},
        {"random", random_losses},
        {"shared", shared},
        {"ceiling", ceiling_changes},
        {"many", many},
        {"low", low},
    };

    return rate_run(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
