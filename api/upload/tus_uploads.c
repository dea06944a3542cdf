/* SPDX-License-Identifier: Apache-2.0
 * Resumable uploads as things: list, look (HEAD tells where to go on), delete, and what of tus is
 * spoken here. Touches the database and the blob store; thread-safe. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/framework/http_date.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/upload/tus.h"
#include "api/upload/tus_headers.h"
#include "common/time.h"

#define LOCKED_RETRY_S 5

/* Of enum db_upload_state, which has "any" before them. */
static const char *const state_words[] = {"receiving", "received", "finished", NULL};

/* ---- what they look like ---- */

enum cp_err api_tus_check_version(const struct api_request *rq, bool required, struct cp_error *err)
{
    const char *version = api_request_header(rq, "Tus-Resumable");

    if (version == NULL ? !required : strcmp(version, API_TUS_VERSION) == 0) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_TUS_VERSION,
                        "Header 'Tus-Resumable' is '%.40s': the version spoken here "
                        "is " API_TUS_VERSION ".",
                        version != NULL ? version : "");
}

void api_tus_headers(struct api_response *rs, const struct db_upload *row)
{
    char date[API_HTTP_DATE_SIZE];

    api_http_date((int64_t)(row->expires_at / CP_SEC), date);
    api_header_add(rs, "Tus-Resumable", API_TUS_VERSION);
    api_header_add(rs, "Upload-Offset", "%" PRIu64, row->received);
    api_header_add(rs, "Upload-Expires", "%s", date);
}

struct api_response api_tus_refuse(const struct api_request *rq, const struct cp_error *err,
                                   const struct db_upload *row)
{
    struct api_response rs = api_problem(rq, err);

    api_header_add(&rs, "Tus-Resumable", API_TUS_VERSION);
    if (err->code == CP_ERR_TUS_VERSION) {
        api_header_add(&rs, "Tus-Version", API_TUS_VERSION);
    } else if (err->code == CP_ERR_UPLOAD_OFFSET && row != NULL) {
        api_header_add(&rs, "Upload-Offset", "%" PRIu64, row->received);
    } else if (err->code == CP_ERR_UPLOAD_LOCKED) {
        api_header_add(&rs, "Retry-After", "%d", LOCKED_RETRY_S);
    }
    return rs;
}

void api_tus_subject(const struct db_upload *row, char ret_subject[DB_TEXT_SIZE])
{
    (void)snprintf(ret_subject, DB_TEXT_SIZE, "package %s version %u", row->package,
                   (unsigned)row->version);
}

json_t *api_tus_json(const struct db_upload *row)
{
    const char *state = state_words[db_upload_state_of(row) - DB_UPLOAD_RECEIVING];

    return json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
        row->id, "node_id", row->node_id, "package", row->package, "version",
        (json_int_t)row->version, "path", row->path, "mode", (json_int_t)row->mode, "size",
        (json_int_t)row->size, "received", (json_int_t)row->received, "state", state, "sha256",
        api_json_text(row->digest[0] != '\0' ? row->digest : row->announced), "account",
        api_json_text(row->account), "created_at", api_json_time(row->created_at), "updated_at",
        api_json_time(row->updated_at), "expires_at", api_json_time(row->expires_at), "finished_at",
        api_json_time(row->finished_at));
}

/* ---- list ---- */

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct db_upload_list *filter = l->arg;

    filter->state =
        (enum db_upload_state)(api_field_word(f, "state", API_OPTIONAL, state_words) + 1);
    if (l->call->param_count == 0) {
        filter->package = api_field_string(f, "package", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
    }
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_upload_list *filter = l->arg;
    struct db_version version;

    if (l->call->param_count > 0) {
        CP_TRY(api_version_find(conn, l->call->params[0], l->call->params[1], &version, err));
        filter->version_id = version.id;
    }
    filter->after = l->after_number;
    return db_upload_list(conn, filter, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_upload *u = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, u->number);
    return api_tus_json(u);
}

