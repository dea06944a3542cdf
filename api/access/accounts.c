/* SPDX-License-Identifier: Apache-2.0
 * Accounts: list, create, get, change, unlock, delete. Touches the database; thread-safe. */
#include "api/access/accounts.h"

#include <stdio.h>
#include <string.h>

#include "api/access/lockout.h"
#include "api/access/login.h"
#include "api/framework/etag.h"
#include "api/framework/idempotency.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/configuration.h"
#include "db/login.h"
#include "keys/credentials.h"

/* NIST SP 800-63B asks for at least 8; the upper bound is what Basic is read up to. */
#define PASSWORD_MIN 8
#define PASSWORD_MAX 256

static const char *const role_words[] = {"content", "viewer", "operator", "admin", NULL};

struct account_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_account_change change;
    uint8_t name_hash[DB_HASH_SIZE];
};

static json_t *account_json(const struct db_account *a)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:o}", "id", a->id, "name",
                     a->name, "description", a->description, "role", db_role_name(a->role),
                     "enabled", a->enabled, "has_password", a->password_hash[0] != '\0',
                     "principal", api_json_text(a->principal), "locked_until",
                     api_json_time(a->locked_until), "created_at", api_json_time(a->created_at),
                     "updated_at", api_json_time(a->updated_at));
}

static void set_subject(char ret_subject[DB_TEXT_SIZE], const char *name)
{
    (void)snprintf(ret_subject, DB_TEXT_SIZE, "account %s", name);
}

/* ---- list, get ---- */

struct filter {
    struct db_account_list list;
    bool enabled;
};

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct filter *filter = l->arg;

    filter->list.role = api_list_word(f, "role", role_words);
    filter->list.enabled = api_list_switch(f, "enabled", &filter->enabled);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct filter *filter = l->arg;

    filter->list.descending = l->descending;
    filter->list.after = l->after;
    return db_account_page(conn, &filter->list, l->want, l->rows, &l->count, err);
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
    static const struct api_sort sorts[] = {{"name", API_CURSOR_TEXT}};
    struct filter filter = {.enabled = false};
    struct api_list list = {.name = "list-accounts",
                            .row_size = sizeof(struct db_account),
                            .sorts = sorts,
                            .sort_count = 1,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;
    enum cp_err code = db_account_get(conn, t->call->params[0], &t->change.present, err);

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
    /* locked_until comes and goes by itself */
    return api_response_moving(t.change.present.revision, account_json(&t.change.present));
}

/* ---- fields ---- */

static bool name_ok(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._@-";

    return strchr(first, name[0]) != NULL && name[strspn(name, rest)] == '\0' && !db_is_uuid(name);
}

/* "alice@EXAMPLE.ORG", "host/pc7.example.org@EXAMPLE.ORG"; the realm is part of it. */
static bool principal_ok(const char *text)
{
    const char *at = strchr(text, '@');

    return at != NULL && at != text && at[1] != '\0' && strchr(at + 1, '@') == NULL;
}

static void read_principal(struct api_fields *f, struct db_account *a)
{
    const char *text;

    if (api_field_null(f, "principal")) {
        a->principal[0] = '\0';
        return;
    }
    text = api_field_string(f, "principal", API_OPTIONAL, 3, sizeof a->principal - 1);
    if (text != NULL && !principal_ok(text)) {
        api_field_error(f, "principal",
                        "must be a Kerberos principal with its realm, as 'alice@EXAMPLE.ORG'");
    } else if (text != NULL) {
        (void)snprintf(a->principal, sizeof a->principal, "%s", text);
    }
}

const char *api_account_read_name(struct api_fields *f)
{
    const char *name = api_field_string(f, "name", API_REQUIRED, 1, DB_NAME_SIZE - 1);

    if (name != NULL && !name_ok(name)) {
        api_field_error(f, "name",
                        "must be of a-z, 0-9, '.', '_', '@', '-', begin with a letter or digit, "
                        "and not look like a uuid");
        return NULL;
    }
    return name;
}

void api_account_read(struct api_fields *f, enum api_presence role_presence, struct db_account *a)
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
    read_principal(f, a);
}

/* The new password, borrowed from the body; NULL: no change. "" takes it away. */
static const char *read_password(struct api_fields *f)
{
    return api_field_null(f, "password")
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

static enum cp_err principal_taken(const struct db_account *a, struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_CONFLICT,
                        "Field 'principal': another account is '%s' already: take it from that one "
                        "first.",
                        a->principal);
}

/* ---- create ---- */

enum cp_err api_account_make(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, struct api_account_change *c,
                             struct cp_error *err)
{
    enum cp_err code = db_account_create(conn, &c->wanted, &c->result, err);
    char subject[DB_TEXT_SIZE];

    if (code == CP_ERR_CONFLICT && strcmp(db_constraint(conn), "accounts_principal_key") == 0) {
        return principal_taken(&c->wanted, err);
    }
    if (code == CP_ERR_CONFLICT) {
        return api_etag_taken(call->rq, err,
                              "Field 'name': an account '%s' exists already: choose another name, "
                              "or change that one.",
                              c->wanted.name);
    }
    CP_TRY(code);
    set_subject(subject, c->result.name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "account-created",
                                               .subject = subject,
                                               .detail = json_pack("{s:s}", "name", c->result.name),
                                               .after = account_json(&c->result)},
                           err);
}

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;

    return api_account_make(conn, t->ctx, t->call, &t->change, err);
}

