/* SPDX-License-Identifier: Apache-2.0
 * What a running session's sender knows and decides, brought to the database: members, decisions,
 * and receivers that it does not serve any more, which are told to leave. Belongs to the
 * scheduler's thread. */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include "common/err.h"
#include "common/time.h"
#include "db/decision.h"
#include "db/receiver.h"
#include "multicast/session.h"

struct api_context; /* api/api.h */
struct srv_engine;  /* server/engine.h */

/* As written last. */
struct srv_known {
    struct db_seen_report report;
    cp_time written;
};

/* Zeroed at the start. */
struct srv_watch {
    struct mc_member *members;   /* scratch space of a round */
    struct srv_known *known;     /* by position: members keep theirs */
    struct db_seen_report *news; /* scratch space, and … */
    size_t *news_at;             /* … which members they are of */
    size_t known_count, room;
    struct db_decision decisions[DB_DECISIONS_KEPT]; /* not written yet */
    size_t decision_count;
};

void srv_watch_done(struct srv_watch *w);

struct srv_watch_round {
    const struct api_context *api;
    const struct db_session *session;
    struct srv_engine *engine;
    bool last; /* figures that were held back too: no more rounds follow */
};

/* Writes what is new: decisions, and of each receiver its standing at once and its figures every
 * few seconds. A failure of the database changes nothing; the next round does it. */
CP_MUST_CHECK enum cp_err srv_watch_round(struct srv_watch *w, const struct srv_watch_round *round,
                                          struct cp_error *err);

#endif
