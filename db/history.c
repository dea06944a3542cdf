/* SPDX-License-Identifier: Apache-2.0
 * SQL of forgetting. */
#include "db/history.h"

#include "db/sql.h"

#define OLD " < now() - $1 * interval '1 day'"

static const struct db_stmt sessions_stmt = {
    "history_sessions", "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions"
                        " WHERE ended_at" OLD " ORDER BY ended_at LIMIT $2)"};
static const struct db_stmt receivers_stmt = {
    "history_receivers",
    "DELETE FROM receivers WHERE id IN (SELECT id FROM receivers"
    " WHERE session_id IS NULL AND updated_at" OLD " ORDER BY updated_at LIMIT $2)"};
/* The calendar of periodic work (of no subject) counts from the newest task, and the newest done. */
static const struct db_stmt tasks_stmt = {
    "history_tasks",
    "DELETE FROM tasks WHERE id IN (SELECT t.id FROM tasks t"
    " WHERE t.ended_at" OLD " AND (t.subject <> '' OR EXISTS (SELECT 1 FROM tasks n"
    " WHERE n.node_id = t.node_id AND n.kind = t.kind AND n.subject = ''"
    " AND n.number > t.number AND (n.state = 'done' OR t.state <> 'done')))"
    " ORDER BY t.ended_at LIMIT $2)"};
/* keys/keyring.c asks whether a node has had a key before. */
static const struct db_stmt events_stmt = {
    "history_events", "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE time" OLD
                      " AND kind NOT IN ('identity-key-created', 'multicast-key-created')"
                      " ORDER BY time LIMIT $2)"};

static const struct {
    const char *name;
    const struct db_stmt *stmt;
} sorts[DB_HISTORY_COUNT] = {
    [DB_HISTORY_SESSIONS] = {"sessions", &sessions_stmt},
    [DB_HISTORY_RECEIVERS] = {"receivers", &receivers_stmt},
    [DB_HISTORY_TASKS] = {"tasks", &tasks_stmt},
    [DB_HISTORY_EVENTS] = {"events", &events_stmt},
};

const char *db_history_name(enum db_history what)
{
    CP_ASSERT(what < DB_HISTORY_COUNT);
    return sorts[what].name;
}

enum cp_err db_history_drop(struct db_conn *conn, enum db_history what, uint32_t days, size_t limit,
                            uint64_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_u64(days), db_p_u64(limit)};

    CP_ASSERT(what < DB_HISTORY_COUNT);
    return db_do(conn, DB_COMMAND(sorts[what].stmt, params), ret_count, err);
}
