/* SPDX-License-Identifier: Apache-2.0
 * The sender's decisions, told as they are made: what changed, from what to what, why, and on
 * whose account. Pure; a driver's function keeps or prints them. */
#ifndef NORM_TRACE_H
#define NORM_TRACE_H

#include <stdint.h>

#include "common/time.h"

/* What is decided, and what `before` and `after` are: old and new value, unless said. Of decisions
 * for each repair (parity added to it, symbols or blocks) nothing is told: repairs show them. */
enum norm_trace_kind {
    NORM_TRACE_RATE,         /* pace, bits per second */
    NORM_TRACE_PARITY,       /* proactive parity symbols per block … */
    NORM_TRACE_PARITY_LAST,  /* … behind the last blocks … */
    NORM_TRACE_PARITY_ALONE, /* … and behind whole blocks repaired for few */
    NORM_TRACE_BUDGET,       /* a receiver's NACKs are no longer served: symbols allowed, asked */
    NORM_TRACE_WAIT,         /* its NACKs wait for now, 1, or do not any more, 0 */
    NORM_TRACE_DEFER,   /* requests wait for the second pass: for blocks `before` … `after` */
    NORM_TRACE_PASS,    /* a slice of the second pass begins: blocks deferred; in it */
    NORM_TRACE_LIMIT,   /* pace that one receiver allows, bits per second, 0 any: on trial (start),
                           what the trial showed (congestion, random), its buffers fill (slow), it
                           keeps up (room), it was not heard any more (silence) */
    NORM_TRACE_OUTLIER, /* a receiver has no say in the pace (slow), or has one again (room): what
                           the median receiver takes, what this one does, bits per second */
    NORM_TRACE_CLR,     /* node that limits the rate by RFC 5740 5.5.2, 0 none; start: slow start */
    NORM_TRACE_GRTT,    /* advertised GRTT, nanoseconds */
    NORM_TRACE_STATE,   /* enum norm_sender_state */
    NORM_TRACE_KINDS    /* how many */
};

enum norm_reason {
    NORM_REASON_NONE,
    NORM_REASON_START,      /* nothing is known yet: finding out */
    NORM_REASON_CEILING,    /* the configured limit */
    NORM_REASON_ROOM,       /* everybody keeps up: faster */
    NORM_REASON_CONGESTION, /* loss that grows with the pace: slower */
    NORM_REASON_SLOW,       /* a receiver's own buffers fill: slower */
    NORM_REASON_RANDOM,     /* loss that the pace does not change: parity heals it, pace restored */
    NORM_REASON_SILENCE,    /* receivers that used to report do not: slower */
    NORM_REASON_SENDER,     /* the sender itself or its interface goes no faster, or has no data */
    NORM_REASON_TFMCC,      /* RFC 5740 5.5.2's equation */
    NORM_REASON_WISH        /* the caller changed the limit */
};

struct norm_trace {
    cp_time at;
    enum norm_trace_kind kind;
    enum norm_reason reason;
    uint32_t node_id; /* the receiver that was decisive; 0 none */
    uint64_t before, after;
    double loss;       /* that it reported, fraction before repair */
    uint64_t rate_bps; /* that it received, bits per second */
};

typedef void norm_trace_fn(void *arg, const struct norm_trace *t);

/* "rate", "parity" …; "ceiling", "congestion" …: words for logs and the API. */
const char *norm_trace_kind_name(enum norm_trace_kind kind);
const char *norm_reason_name(enum norm_reason reason);

#endif
