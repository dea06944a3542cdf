/* SPDX-License-Identifier: Apache-2.0
 * SQL of versions. */
#include "db/version.h"

#include <stdlib.h>
#include <string.h>

#include "db/live.h"
#include "db/names.h"

#define COLUMNS                                                                                    \
    "v.id, p.id, p.name, p.policy, p.encrypt, p.access, v.number, v.state, v.file_count,"          \
    " v.file_bytes, coalesce(octet_length(v.manifest), 0), v.manifest_sha256,"                     \
    " v.manifest_signature, v.manifest_key, v.stream_size, v.content_size, v.sealed_at,"           \
    " v.retired_at, v.revision, v.created_at, v.description, v.labels::text,"                      \
    " EXISTS (SELECT 1 FROM blobs b JOIN files f ON f.sha256 = b.sha256"                           \
    " WHERE b.state <> 'good' AND f.version_id = v.id), v.files_revision"
#define FROM " FROM versions v JOIN packages p ON p.id = v.package_id"

static const struct db_stmt number_stmt = {
    "version_number", "UPDATE packages SET last_number = last_number + 1 WHERE name = $1"
                      " RETURNING id, last_number"};
static const struct db_stmt create_stmt = {
    "version_create", "INSERT INTO versions (package_id, number, description, labels)"
                      " VALUES ($1, $2, $3, coalesce($4::jsonb, '{}')) RETURNING id"};
static const struct db_stmt get_id_stmt = {"version_get_id",
                                           "SELECT " COLUMNS FROM " WHERE v.id = $1"};
static const struct db_stmt get_stmt = {"version_get", "SELECT " COLUMNS FROM
                                                       " WHERE p.name = $1 AND v.number = $2"};
static const struct db_stmt current_stmt = {
    "version_current", "SELECT " COLUMNS FROM " WHERE p.name = $1 AND v.state = 'sealed'"
                       " AND (p.current_number IS NULL OR v.number = p.current_number)"
                       " ORDER BY v.number DESC LIMIT 1"};
static const struct db_stmt package_stmt = {"version_package",
                                            "SELECT id FROM packages WHERE name = $1"};
static const struct db_stmt list_stmt = {
    "version_list", "SELECT " COLUMNS FROM " WHERE v.package_id = $1 AND v.number < $2"
                    " AND ($3::text IS NULL OR v.state = $3) ORDER BY v.number DESC LIMIT $4"};
static const struct db_stmt list_up_stmt = {
    "version_list_up", "SELECT " COLUMNS FROM " WHERE v.package_id = $1 AND v.number > $2"
                       " AND ($3::text IS NULL OR v.state = $3) ORDER BY v.number LIMIT $4"};
/* The package's row comes before its versions' in every transaction that changes both. */
static const struct db_stmt lock_package_stmt = {
    "version_lock_package", "SELECT p.current_number = v.number FROM packages p"
                            " JOIN versions v ON v.package_id = p.id WHERE v.id = $1"
                            " FOR NO KEY UPDATE OF p"};
static const struct db_stmt lock_stmt = {
    "version_lock",
    "SELECT state, revision, file_count, files_revision FROM versions WHERE id = $1 FOR UPDATE"};
static const struct db_stmt empty_stmt = {
    "version_empty_file",
    "SELECT path FROM files WHERE version_id = $1 AND size = 0 ORDER BY path LIMIT 1"};
static const struct db_stmt seal_stmt = {
    "version_seal",
    "UPDATE versions SET state = 'sealed', manifest = $2, manifest_sha256 = $3,"
    " manifest_signature = $4, manifest_key = $5, stream_size = $6, content_size = $7,"
    " sealed_at = now(), revision = revision + 1 WHERE id = $1"};
static const struct db_stmt retire_stmt = {
    "version_retire", "UPDATE versions SET state = 'retired', retired_at = now(),"
                      " revision = revision + 1 WHERE id = $1"};
static const struct db_stmt update_stmt = {
    "version_update", "UPDATE versions SET description = $2, labels = coalesce($3::jsonb, '{}'),"
                      " revision = revision + 1 WHERE id = $1"};
static const struct db_stmt delete_stmt = {"version_delete", "DELETE FROM versions WHERE id = $1"};
static const struct db_stmt signature_stmt = {
    "version_set_signature", "UPDATE versions SET manifest_signature = $2, manifest_key = $3,"
                             " revision = revision + 1 WHERE id = $1 AND state <> 'draft'"};
