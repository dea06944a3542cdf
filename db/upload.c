/* SPDX-License-Identifier: Apache-2.0
 * SQL of uploads. */
#include "db/upload.h"

#include "db/sql.h"

#define COLUMNS                                                                                    \
    "u.id, u.number, u.node_id, u.version_id, p.name, v.number, v.state = 'draft', u.path, "       \
    "u.mode,"                                                                                      \
    " u.size, u.received, u.announced, u.digest, u.if_match, u.if_none_match, u.metadata,"         \
    " u.account, s.library_reserve_bytes, u.created_at, u.updated_at, u.expires_at, u.finished_at"
#define NAMED                                                                                      \
    " JOIN versions v ON v.id = u.version_id JOIN packages p ON p.id = v.package_id"               \
    " JOIN settings s ON s.node_id = u.node_id"
/* Nobody can finish it: its version was sealed before. */
#define STRANDED                                                                                   \
    "(u.finished_at IS NULL AND"                                                                   \
    " (SELECT v.state FROM versions v WHERE v.id = u.version_id) <> 'draft')"
#define OPEN "u.finished_at IS NULL AND NOT " STRANDED
#define NEXT_EXPIRY                                                                                \
    "now() + (SELECT upload_expiry_hours FROM settings s WHERE s.node_id = u.node_id)"             \
    " * interval '1 hour'"

static const struct db_stmt create_stmt = {
    "upload_create",
    "WITH u AS (INSERT INTO uploads (node_id, version_id, path, mode, size, announced, if_match,"
    " if_none_match, account, metadata, expires_at) SELECT $1::uuid, $2::uuid, $3::text, "
    "$4::integer, $5::bigint,"
    " $6::text, $7::text, $8::text, $9::text, $10::text,"
    " now() + upload_expiry_hours * interval '1 hour' FROM settings WHERE node_id = $1 RETURNING *)"
    " SELECT " COLUMNS " FROM u" NAMED};
static const struct db_stmt get_stmt = {
    "upload_get", "SELECT " COLUMNS " FROM uploads u" NAMED
                  " WHERE u.id = $1 AND u.node_id = $2 AND u.expires_at > now()"};
static const struct db_stmt list_stmt = {
    "upload_list",
    "SELECT " COLUMNS " FROM uploads u" NAMED " WHERE u.number > $1 AND u.expires_at > now()"
    " AND ($3::uuid IS NULL OR u.version_id = $3)"
    " AND ($4::text IS NULL OR p.name = $4)"
    " AND (NOT $5::boolean OR (u.finished_at IS NULL AND u.received < u.size))"
    " AND (NOT $6::boolean OR (u.finished_at IS NULL AND u.received = u.size))"
    " AND (NOT $7::boolean OR u.finished_at IS NOT NULL)"
    " ORDER BY u.number LIMIT $2"};
static const struct db_stmt advance_stmt = {
    "upload_advance",
    "WITH u AS (UPDATE uploads u SET received = $2, updated_at = now(), expires_at = " NEXT_EXPIRY
    " WHERE u.id = $1 AND u.digest IS NULL RETURNING *) SELECT " COLUMNS " FROM u" NAMED};
static const struct db_stmt complete_stmt = {
    "upload_complete",
    "WITH u AS (UPDATE uploads u SET received = size, digest = $2, updated_at = now(),"
    " expires_at = " NEXT_EXPIRY " WHERE u.id = $1 RETURNING *) SELECT " COLUMNS " FROM u" NAMED};
static const struct db_stmt finish_stmt = {
    "upload_finish",
    "WITH u AS (UPDATE uploads u SET finished_at = coalesce(finished_at, now()),"
    " expires_at = " NEXT_EXPIRY " WHERE u.id = $1 RETURNING *) SELECT " COLUMNS " FROM u" NAMED};
static const struct db_stmt delete_stmt = {"upload_delete", "DELETE FROM uploads WHERE id = $1"};
/* A piece may have come since it was found: the row's lock and its new time decide. */
static const struct db_stmt expire_stmt = {
    "upload_expire",
    "DELETE FROM uploads u WHERE u.id = $1 AND (u.expires_at <= now() OR " STRANDED ")"};
static const struct db_stmt expired_stmt = {
    "upload_expired", "SELECT " COLUMNS " FROM uploads u" NAMED
                      " WHERE u.node_id = $1 AND (u.expires_at <= now() OR " STRANDED ")"
                      " ORDER BY u.expires_at LIMIT $2"};
static const struct db_stmt exists_stmt = {"upload_exists", "SELECT 1 FROM uploads WHERE id = $1"};
static const struct db_stmt room_stmt = {
    "upload_room", "SELECT s.library_quota_bytes, s.library_reserve_bytes,"
                   " CASE WHEN s.library_quota_bytes IS NULL THEN 0"
                   "  ELSE (SELECT coalesce(sum(bytes), 0) FROM library_totals) END::bigint,"
                   " (SELECT coalesce(sum(size), 0) FROM uploads u"
                   "  WHERE u.node_id = s.node_id AND " OPEN ")::bigint,"
                   " (SELECT coalesce(sum(size - received), 0) FROM uploads u"
                   "  WHERE u.node_id = s.node_id AND " OPEN ")::bigint"
                   " FROM settings s WHERE s.node_id = $1"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_upload, id),
    DB_COL_INT(db_upload, number),
    DB_COL_TEXT(db_upload, node_id),
    DB_COL_TEXT(db_upload, version_id),
    DB_COL_TEXT(db_upload, package),
    DB_COL_INT(db_upload, version),
    DB_COL_BOOL(db_upload, draft),
    DB_COL_TEXT(db_upload, path),
    DB_COL_INT(db_upload, mode),
    DB_COL_INT(db_upload, size),
    DB_COL_INT(db_upload, received),
    DB_COL_TEXT(db_upload, announced),
    DB_COL_TEXT(db_upload, digest),
    DB_COL_TEXT(db_upload, condition.match),
    DB_COL_TEXT(db_upload, condition.none_match),
    DB_COL_TEXT(db_upload, metadata),
    DB_COL_TEXT(db_upload, account),
    DB_COL_INT(db_upload, reserve),
    DB_COL_TIME(db_upload, created_at),
    DB_COL_TIME(db_upload, updated_at),
    DB_COL_TIME(db_upload, expires_at),
    DB_COL_TIME(db_upload, finished_at),
};

