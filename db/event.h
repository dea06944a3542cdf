/* SPDX-License-Identifier: Apache-2.0
 * Events: what happened, for the operator; never changed, only added. Only kinds of
 * common/event_catalogue.h can be written. */
#ifndef DB_EVENT_H
#define DB_EVENT_H

#include "db/db.h"

#define DB_EVENT_DETAIL_SIZE 2048
/* All kinds of the catalogue as one PostgreSQL array. */
#define DB_KINDS_SIZE 4096

struct db_event {
    uint64_t id; /* ascending */
    uint64_t time;
    char node_id[DB_ID_SIZE];          /* "" : of no node */
    char kind[DB_NAME_SIZE];           /* "multicast-key-replaced" */
    char subject[DB_TEXT_SIZE];        /* what it is about: "session <id>", "package win11" */
    char actor[DB_NAME_SIZE];          /* account's name, "" for the service itself or anonymous */
    char detail[DB_EVENT_DETAIL_SIZE]; /* JSON object: db_event_set_detail */
    char request_id[DB_NAME_SIZE];
};

/* The one place that writes events. Uses node_id, kind (of the catalogue: anything else is our
 * bug), subject, actor, detail ("" means {}), request_id. */
CP_MUST_CHECK enum cp_err db_event_add(struct db_conn *conn, const struct db_event *event,
                                       struct cp_error *err);

/* At least one, numbered in their order, by one statement. */
CP_MUST_CHECK enum cp_err db_event_add_many(struct db_conn *conn, const struct db_event *events,
                                            size_t count, struct cp_error *err);

/* Kinds as the array that queries take: starts as "", which means all; each is there once. False: no
 * such kind. */
bool db_kinds_add(char kinds[DB_KINDS_SIZE], const char *kind);

/* Which events; zeroed: all of them. */
struct db_event_filter {
    const char *kinds;   /* of db_kinds_add; NULL or "": all */
    const char *subject; /* NULL: any */
    uint64_t since;      /* 0: from the first */
};

/* Newest first: those with an id below `before` (0: from the newest), at most limit. */
CP_MUST_CHECK enum cp_err db_event_list(struct db_conn *conn, const struct db_event_filter *filter,
                                        uint64_t before, size_t limit, struct db_event *ret_items,
                                        size_t *ret_count, struct cp_error *err);

/* Whether the node has had an event of that kind. */
CP_MUST_CHECK enum cp_err db_event_seen(struct db_conn *conn, const char *node_id, const char *kind,
                                        bool *ret_seen, struct cp_error *err);

/* ---- following them ---- */

/* The number up to which nothing will appear any more that is not there (migrations/0011). In a
 * body of db_run_tx_locking: a snapshot that is older than the answer could miss what it covers.
 * *ret_pending: transactions are under way that took numbers above it; nobody says when one of
 * them ends without an event. */
CP_MUST_CHECK enum cp_err db_event_settled(struct db_conn *conn, uint64_t *ret_id,
                                           bool *ret_pending, struct cp_error *err);

/* Oldest first: those with after < id <= upto (settled), at most limit. kinds as in the filter. */
struct db_event_range {
    const char *kinds;
    uint64_t after, upto;
};
CP_MUST_CHECK enum cp_err db_event_follow(struct db_conn *conn, const struct db_event_range *range,
                                          size_t limit, struct db_event *ret_items,
                                          size_t *ret_count, struct cp_error *err);

#endif
