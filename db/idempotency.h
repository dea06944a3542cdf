/* SPDX-License-Identifier: Apache-2.0
 * Answers of requests that carried an Idempotency-Key, kept for DB_IDEMPOTENCY_HOURS. */
#ifndef DB_IDEMPOTENCY_H
#define DB_IDEMPOTENCY_H

#include "db/db.h"

#define DB_IDEMPOTENCY_HOURS    24
#define DB_IDEMPOTENCY_KEY_SIZE 65

struct db_idempotency {
    char account_id[DB_ID_SIZE];
    char key[DB_IDEMPOTENCY_KEY_SIZE];
    uint32_t status;
    /* With a digest of the request, sealed for "idempotency <account_id> <key>" (keys/); malloced,
     * caller frees. */
    char *answer;
    size_t answer_size;
};

/* Takes the key of that account for this transaction and gives what is kept under it. In any
 * isolation: who has the key sees what the one before has committed, or its transaction runs again.
 * CP_ERR_NOT_FOUND: nothing is kept. CP_ERR_IDEMPOTENCY_BUSY: another transaction has it. */
CP_MUST_CHECK enum cp_err db_idempotency_take(struct db_conn *conn, const char *account_id,
                                              const char *key, struct db_idempotency *ret_row,
                                              struct cp_error *err);

/* Keeps an answer, after db_idempotency_take in the same transaction found none. */
CP_MUST_CHECK enum cp_err db_idempotency_put(struct db_conn *conn, const struct db_idempotency *row,
                                             struct cp_error *err);

/* Deletes at most limit rows that are too old; for the history job. */
CP_MUST_CHECK enum cp_err db_idempotency_drop(struct db_conn *conn, size_t limit,
                                              uint64_t *ret_count, struct cp_error *err);

#endif
