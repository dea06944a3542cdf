/* SPDX-License-Identifier: Apache-2.0
 * What the senders of sessions decided of late; the newest DB_DECISIONS_KEPT of a session stay. */
#ifndef DB_DECISION_H
#define DB_DECISION_H

#include "db/db.h"
#include "db/session.h"

#define DB_DECISIONS_KEPT 64

struct db_decision {
    uint64_t number;           /* counts a session's decisions from 1 */
    uint64_t time;             /* wall clock */
    char what[DB_WORD_SIZE];   /* "rate", "parity", … */
    char reason[DB_WORD_SIZE]; /* "congestion", … */
    uint32_t norm_node_id;     /* receiver that it was decided for, 0 none */
    uint64_t before, after;    /* in the unit of what changed */
    uint32_t loss_ppm;
    uint64_t rate_bps;              /* that it received */
    char receiver_id[DB_ID_SIZE];   /* when read: who norm_node_id is, "" nobody */
    char client_name[DB_NAME_SIZE]; /* its name */
};

/* Adds a decision, which gets the next number, and drops the oldest above DB_DECISIONS_KEPT. One
 * adder a session at a time. */
CP_MUST_CHECK enum cp_err db_decision_add(struct db_conn *conn, const char *session_id,
                                          const struct db_decision *decision, struct cp_error *err);

/* Which decisions of a session: those with a number below `before` (0: from the newest); what was
 * decided, NULL anything. */
struct db_decision_list {
    const char *session_id, *what;
    uint64_t before;
};
/* Newest first, at most limit. */
CP_MUST_CHECK enum cp_err db_decision_list(struct db_conn *conn,
                                           const struct db_decision_list *list, size_t limit,
                                           struct db_decision *ret_items, size_t *ret_count,
                                           struct cp_error *err);

#endif
