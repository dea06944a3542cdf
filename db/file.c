/* SPDX-License-Identifier: Apache-2.0
 * SQL of files. Changes lock the version's row first, so they and a seal take turns. */
#include "db/file.h"

#include <string.h>

#include "db/blob.h"
#include "db/names.h"
#include "db/version.h"

#define COLUMNS "f.path, f.sha256, f.size, f.mode, f.updated_at, b.state, b.checked_at"
#define FROM    " FROM files f JOIN blobs b ON b.sha256 = f.sha256"

static const struct db_stmt lock_stmt = {"file_lock_version",
                                         "SELECT state FROM versions WHERE id = $1 FOR UPDATE"};
static const struct db_stmt get_stmt = {"file_get", "SELECT " COLUMNS FROM
                                                    " WHERE f.version_id = $1 AND f.path = $2"};
static const struct db_stmt list_stmt = {"file_list", "SELECT " COLUMNS FROM
                                                      " WHERE f.version_id = $1 AND f.path > $2"
                                                      " ORDER BY f.path LIMIT $3"};
static const struct db_stmt list_below_stmt = {
    "file_list_below",
    "SELECT " COLUMNS FROM " WHERE f.version_id = $1 AND f.path > $2 AND starts_with(f.path, $4)"
    " ORDER BY f.path LIMIT $3"};
/* Another path that is the same but for case, or lies below this one, or that this one lies below.
 * '0' is the character after '/': the range holds exactly what begins with the path and a '/'. */
static const struct db_stmt clash_stmt = {
    "file_clash",
    "WITH f AS (SELECT lower($2::text COLLATE \"C\") AS path)"
    " SELECT files.path FROM files, f WHERE version_id = $1 AND files.path <> $2 AND ("
    " path_folded = f.path"
    " OR (path_folded > f.path || '/' AND path_folded < f.path || '0')"
    " OR path_folded IN (SELECT left(f.path, i - 1) FROM generate_series(2, length(f.path)) i"
    "   WHERE substr(f.path, i, 1) = '/')) ORDER BY files.path LIMIT 1"};
/* In the order of the triggers on files, before anything else locks one of them: two drafts may
 * exchange their contents at the same time. */
static const struct db_stmt lock_blobs_stmt = {
    "file_lock_blobs",
    "SELECT 1 FROM blobs WHERE sha256 IN ($1, $2) ORDER BY sha256 FOR NO KEY UPDATE"};
static const struct db_stmt put_stmt = {
    "file_put", "INSERT INTO files (version_id, path, sha256, size, mode)"
                " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (version_id, path) DO UPDATE"
                " SET sha256 = $3, size = $4, mode = $5, updated_at = now()"};
static const struct db_stmt delete_stmt = {"file_delete",
                                           "DELETE FROM files WHERE version_id = $1 AND path = $2"};
static const struct db_stmt count_stmt = {
    "file_count", "UPDATE versions SET file_count = file_count + $2, file_bytes = file_bytes + $3,"
                  " revision = revision + 1, files_revision = files_revision + 1 WHERE id = $1"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_file, path),       DB_COL_TEXT(db_file, sha256),
    DB_COL_INT(db_file, size),        DB_COL_INT(db_file, mode),
    DB_COL_TIME(db_file, updated_at), DB_COL_ENUM(db_file, content, &db_blob_state_names),
    DB_COL_TIME(db_file, checked_at),
};

struct state_row {
    enum db_version_state state;
};

static enum cp_err lock_draft(struct db_conn *conn, const char *version_id, struct cp_error *err)
{
    static const struct db_col state_cols[] = {
        DB_COL_ENUM(state_row, state, &db_version_state_names)};
    struct db_param params[] = {db_p_id(version_id)};
    struct state_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&lock_stmt, params, state_cols), &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "the version was deleted");
    }
    CP_TRY(rc);
    if (row.state != DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_SEALED, "the version is %s",
                            db_version_state_name(row.state));
    }
    return CP_OK;
}

/* Digests have one length, so no part of a list looks like one that is not in it. */
static bool is_named(const char *list, const struct db_file *present)
{
    return present != NULL && (strcmp(list, "*") == 0 || strstr(list, present->sha256) != NULL);
}

bool db_file_condition_holds(const struct db_file_condition *c, const struct db_file *present)
{
    return c == NULL || ((c->match[0] == '\0' || is_named(c->match, present)) &&
                         !is_named(c->none_match, present));
}

