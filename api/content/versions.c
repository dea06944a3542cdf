/* SPDX-License-Identifier: Apache-2.0
 * Versions: list, create a draft, get, change, retire, delete. Sealing is in seal.c. Touches the database;
 * thread-safe. */
#include "api/content/versions.h"

#include <stdio.h>
#include <string.h>

#include "api/content/labels.h"
#include "api/content/removal.h"
#include "api/framework/etag.h"
#include "api/framework/idempotency.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"

static json_t *manifest_json(const struct db_version *v)
{
    if (v->state == DB_VERSION_DRAFT) {
        return json_null();
    }
    return json_pack("{s:I, s:s, s:s, s:s}", "size", (json_int_t)v->manifest_size, "sha256",
                     v->manifest_sha256, "signature", v->manifest_signature, "key",
                     v->manifest_key);
}

json_t *api_version_json(const struct db_version *v)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
                     "id", v->id, "package", v->package, "version", (json_int_t)v->number, "state",
                     db_version_state_name(v->state), "content", v->damaged ? "damaged" : "good",
                     "description", v->description, "labels", api_labels_json(v->labels),
                     "file_count", (json_int_t)v->file_count, "file_bytes",
                     (json_int_t)v->file_bytes, "stream_size", (json_int_t)v->stream_size,
                     "content_size", (json_int_t)v->content_size, "manifest", manifest_json(v),
                     "created_at", api_json_time(v->created_at), "sealed_at",
                     api_json_time(v->sealed_at), "retired_at", api_json_time(v->retired_at));
}

struct version_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_version version;
    struct db_version present, wanted; /* before and for a change */
    struct api_removal removal;
    char subject[DB_TEXT_SIZE];
};

static void set_subject(struct version_tx *t)
{
    (void)snprintf(t->subject, sizeof t->subject, "package %s version %u", t->version.package,
                   (unsigned)t->version.number);
}

/* ---- list, get ---- */

static const char *const state_words[] = {"draft", "sealed", "retired", NULL};

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct db_version_list *filter = l->arg;

    filter->state = api_list_word(f, "state", state_words);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_version_list *filter = l->arg;

    filter->package = l->call->params[0];
    filter->ascending = !l->descending;
    filter->after = l->after_number > UINT32_MAX ? UINT32_MAX : (uint32_t)l->after_number;
    return db_version_list(conn, filter, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_version *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%u", (unsigned)r->number);
    return api_version_json(r);
}

struct api_response api_versions_list(const struct api_context *ctx, const struct api_call *call)
{
    static const struct api_sort sorts[] = {{"version", API_CURSOR_NUMBER}};
    struct db_version_list filter = {.state = NULL};
    struct api_list list = {.name = "list-versions",
                            .row_size = sizeof(struct db_version),
                            .sorts = sorts,
                            .sort_count = 1,
                            .descending = true,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct version_tx *t = arg;

    return api_version_find(conn, t->call->params[0], t->call->params[1], &t->version, err);
}

struct api_response api_versions_get(const struct api_context *ctx, const struct api_call *call)
{
    struct version_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-version", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.version.revision, api_version_json(&t.version));
}

/* ---- create, change ---- */

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct version_tx *t = arg;

    CP_TRY(db_version_create(conn, &t->wanted, &t->version, err));
    set_subject(t);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "version-created",
                                               .subject = t->subject,
                                               .after = api_version_json(&t->version)},
                           err);
}

static struct api_response created(const void *arg)
{
    const struct version_tx *t = arg;
    struct api_response rs = api_response_json(201, api_version_json(&t->version));

    api_etag_add(&rs, t->version.revision);
    api_header_add(&rs, "Location", "/api/v1/packages/%s/versions/%u", t->version.package,
                   (unsigned)t->version.number);
    return rs;
}

/* False: *ret_response refuses the body. */
static bool read_changes(const struct api_call *call, struct db_version *v,
                         struct api_response *ret_response)
{
    struct api_fields f;

    api_fields_body(&f, call);
    api_description_read(&f, v->description);
    api_labels_read(&f, v->labels);
    if (!api_fields_ok(&f)) {
        *ret_response = api_fields_refuse(&f, call);
        return false;
    }
    api_fields_done(&f);
    return true;
}

struct api_response api_versions_create(const struct api_context *ctx, const struct api_call *call)
{
    struct version_tx t = {.ctx = ctx, .call = call};
    struct api_creation creation = {
        .name = "create-version", .body = create_body, .answer = created, .arg = &t};
    struct api_response rs;

    if (!read_changes(call, &t.wanted, &rs)) {
        return rs;
    }
    (void)snprintf(t.wanted.package, sizeof t.wanted.package, "%s", call->params[0]);
    if (strcmp(t.wanted.package, call->params[0]) != 0) { /* longer than any name */
        return api_refuse_text(call, CP_ERR_PACKAGE_NOT_FOUND, "There is no package '%.100s'.",
                               call->params[0]);
    }
    return api_create(ctx, call, &creation);
}

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct version_tx *t = arg;

    CP_TRY(db_version_update(conn, &t->wanted, &t->version, err));
    set_subject(t);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "version-changed",
                                               .subject = t->subject,
                                               .detail = api_version_json(&t->version),
                                               .before = api_version_json(&t->present)},
                           err);
}

struct api_response api_versions_update(const struct api_context *ctx, const struct api_call *call)
{
    struct version_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = db_run_read(ctx->db, "get-version", get_body, &t, &err);
    if (err.code == CP_OK) {
        err.code = api_etag_require(call->rq, t.version.revision, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    t.present = t.version;
    t.wanted = t.version;
    if (!read_changes(call, &t.wanted, &rs)) {
        return rs;
    }
    err.code = db_run_tx_locking(ctx->db, "update-version", update_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.version.revision, api_version_json(&t.version));
}

/* ---- retire, delete ---- */

static enum cp_err retire_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct version_tx *t = arg;

    CP_TRY(get_body(conn, t, err));
    set_subject(t);
    t->present = t->version;
    CP_TRY(api_etag_honour(t->call->rq, t->version.revision, err));
    CP_TRY(db_version_retire(conn, t->version.id, t->version.revision, &t->version, err));
    if (t->present.state == DB_VERSION_RETIRED) {
        return CP_OK;
    }
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "version-retired",
                                               .subject = t->subject,
                                               .before = api_version_json(&t->present),
                                               .after = api_version_json(&t->version)},
                           err);
}

struct api_response api_versions_retire(const struct api_context *ctx, const struct api_call *call)
{
    struct version_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_fields_none(call, &rs)) {
        return rs;
    }
    err.code = db_run_tx(ctx->db, "retire-version", retire_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    rs = api_response_json(200, api_version_json(&t.version));
    api_etag_add(&rs, t.version.revision);
    return rs;
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct version_tx *t = arg;

    CP_TRY(get_body(conn, t, err));
    set_subject(t);
    CP_TRY(api_etag_require(t->call->rq, t->version.revision, err));
    CP_TRY(api_removal_look(conn, &t->removal, NULL, t->version.id, err));
    CP_TRY(db_version_delete(conn, t->version.id, t->version.revision, err));
    CP_TRY(api_removal_end(&t->removal));
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "version-deleted",
                                               .subject = t->subject,
                                               .before = api_version_json(&t->version)},
                           err);
}

struct api_response api_versions_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct version_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_removal_read(call, &t.removal, &rs)) {
        return rs;
    }
    err.code = db_run_tx(ctx->db, "delete-version", delete_body, &t, &err);
    return api_removal_respond(call, &t.removal, &err);
}
