/* SPDX-License-Identifier: Apache-2.0
 * RFC 5740 5.5.2, congestion control that is fair towards TCP (TFMCC, NORM_RATE_TFMCC): the rate
 * equation, the receiver's loss events, the sender's limiting receiver and rate. Pure; one thread. */
#ifndef NORM_TFMCC_H
#define NORM_TFMCC_H

#include "multicast/norm/members.h"
#include "multicast/norm/wire.h"

/* ---- equation ---- */

#define NORM_TFMCC_RATE_MAX 1e15 /* bytes per second: "no limit" */

/* RFC 5740 5.5.2's Rsender, bytes per second, for packets of `segment` bytes. Loss 0: no limit. */
double norm_tfmcc_rate(double segment, cp_time rtt, double loss);
/* Loss event fraction at which the equation gives that rate. */
double norm_tfmcc_loss(double segment, cp_time rtt, double rate);

/* ---- receiver ---- */

#define NORM_LOSS_INTERVALS 8u
#define NORM_NDUPACK        3u

/* Loss events: losses within one round-trip time count as one. RFC 5348 section 5.1: a packet is lost
 * when "at least NDUPACK packets with a higher sequence number" came; before it may be late. */
struct norm_loss_events {
    uint16_t newest[NORM_NDUPACK];        /* sequence numbers that came, highest first … */
    unsigned known;                       /* … so many; what is below the last is judged */
    double interval[NORM_LOSS_INTERVALS]; /* packets between the beginnings of two, latest first */
    unsigned count;
    double open; /* packets since the latest began */
    cp_time at;  /* when */
};

struct norm_loss_path {
    double segment; /* nominal packet, bytes */
    cp_time rtt;
    double rate; /* received, bytes per second: initialises the first interval; 0 unknown */
};

void norm_loss_events_packet(struct norm_loss_events *e, cp_time now, uint16_t sequence,
                             const struct norm_loss_path *path);
/* So many were lost, and more than half of all sequence numbers lie before the next packet. */
void norm_loss_events_jump(struct norm_loss_events *e, cp_time now, uint16_t lost,
                           const struct norm_loss_path *path);
/* Loss event fraction; 0: none so far. */
double norm_loss_events_fraction(const struct norm_loss_events *e);

/* ---- sender ---- */

struct norm_tfmcc_config {
    double segment;                  /* nominal packet, bytes */
    uint64_t floor_bps, ceiling_bps; /* floor 0: one segment per second */
    unsigned robust_factor;
};

struct norm_tfmcc {
    struct norm_tfmcc_config config;
    double rate;             /* bytes per second */
    enum norm_reason reason; /* TFMCC: the equation or slow start; silence; sender: a break */
    bool slow_start;
    uint32_t clr;          /* current limiting receiver; 0: none */
    uint16_t clr_sequence; /* of its latest feedback */
    cp_time raised_at, lowered_at;
    cp_time idle_since; /* break in the data; CP_TIME_NEVER: none */
};

struct norm_tfmcc_report {
    struct norm_ext_cc cc;
    cp_time rtt;  /* measured with this feedback; 0: none */
    cp_time grtt; /* in its place */
    bool limited; /* the sender had less to send than it might have */
};

void norm_tfmcc_init(struct norm_tfmcc *t, const struct norm_tfmcc_config *config, cp_time grtt);
void norm_tfmcc_report(struct norm_tfmcc *t, cp_time now, struct norm_members *members,
                       struct norm_member *m, const struct norm_tfmcc_report *report);
/* With each probe; `sequence` is its own. busy: data was sent since the one before. */
void norm_tfmcc_probe(struct norm_tfmcc *t, cp_time now, struct norm_members *members,
                      uint16_t sequence, bool busy);
/* Time to the next probe after one that came `before` after its own; `least` for one of few data. */
cp_time norm_tfmcc_interval(const struct norm_tfmcc *t, const struct norm_members *members,
                            cp_time before, cp_time least);
uint64_t norm_tfmcc_bps(const struct norm_tfmcc *t);
void norm_tfmcc_set_ceiling(struct norm_tfmcc *t, uint64_t bps);

/* cc_node_list with at most `max` items (NORM_CC_NODE_SIZE bytes each); items written. */
size_t norm_tfmcc_nodes(const struct norm_tfmcc *t, struct norm_members *members, cp_time now,
                        uint8_t *list, size_t max);

/* The node was removed from the members: it limits nobody any more. `sequence`: of the next probe. */
void norm_tfmcc_gone(struct norm_tfmcc *t, const struct norm_members *members, uint32_t node_id,
                     uint16_t sequence);

#endif
