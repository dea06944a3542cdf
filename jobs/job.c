/* SPDX-License-Identifier: Apache-2.0
 * One task being done. Touches the database. */
#include "jobs/job_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/utf8.h"
#include "db/event_json.h"
#include "db/settings.h"

#define PROGRESS_EVERY CP_SEC

const struct jobs_context *job_context(const struct job *job)
{
    return job->ctx;
}

const struct db_task *job_task(const struct job *job)
{
    return &job->task;
}

const json_t *job_params(const struct job *job)
{
    return job->params;
}

/* ---- settings ---- */

struct settings_arg {
    const char *node_id;
    struct db_settings *settings;
};

static enum cp_err settings_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct settings_arg *a = arg;

    return db_settings_get(conn, a->node_id, a->settings, err);
}

enum cp_err job_settings(struct job *job, struct db_settings *ret_settings, struct cp_error *err)
{
    struct settings_arg a = {.node_id = job->ctx->node_id, .settings = ret_settings};

    return db_run_read(job->ctx->db, "job-settings", settings_body, &a, err);
}

/* ---- progress ---- */

struct progress_arg {
    struct job *job;
    bool cancel;
};

static enum cp_err progress_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct progress_arg *a = arg;

    return db_task_progress(conn, a->job->task.id, a->job->task.done, a->job->task.total,
                            &a->cancel, err);
}

enum cp_err job_progress(struct job *job, uint64_t done, uint64_t total, struct cp_error *err)
{
    struct progress_arg a = {.job = job};
    cp_time now = cp_clock_now();

    job->task.done = done;
    job->task.total = total;
    if (job->stop != NULL && atomic_load(job->stop)) {
        return cp_error_set(err, CP_ERR_INTERRUPTED, "The service is stopping.");
    }
    if (now < job->told_at + PROGRESS_EVERY && job->told_at != 0) {
        return CP_OK;
    }
    job->told_at = now;
    /* While the database is away the work goes on; its end is what must be written. */
    if (db_run_tx_locking(job->ctx->db, "task-progress", progress_body, &a, NULL) == CP_OK &&
        a.cancel) {
        return cp_error_set(err, CP_ERR_CANCELLED, "An operator cancelled the task.");
    }
    return CP_OK;
}

/* ---- log ---- */

struct log_arg {
    const char *task_id;
    struct job_line line;
};

static enum cp_err log_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct log_arg *a = arg;

    return db_task_log(conn, a->task_id, a->line.level, a->line.text, err);
}

/* What is cut may be cut within a character. */
static void put_text(struct job_line *line, enum db_task_level level, const char *fmt, va_list args)
    __attribute__((format(printf, 3, 0)));
static void put_text(struct job_line *line, enum db_task_level level, const char *fmt, va_list args)
{
    line->level = level;
    (void)vsnprintf(line->text, sizeof line->text, fmt, args);
    cp_utf8_mend(line->text);
}

void job_log(struct job *job, enum db_task_level level, const char *fmt, ...)
{
    struct log_arg a = {.task_id = job->task.id};
    va_list args;

    if (job->lines == JOB_LINES_MAX) {
        return;
    }
    job->lines++;
    va_start(args, fmt);
    put_text(&a.line, level, fmt, args);
    va_end(args);
    if (job->lines == JOB_LINES_MAX) {
        (void)snprintf(a.line.text, sizeof a.line.text,
                       "%u lines are enough: the rest is left out.", JOB_LINES_MAX);
    }
    if (db_run_tx_locking(job->ctx->db, "task-log", log_body, &a, NULL) != CP_OK) {
        cp_log(CP_LOG_WARN, "task-line-lost", "task", job->task.id, "text", a.line.text, NULL);
    }
}

void job_summary(struct job *job, enum db_task_level level, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    put_text(&job->summary, level, fmt, args);
    va_end(args);
}

struct job_amount job_amount(uint64_t count, const char *one, const char *many)
{
    struct job_amount a;

    if (count == 0) {
        (void)snprintf(a.text, sizeof a.text, "no %s", many);
    } else {
        (void)snprintf(a.text, sizeof a.text, "%" PRIu64 " %s", count, count == 1 ? one : many);
    }
    return a;
}

/* ---- end ---- */

void job_result(struct job *job, json_t *result)
{
    char *text = result != NULL ? json_dumps(result, JSON_COMPACT) : NULL;

    json_decref(result);
    free(job->result);
    job->result = NULL;
    if (text != NULL && strlen(text) < DB_TASK_JSON_SIZE) {
        job->result = text;
    } else {
        free(text);
    }
}

enum cp_err job_end(struct db_conn *conn, const char *task_id, const struct db_task_end *end,
                    const struct job_line *line, struct cp_error *err)
{
    if (line->text[0] != '\0') {
        CP_TRY(db_task_log(conn, task_id, line->level, line->text, err));
    }
    return db_task_finish(conn, task_id, end, err);
}

enum cp_err job_done_in(struct job *job, struct db_conn *conn, struct cp_error *err)
{
    struct db_task_end end = {
        .state = DB_TASK_DONE, .code = "", .detail = "", .result = job->result};

    CP_TRY(job_end(conn, job->task.id, &end, &job->summary, err));
    job->done = true;
    return CP_OK;
}

enum cp_err job_event(struct job *job, struct db_conn *conn, const char *kind, const char *subject,
                      json_t *detail, struct cp_error *err)
{
    struct db_event *row = calloc(1, sizeof *row);
    enum cp_err rc;

    if (row == NULL) {
        json_decref(detail);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", kind);
    }
    (void)snprintf(row->node_id, sizeof row->node_id, "%s", job->ctx->node_id);
    (void)snprintf(row->kind, sizeof row->kind, "%s", kind);
    (void)snprintf(row->subject, sizeof row->subject, "%s", subject);
    (void)snprintf(row->actor, sizeof row->actor, "%s", job->task.actor);
    (void)snprintf(row->request_id, sizeof row->request_id, "%s", job->task.request_id);
    rc = detail == NULL || db_event_set_detail(row, detail)
             ? db_event_add(conn, row, err)
             : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", kind);
    free(row);
    return rc;
}
