/* SPDX-License-Identifier: Apache-2.0
 * Doing one task: claim, run, write down what came of it; and asking for the work that is due.
 * Touches the database. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "db/settings.h"
#include "jobs/job_private.h"
#include "jobs/jobs.h"

#define RETRY_MS          1000
#define RETRY_FAILED_S    UINT64_C(3600)
#define RETRY_CANCELLED_S UINT64_C(86400)
/* A large library takes days to read. */
#define JOB_ALONE "validate-library"
#define SLOW_SIZE 512 /* names of the slow kinds */

struct claim_arg {
    const char *node_id;
    const char *without;
    struct db_task *task;
};

static enum cp_err claim_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct claim_arg *a = arg;

    return db_task_claim(conn, a->node_id, JOB_ALONE, a->without, a->task, err);
}

struct finish_arg {
    const char *id;
    struct db_task_end end;
    struct job_line line;
};

static enum cp_err finish_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct finish_arg *a = arg;

    return job_end(conn, a->id, &a->end, &a->line, err);
}

/* Not the work's fault: the same work may succeed a little later. */
static bool worth_another_try(enum cp_err rc)
{
    return cp_err_is_database(rc) || rc == CP_ERR_DB_RETRY || rc == CP_ERR_UNAVAILABLE ||
           rc == CP_ERR_NO_MEMORY;
}

/* The database may be away for longer than a transaction is tried again: the task would then stay
 * "running" with nobody at it until the next start. */
static enum cp_err finish_task(const struct jobs_context *ctx, const atomic_bool *stop,
                               struct finish_arg *finish, struct cp_error *err)
{
    enum cp_err rc = db_run_tx_locking(ctx->db, "finish-task", finish_body, finish, err);

    while (worth_another_try(rc) && stop != NULL && !atomic_load(stop)) {
        (void)poll(NULL, 0, RETRY_MS);
        rc = db_run_tx_locking(ctx->db, "finish-task", finish_body, finish, err);
    }
    return rc;
}

static const struct job_kind *find_kind(const char *name)
{
    const struct job_kind *k = job_kinds;

    while (k->name != NULL && strcmp(k->name, name) != 0) {
        k++;
    }
    return k->name != NULL ? k : NULL;
}

static enum cp_err run(struct job *job, struct cp_error *err)
{
    const struct job_kind *kind = find_kind(job->task.kind);

    job->params = json_loads(job->task.params, 0, NULL);
    if (kind == NULL || job->params == NULL) {
        return cp_error_set(err, CP_ERR_INTERNAL, "This castpointd knows no work '%.60s'.",
                            job->task.kind);
    }
    return kind->run(job, err);
}

/* What the database says of itself names hosts and roles: that is for the service's log (tell). */
static const char *reason_of(enum cp_err rc, const struct cp_error *err)
{
    bool inner = cp_err_is_database(rc) || rc == CP_ERR_DB_RETRY || err->text[0] == '\0';

    return inner ? cp_err_info(rc)->title : err->text;
}

static struct db_task_end end_of(const struct job *job, enum cp_err rc, const struct cp_error *err)
{
    struct db_task_end end = {.state = DB_TASK_DONE, .code = "", .detail = ""};

    if (rc == CP_OK) {
        end.result = job->result;
    } else if (rc == CP_ERR_INTERRUPTED ||
               (worth_another_try(rc) && job->task.attempts < DB_TASK_ATTEMPTS_MAX)) {
        end.state = DB_TASK_WAITING;
        end.uncounted = rc == CP_ERR_INTERRUPTED;
    } else {
        end.state = rc == CP_ERR_CANCELLED ? DB_TASK_CANCELLED : DB_TASK_FAILED;
        end.code = cp_err_info(rc)->code;
        end.detail = reason_of(rc, err);
    }
    return end;
}

/* The last line of the log, whatever the body has said: why it is not done, or its summary. */
static struct job_line line_of(const struct job *job, const struct db_task_end *end, enum cp_err rc,
                               const struct cp_error *err)
{
    struct job_line line = job->summary;

    if (end->state == DB_TASK_DONE) {
        return line;
    }
    line.level = DB_TASK_INFO;
    if (rc == CP_ERR_INTERRUPTED) {
        (void)snprintf(line.text, sizeof line.text,
                       "The service stops: the work is begun again when it is back.");
    } else if (end->state == DB_TASK_WAITING) {
        line.level = DB_TASK_WARNING;
        (void)snprintf(line.text, sizeof line.text, "Attempt %u of %u failed, the next follows: %s",
                       (unsigned)job->task.attempts, DB_TASK_ATTEMPTS_MAX, reason_of(rc, err));
    } else {
        line.level = end->state == DB_TASK_FAILED ? DB_TASK_ERROR : DB_TASK_INFO;
        (void)snprintf(line.text, sizeof line.text, "%s", end->detail);
    }
    return line;
}