static struct api_response create_answer(const void *arg)
{
    const struct account_tx *t = arg;
    struct api_response rs = api_response_json(201, account_json(&t->change.result));

    api_etag_add(&rs, t->change.result.revision);
    api_header_add(&rs, "Location", "/api/v1/accounts/%s", t->change.result.name);
    return rs;
}

struct api_response api_accounts_create(const struct api_context *ctx, const struct api_call *call)
{
    struct account_tx t = {.ctx = ctx, .call = call, .change = {.wanted = {.enabled = true}}};
    struct db_account *wanted = &t.change.wanted;
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;
    const char *password;
    const char *name;

    api_fields_body(&f, call);
    name = api_account_read_name(&f);
    api_account_read(&f, API_REQUIRED, wanted);
    password = read_password(&f);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    (void)snprintf(wanted->name, sizeof wanted->name, "%s", name);
    err.code = store_password(wanted, password, &err);
    api_fields_done(&f);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_create(
        ctx, call,
        &(struct api_creation){
            .name = "create-account", .body = create_body, .answer = create_answer, .arg = &t});
}

/* ---- change, delete ---- */

static enum cp_err load_matching(struct account_tx *t, struct cp_error *err)
{
    CP_TRY(db_run_read(t->ctx->db, "get-account", get_body, t, err));
    return api_etag_require(t->call->rq, t->change.present.revision, err);
}

static enum cp_err last_admin(const struct api_account_change *c, struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_CONFLICT,
                        "Account '%s' is the last enabled administrator: make another one first.",
                        c->present.name);
}

static json_t *changed_json(const struct api_account_change *c)
{
    json_t *changed = api_event_changed(api_configuration_account(&c->present),
                                        api_configuration_account(&c->result));

    if (strcmp(c->present.password_hash, c->result.password_hash) != 0) {
        (void)json_array_append_new(changed, json_string("password"));
    }
    return json_pack("{s:s, s:o}", "name", c->result.name, "changed", changed);
}

enum cp_err api_account_change(struct db_conn *conn, const struct api_context *ctx,
                               const struct api_call *call, struct api_account_change *c,
                               struct cp_error *err)
{
    enum cp_err code =
        (c->part ? db_account_update_part : db_account_update)(conn, &c->wanted, &c->result, err);
    char subject[DB_TEXT_SIZE];

    if (code == CP_ERR_CONFLICT && strcmp(db_constraint(conn), "accounts_principal_key") == 0) {
        return principal_taken(&c->wanted, err);
    }
    if (code == CP_ERR_CONFLICT) {
        return last_admin(c, err);
    }
    CP_TRY(code);
    set_subject(subject, c->result.name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "account-changed",
                                               .subject = subject,
                                               .detail = changed_json(c),
                                               .before = account_json(&c->present),
                                               .after = account_json(&c->result)},
                           err);
}

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;

    return api_account_change(conn, t->ctx, t->call, &t->change, err);
}

struct api_response api_accounts_update(const struct api_context *ctx, const struct api_call *call)
{
    struct account_tx t = {.ctx = ctx, .call = call};
    struct api_account_change *c = &t.change;
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;
    const char *password;

    err.code = load_matching(&t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    c->wanted = c->present;
    api_fields_body(&f, call);
    api_account_read(&f, API_OPTIONAL, &c->wanted);
    password = read_password(&f);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    err.code = store_password(&c->wanted, password, &err);
    api_fields_done(&f);
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "update-account", update_body, &t, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, c->result.revision, account_json(&c->result));
}

enum cp_err api_account_remove(struct db_conn *conn, const struct api_context *ctx,
                               const struct api_call *call, const struct api_account_change *c,
                               struct cp_error *err)
{
    enum cp_err code = (c->part ? db_account_delete_part
                                : db_account_delete)(conn, c->present.id, c->present.revision, err);
    char subject[DB_TEXT_SIZE];

    if (code == CP_ERR_CONFLICT) {
        return last_admin(c, err);
    }
    CP_TRY(code);
    set_subject(subject, c->present.name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "account-deleted",
                                               .subject = subject,
                                               .before = account_json(&c->present)},
                           err);
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct account_tx *t = arg;

    return api_account_remove(conn, t->ctx, t->call, &t->change, err);
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

/* ---- unlock ---- */

static enum cp_err unlock_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_tx *t = arg;
    char subject[DB_TEXT_SIZE];
    json_t *before;
    bool had;

    CP_TRY(get_body(conn, t, err));
    CP_TRY(api_etag_honour(t->call->rq, t->change.present.revision, err));
    CP_TRY(api_login_name_hash(t->change.present.name, t->name_hash, err));
    CP_TRY(db_login_clear(conn, t->name_hash, &had, err));
    if (!had) {
        return CP_OK;
    }
    before = account_json(&t->change.present);
    t->change.present.locked_until = 0;
    set_subject(subject, t->change.present.name);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "account-unlocked",
                                               .subject = subject,
                                               .before = before,
                                               .after = account_json(&t->change.present)},
                           err);
}

struct api_response api_accounts_unlock(const struct api_context *ctx, const struct api_call *call)
{
    struct account_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_fields_none(call, &rs)) {
        return rs;
    }
    err.code = db_run_tx_locking(ctx->db, "unlock-account", unlock_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    if (ctx->lockout != NULL) {
        api_lockout_forget(ctx->lockout, t.name_hash);
    }
    rs = api_response_json(200, account_json(&t.change.present));
    api_etag_add(&rs, t.change.present.revision);
    return rs;
}
