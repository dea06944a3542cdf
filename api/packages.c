/* SPDX-License-Identifier: Apache-2.0
 * Packages: list, create, get, change, delete. Touches the database; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/etag.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/list.h"
#include "api/resource.h"
#include "api/respond.h"
#include "db/package.h"

static const char *const policy_words[] = {"off", "prefer", "require", NULL};
static const char *const access_words[] = {"inherit", "anonymous", "authenticated", NULL};

static json_t *package_json(const struct db_package *p)
{
    json_t *current = p->current_version > 0 ? json_integer(p->current_version) : json_null();

    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:o, s:I, s:o, s:o}", "id", p->id, "name",
                     p->name, "description", p->description, "multicast", db_policy_name(p->policy),
                     "encrypt", p->encrypt, "content_access", db_access_name(p->access),
                     "current_version", current, "version_count", (json_int_t)p->version_count,
                     "created_at", api_json_time(p->created_at), "updated_at",
                     api_json_time(p->updated_at));
}

struct package_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_package package;
    struct db_package result;
    char subject[DB_TEXT_SIZE];
};

static void set_subject(struct package_tx *t, const char *name)
{
    (void)snprintf(t->subject, sizeof t->subject, "package %s", name);
}

/* ---- list, get ---- */

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    return db_package_list(conn, l->after, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_package *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->name);
    return package_json(r);
}

struct api_response api_packages_list(const struct api_context *ctx, const struct api_call *call)
{
    struct api_list list = {.name = "list-packages",
                            .row_size = sizeof(struct db_package),
                            .cursor = API_CURSOR_TEXT,
                            .fetch = fetch_page,
                            .row = page_row};

    return api_list_respond(ctx, call, &list);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;

    return db_package_get(conn, t->call->params[0], &t->result, err);
}

struct api_response api_packages_get(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-package", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.result.revision, package_json(&t.result));
}

/* ---- create ---- */

static bool name_ok(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

    return strchr(first, name[0]) != NULL && name[strspn(name, rest)] == '\0';
}

static void read_changes(struct api_fields *f, struct db_package *p)
{
    const char *description =
        api_field_string(f, "description", API_OPTIONAL, 0, sizeof p->description - 1);
    int policy = api_field_word(f, "multicast", API_OPTIONAL, policy_words);
    int access = api_field_word(f, "content_access", API_OPTIONAL, access_words);

    if (description != NULL) {
        (void)snprintf(p->description, sizeof p->description, "%s", description);
    }
    if (policy >= 0) {
        (void)db_policy_parse(policy_words[policy], &p->policy);
    }
    if (access >= 0) {
        (void)db_access_parse(access_words[access], &p->access);
    }
    (void)api_field_bool(f, "encrypt", API_OPTIONAL, &p->encrypt);
}

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;
    enum cp_err code = db_package_create(conn, &t->package, &t->result, err);

    if (code == CP_ERR_CONFLICT) {
        return cp_error_set(err, code,
                            "Field 'name': a package '%s' exists already: choose another name, or "
                            "add a version to it.",
                            t->package.name);
    }
    CP_TRY(code);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "package-created",
                                               .subject = t->subject,
                                               .detail = package_json(&t->result)},
                           err);
}

struct api_response api_packages_create(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {
        .ctx = ctx, .call = call, .package = {.policy = DB_POLICY_PREFER, .encrypt = true}};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;
    const char *name;

    api_fields_body(&f, call);
    name = api_field_string(&f, "name", API_REQUIRED, 1, sizeof t.package.name - 1);
    if (name != NULL && !name_ok(name)) {
        api_field_error(&f, "name",
                        "must be of a-z, 0-9, '.', '_', '-' and begin with a letter or digit");
    }
    read_changes(&f, &t.package);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    (void)snprintf(t.package.name, sizeof t.package.name, "%s", name);
    api_fields_done(&f);
    set_subject(&t, t.package.name);
    err.code = db_run_tx(ctx->db, "create-package", create_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    rs = api_response_json(201, package_json(&t.result));
    api_etag_add(&rs, t.result.revision);
    api_header_add(&rs, "Location", "/api/v1/packages/%s", t.result.name);
    return rs;
}

/* ---- change, delete ---- */

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;

    CP_TRY(db_package_update(conn, &t->package, &t->result, err));
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "package-changed",
                                               .subject = t->subject,
                                               .detail = package_json(&t->result)},
                           err);
}

/* The present package when If-Match names it. */
static enum cp_err load_matching(struct package_tx *t, struct cp_error *err)
{
    CP_TRY(db_run_read(t->ctx->db, "get-package", get_body, t, err));
    set_subject(t, t->result.name);
    return api_etag_require(t->call->rq, t->result.revision, err);
}

struct api_response api_packages_update(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;

    err.code = load_matching(&t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    t.package = t.result;
    api_fields_body(&f, call);
    read_changes(&f, &t.package);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    err.code = db_run_tx(ctx->db, "update-package", update_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.result.revision, package_json(&t.result));
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;

    CP_TRY(db_package_delete(conn, t->result.name, t->result.revision, err));
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "package-deleted", .subject = t->subject},
                           err);
}

struct api_response api_packages_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = load_matching(&t, &err);
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "delete-package", delete_body, &t, &err);
    }
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}
