/* SPDX-License-Identifier: Apache-2.0
 * SQL of tokens. */
#include "db/token.h"

#include "db/names.h"

#define COLUMNS                                                                                    \
    "t.id, t.account_id, a.name, a.role, a.enabled, t.name, t.prefix, t.scope, t.enabled,"         \
    " t.expires_at, coalesce(t.expires_at <= clock_timestamp(), false), t.last_used_at,"           \
    " t.created_at, t.revision"
#define SELECT "SELECT " COLUMNS " FROM tokens t JOIN accounts a ON a.id = t.account_id"

static const struct db_stmt create_stmt = {
    "token_create", "INSERT INTO tokens (account_id, hash, name, scope, expires_at, prefix)"
                    " VALUES ($1, $2, $3, $4, $5, $6) RETURNING id"};
static const struct db_stmt find_stmt = {"token_find", SELECT " WHERE t.hash = $1"};
static const struct db_stmt get_stmt = {"token_get", SELECT " WHERE t.id = $1"};
/* Roles by their weight; the effective one is the lower of scope and the account's. */
#define WEIGHT(role) "array_position('{content,viewer,operator,admin}'::text[], " role ")"
static const struct db_stmt list_stmt = {
    "token_list",
    SELECT " WHERE ($1::uuid IS NULL OR t.account_id = $1) AND ($2::uuid IS NULL OR t.id > $2)"
           " AND least(" WEIGHT("t.scope") ", " WEIGHT(
               "a.role") ") <= $3"
                         " AND (NOT $5::boolean OR"
                         "  (t.enabled AND (t.expires_at > statement_timestamp()) IS NOT FALSE))"
                         " AND (NOT $6::boolean OR t.expires_at <= statement_timestamp())"
                         " AND (NOT $7::boolean OR NOT t.enabled) ORDER BY t.id LIMIT $4"};
static const struct db_stmt lock_stmt = {"token_lock",
                                         SELECT " WHERE t.id = $1 FOR NO KEY UPDATE OF t"};
static const struct db_stmt update_stmt = {
    "token_update", "UPDATE tokens SET name = $2, enabled = $3, revision = revision + 1"
                    " WHERE id = $1"};
static const struct db_stmt expiring_stmt = {
    "token_expiring",
    "UPDATE tokens t SET warned_at = now() FROM accounts a WHERE a.id = t.account_id AND t.id IN"
    " (SELECT id FROM tokens WHERE enabled AND warned_at IS NULL"
    "  AND expires_at < now() + $1 * interval '1 second' AND expires_at > now()"
    "  ORDER BY expires_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) RETURNING " COLUMNS};
static const struct db_stmt delete_stmt = {"token_delete", "DELETE FROM tokens WHERE id = $1"};
static const struct db_stmt touch_stmt = {
    "token_touch", "UPDATE tokens SET last_used_at = now() WHERE id = $1"
                   " AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_token, id),
    DB_COL_TEXT(db_token, account_id),
    DB_COL_TEXT(db_token, account),
    DB_COL_ENUM(db_token, account_role, &db_role_names),
    DB_COL_BOOL(db_token, account_enabled),
    DB_COL_TEXT(db_token, name),
    DB_COL_TEXT(db_token, prefix),
    DB_COL_ENUM(db_token, scope, &db_role_names),
    DB_COL_BOOL(db_token, enabled),
    DB_COL_TIME(db_token, expires_at),
    DB_COL_BOOL(db_token, expired),
    DB_COL_TIME(db_token, last_used_at),
    DB_COL_TIME(db_token, created_at),
    DB_COL_INT(db_token, revision),
};

/* What a token may do ends where its account's role ends. */
static void lower_scope(struct db_token *token)
{
    if (token->scope > token->account_role) {
        token->scope = token->account_role;
    }
}

enum cp_err db_token_create(struct db_conn *conn, const struct db_token *in,
                            const uint8_t hash[DB_HASH_SIZE], struct db_token *ret_token,
                            struct cp_error *err)
{
    static const struct db_col id_cols[] = {DB_COL_TEXT(db_token, id)};
    struct db_param params[] = {db_p_text(in->account_id), db_p_bytes(hash, DB_HASH_SIZE),
                                db_p_text(in->name),       db_p_text(db_role_name(in->scope)),
                                db_p_time(in->expires_at), db_p_text(in->prefix)};
    struct db_token stored;
    enum cp_err rc = db_one(conn, DB_QUERY(&create_stmt, params, id_cols), &stored, err);

    if (rc == CP_ERR_CONFLICT) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "no account '%s'", in->account_id);
    }
    CP_TRY(rc);
    return db_token_get(conn, stored.id, ret_token, err);
}

enum cp_err db_token_find(struct db_conn *conn, const uint8_t hash[DB_HASH_SIZE],
                          struct db_token *ret_token, struct cp_error *err)
{
    struct db_param params[] = {db_p_bytes(hash, DB_HASH_SIZE)};
    enum cp_err rc = db_one(conn, DB_QUERY(&find_stmt, params, cols), ret_token, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "unknown token");
    }
    if (rc == CP_OK) {
        lower_scope(ret_token);
    }
    return rc;
}

enum cp_err db_token_get(struct db_conn *conn, const char *id, struct db_token *ret_token,
                         struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_token, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no token '%s'", id);
    }
    if (rc == CP_OK) {
        lower_scope(ret_token);
    }
    return rc;
}

enum cp_err db_token_list(struct db_conn *conn, const struct db_token_list *list, size_t limit,
                          struct db_token *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(list->account_id),
                                db_p_id(list->after),
                                db_p_u64((uint64_t)list->upto),
                                db_p_u64(limit),
                                db_p_bool(list->state == DB_TOKEN_ACTIVE),
                                db_p_bool(list->state == DB_TOKEN_EXPIRED),
                                db_p_bool(list->state == DB_TOKEN_DISABLED)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    CP_TRY(db_many(conn, DB_QUERY_FRESH(&list_stmt, params, cols), rows, err));
    for (size_t i = 0; i < *ret_count; i++) {
        lower_scope(&ret_items[i]);
    }
    return CP_OK;
}

enum cp_err db_token_update(struct db_conn *conn, const struct db_token *in,
                            struct db_token *ret_token, struct cp_error *err)
{
    struct db_param id[] = {db_p_id(in->id)};
    struct db_param params[] = {db_p_id(in->id), db_p_text(in->name), db_p_bool(in->enabled)};
    struct db_token present;
    enum cp_err rc = db_one(conn, DB_QUERY(&lock_stmt, id, cols), &present, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, rc, "no token '%s'", in->id);
    }
    CP_TRY(rc);
    CP_TRY(db_revision_check(in->revision, present.revision, "token", err));
    CP_TRY(db_do(conn, DB_COMMAND(&update_stmt, params), NULL, err));
    return db_token_get(conn, in->id, ret_token, err);
}

enum cp_err db_token_expiring(struct db_conn *conn, uint64_t within_s, size_t limit,
                              struct db_token *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_u64(within_s), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&expiring_stmt, params, cols), rows, err);
}

enum cp_err db_token_delete(struct db_conn *conn, const char *id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    uint64_t deleted;

    CP_TRY(db_do(conn, DB_COMMAND(&delete_stmt, params), &deleted, err));
    if (deleted == 0) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "no token '%s'", id);
    }
    return CP_OK;
}

enum cp_err db_token_touch(struct db_conn *conn, const char *id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};

    return db_do(conn, DB_COMMAND(&touch_stmt, params), NULL, err);
}
