/* SPDX-License-Identifier: Apache-2.0
 * SQL of events. */
#include "db/event.h"

#include <stdio.h>
#include <string.h>

#include "common/event.h"
#include "common/log.h"
#include "db/batch.h"

static const struct db_stmt add_stmt = {
    "event_add", "INSERT INTO events (node_id, kind, subject, actor, detail, request_id)"
                 " SELECT node_id, kind, subject, actor, coalesce(detail, '{}'), request_id"
                 " FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::jsonb[],"
                 " $6::text[]) AS n (node_id, kind, subject, actor, detail, request_id)"};

/* db_event_set_detail keeps a detail within the field; one that others wrote would not be JSON any
 * more when cut. */
#define COLUMNS                                                                                    \
    "e.id, e.time, e.node_id, e.kind, e.subject, e.actor, CASE WHEN octet_length(e.detail::text)"  \
    " < 2048 THEN e.detail::text ELSE '{\"left_out\": [\"detail\"]}' END, e.request_id"
_Static_assert(DB_EVENT_DETAIL_SIZE == 2048, "the columns name it");

/* Numbers and times go up together but for the length of a transaction: what is later than `since`
 * has a number above all that is an hour older. */
#define SINCE(param)                                                                               \
    "(" param "::timestamptz IS NULL OR (e.time >= " param " AND e.id > coalesce((SELECT o.id"     \
    " FROM events o WHERE o.time < " param " - interval '1 hour' ORDER BY o.time DESC LIMIT 1),"   \
    " 0)))"

static const struct db_stmt list_stmt = {
    "event_list", "SELECT " COLUMNS " FROM events e WHERE ($1 = 0 OR e.id < $1)"
                  " AND " SINCE("$3") " ORDER BY e.id DESC LIMIT $2"};
static const struct db_stmt list_subject_stmt = {
    "event_list_subject",
    "SELECT " COLUMNS " FROM events e WHERE e.subject = $4 AND ($1 = 0 OR e.id < $1)"
    " AND " SINCE("$3") " AND ($5::text[] IS NULL OR e.kind = ANY ($5)) ORDER BY e.id DESC"
                        " LIMIT $2"};
/* Each kind by the index, then the newest of all. Said as a range: told "kind = k ORDER BY id" the
 * planner goes down all events for a kind that it takes for as frequent as any other. */
static const struct db_stmt list_kinds_stmt = {
    "event_list_kinds",
    "SELECT " COLUMNS " FROM unnest($4::text[]) k CROSS JOIN LATERAL (SELECT e.* FROM events e"
    " WHERE e.kind >= k AND (e.kind, e.id) < (k, coalesce(nullif($1::bigint, 0), "
    "9223372036854775807))"
    " AND " SINCE("$3") " ORDER BY e.kind DESC, e.id DESC LIMIT $2) e ORDER BY e.id DESC LIMIT $2"};

/* A range for the same reason: most often there is none. */
static const struct db_stmt seen_stmt = {
    "event_seen", "SELECT 1 FROM events WHERE node_id = $1 AND kind BETWEEN $2 AND $2"
                  " ORDER BY kind LIMIT 1"};

static const struct db_stmt settled_stmt = {"event_settled",
                                            "SELECT settled, pending FROM events_settled()"};
static const struct db_stmt follow_stmt = {
    "event_follow", "SELECT " COLUMNS " FROM events e WHERE e.id > $1 AND e.id <= $2"
                    " ORDER BY e.id LIMIT $3"};
static const struct db_stmt follow_kinds_stmt = {
    "event_follow_kinds",
    "SELECT " COLUMNS " FROM unnest($4::text[]) k CROSS JOIN LATERAL (SELECT e.* FROM events e"
    " WHERE e.kind = k AND e.id > $1 AND e.id <= $2 ORDER BY e.id LIMIT $3) e ORDER BY e.id"
    " LIMIT $3"};

static const struct db_col cols[] = {
    DB_COL_INT(db_event, id),       DB_COL_TIME(db_event, time),
    DB_COL_TEXT(db_event, node_id), DB_COL_TEXT(db_event, kind),
    DB_COL_TEXT(db_event, subject), DB_COL_TEXT(db_event, actor),
    DB_COL_TEXT(db_event, detail),  DB_COL_TEXT(db_event, request_id),
};

