/* SPDX-License-Identifier: Apache-2.0
 * SQL of client certificates. */
#include "db/certificate.h"

#include <string.h>

#include "db/names.h"

#define SELECT                                                                                     \
    "SELECT c.id, c.account_id, a.name, a.role, a.enabled, c.name, c.sha256, c.subject, c.issuer," \
    " c.last_used_at, c.created_at FROM certificates c JOIN accounts a ON a.id = c.account_id"

static const struct db_stmt create_stmt = {
    "certificate_create", "INSERT INTO certificates (account_id, name, sha256, subject, issuer)"
                          " VALUES ($1, $2, $3, $4, $5) RETURNING id"};
static const struct db_stmt find_stmt = {
    "certificate_find", SELECT " WHERE c.sha256 = $1 OR (c.subject = $2 AND c.issuer = $3)"
                               " ORDER BY c.sha256 NULLS LAST LIMIT 1"};
static const struct db_stmt get_stmt = {"certificate_get", SELECT " WHERE c.id = $1"};
static const struct db_stmt list_stmt = {
    "certificate_list", SELECT " WHERE c.account_id = $1 AND ($2::uuid IS NULL OR c.id > $2)"
                               " ORDER BY c.id LIMIT $3"};
static const struct db_stmt delete_stmt = {"certificate_delete",
                                           "DELETE FROM certificates WHERE id = $1"};
static const struct db_stmt touch_stmt = {
    "certificate_touch",
    "UPDATE certificates SET last_used_at = now() WHERE id = $1"
    " AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_certificate, id),
    DB_COL_TEXT(db_certificate, account_id),
    DB_COL_TEXT(db_certificate, account),
    DB_COL_ENUM(db_certificate, account_role, &db_role_names),
    DB_COL_BOOL(db_certificate, account_enabled),
    DB_COL_TEXT(db_certificate, name),
    DB_COL_TEXT(db_certificate, sha256),
    DB_COL_TEXT(db_certificate, subject),
    DB_COL_TEXT(db_certificate, issuer),
    DB_COL_TIME(db_certificate, last_used_at),
    DB_COL_TIME(db_certificate, created_at),
};

enum cp_err db_certificate_create(struct db_conn *conn, const struct db_certificate *in,
                                  struct db_certificate *ret_certificate, struct cp_error *err)
{
    static const struct db_col id_cols[] = {DB_COL_TEXT(db_certificate, id)};
    struct db_param params[] = {db_p_id(in->account_id), db_p_text(in->name), db_p_some(in->sha256),
                                db_p_some(in->subject), db_p_some(in->issuer)};
    struct db_certificate stored;
    enum cp_err rc = db_one(conn, DB_QUERY(&create_stmt, params, id_cols), &stored, err);

    if (rc == CP_ERR_CONFLICT && strcmp(db_constraint(conn), "certificates_account_id_fkey") == 0) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "no account '%s'", in->account_id);
    }
    CP_TRY(rc);
    return db_certificate_get(conn, stored.id, ret_certificate, err);
}

enum cp_err db_certificate_find(struct db_conn *conn, const char *sha256, const char *subject,
                                const char *issuer, struct db_certificate *ret_certificate,
                                struct cp_error *err)
{
    struct db_param params[] = {db_p_text(sha256), db_p_some(subject), db_p_some(issuer)};

    return db_one(conn, DB_QUERY(&find_stmt, params, cols), ret_certificate, err);
}

static enum cp_err not_found(enum cp_err rc, const char *id, struct cp_error *err)
{
    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no certificate '%s'", id);
    }
    return rc;
}

enum cp_err db_certificate_get(struct db_conn *conn, const char *id,
                               struct db_certificate *ret_certificate, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};

    return not_found(db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_certificate, err), id,
                     err);
}

enum cp_err db_certificate_list(struct db_conn *conn, const char *account_id, const char *after,
                                size_t limit, struct db_certificate *ret_items, size_t *ret_count,
                                struct cp_error *err)
{
    struct db_param params[] = {db_p_id(account_id), db_p_id(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}

enum cp_err db_certificate_delete(struct db_conn *conn, const char *id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    uint64_t deleted;

    CP_TRY(db_do(conn, DB_COMMAND(&delete_stmt, params), &deleted, err));
    return not_found(deleted > 0 ? CP_OK : CP_ERR_NOT_FOUND, id, err);
}

enum cp_err db_certificate_touch(struct db_conn *conn, const char *id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};

    return db_do(conn, DB_COMMAND(&touch_stmt, params), NULL, err);
}
