/* SPDX-License-Identifier: Apache-2.0
 * What the sender knows of each node whose feedback it heard: latest report, and what its repairs
 * cost. Pure; storage is allocated once. */
#ifndef NORM_MEMBERS_H
#define NORM_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"
#include "multicast/norm/trace.h"

#define NORM_MEMBERS_MAX 8192u

/* What a receiver can take, as far as the pace has found out: pace.c. */
struct norm_limit {
    double base_loss;     /* that lower paces did not cure */
    double burst;         /* its variance over that of single losses: mean run, about */
    bool judged;          /* a trial of its own found it */
    double packets, lost; /* of late, or since the trial began */
    uint64_t wall_bps; /* rate at which it could take no more; 0: it has taken everything so far */
    uint64_t low_bps;  /* pace that it allowed then … */
    cp_time climb;     /* … time that the way back up to the wall takes … */
    cp_time climbed;   /* … and how much of it is over */
    unsigned steady;   /* reports without trouble since the latest trial */
    uint64_t rate_bps; /* delivered of late without trouble … */
    uint64_t best_bps; /* … and at best, forgotten slowly */
    cp_time best_at;
    bool slow;       /* its buffers fill, or did when it was last heard … */
    cp_time slow_at; /* … and the pace was lowered for it last */
    uint32_t fresh;  /* pace that it kept up with, as a count of changes */

    enum norm_reason reason, told; /* why it is what it is; what the trace knows … */
    uint64_t told_bps;             /* … and the pace that it allowed then, 0 any */

    cp_time outlier_at; /* the others were so much faster then */

    /* Suspicion: it lost more than usual, does it go on? Trial: the pace was lowered to see whether
     * that goes away. */
    bool suspect, trial, tried;
    uint16_t trial_from; /* first interval wholly at the lower pace */
    cp_time trial_since;
    double trial_base;   /* base loss then */
    double trial_loss;   /* before */
    uint64_t before_bps; /* wall before it */
    uint64_t after_bps;  /* pace that it allows if the loss goes away */
};

/* What RFC 5740 5.5.2 keeps of a receiver: tfmcc.c. */
struct norm_cc_state {
    cp_time rtt;       /* smoothed, 0: none measured */
    uint16_t loss;     /* as it came */
    double rate;       /* bytes per second, that its feedback stands for */
    bool start, leave; /* it is in slow start; it leaves */
    bool told;         /* its round-trip time was sent to it */
};

struct norm_member {
    uint32_t node_id;
    cp_time first_heard, last_heard;

    /* EXT_CC of its latest feedback */
    bool reported;
    cp_time reported_at;
    uint16_t cc_sequence; /* of the probe that it answers */
    double loss;          /* fraction before repair, smoothed over a few hundred packets */
    uint64_t rate_bps;    /* received, UDP payload bits per second */
    bool slow;            /* its own buffers fill */
    bool outlier;         /* left out of the choice of the pace */

    struct norm_limit limit; /* pace.h's */
    struct norm_cc_state cc; /* tfmcc.h's */

    /* Parity */
    double mean_loss;           /* of its reports, of late */
    cp_time mean_from, mean_at; /* first and latest report in it; 0: none */

    /* Repairs */
    uint64_t asked;                 /* symbols its NACKs asked for and got, so far */
    double recent;                  /* of late: a leaky bucket, symbols */
    cp_time recent_at;              /* when it leaked last */
    cp_time over_since;             /* asks for too much since then; CP_TIME_NEVER: does not */
    uint32_t refused_to;            /* its requests below this block wait already, uncharged */
    bool waits;                     /* its NACKs have to, as the trace knows … */
    cp_time refused_at;             /* … and one did last */
    bool over_budget;               /* its NACKs are not served any more */
    uint32_t bulk_first, bulk_last; /* blocks it waits for in the second pass; first > last: none */

    size_t next; /* in its bucket */
};

struct norm_members {
    struct norm_member *member; /* count of them, in order of first hearing, but that the last takes
                                   the place of one that was removed */
    size_t count, max;
    size_t *bucket;
    size_t mask;
};

/* Room for `max` nodes (≤ NORM_MEMBERS_MAX). CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err norm_members_init(struct norm_members *m, size_t max);
void norm_members_done(struct norm_members *m);

/* NULL: never heard of. */
struct norm_member *norm_members_find(const struct norm_members *m, uint32_t node_id);
/* Notes that the node was heard; a new one gets a place. NULL: no room, it is served unaccounted. */
struct norm_member *norm_members_heard(struct norm_members *m, cp_time now, uint32_t node_id);
/* The member's place becomes free, and the last member moves there: pointers and indexes from before
 * are void. */
void norm_members_remove(struct norm_members *m, struct norm_member *member);
/* Back to nobody. */
void norm_members_clear(struct norm_members *m);

#endif
