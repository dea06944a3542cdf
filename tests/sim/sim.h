/* SPDX-License-Identifier: Apache-2.0
 * Simulator of senders and their receivers over lossy links, in virtual time and seeded: the same
 * parameters give the same run. It drives the protocol core exactly as multicast/io does, and
 * checks the content that receivers would store. One thread.
 *
 * Way of a packet to a receiver: sender, trunk, the receiver's branch if it has one, its own link.
 * Feedback takes the receiver's own way up. Sessions may share a trunk and its branches. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/prng.h"
#include "multicast/norm/receiver.h"
#include "multicast/norm/sender.h"

#define SIM_SENDER_ID    1u
#define SIM_RECEIVER_ID  100u /* node id of receiver 0 */
#define SIM_BRANCHES_MAX 4u
#define SIM_SESSIONS_MAX 4u

/* One direction of one link. All zero: a wire that is nowhere in the way. */
struct sim_link {
    double loss;  /* 0 … 1, share of the packets */
    double burst; /* mean length of a run of losses, packets (Gilbert-Elliott); 0: independent */
    double duplicate;   /* 0 … 1; of a node's own link only, as the next */
    double corrupt;     /* 0 … 1: bits change on the way */
    cp_time delay;      /* one way */
    cp_time jitter;     /* uniform in [0, jitter) on top: reorders */
    uint64_t rate_bps;  /* 0: no limit */
    size_t queue_bytes; /* tail drop behind rate_bps; 0: no limit */
};

/* A node's clock against true time, which everything else in here is in. */
struct sim_clock {
    cp_time offset; /* ahead by it at the start */
    int32_t ppm;    /* fast by so many parts per million */
};

struct sim_receiver_spec {
    struct sim_link down, up;
    unsigned branch; /* index + 1 in sim_config.branch; 0: none, straight from the trunk */
    struct sim_clock clock;
    cp_time join_at;
    cp_time leave_at; /* 0: never */
    bool optional;    /* the run does not wait for it */
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
    struct sim_clock sender_clock;
    struct sim_link trunk; /* from the sender to all; loss in it is everybody's */
    struct sim_link branch[SIM_BRANCHES_MAX];
    struct sim *beside; /* another session, initialised before, whose network this one is on; its
                           sim_run() runs all; NULL: a network of its own */
    bool unicast_nack;
    uint64_t seed;
    cp_time time_limit; /* the run fails beyond it */
    cp_time start_at;   /* of the sender */
    cp_time forge;      /* mean time between packets that somebody outside the group makes up */
    bool fast_content;  /* stamp only the start of symbols: for large objects */
    cp_time late;       /* timers of a busy host fire up to so much too late */
    bool run_to_idle;   /* go on after the last receiver is complete until the sender is idle */
    sim_packet_fn *on_packet;
    sim_drop_fn *drop;
    void *arg;
};

/* Runs of packets that pass and that get lost, in turn. */
struct sim_losses {
    bool begun, losing;
    uint64_t left; /* packets of the present run */
};

struct sim_path {
    cp_time busy; /* transmits until then */
    struct sim_losses losses;
};

/* A driver's timer, true time; CP_TIME_NEVER none. */
struct sim_timer {
    cp_time asked; /* for which the core asked */
    cp_time wake;  /* of the event under way, which looks at `asked` again */
};

/* Symbols of a block that are here. */
struct sim_block {
    uint64_t map[4]; /* up to 256 */
    unsigned count;
};

struct sim_receiver {
    struct norm_receiver *core;
    struct sim_timer timer;
    struct sim_path down, up;
    bool joined, left, complete, info, squelched, ended;
    unsigned restarts, commands;
    uint32_t blocks_done;
    struct sim_block *blocks; /* the driver's own account */
    cp_time complete_at;
    struct sim_receiver_spec spec;
};

/* Traffic by kind. */
struct sim_totals {
    uint64_t wire_bytes;                /* that the sender sent, UDP payload */
    uint64_t data_bytes, control_bytes; /* of it DATA; all else */
    uint64_t nacks, acks_cc, acks_flush, adverts, flushes, probes, squelches;
    uint64_t deliveries;
    uint64_t feedback;      /* messages that reached the sender … */
    unsigned feedback_peak; /* … most in any second */
    uint64_t refused;       /* corrupted or forged packets that drivers or cores dropped */
};

struct sim_network;

struct sim {
    struct sim_config config;
    struct cp_prng prng;
    struct sim_network *network;
    struct norm_sender *sender;
    struct sim_timer sender_timer;
    struct norm_partition part;
    cp_time now;
    unsigned receiver_count;
    struct sim_receiver *receivers;
    unsigned complete_count;
    unsigned wait_count; /* receivers that must complete */
    struct sim_totals totals;
    struct sim_window *window; /* of feedback, for its peak */
    const char *failure;       /* NULL: none */
    struct sim_group *groups;
    unsigned group_count;
    struct norm_txbuf tx;
};

/* Everything that fails in here fails the test at once (abort with the seed). */
void sim_init(struct sim *sim, const struct sim_config *config,
              const struct sim_receiver_spec *specs, unsigned count);
/* Until all receivers that do not leave are complete (or, with run_to_idle, the sender is idle), of
 * all sessions of the network; false with `failure` set when content was wrong or the time limit
 * passed. */
bool sim_run(struct sim *sim);
/* Until that virtual time. */
void sim_run_until(struct sim *sim, cp_time until);
/* Replaces the sender by a new instance of the same object. */
void sim_restart_sender(struct sim *sim, uint16_t instance_id);
/* The sender is gone; nothing more comes from it. */
void sim_kill_sender(struct sim *sim);
/* The run does not wait for this receiver any more. */
void sim_excuse(struct sim *sim, unsigned index);
/* After something was told to the core directly: its timer is looked at again. */
void sim_poke_sender(struct sim *sim);
void sim_poke_receiver(struct sim *sim, unsigned index);
/* Sessions beside another one first. */
void sim_done(struct sim *sim);

/* What a node's clock shows. */
cp_time sim_clock_read(const struct sim_clock *c, cp_time now);

/* Time of the last completion. */
cp_time sim_last_completion(const struct sim *sim);

/* Expected symbols that must be sent per block of k until each of `receivers`, losing each symbol
 * with probability `loss`, has k of them; minus k, over k: the least overhead of any block code. */
double sim_bound(unsigned k, unsigned receivers, double loss);

#endif
