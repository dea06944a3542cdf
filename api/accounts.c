/* SPDX-License-Identifier: Apache-2.0
 * Accounts: list, create, get, change, delete. Touches the database; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/etag.h"
#include "api/fields.h"
#include "api/handlers.h"
#include "api/list.h"
#include "api/resource.h"
#include "api/respond.h"
#include "db/account.h"
#include "keys/credentials.h"

/* NIST SP 800-63B asks for at least 8; the upper bound is what Basic is read up to. */
#define PASSWORD_MIN 8
#define PASSWORD_MAX 256

static const char *const role_words[] = {"content", "viewer", "operator", "admin", NULL};

struct account_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_account account;
    struct db_account result;
    char subject[DB_TEXT_SIZE];
};

static json_t *account_json(const struct db_account *a)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:o}", "id", a->id, "name", a->name,
                     "description", a->description, "role", db_role_name(a->role), "enabled",
                     a->enabled, "has_password", a->password_hash[0] != '\0', "created_at",
                     api_json_time(a->created_at), "updated_at", api_json_time(a->updated_at));
}

static void set_subject(struct account_tx *t, const char *name)
{
    (void)snprintf(t->subject, sizeof t->subject, "account %s", name);
}

/* ---- list, get ---- */

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    return db_account_list(conn, l->after, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_account *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->name);
    return account_json(r);
}

struct api_response api_accounts_list(const struct api_context *ctx, const struct api_call *call)
{
    struct api_list list = {.name = "list-accounts",
                            .row_size = sizeof(struct db_account),
                            .cursor = API_CURSOR_TEXT,
                            .fetch = fetch_page,
                            .row = page_row};

    return api_list_respond(ctx, call, &list);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;
    enum cp_err code = db_account_get(conn, t->call->params[0], &t->result, err);

    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, code,
                            "There is no account '%.100s': 'GET /api/v1/accounts' lists them.",
                            t->call->params[0]);
    }
    return code;
}

struct api_response api_accounts_get(const struct api_context *ctx, const struct api_call *call)
{
    struct account_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-account", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.result.revision, account_json(&t.result));
}

/* ---- fields ---- */

static bool name_ok(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._@-";

    return strchr(first, name[0]) != NULL && name[strspn(name, rest)] == '\0' && !db_is_uuid(name);
}

/* *ret_password: the new password, borrowed from the body; NULL: no change. "" takes it away. */
static void read_changes(struct api_fields *f, enum api_presence role_presence,
                         struct db_account *a, const char **ret_password)
{
    const char *description =
        api_field_string(f, "description", API_OPTIONAL, 0, sizeof a->description - 1);
    int role = api_field_word(f, "role", role_presence, role_words);

    if (description != NULL) {
        (void)snprintf(a->description, sizeof a->description, "%s", description);
    }
    if (role >= 0) {
        (void)db_role_parse(role_words[role], &a->role);
    }
    (void)api_field_bool(f, "enabled", API_OPTIONAL, &a->enabled);
    *ret_password = api_field_null(f, "password")
                        ? ""
                        : api_field_string(f, "password", API_OPTIONAL, PASSWORD_MIN, PASSWORD_MAX);
}

static enum cp_err store_password(struct db_account *a, const char *password, struct cp_error *err)
{
    if (password == NULL) {
        return CP_OK;
    }
    if (password[0] == '\0') {
        a->password_hash[0] = '\0';
        return CP_OK;
    }
    if (keys_password_hash(password, a->password_hash) != CP_OK) {
        return cp_error_set(err, CP_ERR_INTERNAL, "The password could not be hashed.");
    }
    return CP_OK;
}

/* ---- create ---- */

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;
    enum cp_err code = db_account_create(conn, &t->account, &t->result, err);

    if (code == CP_ERR_CONFLICT) {
        return cp_error_set(err, code,
                            "Field 'name': an account '%s' exists already: choose another name, or "
                            "change that one.",
                            t->account.name);
    }
    CP_TRY(code);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "account-created",
                                               .subject = t->subject,
                                               .detail = account_json(&t->result)},
                           err);
}

struct api_response api_accounts_create(const struct api_context *ctx, const struct api_call *call)
{
    struct account_tx t = {.ctx = ctx, .call = call, .account = {.enabled = true}};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;
    const char *password;
    const char *name;

    api_fields_body(&f, call);
    name = api_field_string(&f, "name", API_REQUIRED, 1, sizeof t.account.name - 1);
    if (name != NULL && !name_ok(name)) {
        api_field_error(&f, "name",
                        "must be of a-z, 0-9, '.', '_', '@', '-', begin with a letter or digit, "
                        "and not look like a uuid");
    }
    read_changes(&f, API_REQUIRED, &t.account, &password);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    (void)snprintf(t.account.name, sizeof t.account.name, "%s", name);
    err.code = store_password(&t.account, password, &err);
    api_fields_done(&f);
    set_subject(&t, t.account.name);
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "create-account", create_body, &t, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    rs = api_response_json(201, account_json(&t.result));
    api_etag_add(&rs, t.result.revision);
    api_header_add(&rs, "Location", "/api/v1/accounts/%s", t.result.name);
    return rs;
}

/* ---- change, delete ---- */

static enum cp_err load_matching(struct account_tx *t, struct cp_error *err)
{
    CP_TRY(db_run_read(t->ctx->db, "get-account", get_body, t, err));
    set_subject(t, t->result.name);
    return api_etag_require(t->call->rq, t->result.revision, err);
}

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;

    CP_TRY(db_account_update(conn, &t->account, &t->result, err));
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "account-changed",
                                               .subject = t->subject,
                                               .detail = account_json(&t->result)},
                           err);
}

struct api_response api_accounts_update(const struct api_context *ctx, const struct api_call *call)
{
    struct account_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;
    const char *password;

    err.code = load_matching(&t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    t.account = t.result;
    api_fields_body(&f, call);
    read_changes(&f, API_OPTIONAL, &t.account, &password);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    err.code = store_password(&t.account, password, &err);
    api_fields_done(&f);
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "update-account", update_body, &t, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.result.revision, account_json(&t.result));
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;

    CP_TRY(db_account_delete(conn, t->result.id, t->result.revision, err));
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "account-deleted", .subject = t->subject},
                           err);
}

struct api_response api_accounts_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct account_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = load_matching(&t, &err);
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "delete-account", delete_body, &t, &err);
    }
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}
