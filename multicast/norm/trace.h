/* SPDX-License-Identifier: Apache-2.0
 * The sender's decisions, told as they are made: what changed, from what to what, why, and on
 * whose account. Pure; a driver's function keeps or prints them. */
#ifndef NORM_TRACE_H
#define NORM_TRACE_H

#include <stdint.h>

#include "common/time.h"

enum norm_trace_kind {
    NORM_TRACE_RATE,   /* pace, bits per second */
    NORM_TRACE_PARITY, /* proactive parity symbols per block */
    NORM_TRACE_BUDGET, /* a receiver's NACKs are no longer served: symbols allowed, asked */
    NORM_TRACE_GRTT,   /* advertised GRTT, nanoseconds */
    NORM_TRACE_PASS,   /* a slice of the second pass begins: blocks deferred; in it */
    NORM_TRACE_STATE   /* enum norm_sender_state */
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
    NORM_REASON_SENDER,     /* the sender itself or its interface goes no faster */
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
