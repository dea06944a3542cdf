/* SPDX-License-Identifier: Apache-2.0
 * Policy of fallback. Pure. */
#include "client/plan.h"

#include "client/http.h"

/* Before joining again: long enough for a service that restarts, short for whoever waits. */
#define REJOIN_DELAY (2 * CP_SEC)

static struct cl_decision decide(enum cl_step step, enum cp_err reason, cp_time delay)
{
    return (struct cl_decision){.step = step, .reason = reason, .delay = delay};
}

static struct cl_decision rejoin_or_fail(const struct cl_plan *p, enum cp_err reason)
{
    return p->joins < CL_JOINS_MAX ? decide(CL_STEP_REJOIN, reason, REJOIN_DELAY)
                                   : decide(CL_STEP_FAIL, reason, 0);
}

static struct cl_decision on_joined(const struct cl_plan_facts *f)
{
    if (f->multicast && f->session) {
        return decide(CL_STEP_MULTICAST, CP_OK, 0);
    }
    if (f->https) {
        return decide(CL_STEP_HTTPS, f->multicast ? f->no_session : CP_OK, 0);
    }
    /* Nothing is left: what the user took away counts before what the service lacks. */
    return decide(CL_STEP_FAIL, f->multicast ? f->no_session : f->no_https, 0);
}

/* Failures that another way of transport cannot cure. */
static bool is_local(enum cp_err code)
{
    switch (code) {
    case CP_ERR_INTERNAL:
    case CP_ERR_NO_MEMORY:
    case CP_ERR_OUTPUT:
    case CP_ERR_OUTPUT_FULL:
    case CP_ERR_INTERRUPTED:
        return true;
    default:
        return false;
    }
}

/* The ticket is worth nothing any more: a new one has the session's new secret, or there is none and
 * the refusal says why. */
static bool wants_new_join(enum cp_err code)
{
    return code == CP_ERR_SESSION_REKEYED || code == CP_ERR_AUTH_FAILED ||
           code == CP_ERR_AUTH_REQUIRED;
}

static struct cl_decision on_multicast_ended(const struct cl_plan *p, const struct cl_plan_facts *f,
                                             const struct cl_plan_event *e)
{
    enum cp_err code =
        e->code == CP_OK ? CP_ERR_CHUNK_DIGEST : e->code; /* yet chunks are missing */

    if (is_local(code)) {
        return decide(CL_STEP_FAIL, code, 0);
    }
    if (wants_new_join(code)) {
        return rejoin_or_fail(p, code);
    }
    if (f->https) {
        return decide(CL_STEP_HTTPS, code, f->https_delay);
    }
    /* Without HTTPS, a sender that was there may come back: the service restarted, or its session
     * ended before this receiver had all. */
    if (code == CP_ERR_SENDER_SILENT && e->progressed) {
        return rejoin_or_fail(p, code);
    }
    return decide(CL_STEP_FAIL, code, 0);
}

static struct cl_decision on_https_ended(const struct cl_plan *p, const struct cl_plan_event *e)
{
    /* The receiver token is of one join: after a restart or its expiry a new join gives a new one. */
    if (wants_new_join(e->code)) {
        return rejoin_or_fail(p, e->code);
    }
    return decide(CL_STEP_FAIL, e->code == CP_OK ? CP_ERR_CHUNK_DIGEST : e->code, 0);
}

static struct cl_decision on_join_failed(const struct cl_plan *p, const struct cl_plan_event *e)
{
    if (!cl_http_is_passing(e->code) || p->join_failures >= CL_JOIN_TRIES_MAX) {
        return decide(CL_STEP_FAIL, e->code, 0);
    }
    return decide(CL_STEP_REJOIN, e->code, REJOIN_DELAY * p->join_failures);
}

struct cl_decision cl_plan_next(struct cl_plan *p, const struct cl_plan_facts *facts,
                                const struct cl_plan_event *event)
{
    if (event->what == CL_EVENT_JOINED) {
        p->joins++;
        p->join_failures = 0;
    } else if (event->what == CL_EVENT_JOIN_FAILED) {
        p->join_failures++;
    }
    if (event->chunks_missing == 0) {
        return decide(CL_STEP_DONE, CP_OK, 0);
    }
    switch (event->what) {
    case CL_EVENT_JOINED:
        return on_joined(facts);
    case CL_EVENT_JOIN_FAILED:
        return on_join_failed(p, event);
    case CL_EVENT_MULTICAST_ENDED:
        return on_multicast_ended(p, facts, event);
    case CL_EVENT_HTTPS_ENDED:
        return on_https_ended(p, event);
    }
    return decide(CL_STEP_FAIL, CP_ERR_INTERNAL, 0);
}
