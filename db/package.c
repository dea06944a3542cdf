/* SPDX-License-Identifier: Apache-2.0
 * SQL of packages. */
#include "db/package.h"

#include <stdio.h>
#include <string.h>

#include "db/live.h"
#include "db/names.h"

#define COLUMNS                                                                                    \
    "p.id, p.name, p.description, p.policy, p.encrypt, p.access,"                                  \
    " (SELECT max(number) FROM versions v WHERE v.package_id = p.id AND v.state = 'sealed'),"      \
    " (SELECT count(*) FROM versions v WHERE v.package_id = p.id),"                                \
    " p.revision, p.created_at, p.updated_at"

static const struct db_stmt create_stmt = {
    "package_create", "INSERT INTO packages (name, description, policy, encrypt, access)"
                      " VALUES ($1, $2, $3, $4, $5)"};
static const struct db_stmt get_stmt = {"package_get",
                                        "SELECT " COLUMNS " FROM packages p WHERE p.name = $1"};
static const struct db_stmt get_id_stmt = {"package_get_id",
                                           "SELECT " COLUMNS " FROM packages p WHERE p.id = $1"};
static const struct db_stmt list_stmt = {
    "package_list",
    "SELECT " COLUMNS " FROM packages p WHERE p.name > $1 ORDER BY p.name LIMIT $2"};
static const struct db_stmt lock_name_stmt = {
    "package_lock_name", "SELECT id, revision FROM packages WHERE name = $1 FOR UPDATE"};
static const struct db_stmt lock_id_stmt = {
    "package_lock_id", "SELECT id, revision FROM packages WHERE id = $1 FOR UPDATE"};
static const struct db_stmt update_stmt = {
    "package_update",
    "UPDATE packages SET description = $2, policy = $3, encrypt = $4, access = $5,"
    " revision = revision + 1, updated_at = now() WHERE id = $1"};
static const struct db_stmt lock_versions_stmt = {
    "package_lock_versions", "SELECT 1 FROM versions WHERE package_id = $1 ORDER BY id FOR UPDATE"};
static const struct db_stmt delete_stmt = {"package_delete", "DELETE FROM packages WHERE id = $1"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_package, id),
    DB_COL_TEXT(db_package, name),
    DB_COL_TEXT(db_package, description),
    DB_COL_ENUM(db_package, policy, &db_policy_names),
    DB_COL_BOOL(db_package, encrypt),
    DB_COL_ENUM(db_package, access, &db_access_names),
    DB_COL_INT(db_package, current_version),
    DB_COL_INT(db_package, version_count),
    DB_COL_INT(db_package, revision),
    DB_COL_TIME(db_package, created_at),
    DB_COL_TIME(db_package, updated_at),
};

struct lock_row {
    char id[DB_ID_SIZE];
    int64_t revision;
};
static const struct db_col lock_cols[] = {DB_COL_TEXT(lock_row, id),
                                          DB_COL_INT(lock_row, revision)};

static enum cp_err not_found(enum cp_err rc, const char *ref, struct cp_error *err)
{
    if (rc == CP_ERR_NOT_FOUND) {
        rc = cp_error_set(err, CP_ERR_PACKAGE_NOT_FOUND, "no package '%s'", ref);
    }
    return rc;
}

enum cp_err db_package_create(struct db_conn *conn, const struct db_package *in,
                              struct db_package *ret_package, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(in->name), db_p_text(in->description),
                                db_p_text(db_policy_name(in->policy)), db_p_bool(in->encrypt),
                                db_p_text(db_access_name(in->access))};
    enum cp_err rc = db_do(conn, DB_COMMAND(&create_stmt, params), NULL, err);

    if (rc == CP_ERR_CONFLICT) {
        return cp_error_set(err, rc, "a package '%s' exists", in->name);
    }
    CP_TRY(rc);
    return db_package_get(conn, in->name, ret_package, err);
}

enum cp_err db_package_get(struct db_conn *conn, const char *name, struct db_package *ret_package,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_text(name)};

    return not_found(db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_package, err), name, err);
}

enum cp_err db_package_list(struct db_conn *conn, const char *after, size_t limit,
                            struct db_package *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}

enum cp_err db_package_update(struct db_conn *conn, const struct db_package *in,
                              struct db_package *ret_package, struct cp_error *err)
{
    struct db_param id[] = {db_p_id(in->id)};
    struct db_param params[] = {db_p_id(in->id), db_p_text(in->description),
                                db_p_text(db_policy_name(in->policy)), db_p_bool(in->encrypt),
                                db_p_text(db_access_name(in->access))};
    struct lock_row present;

    CP_TRY(not_found(db_one(conn, DB_QUERY(&lock_id_stmt, id, lock_cols), &present, err), in->id,
                     err));
    CP_TRY(db_revision_check(in->revision, present.revision, "package", err));
    CP_TRY(db_do(conn, DB_COMMAND(&update_stmt, params), NULL, err));
    return not_found(db_one(conn, DB_QUERY(&get_id_stmt, id, cols), ret_package, err), in->id, err);
}

enum cp_err db_package_delete(struct db_conn *conn, const char *name, int64_t expected_revision,
                              struct cp_error *err)
{
    struct db_param by_name[] = {db_p_text(name)};
    struct db_param id[1];
    struct lock_row present;

    CP_TRY(not_found(db_one(conn, DB_QUERY(&lock_name_stmt, by_name, lock_cols), &present, err),
                     name, err));
    CP_TRY(db_revision_check(expected_revision, present.revision, "package", err));
    id[0] = db_p_text(present.id);
    /* A join takes its version's row lock: it now comes before or after the deletion. */
    CP_TRY(db_do(conn, DB_COMMAND(&lock_versions_stmt, id), NULL, err));
    CP_TRY(db_live_refuse(conn, present.id, NULL, err));
    return db_do(conn, DB_COMMAND(&delete_stmt, id), NULL, err);
}
