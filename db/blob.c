/* SPDX-License-Identifier: Apache-2.0
 * SQL of blobs: storing, looking, collecting. Validation and counting are in blob_care.c. */
#include "db/blob.h"

#include <stdio.h>
#include <string.h>

#include "db/blob_row.h"
#include "db/event.h"
#include "db/names.h"

static const struct db_stmt get_stmt = {"blob_get", "SELECT " DB_BLOB_COLUMNS
                                                    " FROM blobs b WHERE b.sha256 = $1"};
static const struct db_stmt lock_stmt = {
    "blob_lock", "SELECT " DB_BLOB_COLUMNS " FROM blobs b WHERE b.sha256 = $1 FOR NO KEY UPDATE"};
static const struct db_stmt put_stmt = {
    "blob_put", "INSERT INTO blobs AS b (sha256, size) VALUES ($1, $2)"
                " ON CONFLICT (sha256) DO UPDATE SET created_at = now(), state = 'good',"
                " checked_at = NULL, checked_node_id = NULL,"
                " unused_since = CASE WHEN b.reference_count = 0 THEN now() END"
                " RETURNING " DB_BLOB_COLUMNS};
static const struct db_stmt list_stmt = {
    "blob_list", "SELECT " DB_BLOB_COLUMNS " FROM blobs b WHERE b.sha256 > $1"
                 " AND ($2::text IS NULL OR b.state = $2)"
                 " AND (NOT $3::boolean OR b.unused_since IS NOT NULL)"
                 " ORDER BY b.sha256 LIMIT $4"};
/* Of versions that are decided alike the newest one stands for all, so there is no last one that
 * nobody looked at, however many there are. */
#define ALIKE "v.state, p.policy, p.access, v.id IS NOT DISTINCT FROM $2"
static const struct db_stmt users_stmt = {
    "blob_users",
    "SELECT id, name, number, state, policy, access FROM (SELECT DISTINCT ON (" ALIKE ")"
    " v.id, p.name, v.number, v.state, p.policy, p.access, v.created_at FROM versions v"
    " JOIN packages p ON p.id = v.package_id"
    " WHERE v.id IN (SELECT version_id FROM files WHERE sha256 = $1)"
    " ORDER BY " ALIKE ", v.created_at DESC, v.id) u"
    " ORDER BY (state = 'sealed') DESC, created_at DESC, id LIMIT $3"};
static const struct db_stmt unused_stmt = {
    "blob_unused", "SELECT " DB_BLOB_COLUMNS " FROM blobs b WHERE b.sha256 > $1"
                   " AND b.unused_since <= now() - $2 * interval '1 second'"
                   " ORDER BY b.sha256 LIMIT $3"};
/* An upload is about to finish with it: only one into a draft can, and what is none will not be one
 * again. */
#define AWAITED(digest)                                                                            \
    "EXISTS (SELECT 1 FROM uploads u JOIN versions v ON v.id = u.version_id"                       \
    " WHERE u.digest = " digest " AND u.finished_at IS NULL AND v.state = 'draft')"
/* When another transaction gives the blob a file meanwhile, its row changes (the count): PostgreSQL
 * waits for that one and looks at the new row. The look at the files is for a count that is wrong;
 * an upload that was killed between its blob and its file's row goes on from the blob. */
static const struct db_stmt delete_stmt = {
    "blob_delete", "DELETE FROM blobs WHERE sha256 = $1 AND reference_count = 0"
                   " AND unused_since <= now() - $2 * interval '1 second'"
                   " AND NOT EXISTS (SELECT 1 FROM files f WHERE f.sha256 = blobs.sha256)"
                   " AND NOT " AWAITED("blobs.sha256")};
static const struct db_stmt unknown_stmt = {
    "blob_unknown", "SELECT n.sha256 FROM unnest($1::text[]) AS n (sha256)"
                    " WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = n.sha256"
                    " AND (NOT $2::boolean OR b.state <> 'good'))"
                    " AND ($2 OR NOT " AWAITED("n.sha256") ")"};

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
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, db_blob_cols), ret_blob, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no content %.64s", sha256);
    }
    return rc;
}

enum cp_err db_blob_lock(struct db_conn *conn, const char *sha256, struct db_blob *ret_blob,
                         struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256)};

    return db_one(conn, DB_QUERY(&lock_stmt, params, db_blob_cols), ret_blob, err);
}

enum cp_err db_blob_usable(struct db_conn *conn, const char *sha256, const char *what,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256)};
    struct db_blob blob;
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, db_blob_cols), &blob, err);

    if (rc == CP_OK && blob.state != DB_BLOB_GOOD) {
        return cp_error_set(err, CP_ERR_CONTENT_DAMAGED,
                            "%.300s cannot be had: validation found its content %s. Upload the "
                            "same file again.",
                            what,
                            blob.state == DB_BLOB_MISSING ? "missing from the library" : "damaged");
    }
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

