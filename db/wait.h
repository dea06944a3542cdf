/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: waiting for PostgreSQL's answers, but not for ever. PostgreSQL ends what takes
 * too long itself; this is for when all of it hangs, as on a disk that does not answer, while its
 * kernel keeps the connection alive. */
#ifndef DB_WAIT_H
#define DB_WAIT_H

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/time.h"

struct db_patience {
    cp_time limit;            /* for one answer; 0: as long as it takes */
    const atomic_bool *hurry; /* true: at most db_hurry_limit from there on; NULL: never */
};

extern const cp_time db_hurry_limit;

/* What PQexec() gives, for what was sent by a PQsend…() that returned `sent`: the last result, or
 * the first that failed; NULL when it was not sent. Or NULL and *ret_silent: no answer in time, and
 * the connection is good for PQfinish() only. */
PGresult *db_wait(PGconn *pg, int sent, const struct db_patience *patience, bool *ret_silent);

/* Waits for the end of an attempt to connect (PQconnectStartParams), at most so long; how it ended,
 * PQstatus() tells. */
void db_wait_connected(PGconn *pg, cp_time limit);

#endif