static void tell(const struct job *job, enum cp_err rc, const struct cp_error *err)
{
    cp_log_correlation(job->task.request_id[0] != '\0' ? job->task.request_id : job->task.id);
    if (rc == CP_OK) {
        cp_log(CP_LOG_INFO, "task-done", "kind", job->task.kind, "subject", job->task.subject,
               NULL);
    } else if (rc != CP_ERR_INTERRUPTED) {
        cp_log_error(CP_LOG_WARN, "task-not-done", err);
    }
    cp_log_correlation(NULL);
}

static enum cp_err do_one(const struct jobs_context *ctx, const atomic_bool *stop,
                          const char *without, struct cp_error *err)
{
    struct job job = {.ctx = ctx, .stop = stop};
    struct claim_arg claim = {.node_id = ctx->node_id, .without = without, .task = &job.task};
    struct cp_error why = {.code = CP_OK};
    enum cp_err rc;

    CP_TRY(db_run_tx_locking(ctx->db, "claim-task", claim_body, &claim, err));
    rc = run(&job, &why);
    tell(&job, rc, &why);
    if (rc != CP_OK || !job.done) {
        struct finish_arg finish = {.id = job.task.id, .end = end_of(&job, rc, &why)};

        finish.line = line_of(&job, &finish.end, rc, &why);
        rc = finish_task(ctx, stop, &finish, err);
    }
    json_decref(job.params);
    free(job.result);
    return rc;
}

enum cp_err jobs_do_one(const struct jobs_context *ctx, const atomic_bool *stop,
                        struct cp_error *err)
{
    return do_one(ctx, stop, "", err);
}

enum cp_err jobs_do_quick(const struct jobs_context *ctx, const atomic_bool *stop,
                          struct cp_error *err)
{
    char slow[SLOW_SIZE] = "";
    size_t used = 0;

    for (const struct job_kind *k = job_kinds; k->name != NULL; k++) {
        if (k->slow) {
            used += (size_t)snprintf(slow + used, sizeof slow - used, " %s", k->name);
            CP_ASSERT(used < sizeof slow);
        }
    }
    return do_one(ctx, stop, slow, err);
}

/* ---- what nobody asks for ---- */

struct due_arg {
    const struct jobs_context *ctx;
    const struct job_kind *kind;
    struct db_task task; /* looked at, then asked for */
    uint64_t now;
};

/* After a failure, and after an operator ended it: not as late as after success. */
static uint64_t retry_after(const struct db_task *task, uint64_t interval)
{
    uint64_t wait = task->state == DB_TASK_CANCELLED ? RETRY_CANCELLED_S : RETRY_FAILED_S;

    return wait < interval ? wait : interval;
}

/* Whether so many seconds have passed since it was last asked for and done. */
static enum cp_err is_due(struct db_conn *conn, struct due_arg *a, uint64_t interval, bool *ret_due,
                          struct cp_error *err)
{
    const char *node_id = a->ctx->node_id;
    struct db_task *t = &a->task;
    enum cp_err rc = db_task_newest(conn, node_id, a->kind->name, "", t, err);

    *ret_due = false;
    if (rc == CP_OK && t->ended_at == 0) {
        return CP_OK;
    }
    if (rc == CP_OK && t->state != DB_TASK_DONE) {
        if (t->ended_at + retry_after(t, interval) * CP_SEC > a->now) {
            return CP_OK;
        }
        rc = db_task_last_done(conn, node_id, a->kind->name, "", t, err);
    }
    *ret_due = rc == CP_ERR_NOT_FOUND || t->created_at + interval * CP_SEC <= a->now;
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static enum cp_err ask_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct due_arg *a = arg;
    struct db_settings settings;
    uint64_t interval;
    bool due, made;

    CP_TRY(db_settings_get(conn, a->ctx->node_id, &settings, err));
    CP_TRY(db_now(conn, &a->now, err));
    interval = a->kind->interval(&settings);
    if (interval == 0) {
        return CP_OK;
    }
    CP_TRY(is_due(conn, a, interval, &due, err));
    if (!due) {
        return CP_OK;
    }
    memset(&a->task, 0, sizeof a->task);
    memcpy(a->task.node_id, a->ctx->node_id, strlen(a->ctx->node_id));
    memcpy(a->task.kind, a->kind->name, strlen(a->kind->name));
    a->task.unit = a->kind->unit;
    return db_task_create(conn, &a->task, &a->task, &made, err);
}

enum cp_err jobs_ask_due(const struct jobs_context *ctx, struct cp_error *err)
{
    struct due_arg *a = calloc(1, sizeof *a);
    enum cp_err rc = CP_OK;

    if (a == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a task.");
    }
    a->ctx = ctx;
    for (const struct job_kind *k = job_kinds; k->name != NULL && rc == CP_OK; k++) {
        a->kind = k;
        if (k->interval != NULL) {
            rc = db_run_tx_locking(ctx->db, "ask-for-work", ask_body, a, err);
        }
    }
    free(a);
    return rc;
}