static enum cp_err no_such(enum cp_err code, const char *id, struct cp_error *err)
{
    if (code == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, code,
                           "There is no upload '%.60s': it has expired, it was deleted, or its "
                           "version was deleted or sealed. Begin it anew.",
                           id);
    }
    return code;
}

enum cp_err db_upload_create(struct db_conn *conn, const struct db_upload *u,
                             struct db_upload *ret_upload, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(u->node_id),
        db_p_id(u->version_id),
        db_p_text(u->path),
        db_p_u64(u->mode),
        db_p_u64(u->size),
        db_p_some(u->announced),
        db_p_text(u->condition.match),
        db_p_text(u->condition.none_match),
        db_p_text(u->account),
        db_p_text(u->metadata),
    };

    return db_one(conn, DB_QUERY(&create_stmt, params, cols), ret_upload, err);
}

enum cp_err db_upload_get(struct db_conn *conn, const char *node_id, const char *id,
                          struct db_upload *ret_upload, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_id(node_id)};

    return no_such(db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_upload, err), id, err);
}

enum db_upload_state db_upload_state_of(const struct db_upload *upload)
{
    return upload->finished_at != 0           ? DB_UPLOAD_FINISHED
           : upload->received == upload->size ? DB_UPLOAD_RECEIVED
                                              : DB_UPLOAD_RECEIVING;
}

enum cp_err db_upload_list(struct db_conn *conn, const struct db_upload_list *list, size_t limit,
                           struct db_upload *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_u64(list->after),
                                db_p_u64(limit),
                                db_p_text(list->version_id),
                                db_p_text(list->package),
                                db_p_bool(list->state == DB_UPLOAD_RECEIVING),
                                db_p_bool(list->state == DB_UPLOAD_RECEIVED),
                                db_p_bool(list->state == DB_UPLOAD_FINISHED)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY_FRESH(&list_stmt, params, cols), rows, err);
}

enum cp_err db_upload_advance(struct db_conn *conn, const char *id, uint64_t received,
                              struct db_upload *ret_upload, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_u64(received)};

    return no_such(db_one(conn, DB_QUERY(&advance_stmt, params, cols), ret_upload, err), id, err);
}

enum cp_err db_upload_complete(struct db_conn *conn, const char *id, const char *digest,
                               struct db_upload *ret_upload, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_text(digest)};

    return no_such(db_one(conn, DB_QUERY(&complete_stmt, params, cols), ret_upload, err), id, err);
}

enum cp_err db_upload_finish(struct db_conn *conn, const char *id, struct db_upload *ret_upload,
                             struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};

    return no_such(db_one(conn, DB_QUERY(&finish_stmt, params, cols), ret_upload, err), id, err);
}

enum cp_err db_upload_delete(struct db_conn *conn, const char *id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    uint64_t deleted;

    CP_TRY(db_do(conn, DB_COMMAND(&delete_stmt, params), &deleted, err));
    return deleted > 0 ? CP_OK : no_such(CP_ERR_NOT_FOUND, id, err);
}

enum cp_err db_upload_expire(struct db_conn *conn, const char *id, bool *ret_deleted,
                             struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    uint64_t deleted;

    CP_TRY(db_do(conn, DB_COMMAND(&expire_stmt, params), &deleted, err));
    *ret_deleted = deleted > 0;
    return CP_OK;
}

enum cp_err db_upload_expired(struct db_conn *conn, const char *node_id, size_t limit,
                              struct db_upload *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&expired_stmt, params, cols), rows, err);
}

enum cp_err db_upload_exists(struct db_conn *conn, const char *id, bool *ret_exists,
                             struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    uint64_t found;

    CP_TRY(db_do(conn, DB_COMMAND(&exists_stmt, params), &found, err));
    *ret_exists = found > 0;
    return CP_OK;
}

enum cp_err db_upload_room(struct db_conn *conn, const char *node_id,
                           struct db_upload_room *ret_room, struct cp_error *err)
{
    static const struct db_col room_cols[] = {
        DB_COL_INT(db_upload_room, quota), DB_COL_INT(db_upload_room, reserve),
        DB_COL_INT(db_upload_room, stored), DB_COL_INT(db_upload_room, promised),
        DB_COL_INT(db_upload_room, left)};
    struct db_param params[] = {db_p_id(node_id)};
    enum cp_err rc = db_one(conn, DB_QUERY(&room_stmt, params, room_cols), ret_room, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no distribution point '%s'", node_id);
    }
    return rc;
}
