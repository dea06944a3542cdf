/* SPDX-License-Identifier: Apache-2.0
 * Simulator of one sender and its receivers over lossy links, in virtual time and seeded: the same
 * parameters give the same run. It drives the protocol core exactly as multicast/io does, and
 * checks the content that receivers would store. One thread. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/prng.h"
#include "multicast/norm/receiver.h"
#include "multicast/norm/sender.h"

#define SIM_SENDER_ID   1u
#define SIM_RECEIVER_ID 100u /* node id of receiver 0 */

/* One direction of a node's path. */
struct sim_link {
    double loss;        /* 0 … 1, independent */
    double duplicate;   /* 0 … 1 */
    cp_time delay;      /* one way */
    cp_time jitter;     /* uniform in [0, jitter) on top: reorders */
    uint64_t rate_bps;  /* 0: no limit */
    size_t queue_bytes; /* tail drop behind rate_bps; 0: no limit */
};

struct sim_receiver_spec {
    struct sim_link down, up;
    cp_time join_at;
    cp_time leave_at; /* 0: never */
    bool silent, defer_missed, object_known;
    bool acker;   /* on the sender's acking list */
    double spoil; /* probability that a finished block turns out wrong and is given up */
    double have;  /* fraction of the blocks that a journal brings from an earlier run */
};

/* What happened to a packet, for tests that look at or meddle with the traffic. */
struct sim_packet {
    cp_time time;
    unsigned from; /* 0: sender, else receiver index + 1 */
    bool unicast;
    const uint8_t *data;
    size_t size;
    const struct norm_msg *msg; /* decoded */
};

struct sim;
typedef void sim_packet_fn(void *arg, const struct sim_packet *p);
/* True: this packet does not reach this receiver (or, for feedback, the sender). */
typedef bool sim_drop_fn(void *arg, const struct sim_packet *p, unsigned to);

struct sim_config {
    struct norm_sender_config sender;
    bool unicast_nack;
    uint64_t seed;
    cp_time time_limit; /* the run fails beyond it */
    bool fast_content;  /* stamp only the ends of symbols: for large objects */
    cp_time late;       /* timers of a busy host fire up to so much too late */
    bool run_to_idle;   /* go on after the last receiver is complete until the sender is idle */
    sim_packet_fn *on_packet;
    sim_drop_fn *drop;
    void *arg;
};

struct sim_receiver {
    struct sim_receiver_spec spec;
    struct norm_receiver *core;
    uint64_t *symbols; /* the driver's own account, word per 64 symbols */
    uint32_t blocks_done;
    bool joined, left, complete, info, squelched, ended;
    unsigned restarts, commands;
    cp_time complete_at;
    cp_time down_busy, up_busy; /* link transmits until then */
    cp_time asked, wake; /* time asked for; the event that stands for it; CP_TIME_NEVER none */
};

/* Traffic by kind. */
struct sim_totals {
    uint64_t wire_bytes;                /* that the sender sent, UDP payload */
    uint64_t data_bytes, control_bytes; /* of it DATA; all else */
    uint64_t nacks, acks_cc, acks_flush, adverts, flushes, probes, squelches;
    uint64_t deliveries;
};

struct sim {
    struct sim_config config;
    struct cp_prng prng;
    struct norm_sender *sender;
    struct norm_partition part;
    cp_time now, sender_asked, sender_wake;
    unsigned receiver_count;
    struct sim_receiver *receivers;
    unsigned complete_count;
    unsigned wait_count; /* receivers that must complete */
    struct sim_totals totals;
    const char *failure; /* NULL: none */
    struct sim_events *events;
    struct norm_txbuf tx;
};

/* Everything that fails in here fails the test at once (abort with the seed). */
void sim_init(struct sim *sim, const struct sim_config *config,
              const struct sim_receiver_spec *specs, unsigned count);
/* Until all receivers that have not left are complete (or, with run_to_idle, the sender is idle);
 * false with `failure` set when content was wrong or the time limit passed. */
bool sim_run(struct sim *sim);
/* Until that virtual time. */
void sim_run_until(struct sim *sim, cp_time until);
/* Replaces the sender by a new instance of the same object. */
void sim_restart_sender(struct sim *sim, uint16_t instance_id);
/* The sender is gone; nothing more comes from it. */
void sim_kill_sender(struct sim *sim);
/* After something was told to the core directly: its timer is looked at again. */
void sim_poke_sender(struct sim *sim);
void sim_poke_receiver(struct sim *sim, unsigned index);
void sim_done(struct sim *sim);

/* Time of the last completion. */
cp_time sim_last_completion(const struct sim *sim);

/* Expected symbols that must be sent per block of k until each of `receivers`, losing each symbol
 * with probability `loss`, has k of them; minus k, over k: the least overhead of any block code. */
double sim_bound(unsigned k, unsigned receivers, double loss);

#endif
