/* SPDX-License-Identifier: Apache-2.0
 * The running sessions of this node and the ceiling that they share. Belongs to the scheduler's
 * thread. */
#ifndef SERVER_RUNS_H
#define SERVER_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"
#include "db/session.h"

struct api_context;  /* api/api.h */
struct srv_run;      /* server/run.h */
struct srv_throttle; /* server/http_throttle.h */

struct srv_runs {
    const struct api_context *api;
    int wake_fd;                   /* for engines that end */
    struct srv_throttle *throttle; /* of HTTPS, which has a ceiling of its own; NULL allowed */
    struct srv_run **items;
    uint64_t *wants, *shares; /* scratch space for one more than there are */
    size_t count, room;
    uint64_t https_ceiling_bps; /* as the throttle has it; 0: none */
    uint64_t ceiling_bps;       /* on the wire */
    cp_time share_at;           /* when shares are due to be divided again */
};

void srv_runs_init(struct srv_runs *rs, const struct api_context *api, int wake_fd);
void srv_runs_done(struct srv_runs *rs);

/* Reads the node's settings; a ceiling that has changed reaches the running sessions at once. */
CP_MUST_CHECK enum cp_err srv_runs_read_ceiling(struct srv_runs *rs, struct cp_error *err);

/* Starts the engine of a session in state running, with a share that the others give up first. */
CP_MUST_CHECK enum cp_err srv_runs_add(struct srv_runs *rs, const struct db_session *session,
                                       struct cp_error *err);
/* Frees a run that is over; what it had is the others' at once. The last one takes its position. */
void srv_runs_remove(struct srv_runs *rs, size_t index);

/* NULL: none of that session. */
struct srv_run *srv_runs_find(const struct srv_runs *rs, const char *session_id);
void srv_runs_touch_all(struct srv_runs *rs);

/* Once a second: shares by what the sessions made use of. */
void srv_runs_share(struct srv_runs *rs, cp_time now);

/* When a round, or the division, is due next. */
cp_time srv_runs_next_time(const struct srv_runs *rs);

#endif