static const struct db_stmt manifest_stmt = {"version_manifest",
                                             "SELECT state, manifest FROM versions WHERE id = $1"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_version, id),
    DB_COL_TEXT(db_version, package_id),
    DB_COL_TEXT(db_version, package),
    DB_COL_ENUM(db_version, policy, &db_policy_names),
    DB_COL_BOOL(db_version, encrypt),
    DB_COL_ENUM(db_version, access, &db_access_names),
    DB_COL_INT(db_version, number),
    DB_COL_ENUM(db_version, state, &db_version_state_names),
    DB_COL_INT(db_version, file_count),
    DB_COL_INT(db_version, file_bytes),
    DB_COL_INT(db_version, manifest_size),
    DB_COL_TEXT(db_version, manifest_sha256),
    DB_COL_TEXT(db_version, manifest_signature),
    DB_COL_TEXT(db_version, manifest_key),
    DB_COL_INT(db_version, stream_size),
    DB_COL_INT(db_version, content_size),
    DB_COL_TIME(db_version, sealed_at),
    DB_COL_TIME(db_version, retired_at),
    DB_COL_INT(db_version, revision),
    DB_COL_TIME(db_version, created_at),
    DB_COL_TEXT(db_version, description),
    DB_COL_TEXT(db_version, labels),
    DB_COL_BOOL(db_version, damaged),
    DB_COL_INT(db_version, files_revision),
};

struct id_row {
    char id[DB_ID_SIZE];
    uint32_t number;
};
static const struct db_col id_cols[] = {DB_COL_TEXT(id_row, id), DB_COL_INT(id_row, number)};

struct lock_row {
    enum db_version_state state;
    int64_t revision, files_revision;
    uint32_t file_count;
    bool pinned; /* the package's current version by decision */
};
static const struct db_col pinned_cols[] = {DB_COL_BOOL(lock_row, pinned)};
static const struct db_col lock_cols[] = {
    DB_COL_ENUM(lock_row, state, &db_version_state_names), DB_COL_INT(lock_row, revision),
    DB_COL_INT(lock_row, file_count), DB_COL_INT(lock_row, files_revision)};

static enum cp_err get_by_id(struct db_conn *conn, const char *id, struct db_version *ret_version,
                             struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_id_stmt, params, cols), ret_version, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "the version was deleted");
    }
    return rc;
}

static enum cp_err lock(struct db_conn *conn, const char *id, int64_t expected_revision,
                        struct lock_row *ret_row, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    struct lock_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&lock_package_stmt, params, pinned_cols), &row, err);

    if (rc == CP_OK) {
        rc = db_one(conn, DB_QUERY(&lock_stmt, params, lock_cols), &row, err);
    }
    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "the version was deleted");
    }
    CP_TRY(rc);
    CP_TRY(db_revision_check(expected_revision, row.revision, "version", err));
    *ret_row = row;
    return CP_OK;
}

static enum cp_err package_id(struct db_conn *conn, const char *package, struct id_row *ret_row,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_text(package)};
    struct db_query query = DB_QUERY(&package_stmt, params, id_cols);
    enum cp_err rc;

    query.col_count = 1;
    rc = db_one(conn, query, ret_row, err);
    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_PACKAGE_NOT_FOUND, "no package '%s'", package);
    }
    return rc;
}

enum cp_err db_version_create(struct db_conn *conn, const struct db_version *in,
                              struct db_version *ret_version, struct cp_error *err)
{
    struct db_param by_name[] = {db_p_text(in->package)};
    struct db_query create;
    struct id_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&number_stmt, by_name, id_cols), &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_PACKAGE_NOT_FOUND, "no package '%s'", in->package);
    }
    CP_TRY(rc);
    {
        struct db_param params[] = {db_p_text(row.id), db_p_u64(row.number),
                                    db_p_text(in->description), db_p_some(in->labels)};

        create = DB_QUERY(&create_stmt, params, id_cols);
        create.col_count = 1;
        CP_TRY(db_one(conn, create, &row, err));
    }
    return get_by_id(conn, row.id, ret_version, err);
}

enum cp_err db_version_get(struct db_conn *conn, const char *package, uint32_t number,
                           struct db_version *ret_version, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(package), db_p_u64(number)};
    struct db_query query = DB_QUERY(number == 0 ? &current_stmt : &get_stmt, params, cols);
    struct id_row row;
    enum cp_err rc;

    if (number > INT32_MAX) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "package '%s' has no version %u",
                            package, number);
    }
    query.param_count = number == 0 ? 1 : 2;
    rc = db_one(conn, query, ret_version, err);
    if (rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    CP_TRY(package_id(conn, package, &row, err));
    if (number == 0) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_SEALED, "package '%s' has no sealed version",
                            package);
    }
    return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "package '%s' has no version %u", package,
                        number);
}

enum cp_err db_version_list(struct db_conn *conn, const struct db_version_list *list, size_t limit,
                            struct db_version *ret_items, size_t *ret_count, struct cp_error *err)
{
    const struct db_stmt *stmt = list->ascending ? &list_up_stmt : &list_stmt;
    uint32_t start = list->ascending ? 0 : INT32_MAX;
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};
    struct id_row row;

    if (list->after > 0 && list->after <= INT32_MAX) {
        start = list->after;
    }
    CP_TRY(package_id(conn, list->package, &row, err));
    {
        struct db_param params[] = {db_p_text(row.id), db_p_u64(start), db_p_text(list->state),
                                    db_p_u64(limit)};

        return db_many(conn, DB_QUERY(stmt, params, cols), rows, err);
    }
}

