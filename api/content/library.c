/* SPDX-License-Identifier: Apache-2.0
 * The content library of a distribution point: figures, its blobs, and asking for it to be cleaned,
 * read or counted. Touches the database and looks at the library's folders; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/fields.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/tasks.h"
#include "content/blob_care.h"
#include "db/blob.h"
#include "db/settings.h"
#include "db/task.h"

/* ---- figures ---- */

static const char *const run_kinds[] = {"collect-garbage", "recount-references", "validate-library",
                                        "drop-history"};
#define RUN_COUNT (sizeof run_kinds / sizeof run_kinds[0])

struct library_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_node node;
    struct db_settings settings;
    struct db_blob_figures figures;
    json_t *runs;
    json_t *disk; /* what the store took of it when it was last measured */
};

static json_t *run_json(const struct db_task *t)
{
    json_t *result = t->result[0] != '\0' ? json_loads(t->result, 0, NULL) : NULL;

    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "kind", t->kind, "task", t->id, "state",
                     db_task_state_name(t->state), "code", api_json_text(t->code), "created_at",
                     api_json_time(t->created_at), "ended_at", api_json_time(t->ended_at), "result",
                     result != NULL ? result : json_null());
}

static enum cp_err read_run(struct db_conn *conn, struct library_tx *t, const char *kind,
                            struct cp_error *err)
{
    struct db_task *task = calloc(1, sizeof *task);
    enum cp_err rc;

    if (task == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the library's figures.");
    }
    rc = db_task_newest(conn, t->node.id, kind, "", task, err);
    if (rc == CP_OK) {
        (void)json_array_append_new(t->runs, run_json(task));
    }
    free(task);
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

/* A large store takes long to measure: the last collection, at most an hour ago, has done it. */
static enum cp_err read_disk(struct db_conn *conn, struct library_tx *t, struct cp_error *err)
{
    struct db_task *task = calloc(1, sizeof *task);
    json_t *result;
    enum cp_err rc;

    if (task == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the library's figures.");
    }
    rc = db_task_last_done(conn, t->node.id, run_kinds[0], "", task, err);
    if (rc == CP_OK) {
        result = json_loads(task->result, 0, NULL);
        t->disk = json_pack("{s:I, s:o}", "bytes",
                            json_integer_value(json_object_get(result, "disk_bytes")),
                            "measured_at", api_json_time(task->ended_at));
        json_decref(result);
    }
    free(task);
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static void drop_json(struct library_tx *t)
{
    json_decref(t->runs);
    json_decref(t->disk);
    t->runs = NULL;
    t->disk = NULL;
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct library_tx *t = arg;

    CP_TRY(api_node_find(conn, t->ctx, t->call->params[0], &t->node, err));
    CP_TRY(db_settings_get(conn, t->node.id, &t->settings, err));
    CP_TRY(db_blob_figures(conn, &t->figures, err));
    drop_json(t);
    t->runs = json_array();
    for (size_t i = 0; i < RUN_COUNT; i++) {
        CP_TRY(read_run(conn, t, run_kinds[i], err));
    }
    return read_disk(conn, t, err);
}

static json_t *sum_json(uint64_t count, uint64_t bytes)
{
    return json_pack("{s:I, s:I}", "count", (json_int_t)count, "bytes", (json_int_t)bytes);
}

static enum cp_err add_up(void *arg, const struct blob_found *found, struct cp_error *err)
{
    struct db_blob_sum *sum = arg;

    (void)err;
    sum->blobs++;
    sum->bytes += found->size;
    return CP_OK;
}

static enum cp_err add_place(struct library_tx *t, enum blob_place place, const char *name,
                             json_t *value, struct cp_error *err)
{
    struct db_blob_sum sum = {.blobs = 0};

    CP_TRY(blob_store_walk(t->ctx->blobs, place, add_up, &sum, err));
    (void)json_object_set_new(value, name, sum_json(sum.blobs, sum.bytes));
    return CP_OK;
}

/* What only the node itself can see. */
static enum cp_err add_local(struct library_tx *t, json_t *value, struct cp_error *err)
{
    uint64_t size, room;

    CP_TRY(add_place(t, BLOB_IN_QUARANTINE, "quarantine", value, err));
    CP_TRY(add_place(t, BLOB_INCOMING, "partial_uploads", value, err));
    CP_TRY(blob_store_space(t->ctx->blobs, &size, &room, err));
    (void)json_object_set_new(value, "file_system",
                              json_pack("{s:I, s:I, s:I}", "size", (json_int_t)size, "free",
                                        (json_int_t)room, "reserve",
                                        (json_int_t)t->settings.library_reserve_bytes));
    return CP_OK;
}

/* As the node itself last found it: at its start, and at each collection. */
static json_t *identity_json(const struct db_node *n)
{
    return json_pack("{s:o, s:b, s:o}", "id", api_json_text(n->library_id), "foreign",
                     n->library_foreign_since != 0, "foreign_since",
                     api_json_time(n->library_foreign_since));
}

static json_t *library_json(const struct library_tx *t)
{
    const struct db_blob_figures *f = &t->figures;
    uint64_t stored = f->referenced.bytes + f->bad.bytes;

    return json_pack(
        "{s:s, s:o, s:{s:o, s:o, s:o}, s:I, s:I, s:o, s:O?, s:n, s:n, s:n, s:O}",
        "distribution_point", t->node.name, "identity", identity_json(&t->node), "blobs",
        "referenced", sum_json(f->referenced.blobs, f->referenced.bytes), "unused",
        sum_json(f->unused.blobs, f->unused.bytes), "damaged", sum_json(f->bad.blobs, f->bad.bytes),
        "logical_bytes", (json_int_t)f->logical_bytes, "stored_bytes", (json_int_t)stored,
        "deduplication",
        stored > 0 ? json_real((double)f->logical_bytes / (double)stored) : json_null(), "disk",
        t->disk, "quarantine", "partial_uploads", "file_system", "runs", t->runs);
}

struct api_response api_library_get(const struct api_context *ctx, const struct api_call *call)
{
    struct library_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    json_t *value = NULL;

