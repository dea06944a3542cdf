/* SPDX-License-Identifier: Apache-2.0
 * Asking for a draft to be sealed: what can be refused is refused now, the work is a task
 * (jobs/seal.c). Touches the database; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/framework/etag.h"
#include "api/framework/fields.h"
#include "api/framework/idempotency.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/tasks.h"
#include "db/task.h"

struct seal_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_task task;
};

static enum cp_err check(const struct api_call *call, const struct db_version *v,
                         struct cp_error *err)
{
    CP_TRY(api_etag_honour(call->rq, v->revision, err));
    if (v->state != DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_SEALED, "Version %u of package '%s' is %s already.",
                            (unsigned)v->number, v->package, db_version_state_name(v->state));
    }
    if (v->file_count == 0) {
        return cp_error_set(err, CP_ERR_CONTENT_EMPTY,
                            "Version %u of package '%s' has no file: upload one, then seal.",
                            (unsigned)v->number, v->package);
    }
    return CP_OK;
}

/* Files may come and go until the task begins: what If-Match named is what is sealed. 0: whatever
 * there is then. */
static int64_t seen_files(const struct api_call *call, const struct db_version *v)
{
    const char *match = api_request_header(call->rq, "If-Match");

    return match == NULL || strcmp(match, "*") == 0 ? 0 : v->files_revision;
}

static enum cp_err seal_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct seal_tx *t = arg;
    struct db_version version;

    CP_TRY(api_version_find(conn, t->call->params[0], t->call->params[1], &version, err));
    CP_TRY(check(t->call, &version, err));
    (void)snprintf(t->task.subject, sizeof t->task.subject, "package %s version %u",
                   version.package, (unsigned)version.number);
    t->task.params = json_pack("{s:s, s:I, s:s, s:I}", "package", version.package, "version",
                               (json_int_t)version.number, "id", version.id, "files_revision",
                               (json_int_t)seen_files(t->call, &version));
    return api_task_ask(conn, t->ctx, t->call, &t->task, err);
}

static struct api_response accepted(const void *arg)
{
    const struct seal_tx *t = arg;

    return api_task_accepted(&t->task);
}

struct api_response api_versions_seal(const struct api_context *ctx, const struct api_call *call)
{
    struct seal_tx t = {
        .ctx = ctx, .call = call, .task = {.kind = "seal-version", .unit = DB_TASK_BYTES}};
    struct api_creation creation = {
        .name = "ask-to-seal", .body = seal_body, .answer = accepted, .arg = &t};
    struct api_response rs;

    return api_fields_none(call, &rs) ? api_create(ctx, call, &creation) : rs;
}
