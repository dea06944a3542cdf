/* SPDX-License-Identifier: Apache-2.0
 * SQL of blobs: validation, who is hit by damage, counting. */
#include "db/blob.h"

#include <string.h>

#include "db/blob_row.h"
#include "db/names.h"

const struct db_col db_blob_cols[DB_BLOB_COLUMN_COUNT] = {
    DB_COL_TEXT(db_blob, sha256),       DB_COL_INT(db_blob, size),
    DB_COL_INT(db_blob, references),    DB_COL_ENUM(db_blob, state, &db_blob_state_names),
    DB_COL_TIME(db_blob, unused_since), DB_COL_TIME(db_blob, checked_at),
    DB_COL_TEXT(db_blob, checked_by),   DB_COL_TIME(db_blob, created_at),
};

#define UNCHECKED " coalesce(b.checked_at, b.created_at) < $1"
#define AFTER(time, digest)                                                                        \
    " AND (coalesce(b.checked_at, b.created_at), b.sha256)"                                        \
    " > (coalesce(" time "::timestamptz, '-infinity'), " digest ")"
/* Files of a package, or of one version of it. */
#define IN_SCOPE                                                                                   \
    " b.sha256 IN (SELECT f.sha256 FROM files f JOIN versions v ON v.id = f.version_id"            \
    " JOIN packages p ON p.id = v.package_id WHERE p.name = $2 AND ($3 = 0 OR v.number = $3))"

static const struct db_stmt unchecked_stmt = {
    "blob_unchecked",
    "SELECT " DB_BLOB_COLUMNS " FROM blobs b WHERE" UNCHECKED AFTER(
        "$2", "$3") " ORDER BY coalesce(b.checked_at, b.created_at), b.sha256 LIMIT $4"};
static const struct db_stmt unchecked_bytes_stmt = {
    "blob_unchecked_bytes", "SELECT coalesce(sum(b.size), 0)::bigint FROM blobs b WHERE" UNCHECKED};
static const struct db_stmt unchecked_in_stmt = {
    "blob_unchecked_in",
    "SELECT " DB_BLOB_COLUMNS " FROM blobs b WHERE" UNCHECKED " AND" IN_SCOPE AFTER(
        "$4", "$5") " ORDER BY coalesce(b.checked_at, b.created_at), b.sha256 LIMIT $6"};
static const struct db_stmt unchecked_in_bytes_stmt = {
    "blob_unchecked_in_bytes",
    "SELECT coalesce(sum(b.size), 0)::bigint FROM blobs b WHERE" UNCHECKED " AND" IN_SCOPE};
static const struct db_stmt touch_stmt = {
    "blob_touch_versions",
    "UPDATE versions SET revision = revision + 1 WHERE id IN (SELECT v.id FROM versions v"
    " WHERE v.id IN (SELECT version_id FROM files WHERE sha256 = $1) ORDER BY v.id"
    " FOR NO KEY UPDATE)"};
static const struct db_stmt checked_stmt = {
    "blob_checked", "UPDATE blobs SET state = $2, checked_at = now(), checked_node_id = $3"
                    " WHERE sha256 = $1"};
static const struct db_stmt sessions_stmt = {
    "blob_sessions", "SELECT id FROM sessions WHERE node_id = $2 AND ended_at IS NULL"
                     " AND version_id IN (SELECT version_id FROM files WHERE sha256 = $1)"
                     " ORDER BY id LIMIT $3"};
static const struct db_stmt place_stmt = {
    "blob_place", "SELECT p.name, v.number, f.path,"
                  " (SELECT count(DISTINCT version_id) FROM files WHERE sha256 = $1)"
                  " FROM files f JOIN versions v ON v.id = f.version_id"
                  " JOIN packages p ON p.id = v.package_id WHERE f.sha256 = $1"
                  " ORDER BY (v.state = 'sealed') DESC, v.created_at DESC, v.id, f.path LIMIT 1"};
static const struct db_stmt damaged_stmt = {
    "blob_damaged_file",
    "SELECT p.name, v.number, f.path, 1::bigint FROM files f JOIN blobs b ON b.sha256 = f.sha256"
    " JOIN versions v ON v.id = f.version_id JOIN packages p ON p.id = v.package_id"
    " WHERE f.version_id = $1 AND b.state <> 'good' ORDER BY f.path LIMIT 1"};
/* Count and files are of one snapshot, in which they agree unless the count is wrong. A row that
 * another transaction changes meanwhile is left to the next run. */
