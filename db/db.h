/* SPDX-License-Identifier: Apache-2.0
 * Connections to PostgreSQL and the one transaction runner. The operations on each kind of thing
 * are in db/package.h, db/version.h, …: one function per SQL operation, called with the
 * connection that the runner hands to the body. Only db/ knows libpq. A pool is thread-safe. */
#ifndef DB_DB_H
#define DB_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct db_pool;
struct db_conn;

/* Sizes of fixed text fields, NUL included. Times in all structs are wall-clock nanoseconds since
 * 1970 UTC as cp_clock_wall gives them; 0 means "not set". Ids are uuid text in lower case. */
#define DB_ID_SIZE      37
#define DB_NAME_SIZE    64
#define DB_TEXT_SIZE    256 /* descriptions, details, reasons */
#define DB_CODE_SIZE    64  /* public error codes ("output-full") */
#define DB_DIGEST_SIZE  65  /* SHA-256 in lower-case hex */
#define DB_PATH_SIZE    1024
#define DB_ADDRESS_SIZE 46
#define DB_HASH_SIZE    32 /* raw SHA-256 of a token's secret */
#define DB_SEALED_SIZE  128

/* "No If-Match": every revision is accepted. Revisions are positive. */
#define DB_REVISION_ANY 0

/* Opens `size` (1 … 64) connections lazily; the first one at once, so that a wrong address shows
 * here. conninfo: as libpq takes it; connect_timeout, statement_timeout and lock_timeout are set
 * unless given. A statement without an answer 5 s after its statement_timeout is given up
 * (CP_ERR_DATABASE), for PostgreSQL hangs then. Errors: CP_ERR_DATABASE, CP_ERR_USAGE (no conninfo),
 * CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err db_pool_open(const char *conninfo, size_t size, struct db_pool **ret_pool,
                                       struct cp_error *err);
/* No transaction may be running. NULL is fine. */
void db_pool_close(struct db_pool *pool);

/* The service is about to stop: from here on, also in transactions that run, no statement is waited
 * for longer than 5 s, so that a database that hangs does not keep it from that. */
void db_pool_hurry(struct db_pool *pool);

/* Brings the schema up to date (migrations are in the program), under an advisory lock, each in
 * its own transaction; changes nothing when it is. CP_ERR_CONFLICT: an applied migration's digest is
 * not ours, the database is newer than the program, or one is missing and the pool's role may not
 * change the schema; err says which. Call once, before anything else. */
CP_MUST_CHECK enum cp_err db_migrate(struct db_pool *pool, struct cp_error *err);

/* Name of the role that the pool's connections act as. */
CP_MUST_CHECK enum cp_err db_role(struct db_pool *pool, char ret_role[DB_NAME_SIZE],
                                  struct cp_error *err);

/* Over connections of the schema's owner: lets `role` do on every table what a service does, and no
 * more (castpoint_grant() in migrations/0012_role.sql has the list). CP_ERR_CONFLICT: it is the owner
 * itself. */
CP_MUST_CHECK enum cp_err db_grant(struct db_pool *owner, const char *role, struct cp_error *err);

/* For /readyz: a round trip. */
CP_MUST_CHECK enum cp_err db_ping(struct db_pool *pool, struct cp_error *err);

/* The body of a transaction. It may be run several times and must not have effects outside the
 * database and *arg; it sets every output afresh on each run. CP_OK commits, everything else rolls
 * back. Once a statement failed, the body must return that failure. */
typedef enum cp_err db_tx_fn(struct db_conn *conn, void *arg, struct cp_error *err);

/* SERIALIZABLE transaction: whatever the body read and decided still holds at commit. The runner
 * retries serialization failures and deadlocks up to 12 times (then CP_ERR_DB_RETRY) and lost
 * connections for about 3 s (then CP_ERR_DATABASE; at once while the database has been away for
 * longer), with back-off. A connection lost during COMMIT: the server is asked for up to 20 s
 * whether that commit happened. A lock not had within lock_timeout is CP_ERR_DB_RETRY at once.
 * name: for error texts. Waits up to 10 s for a free connection (CP_ERR_UNAVAILABLE). */
CP_MUST_CHECK enum cp_err db_run_tx(struct db_pool *pool, const char *name, db_tx_fn *body,
                                    void *arg, struct cp_error *err);

/* The same in READ COMMITTED, for bodies whose decisions are taken under a row lock that they take
 * first, or in the statement's own WHERE: joins, session transitions, progress, keys. Many clients
 * at one row queue up instead of retrying. */
CP_MUST_CHECK enum cp_err db_run_tx_locking(struct db_pool *pool, const char *name, db_tx_fn *body,
                                            void *arg, struct cp_error *err);

/* READ ONLY, REPEATABLE READ: one consistent view; never a serialization failure. */
CP_MUST_CHECK enum cp_err db_run_read(struct db_pool *pool, const char *name, db_tx_fn *body,
                                      void *arg, struct cp_error *err);

/* Name of the constraint that the last CP_ERR_CONFLICT of this connection came from, "" when it
 * came from a check of ours ("packages_name_key" → the field "name" is taken). Valid in the body
 * until the next statement. */
const char *db_constraint(const struct db_conn *conn);

/* Forgets what earlier processes left to tell what became of their commits. Once a start. */
CP_MUST_CHECK enum cp_err db_marks_sweep(struct db_conn *conn, struct cp_error *err);

/* Wakes listeners of the channel when the transaction commits. Channels: DB_CHANNEL_…. */
CP_MUST_CHECK enum cp_err db_notify(struct db_conn *conn, const char *channel, const char *payload,
                                    struct cp_error *err);

/* Now by the database's clock (start of the transaction), as the rows' times are. */
CP_MUST_CHECK enum cp_err db_now(struct db_conn *conn, uint64_t *ret_now, struct cp_error *err);

/* A random uuid (version 4) made by the database. */
CP_MUST_CHECK enum cp_err db_uuid(struct db_conn *conn, char ret_id[DB_ID_SIZE],
                                  struct cp_error *err);

/* True for the text form of a uuid in either case: what may be given as an id. */
bool db_is_uuid(const char *text);

#endif
