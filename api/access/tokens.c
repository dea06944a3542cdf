/* SPDX-License-Identifier: Apache-2.0
 * Tokens of accounts: list, create (the secret is shown this once), rename, switch off and on,
 * delete; by admins and by the account itself. Touches the database; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/framework/etag.h"
#include "api/framework/fields.h"
#include "api/framework/idempotency.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "common/clock.h"
#include "content/certificate.h"
#include "db/token.h"
#include "keys/credentials.h"

static const char *const role_words[] = {"content", "viewer", "operator", "admin", NULL};

struct token_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_account account;
    struct db_token token;
    struct db_token present; /* as it was before the change */
    struct db_token result;
    char secret[KEYS_TOKEN_SIZE];
    uint8_t hash[KEYS_TOKEN_HASH_SIZE];
};

static json_t *token_json(const struct db_token *k)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:o}", "id", k->id,
                     "account", k->account, "name", k->name, "prefix", api_json_text(k->prefix),
                     "role", db_role_name(k->scope), "enabled", k->enabled, "account_enabled",
                     k->account_enabled, "expired", k->expired, "expires_at",
                     api_json_time(k->expires_at), "last_used_at", api_json_time(k->last_used_at),
                     "created_at", api_json_time(k->created_at));
}

/* The account of the path, when the caller is an admin or that account. Others get one answer
 * whether it exists or not. */
static enum cp_err find_account(struct db_conn *conn, struct token_tx *t, struct cp_error *err)
{
    const struct api_principal *who = t->call->who;
    const char *ref = t->call->params[0];
    enum cp_err code;

    if (who->role < API_ROLE_ADMIN && strcmp(ref, who->account) != 0 &&
        strcmp(ref, who->account_id) != 0) {
        return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                            "The tokens of '%.100s' are for that account and for the role 'admin': "
                            "use your own account's name, or an admin's credentials.",
                            ref);
    }
    code = db_account_get(conn, ref, &t->account, err);
    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(
            err, code, "There is no account '%.100s': 'GET /api/v1/accounts' lists them.", ref);
    }
    return code;
}

/* ---- list ---- */

struct filter {
    struct db_token_list list;
    const char *account; /* name or id; NULL: of all */
};

static void read_state(struct api_fields *f, struct api_list *l)
{
    /* of enum db_token_state, which has "any" before them */
    static const char *const words[] = {"active", "expired", "disabled", NULL};
    struct filter *filter = l->arg;

    filter->list.state = (enum db_token_state)(api_field_word(f, "state", API_OPTIONAL, words) + 1);
}

/* What find_token() hides is not listed either. */
static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct token_tx t = {.ctx = l->ctx, .call = l->call};
    struct filter *filter = l->arg;

    CP_TRY(find_account(conn, &t, err));
    filter->list.account_id = t.account.id;
    filter->list.upto = (enum db_role)l->call->who->role;
    filter->list.after = l->after;
    return db_token_list(conn, &filter->list, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_token *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->id);
    return token_json(r);
}

struct api_response api_tokens_list(const struct api_context *ctx, const struct api_call *call)
{
    struct filter filter = {.account = NULL};
    struct api_list list = {.name = "list-tokens",
                            .row_size = sizeof(struct db_token),
                            .cursor = API_CURSOR_UUID,
                            .filter = read_state,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct filter *filter = l->arg;

    read_state(f, l);
    filter->account = api_field_string(f, "account", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
}

static enum cp_err fetch_all(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct filter *filter = l->arg;
    struct db_account account;

    if (filter->account != NULL) {
        enum cp_err code = db_account_get(conn, filter->account, &account, err);

        if (code == CP_ERR_NOT_FOUND) {
            l->count = 0;
            return CP_OK;
        }
        CP_TRY(code);
        filter->list.account_id = account.id;
    }
    filter->list.upto = DB_ROLE_ADMIN;
    filter->list.after = l->after;
    return db_token_list(conn, &filter->list, l->want, l->rows, &l->count, err);
}

struct api_response api_tokens_list_all(const struct api_context *ctx, const struct api_call *call)
{
    struct filter filter = {.account = NULL};
    struct api_list list = {.name = "list-all-tokens",
                            .row_size = sizeof(struct db_token),
                            .cursor = API_CURSOR_UUID,
                            .filter = read_filter,
                            .fetch = fetch_all,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

/* ---- create ---- */

static void read_fields(struct api_fields *f, const struct api_principal *who, struct db_token *k)
{
    const char *name = api_field_string(f, "name", API_OPTIONAL, 0, sizeof k->name - 1);
    int role = api_field_word(f, "role", API_REQUIRED, role_words);
    bool never = api_field_null(f, "expires_at");
    const char *expires = never ? NULL : api_field_string(f, "expires_at", API_OPTIONAL, 1, 64);

    if (name != NULL) {
        (void)snprintf(k->name, sizeof k->name, "%s", name);
    }
    if (role >= 0) {
        (void)db_role_parse(role_words[role], &k->scope);
        if ((int)k->scope > (int)who->role) {
            api_field_error(f, "role",
                            "must not be above that of the credentials that make the token: use "
                            "stronger ones, or ask for a smaller role");
        }
    }
    if (expires != NULL && (certificate_time_parse(expires, &k->expires_at) != CP_OK ||
                            k->expires_at <= cp_clock_wall())) {
        api_field_error(f, "expires_at",
                        "must be a time to come, as '2030-01-31T12:00:00Z', or null for never");
    }
}

static void subject_of(const struct db_token *token, char ret_subject[DB_TEXT_SIZE])
{
    (void)snprintf(ret_subject, DB_TEXT_SIZE, "token %s of account %s", token->id, token->account);
}

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct token_tx *t = arg;
    char subject[DB_TEXT_SIZE];