    err.code = db_run_read(ctx->db, "get-library", get_body, &t, &err);
    if (err.code == CP_OK) {
        value = library_json(&t);
        if (value != NULL && strcmp(t.node.id, ctx->node_id) == 0) {
            err.code = add_local(&t, value, &err);
        }
    }
    drop_json(&t);
    if (err.code != CP_OK) {
        json_decref(value);
        return api_refuse(call, &err);
    }
    return api_response_json(200, value);
}

/* ---- its blobs ---- */

static const char *const state_words[] = {"good", "missing", "damaged", "size-differs", NULL};

struct blob_filter {
    struct db_blob_filter by;
    enum db_blob_state state;
};

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct blob_filter *filter = l->arg;
    int word = api_field_word(f, "state", API_OPTIONAL, state_words);

    if (word >= 0) {
        (void)db_blob_state_parse(state_words[word], &filter->state);
        filter->by.state = &filter->state;
    }
    (void)api_field_bool(f, "unused", API_OPTIONAL, &filter->by.only_unused);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    const struct blob_filter *filter = l->arg;
    struct db_node node;

    CP_TRY(api_node_find(conn, l->ctx, l->call->params[0], &node, err));
    return db_blob_list(conn, &filter->by, l->after, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_blob *b = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", b->sha256);
    return json_pack("{s:s, s:I, s:I, s:s, s:o, s:o, s:o}", "sha256", b->sha256, "size",
                     (json_int_t)b->size, "references", (json_int_t)b->references, "state",
                     db_blob_state_name(b->state), "checked_at", api_json_time(b->checked_at),
                     "unused_since", api_json_time(b->unused_since), "created_at",
                     api_json_time(b->created_at));
}

struct api_response api_library_blobs(const struct api_context *ctx, const struct api_call *call)
{
    struct blob_filter filter = {.by = {.state = NULL}};
    struct api_list list = {.name = "list-blobs",
                            .row_size = sizeof(struct db_blob),
                            .cursor = API_CURSOR_TEXT,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

/* ---- asking for work ---- */

struct asking {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_task task;
    bool dry_run;
    const char *package; /* of validation, NULL: all */
    int64_t number;      /* 0: all versions */
};

/* What it is about must be there now; what is gone later is no failure. */
static enum cp_err set_scope(struct db_conn *conn, struct asking *a, struct cp_error *err)
{
    struct db_package package;
    struct db_version version;

    if (a->package == NULL) {
        return CP_OK;
    }
    if (a->number > 0) {
        CP_TRY(db_version_get(conn, a->package, (uint32_t)a->number, &version, err));
        (void)snprintf(a->task.subject, sizeof a->task.subject, "package %s version %u", a->package,
                       (unsigned)a->number);
    } else {
        CP_TRY(db_package_get(conn, a->package, &package, err));
        (void)snprintf(a->task.subject, sizeof a->task.subject, "package %s", a->package);
    }
    a->task.params = json_pack("{s:s, s:I}", "package", a->package, "version", a->number);
    return CP_OK;
}

static enum cp_err ask_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct asking *a = arg;
    struct db_node node;

    CP_TRY(api_node_find(conn, a->ctx, a->call->params[0], &node, err));
    memcpy(a->task.node_id, node.id, sizeof a->task.node_id);
    a->task.params = NULL;
    if (a->dry_run) {
        (void)snprintf(a->task.subject, sizeof a->task.subject, "dry run");
        a->task.params = json_pack("{s:b}", "dry_run", 1);
    }
    CP_TRY(set_scope(conn, a, err));
    return api_task_ask(conn, a->ctx, a->call, &a->task, err);
}

static struct api_response ask(struct asking *a)
{
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_tx_locking(a->ctx->db, "ask-library", ask_body, a, &err);
    return err.code == CP_OK ? api_task_accepted(&a->task) : api_refuse(a->call, &err);
}

struct api_response api_library_collect(const struct api_context *ctx, const struct api_call *call)
{
    struct asking a = {
        .ctx = ctx, .call = call, .task = {.kind = "collect-garbage", .unit = DB_TASK_ITEMS}};
    struct api_response rs;
    struct api_fields f;

    if (!api_fields_none(call, &rs)) {
        return rs;
    }
    api_fields_query(&f, call);
    (void)api_field_bool(&f, "dry_run", API_OPTIONAL, &a.dry_run);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    return ask(&a);
}

struct api_response api_library_recount(const struct api_context *ctx, const struct api_call *call)
{
    struct asking a = {
        .ctx = ctx, .call = call, .task = {.kind = "recount-references", .unit = DB_TASK_ITEMS}};
    struct api_response rs;

    return api_fields_none(call, &rs) ? ask(&a) : rs;
}

struct api_response api_library_validate(const struct api_context *ctx, const struct api_call *call)
{
    struct asking a = {
        .ctx = ctx, .call = call, .task = {.kind = "validate-library", .unit = DB_TASK_BYTES}};
    struct api_response rs;
    struct api_fields f;

    api_fields_body(&f, call);
    a.package = api_field_string(&f, "package", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
    (void)api_field_int(&f, "version", API_OPTIONAL, 1, INT32_MAX, &a.number);
    if (a.number > 0 && a.package == NULL) {
        api_field_error(&f, "version", "needs the package that it is of");
    }
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    rs = ask(&a); /* the package's name lives in the fields */
    api_fields_done(&f);
    return rs;
}
