/* SPDX-License-Identifier: Apache-2.0
 * Packages: list, create, get, change, delete. Touches the database; thread-safe. */
#include "api/content/packages.h"

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

static const char *const policy_words[] = {"off", "prefer", "require", NULL};
static const char *const access_words[] = {"inherit", "anonymous", "authenticated", NULL};

json_t *api_package_json(const struct db_package *p)
{
    json_t *current = p->current_version > 0 ? json_integer(p->current_version) : json_null();

    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:o, s:o, s:b, s:I, s:o, s:o}", "id", p->id,
                     "name", p->name, "description", p->description, "multicast",
                     db_policy_name(p->policy), "encrypt", p->encrypt, "content_access",
                     db_access_name(p->access), "labels", api_labels_json(p->labels),
                     "current_version", current, "current_pinned", p->pinned_version > 0,
                     "version_count", (json_int_t)p->version_count, "created_at",
                     api_json_time(p->created_at), "updated_at", api_json_time(p->updated_at));
}

struct package_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_package_change change;
    struct api_removal removal;
};

static void set_subject(char ret_subject[DB_TEXT_SIZE], const char *name)
{
    (void)snprintf(ret_subject, DB_TEXT_SIZE, "package %s", name);
}

/* ---- list, get ---- */

struct filter {
    struct db_package_list list;
    char label[API_LABEL_SIZE];
};

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct filter *filter = l->arg;

    filter->list.name_prefix =
        api_field_string(f, "name_prefix", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
    filter->list.label = api_labels_filter(f, filter->label);
    filter->list.policy = api_list_word(f, "multicast", policy_words);
    filter->list.access = api_list_word(f, "content_access", access_words);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct filter *filter = l->arg;

    filter->list.sort = (enum db_package_sort)l->sort;
    filter->list.descending = l->descending;
    filter->list.after = l->after;
    filter->list.after_time = l->after_time;
    return db_package_list(conn, &filter->list, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_package *r = row;

    if (l->sort == DB_PACKAGE_BY_NAME) {
        (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->name);
    } else {
        api_cursor_time(ret_cursor,
                        l->sort == DB_PACKAGE_BY_CREATED ? r->created_at : r->updated_at, r->name);
    }
    return api_package_json(r);
}

struct api_response api_packages_list(const struct api_context *ctx, const struct api_call *call)
{
    static const struct api_sort sorts[] = {
        [DB_PACKAGE_BY_NAME] = {"name", API_CURSOR_TEXT},
        [DB_PACKAGE_BY_CREATED] = {"created_at", API_CURSOR_TIME_TEXT},
        [DB_PACKAGE_BY_UPDATED] = {"updated_at", API_CURSOR_TIME_TEXT}};
    struct filter filter = {.list = {.after = NULL}};
    struct api_list list = {.name = "list-packages",
                            .row_size = sizeof(struct db_package),
                            .sorts = sorts,
                            .sort_count = sizeof sorts / sizeof sorts[0],
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;

    return db_package_get(conn, t->call->params[0], &t->change.present, err);
}

struct api_response api_packages_get(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-package", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.change.present.revision,
                                 api_package_json(&t.change.present));
}

/* ---- create ---- */

static bool name_ok(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

    return strchr(first, name[0]) != NULL && name[strspn(name, rest)] == '\0';
}

/* In a merge patch null takes a field back to what a new package has. */
static int read_word(struct api_fields *f, const char *name, const char *const *words, int unset)
{
    if (f->rq->method == API_PATCH && api_field_null(f, name)) {
        return unset;
    }
    return api_field_word(f, name, API_OPTIONAL, words);
}

void api_package_read(struct api_fields *f, struct db_package *p)
{
    int policy = read_word(f, "multicast", policy_words, DB_POLICY_PREFER);
    int access = read_word(f, "content_access", access_words, DB_ACCESS_INHERIT);

    api_description_read(f, p->description);
    api_labels_read(f, p->labels);
    if (policy >= 0) {
        (void)db_policy_parse(policy_words[policy], &p->policy);
    }
    if (access >= 0) {
        (void)db_access_parse(access_words[access], &p->access);
    }
    if (f->rq->method == API_PATCH && api_field_null(f, "encrypt")) {
        p->encrypt = true;
    } else {
        (void)api_field_bool(f, "encrypt", API_OPTIONAL, &p->encrypt);
    }
}

const char *api_package_read_name(struct api_fields *f)
{
    const char *name = api_field_string(f, "name", API_REQUIRED, 1, DB_NAME_SIZE - 1);

    if (name != NULL && !name_ok(name)) {
        api_field_error(f, "name",
                        "must be of a-z, 0-9, '.', '_', '-' and begin with a letter or digit");
        return NULL;
    }
    return name;
}

enum cp_err api_package_make(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, const struct db_package *wanted,
                             struct db_package *ret_package, struct cp_error *err)
{
    enum cp_err code = db_package_create(conn, wanted, ret_package, err);
    char subject[DB_TEXT_SIZE];

    if (code == CP_ERR_CONFLICT) {
        return api_etag_taken(call->rq, err,
                              "Field 'name': a package '%s' exists already: choose another name, "
                              "or add a version to it.",
                              wanted->name);
    }
    CP_TRY(code);
    set_subject(subject, wanted->name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "package-created",
                                               .subject = subject,
                                               .detail = api_package_json(ret_package)},
                           err);
}

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;

    return api_package_make(conn, t->ctx, t->call, &t->change.wanted, &t->change.result, err);
}

