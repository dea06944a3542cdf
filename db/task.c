/* SPDX-License-Identifier: Apache-2.0
 * SQL of tasks. */
#include "db/task.h"

#include <stdio.h>

#include "db/listener.h"
#include "db/names.h"

#define COLUMNS                                                                                    \
    "id, number, node_id, kind, subject, state, actor, request_id, params::text, result::text,"    \
    " unit, done, total, attempts, cancel_requested, code, detail, created_at, started_at,"        \
    " ended_at"

/* Who asks for what an operator is about to end wants it done. A new row has no xmax. */
static const struct db_stmt create_stmt = {
    "task_create", "INSERT INTO tasks (node_id, kind, subject, actor, request_id, params, unit)"
                   " VALUES ($1, $2, $3, $4, $5, coalesce($6::jsonb, '{}'), $7)"
                   " ON CONFLICT (node_id, kind, subject, params) WHERE ended_at IS NULL"
                   " DO UPDATE SET cancel_requested = false RETURNING " COLUMNS ", xmax = 0"};
static const struct db_stmt get_stmt = {"task_get", "SELECT " COLUMNS " FROM tasks WHERE id = $1"};
static const struct db_stmt lock_stmt = {"task_lock",
                                         "SELECT " COLUMNS " FROM tasks WHERE id = $1 FOR UPDATE"};
static const struct db_stmt list_stmt = {
    "task_list", "SELECT " COLUMNS " FROM tasks"
                 " WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR state = $2)"
                 " AND ($3::uuid IS NULL OR node_id = $3) AND ($4 = 0 OR number < $4)"
                 " ORDER BY number DESC LIMIT $5"};
static const struct db_stmt newest_stmt = {
    "task_newest", "SELECT " COLUMNS " FROM tasks WHERE node_id = $1 AND kind = $2"
                   " AND subject = $3 ORDER BY number DESC LIMIT 1"};
static const struct db_stmt last_done_stmt = {
    "task_last_done", "SELECT " COLUMNS " FROM tasks WHERE node_id = $1 AND kind = $2"
                      " AND subject = $3 AND state = 'done' ORDER BY number DESC LIMIT 1"};
/* Whether one of the kind `alone` runs is only known once no other worker is about to begin one. Until
 * the transaction's end; the statement after it sees what the holder before has done. */
static const struct db_stmt claim_lock_stmt = {
    "task_claim_lock",
    "SELECT pg_advisory_xact_lock(hashtextextended('castpoint task ' || $1, 0))"};
static const struct db_stmt claim_stmt = {
    "task_claim", "UPDATE tasks SET state = 'running', attempts = attempts + 1, started_at = now()"
                  " WHERE id = (SELECT id FROM tasks WHERE node_id = $1 AND state = 'waiting'"
                  " AND (kind <> $2 OR NOT EXISTS (SELECT 1 FROM tasks r WHERE r.node_id = $1"
                  " AND r.kind = $2 AND r.state = 'running'))"
                  " AND kind <> ALL (string_to_array($3, ' '))"
                  " ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING " COLUMNS};
static const struct db_stmt progress_stmt = {
    "task_progress", "UPDATE tasks SET done = $2, total = $3 WHERE id = $1 AND state = 'running'"
                     " RETURNING cancel_requested"};
/* It was asked for again while it ended. */
#define WANTED "($2 = 'cancelled' AND NOT cancel_requested)"
static const struct db_stmt finish_stmt = {
    "task_finish",
    "UPDATE tasks SET state = CASE WHEN " WANTED " THEN 'waiting' ELSE $2 END,"
    " code = CASE WHEN " WANTED " THEN '' ELSE $3 END,"
    " detail = CASE WHEN " WANTED " THEN '' ELSE left($4, 255) END, result = $5::jsonb,"
    " ended_at = CASE WHEN $2 <> 'waiting' AND NOT " WANTED " THEN now() END,"
    " done = CASE WHEN $2 = 'done' THEN total ELSE done END,"
    " attempts = attempts - CASE WHEN $6 OR " WANTED " THEN 1 ELSE 0 END"
    " WHERE id = $1 AND state = 'running'"};
static const struct db_stmt cancel_stmt = {
    "task_cancel", "UPDATE tasks SET cancel_requested = true,"
                   " state = CASE WHEN state = 'waiting' THEN 'cancelled' ELSE state END,"
                   " code = CASE WHEN state = 'waiting' THEN $2 ELSE '' END,"
                   " detail = CASE WHEN state = 'waiting' THEN left($3, 255) ELSE '' END,"
                   " ended_at = CASE WHEN state = 'waiting' THEN now() END"
                   " WHERE id = $1 RETURNING " COLUMNS};
