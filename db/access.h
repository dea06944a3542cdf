/* SPDX-License-Identifier: Apache-2.0
 * What a change of content access means for receivers that joined before it. */
#ifndef DB_ACCESS_H
#define DB_ACCESS_H

#include "db/db.h"

/* A join decides who may have what and makes a receiver; a change of access looks for receivers
 * that were let in before it. Neither may fall between: joins run beside each other, a change runs
 * alone. In a body of db_run_tx_locking, which must be READ COMMITTED: what follows sees what was
 * committed until then. A join's first statement; a change's before it looks for receivers. */
CP_MUST_CHECK enum cp_err db_access_joining(struct db_conn *conn, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_access_changing(struct db_conn *conn, struct cp_error *err);

/* Anonymous receivers of content that is not for anonymous clients any more. */
struct db_access_revoked {
    uint64_t
        revoked; /* were still waiting, or fetched by HTTPS only: failed, their token is void */
    uint64_t running; /* in a session that is under way: stay as they are */
};

/* Looks at all nodes' receivers; nothing when all is as the settings say. reason: code of the
 * catalogue, detail: a sentence, for their rows. */
CP_MUST_CHECK enum cp_err db_access_revoke(struct db_conn *conn, const char *reason,
                                           const char *detail, struct db_access_revoked *ret_counts,
                                           struct cp_error *err);

/* A waiting session of content that is not for anonymous clients any more, whose secret one of them
 * was given, even one that has left since; by id, those after `after` ("" from the start), at most
 * limit. */
struct db_access_session {
    char id[DB_ID_SIZE];
    char node_id[DB_ID_SIZE];
};
CP_MUST_CHECK enum cp_err db_access_known_secrets(struct db_conn *conn, const char *after,
                                                  size_t limit, struct db_access_session *ret_items,
                                                  size_t *ret_count, struct cp_error *err);

/* Notes that the session has a secret that no anonymous client knows: its receivers are to join again. reason, detail: as
 * above. *ret_moved: how many there are. */
CP_MUST_CHECK enum cp_err db_access_rekeyed(struct db_conn *conn, const char *session_id,
                                            const char *reason, const char *detail,
                                            uint64_t *ret_moved, struct cp_error *err);

#endif