/* ---- storing ---- */

static enum cp_err tell_healed(struct db_conn *conn, const struct db_blob *was,
                               struct cp_error *err)
{
    struct db_event event = {.kind = "content-healed"};

    (void)snprintf(event.node_id, sizeof event.node_id, "%s", was->checked_by);
    (void)snprintf(event.subject, sizeof event.subject, "content %s", was->sha256);
    (void)snprintf(event.detail, sizeof event.detail,
                   "{\"sha256\": \"%s\", \"size\": %llu, \"was\": \"%s\", \"by\": \"upload\"}",
                   was->sha256, (unsigned long long)was->size, db_blob_state_name(was->state));
    return db_event_add(conn, &event, err);
}

enum cp_err db_blob_put(struct db_conn *conn, const char *sha256, uint64_t size,
                        struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256), db_p_u64(size)};
    struct db_blob was = {.state = DB_BLOB_GOOD};
    struct db_blob stored;
    enum cp_err rc = db_blob_lock(conn, sha256, &was, err);

    if (rc != CP_ERR_NOT_FOUND) {
        CP_TRY(rc);
    }
    CP_TRY(db_one(conn, DB_QUERY(&put_stmt, params, db_blob_cols), &stored, err));
    if (stored.size != size) {
        return cp_error_set(err, CP_ERR_STORAGE,
                            "blob %.12s… is recorded with %llu bytes, not %llu", sha256,
                            (unsigned long long)stored.size, (unsigned long long)size);
    }
    if (was.state == DB_BLOB_GOOD) {
        return CP_OK;
    }
    CP_TRY(db_blob_touch_versions(conn, sha256, err));
    return tell_healed(conn, &was, err);
}

/* ---- looking ---- */

enum cp_err db_blob_list(struct db_conn *conn, const struct db_blob_filter *filter,
                         const char *after, size_t limit, struct db_blob *ret_items,
                         size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_text(after),
        db_p_text(filter->state != NULL ? db_blob_state_name(*filter->state) : NULL),
        db_p_bool(filter->only_unused), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, db_blob_cols), rows, err);
}

enum cp_err db_blob_users(struct db_conn *conn, const char *sha256, const char *joined_id,
                          struct db_blob_user ret_items[DB_BLOB_USERS_MAX], size_t *ret_count,
                          struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256), db_p_id(joined_id), db_p_u64(DB_BLOB_USERS_MAX)};
    struct db_rows rows = {ret_items, sizeof *ret_items, DB_BLOB_USERS_MAX, ret_count};

    return db_many(conn, DB_QUERY(&users_stmt, params, user_cols), rows, err);
}

/* ---- collecting ---- */

enum cp_err db_blob_unused(struct db_conn *conn, uint64_t age_s, const char *after, size_t limit,
                           struct db_blob *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(after), db_p_u64(age_s), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&unused_stmt, params, db_blob_cols), rows, err);
}

enum cp_err db_blob_delete(struct db_conn *conn, const char *sha256, uint64_t age_s,
                           bool *ret_deleted, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256), db_p_u64(age_s)};
    uint64_t deleted;

    CP_TRY(db_do(conn, DB_COMMAND(&delete_stmt, params), &deleted, err));
    *ret_deleted = deleted > 0;
    return CP_OK;
}

enum cp_err db_blob_unknown(struct db_conn *conn, const struct db_blob_name *names, size_t count,
                            bool only_bad, struct db_blob_name *ret_items, size_t *ret_count,
                            struct cp_error *err)
{
    static const struct db_col name_cols[] = {DB_COL_TEXT(db_blob_name, sha256)};
    char array[DB_BLOB_NAMES_MAX * DB_DIGEST_SIZE + 2] = ""; /* {a,b,c}: a comma for each NUL */
    struct db_param params[] = {db_p_text(array), db_p_bool(only_bad)};
    struct db_rows rows = {ret_items, sizeof *ret_items, count, ret_count};
    size_t at = 0;

    CP_ASSERT(count <= DB_BLOB_NAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        array[at++] = i == 0 ? '{' : ',';
        memcpy(array + at, names[i].sha256, DB_DIGEST_SIZE - 1);
        at += DB_DIGEST_SIZE - 1;
    }
    memcpy(array + at, count > 0 ? "}" : "{}", count > 0 ? 2 : 3);
    return db_many(conn, DB_QUERY(&unknown_stmt, params, name_cols), rows, err);
}
