/* SPDX-License-Identifier: Apache-2.0
 * SQL of taking up a session that a former process left in the middle. */
#include "db/session_row.h"

static const struct db_stmt resume_stmt = {
    "session_resume", "UPDATE sessions SET instance_id = instance_id % 65535 + 1"
                      " WHERE id = $1 AND state = 'running'"};

enum cp_err db_session_resume(struct db_conn *conn, const char *id, struct db_session *ret_session,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    uint64_t changed;

    CP_TRY(db_do(conn, DB_COMMAND(&resume_stmt, params), &changed, err));
    if (changed == 0) {
        return cp_error_set(err, CP_ERR_CONFLICT, "the session is not running");
    }
    return db_session_get(conn, id, ret_session, err);
}
