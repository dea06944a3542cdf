/* SPDX-License-Identifier: Apache-2.0
 * SQL of keys. Reads must succeed on damaged rows: what they hold is judged by the keyring. */
#include "db/key.h"

#include <string.h>

#include "db/names.h"

#define COLUMNS                                                                                    \
    "id, node_id, kind, state = 'active', fingerprint, public_key, private_sealed, certificate,"   \
    " not_before, not_after, created_at, retired_at, retired_reason, last_used_at, checked_at,"    \
    " check_result"

static const struct db_stmt active_stmt = {
    "key_active",
    "SELECT " COLUMNS " FROM keys WHERE node_id = $1 AND kind = $2 AND state = 'active'"};
static const struct db_stmt insert_stmt = {
    "key_insert", "INSERT INTO keys (node_id, kind, fingerprint, public_key, private_sealed,"
                  " certificate, not_before, not_after, check_result, checked_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, now()), $8, 'ok', now())"
                  " RETURNING id"};
static const struct db_stmt retire_stmt = {
    "key_retire", "UPDATE keys SET state = 'retired', retired_at = now(), retired_reason = $2"
                  " WHERE id = $1 AND state = 'active'"};
static const struct db_stmt list_stmt = {
    "key_list", "SELECT " COLUMNS " FROM keys WHERE node_id = $1 AND ($2::uuid IS NULL OR"
                " (created_at, id) < (SELECT created_at, id FROM keys WHERE id = $2))"
                " ORDER BY created_at DESC, id DESC LIMIT $3"};
/* Whoever finds the row locked leaves the note to the other one. */
static const struct db_stmt touch_stmt = {
    "key_touch", "UPDATE keys SET last_used_at = now(), checked_at = now(), check_result = 'ok'"
                 " WHERE id = (SELECT id FROM keys WHERE id = $1 AND (last_used_at IS NULL"
                 "   OR last_used_at < now() - interval '1 minute') FOR UPDATE SKIP LOCKED)"};
static const struct db_stmt checked_stmt = {
    "key_checked", "UPDATE keys SET checked_at = now(), check_result = $2 WHERE id = $1"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_key, id),
    DB_COL_TEXT(db_key, node_id),
    DB_COL_ENUM(db_key, kind, &db_key_kind_names),
    DB_COL_BOOL(db_key, active),
    DB_COL_TEXT(db_key, fingerprint),
    DB_COL_BYTES(db_key, public_key, public_key_size),
    DB_COL_BYTES(db_key, private_sealed, private_sealed_size),
    DB_COL_TEXT(db_key, certificate),
    DB_COL_TIME(db_key, not_before),
    DB_COL_TIME(db_key, not_after),
    DB_COL_TIME(db_key, created_at),
    DB_COL_TIME(db_key, retired_at),
    DB_COL_TEXT(db_key, retired_reason),
    DB_COL_TIME(db_key, last_used_at),
    DB_COL_TIME(db_key, checked_at),
    DB_COL_TEXT(db_key, check_result),
};

enum cp_err db_key_active(struct db_conn *conn, const char *node_id, enum db_key_kind kind,
                          struct db_key *ret_key, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(db_key_kind_name(kind))};
    enum cp_err rc = db_one(conn, DB_QUERY(&active_stmt, params, cols), ret_key, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no active %s key", db_key_kind_name(kind));
    }
    return rc;
}

enum cp_err db_key_insert(struct db_conn *conn, const struct db_key *key, char ret_id[DB_ID_SIZE],
                          struct cp_error *err)
{
    static const struct db_col id_cols[] = {DB_COL_TEXT(db_key, id)};
    struct db_param params[] = {
        db_p_id(key->node_id),
        db_p_text(db_key_kind_name(key->kind)),
        db_p_text(key->fingerprint),
        db_p_bytes(key->public_key, key->public_key_size),
        db_p_bytes(key->private_sealed, key->private_sealed_size),
        db_p_text(key->certificate),
        db_p_time(key->not_before),
        db_p_time(key->not_after),
    };
    struct db_key stored;

    CP_TRY(db_one(conn, DB_QUERY(&insert_stmt, params, id_cols), &stored, err));
    memcpy(ret_id, stored.id, DB_ID_SIZE);
    return CP_OK;
}

enum cp_err db_key_retire(struct db_conn *conn, const char *id, const char *reason,
                          struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_text(reason)};

    return db_do(conn, DB_COMMAND(&retire_stmt, params), NULL, err);
}

enum cp_err db_key_list(struct db_conn *conn, const char *node_id, const char *after, size_t limit,
                        struct db_key *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_id(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}

enum cp_err db_key_touch(struct db_conn *conn, const char *id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};

    return db_do(conn, DB_COMMAND(&touch_stmt, params), NULL, err);
}

enum cp_err db_key_checked(struct db_conn *conn, const char *id, const char *result,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_text(result)};

    return db_do(conn, DB_COMMAND(&checked_stmt, params), NULL, err);
}
