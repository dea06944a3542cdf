/* SPDX-License-Identifier: Apache-2.0
 * What follows from a change of content access, for the distribution point or for a package. Touches
 * the database through the connection it is given; thread-safe. */
#ifndef API_ACCESS_ACCESS_CHANGE_H
#define API_ACCESS_ACCESS_CHANGE_H

#include <jansson.h>

#include "api/api.h"
#include "db/db.h"

struct api_consequences {
    bool changed;               /* content access was changed: the rest says what came of it */
    uint64_t receivers_revoked; /* anonymous, not in a running session: out, their token is void */
    uint64_t receivers_running; /* anonymous, in a running one: go on by multicast, without HTTPS */
    uint64_t sessions_rekeyed;  /* that waited with a revoked receiver */
    uint64_t sessions_cancelled;  /* the same, of another distribution point: it has their key */
    uint64_t receivers_rejoining; /* not anonymous, in those sessions: are told to join again */
};

/* Before api_access_change_settle(), in a body of db_run_tx_locking: from here to the commit nobody
 * joins. The change may come before or after it: who joins before has committed when this returns. */
CP_MUST_CHECK enum cp_err api_access_change_begin(struct db_conn *conn, struct cp_error *err);

/* After the change, in the same transaction: revokes anonymous receivers whose content is not for
 * anonymous clients any more, gives their sessions new secrets, writes the event. Nothing when
 * access was opened. */
CP_MUST_CHECK enum cp_err api_access_change_settle(struct db_conn *conn,
                                                   const struct api_context *ctx,
                                                   const struct api_call *call,
                                                   struct api_consequences *ret_consequences,
                                                   struct cp_error *err);

/* The answer's field `consequences`; null when access was not changed. */
json_t *api_consequences_json(const struct api_consequences *c);

#endif
