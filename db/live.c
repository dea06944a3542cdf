/* SPDX-License-Identifier: Apache-2.0
 * SQL that finds sessions under way. */
#include "db/live.h"

#include "db/batch.h"

static const struct db_stmt live_stmt = {
    "live_sessions", "SELECT string_agg(id::text, ', ') FROM (SELECT s.id FROM sessions s"
                     " JOIN versions v ON v.id = s.version_id"
                     " WHERE s.ended_at IS NULL AND (v.package_id = $1 OR v.id = $2)"
                     " ORDER BY s.created_at LIMIT 3) live HAVING count(*) > 0"};

static const struct db_stmt named_stmt = {
    "live_named",
    "SELECT p.name, string_agg(live.id::text, ', ') FROM packages p CROSS JOIN LATERAL"
    " (SELECT s.id FROM sessions s JOIN versions v ON v.id = s.version_id"
    " WHERE s.ended_at IS NULL AND v.package_id = p.id"
    " ORDER BY s.created_at LIMIT 3) live WHERE p.name = ANY ($1::text[])"
    " GROUP BY p.name ORDER BY p.name LIMIT 1"};

static const struct db_stmt list_stmt = {
    "live_list", "SELECT s.id FROM sessions s JOIN versions v ON v.id = s.version_id"
                 " WHERE s.ended_at IS NULL AND (v.package_id = $1 OR v.id = $2)"
                 " ORDER BY s.created_at, s.id LIMIT $3"};

struct live_row {
    char name[DB_NAME_SIZE];
    char ids[DB_TEXT_SIZE];
};

enum cp_err db_live_refuse(struct db_conn *conn, const char *package_id, const char *version_id,
                           struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(live_row, ids)};
    struct db_param params[] = {db_p_id(package_id), db_p_id(version_id)};
    struct live_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&live_stmt, params, cols), &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return CP_OK;
    }
    CP_TRY(rc);
    return cp_error_set(err, CP_ERR_CONFLICT,
                        "in use by sessions that have not ended: %s; cancel them or wait", row.ids);
}

enum cp_err db_live_refuse_named(struct db_conn *conn, const char *const *names, size_t count,
                                 struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(live_row, name), DB_COL_TEXT(live_row, ids)};
    struct db_query query = {.stmt = &named_stmt, .cols = cols, .col_count = DB_COUNT(cols)};
    struct db_batch batch = {.width = 0};
    struct live_row row;
    size_t found = 0;
    struct db_rows rows = {&row, sizeof row, 1, &found};

    db_batch_add_names(&batch, names, count);
    CP_TRY(db_batch_many(conn, query, &batch, rows, err));
    if (found == 0) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_CONFLICT,
                        "package '%s' is in use by sessions that have not ended: %s; cancel them "
                        "or wait",
                        row.name, row.ids);
}

enum cp_err db_live_list(struct db_conn *conn, const char *package_id, const char *version_id,
                         size_t limit, struct db_live *ret_items, size_t *ret_count,
                         struct cp_error *err)
{
    static const struct db_col id_cols[] = {DB_COL_TEXT(db_live, id)};
    struct db_param params[] = {db_p_id(package_id), db_p_id(version_id), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, id_cols), rows, err);
}
