/* SPDX-License-Identifier: Apache-2.0
 * SQL of a session's transitions: each is guarded by the state that it leaves. */
#include <stdio.h>
#include <string.h>

#include "db/listener.h"
#include "db/names.h"
#include "db/session_row.h"

static const struct db_stmt lock_stmt = {
    "session_lock", "SELECT node_id, state FROM sessions WHERE id = $1 FOR NO KEY UPDATE"};
static const struct db_stmt start_stmt = {
    "session_start", "UPDATE sessions s SET state = 'running', started_at = clock_timestamp(),"
                     " instance_id = CASE WHEN $2 = 0 THEN s.instance_id ELSE $2 END,"
                     " rate_control = t.rate_control, rate_start_percent = t.rate_start_percent,"
                     " slow_share_percent = t.slow_share_percent"
                     " FROM settings t WHERE s.id = $1 AND t.node_id = s.node_id"};
static const struct db_stmt drain_stmt = {"session_drain",
                                          "UPDATE sessions SET state = 'draining' WHERE id = $1"};
static const struct db_stmt active_stmt = {"session_any_active",
                                           "SELECT 1 FROM receivers WHERE session_id = $1"
                                           " AND state IN " DB_ACTIVE_RECEIVER " LIMIT 1"};
static const struct db_stmt end_stmt = {
    "session_end", "UPDATE sessions SET state = $2, ended_at = clock_timestamp(), end_code = $3,"
                   " end_detail = $4, rate_bps = 0, rate_reason = '', pace_setter = 0"
                   " WHERE id = $1"};
static const struct db_stmt stats_stmt = {
    "session_set_stats",
    "UPDATE sessions SET bytes_sent = $2, packets_sent = $3, bytes_repair = $4, nacks = $5,"
    " rate_bps = $6, bytes_position = $7, forged = $8, rate_ceiling_bps = $9, rate_reason = $10,"
    " pace_setter = $11, auto_parity = $12, over_budget = $13 WHERE id = $1 AND ended_at IS NULL"};

struct lock_row {
    char node_id[DB_ID_SIZE];
    enum db_session_state state;
};

static enum cp_err lock(struct db_conn *conn, const char *id, struct lock_row *ret_row,
                        struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(lock_row, node_id),
                                         DB_COL_ENUM(lock_row, state, &db_session_state_names)};
    struct db_param params[] = {db_p_id(id)};
    enum cp_err rc = db_one(conn, DB_QUERY(&lock_stmt, params, cols), ret_row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no session '%s'", id);
    }
    return rc;
}

enum cp_err db_session_notify(struct db_conn *conn, const char *node_id, const char *session_id,
                              struct cp_error *err)
{
    char payload[2 * DB_ID_SIZE];

    (void)snprintf(payload, sizeof payload, "%s %s", node_id, session_id);
    return db_notify(conn, DB_CHANNEL_SESSIONS, payload, err);
}

enum cp_err db_session_start(struct db_conn *conn, const char *id, uint16_t instance_id,
                             struct db_session *ret_session, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_u64(instance_id)};
    struct lock_row present;

    CP_TRY(lock(conn, id, &present, err));
    if (present.state != DB_SESSION_WAITING) {
        return cp_error_set(err, CP_ERR_CONFLICT, "the session is %s, not waiting",
                            db_session_state_name(present.state));
    }
    CP_TRY(db_do(conn, DB_COMMAND(&start_stmt, params), NULL, err));
    return db_session_get(conn, id, ret_session, err);
}

enum cp_err db_session_drain(struct db_conn *conn, const char *id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    struct lock_row present;

    CP_TRY(lock(conn, id, &present, err));
    if (present.state != DB_SESSION_RUNNING) {
        return cp_error_set(err, CP_ERR_CONFLICT, "the session is %s, not running",
                            db_session_state_name(present.state));
    }
    return db_do(conn, DB_COMMAND(&drain_stmt, params), NULL, err);
}

static enum cp_err set_ended(struct db_conn *conn, const char *id, enum db_session_state state,
                             const char *code, const char *detail, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_text(db_session_state_name(state)),
                                db_p_text(code), db_p_text(detail)};

    return db_do(conn, DB_COMMAND(&end_stmt, params), NULL, err);
}

enum cp_err db_session_finish(struct db_conn *conn, const char *id,
                              const struct db_session_stats *stats, bool *ret_finished,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    struct lock_row present;
    uint64_t active;

    CP_TRY(lock(conn, id, &present, err));
    if (present.state != DB_SESSION_RUNNING && present.state != DB_SESSION_DRAINING) {
        return cp_error_set(err, CP_ERR_CONFLICT, "the session is %s",
                            db_session_state_name(present.state));
    }
    CP_TRY(db_do(conn, DB_COMMAND(&active_stmt, params), &active, err));
    if (active == 0) {
        if (stats != NULL) {
            CP_TRY(db_session_set_stats(conn, id, stats, err));
        }
        CP_TRY(set_ended(conn, id, DB_SESSION_FINISHED, "", "", err));
        CP_TRY(db_session_notify(conn, present.node_id, id, err));
    }
    *ret_finished = active == 0;
    return CP_OK;
}

enum cp_err db_session_end(struct db_conn *conn, const char *id, enum db_session_state state,
                           const char *code, const char *detail, bool *ret_changed,
                           struct cp_error *err)
{
    struct lock_row present;
    bool changed;

    CP_ASSERT(state == DB_SESSION_FAILED || state == DB_SESSION_CANCELLED ||
              state == DB_SESSION_INTERRUPTED);
    CP_TRY(lock(conn, id, &present, err));
    changed = !db_session_ended(present.state);
    if (changed) {
        CP_TRY(set_ended(conn, id, state, code, detail, err));
        CP_TRY(db_session_notify(conn, present.node_id, id, err));
    }
    *ret_changed = changed;
    return CP_OK;
}

enum cp_err db_session_set_stats(struct db_conn *conn, const char *id,
                                 const struct db_session_stats *stats, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(id),
        db_p_u64(stats->bytes_sent),
        db_p_u64(stats->packets_sent),
        db_p_u64(stats->bytes_repair),
        db_p_u64(stats->nacks),
        db_p_u64(stats->rate_bps),
        db_p_u64(stats->bytes_position),
        db_p_u64(stats->forged),
        db_p_u64(stats->rate_ceiling_bps),
        db_p_text(stats->rate_reason),
        db_p_u64(stats->pace_setter),
        db_p_u64(stats->auto_parity),
        db_p_u64(stats->over_budget),
    };

    return db_do(conn, DB_COMMAND(&stats_stmt, params), NULL, err);
}
