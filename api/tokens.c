/* SPDX-License-Identifier: Apache-2.0
 * Tokens of accounts: list, create (the secret is shown this once), delete; by admins and by the
 * account itself. Touches the database; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/list.h"
#include "api/resource.h"
#include "api/respond.h"
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
    struct db_token result;
    uint8_t hash[KEYS_TOKEN_HASH_SIZE];
};

static json_t *token_json(const struct db_token *k)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:o, s:o}", "id", k->id, "account",
                     k->account, "name", k->name, "role", db_role_name(k->scope), "enabled",
                     k->enabled && k->account_enabled, "expired", k->expired, "expires_at",
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

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct token_tx t = {.ctx = l->ctx, .call = l->call};

    CP_TRY(find_account(conn, &t, err));
    return db_token_list(conn, t.account.id, l->after, l->want, l->rows, &l->count, err);
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
    struct api_list list = {.name = "list-tokens",
                            .row_size = sizeof(struct db_token),
                            .cursor = API_CURSOR_UUID,
                            .fetch = fetch_page,
                            .row = page_row};

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
    (void)snprintf(subject, sizeof subject, "token %s of account %s", t->result.id,
                   t->account.name);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "token-created",
                                               .subject = subject,
                                               .detail = token_json(&t->result)},
                           err);
}

struct api_response api_tokens_create(const struct api_context *ctx, const struct api_call *call)
{
    struct token_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    char secret[KEYS_TOKEN_SIZE] = "";
    struct api_response rs;
    struct api_fields f;
    json_t *body;

    api_fields_body(&f, call);
    read_fields(&f, call->who, &t.token);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    err.code = keys_token_new(KEYS_TOKEN_ACCOUNT, secret, t.hash);
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "create-token", create_body, &t, &err);
    }
    if (err.code != CP_OK) {
        keys_wipe(secret, sizeof secret);
        return api_refuse(call, &err);
    }
    body = token_json(&t.result);
    (void)json_object_set_new(body, "secret", json_string(secret));
    keys_wipe(secret, sizeof secret);
    rs = api_response_json(201, body);
    api_header_add(&rs, "Location", "/api/v1/tokens/%s", t.result.id);
    return rs;
}

/* ---- delete ---- */

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct token_tx *t = arg;
    const struct api_principal *who = t->call->who;
    char subject[DB_TEXT_SIZE];
    struct db_token token;
    enum cp_err code;

    code = db_is_uuid(t->call->params[0]) ? db_token_get(conn, t->call->params[0], &token, err)
                                          : CP_ERR_NOT_FOUND;
    if (code == CP_OK && who->role < API_ROLE_ADMIN &&
        (strcmp(token.account_id, who->account_id) != 0 || (int)token.scope > (int)who->role)) {
        code = CP_ERR_NOT_FOUND; /* others' and stronger tokens do not show that they exist */
    }
    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, code,
                            "There is no token '%.60s' of yours: 'GET …/accounts/{account}/tokens' "
                            "lists them.",
                            t->call->params[0]);
    }
    CP_TRY(code);
    CP_TRY(db_token_delete(conn, token.id, err));
    (void)snprintf(subject, sizeof subject, "token %s of account %s", token.id, token.account);
    return api_event_write(conn, t->ctx, t->call,
                           &(struct api_event){.kind = "token-deleted", .subject = subject}, err);
}

struct api_response api_tokens_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct token_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_tx(ctx->db, "delete-token", delete_body, &t, &err);
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}
