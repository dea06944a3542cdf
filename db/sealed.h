/* SPDX-License-Identifier: Apache-2.0
 * Every column that holds bytes sealed under the master key, so that a change of the master key
 * finds them all. What sealing is and which key it uses is the caller's (keys/). */
#ifndef DB_SEALED_H
#define DB_SEALED_H

#include "db/db.h"

#define DB_PURPOSE_SIZE 256

/* One sealed value as it is stored. */
struct db_sealed {
    char id[DB_ID_SIZE];
    char purpose[DB_PURPOSE_SIZE]; /* what it was sealed for (keys_seal) */
    char *data;                    /* malloced */
    size_t size;
};

/* How many such columns there are; a column's name ("sessions"). Numbers from 0. */
size_t db_sealed_places(void);
const char *db_sealed_place(size_t place);

/* In the order of ids, those after `after` ("" from the start), at most limit, locked. Free each
 * item's data. */
CP_MUST_CHECK enum cp_err db_sealed_list(struct db_conn *conn, size_t place, const char *after,
                                         size_t limit, struct db_sealed *ret_items,
                                         size_t *ret_count, struct cp_error *err);

CP_MUST_CHECK enum cp_err db_sealed_replace(struct db_conn *conn, size_t place, const char *id,
                                            const void *data, size_t size, struct cp_error *err);

/* Another secret for a session that waits. CP_ERR_CONFLICT: it does not wait (any more). */
CP_MUST_CHECK enum cp_err db_sealed_session_rekey(struct db_conn *conn, const char *session_id,
                                                  const void *data, size_t size,
                                                  struct cp_error *err);

#endif
