/* SPDX-License-Identifier: Apache-2.0
 * Events: what happened, for the operator; never changed, only added. */
#ifndef DB_EVENT_H
#define DB_EVENT_H

#include "db/db.h"

#define DB_EVENT_DETAIL_SIZE 2048

struct db_event {
    uint64_t id; /* ascending */
    uint64_t time;
    char node_id[DB_ID_SIZE];          /* "" : of no node */
    char kind[DB_NAME_SIZE];           /* "multicast-key-replaced" */
    char subject[DB_TEXT_SIZE];        /* what it is about: "session <id>", "package win11" */
    char actor[DB_NAME_SIZE];          /* account's name, "" for the service itself or anonymous */
    char detail[DB_EVENT_DETAIL_SIZE]; /* JSON object, cut out to "{}" when longer */
    char request_id[DB_NAME_SIZE];
};

/* Uses node_id, kind, subject, actor, detail ("" means {}), request_id. */
CP_MUST_CHECK enum cp_err db_event_add(struct db_conn *conn, const struct db_event *event,
                                       struct cp_error *err);

/* Newest first: those with an id below `before` (0: from the newest), at most limit. kind NULL:
 * all. */
CP_MUST_CHECK enum cp_err db_event_list(struct db_conn *conn, const char *kind, uint64_t before,
                                        size_t limit, struct db_event *ret_items, size_t *ret_count,
                                        struct cp_error *err);

/* Whether the node has had an event of that kind. */
CP_MUST_CHECK enum cp_err db_event_seen(struct db_conn *conn, const char *node_id, const char *kind,
                                        bool *ret_seen, struct cp_error *err);

#endif
