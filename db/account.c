/* SPDX-License-Identifier: Apache-2.0
 * SQL of accounts. */
#include "db/account.h"
#include "db/batch.h"

#include <string.h>

#include "db/batch.h"
#include "db/names.h"

#define COLUMNS                                                                                    \
    "id, name, description, role, enabled, password_hash, principal, revision, created_at,"        \
    " updated_at, (SELECT f.locked_until FROM login_failures f"                                    \
    " WHERE f.name_hash = sha256(convert_to(accounts.name, 'UTF8'))"                               \
    " AND f.locked_until > clock_timestamp())"

static const struct db_stmt create_stmt = {
    "account_create", "INSERT INTO accounts (name, description, role, enabled, password_hash,"
                      " principal) VALUES ($1, $2, $3, $4, $5, $6) RETURNING " COLUMNS};
static const struct db_stmt get_stmt = {
    "account_get", "SELECT " COLUMNS " FROM accounts WHERE id = $1 OR name = $2"
                   " ORDER BY (id = $1) DESC NULLS LAST LIMIT 1"};
static const struct db_stmt named_stmt = {
    "account_named",
    "SELECT " COLUMNS " FROM accounts WHERE name = ANY ($1::text[]) ORDER BY name"};
static const struct db_stmt principal_stmt = {
    "account_by_principal", "SELECT " COLUMNS " FROM accounts WHERE principal = $1"};
static const struct db_stmt list_stmts[2] = {
    {"account_list", "SELECT " COLUMNS " FROM accounts WHERE name > $1"
                     " AND ($3::text IS NULL OR role = $3)"
                     " AND ($4::boolean IS NULL OR enabled = $4) ORDER BY name LIMIT $2"},
    {"account_list_down", "SELECT " COLUMNS " FROM accounts WHERE name < $1"
                          " AND ($3::text IS NULL OR role = $3)"
                          " AND ($4::boolean IS NULL OR enabled = $4) ORDER BY name DESC LIMIT $2"},
};
static const struct db_stmt lock_stmt = {"account_lock", "SELECT " COLUMNS
                                                         " FROM accounts WHERE id = $1 FOR UPDATE"};
/* Locks the administrators in one order, so that two who remove each other take turns. */
static const struct db_stmt admins_stmt = {
    "account_admins", "SELECT id FROM accounts WHERE role = 'admin' AND enabled ORDER BY id"
                      " FOR UPDATE"};
static const struct db_stmt others_stmt = {
    "account_other_admins",
    "SELECT count(*) FROM accounts WHERE role = 'admin' AND enabled AND id <> $1"};
static const struct db_stmt admin_left_stmt = {
    "account_admin_left",
    "SELECT count(*) FROM (SELECT FROM accounts WHERE role = 'admin' AND enabled LIMIT 1) a"};
static const struct db_stmt defer_stmt = {"account_principals_later",
                                          "SET CONSTRAINTS accounts_principal_key DEFERRED"};
static const struct db_stmt check_stmt = {"account_principals_now",
                                          "SET CONSTRAINTS accounts_principal_key IMMEDIATE"};
static const struct db_stmt update_stmt = {
    "account_update",
    "UPDATE accounts SET description = $2, role = $3, enabled = $4, password_hash = $5,"
    " principal = $6,"
    " revision = revision + 1, updated_at = now() WHERE id = $1 RETURNING " COLUMNS};
/* No change of the account: neither its revision nor its time. */
static const struct db_stmt rehash_stmt = {
    "account_rehash",
    "UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2"};
static const struct db_stmt delete_stmt = {"account_delete", "DELETE FROM accounts WHERE id = $1"};
static const struct db_stmt count_stmt = {"account_count", "SELECT count(*) FROM accounts"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_account, id),           DB_COL_TEXT(db_account, name),
    DB_COL_TEXT(db_account, description),  DB_COL_ENUM(db_account, role, &db_role_names),
    DB_COL_BOOL(db_account, enabled),      DB_COL_TEXT(db_account, password_hash),
    DB_COL_TEXT(db_account, principal),    DB_COL_INT(db_account, revision),
    DB_COL_TIME(db_account, created_at),   DB_COL_TIME(db_account, updated_at),
    DB_COL_TIME(db_account, locked_until),
};

