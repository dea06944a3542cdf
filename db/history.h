/* SPDX-License-Identifier: Apache-2.0
 * History: what has ended long ago is forgotten, a batch at a time. The audit log is not of it. */
#ifndef DB_HISTORY_H
#define DB_HISTORY_H

#include "db/db.h"

enum db_history {
    DB_HISTORY_SESSIONS,  /* ended ones, with their receivers and decisions */
    DB_HISTORY_RECEIVERS, /* of no session: HTTPS only */
    DB_HISTORY_TASKS,     /* ended ones with their log; of a kind, among those without a subject,
                             the newest and the newest that is done stay */
    DB_HISTORY_EVENTS,    /* but for those that say that a node had its first keys */
    DB_HISTORY_COUNT
};

/* "sessions", "receivers", … */
const char *db_history_name(enum db_history what);

/* Deletes of one sort what is older than so many days, at most limit rows of it. *ret_count: how
 * many went. */
CP_MUST_CHECK enum cp_err db_history_drop(struct db_conn *conn, enum db_history what, uint32_t days,
                                          size_t limit, uint64_t *ret_count, struct cp_error *err);

#endif
