/* SPDX-License-Identifier: Apache-2.0
 * Rate control for networks of one's own (NORM_RATE_LAN): the pace that the receivers can take.
 * Pure arithmetic on what the receivers report; one thread.
 *
 * The sender probes every few milliseconds; each receiver reports what it lost and received between
 * two probes, and whether its own buffers fill. Of every receiver the control keeps a limit, none
 * at first; the pace is the least limit of all, and never above the ceiling.
 *  - Without any limit the pace doubles as soon as most receivers reported that they kept up.
 *    What is lost at the first pace of all (up to 8 %) is judged by what twice the pace brings.
 *  - A receiver that loses more than it did at other paces is looked at anew, since chance picked it;
 *    if that goes on it is on trial: the pace falls to 85 % of what it got. When its loss goes
 *    away the network was congested: what it got is the wall, its limit 97 % of that, from where it
 *    climbs back in 2 s and then, slowly at first, beyond, as CUBIC does (RFC 9438). When the loss
 *    stays what it was, it is random: that much is its base loss from now on, which parity heals,
 *    and the pace returns to where it was.
 *  - A receiver whose buffers fill is given 90 % of what it took until they are empty again.
 *  - A receiver that suddenly gets much less than before shares its path with somebody new: it
 *    makes more room, 30 %, so that those who share come to terms.
 *  - A few that cannot keep half the pace of the others (slow_share) have no say: they are served
 *    by repairs until they have kept up for a second. Nor have those whose repair budget is spent,
 *    and those that fell silent.
 *  - When nobody reports any more who used to, the pace is halved every half second.
 *  - A pace that the sender itself does not reach means nothing: it stays within 1.25 times of
 *    what was sent. Times without data to send count for nothing. */
#ifndef NORM_PACE_H
#define NORM_PACE_H

#include "multicast/norm/members.h"
#include "multicast/norm/trace.h"

struct norm_pace_config {
    uint64_t ceiling_bps, floor_bps, start_bps;
    double slow_share;    /* 0 … 1: may be left out, rounded up, of three receivers or more */
    bool prompted;        /* receivers are asked for reports: silence means something */
    norm_trace_fn *trace; /* limits and outliers; NULL none */
    void *trace_arg;
};

struct norm_pace {
    struct norm_pace_config config;
    uint64_t bps; /* the pace */
    enum norm_reason reason;
    uint32_t setter;  /* node that limits it, 0 none */
    unsigned changes; /* of the pace so far */
    uint16_t epoch;   /* first interval wholly at this pace */
    unsigned fresh;   /* receivers that kept up with it */
    uint32_t reporters;
    uint64_t achieved_bps; /* at best of late */
    uint64_t resume_bps;   /* pace before the trials that run; 0: none do … */
    uint16_t lowered;      /* … and first interval of the lower one, in part at least */
    double random_loss;    /* greatest base loss found: what a new receiver is taken to have */
    bool busy;             /* the latest interval had data to send all the time */
    cp_time heard_at; /* latest report, 0 none; or when the pace was last lowered for silence */
    bool settled;     /* nothing is being found out: probes may be rare */
};

/* What a receiver says of the interval between two probes, and what the sender did in it. */
struct norm_pace_report {
    uint16_t sequence; /* of the probe that ended the interval … */
    uint16_t first;    /* … and the first that it may cover: probes get lost */
    double loss;       /* 0 … 1 */
    uint64_t rate_bps; /* 0: it cannot tell */
    bool slow;
    uint64_t sent_bps; /* by the sender in that interval, and … */
    uint64_t packets;  /* … packets of it */
    bool busy;         /* there was data to send all the time; false too when it is too long ago */
};

/* An interval of the sender that ends. */
struct norm_pace_interval {
    uint16_t sequence; /* of the probe that ends it */
    cp_time duration;
    uint64_t sent_bps;
    bool busy;
    cp_time patience; /* no answer to probes is silence after so long at least */
};

void norm_pace_init(struct norm_pace *p, const struct norm_pace_config *config);

/* Takes a report in. True: norm_pace_decide() should follow at once. next_sequence: of the probe that
 * ends the interval that runs. */
bool norm_pace_report(struct norm_pace *p, cp_time now, struct norm_member *m,
                      const struct norm_pace_report *report, uint16_t next_sequence);
/* At each probe. Decides. */
void norm_pace_interval(struct norm_pace *p, cp_time now, struct norm_members *members,
                        const struct norm_pace_interval *interval);
/* Sets the pace and why. */
void norm_pace_decide(struct norm_pace *p, cp_time now, struct norm_members *members,
                      uint16_t next_sequence);
/* A new ceiling; a pace above it falls to it at once. */
void norm_pace_set_ceiling(struct norm_pace *p, uint64_t bps, uint16_t next_sequence);

#endif