struct count_row {
    uint64_t count;
};
static const struct db_col count_cols[] = {DB_COL_INT(count_row, count)};

static enum cp_err not_found(enum cp_err rc, const char *ref, struct cp_error *err)
{
    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no account '%s'", ref);
    }
    return rc;
}

/* Which of the names is taken. */
static enum cp_err name_conflict(struct db_conn *conn, enum cp_err rc, const struct db_account *in,
                                 struct cp_error *err)
{
    if (rc == CP_ERR_CONFLICT && strcmp(db_constraint(conn), "accounts_principal_key") == 0) {
        (void)cp_error_set(err, rc, "another account has the principal '%s'", in->principal);
    } else if (rc == CP_ERR_CONFLICT) {
        (void)cp_error_set(err, rc, "an account '%s' exists", in->name);
    }
    return rc;
}

enum cp_err db_account_create(struct db_conn *conn, const struct db_account *in,
                              struct db_account *ret_account, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_text(in->name),    db_p_text(in->description),   db_p_text(db_role_name(in->role)),
        db_p_bool(in->enabled), db_p_text(in->password_hash), db_p_some(in->principal)};
    enum cp_err rc = db_one(conn, DB_QUERY(&create_stmt, params, cols), ret_account, err);

    return name_conflict(conn, rc, in, err);
}

enum cp_err db_account_get(struct db_conn *conn, const char *ref, struct db_account *ret_account,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_id(ref), db_p_text(ref)};

    return not_found(db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_account, err), ref, err);
}

enum cp_err db_account_named(struct db_conn *conn, const char *const *names, size_t count,
                             struct db_account *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_query query = {.stmt = &named_stmt, .cols = cols, .col_count = DB_COUNT(cols)};
    struct db_rows rows = {ret_items, sizeof *ret_items, count, ret_count};
    struct db_batch batch = {.width = 0};

    db_batch_add_names(&batch, names, count);
    return db_batch_many(conn, query, &batch, rows, err);
}

enum cp_err db_account_by_principal(struct db_conn *conn, const char *principal,
                                    struct db_account *ret_account, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(principal)};

    return not_found(db_one(conn, DB_QUERY(&principal_stmt, params, cols), ret_account, err),
                     principal, err);
}

enum cp_err db_account_list(struct db_conn *conn, const char *after, size_t limit,
                            struct db_account *ret_items, size_t *ret_count, struct cp_error *err)
{
    const struct db_account_list list = {.after = after};

    return db_account_page(conn, &list, limit, ret_items, ret_count, err);
}

#define NAME_LAST "~" /* behind all that a name may be */

enum cp_err db_account_page(struct db_conn *conn, const struct db_account_list *list, size_t limit,
                            struct db_account *ret_items, size_t *ret_count, struct cp_error *err)
{
    bool from_start = list->after == NULL || list->after[0] == '\0';
    const char *edge = list->descending ? NAME_LAST : "";
    struct db_param params[] = {db_p_text(from_start ? edge : list->after), db_p_u64(limit),
                                db_p_text(list->role), db_p_maybe(list->enabled)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmts[list->descending], params, cols), rows, err);
}

/* Nothing may leave the distribution point without an administrator. */
static enum cp_err refuse_last_admin(struct db_conn *conn, const struct db_account *present,
                                     struct cp_error *err)
{
    struct db_param params[] = {db_p_text(present->id)};
    struct count_row others;

    if (present->role != DB_ROLE_ADMIN || !present->enabled) {
        return CP_OK;
    }
    CP_TRY(db_one(conn, DB_QUERY(&others_stmt, params, count_cols), &others, err));
    if (others.count == 0) {
        return cp_error_set(err, CP_ERR_CONFLICT, "'%s' is the last enabled administrator",
                            present->name);
    }
    return CP_OK;
}