enum cp_err db_event_add(struct db_conn *conn, const struct db_event *event, struct cp_error *err)
{
    return db_event_add_many(conn, event, 1, err);
}

enum cp_err db_event_add_many(struct db_conn *conn, const struct db_event *events, size_t count,
                              struct cp_error *err)
{
    struct db_batch batch = {.width = 0};

    for (size_t i = 0; i < count; i++) {
        const struct db_event *e = &events[i];
        struct db_param row[] = {db_p_id(e->node_id),   db_p_text(e->kind),
                                 db_p_text(e->subject), db_p_text(e->actor),
                                 db_p_some(e->detail),  db_p_text(e->request_id)};
        bool catalogued = cp_event_info(e->kind) != NULL;

        if (!catalogued) {
            cp_log(CP_LOG_ERROR, "event-not-catalogued", "kind", e->kind, NULL);
        }
        CP_ASSERT(catalogued); /* common/event_catalogue.h lacks the kind */
        db_batch_add(&batch, row, DB_COUNT(row));
    }
    return db_batch_do(conn, &add_stmt, &batch, err);
}

/* Whether the array names it already. */
static bool names(const char *kinds, const char *kind)
{
    size_t size = strlen(kind);

    for (const char *at = strstr(kinds, kind); at != NULL; at = strstr(at + 1, kind)) {
        if (strchr("{,", at[-1]) != NULL && strchr(",}", at[size]) != NULL) {
            return true;
        }
    }
    return false;
}

bool db_kinds_add(char kinds[DB_KINDS_SIZE], const char *kind)
{
    size_t size = strlen(kinds);

    if (cp_event_info(kind) == NULL) {
        return false;
    }
    if (names(kinds, kind)) {
        return true;
    }
    CP_ASSERT(size + strlen(kind) + 3 < DB_KINDS_SIZE);
    /* "{a}" grows to "{a,b}". */
    (void)snprintf(kinds + (size > 0 ? size - 1 : 0), strlen(kind) + 3, "%c%s}",
                   size > 0 ? ',' : '{', kind);
    return true;
}

enum cp_err db_event_list(struct db_conn *conn, const struct db_event_filter *filter,
                          uint64_t before, size_t limit, struct db_event *ret_items,
                          size_t *ret_count, struct cp_error *err)
{
    struct db_param by_subject[] = {db_p_u64(before > INT64_MAX ? 0 : before), db_p_u64(limit),
                                    db_p_time(filter->since), db_p_some(filter->subject),
                                    db_p_some(filter->kinds)};
    struct db_param by_kind[] = {by_subject[0], by_subject[1], by_subject[2], by_subject[4]};
    struct db_param all[] = {by_subject[0], by_subject[1], by_subject[2]};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    if (by_subject[3].data != NULL) {
        return db_many(conn, DB_QUERY(&list_subject_stmt, by_subject, cols), rows, err);
    }
    if (by_kind[3].data != NULL) {
        return db_many(conn, DB_QUERY(&list_kinds_stmt, by_kind, cols), rows, err);
    }
    return db_many(conn, DB_QUERY(&list_stmt, all, cols), rows, err);
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

struct settled_row {
    uint64_t settled;
    bool pending;
};

enum cp_err db_event_settled(struct db_conn *conn, uint64_t *ret_id, bool *ret_pending,
                             struct cp_error *err)
{
    static const struct db_col settled_cols[] = {DB_COL_INT(settled_row, settled),
                                                 DB_COL_BOOL(settled_row, pending)};
    struct settled_row row;

    CP_TRY(db_one(conn,
                  (struct db_query){.stmt = &settled_stmt, .cols = settled_cols, .col_count = 2},
                  &row, err));
    *ret_id = row.settled;
    *ret_pending = row.pending;
    return CP_OK;
}

enum cp_err db_event_follow(struct db_conn *conn, const struct db_event_range *range, size_t limit,
                            struct db_event *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param by_kind[] = {db_p_u64(range->after), db_p_u64(range->upto), db_p_u64(limit),
                                 db_p_some(range->kinds)};
    struct db_param all[] = {by_kind[0], by_kind[1], by_kind[2]};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    if (by_kind[3].data != NULL) {
        return db_many(conn, DB_QUERY(&follow_kinds_stmt, by_kind, cols), rows, err);
    }
    return db_many(conn, DB_QUERY(&follow_stmt, all, cols), rows, err);
}
