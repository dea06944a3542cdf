/* SPDX-License-Identifier: Apache-2.0
 * Files of a version: list, get, delete. Uploads are in upload.c. Touches the database and the
 * blob store; thread-safe. */
#include "api/content/files.h"

#include <stdio.h>
#include <string.h>

#include "api/content/deliver.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "common/time.h"

json_t *api_file_json(const struct db_file *f)
{
    return json_pack("{s:s, s:I, s:I, s:s, s:o, s:s, s:o}", "path", f->path, "size",
                     (json_int_t)f->size, "mode", (json_int_t)f->mode, "sha256", f->sha256,
                     "updated_at", api_json_time(f->updated_at), "content",
                     db_blob_state_name(f->content), "checked_at", api_json_time(f->checked_at));
}

/* The digests of a list of tags; others are no file's. Weak ones count for If-None-Match only
 * (RFC 9110 8.8.3.2). */
static enum cp_err read_tags(const char *name, const char *list, bool strong, char *ret_digests,
                             struct cp_error *err)
{
    const char *end;
    size_t size = 0;

    for (const char *at = list; *at != '\0'; at = end + 1) {
        bool weak;

        at += strspn(at, " \t,");
        if (*at == '*') {
            memcpy(ret_digests, "*", 2);
            return CP_OK;
        }
        weak = at[0] == 'W' && at[1] == '/';
        at += weak ? 2 : 0;
        end = *at == '"' ? strchr(at + 1, '"') : NULL;
        if (end == NULL) {
            return CP_OK; /* the end, or not a list of tags */
        }
        if ((weak && strong) || (size_t)(end - at) != DB_DIGEST_SIZE ||
            strspn(at + 1, "0123456789abcdef") != DB_DIGEST_SIZE - 1) {
            continue;
        }
        if (size == (size_t)DB_FILE_DIGESTS_MAX * DB_DIGEST_SIZE) {
            return cp_error_set(err, CP_ERR_INVALID, "Header '%s' names more than %d files.", name,
                                DB_FILE_DIGESTS_MAX);
        }
        if (size > 0) {
            ret_digests[size - 1] = ',';
        }
        memcpy(ret_digests + size, at + 1, DB_DIGEST_SIZE - 1);
        size += DB_DIGEST_SIZE;
        ret_digests[size - 1] = '\0';
    }
    return CP_OK;
}

enum cp_err api_file_condition(const struct api_request *rq,
                               struct db_file_condition *ret_condition, struct cp_error *err)
{
    const char *match = api_request_header(rq, "If-Match");
    const char *none = api_request_header(rq, "If-None-Match");
    struct db_file_condition c = {.match = "", .none_match = ""};

    if (match != NULL) {
        memcpy(c.match, DB_FILE_MATCH_NEVER, sizeof DB_FILE_MATCH_NEVER);
        CP_TRY(read_tags("If-Match", match, true, c.match, err));
    }
    if (none != NULL) {
        CP_TRY(read_tags("If-None-Match", none, false, c.none_match, err));
    }
    *ret_condition = c;
    return CP_OK;
}

/* ---- list ---- */

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct db_file_list *filter = l->arg;

    filter->prefix = api_field_string(f, "path_prefix", API_OPTIONAL, 1, DB_PATH_SIZE - 1);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_file_list *filter = l->arg;
    struct db_version version;

    CP_TRY(api_version_find(conn, l->call->params[0], l->call->params[1], &version, err));
    filter->version_id = version.id;
    filter->after = l->after;
    return db_file_list_below(conn, filter, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_file *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->path);
    return api_file_json(r);
}

struct api_response api_files_list(const struct api_context *ctx, const struct api_call *call)
{
    struct db_file_list filter = {.prefix = NULL};
    struct api_list list = {.name = "list-files",
                            .row_size = sizeof(struct db_file),
                            .cursor = API_CURSOR_TEXT,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

/* ---- one file ---- */

struct file_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_version version;
    struct db_file file;
    struct db_file_condition condition;
};

static enum cp_err find_file(struct db_conn *conn, struct file_tx *t, struct cp_error *err)
{
    enum cp_err code = db_file_get(conn, t->version.id, t->call->params[2], &t->file, err);

    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, code,
                            "Version %u of package '%s' has no file '%.300s': 'GET …/files' lists "
                            "what it has.",
                            (unsigned)t->version.number, t->version.package, t->call->params[2]);
    }
    return code;
}

static enum cp_err refuse_damaged(struct db_conn *conn, const struct file_tx *t,
                                  struct cp_error *err)
{
    char what[DB_PATH_SIZE];

    (void)snprintf(what, sizeof what, "File '%.200s' of version %u of package '%s'", t->file.path,
                   (unsigned)t->version.number, t->version.package);
    return db_blob_usable(conn, t->file.sha256, what, err);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct file_tx *t = arg;

    CP_TRY(api_deliver_find(conn, t->ctx, t->call, true, &t->version, err));
    CP_TRY(find_file(conn, t, err));
    return t->file.content == DB_BLOB_GOOD ? CP_OK : refuse_damaged(conn, t, err);
}

struct api_response api_files_get(const struct api_context *ctx, const struct api_call *call)
{
    struct file_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-file", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_deliver_blob(ctx, call, t.file.sha256, t.file.size,
                            (int64_t)(t.file.updated_at / CP_SEC), false);
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct file_tx *t = arg;

    char subject[DB_TEXT_SIZE];

    CP_TRY(api_version_find(conn, t->call->params[0], t->call->params[1], &t->version, err));
    CP_TRY(find_file(conn, t, err));
    CP_TRY(db_file_delete(conn, t->version.id, t->call->params[2], &t->condition, err));
    (void)snprintf(subject, sizeof subject, "package %s version %u", t->version.package,
                   (unsigned)t->version.number);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "file-deleted",
                                               .subject = subject,
                                               .detail = api_file_json(&t->file),
                                               .before = api_file_json(&t->file)},
                           err);
}

struct api_response api_files_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct file_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = api_file_condition(call->rq, &t.condition, &err);
    if (err.code == CP_OK) {
        err.code = db_run_tx_locking(ctx->db, "delete-file", delete_body, &t, &err);
    }
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}
