/* SPDX-License-Identifier: Apache-2.0
 * SQL of keys. Reads must succeed on damaged rows: what they hold is judged by the keyring. */
#include "db/key.h"

#include <stdlib.h>
#include <string.h>

#include "db/names.h"

#define COLUMNS                                                                                    \
    "id, node_id, kind, state, fingerprint, public_key, private_sealed, certificate,"              \
    " not_before, not_after, created_at, activated_at, overlap_until, retired_at, retired_reason," \
    " last_used_at, checked_at, check_result"
#define IN_PLACE "(state = 'active' OR (state = 'damaged' AND retired_at IS NULL))"

static const struct db_stmt active_stmt = {
    "key_active", "SELECT " COLUMNS " FROM keys WHERE node_id = $1 AND kind = $2 AND " IN_PLACE};
static const struct db_stmt present_stmt = {
    "key_present", "SELECT " COLUMNS " FROM keys WHERE node_id = $1 AND kind = $2"
                   " AND retired_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $3"};
/* What was only prepared, or had its overlap, comes back no more. */
static const struct db_stmt lost_stmt = {
    "key_lost", "SELECT " COLUMNS " FROM keys WHERE node_id = $1 AND kind = $2"
                " AND state = 'damaged' AND retired_at IS NOT NULL AND activated_at IS NOT NULL"
                " AND (overlap_until IS NULL OR overlap_until > now())"
                " ORDER BY created_at DESC, id DESC LIMIT $3"};
static const struct db_stmt fingerprint_stmt = {
    "key_by_fingerprint", "SELECT " COLUMNS " FROM keys WHERE node_id = $1 AND kind = $2"
                          " AND fingerprint = $3 ORDER BY created_at DESC, id DESC LIMIT 1"};
static const struct db_stmt insert_stmt = {
    "key_insert", "INSERT INTO keys (node_id, kind, fingerprint, public_key, private_sealed,"
                  " certificate, not_before, not_after, check_result, checked_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, now()), $8, 'ok', now())"
                  " RETURNING id"};
/* What is retired or revoked signs nothing any more: nobody needs its private half. */
static const struct db_stmt move_stmt = {
    "key_move",
    "UPDATE keys SET state = $3::text,"
    " activated_at = CASE WHEN $3 = 'active' THEN coalesce(activated_at, now())"
    "   ELSE activated_at END,"
    " overlap_until = CASE WHEN $3 = 'overlap' THEN $5::timestamptz ELSE overlap_until END,"
    " retired_at = CASE WHEN $3 IN ('active', 'overlap') THEN NULL"
    "   WHEN $3 IN ('retired', 'revoked') OR ($3 = 'damaged' AND $6::boolean) THEN "
    "coalesce(retired_at, now())"
    "   ELSE retired_at END,"
    " retired_reason = CASE WHEN $3 IN ('active', 'overlap') THEN '' ELSE $4::text END,"
    " private_sealed = CASE WHEN $3 IN ('retired', 'revoked') THEN '' ELSE private_sealed END"
    " WHERE id = $1 AND state = $2::text"};
static const struct db_stmt certify_stmt = {
    "key_certify", "UPDATE keys SET certificate = $2, not_before = $3, not_after = $4"
                   " WHERE id = $1"};
static const struct db_stmt list_stmt = {
    "key_list", "SELECT " COLUMNS " FROM keys WHERE node_id = $1 AND ($2::uuid IS NULL OR"
                " (created_at, id) < (SELECT created_at, id FROM keys WHERE id = $2))"
                " AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR state = $5)"
                " ORDER BY created_at DESC, id DESC LIMIT $3"};
/* Whoever finds the row locked leaves the note to the other one. */
static const struct db_stmt touch_stmt = {
    "key_touch", "UPDATE keys SET last_used_at = now(), checked_at = now(), check_result = 'ok'"
                 " WHERE id = (SELECT id FROM keys WHERE id = $1 AND (last_used_at IS NULL"
                 "   OR last_used_at < now() - interval '1 minute') FOR UPDATE SKIP LOCKED)"};
static const struct db_stmt checked_stmt = {
    "key_checked", "UPDATE keys SET checked_at = now(), check_result = $2 WHERE id = $1"};
/* In no order that matters: what is signed again is not found again, and 100,000 would be sorted
 * for each page. The range keeps the planner to the index. */
static const struct db_stmt stale_stmt = {
    "key_stale_manifests",
    "SELECT v.id, v.manifest FROM keys k CROSS JOIN LATERAL (SELECT id, manifest FROM versions"
    " WHERE manifest_key BETWEEN k.fingerprint AND k.fingerprint AND state = 'sealed'"
    " ORDER BY manifest_key LIMIT $2) v WHERE k.node_id = $1 AND k.kind = 'multicast'"
    " AND (k.state = 'overlap' OR k.retired_at IS NOT NULL) LIMIT $2"};
static const struct db_stmt master_get_stmt = {
    "master_key_get", "SELECT fingerprint, changed_at FROM master_keys WHERE node_id = $1"};
static const struct db_stmt master_lock_stmt = {
    "master_key_lock",
    "SELECT fingerprint, changed_at FROM master_keys WHERE node_id = $1 FOR UPDATE"};
static const struct db_stmt master_set_stmt = {
    "master_key_set", "INSERT INTO master_keys (node_id, fingerprint) VALUES ($1, $2)"
                      " ON CONFLICT (node_id) DO UPDATE SET fingerprint = excluded.fingerprint,"
                      " changed_at = now()"};
