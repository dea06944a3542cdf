/* SPDX-License-Identifier: Apache-2.0
 * What castget does next: multicast, HTTPS, joining again, or giving up. Pure policy: facts of the
 * ticket and events go in, one decision comes out. */
#ifndef CLIENT_PLAN_H
#define CLIENT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/time.h"

/* Joins of one run: the first, and those after a sender fell silent, a receiver token expired or a
 * session got a new secret. */
#define CL_JOINS_MAX 4u
/* Tries of one join after the first: a service that restarts has about half a minute. */
#define CL_JOIN_TRIES_MAX 8u

enum cl_step {
    CL_STEP_MULTICAST, /* receive the ticket's session */
    CL_STEP_HTTPS,     /* fetch what is missing over HTTPS, after `delay` */
    CL_STEP_REJOIN,    /* ask for a new ticket, after `delay` */
    CL_STEP_DONE,      /* all is here and verified */
    CL_STEP_FAIL       /* give up with `reason` */
};

enum cl_event {
    CL_EVENT_JOINED,          /* a ticket is here */
    CL_EVENT_JOIN_FAILED,     /* code: why there is no new one */
    CL_EVENT_MULTICAST_ENDED, /* code: how */
    CL_EVENT_HTTPS_ENDED      /* code: how */
};

/* What the ticket and the options say. */
struct cl_plan_facts {
    bool multicast;         /* wanted by the user */
    bool session;           /* the ticket has one */
    bool https;             /* the content may be fetched over HTTPS */
    enum cp_err no_session; /* why there is none */
    enum cp_err no_https;   /* why it may not */
    cp_time https_delay;    /* the slot for falling back that the service gave out */
};

struct cl_plan_event {
    enum cl_event what;
    enum cp_err code;
    size_t chunks_missing; /* not verified yet */
    bool progressed;       /* the step verified at least one chunk */
};

struct cl_decision {
    enum cl_step step;
    enum cp_err reason; /* HTTPS: why not multicast (CP_OK: by choice); FAIL, REJOIN: why */
    cp_time delay;
};

/* Zeroed at the start. */
struct cl_plan {
    unsigned joins;
    unsigned join_failures; /* in a row */
};

struct cl_decision cl_plan_next(struct cl_plan *p, const struct cl_plan_facts *facts,
                                const struct cl_plan_event *event);

#endif
