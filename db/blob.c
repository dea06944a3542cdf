/* SPDX-License-Identifier: Apache-2.0
 * SQL of blobs. */
#include "db/blob.h"

#include "db/names.h"

#define COLUMNS "b.sha256, b.size, b.created_at"

static const struct db_stmt get_stmt = {"blob_get",
                                        "SELECT " COLUMNS " FROM blobs b WHERE b.sha256 = $1"};
static const struct db_stmt users_stmt = {
    "blob_users", "SELECT v.id, p.name, v.number, v.state, p.policy, p.access FROM versions v"
                  " JOIN packages p ON p.id = v.package_id"
                  " WHERE v.id IN (SELECT version_id FROM files WHERE sha256 = $1)"
                  " ORDER BY (v.state = 'sealed') DESC, v.created_at DESC, v.id LIMIT $2"};
static const struct db_stmt unused_stmt = {
    "blob_unused", "SELECT " COLUMNS " FROM blobs b WHERE b.sha256 > $1"
                   " AND b.created_at < now() - $2 * interval '1 millisecond'"
                   " AND NOT EXISTS (SELECT 1 FROM files f WHERE f.sha256 = b.sha256)"
                   " ORDER BY b.sha256 LIMIT $3"};
static const struct db_stmt delete_stmt = {
    "blob_delete", "DELETE FROM blobs WHERE sha256 = $1"
                   " AND NOT EXISTS (SELECT 1 FROM files f WHERE f.sha256 = blobs.sha256)"};

static const struct db_col cols[] = {DB_COL_TEXT(db_blob, sha256), DB_COL_INT(db_blob, size),
                                     DB_COL_TIME(db_blob, created_at)};
static const struct db_col user_cols[] = {
    DB_COL_TEXT(db_blob_user, version_id),
    DB_COL_TEXT(db_blob_user, package),
    DB_COL_INT(db_blob_user, number),
    DB_COL_ENUM(db_blob_user, state, &db_version_state_names),
    DB_COL_ENUM(db_blob_user, policy, &db_policy_names),
    DB_COL_ENUM(db_blob_user, access, &db_access_names),
};

enum cp_err db_blob_get(struct db_conn *conn, const char *sha256, struct db_blob *ret_blob,
                        struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256)};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_blob, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no content %.64s", sha256);
    }
    return rc;
}

enum cp_err db_blob_users(struct db_conn *conn, const char *sha256, size_t limit,
                          struct db_blob_user *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&users_stmt, params, user_cols), rows, err);
}

enum cp_err db_blob_unused(struct db_conn *conn, uint64_t age_ms, const char *after, size_t limit,
                           struct db_blob *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(after), db_p_u64(age_ms), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&unused_stmt, params, cols), rows, err);
}

enum cp_err db_blob_delete(struct db_conn *conn, const char *sha256, bool *ret_deleted,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256)};
    uint64_t deleted;

    CP_TRY(db_do(conn, DB_COMMAND(&delete_stmt, params), &deleted, err));
    *ret_deleted = deleted > 0;
    return CP_OK;
}
