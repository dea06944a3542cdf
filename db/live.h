/* SPDX-License-Identifier: Apache-2.0
 * Nothing is deleted while sessions that have not ended use it. */
#ifndef DB_LIVE_H
#define DB_LIVE_H

#include "db/db.h"

/* CP_ERR_CONFLICT, naming up to three, when sessions of the package or version (the other is NULL)
 * have not ended. */
CP_MUST_CHECK enum cp_err db_live_refuse(struct db_conn *conn, const char *package_id,
                                         const char *version_id, struct cp_error *err);

/* The same of many packages; err names the first that is in use, too. */
CP_MUST_CHECK enum cp_err db_live_refuse_named(struct db_conn *conn, const char *const *names,
                                               size_t count, struct cp_error *err);

/* The sessions of one, the oldest first, at most limit. */
struct db_live {
    char id[DB_ID_SIZE];
};
CP_MUST_CHECK enum cp_err db_live_list(struct db_conn *conn, const char *package_id,
                                       const char *version_id, size_t limit,
                                       struct db_live *ret_items, size_t *ret_count,
                                       struct cp_error *err);

#endif