static enum cp_err check_condition(const struct db_file_condition *c, const struct db_file *present,
                                   const char *path, struct cp_error *err)
{
    return db_file_condition_holds(c, present)
               ? CP_OK
               : cp_error_set(err, CP_ERR_PRECONDITION_FAILED,
                              "the file '%.400s' is not what was expected there", path);
}

enum cp_err db_file_check_path(struct db_conn *conn, const char *version_id, const char *path,
                               struct cp_error *err)
{
    static const struct db_col path_cols[] = {DB_COL_TEXT(db_file, path)};
    struct db_param params[] = {db_p_id(version_id), db_p_text(path)};
    struct db_file other;
    enum cp_err rc = db_one(conn, DB_QUERY(&clash_stmt, params, path_cols), &other, err);

    if (rc == CP_OK) {
        return cp_error_set(err, CP_ERR_PATH_DUPLICATE, "'%.200s' clashes with '%.200s'", path,
                            other.path);
    }
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static enum cp_err count(struct db_conn *conn, const char *version_id, int64_t files, int64_t bytes,
                         struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id), db_p_i64(files), db_p_i64(bytes)};

    return db_do(conn, DB_COMMAND(&count_stmt, params), NULL, err);
}

enum cp_err db_file_put(struct db_conn *conn, const char *version_id, const struct db_file *file,
                        const struct db_file_condition *condition, bool *ret_created,
                        struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id), db_p_text(file->path), db_p_text(file->sha256),
                                db_p_u64(file->size), db_p_u64(file->mode)};
    struct db_param at[] = {db_p_id(version_id), db_p_text(file->path)};
    struct db_param blobs[] = {db_p_text(file->sha256), db_p_text(file->sha256)};
    struct db_file present;
    bool found;
    enum cp_err rc;

    CP_TRY(lock_draft(conn, version_id, err));
    rc = db_one(conn, DB_QUERY(&get_stmt, at, cols), &present, err);
    found = rc == CP_OK;
    if (rc != CP_ERR_NOT_FOUND) {
        CP_TRY(rc);
    }
    CP_TRY(check_condition(condition, found ? &present : NULL, file->path, err));
    if (!found) {
        CP_TRY(db_file_check_path(conn, version_id, file->path, err));
    }
    if (found) {
        blobs[1] = db_p_text(present.sha256);
        CP_TRY(db_do(conn, DB_COMMAND(&lock_blobs_stmt, blobs), NULL, err));
    }
    CP_TRY(db_blob_put(conn, file->sha256, file->size, err));
    CP_TRY(db_do(conn, DB_COMMAND(&put_stmt, params), NULL, err));
    CP_TRY(count(conn, version_id, found ? 0 : 1,
                 (int64_t)file->size - (found ? (int64_t)present.size : 0), err));
    *ret_created = !found;
    return CP_OK;
}

enum cp_err db_file_get(struct db_conn *conn, const char *version_id, const char *path,
                        struct db_file *ret_file, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id), db_p_text(path)};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_file, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no file '%.400s' in this version", path);
    }
    return rc;
}

enum cp_err db_file_list(struct db_conn *conn, const char *version_id, const char *after,
                         size_t limit, struct db_file *ret_items, size_t *ret_count,
                         struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id), db_p_text(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}

enum cp_err db_file_list_below(struct db_conn *conn, const struct db_file_list *list, size_t limit,
                               struct db_file *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(list->version_id), db_p_text(list->after), db_p_u64(limit),
                                db_p_text(list->prefix)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    if (list->prefix == NULL) {
        return db_file_list(conn, list->version_id, list->after, limit, ret_items, ret_count, err);
    }
    /* a prefix that is known when it is planned is a range of the index */
    return db_many(conn, DB_QUERY_FRESH(&list_below_stmt, params, cols), rows, err);
}

enum cp_err db_file_delete(struct db_conn *conn, const char *version_id, const char *path,
                           const struct db_file_condition *condition, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id), db_p_text(path)};
    struct db_file present;

    CP_TRY(lock_draft(conn, version_id, err));
    CP_TRY(db_file_get(conn, version_id, path, &present, err));
    CP_TRY(check_condition(condition, &present, path, err));
    CP_TRY(db_do(conn, DB_COMMAND(&delete_stmt, params), NULL, err));
    return count(conn, version_id, -1, -(int64_t)present.size, err);
}