static const struct db_stmt recount_stmt = {
    "blob_recount",
    "WITH page AS (SELECT b.sha256, b.reference_count AS stored,"
    "   (SELECT count(*) FROM files f WHERE f.sha256 = b.sha256) AS counted"
    "   FROM blobs b WHERE b.sha256 > $1 ORDER BY b.sha256 LIMIT $2),"
    " fixed AS (UPDATE blobs b SET reference_count = page.counted,"
    "   unused_since = CASE WHEN page.counted = 0 THEN coalesce(b.unused_since, now()) END"
    "   FROM page WHERE b.sha256 = page.sha256 AND page.counted <> page.stored"
    "   AND b.reference_count = page.stored RETURNING b.sha256, page.stored, page.counted)"
    " SELECT p.looked_at, p.last, coalesce(f.wrong, 0), coalesce(f.sha256, ''),"
    " coalesce(f.stored, 0), coalesce(f.counted, 0)"
    " FROM (SELECT count(*) AS looked_at, coalesce(max(sha256), '') AS last FROM page) p"
    " LEFT JOIN (SELECT *, count(*) OVER () AS wrong FROM fixed ORDER BY sha256 LIMIT $3) f ON true"
    " ORDER BY f.sha256"};
/* Who stores or deletes a blob of the part has its row: after the lock all that happened is seen. */
static const struct db_stmt total_lock_stmt = {
    "blob_total_lock", "SELECT bytes FROM library_totals WHERE part = $1 FOR UPDATE"};
static const struct db_stmt total_fix_stmt = {
    "blob_total_fix", "UPDATE library_totals t SET bytes = c.bytes FROM (SELECT "
                      "coalesce(sum(size), 0)::bigint AS bytes"
                      " FROM blobs WHERE sha256 >= $1::text AND sha256 < $1::text || 'g') c"
                      " WHERE t.part = $1 AND t.bytes <> c.bytes RETURNING t.bytes"};
static const struct db_stmt figures_stmt = {
    "blob_figures",
    "SELECT count(*) FILTER (WHERE state = 'good' AND reference_count > 0),"
    " coalesce(sum(size) FILTER (WHERE state = 'good' AND reference_count > 0), 0)::bigint,"
    " count(*) FILTER (WHERE state = 'good' AND reference_count = 0),"
    " coalesce(sum(size) FILTER (WHERE state = 'good' AND reference_count = 0), 0)::bigint,"
    " count(*) FILTER (WHERE state <> 'good'),"
    " coalesce(sum(size) FILTER (WHERE state <> 'good'), 0)::bigint,"
    " coalesce(sum(size * reference_count), 0)::bigint FROM blobs"};

static const struct db_col place_cols[] = {
    DB_COL_TEXT(db_blob_place, package), DB_COL_INT(db_blob_place, number),
    DB_COL_TEXT(db_blob_place, path), DB_COL_INT(db_blob_place, versions)};
/* One for each drift, at least one. */
struct recount_row {
    uint64_t looked_at;
    char last[DB_DIGEST_SIZE];
    uint64_t wrong;
    struct db_blob_drift drift;
};
static const struct db_col recount_cols[] = {
    DB_COL_INT(recount_row, looked_at),    DB_COL_TEXT(recount_row, last),
    DB_COL_INT(recount_row, wrong),        DB_COL_TEXT(recount_row, drift.sha256),
    DB_COL_INT(recount_row, drift.stored), DB_COL_INT(recount_row, drift.counted)};
static const struct db_col figures_cols[] = {
    DB_COL_INT(db_blob_figures, referenced.blobs), DB_COL_INT(db_blob_figures, referenced.bytes),
    DB_COL_INT(db_blob_figures, unused.blobs),     DB_COL_INT(db_blob_figures, unused.bytes),
    DB_COL_INT(db_blob_figures, bad.blobs),        DB_COL_INT(db_blob_figures, bad.bytes),
    DB_COL_INT(db_blob_figures, logical_bytes)};
static const struct db_col bytes_cols[] = {DB_COL_INT(db_blob_sum, bytes)};

