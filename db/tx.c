/* SPDX-License-Identifier: Apache-2.0
 * The one transaction runner: begins, runs the body, commits, and decides what is run again. No
 * other code retries. Thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "db/pool.h"

/* Runs of one transaction because it met others: 1 s of pauses in all. */
#define RETRY_RUNS_MAX 12
#define RETRY_BASE_MS  2
#define RETRY_MAX_MS   200
/* Runs because the connection was lost: 3 s in all, the time of a failover to a standby. */
#define LOST_RUNS_MAX 7
#define LOST_BASE_MS  50
#define LOST_MAX_MS   1600
/* How long the server is asked whether a commit happened whose answer was lost. */
#define RESOLVE_PATIENCE (20 * CP_SEC)

struct tx {
    struct db_pool *pool;
    const char *name;
    const char *begin;
    bool read_only;
    bool unmarked; /* doing it twice is as good as once */
    db_tx_fn *body;
    void *arg;
};

/* Every transaction that wrote something leaves a new number in its connection's own row. When the
 * answer to COMMIT is lost, that row tells what became of it, on this server after a crash as on the
 * standby that took over: pg_xact_status() does not, since numbers of transactions that were not
 * flushed or not replicated are given out again. */
static const struct db_stmt mark_stmt = {
    "tx_mark", "INSERT INTO commit_marks (slot, mark) SELECT $1::bigint, $2::bigint"
               " WHERE pg_current_xact_id_if_assigned() IS NOT NULL"
               " ON CONFLICT (slot) DO UPDATE SET mark = EXCLUDED.mark, marked_at = now()"};
/* Waits for the row, should the server still be at that transaction. */
static const struct db_stmt asked_stmt = {
    "tx_asked", "INSERT INTO commit_marks (slot, mark) VALUES ($1, 0)"
                " ON CONFLICT (slot) DO UPDATE SET mark = commit_marks.mark RETURNING mark"};

static const struct db_stmt sweep_stmt = {
    "tx_sweep", "DELETE FROM commit_marks WHERE marked_at < now() - interval '1 day'"};

struct mark_row {
    int64_t mark;
};

/* The COMMIT was sent and its answer lost: asks on a new connection what became of it. CP_OK: it
 * was committed. */
static enum cp_err resolve_commit(const struct tx *tx, struct db_conn *conn, struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_INT(mark_row, mark)};
    struct db_param params[] = {db_p_i64(conn->slot)};
    cp_time end = cp_clock_now() + RESOLVE_PATIENCE;
    struct mark_row row = {.mark = 0};

    for (uint32_t run = 1; cp_clock_now() < end; run++) {
        if (run > 1) {
            db_pool_back_off(tx->pool, LOST_BASE_MS, LOST_MAX_MS, run);
        }
        if (!db_conn_usable(conn) && db_pool_connect(tx->pool, conn, err) != CP_OK) {
            continue;
        }
        if (db_one(conn, DB_QUERY(&asked_stmt, params, cols), &row, err) != CP_OK) {
            if (conn->fault != DB_FAULT_NONE) {
                db_conn_close(conn);
            }
            continue;
        }
        if (row.mark == conn->mark) {
            return CP_OK;
        }
        conn->fault = DB_FAULT_LOST;
        return cp_error_set(err, CP_ERR_DATABASE, "the connection was lost");
    }
    conn->fault = DB_FAULT_NONE;
    return cp_error_set(err, CP_ERR_DATABASE,
                        "%s: the connection was lost at commit; it is unknown whether it happened",
                        tx->name);
}

static enum cp_err commit(const struct tx *tx, struct db_conn *conn, struct cp_error *err)
{
    uint64_t marked = 0;
    enum cp_err rc;

    /* A body that returned CP_OK after a failed statement would commit nothing and report success. */
    CP_ASSERT(PQtransactionStatus(conn->pg) != PQTRANS_INERROR);
    if (!tx->read_only && !tx->unmarked) {
        struct db_param params[] = {db_p_i64(conn->slot), db_p_i64(++conn->mark)};

        CP_TRY(db_do(conn, DB_COMMAND(&mark_stmt, params), &marked, err));
    }
    rc = db_conn_text(conn, "COMMIT", err);
    if (rc != CP_OK && marked > 0 &&
        (conn->fault == DB_FAULT_LOST || conn->fault == DB_FAULT_SILENT)) {
        return resolve_commit(tx, conn, err);
    }
    return rc;
}

/* One run on a lent connection. conn->fault says what a failure allows. */
static enum cp_err run_once(const struct tx *tx, struct db_conn *conn, struct cp_error *err)
{
    enum cp_err rc;

    if (!db_conn_usable(conn)) {
        rc = db_pool_connect(tx->pool, conn, err);
        if (rc != CP_OK) {
            conn->fault = DB_FAULT_LOST;
            return rc;
        }
    }
    conn->fault = DB_FAULT_NONE;
    CP_TRY(db_conn_text(conn, tx->begin, err));
    rc = tx->body(conn, tx->arg, err);
    if (rc == CP_OK) {
        rc = commit(tx, conn, err);
    }
    if (conn->fault == DB_FAULT_STANDBY) {
        /* Or the body wrote in a transaction that only reads: our bug. */
        conn->fault = tx->read_only ? DB_FAULT_NONE : DB_FAULT_LOST;
        rc = tx->read_only ? CP_ERR_INTERNAL : rc;
    }
    if (rc != CP_OK && db_conn_usable(conn) && PQtransactionStatus(conn->pg) != PQTRANS_IDLE) {
        enum db_fault fault = conn->fault;
        struct cp_error ignored;

        if (db_conn_text(conn, "ROLLBACK", &ignored) != CP_OK) {
            db_conn_close(conn);
        }
        conn->fault = fault;
    }
    return rc;
}