static const struct db_stmt fail_stmt = {
    "task_recover_fail",
    "WITH t AS (UPDATE tasks SET state = 'failed', code = $2, ended_at = now(),"
    " detail = 'The service ended ' || attempts || ' times while this task ran.'"
    " WHERE node_id = $1 AND state = 'running' AND attempts >= $3 RETURNING id, detail)"
    " INSERT INTO task_log (task_id, level, text) SELECT id, 'error', detail FROM t"};
static const struct db_stmt recover_stmt = {
    "task_recover",
    "WITH t AS (UPDATE tasks SET state = 'waiting' WHERE node_id = $1 AND state = 'running'"
    " RETURNING id) INSERT INTO task_log (task_id, level, text) SELECT id, 'warning',"
    " 'The service ended while this task ran: the work is begun again.' FROM t"};
static const struct db_stmt log_stmt = {
    "task_log_add", "INSERT INTO task_log (task_id, level, text) VALUES ($1, $2, $3)"};
static const struct db_stmt log_list_stmt = {
    "task_log_list", "SELECT id, time, level, text FROM task_log WHERE task_id = $1 AND id > $2"
                     " ORDER BY id LIMIT $3"};

#define COLS                                                                                       \
    DB_COL_TEXT(db_task, id), DB_COL_INT(db_task, number), DB_COL_TEXT(db_task, node_id),          \
        DB_COL_TEXT(db_task, kind), DB_COL_TEXT(db_task, subject),                                 \
        DB_COL_ENUM(db_task, state, &db_task_state_names), DB_COL_TEXT(db_task, actor),            \
        DB_COL_TEXT(db_task, request_id), DB_COL_TEXT(db_task, params),                            \
        DB_COL_TEXT(db_task, result), DB_COL_ENUM(db_task, unit, &db_task_unit_names),             \
        DB_COL_INT(db_task, done), DB_COL_INT(db_task, total), DB_COL_INT(db_task, attempts),      \
        DB_COL_BOOL(db_task, cancel_requested), DB_COL_TEXT(db_task, code),                        \
        DB_COL_TEXT(db_task, detail), DB_COL_TIME(db_task, created_at),                            \
        DB_COL_TIME(db_task, started_at), DB_COL_TIME(db_task, ended_at)

static const struct db_col cols[] = {COLS};

struct asked_row {
    struct db_task task; /* first: COLS are its */
    bool made;
};
static const struct db_col asked_cols[] = {COLS, DB_COL_BOOL(asked_row, made)};

static enum cp_err missing(enum cp_err rc, const char *id, struct cp_error *err)
{
    return rc == CP_ERR_NOT_FOUND
               ? cp_error_set(err, rc, "There is no task '%.60s'; 'GET /api/v1/tasks' lists them.",
                              id)
               : rc;
}

enum cp_err db_task_create(struct db_conn *conn, const struct db_task *task,
                           struct db_task *ret_task, bool *ret_made, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(task->node_id),
                                db_p_text(task->kind),
                                db_p_text(task->subject),
                                db_p_text(task->actor),
                                db_p_text(task->request_id),
                                db_p_some(task->params),
                                db_p_text(db_task_unit_name(task->unit))};
    char payload[2 * DB_ID_SIZE];
    struct asked_row row;

    CP_TRY(db_one(conn, DB_QUERY(&create_stmt, params, asked_cols), &row, err));
    *ret_task = row.task;
    *ret_made = row.made;
    if (!row.made) {
        return CP_OK;
    }
    (void)snprintf(payload, sizeof payload, "%s task", task->node_id);
    return db_notify(conn, DB_CHANNEL_TASKS, payload, err);
}

enum cp_err db_task_get(struct db_conn *conn, const char *id, struct db_task *ret_task,
                        struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};

    return missing(db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_task, err), id, err);
}

enum cp_err db_task_list(struct db_conn *conn, const struct db_task_filter *filter, uint64_t before,
                         size_t limit, struct db_task *ret_items, size_t *ret_count,
                         struct cp_error *err)
{
    struct db_param params[] = {
        db_p_some(filter->kind),
        db_p_text(filter->state != NULL ? db_task_state_name(*filter->state) : NULL),
        db_p_some(filter->node_id), db_p_u64(before > INT64_MAX ? 0 : before), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY_FRESH(&list_stmt, params, cols), rows, err);
}

