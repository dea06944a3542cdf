/* SPDX-License-Identifier: Apache-2.0
 * SQL of kept answers. */
#include "db/idempotency.h"

#include "db/sql.h"

/* Asked for, not waited for: the second of two equal requests is told to come again. */
static const struct db_stmt lock_stmt = {
    "idempotency_lock",
    "SELECT pg_try_advisory_xact_lock(hashtextextended('idempotency ' || $1 || ' ' || $2, 0))"};
static const struct db_stmt get_stmt = {
    "idempotency_get",
    "SELECT account_id, key, status, answer_sealed FROM idempotency"
    " WHERE account_id = $1 AND key = $2 AND created_at > now() - $3 * interval '1 hour'"};
/* An old row makes room. A row that this transaction's view does not have yet is a serialization
 * failure here: the next run sees it. */
static const struct db_stmt put_stmt = {
    "idempotency_put",
    "INSERT INTO idempotency (account_id, key, status, answer_sealed) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (account_id, key) DO UPDATE SET status = $3, answer_sealed = $4,"
    " created_at = now()"};
static const struct db_stmt drop_stmt = {
    "idempotency_drop",
    "DELETE FROM idempotency WHERE (account_id, key) IN (SELECT account_id, key FROM idempotency"
    " WHERE created_at <= now() - $1 * interval '1 hour' ORDER BY created_at LIMIT $2)"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_idempotency, account_id),
    DB_COL_TEXT(db_idempotency, key),
    DB_COL_INT(db_idempotency, status),
    DB_COL_BLOB(db_idempotency, answer, answer_size),
};

struct lock_row {
    bool taken;
};

enum cp_err db_idempotency_take(struct db_conn *conn, const char *account_id, const char *key,
                                struct db_idempotency *ret_row, struct cp_error *err)
{
    static const struct db_col lock_cols[] = {DB_COL_BOOL(lock_row, taken)};
    struct db_param names[] = {db_p_text(account_id), db_p_text(key)};
    struct db_param params[] = {db_p_id(account_id), db_p_text(key),
                                db_p_u64(DB_IDEMPOTENCY_HOURS)};
    struct lock_row row = {.taken = false};

    CP_TRY(db_one(conn, DB_QUERY(&lock_stmt, names, lock_cols), &row, err));
    if (!row.taken) {
        return cp_error_set(err, CP_ERR_IDEMPOTENCY_BUSY, "another request has the key '%s'", key);
    }
    return db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_row, err);
}

enum cp_err db_idempotency_put(struct db_conn *conn, const struct db_idempotency *row,
                               struct cp_error *err)
{
    struct db_param params[] = {db_p_id(row->account_id), db_p_text(row->key),
                                db_p_u64(row->status), db_p_bytes(row->answer, row->answer_size)};

    return db_do(conn, DB_COMMAND(&put_stmt, params), NULL, err);
}

enum cp_err db_idempotency_drop(struct db_conn *conn, size_t limit, uint64_t *ret_count,
                                struct cp_error *err)
{
    struct db_param params[] = {db_p_u64(DB_IDEMPOTENCY_HOURS), db_p_u64(limit)};

    return db_do(conn, DB_COMMAND(&drop_stmt, params), ret_count, err);
}
