/* SPDX-License-Identifier: Apache-2.0
 * Rate control in virtual time: which pace is found, how fast, and what it costs, over bottlenecks,
 * random loss, slow receivers and shared links. `sim_rate NAME` runs one scenario and prints every
 * decision of the sender. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"
#include "sim_lan.h"

#define MBIT     UINT64_C(1000000)
#define GBIT     UINT64_C(1000000000)
#define MB       UINT64_C(1000000)
#define STEP     (10 * CP_MSEC)
#define SPEC_MAX 64u

static unsigned failures;
static const char *only; /* scenario asked for; NULL: all */

static void expect(bool right, const char *what, double is, double limit)
{
    if (!right) {
        printf("  FAILED: %s is %.4f, limit %.4f\n", what, is, limit);
        failures++;
    }
}

static void print_decision(void *arg, const struct norm_trace *t)
{
    (void)arg;
    if (only != NULL && t->kind == NORM_TRACE_RATE) {
        printf("    %8.4f s %-10s %8.1f to %8.1f Mbit/s, node %u, loss %.4f, received %.1f\n",
               (double)t->at / 1e9, norm_reason_name(t->reason), (double)t->before / 1e6,
               (double)t->after / 1e6, t->node_id, t->loss, (double)t->rate_bps / 1e6);
    }
}

static struct sim_config lan(uint64_t object_size, uint64_t gsize, uint64_t ceiling)
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

static void lan_specs(struct sim_receiver_spec *specs, unsigned count, double loss)
{
    for (unsigned i = 0; i < count; i++) {
        specs[i] = (struct sim_receiver_spec){
            .down = {.loss = loss, .delay = 100 * CP_USEC, .jitter = 20 * CP_USEC},
            .up = {.loss = loss, .delay = 100 * CP_USEC},
            .object_known = true,
            .defer_missed = true,
            .acker = true,
        };
    }
}

/* Pace over a time. */
struct pace {
    double mean, least, most;
    unsigned samples;
};

static void sample(struct pace *p, uint64_t bps)
{
    double is = (double)bps;

    p->mean = (p->mean * p->samples + is) / (p->samples + 1);
    p->least = p->samples == 0 || is < p->least ? is : p->least;
    p->most = is > p->most ? is : p->most;
    p->samples++;
}

static uint64_t rate_of(const struct sim *sim)
{
    struct norm_sender_stats stats;

    norm_sender_get_stats(sim->sender, &stats);
    return stats.rate_bps;
}

static bool sending(const struct sim *sim)
{
    struct norm_sender_stats stats;

    norm_sender_get_stats(sim->sender, &stats);
    return stats.next_block < sim->part.block_count;
}

/* Looks at the pace from `from` on until `until` or the first pass is over. */
static struct pace watch(struct sim *sim, cp_time from, cp_time until)
{
    struct pace p = {0};

    sim_run_until(sim, from);
    while (sim->failure == NULL && sim->now < until && sending(sim)) {
        sim_run_until(sim, sim->now + STEP);
        sample(&p, rate_of(sim));
    }
    return p;
}

static void finish(struct sim *sim)
{
    if (!sim_run(sim)) {
        printf("  FAILED: %s\n", sim->failure);
        failures++;
    }
}

static double wire_over(const struct sim *sim)
{
    return (double)sim->totals.wire_bytes /
           ((double)(sim->config.sender.fti.object_size / LAN_SEGMENT) * LAN_PACKET);
}

static void report(const char *name, const struct sim *sim, const struct pace *p)
{
    printf("%s: pace %.1f (%.1f to %.1f) Mbit/s, done at %.3f s, wire %.4f of the object, "
           "%" PRIu64 " acks, %" PRIu64 " nacks\n",
           name, p->mean / 1e6, p->least / 1e6, p->most / 1e6,
           (double)sim_last_completion(sim) / 1e9, wire_over(sim), sim->totals.acks_cc,
           sim->totals.nacks);
}

/* ---- scenarios ---- */

