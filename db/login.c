/* SPDX-License-Identifier: Apache-2.0
 * SQL of failed logins. */
#include "db/login.h"

#include "db/sql.h"

/* Counting begins anew when the window is over, and when a lock is. */
#define STALE                                                                                      \
    "(f.since < clock_timestamp() - $4 * interval '1 second'"                                      \
    " OR f.locked_until <= clock_timestamp())"
#define STANDING                                                                                   \
    "failures, CASE WHEN locked_until > clock_timestamp() THEN locked_until END,"                  \
    " greatest(0, ceil(extract(epoch FROM locked_until - clock_timestamp())))::bigint"

static const struct db_stmt get_stmt = {"login_get", "SELECT " STANDING
                                                     " FROM login_failures WHERE name_hash = $1"};
static const struct db_stmt failed_stmt = {
    "login_failed",
    "INSERT INTO login_failures AS f (name_hash, failures, locked_until)"
    " VALUES ($1, 1, CASE WHEN $2 = 1 THEN clock_timestamp() + $3 * interval '1 second' END)"
    " ON CONFLICT (name_hash) DO UPDATE SET"
    " failures = CASE WHEN " STALE " THEN 1 ELSE f.failures + 1 END,"
    " since = CASE WHEN " STALE " THEN clock_timestamp() ELSE f.since END,"
    " locked_until = CASE WHEN (CASE WHEN " STALE " THEN 1 ELSE f.failures + 1 END) >= $2"
    "   THEN clock_timestamp() + $3 * interval '1 second' END"
    " RETURNING " STANDING};
static const struct db_stmt clear_stmt = {"login_clear",
                                          "DELETE FROM login_failures WHERE name_hash = $1"};
static const struct db_stmt purge_stmt = {
    "login_purge", "DELETE FROM login_failures WHERE since < now() - $1 * interval '1 second'"
                   " AND coalesce(locked_until < now(), true)"};

static const struct db_col cols[] = {DB_COL_INT(db_login, failures),
                                     DB_COL_TIME(db_login, locked_until),
                                     DB_COL_INT(db_login, wait_s)};

enum cp_err db_login_get(struct db_conn *conn, const uint8_t name_hash[DB_HASH_SIZE],
                         struct db_login *ret_login, struct cp_error *err)
{
    struct db_param params[] = {db_p_bytes(name_hash, DB_HASH_SIZE)};
    struct db_login login = {.failures = 0};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, cols), &login, err);

    if (rc == CP_OK || rc == CP_ERR_NOT_FOUND) {
        *ret_login = login;
        return CP_OK;
    }
    return rc;
}

enum cp_err db_login_failed(struct db_conn *conn, const uint8_t name_hash[DB_HASH_SIZE],
                            const struct db_login_limits *limits, struct db_login *ret_login,
                            bool *ret_locked, struct cp_error *err)
{
    struct db_param params[] = {db_p_bytes(name_hash, DB_HASH_SIZE), db_p_u64(limits->failures),
                                db_p_u64(limits->lockout_s), db_p_u64(DB_LOGIN_WINDOW_S)};

    CP_ASSERT(limits->failures > 0);
    CP_TRY(db_one(conn, DB_QUERY(&failed_stmt, params, cols), ret_login, err));
    *ret_locked = ret_login->failures == limits->failures;
    return CP_OK;
}

enum cp_err db_login_clear(struct db_conn *conn, const uint8_t name_hash[DB_HASH_SIZE],
                           bool *ret_had, struct cp_error *err)
{
    struct db_param params[] = {db_p_bytes(name_hash, DB_HASH_SIZE)};
    uint64_t count;

    CP_TRY(db_do(conn, DB_COMMAND(&clear_stmt, params), &count, err));
    *ret_had = count > 0;
    return CP_OK;
}

enum cp_err db_login_purge(struct db_conn *conn, uint64_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_u64(DB_LOGIN_WINDOW_S)};

    return db_do(conn, DB_COMMAND(&purge_stmt, params), ret_count, err);
}