static enum cp_err lock(struct db_conn *conn, const char *id, int64_t expected_revision,
                        struct db_account *ret_present, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    struct db_account present;

    CP_TRY(db_do(conn, (struct db_query){.stmt = &admins_stmt}, NULL, err));
    CP_TRY(not_found(db_one(conn, DB_QUERY(&lock_stmt, params, cols), &present, err), id, err));
    CP_TRY(db_revision_check(expected_revision, present.revision, "account", err));
    *ret_present = present;
    return CP_OK;
}

static enum cp_err store(struct db_conn *conn, const struct db_account *in,
                         struct db_account *ret_account, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(in->id),        db_p_text(in->description),   db_p_text(db_role_name(in->role)),
        db_p_bool(in->enabled), db_p_text(in->password_hash), db_p_some(in->principal)};

    return name_conflict(conn, db_one(conn, DB_QUERY(&update_stmt, params, cols), ret_account, err),
                         in, err);
}

enum cp_err db_account_update(struct db_conn *conn, const struct db_account *in,
                              struct db_account *ret_account, struct cp_error *err)
{
    struct db_account present;

    CP_TRY(lock(conn, in->id, in->revision, &present, err));
    if (in->role != DB_ROLE_ADMIN || !in->enabled) {
        CP_TRY(refuse_last_admin(conn, &present, err));
    }
    return store(conn, in, ret_account, err);
}

enum cp_err db_account_parts_begin(struct db_conn *conn, struct cp_error *err)
{
    return db_do(conn, (struct db_query){.stmt = &defer_stmt}, NULL, err);
}

enum cp_err db_account_update_part(struct db_conn *conn, const struct db_account *in,
                                   struct db_account *ret_account, struct cp_error *err)
{
    struct db_account present;

    CP_TRY(lock(conn, in->id, in->revision, &present, err));
    return store(conn, in, ret_account, err);
}

enum cp_err db_account_parts_end(struct db_conn *conn, struct cp_error *err)
{
    struct count_row admins;
    enum cp_err rc;

    CP_TRY(db_one(conn,
                  (struct db_query){.stmt = &admin_left_stmt, .cols = count_cols, .col_count = 1},
                  &admins, err));
    if (admins.count == 0) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "the last enabled administrator would be gone: make another one first");
    }
    rc = db_do(conn, (struct db_query){.stmt = &check_stmt}, NULL, err);
    return rc == CP_ERR_CONFLICT
               ? cp_error_set(err, rc,
                              "two accounts would have one principal: give it to one of them")
               : rc;
}

enum cp_err db_account_rehash(struct db_conn *conn, const char *id, const char *from,
                              const char *to, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_text(from), db_p_text(to)};

    return db_do(conn, DB_COMMAND(&rehash_stmt, params), NULL, err);
}

enum cp_err db_account_delete(struct db_conn *conn, const char *id, int64_t expected_revision,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    struct db_account present;

    CP_TRY(lock(conn, id, expected_revision, &present, err));
    CP_TRY(refuse_last_admin(conn, &present, err));
    return db_do(conn, DB_COMMAND(&delete_stmt, params), NULL, err);
}

enum cp_err db_account_delete_part(struct db_conn *conn, const char *id, int64_t expected_revision,
                                   struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    struct db_account present;

    CP_TRY(lock(conn, id, expected_revision, &present, err));
    return db_do(conn, DB_COMMAND(&delete_stmt, params), NULL, err);
}

enum cp_err db_account_count(struct db_conn *conn, uint64_t *ret_count, struct cp_error *err)
{
    struct count_row row;

    CP_TRY(db_one(conn, (struct db_query){.stmt = &count_stmt, .cols = count_cols, .col_count = 1},
                  &row, err));
    *ret_count = row.count;
    return CP_OK;
}
