/* SPDX-License-Identifier: Apache-2.0
 * Tasks: list, look, read the log, cancel. Touches the database; thread-safe. */
#include "api/point/tasks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/audit.h"
#include "api/framework/fields.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"

/* ---- asking ---- */

static enum cp_err put_params(struct db_task *row, const json_t *params, struct cp_error *err)
{
    char *text = params != NULL ? json_dumps(params, JSON_COMPACT) : NULL;
    enum cp_err rc = CP_OK;

    if (text != NULL && strlen(text) >= sizeof row->params) {
        rc = cp_error_set(err, CP_ERR_INTERNAL, "The parameters of a task are too long.");
    } else if (text != NULL) {
        (void)snprintf(row->params, sizeof row->params, "%s", text);
    }
    free(text);
    return rc;
}

enum cp_err api_task_ask(struct db_conn *conn, const struct api_context *ctx,
                         const struct api_call *call, struct api_task *task, struct cp_error *err)
{
    struct api_change change = {
        .outcome = DB_AUDIT_ACCEPTED, .subject = task->subject, .after = task->params};
    struct db_task row = {.unit = task->unit};
    enum cp_err rc;
    bool made;

    (void)snprintf(row.node_id, sizeof row.node_id, "%s",
                   task->node_id[0] != '\0' ? task->node_id : ctx->node_id);
    (void)snprintf(row.kind, sizeof row.kind, "%s", task->kind);
    (void)snprintf(row.subject, sizeof row.subject, "%s", task->subject);
    (void)snprintf(row.actor, sizeof row.actor, "%s", call->who->account);
    (void)snprintf(row.request_id, sizeof row.request_id, "%s",
                   call->rq->request_id != NULL ? call->rq->request_id : "");
    rc = put_params(&row, task->params, err);
    if (rc == CP_OK) {
        rc = db_task_create(conn, &row, &task->made, &made, err);
    }
    if (rc == CP_OK) {
        rc = api_audit_change(conn, ctx, call, &change, err);
    }
    json_decref(task->params);
    task->params = NULL;
    return rc;
}

static json_t *object_of(const char *text)
{
    json_t *value = text[0] != '\0' ? json_loads(text, 0, NULL) : NULL;

    return value != NULL ? value : json_null();
}

static json_t *failure_json(const struct db_task *t)
{
    const struct cp_err_info *info = cp_err_info(cp_err_from_code(t->code));

    if (t->code[0] == '\0') {
        return json_null();
    }
    return json_pack("{s:s, s:s, s:o, s:s, s:s}", "code", t->code, "title", info->title, "detail",
                     api_json_text(t->detail), "cause", info->cause, "remedy", info->remedy);
}

static json_t *task_json(const struct db_task *t)
{
    return json_pack(
        "{s:s, s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:{s:I, s:o, s:s}, s:i, s:b, s:o, s:o, s:o, s:o, "
        "s:o}",
        "id", t->id, "number", (json_int_t)t->number, "node_id", t->node_id, "kind", t->kind,
        "subject", t->subject, "state", json_string(db_task_state_name(t->state)), "actor",
        api_json_text(t->actor), "request_id", api_json_text(t->request_id), "progress", "done",
        (json_int_t)t->done, "total",
        t->total > 0 ? json_integer((json_int_t)t->total) : json_null(), "unit",
        db_task_unit_name(t->unit), "attempts", (int)t->attempts, "cancel_requested",
        (int)t->cancel_requested, "result", object_of(t->result), "error", failure_json(t),
        "created_at", api_json_time(t->created_at), "started_at", api_json_time(t->started_at),
        "ended_at", api_json_time(t->ended_at));
}

struct api_response api_task_accepted(const struct api_task *task)
{
    struct api_response rs = api_response_json(202, task_json(&task->made));

    api_header_add(&rs, "Location", "/api/v1/tasks/%s", task->made.id);
    return rs;
}

/* ---- list ---- */

struct filter {
    struct db_task_filter by;
    enum db_task_state state;
};

static const char *const state_words[] = {"waiting", "running",   "done",
                                          "failed",  "cancelled", NULL};

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct filter *filter = l->arg;
    int word;

    filter->by.kind = api_field_string(f, "kind", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
    word = api_field_word(f, "state", API_OPTIONAL, state_words);
    if (word >= 0) {
        (void)db_task_state_parse(state_words[word], &filter->state);
        filter->by.state = &filter->state;
    }
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    const struct filter *filter = l->arg;

    return db_task_list(conn, &filter->by, l->after_number, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_task *t = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, t->number);
    return task_json(t);
}

struct api_response api_tasks_list(const struct api_context *ctx, const struct api_call *call)
{
    struct filter filter = {.by = {.kind = NULL}};
    struct api_list list = {.name = "list-tasks",
                            .row_size = sizeof(struct db_task),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

/* ---- one ---- */

struct task_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_task task;
};

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct task_tx *t = arg;

    return db_task_get(conn, t->call->params[0], &t->task, err);
}

struct api_response api_tasks_get(const struct api_context *ctx, const struct api_call *call)
{
    struct task_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-task", get_body, &t, &err);
    return err.code == CP_OK ? api_response_json(200, task_json(&t.task)) : api_refuse(call, &err);
}

static enum cp_err cancel_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct task_tx *t = arg;
    char detail[DB_TEXT_SIZE];

    (void)snprintf(detail, sizeof detail, "%s cancelled it before it began.",
                   t->call->who->account);
    CP_TRY(db_task_cancel(conn, t->call->params[0], cp_err_info(CP_ERR_CANCELLED)->code, detail,
                          &t->task, err));
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "task-cancelled",
                                               .subject = t->task.subject,
                                               .detail = json_pack("{s:s, s:s}", "task", t->task.id,
                                                                   "kind", t->task.kind)},
                           err);
}

struct api_response api_tasks_cancel(const struct api_context *ctx, const struct api_call *call)
{
    struct task_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_fields_none(call, &rs)) {
        return rs;
    }
    err.code = db_run_tx_locking(ctx->db, "cancel-task", cancel_body, &t, &err);
    return err.code == CP_OK ? api_response_json(200, task_json(&t.task)) : api_refuse(call, &err);
}

/* ---- its log ---- */

static enum cp_err fetch_log(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_task *task = l->arg;

    CP_TRY(db_task_get(conn, l->call->params[0], task, err));
    return db_task_log_list(conn, task->id, l->after_number, l->want, l->rows, &l->count, err);
}

static json_t *log_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_task_line *line = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, line->id);
    return json_pack("{s:I, s:o, s:s, s:s}", "id", (json_int_t)line->id, "time",
                     api_json_time(line->time), "level", db_task_level_name(line->level), "text",
                     line->text);
}

struct api_response api_tasks_log(const struct api_context *ctx, const struct api_call *call)
{
    struct db_task task;
    struct api_list list = {.name = "list-task-log",
                            .row_size = sizeof(struct db_task_line),
                            .cursor = API_CURSOR_NUMBER,
                            .fetch = fetch_log,
                            .row = log_row,
                            .arg = &task};

    return api_list_respond(ctx, call, &list);
}
