/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: one connection to PostgreSQL, with what was prepared on it, and the mapping of
 * its errors. Not thread-safe: the pool lends it to one thread at a time. */
#ifndef DB_CONN_H
#define DB_CONN_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/time.h"
#include "db/db.h"
#include "db/sql.h"

/* What the runner may do about the last failure. */
enum db_fault {
    DB_FAULT_NONE,    /* hard: report it */
    DB_FAULT_RETRY,   /* the transaction met another one: run it again */
    DB_FAULT_STANDBY, /* the server only reads: another one may be the primary by now */
    DB_FAULT_LOST,    /* the connection is gone: connect and run it again */
    DB_FAULT_SILENT   /* no answer, and it was given up: it would only be as long again */
};

/* Places of the hash table of prepared statements; more than twice what the program has. */
#define DB_PREPARED_MAX 1024

struct db_conn {
    PGconn *pg; /* NULL: not connected */
    /* By these the server is asked whether a commit happened (tx.c); they outlive the connection. */
    int64_t slot;
    int64_t mark;
    const atomic_bool *hurry; /* the pool's: the service stops */
    cp_time limit;            /* for an answer; 0: as long as it takes (a migration) */
    bool silent;              /* an answer did not come in time: pg is NULL */
    enum db_fault fault;
    char constraint[DB_NAME_SIZE];
    const struct db_stmt *prepared[DB_PREPARED_MAX];
    size_t prepared_count;
};

/* Connects (again), with time-outs; a new generation: nothing is prepared on it. */
CP_MUST_CHECK enum cp_err db_conn_open(struct db_conn *c, const char *conninfo,
                                       struct cp_error *err);
void db_conn_close(struct db_conn *c);
bool db_conn_usable(const struct db_conn *c);

/* The answer to what was sent by a PQsend…() that returned `sent`, or NULL; db_conn_failed() knows
 * why. Without an answer in time the connection is closed. */
PGresult *db_conn_answer(struct db_conn *c, int sent);

/* Text without parameters and results: BEGIN, COMMIT, a migration's file. */
CP_MUST_CHECK enum cp_err db_conn_text(struct db_conn *c, const char *sql, struct cp_error *err);

/* Turns a failed result into a code, the text in err, and c->fault. */
CP_MUST_CHECK enum cp_err db_conn_failed(struct db_conn *c, const PGresult *result,
                                         const char *what, struct cp_error *err);

/* libpq's connection for a conninfo with our defaults (time-outs, encoding). Shared with the
 * listener. CP_ERR_DATABASE, _DATABASE_LOGIN, _DATABASE_MISSING, or CP_ERR_USAGE for what is
 * no conninfo; nothing to close then. */
CP_MUST_CHECK enum cp_err db_connect(const char *conninfo, PGconn **ret_pg, struct cp_error *err);

#endif