struct api_response api_uploads_list(const struct api_context *ctx, const struct api_call *call)
{
    struct db_upload_list filter = {.version_id = NULL};
    struct api_list list = {.name = "list-uploads",
                            .row_size = sizeof(struct db_upload),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

/* ---- one ---- */

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_tus_work *w = arg;

    return db_upload_get(conn, w->ctx->node_id, w->call->params[0], &w->row, err);
}

/* A client takes "all bytes are here" for "the draft has the file": where a crash or a refusal came
 * in between, that is made true before it is said. */
static enum cp_err look(struct api_tus_work *w, struct cp_error *err)
{
    CP_TRY(api_tus_check_version(w->call->rq, false, err));
    CP_TRY(db_run_read(w->ctx->db, "get-upload", get_body, w, err));
    if (w->call->rq->method != API_HEAD || w->call->who->role < API_ROLE_OPERATOR ||
        w->row.received < w->row.size || w->row.finished_at != 0) {
        return CP_OK;
    }
    CP_TRY(api_tus_take(w, w->call->params[0], err));
    return api_tus_complete(w, err);
}

struct api_response api_uploads_get(const struct api_context *ctx, const struct api_call *call)
{
    struct api_tus_work w = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = look(&w, &err);
    if (err.code == CP_OK) {
        rs = api_response_json(200, api_tus_json(&w.row));
        api_tus_headers(&rs, &w.row);
        api_header_add(&rs, "Upload-Length", "%" PRIu64, w.row.size);
        if (w.row.metadata[0] != '\0') {
            api_header_add(&rs, "Upload-Metadata", "%s", w.row.metadata);
        }
    } else {
        rs = api_tus_refuse(call->rq, &err, &w.row);
    }
    blob_partial_close(w.file);
    return rs;
}

/* ---- delete ---- */

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_tus_work *w = arg;
    char subject[DB_TEXT_SIZE];

    CP_TRY(db_upload_delete(conn, w->row.id, err));
    api_tus_subject(&w->row, subject);
    return api_event_write(conn, w->ctx, w->call,
                           &(struct api_event){.kind = "upload-deleted",
                                               .subject = subject,
                                               .detail = api_tus_json(&w->row),
                                               .before = api_tus_json(&w->row)},
                           err);
}

enum cp_err api_tus_delete(struct api_tus_work *w, struct cp_error *err)
{
    CP_TRY(db_run_tx_locking(w->ctx->db, "delete-upload", delete_body, w, err));
    return blob_partial_remove(w->file, err);
}

static enum cp_err terminate(struct api_tus_work *w, struct cp_error *err)
{
    CP_TRY(api_tus_check_version(w->call->rq, false, err));
    CP_TRY(api_tus_take(w, w->call->params[0], err));
    return api_tus_delete(w, err);
}

struct api_response api_uploads_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct api_tus_work w = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = terminate(&w, &err);
    if (err.code == CP_OK) {
        rs = api_response_empty(204);
        api_header_add(&rs, "Tus-Resumable", API_TUS_VERSION);
    } else {
        rs = api_tus_refuse(call->rq, &err, &w.row);
    }
    blob_partial_close(w.file);
    return rs;
}

/* ---- what is spoken ---- */

struct options {
    const struct api_context *ctx;
    struct db_settings settings;
};

static enum cp_err options_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct options *o = arg;

    return db_settings_get(conn, o->ctx->node_id, &o->settings, err);
}

struct api_response api_uploads_options(const struct api_context *ctx, const struct api_call *call)
{
    struct options o = {.ctx = ctx};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = db_run_read(ctx->db, "get-settings", options_body, &o, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    rs = api_response_empty(204);
    api_header_add(&rs, "Tus-Resumable", API_TUS_VERSION);
    api_header_add(&rs, "Tus-Version", API_TUS_VERSION);
    api_header_add(&rs, "Tus-Extension", API_TUS_EXTENSIONS);
    api_header_add(&rs, "Tus-Checksum-Algorithm", "sha256");
    if (o.settings.library_quota_bytes > 0) {
        api_header_add(&rs, "Tus-Max-Size", "%" PRIu64, o.settings.library_quota_bytes);
    }
    return rs;
}