enum cp_err db_blob_unchecked(struct db_conn *conn, const struct db_blob_scope *s, size_t limit,
                              struct db_blob *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param all[] = {db_p_time(s->since), db_p_time(s->after_time), db_p_text(s->after),
                             db_p_u64(limit)};
    struct db_param in[] = {db_p_time(s->since),      db_p_some(s->package), db_p_u64(s->number),
                            db_p_time(s->after_time), db_p_text(s->after),   db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return s->package == NULL
               ? db_many(conn, DB_QUERY(&unchecked_stmt, all, db_blob_cols), rows, err)
               : db_many(conn, DB_QUERY(&unchecked_in_stmt, in, db_blob_cols), rows, err);
}

enum cp_err db_blob_unchecked_bytes(struct db_conn *conn, const struct db_blob_scope *s,
                                    uint64_t *ret_bytes, struct cp_error *err)
{
    struct db_param all[] = {db_p_time(s->since)};
    struct db_param in[] = {db_p_time(s->since), db_p_some(s->package), db_p_u64(s->number)};
    struct db_blob_sum sum;

    CP_TRY(s->package == NULL
               ? db_one(conn, DB_QUERY(&unchecked_bytes_stmt, all, bytes_cols), &sum, err)
               : db_one(conn, DB_QUERY(&unchecked_in_bytes_stmt, in, bytes_cols), &sum, err));
    *ret_bytes = sum.bytes;
    return CP_OK;
}

enum cp_err db_blob_touch_versions(struct db_conn *conn, const char *sha256, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256)};

    return db_do(conn, DB_COMMAND(&touch_stmt, params), NULL, err);
}

enum cp_err db_blob_checked(struct db_conn *conn, const char *sha256, const char *node_id,
                            enum db_blob_state state, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256), db_p_text(db_blob_state_name(state)),
                                db_p_id(node_id)};

    return db_do(conn, DB_COMMAND(&checked_stmt, params), NULL, err);
}

enum cp_err db_blob_sessions(struct db_conn *conn, const char *sha256, const char *node_id,
                             size_t limit, struct db_blob_session *ret_items, size_t *ret_count,
                             struct cp_error *err)
{
    static const struct db_col id_cols[] = {DB_COL_TEXT(db_blob_session, id)};
    struct db_param params[] = {db_p_text(sha256), db_p_id(node_id), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&sessions_stmt, params, id_cols), rows, err);
}

enum cp_err db_blob_place(struct db_conn *conn, const char *sha256, struct db_blob_place *ret_place,
                          struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256)};

    return db_one(conn, DB_QUERY(&place_stmt, params, place_cols), ret_place, err);
}

enum cp_err db_blob_damaged_file(struct db_conn *conn, const char *version_id,
                                 struct db_blob_place *ret_place, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id)};

    return db_one(conn, DB_QUERY(&damaged_stmt, params, place_cols), ret_place, err);
}

enum cp_err db_blob_recount(struct db_conn *conn, const char *after, size_t limit,
                            struct db_blob_recount *ret_recount, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(after), db_p_u64(limit), db_p_u64(DB_BLOB_DRIFTS_MAX)};
    struct recount_row found[DB_BLOB_DRIFTS_MAX];
    struct db_blob_recount *r = ret_recount;
    size_t count;
    struct db_rows rows = {found, sizeof *found, DB_BLOB_DRIFTS_MAX, &count};

    CP_TRY(db_many(conn, DB_QUERY(&recount_stmt, params, recount_cols), rows, err));
    CP_ASSERT(count > 0);
    r->looked_at = found[0].looked_at;
    memcpy(r->last, found[0].last, sizeof r->last);
    r->wrong = found[0].wrong;
    r->drift_count = r->wrong > 0 ? count : 0;
    for (size_t i = 0; i < r->drift_count; i++) {
        r->drifts[i] = found[i].drift;
    }
    return CP_OK;
}

enum cp_err db_blob_total(struct db_conn *conn, char digit, struct db_blob_total *ret_total,
                          struct cp_error *err)
{
    static const struct db_col stored_cols[] = {DB_COL_INT(db_blob_total, stored)};
    static const struct db_col counted_cols[] = {DB_COL_INT(db_blob_total, counted)};
    const char part[] = {digit, '\0'};
    struct db_param params[] = {db_p_text(part)};
    struct db_blob_total total = {.right = true};
    enum cp_err rc;

    CP_TRY(db_one(conn, DB_QUERY(&total_lock_stmt, params, stored_cols), &total, err));
    rc = db_one(conn, DB_QUERY(&total_fix_stmt, params, counted_cols), &total, err);
    if (rc != CP_ERR_NOT_FOUND) {
        CP_TRY(rc);
        total.right = false;
    }
    *ret_total = total;
    return CP_OK;
}

enum cp_err db_blob_figures(struct db_conn *conn, struct db_blob_figures *ret_figures,
                            struct cp_error *err)
{
    return db_one(conn,
                  (struct db_query){.stmt = &figures_stmt,
                                    .cols = figures_cols,
                                    .col_count = DB_COUNT(figures_cols)},
                  ret_figures, err);
}
