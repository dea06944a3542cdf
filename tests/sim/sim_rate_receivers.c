/* SPDX-License-Identifier: Apache-2.0
 * Rate control and single receivers, in virtual time: slow ones, silent ones, slow disks, the last
 * repairs, one that comes late. `sim_rate_receivers NAME` runs one scenario and prints every decision
 * of the sender. */
#include <inttypes.h>
#include <stdio.h>

#include "sim_lan.h"
#include "sim_limits.h"
#include "sim_rate_rig.h"

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
    struct sim_config c = rate_lan(300 * MB, 10, GBIT);
    struct sim sim;
    struct rate_pace p;
    double alone, beside;

    sim_lan_specs(specs, 10, 0.0);
    sim_init(&sim, &c, specs, 9);
    sim_finish(&sim);
    alone = others_done(&sim, 10);
    sim_done(&sim);

    c.sender.slow_share = 0.1;
    c.sender.budget = true;
    specs[9].down.rate_bps = 100 * MBIT;
    specs[9].down.queue_bytes = 256 * 1024;
    specs[9].optional = true;
    sim_init(&sim, &c, specs, 10);
    p = rate_watch(&sim, 100 * CP_MSEC, 60 * CP_SEC);
    sim_finish(&sim);
    beside = others_done(&sim, 9);
    rate_report("one of ten at a tenth", &sim, &p);
    printf("  others: %.3f s, %.3f s without it\n", beside, alone);
    sim_expect(p.mean >= 0.95 * (double)GBIT, "pace", p.mean / (double)GBIT, 0.95);
    sim_expect(beside <= 1.05 * alone, "others' time", beside / alone, 1.05);
    sim_done(&sim);

    /* Nobody may be left out: it is waited for. */
    c = rate_lan(30 * MB, 10, GBIT);
    sim_init(&sim, &c, specs, 10);
    p = rate_watch(&sim, 500 * CP_MSEC, 60 * CP_SEC);
    rate_report("one of ten at a tenth, waited for", &sim, &p);
    sim_expect(p.most <= 1.06 * (double)(100 * MBIT), "pace", p.most / 1e8, 1.06);
    sim_expect(p.least >= 0.8 * (double)(100 * MBIT), "pace", p.least / 1e8, 0.8);
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
    struct sim_config c = rate_lan(500 * MB, 3, GBIT);
    struct sim sim;
    struct rate_pace p;

    c.drop = deaf;
    sim_lan_specs(specs, 3, 0.0);
    sim_init(&sim, &c, specs, 3);
    p = rate_watch(&sim, 0, 2 * CP_SEC);
    sim_expect(p.least >= 500e6 && p.most <= 500e6, "pace without any feedback", p.mean / 1e6, 500);
    sim_finish(&sim);
    rate_report("no feedback", &sim, &p);
    sim_done(&sim);

    deaf_from = CP_SEC;
    sim_init(&sim, &c, specs, 3);
    p = rate_watch(&sim, 500 * CP_MSEC, CP_SEC);
    sim_expect(p.least >= 1e9, "pace before", p.least / 1e6, 1000);
    p = rate_watch(&sim, 3900 * CP_MSEC, 3950 * CP_MSEC);
    sim_expect(p.most <= 50e6, "pace in silence", p.most / 1e6, 50);
    sim_expect(p.least >= 1e6, "pace in silence", p.least / 1e6, 1);
    p = rate_watch(&sim, 5 * CP_SEC, 5500 * CP_MSEC);
    sim_expect(p.least >= 1e9, "pace after", p.least / 1e6, 1000);
    sim_finish(&sim);
    rate_report("feedback ceases for three seconds", &sim, &p);
    deaf_from = 0;
    sim_done(&sim);
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
static struct rate_pace watch_disk(struct sim *sim, struct disk *d, cp_time until)
{
    struct rate_pace p = {0};

    while (sim->failure == NULL && sim->now < until && rate_sending(sim)) {
        sim_run_until(sim, sim->now + RATE_STEP);
        disk_writes(d, sim->now);
        norm_receiver_set_backlog(sim->receivers[0].core, (unsigned)(d->fill * 100.0 / d->size));
        sim_poke_receiver(sim, 0);
        rate_sample(&p, rate_of(sim));
    }
    return p;
}

static void full_buffers(uint64_t bps, uint64_t buffer)
{
    struct sim_receiver_spec specs[3];
    struct sim_config c = rate_lan(bps / 8 * 6, 3, GBIT);
    struct disk d = {.bps = bps, .size = (double)buffer};
    uint64_t lost_before;
    struct sim sim;
    struct rate_pace p;

    c.arg = &d;
    c.drop = disk_takes;
    sim_lan_specs(specs, 3, 0.0);
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
    sim_expect(p.mean >= 0.9 * (double)bps, "pace", p.mean / (double)bps, 0.9);
    sim_expect(p.mean <= 1.05 * (double)bps, "pace", p.mean / (double)bps, 1.05);
    sim_expect(lost <= 0.01, "lost", lost, 0.01);
    sim_expect(idle <= 0.1, "time that the disk waits", idle, 0.1);
    sim_finish(&sim);
    rate_report("slow disk", &sim, &p);
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
    struct sim_config c = rate_lan(6 * MB, 10, 50 * MBIT);
    unsigned left = 300;
    struct sim sim;
    cp_time out;
    double last;

    c.sender.rate_mode = NORM_RATE_TFMCC;
    c.drop = loses_the_end;
    c.arg = &left;
    sim_lan_specs(specs, 2, 0.0);
    specs[0].down.jitter = specs[1].down.jitter = 0; /* which would reorder, hence cost rate */
    sim_init(&sim, &c, specs, 2);
    while (sim.failure == NULL && rate_sending(&sim)) {
        sim_run_until(&sim, sim.now + RATE_STEP);
    }
    out = sim.now;
    sim_finish(&sim);
    last = ((double)sim_last_completion(&sim) - (double)out) / 1e9;
    printf("TFMCC, the end lost: data out at %.3f s, complete %.3f s later\n", (double)out / 1e9,
           last);
    sim_expect(last > 0.0, "repairs after the data", last, 0.0);
    sim_expect(last <= 0.2, "seconds of repairs after the data", last, 0.2);
    sim_done(&sim);
}

/* One comes when the others are long done. Next to nothing was sent since then, which says nothing of
 * the pace that the network takes. */
static void latecomer(void)
{
    struct sim_receiver_spec specs[3];
    struct sim_config c = rate_lan(100 * MB, 3, GBIT);
    double object =
        (double)c.sender.fti.object_size / LAN_SEGMENT * LAN_PACKET * 8.0 / (double)GBIT;
    struct sim sim;
    double took;

    c.sender.hold = 20 * CP_SEC;
    sim_lan_specs(specs, 3, 0.0);
    specs[2].join_at = 10 * CP_SEC;
    sim_init(&sim, &c, specs, 3);
    sim_finish(&sim);
    took = (double)(sim.receivers[2].complete_at - specs[2].join_at) / 1e9;
    printf("one comes late: complete after %.3f object times\n", took / object);
    sim_expect(took <= 1.1 * object, "object times", took / object, 1.1);
    sim_done(&sim);
}

int main(int argc, char **argv)
{
    static const struct rate_scenario scenarios[] = {
        {"slow", one_slow}, {"silence", silence},     {"disk", disks},
        {"tail", tail},     {"latecomer", latecomer},
    };

    return rate_run(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