/* Within two seconds the pace is right, and what overflowed meanwhile costs little. */
static void bottleneck(uint64_t ceiling, uint64_t rate, size_t queue, double loss)
{
    double most;
    struct sim_receiver_spec specs[3];
    struct sim_config c = lan(rate >= 300 * MBIT ? 300 * MB : 150 * MB, 3, ceiling);
    char name[96];
    struct sim sim;
    struct pace p;

    snprintf(name, sizeof(name), "%" PRIu64 " Mbit/s below %" PRIu64 ", queue %zu KiB, loss %.2f",
             rate / MBIT, ceiling / MBIT, queue / 1024, loss);
    lan_specs(specs, 3, loss);
    c.trunk.rate_bps = ceiling; /* the sender's own interface */
    c.branch[0] = (struct sim_link){.rate_bps = rate, .queue_bytes = queue};
    specs[0].branch = specs[1].branch = specs[2].branch = 1;
    sim_init(&sim, &c, specs, 3);
    p = watch(&sim, CP_SEC, 60 * CP_SEC);
    finish(&sim);
    report(name, &sim, &p);
    expect(p.mean >= 0.92 * (double)rate, "pace", p.mean / (double)rate, 0.92);
    expect(p.least >= 0.75 * (double)rate, "least pace", p.least / (double)rate, 0.75);
    expect(p.mean <= 1.01 * (double)rate, "pace", p.mean / (double)rate, 1.01);
    expect(p.most <= 1.08 * (double)rate, "most pace", p.most / (double)rate, 1.08);
    /* Half of 10 Gbit/s runs for the 42 ms that a queue of 512 KiB hides what happens. */
    most = (ceiling > GBIT ? 1.20 : 1.05) + 1.5 * loss;
    expect(wire_over(&sim) <= most, "wire", wire_over(&sim), most);
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
    struct sim_config c = lan(count > 10 ? 100 * MB : 200 * MB, count, GBIT);
    char name[64];
    struct sim sim;
    struct pace p;

    snprintf(name, sizeof(name), "loss %.2f in runs of %.0f, %u receivers", loss, burst, count);
    lan_specs(specs, count, loss);
    for (unsigned i = 0; i < count; i++) {
        specs[i].down.burst = burst;
    }
    sim_init(&sim, &c, specs, count);
    p = watch(&sim, 100 * CP_MSEC, 60 * CP_SEC);
    finish(&sim);
    report(name, &sim, &p);
    expect(p.mean >= 0.95 * (double)GBIT, "pace", p.mean / (double)GBIT, 0.95);
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

static double others_done(const struct sim *sim, unsigned slow)
{
    double last = 0.0;

    for (unsigned i = 0; i < sim->receiver_count; i++) {
        double t = (double)sim->receivers[i].complete_at / 1e9;

        last = i != slow && t > last ? t : last;
    }
    return last;
}

/* One of ten at a tenth of the bandwidth: it has no say, and the others do not wait. */
static void one_slow(void)
{
    struct sim_receiver_spec specs[10];
    struct sim_config c = lan(300 * MB, 10, GBIT);
    struct sim sim;
    struct pace p;
    double alone, beside;

    lan_specs(specs, 10, 0.0);
    sim_init(&sim, &c, specs, 9);
    finish(&sim);
    alone = others_done(&sim, 10);
    sim_done(&sim);

    c.sender.slow_share = 0.1;
    c.sender.budget = true;
    specs[9].down.rate_bps = 100 * MBIT;
    specs[9].down.queue_bytes = 256 * 1024;
    specs[9].optional = true;
    sim_init(&sim, &c, specs, 10);
    p = watch(&sim, 100 * CP_MSEC, 60 * CP_SEC);
    finish(&sim);
    beside = others_done(&sim, 9);
    report("one of ten at a tenth", &sim, &p);
    printf("  others: %.3f s, %.3f s without it\n", beside, alone);
    expect(p.mean >= 0.95 * (double)GBIT, "pace", p.mean / (double)GBIT, 0.95);
    expect(beside <= 1.05 * alone, "others' time", beside / alone, 1.05);
    sim_done(&sim);

    /* Nobody may be left out: it is waited for. */
    c = lan(30 * MB, 10, GBIT);
    sim_init(&sim, &c, specs, 10);
    p = watch(&sim, 500 * CP_MSEC, 60 * CP_SEC);
    report("one of ten at a tenth, waited for", &sim, &p);
    expect(p.most <= 1.06 * (double)(100 * MBIT), "pace", p.most / 1e8, 1.06);
    expect(p.least >= 0.8 * (double)(100 * MBIT), "pace", p.least / 1e8, 0.8);
    sim_done(&sim);
}

/* Two sessions over one link, the second begins a second later. */
static void shared(void)
{
    struct sim_receiver_spec specs[2][3];
    struct sim_config c = lan(400 * MB, 3, GBIT);
    struct pace p[2] = {{0}};
    struct sim sim[2];
    double fair, used;

    c.trunk = (struct sim_link){.rate_bps = 400 * MBIT, .queue_bytes = 256 * 1024};
    lan_specs(specs[0], 3, 0.0);
    lan_specs(specs[1], 3, 0.0);
    sim_init(&sim[0], &c, specs[0], 3);
    c.beside = &sim[0];
    c.start_at = CP_SEC;
    c.seed = 43;
    sim_init(&sim[1], &c, specs[1], 3);
    for (sim_run_until(&sim[0], 3 * CP_SEC); sim[0].failure == NULL && sim[0].now < 12 * CP_SEC;) {
        sim_run_until(&sim[0], sim[0].now + STEP);
        sample(&p[0], rate_of(&sim[0]));
        sample(&p[1], rate_of(&sim[1]));
    }
    fair = p[0].mean / p[1].mean;
    used = (p[0].mean + p[1].mean) / (double)(400 * MBIT);
    printf("two sessions on one link: %.1f and %.1f Mbit/s\n", p[0].mean / 1e6, p[1].mean / 1e6);
    expect(fair >= 1 / 1.4, "share of the first over the second's", fair, 1 / 1.4);
    expect(fair <= 1.4, "share of the first over the second's", fair, 1.4);
    expect(used >= 0.85, "of the link", used, 0.85);
    expect(used <= 1.04, "of the link", used, 1.04);
    finish(&sim[0]);
    sim_done(&sim[1]);
    sim_done(&sim[0]);
}

static void ceiling_changes(void)
{
    struct sim_receiver_spec specs[3];
    struct sim_config c = lan(300 * MB, 3, GBIT);
    struct sim sim;
    struct pace p;

    lan_specs(specs, 3, 0.0);
    sim_init(&sim, &c, specs, 3);
    p = watch(&sim, 200 * CP_MSEC, 500 * CP_MSEC);
    expect(p.least >= (double)GBIT, "pace", p.least / 1e9, 1.0);
    norm_sender_set_rate(sim.sender, sim.now, 200 * MBIT);
    p = watch(&sim, sim.now, 2 * CP_SEC);
    expect(p.most <= 200e6, "pace below the new ceiling", p.most / 1e6, 200);
    expect(p.least >= 200e6, "pace at the new ceiling", p.least / 1e6, 200);
    norm_sender_set_rate(sim.sender, sim.now, 800 * MBIT);
    p = watch(&sim, sim.now + 500 * CP_MSEC, 3 * CP_SEC);
    expect(p.least >= 800e6, "pace at the raised ceiling", p.least / 1e6, 800);
    finish(&sim);
    report("ceiling changes", &sim, &p);
    sim_done(&sim);
}

static cp_time deaf_from;

static bool deaf(void *arg, const struct sim_packet *p, unsigned to)
{
    (void)arg;
    return to == 0 && p->time >= deaf_from && p->time < 4 * CP_SEC;
}

/* Nothing comes back: from the start on the pace stays, later on it falls. */
static void silence(void)
{
    struct sim_receiver_spec specs[3];
    struct sim_config c = lan(500 * MB, 3, GBIT);
    struct sim sim;
    struct pace p;

    c.drop = deaf;
    lan_specs(specs, 3, 0.0);
    sim_init(&sim, &c, specs, 3);
    p = watch(&sim, 0, 2 * CP_SEC);
    expect(p.least >= 500e6 && p.most <= 500e6, "pace without any feedback", p.mean / 1e6, 500);
    finish(&sim);
    report("no feedback", &sim, &p);
    sim_done(&sim);

    deaf_from = CP_SEC;
    sim_init(&sim, &c, specs, 3);
    p = watch(&sim, 500 * CP_MSEC, CP_SEC);
    expect(p.least >= 1e9, "pace before", p.least / 1e6, 1000);
    p = watch(&sim, 3900 * CP_MSEC, 3950 * CP_MSEC);
    expect(p.most <= 50e6, "pace in silence", p.most / 1e6, 50);
    expect(p.least >= 1e6, "pace in silence", p.least / 1e6, 1);
    p = watch(&sim, 5 * CP_SEC, 5500 * CP_MSEC);
    expect(p.least >= 1e9, "pace after", p.least / 1e6, 1000);
    finish(&sim);
    report("feedback ceases for three seconds", &sim, &p);
    deaf_from = 0;
    sim_done(&sim);
}

/* Thousands of receivers: a sample of them is enough. */
static void many(void)
{
    enum { COUNT = 300 };
    static struct sim_receiver_spec specs[COUNT];
    struct sim_config c = lan(30 * MB, COUNT, GBIT);
    struct sim sim;
    struct pace p;
    double feedback;

    c.sender.backoff = 6;
    lan_specs(specs, COUNT, 0.001);
    for (unsigned i = 0; i < COUNT; i++) {
        specs[i].acker = false;
    }
    sim_init(&sim, &c, specs, COUNT);
    p = watch(&sim, 100 * CP_MSEC, 60 * CP_SEC);
    feedback = (double)(sim.totals.nacks + sim.totals.acks_cc) / ((double)sim.now / 1e9);
    finish(&sim);
    report("300 receivers", &sim, &p);
    printf("  %.0f feedback messages a second\n", feedback);
    expect(p.mean >= 0.9e9, "pace", p.mean / 1e6, 900);
    expect(feedback <= 600, "feedback a second", feedback, 600);
    sim_done(&sim);
}

/* Few packets a second must tell as well: each of the sessions comes to its ceiling. */
static void low(void)
{
    static const uint64_t ceilings[] = {200000, 1500000, 5 * MBIT, 14 * MBIT};
    struct sim_receiver_spec specs[3];

    lan_specs(specs, 3, 0.01);
    for (size_t i = 0; i < sizeof(ceilings) / sizeof(*ceilings); i++) {
        struct sim_config c = lan(ceilings[i] * 2, 3, ceilings[i]);
        struct sim sim[2];
        struct pace p[2];

        c.trunk = (struct sim_link){.rate_bps = 2 * ceilings[i], .queue_bytes = 64 * 1024};
        sim_init(&sim[0], &c, specs, 3);
        c.beside = &sim[0];
        c.seed = 43;
        sim_init(&sim[1], &c, specs, 3);
        p[0] = watch(&sim[0], 3 * CP_SEC, 60 * CP_SEC);
        sample(&p[0], rate_of(&sim[0]));
        p[1] = (struct pace){0};
        sample(&p[1], rate_of(&sim[1]));
        expect(p[0].least >= 0.95 * (double)ceilings[i], "low pace of one", p[0].least / 1e6,
               0.95 * (double)ceilings[i] / 1e6);
        expect(p[1].least >= 0.95 * (double)ceilings[i], "low pace of the other", p[1].least / 1e6,
               0.95 * (double)ceilings[i] / 1e6);
        finish(&sim[0]);
        report("two at a low pace", &sim[0], &p[0]);
        sim_done(&sim[1]);
        sim_done(&sim[0]);
    }
}

/* A receiver's disk behind a buffer: what does not fit is lost. */
struct disk {
    uint64_t bps;
    double size, fill; /* bytes */
    cp_time at;
    uint64_t lost;
    cp_time empty; /* for so long */
};

static void disk_writes(struct disk *d, cp_time now)
{
    double out = (double)(now - d->at) / 1e9 * (double)d->bps / 8.0;

    if (out > d->fill) {
        d->empty += (cp_time)((out - d->fill) * 8.0 / (double)d->bps * 1e9);
        out = d->fill;
    }
    d->fill -= out;
    d->at = now;
}

static bool disk_takes(void *arg, const struct sim_packet *p, unsigned to)
{
    struct disk *d = arg;

    if (to != 1 || p->from != 0) {
        return false;
    }
    disk_writes(d, p->time);
    if (d->fill + (double)p->size > d->size) {
        d->lost++;
        return true;
    }
    d->fill += (double)p->size;
    return false;
}

/* Tells of its buffer every 10 ms, as multicast/session_receiver.c does. */
static struct pace watch_disk(struct sim *sim, struct disk *d, cp_time until)
{
    struct pace p = {0};

    while (sim->failure == NULL && sim->now < until && sending(sim)) {
        sim_run_until(sim, sim->now + STEP);
        disk_writes(d, sim->now);
        norm_receiver_set_backlog(sim->receivers[0].core, (unsigned)(d->fill * 100.0 / d->size));
        sim_poke_receiver(sim, 0);
        sample(&p, rate_of(sim));
    }
    return p;
}

static void full_buffers(uint64_t bps, uint64_t buffer)
{
    struct sim_receiver_spec specs[3];
    struct sim_config c = lan(bps / 8 * 6, 3, GBIT);
    struct disk d = {.bps = bps, .size = (double)buffer};
    uint64_t lost_before;
    struct sim sim;
    struct pace p;

    c.arg = &d;
    c.drop = disk_takes;
    lan_specs(specs, 3, 0.0);
    sim_init(&sim, &c, specs, 3);
    (void)watch_disk(&sim, &d, CP_SEC);
    lost_before = d.lost;
    d.empty = 0;
    p = watch_disk(&sim, &d, 60 * CP_SEC);
    double idle = (double)d.empty / (double)(sim.now - CP_SEC);

    double lost = (double)(d.lost - lost_before) / ((double)c.sender.fti.object_size / LAN_SEGMENT);

    printf("disk of %" PRIu64 " Mbit/s behind %" PRIu64 " MB: lost %" PRIu64 " and %" PRIu64
           " packets, idle %.3f of the time\n",
           bps / MBIT, buffer / MB, lost_before, d.lost - lost_before, idle);
    expect(p.mean >= 0.9 * (double)bps, "pace", p.mean / (double)bps, 0.9);
    expect(p.mean <= 1.05 * (double)bps, "pace", p.mean / (double)bps, 1.05);
    expect(lost <= 0.01, "lost", lost, 0.01);
    expect(idle <= 0.1, "time that the disk waits", idle, 0.1);
    finish(&sim);
    report("slow disk", &sim, &p);
    sim_done(&sim);
}

static void disks(void)
{
    full_buffers(100 * MBIT, 4 * MB);
    full_buffers(300 * MBIT, 4 * MB);
    full_buffers(300 * MBIT, 16 * MB);
    full_buffers(700 * MBIT, 16 * MB);
}

/* A receiver loses most of the last blocks, once. */
static bool loses_the_end(void *arg, const struct sim_packet *p, unsigned to)
{
    unsigned *left = arg;

    if (to != 2 || p->from != 0 || p->msg == NULL || p->msg->type != NORM_DATA ||
        p->msg->id.sbn < 30 || *left == 0) {
        return false;
    }
    --*left;
    return true;
}

/* TFMCC: few repairs flow when the data is out; what a receiver without loss measures then must not
 * lower the rate; when it does the repairs take 1.8 s. */
static void tail(void)
{
    struct sim_receiver_spec specs[2];
    struct sim_config c = lan(6 * MB, 10, 50 * MBIT);
    unsigned left = 300;
    struct sim sim;
    cp_time out;
    double last;

    c.sender.rate_mode = NORM_RATE_TFMCC;
    c.drop = loses_the_end;
    c.arg = &left;
    lan_specs(specs, 2, 0.0);
    specs[0].down.jitter = specs[1].down.jitter = 0; /* which would reorder, hence cost rate */
    sim_init(&sim, &c, specs, 2);
    while (sim.failure == NULL && sending(&sim)) {
        sim_run_until(&sim, sim.now + STEP);
    }
    out = sim.now;
    finish(&sim);
    last = ((double)sim_last_completion(&sim) - (double)out) / 1e9;
    printf("TFMCC, the end lost: data out at %.3f s, complete %.3f s later\n", (double)out / 1e9,
           last);
    expect(last > 0.0, "repairs after the data", last, 0.0);
    expect(last <= 0.2, "seconds of repairs after the data", last, 0.2);
    sim_done(&sim);
}

/* One comes when the others are long done. Next to nothing was sent since then, which says nothing of
 * the pace that the network takes. */
static void latecomer(void)
{
    struct sim_receiver_spec specs[3];
    struct sim_config c = lan(100 * MB, 3, GBIT);
    double object =
        (double)c.sender.fti.object_size / LAN_SEGMENT * LAN_PACKET * 8.0 / (double)GBIT;
    struct sim sim;
    double took;

    c.sender.hold = 20 * CP_SEC;
    lan_specs(specs, 3, 0.0);
    specs[2].join_at = 10 * CP_SEC;
    sim_init(&sim, &c, specs, 3);
    finish(&sim);
    took = (double)(sim.receivers[2].complete_at - specs[2].join_at) / 1e9;
    printf("one comes late: complete after %.3f object times\n", took / object);
    expect(took <= 1.1 * object, "object times", took / object, 1.1);
    sim_done(&sim);
}

struct scenario {
    const char *name;
    void (*run)(void);
};

static const struct scenario scenarios[] = {
    {"bottleneck", bottlenecks},
    {"lossy", lossy_bottlenecks},
    {"random", random_losses},
    {"slow", one_slow},
    {"shared", shared},
    {"ceiling", ceiling_changes},
    {"silence", silence},
    {"many", many},
    {"low", low},
    {"disk", disks},
    {"tail", tail},
    {"latecomer", latecomer},
};

int main(int argc, char **argv)
{
    only = argc > 1 ? argv[1] : NULL;
    for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
        if (only == NULL || strcmp(only, scenarios[i].name) == 0) {
            scenarios[i].run();
        }
    }
    printf("%u limits exceeded\n", failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