enum cp_err db_task_newest(struct db_conn *conn, const char *node_id, const char *kind,
                           const char *subject, struct db_task *ret_task, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(kind), db_p_text(subject)};

    return db_one(conn, DB_QUERY(&newest_stmt, params, cols), ret_task, err);
}

enum cp_err db_task_last_done(struct db_conn *conn, const char *node_id, const char *kind,
                              const char *subject, struct db_task *ret_task, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(kind), db_p_text(subject)};

    return db_one(conn, DB_QUERY(&last_done_stmt, params, cols), ret_task, err);
}

enum cp_err db_task_claim(struct db_conn *conn, const char *node_id, const char *alone,
                          const char *without, struct db_task *ret_task, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_text(alone), db_p_text(without)};
    struct db_param lock[] = {db_p_text(node_id)};

    if (alone[0] != '\0') {
        CP_TRY(db_do(conn, DB_COMMAND(&claim_lock_stmt, lock), NULL, err));
    }
    return db_one(conn, DB_QUERY(&claim_stmt, params, cols), ret_task, err);
}

enum cp_err db_task_progress(struct db_conn *conn, const char *id, uint64_t done, uint64_t total,
                             bool *ret_cancel, struct cp_error *err)
{
    static const struct db_col cancel_cols[] = {DB_COL_BOOL(db_task, cancel_requested)};
    struct db_param params[] = {db_p_id(id), db_p_u64(done), db_p_u64(total)};
    struct db_task row = {.number = 0};

    CP_TRY(
        missing(db_one(conn, DB_QUERY(&progress_stmt, params, cancel_cols), &row, err), id, err));
    *ret_cancel = row.cancel_requested;
    return CP_OK;
}

enum cp_err db_task_finish(struct db_conn *conn, const char *id, const struct db_task_end *end,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id),
                                db_p_text(db_task_state_name(end->state)),
                                db_p_text(end->code),
                                db_p_text(end->detail),
                                db_p_some(end->result),
                                db_p_bool(end->uncounted)};
    uint64_t count;

    CP_TRY(db_do(conn, DB_COMMAND(&finish_stmt, params), &count, err));
    return missing(count == 1 ? CP_OK : CP_ERR_NOT_FOUND, id, err);
}

enum cp_err db_task_cancel(struct db_conn *conn, const char *id, const char *code,
                           const char *detail, struct db_task *ret_task, struct cp_error *err)
{
    struct db_param key[] = {db_p_id(id)};
    struct db_param params[] = {key[0], db_p_text(code), db_p_text(detail)};
    struct db_task present;

    CP_TRY(missing(db_one(conn, DB_QUERY(&lock_stmt, key, cols), &present, err), id, err));
    if (present.ended_at != 0) {
        return cp_error_set(err, CP_ERR_CONFLICT, "The task has ended already: it is %s.",
                            db_task_state_name(present.state));
    }
    return db_one(conn, DB_QUERY(&cancel_stmt, params, cols), ret_task, err);
}

enum cp_err db_task_recover(struct db_conn *conn, const char *node_id, const char *failed_code,
                            uint64_t *ret_count, struct cp_error *err)
{
    struct db_param key[] = {db_p_id(node_id)};
    struct db_param params[] = {key[0], db_p_text(failed_code), db_p_u64(DB_TASK_ATTEMPTS_MAX)};

    CP_TRY(db_do(conn, DB_COMMAND(&fail_stmt, params), NULL, err));
    return db_do(conn, DB_COMMAND(&recover_stmt, key), ret_count, err);
}

/* ---- what a task says ---- */

static const struct db_col line_cols[] = {
    DB_COL_INT(db_task_line, id),
    DB_COL_TIME(db_task_line, time),
    DB_COL_ENUM(db_task_line, level, &db_task_level_names),
    DB_COL_TEXT(db_task_line, text),
};

enum cp_err db_task_log(struct db_conn *conn, const char *task_id, enum db_task_level level,
                        const char *text, struct cp_error *err)
{
    char line[DB_TASK_LINE_SIZE];
    struct db_param params[] = {db_p_id(task_id), db_p_text(db_task_level_name(level)),
                                db_p_text(line)};

    (void)snprintf(line, sizeof line, "%s", text);
    return db_do(conn, DB_COMMAND(&log_stmt, params), NULL, err);
}

enum cp_err db_task_log_list(struct db_conn *conn, const char *task_id, uint64_t after,
                             size_t limit, struct db_task_line *ret_items, size_t *ret_count,
                             struct cp_error *err)
{
    struct db_param params[] = {db_p_id(task_id), db_p_u64(after > INT64_MAX ? INT64_MAX : after),
                                db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&log_list_stmt, params, line_cols), rows, err);
}
