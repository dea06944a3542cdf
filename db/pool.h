/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: lending connections to the transaction runner. */
#ifndef DB_POOL_H
#define DB_POOL_H

#include "db/conn.h"

/* A connection nobody else uses, maybe not connected (db_conn_usable). Waits for one up to 10 s:
 * CP_ERR_UNAVAILABLE. */
CP_MUST_CHECK enum cp_err db_pool_acquire(struct db_pool *pool, struct db_conn **ret_conn,
                                          struct cp_error *err);
void db_pool_release(struct db_pool *pool, struct db_conn *conn);

/* Connects it again. */
CP_MUST_CHECK enum cp_err db_pool_connect(struct db_pool *pool, struct db_conn *conn,
                                          struct cp_error *err);

/* Waits before run number `run` (2, 3, …): doubling from base_ms to at most max_ms, with jitter of
 * half, so that those who met once do not meet again. */
void db_pool_back_off(struct db_pool *pool, uint32_t base_ms, uint32_t max_ms, uint32_t run);

#endif