static const struct db_stmt secrets_stmt = {
    "session_secrets", "SELECT id, state = 'waiting', secret_sealed FROM sessions"
                       " WHERE node_id = $1 AND ended_at IS NULL"
                       " AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_key, id),
    DB_COL_TEXT(db_key, node_id),
    DB_COL_ENUM(db_key, kind, &db_key_kind_names),
    DB_COL_ENUM(db_key, state, &db_key_state_names),
    DB_COL_TEXT(db_key, fingerprint),
    DB_COL_BYTES(db_key, public_key, public_key_size),
    DB_COL_BYTES(db_key, private_sealed, private_sealed_size),
    DB_COL_TEXT(db_key, certificate),
    DB_COL_TIME(db_key, not_before),
    DB_COL_TIME(db_key, not_after),
    DB_COL_TIME(db_key, created_at),
    DB_COL_TIME(db_key, activated_at),
    DB_COL_TIME(db_key, overlap_until),
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

enum cp_err db_key_present(struct db_conn *conn, const char *node_id, enum db_key_kind kind,
                           size_t limit, struct db_key *ret_items, size_t *ret_count,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(db_key_kind_name(kind)),
                                db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&present_stmt, params, cols), rows, err);
}

enum cp_err db_key_lost(struct db_conn *conn, const char *node_id, enum db_key_kind kind,
                        size_t limit, struct db_key *ret_items, size_t *ret_count,
                        struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(db_key_kind_name(kind)),
                                db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&lost_stmt, params, cols), rows, err);
}

enum cp_err db_key_by_fingerprint(struct db_conn *conn, const char *node_id, enum db_key_kind kind,
                                  const char *fingerprint, struct db_key *ret_key,
                                  struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(db_key_kind_name(kind)),
                                db_p_text(fingerprint)};
    enum cp_err rc = db_one(conn, DB_QUERY(&fingerprint_stmt, params, cols), ret_key, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "There is no %s key with the fingerprint '%.80s'.",
                           db_key_kind_name(kind), fingerprint);
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

enum cp_err db_key_move(struct db_conn *conn, const struct db_key_move *move, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(move->id),
        db_p_text(db_key_state_name(move->from)),
        db_p_text(db_key_state_name(move->to)),
        db_p_text(move->reason != NULL ? move->reason : ""),
        db_p_time(move->overlap_until),
        db_p_bool(move->replaced),
    };
    uint64_t changed = 0;

    CP_TRY(db_do(conn, DB_COMMAND(&move_stmt, params), &changed, err));
    return changed == 1 ? CP_OK
                        : cp_error_set(err, CP_ERR_CONFLICT, "The key is not %s any more.",
                                       db_key_state_name(move->from));
}

enum cp_err db_key_certify(struct db_conn *conn, const struct db_key *key, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(key->id), db_p_text(key->certificate),
                                db_p_time(key->not_before), db_p_time(key->not_after)};

    return db_do(conn, DB_COMMAND(&certify_stmt, params), NULL, err);
}

enum cp_err db_key_list(struct db_conn *conn, const struct db_key_list *list, size_t limit,
                        struct db_key *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(list->node_id), db_p_id(list->after), db_p_u64(limit),
                                db_p_text(list->kind), db_p_text(list->state)};
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

/* ---- what a key signed ---- */

enum cp_err db_key_stale_manifests(struct db_conn *conn, const char *node_id, size_t limit,
                                   struct db_key_manifest *ret_items, size_t *ret_count,
                                   struct cp_error *err)
{
    static const struct db_col manifest_cols[] = {DB_COL_TEXT(db_key_manifest, version_id),
                                                  DB_COL_BLOB(db_key_manifest, manifest, size)};
    struct db_param params[] = {db_p_id(node_id), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};
    enum cp_err rc;

    memset(ret_items, 0, limit * sizeof *ret_items);
    rc = db_many(conn, DB_QUERY(&stale_stmt, params, manifest_cols), rows, err);
    for (size_t i = 0; rc != CP_OK && i < limit; i++) {
        free(ret_items[i].manifest);
        ret_items[i].manifest = NULL;
    }
    return rc;
}

/* ---- which master key seals ---- */

static const struct db_col master_cols[] = {DB_COL_TEXT(db_master_key, fingerprint),
                                            DB_COL_TIME(db_master_key, changed_at)};

enum cp_err db_master_key_get(struct db_conn *conn, const char *node_id,
                              struct db_master_key *ret_key, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id)};

    return db_one(conn, DB_QUERY(&master_get_stmt, params, master_cols), ret_key, err);
}

enum cp_err db_master_key_lock(struct db_conn *conn, const char *node_id,
                               struct db_master_key *ret_key, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id)};

    return db_one(conn, DB_QUERY(&master_lock_stmt, params, master_cols), ret_key, err);
}

enum cp_err db_master_key_set(struct db_conn *conn, const char *node_id, const char *fingerprint,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(fingerprint)};

    return db_do(conn, DB_COMMAND(&master_set_stmt, params), NULL, err);
}

enum cp_err db_session_secrets(struct db_conn *conn, const char *node_id, const char *after,
                               size_t limit, struct db_session_secret *ret_items, size_t *ret_count,
                               struct cp_error *err)
{
    static const struct db_col secret_cols[] = {
        DB_COL_TEXT(db_session_secret, session_id), DB_COL_BOOL(db_session_secret, waiting),
        DB_COL_BYTES(db_session_secret, sealed, sealed_size)};
    struct db_param params[] = {db_p_id(node_id), db_p_id(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&secrets_stmt, params, secret_cols), rows, err);
}
