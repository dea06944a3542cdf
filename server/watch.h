/* SPDX-License-Identifier: Apache-2.0
 * What a running session's sender knows and decides, brought to the database: members, decisions,
 * and receivers that it does not serve any more, which are told to leave. Belongs to the
 * scheduler's thread. */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include "common/err.h"
#include "db/decision.h"
#include "db/receiver.h"
#include "multicast/session.h"

struct api_context; /* api/api.h */
struct srv_engine;  /* server/engine.h */

/* Zeroed at the start. */
struct srv_watch {
    struct mc_member *members;    /* scratch space of a round */
    struct db_seen_report *known; /* as written last; by position, members keep theirs */
    struct db_seen_report *news;  /* scratch space */
    size_t known_count, room;
    struct db_decision decisions[DB_DECISIONS_KEPT]; /* not written yet */
    size_t decision_count;
};

void srv_watch_done(struct srv_watch *w);

/* Writes what is new. A failure of the database changes nothing; the next round does it. */
CP_MUST_CHECK enum cp_err srv_watch_round(struct srv_watch *w, const struct api_context *api,
                                          const struct db_session *session, struct srv_engine *e,
                                          struct cp_error *err);

#endif
