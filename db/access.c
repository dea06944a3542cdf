/* SPDX-License-Identifier: Apache-2.0
 * SQL of changes of content access. */
#include "db/access.h"

#include "db/session_row.h"

#define LOCK_KEY "hashtextextended('castpoint access', 0)"
/* A deleted account leaves its name. */
#define ANONYMOUS "r.account_name = '' AND r.state IN " DB_ACTIVE_RECEIVER
/* The same rule as api_access_decide(). Asked row by row: a join would be planned over all packages when
 * ten thousand receivers are at work. */
#define CLOSED(row)                                                                                \
    "(SELECT CASE p.access WHEN 'inherit' THEN t.content_access ELSE p.access END"                 \
    " FROM versions v JOIN packages p ON p.id = v.package_id JOIN settings t ON t.node_id = " row  \
    ".node_id WHERE v.id = " row ".version_id) = 'authenticated'"
#define UNDER_WAY "(SELECT s.state <> 'waiting' FROM sessions s WHERE s.id = r.session_id)"

static const struct db_stmt joining_stmt = {"access_joining",
                                            "SELECT pg_advisory_xact_lock_shared(" LOCK_KEY ")"};
static const struct db_stmt changing_stmt = {"access_changing",
                                             "SELECT pg_advisory_xact_lock(" LOCK_KEY ")"};
static const struct db_stmt running_stmt = {"access_running",
                                            "SELECT r.id FROM receivers r WHERE " ANONYMOUS
                                            " AND " CLOSED("r") " AND " UNDER_WAY};
static const struct db_stmt revoke_stmt = {
    "access_revoke",
    "UPDATE receivers r SET state = 'failed', reason = $1, detail = $2, rate_bps = 0,"
    " expires_at = now(), updated_at = clock_timestamp(), result_at = clock_timestamp()"
    " WHERE " ANONYMOUS " AND " CLOSED("r") " AND coalesce(NOT " UNDER_WAY ", true)"};
static const struct db_stmt known_stmt = {
    "access_known_secrets",
    "SELECT s.id, s.node_id FROM sessions s WHERE s.state = 'waiting' AND s.anonymous_joined"
    " AND ($1::uuid IS NULL OR s.id > $1) AND " CLOSED("s") " ORDER BY s.id LIMIT $2"};
static const struct db_stmt rekeyed_stmt = {
    "access_rekeyed", "UPDATE sessions SET anonymous_joined = false WHERE id = $1"};
static const struct db_stmt move_stmt = {
    "access_move", "UPDATE receivers SET state = 'moved', reason = $2, detail = $3"
                   " WHERE session_id = $1 AND state IN " DB_ACTIVE_RECEIVER};

enum cp_err db_access_joining(struct db_conn *conn, struct cp_error *err)
{
    return db_do(conn, (struct db_query){.stmt = &joining_stmt}, NULL, err);
}

enum cp_err db_access_changing(struct db_conn *conn, struct cp_error *err)
{
    return db_do(conn, (struct db_query){.stmt = &changing_stmt}, NULL, err);
}

enum cp_err db_access_revoke(struct db_conn *conn, const char *reason, const char *detail,
                             struct db_access_revoked *ret_counts, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(reason), db_p_text(detail)};
    struct db_access_revoked counts;

    CP_TRY(db_do(conn, DB_COMMAND(&revoke_stmt, params), &counts.revoked, err));
    CP_TRY(db_do(conn, (struct db_query){.stmt = &running_stmt}, &counts.running, err));
    *ret_counts = counts;
    return CP_OK;
}

enum cp_err db_access_known_secrets(struct db_conn *conn, const char *after, size_t limit,
                                    struct db_access_session *ret_items, size_t *ret_count,
                                    struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(db_access_session, id),
                                         DB_COL_TEXT(db_access_session, node_id)};
    struct db_param params[] = {db_p_id(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&known_stmt, params, cols), rows, err);
}

enum cp_err db_access_rekeyed(struct db_conn *conn, const char *session_id, const char *reason,
                              const char *detail, uint64_t *ret_moved, struct cp_error *err)
{
    struct db_param id[] = {db_p_id(session_id)};
    struct db_param params[] = {db_p_id(session_id), db_p_text(reason), db_p_text(detail)};

    CP_TRY(db_do(conn, DB_COMMAND(&rekeyed_stmt, id), NULL, err));
    return db_do(conn, DB_COMMAND(&move_stmt, params), ret_moved, err);
}