enum cp_err db_version_update(struct db_conn *conn, const struct db_version *in,
                              struct db_version *ret_version, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(in->id), db_p_text(in->description), db_p_some(in->labels)};
    struct lock_row present = {.revision = 0};

    CP_TRY(lock(conn, in->id, in->revision, &present, err));
    CP_TRY(db_do(conn, DB_COMMAND(&update_stmt, params), NULL, err));
    return get_by_id(conn, in->id, ret_version, err);
}

/* Empty content never becomes a version: the client of an empty file would call it a success. */
static enum cp_err refuse_empty(struct db_conn *conn, const char *version_id, uint32_t file_count,
                                struct cp_error *err)
{
    static const struct db_col path_cols[] = {{.kind = DB_C_TEXT, .size = DB_PATH_SIZE}};
    struct db_param params[] = {db_p_id(version_id)};
    char path[DB_PATH_SIZE];
    enum cp_err rc;

    if (file_count == 0) {
        return cp_error_set(err, CP_ERR_CONTENT_EMPTY, "the version has no file");
    }
    rc = db_one(conn, DB_QUERY(&empty_stmt, params, path_cols), path, err);
    if (rc == CP_OK) {
        return cp_error_set(err, CP_ERR_CONTENT_EMPTY, "the file '%.400s' is empty", path);
    }
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

enum cp_err db_version_seal(struct db_conn *conn, const char *version_id, int64_t files_revision,
                            const struct db_seal *seal, struct db_version *ret_version,
                            struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id),
                                db_p_bytes(seal->manifest, seal->manifest_size),
                                db_p_text(seal->manifest_sha256),
                                db_p_text(seal->manifest_signature),
                                db_p_text(seal->manifest_key),
                                db_p_u64(seal->stream_size),
                                db_p_u64(seal->content_size)};
    struct lock_row present = {.revision = 0};

    /* The state first: whoever lost a race for sealing is better told that it is sealed. */
    CP_TRY(lock(conn, version_id, DB_REVISION_ANY, &present, err));
    if (present.state != DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_SEALED, "the version is %s already",
                            db_version_state_name(present.state));
    }
    CP_TRY(db_revision_check(files_revision, present.files_revision, "version", err));
    CP_TRY(refuse_empty(conn, version_id, present.file_count, err));
    CP_TRY(db_do(conn, DB_COMMAND(&seal_stmt, params), NULL, err));
    return get_by_id(conn, version_id, ret_version, err);
}

enum cp_err db_version_retire(struct db_conn *conn, const char *version_id,
                              int64_t expected_revision, struct db_version *ret_version,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id)};
    struct lock_row present = {.revision = 0};

    CP_TRY(lock(conn, version_id, expected_revision, &present, err));
    if (present.state == DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_CONFLICT, "the version is a draft: delete it instead");
    }
    if (present.pinned) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "the version was promoted and is current: promote another one, roll "
                            "back, or delete the pin ('DELETE …/current-pin'), then retire it");
    }
    if (present.state == DB_VERSION_SEALED) {
        CP_TRY(db_do(conn, DB_COMMAND(&retire_stmt, params), NULL, err));
    }
    return get_by_id(conn, version_id, ret_version, err);
}

enum cp_err db_version_delete(struct db_conn *conn, const char *version_id,
                              int64_t expected_revision, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id)};
    struct lock_row present = {.revision = 0};

    CP_TRY(lock(conn, version_id, expected_revision, &present, err));
    if (present.state == DB_VERSION_SEALED) {
        return cp_error_set(err, CP_ERR_CONFLICT, "the version is sealed: retire it first");
    }
    CP_TRY(db_live_refuse(conn, NULL, version_id, err));
    return db_do(conn, DB_COMMAND(&delete_stmt, params), NULL, err);
}

enum cp_err db_version_set_signature(struct db_conn *conn, const char *version_id,
                                     const char *signature, const char *key, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(version_id), db_p_text(signature), db_p_text(key)};
    uint64_t changed;

    CP_TRY(db_do(conn, DB_COMMAND(&signature_stmt, params), &changed, err));
    if (changed == 0) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "no sealed version to sign");
    }
    return CP_OK;
}

struct manifest_row {
    enum db_version_state state;
    char *bytes;
    size_t size;
};

enum cp_err db_version_manifest(struct db_conn *conn, const char *version_id, char **ret_manifest,
                                size_t *ret_size, struct cp_error *err)
{
    static const struct db_col manifest_cols[] = {
        DB_COL_ENUM(manifest_row, state, &db_version_state_names),
        DB_COL_BLOB(manifest_row, bytes, size)};
    struct db_param params[] = {db_p_id(version_id)};
    struct manifest_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&manifest_stmt, params, manifest_cols), &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "the version was deleted");
    }
    CP_TRY(rc);
    if (row.state == DB_VERSION_DRAFT) {
        free(row.bytes);
        return cp_error_set(err, CP_ERR_VERSION_NOT_SEALED, "the version is a draft");
    }
    *ret_manifest = row.bytes;
    *ret_size = row.size;
    return CP_OK;
}
