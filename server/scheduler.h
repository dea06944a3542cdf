/* SPDX-License-Identifier: Apache-2.0
 * Drives the sessions of this node: one thread that learns from the database what is to be done
 * (docs/protocol.md section 8), starts an engine for each session that is due, keeps its roster,
 * flushes counters and progress, ends sessions. */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "common/err.h"

struct api_context; /* api/api.h */
struct db_listener; /* db/listener.h */
struct srv_scheduler;
struct srv_throttle; /* server/http_throttle.h */

struct srv_scheduler_config {
    const struct api_context *api; /* borrowed until stop */
    /* Connected, on DB_CHANNEL_SESSIONS, _RECEIVERS and _SETTINGS; borrowed until stop. */
    struct db_listener *listener;
    struct srv_throttle *throttle; /* learns its ceiling; borrowed until stop; NULL allowed */
};

/* Settles what an earlier process left behind (a session whose receivers were heard of lately goes
 * on, others become interrupted), then starts the thread. CP_ERR_DATABASE and others. */
CP_MUST_CHECK enum cp_err srv_scheduler_start(const struct srv_scheduler_config *config,
                                              struct srv_scheduler **ret_scheduler,
                                              struct cp_error *err);

/* Withdraws running sessions, which become interrupted, flushes, and waits for all threads. NULL
 * allowed. */
void srv_scheduler_stop(struct srv_scheduler *s);

#endif
