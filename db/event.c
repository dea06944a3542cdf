/* SPDX-License-Identifier: Apache-2.0
 * SQL of events. */
#include "db/event.h"

#include "db/sql.h"

static const struct db_stmt add_stmt = {
    "event_add", "INSERT INTO events (node_id, kind, subject, actor, detail, request_id)"
                 " VALUES ($1, $2, $3, $4, coalesce($5::jsonb, '{}'), $6)"};
/* A detail that is longer than the field would not be JSON any more when cut. */
static const struct db_stmt list_stmt = {
    "event_list",
    "SELECT id, time, node_id, kind, subject, actor,"
    " CASE WHEN octet_length(detail::text) < $4 THEN detail::text ELSE '{}' END, request_id"
    " FROM events WHERE ($1::text IS NULL OR kind = $1) AND ($2 = 0 OR id < $2)"
    " ORDER BY id DESC LIMIT $3"};

static const struct db_stmt seen_stmt = {
    "event_seen", "SELECT 1 FROM events WHERE node_id = $1 AND kind = $2 LIMIT 1"};

static const struct db_col cols[] = {
    DB_COL_INT(db_event, id),       DB_COL_TIME(db_event, time),
    DB_COL_TEXT(db_event, node_id), DB_COL_TEXT(db_event, kind),
    DB_COL_TEXT(db_event, subject), DB_COL_TEXT(db_event, actor),
    DB_COL_TEXT(db_event, detail),  DB_COL_TEXT(db_event, request_id),
};

enum cp_err db_event_add(struct db_conn *conn, const struct db_event *event, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(event->node_id),   db_p_text(event->kind),
                                db_p_text(event->subject), db_p_text(event->actor),
                                db_p_some(event->detail),  db_p_text(event->request_id)};

    return db_do(conn, DB_COMMAND(&add_stmt, params), NULL, err);
}

enum cp_err db_event_list(struct db_conn *conn, const char *kind, uint64_t before, size_t limit,
                          struct db_event *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_some(kind), db_p_u64(before > INT64_MAX ? 0 : before),
                                db_p_u64(limit), db_p_u64(DB_EVENT_DETAIL_SIZE)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}

enum cp_err db_event_seen(struct db_conn *conn, const char *node_id, const char *kind,
                          bool *ret_seen, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(kind)};
    uint64_t count;

    CP_TRY(db_do(conn, DB_COMMAND(&seen_stmt, params), &count, err));
    *ret_seen = count > 0;
    return CP_OK;
}
