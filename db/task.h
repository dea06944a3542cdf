/* SPDX-License-Identifier: Apache-2.0
 * Tasks: long work that a request asks for and a worker of the node does (jobs/). */
#ifndef DB_TASK_H
#define DB_TASK_H

#include "db/db.h"

enum db_task_state {
    DB_TASK_WAITING,
    DB_TASK_RUNNING,
    DB_TASK_DONE,
    DB_TASK_FAILED,
    DB_TASK_CANCELLED,
    DB_TASK_STATE_COUNT
};
const char *db_task_state_name(enum db_task_state state);
bool db_task_state_parse(const char *text, enum db_task_state *ret_state);

enum db_task_unit { DB_TASK_ITEMS, DB_TASK_BYTES };
const char *db_task_unit_name(enum db_task_unit unit);

#define DB_TASK_JSON_SIZE 2048
#define DB_TASK_LINE_SIZE 1024
/* A task that was begun so often has brought the service down, or never had time to end. */
#define DB_TASK_ATTEMPTS_MAX 5

struct db_task {
    char id[DB_ID_SIZE];
    uint64_t number; /* ascending; the cursor of lists */
    char node_id[DB_ID_SIZE];
    char kind[DB_NAME_SIZE];    /* "seal-version" */
    char subject[DB_TEXT_SIZE]; /* "package win11 version 3" */
    enum db_task_state state;
    char actor[DB_NAME_SIZE];       /* account's name, "" for the service itself */
    char request_id[DB_NAME_SIZE];  /* of the request that asked for it */
    char params[DB_TASK_JSON_SIZE]; /* JSON object; "" means {} */
    char result[DB_TASK_JSON_SIZE]; /* JSON object; "" until it ended */
    enum db_task_unit unit;
    uint64_t done, total; /* total 0: not known yet */
    uint32_t attempts;    /* but for those that a stop of the service ended */
    bool cancel_requested;
    char code[DB_CODE_SIZE]; /* with failed and cancelled */
    char detail[DB_TEXT_SIZE];
    uint64_t created_at, started_at, ended_at;
};

/* Asks for work: uses node_id, kind, subject, actor, request_id, params, unit. While the same kind
 * of work for the same subject with the same params has not ended, that task is given instead
 * (*ret_made false), and goes on or begins again should somebody have cancelled it. With
 * NOTIFY DB_CHANNEL_TASKS. */
CP_MUST_CHECK enum cp_err db_task_create(struct db_conn *conn, const struct db_task *task,
                                         struct db_task *ret_task, bool *ret_made,
                                         struct cp_error *err);

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_task_get(struct db_conn *conn, const char *id,
                                      struct db_task *ret_task, struct cp_error *err);

/* What a list shows; zeroed: everything. */
struct db_task_filter {
    const char *kind;                /* NULL: all */
    const enum db_task_state *state; /* NULL: all */
    const char *node_id;             /* NULL: all */
};

/* Newest first: those with a number below `before` (0: from the newest), at most limit. */
CP_MUST_CHECK enum cp_err db_task_list(struct db_conn *conn, const struct db_task_filter *filter,
                                       uint64_t before, size_t limit, struct db_task *ret_items,
                                       size_t *ret_count, struct cp_error *err);

/* The newest task of that kind and subject on a node, ended or not. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_task_newest(struct db_conn *conn, const char *node_id,
                                         const char *kind, const char *subject,
                                         struct db_task *ret_task, struct cp_error *err);

/* The newest of that kind and subject that is done. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_task_last_done(struct db_conn *conn, const char *node_id,
                                            const char *kind, const char *subject,
                                            struct db_task *ret_task, struct cp_error *err);

/* waiting → running: the oldest of the node, but of the kind `alone` ("" none) only while no other
 * one runs, and none of the kinds `without` (names with a space between them): what takes days would
 * else keep every worker from the rest. In a body of db_run_tx_locking. CP_ERR_NOT_FOUND: nothing of
 * that waits. */
CP_MUST_CHECK enum cp_err db_task_claim(struct db_conn *conn, const char *node_id,
                                        const char *alone, const char *without,
                                        struct db_task *ret_task, struct cp_error *err);

/* How far it is; *ret_cancel: somebody wants it to end. CP_ERR_NOT_FOUND: it does not run. */
CP_MUST_CHECK enum cp_err db_task_progress(struct db_conn *conn, const char *id, uint64_t done,
                                           uint64_t total, bool *ret_cancel, struct cp_error *err);

/* What came of a running task; state waiting puts it back for another attempt. */
struct db_task_end {
    enum db_task_state state;
    const char *code;   /* "" with done and waiting */
    const char *detail; /* cut to DB_TEXT_SIZE */
    const char *result; /* JSON object or NULL */
    bool uncounted;     /* the attempt is none: the service was stopped */
};

/* running → as `end` says; but cancelled → waiting where it was asked for again meanwhile. CP_ERR_NOT_FOUND: it does not run. */
CP_MUST_CHECK enum cp_err db_task_finish(struct db_conn *conn, const char *id,
                                         const struct db_task_end *end, struct cp_error *err);

/* waiting → cancelled at once; a running one is asked to end. Ended ones: CP_ERR_CONFLICT. */
CP_MUST_CHECK enum cp_err db_task_cancel(struct db_conn *conn, const char *id, const char *code,
                                         const char *detail, struct db_task *ret_task,
                                         struct cp_error *err);

/* At the start of a node, before its workers: what ran when its process died waits again, or has
 * failed (with that code) after DB_TASK_ATTEMPTS_MAX attempts. *ret_count: how many wait again. */
CP_MUST_CHECK enum cp_err db_task_recover(struct db_conn *conn, const char *node_id,
                                          const char *failed_code, uint64_t *ret_count,
                                          struct cp_error *err);

/* ---- what a task says ---- */

enum db_task_level { DB_TASK_INFO, DB_TASK_WARNING, DB_TASK_ERROR };
const char *db_task_level_name(enum db_task_level level);

struct db_task_line {
    uint64_t id; /* ascending; the cursor */
    uint64_t time;
    enum db_task_level level;
    char text[DB_TASK_LINE_SIZE];
};

/* text is cut to DB_TASK_LINE_SIZE. */
CP_MUST_CHECK enum cp_err db_task_log(struct db_conn *conn, const char *task_id,
                                      enum db_task_level level, const char *text,
                                      struct cp_error *err);

/* Oldest first: those with an id above `after`, at most limit. */
CP_MUST_CHECK enum cp_err db_task_log_list(struct db_conn *conn, const char *task_id,
                                           uint64_t after, size_t limit,
                                           struct db_task_line *ret_items, size_t *ret_count,
                                           struct cp_error *err);

#endif