static enum cp_err run(const struct tx *tx, struct cp_error *err)
{
    uint32_t retries = 0;
    uint32_t losses = 0;

    for (;;) {
        struct db_conn *conn;
        enum db_fault fault;
        enum cp_err rc;

        if (err != NULL) {
            err->text[0] = '\0';
        }
        CP_TRY(db_pool_acquire(tx->pool, &conn, err));
        rc = run_once(tx, conn, err);
        fault = conn->fault;
        if (rc != CP_OK && fault == DB_FAULT_LOST) {
            db_conn_close(conn);
        }
        db_pool_release(tx->pool, conn);
        if (rc == CP_OK || fault == DB_FAULT_NONE) {
            return rc;
        }
        if (fault == DB_FAULT_RETRY && ++retries < RETRY_RUNS_MAX) {
            db_pool_back_off(tx->pool, RETRY_BASE_MS, RETRY_MAX_MS, retries + 1);
        } else if (fault == DB_FAULT_LOST && ++losses < LOST_RUNS_MAX && !db_pool_away(tx->pool)) {
            db_pool_back_off(tx->pool, LOST_BASE_MS, LOST_MAX_MS, losses + 1);
        } else {
            cp_error_prefix(err, "%s", tx->name);
            if (fault == DB_FAULT_RETRY) {
                return CP_ERR_DB_RETRY;
            }
            return cp_err_is_database(rc) ? rc : CP_ERR_DATABASE;
        }
    }
}

enum cp_err db_run_tx(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                      struct cp_error *err)
{
    struct tx tx = {.pool = pool,
                    .name = name,
                    .begin = "BEGIN ISOLATION LEVEL SERIALIZABLE",
                    .body = body,
                    .arg = arg};

    return run(&tx, err);
}

enum cp_err db_run_tx_locking(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                              struct cp_error *err)
{
    struct tx tx = {.pool = pool,
                    .name = name,
                    .begin = "BEGIN ISOLATION LEVEL READ COMMITTED",
                    .body = body,
                    .arg = arg};

    return run(&tx, err);
}

enum cp_err db_run_again(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                         struct cp_error *err)
{
    struct tx tx = {.pool = pool,
                    .name = name,
                    .begin = "BEGIN ISOLATION LEVEL READ COMMITTED",
                    .unmarked = true,
                    .body = body,
                    .arg = arg};

    return run(&tx, err);
}

enum cp_err db_run_read(struct db_pool *pool, const char *name, db_tx_fn *body, void *arg,
                        struct cp_error *err)
{
    struct tx tx = {.pool = pool,
                    .name = name,
                    .begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                    .read_only = true,
                    .body = body,
                    .arg = arg};

    return run(&tx, err);
}

static const struct db_stmt notify_stmt = {"notify", "SELECT pg_notify($1, $2)"};
static const struct db_stmt ping_stmt = {"ping", "SELECT 1"};
static const struct db_stmt now_stmt = {"now", "SELECT now()"};
static const struct db_stmt uuid_stmt = {"uuid", "SELECT gen_random_uuid()"};

enum cp_err db_notify(struct db_conn *conn, const char *channel, const char *payload,
                      struct cp_error *err)
{
    struct db_param params[] = {db_p_text(channel), db_p_text(payload)};

    return db_do(conn, DB_COMMAND(&notify_stmt, params), NULL, err);
}

enum cp_err db_marks_sweep(struct db_conn *conn, struct cp_error *err)
{
    return db_do(conn, (struct db_query){.stmt = &sweep_stmt}, NULL, err);
}

static enum cp_err ping_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    (void)arg;
    return db_do(conn, (struct db_query){.stmt = &ping_stmt}, NULL, err);
}

enum cp_err db_ping(struct db_pool *pool, struct cp_error *err)
{
    return db_run_read(pool, "ping", ping_body, NULL, err);
}

struct value_row {
    uint64_t time;
    char id[DB_ID_SIZE];
};

enum cp_err db_now(struct db_conn *conn, uint64_t *ret_now, struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TIME(value_row, time)};
    struct value_row row;

    CP_TRY(db_one(conn, (struct db_query){.stmt = &now_stmt, .cols = cols, .col_count = 1}, &row,
                  err));
    *ret_now = row.time;
    return CP_OK;
}

enum cp_err db_uuid(struct db_conn *conn, char ret_id[DB_ID_SIZE], struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(value_row, id)};
    struct value_row row;

    CP_TRY(db_one(conn, (struct db_query){.stmt = &uuid_stmt, .cols = cols, .col_count = 1}, &row,
                  err));
    memcpy(ret_id, row.id, DB_ID_SIZE);
    return CP_OK;
}