    CP_TRY(find_account(conn, t, err));
    if (t->token.scope > t->account.role) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Field 'role' is '%s' but account '%s' has only the role '%s': ask for "
                            "that or a smaller one.",
                            db_role_name(t->token.scope), t->account.name,
                            db_role_name(t->account.role));
    }
    (void)snprintf(t->token.account_id, sizeof t->token.account_id, "%s", t->account.id);
    CP_TRY(db_token_create(conn, &t->token, t->hash, &t->result, err));
    subject_of(&t->result, subject);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "token-created",
                                               .subject = subject,
                                               .detail = json_pack("{s:s}", "name", t->result.name),
                                               .after = token_json(&t->result)},
                           err);
}

static struct api_response create_answer(const void *arg)
{
    const struct token_tx *t = arg;
    json_t *body = token_json(&t->result);
    struct api_response rs;

    (void)json_object_set_new(body, "secret", json_string(t->secret));
    rs = api_response_json(201, body);
    api_header_add(&rs, "Location", "/api/v1/tokens/%s", t->result.id);
    api_etag_add(&rs, t->result.revision);
    return rs;
}

struct api_response api_tokens_create(const struct api_context *ctx, const struct api_call *call)
{
    struct token_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;

    api_fields_body(&f, call);
    read_fields(&f, call->who, &t.token);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    err.code = keys_token_new(KEYS_TOKEN_ACCOUNT, t.secret, t.hash);
    if (err.code != CP_OK) {
        return api_refuse_text(call, err.code, "No token could be made.");
    }
    /* enough to recognise it among others, of no use to whoever guesses the rest */
    (void)snprintf(t.token.prefix, sizeof t.token.prefix, "%s", t.secret);
    rs = api_create(
        ctx, call,
        &(struct api_creation){
            .name = "create-token", .body = create_body, .answer = create_answer, .arg = &t});
    keys_wipe(t.secret, sizeof t.secret);
    return rs;
}

/* ---- one token ---- */

/* The token of the path, when the caller is an admin or its account; others' and stronger tokens do
 * not show that they exist. */
static enum cp_err find_token(struct db_conn *conn, const struct api_call *call,
                              struct db_token *ret_token, struct cp_error *err)
{
    const struct api_principal *who = call->who;
    struct db_token token;
    enum cp_err code = CP_ERR_NOT_FOUND;

    if (db_is_uuid(call->params[0])) {
        code = db_token_get(conn, call->params[0], &token, err);
    }
    if (code == CP_OK && who->role < API_ROLE_ADMIN &&
        (strcmp(token.account_id, who->account_id) != 0 || (int)token.scope > (int)who->role)) {
        code = CP_ERR_NOT_FOUND;
    }
    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, code,
                            "There is no token '%.60s' of yours: 'GET …/accounts/{account}/tokens' "
                            "lists them.",
                            call->params[0]);
    }
    CP_TRY(code);
    *ret_token = token;
    return CP_OK;
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct token_tx *t = arg;

    return find_token(conn, t->call, &t->present, err);
}

struct api_response api_tokens_get(const struct api_context *ctx, const struct api_call *call)
{
    struct token_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-token", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    /* last_used_at moves with every use */
    return api_response_moving(t.present.revision, token_json(&t.present));
}

/* ---- change ---- */

static json_t *changed_json(const struct token_tx *t)
{
    return json_pack("{s:s, s:o}", "name", t->result.name, "changed",
                     api_event_changed(token_json(&t->present), token_json(&t->result)));
}

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct token_tx *t = arg;
    char subject[DB_TEXT_SIZE];

    CP_TRY(db_token_update(conn, &t->token, &t->result, err));
    subject_of(&t->result, subject);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "token-changed",
                                               .subject = subject,
                                               .detail = changed_json(t),
                                               .before = token_json(&t->present),
                                               .after = token_json(&t->result)},
                           err);
}

struct api_response api_tokens_update(const struct api_context *ctx, const struct api_call *call)
{
    struct token_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;
    const char *name;

    err.code = db_run_read(ctx->db, "get-token", get_body, &t, &err);
    if (err.code == CP_OK) {
        err.code = api_etag_require(call->rq, t.present.revision, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    t.token = t.present;
    api_fields_body(&f, call);
    name = api_field_string(&f, "name", API_OPTIONAL, 0, sizeof t.token.name - 1);
    (void)api_field_bool(&f, "enabled", API_OPTIONAL, &t.token.enabled);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    if (name != NULL) {
        (void)snprintf(t.token.name, sizeof t.token.name, "%s", name);
    }
    api_fields_done(&f);
    err.code = db_run_tx_locking(ctx->db, "update-token", update_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_resource(call->rq, t.result.revision, token_json(&t.result));
}

/* ---- delete ---- */

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct token_tx *t = arg;
    char subject[DB_TEXT_SIZE];

    CP_TRY(find_token(conn, t->call, &t->present, err));
    CP_TRY(api_etag_require(t->call->rq, t->present.revision, err));
    CP_TRY(db_token_delete(conn, t->present.id, err));
    subject_of(&t->present, subject);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "token-deleted",
                                               .subject = subject,
                                               .before = token_json(&t->present)},
                           err);
}

struct api_response api_tokens_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct token_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_tx(ctx->db, "delete-token", delete_body, &t, &err);
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}
