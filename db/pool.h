/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: lending connections to the transaction runner. */
#ifndef DB_POOL_H
#define DB_POOL_H

#include "db/conn.h"

/* The transaction runner for a body that does no harm when a commit whose answer was lost is done
 * once more, and that may run before the schema is there. READ COMMITTED. */
CP_MUST_CHECK enum cp_err db_run_again(struct db_pool *pool, const char *name, db_tx_fn *body,
                                       void *arg, struct cp_error *err);

/* A connection nobody else uses, maybe not connected (db_conn_usable). Waits for one up to 10 s:
 * CP_ERR_UNAVAILABLE. */
CP_MUST_CHECK enum cp_err db_pool_acquire(struct db_pool *pool, struct db_conn **ret_conn,
                                          struct cp_error *err);
void db_pool_release(struct db_pool *pool, struct db_conn *conn);

/* Connects it again. While the database has been away for some seconds only one caller at a time
 * tries, twice a second; all others are told at once, so that requests do not pile up. */
CP_MUST_CHECK enum cp_err db_pool_connect(struct db_pool *pool, struct db_conn *conn,
                                          struct cp_error *err);

/* The database has been away for so long that nobody should wait for it. */
bool db_pool_away(struct db_pool *pool);

/* Waits before run number `run` (2, 3, …): doubling from base_ms to at most max_ms, with jitter of
 * half, so that those who met once do not meet again. */
void db_pool_back_off(struct db_pool *pool, uint32_t base_ms, uint32_t max_ms, uint32_t run);

#endif