static struct api_response created(const void *arg)
{
    const struct package_tx *t = arg;
    const struct db_package *p = &t->change.result;
    struct api_response rs = api_response_json(201, api_package_json(p));

    api_etag_add(&rs, p->revision);
    api_header_add(&rs, "Location", "/api/v1/packages/%s", p->name);
    return rs;
}

struct api_response api_packages_create(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {.ctx = ctx, .call = call, .change = {.wanted = API_PACKAGE_NEW}};
    struct db_package *wanted = &t.change.wanted;
    struct api_creation creation = {
        .name = "create-package", .body = create_body, .answer = created, .arg = &t};
    struct api_fields f;
    const char *name;

    api_fields_body(&f, call);
    name = api_package_read_name(&f);
    api_package_read(&f, wanted);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    (void)snprintf(wanted->name, sizeof wanted->name, "%s", name);
    api_fields_done(&f);
    return api_create(ctx, call, &creation);
}

/* ---- change, delete ---- */

enum cp_err api_package_change(struct db_conn *conn, const struct api_context *ctx,
                               const struct api_call *call, struct api_package_change *c,
                               struct cp_error *err)
{
    bool access = c->wanted.access != c->present.access && !c->settle_later;
    char subject[DB_TEXT_SIZE];

    if (access) {
        CP_TRY(api_access_change_begin(conn, err));
    }
    CP_TRY(db_package_update(conn, &c->wanted, &c->result, err));
    if (access) {
        CP_TRY(api_access_change_settle(conn, ctx, call, &c->consequences, err));
    }
    set_subject(subject, c->result.name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "package-changed",
                                               .subject = subject,
                                               .detail = api_package_json(&c->result),
                                               .before = api_package_json(&c->present)},
                           err);
}

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;

    return api_package_change(conn, t->ctx, t->call, &t->change, err);
}

/* The present package when If-Match names it. */
static enum cp_err load_matching(struct package_tx *t, struct cp_error *err)
{
    CP_TRY(db_run_read(t->ctx->db, "get-package", get_body, t, err));
    return api_etag_require(t->call->rq, t->change.present.revision, err);
}

struct api_response api_packages_update(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {.ctx = ctx, .call = call};
    struct api_package_change *c = &t.change;
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;
    json_t *value;

    err.code = load_matching(&t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    c->wanted = c->present;
    api_fields_body(&f, call);
    api_package_read(&f, &c->wanted);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    /* the row's lock decides; a change of access must see the joins that it waited for */
    err.code = db_run_tx_locking(ctx->db, "update-package", update_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    value = api_package_json(&c->result);
    (void)json_object_set_new(value, "consequences", api_consequences_json(&c->consequences));
    return api_response_resource(call->rq, c->result.revision, value);
}

enum cp_err api_package_remove(struct db_conn *conn, const struct api_context *ctx,
                               const struct api_call *call, const struct db_package *package,
                               struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];

    CP_TRY(db_package_delete(conn, package->name, package->revision, err));
    set_subject(subject, package->name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "package-deleted",
                                               .subject = subject,
                                               .before = api_package_json(package)},
                           err);
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct package_tx *t = arg;
    const struct db_package *p = &t->change.present;

    CP_TRY(api_removal_look(conn, &t->removal, p->id, NULL, err));
    CP_TRY(api_package_remove(conn, t->ctx, t->call, p, err));
    return api_removal_end(&t->removal);
}

struct api_response api_packages_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct package_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_removal_read(call, &t.removal, &rs)) {
        return rs;
    }
    err.code = load_matching(&t, &err);
    if (err.code == CP_OK) {
        err.code = db_run_tx_locking(ctx->db, "delete-package", delete_body, &t, &err);
    }
    return api_removal_respond(call, &t.removal, &err);
}
