/* SPDX-License-Identifier: Apache-2.0
 * Authentication by Basic and Bearer, and the check of a route's need. Touches the database;
 * thread-safe. */
#include "api/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/authcache.h"
#include "api/respond.h"
#include "common/base64.h"
#include "common/clock.h"
#include "db/account.h"
#include "db/receiver.h"
#include "db/token.h"
#include "keys/credentials.h"

/* Longest "name:password": 63 + 1 + 1024. */
#define BASIC_SIZE_MAX 1088

/* db_token_touch writes at most once a minute; do not even ask more often. */
#define TOUCH_INTERVAL_NS (60 * CP_SEC)

static enum cp_err refuse(struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_AUTH_FAILED,
                        "The credentials were not accepted: the account is unknown or disabled, "
                        "the password is wrong, or the token is unknown, disabled or expired.");
}

/* A refusal by the database ("no such row") is one by us; its other failures pass through. */
static enum cp_err refuse_missing(enum cp_err code, struct cp_error *err)
{
    return code == CP_ERR_NOT_FOUND ? refuse(err) : code;
}

/* ---- Basic ---- */

struct account_lookup {
    const char *name;
    struct db_account account;
};

static enum cp_err load_account(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct account_lookup *l = arg;

    return db_account_get(conn, l->name, &l->account, err);
}

static bool split_basic(const char *text, char *ret_pair, char **ret_password)
{
    size_t size;

    if (strlen(text) > BASIC_SIZE_MAX / 3 * 4 ||
        !cp_base64_decode(CP_BASE64_STD, text, strlen(text), ret_pair, BASIC_SIZE_MAX, &size) ||
        memchr(ret_pair, '\0', size) != NULL) {
        return false;
    }
    ret_pair[size] = '\0';
    *ret_password = strchr(ret_pair, ':');
    if (*ret_password == NULL) {
        return false;
    }
    **ret_password = '\0';
    (*ret_password)++;
    return true;
}

static enum cp_err check_password(struct api_auth_cache *cache, const struct db_account *account,
                                  const char *password)
{
    enum cp_err code;

    if (cache == NULL) {
        return keys_password_verify(password, account->password_hash);
    }
    if (api_auth_cache_has(cache, account->password_hash, password)) {
        return CP_OK;
    }
    if (!api_auth_cache_enter(cache)) {
        return CP_ERR_TOO_MANY_REQUESTS;
    }
    /* A room of machines comes with one account: who waited finds what the first one found out. */
    if (api_auth_cache_has(cache, account->password_hash, password)) {
        code = CP_OK;
    } else {
        code = keys_password_verify(password, account->password_hash);
        if (code == CP_OK) {
            api_auth_cache_put(cache, account->password_hash, password);
        }
    }
    api_auth_cache_leave(cache);
    return code;
}

static enum cp_err basic(const struct api_context *ctx, const char *text,
                         struct api_principal *ret_who, struct cp_error *err)
{
    char pair[BASIC_SIZE_MAX + 1];
    struct account_lookup l = {.name = pair};
    char *password = NULL;
    enum cp_err found;
    enum cp_err verified;

    if (!split_basic(text, pair, &password)) {
        keys_wipe(pair, sizeof pair);
        return refuse(err);
    }
    found = db_run_read(ctx->db, "authenticate", load_account, &l, err);
    if (found != CP_OK && found != CP_ERR_NOT_FOUND) {
        keys_wipe(pair, sizeof pair);
        return found;
    }
    if (found != CP_OK) {
        l.account.password_hash[0] = '\0'; /* takes as long as a wrong password */
    }
    verified = check_password(ctx->auth_cache, &l.account, password);
    keys_wipe(pair, sizeof pair);
    if (verified == CP_ERR_TOO_MANY_REQUESTS) {
        return cp_error_set(err, verified,
                            "Too many passwords are being checked: use a token (Bearer), which "
                            "costs nothing to check, or ask again after Retry-After.");
    }
    if (found != CP_OK || verified != CP_OK || !l.account.enabled) {
        return refuse(err);
    }
    ret_who->role = (enum api_role)l.account.role;
    (void)snprintf(ret_who->account_id, sizeof ret_who->account_id, "%s", l.account.id);
    (void)snprintf(ret_who->account, sizeof ret_who->account, "%s", l.account.name);
    return CP_OK;
}

/* ---- Bearer ---- */

struct token_lookup {
    uint8_t hash[KEYS_TOKEN_HASH_SIZE];
    struct db_token token;
    struct db_receiver receiver;
    struct db_account account; /* of the receiver */
};

static enum cp_err load_token(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct token_lookup *l = arg;

    return db_token_find(conn, l->hash, &l->token, err);
}

static enum cp_err touch_token(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct token_lookup *l = arg;

    return db_token_touch(conn, l->token.id, err);
}

static enum cp_err account_token(const struct api_context *ctx, struct token_lookup *l,
                                 struct api_principal *ret_who, struct cp_error *err)
{
    const struct db_token *t = &l->token;
    enum cp_err code = db_run_read(ctx->db, "authenticate", load_token, l, err);

    if (code != CP_OK) {
        return refuse_missing(code, err);
    }
    if (!t->enabled || !t->account_enabled || t->expired) {
        return refuse(err);
    }
    if (cp_clock_wall() > t->last_used_at + TOUCH_INTERVAL_NS) {
        /* only a note for people: a failure must not refuse the request */
        enum cp_err noted = db_run_tx_locking(ctx->db, "touch-token", touch_token, l, NULL);

        (void)noted;
    }
    ret_who->role = (enum api_role)t->scope;
    (void)snprintf(ret_who->account_id, sizeof ret_who->account_id, "%s", t->account_id);
    (void)snprintf(ret_who->account, sizeof ret_who->account, "%s", t->account);
    (void)snprintf(ret_who->token_id, sizeof ret_who->token_id, "%s", t->id);
    return CP_OK;
}

static enum cp_err load_receiver(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct token_lookup *l = arg;

    CP_TRY(db_receiver_find(conn, l->hash, &l->receiver, err));
    if (l->receiver.account_id[0] == '\0') {
        /* It came anonymously, or its account was deleted since and takes its tokens along. */
        l->account.enabled = l->receiver.account[0] == '\0';
        return CP_OK;
    }
    return db_account_get(conn, l->receiver.account_id, &l->account, err);
}

static enum cp_err receiver_token(const struct api_context *ctx, struct token_lookup *l,
                                  struct api_principal *ret_who, struct cp_error *err)
{
    const struct db_receiver *r = &l->receiver;
    enum cp_err code = db_run_read(ctx->db, "authenticate", load_receiver, l, err);

    if (code != CP_OK) {
        return refuse_missing(code, err);
    }
    if (r->expired || !l->account.enabled) {
        return refuse(err);
    }
    (void)snprintf(ret_who->account_id, sizeof ret_who->account_id, "%s", r->account_id);
    (void)snprintf(ret_who->account, sizeof ret_who->account, "%s", r->account);
    (void)snprintf(ret_who->receiver_id, sizeof ret_who->receiver_id, "%s", r->id);
    (void)snprintf(ret_who->receiver_version_id, sizeof ret_who->receiver_version_id, "%s",
                   r->version_id);
    return CP_OK;
}

static enum cp_err bearer(const struct api_context *ctx, const char *text,
                          struct api_principal *ret_who, struct cp_error *err)
{
    bool account = strncmp(text, KEYS_TOKEN_ACCOUNT, strlen(KEYS_TOKEN_ACCOUNT)) == 0;
    bool receiver = strncmp(text, KEYS_TOKEN_RECEIVER, strlen(KEYS_TOKEN_RECEIVER)) == 0;
    struct token_lookup *l;
    enum cp_err code;

    if ((!account && !receiver) || strlen(text) >= KEYS_TOKEN_SIZE) {
        return refuse(err);
    }
    l = calloc(1, sizeof *l);
    if (l == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to check the token.");
    }
    code = keys_token_hash(text, l->hash);
    if (code == CP_OK) {
        code = account ? account_token(ctx, l, ret_who, err) : receiver_token(ctx, l, ret_who, err);
    }
    free(l);
    return code;
}

enum cp_err api_authenticate(const struct api_context *ctx, const struct api_request *rq,
                             struct api_principal *ret_who, struct cp_error *err)
{
    struct api_principal who = {.role = API_ROLE_NONE};
    const char *header = NULL;
    enum cp_err code;

    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, "Authorization") == 0) {
            if (header != NULL) {
                return refuse(err);
            }
            header = rq->headers[i].value;
        }
    }
    if (header == NULL) {
        *ret_who = who;
        return CP_OK;
    }
    if (strncasecmp(header, "Basic ", 6) == 0) {
        code = basic(ctx, header + 6 + strspn(header + 6, " "), &who, err);
    } else if (strncasecmp(header, "Bearer ", 7) == 0) {
        code = bearer(ctx, header + 7 + strspn(header + 7, " "), &who, err);
    } else {
        code = refuse(err);
    }
    if (code == CP_OK) {
        *ret_who = who;
    }
    return code;
}

/* ---- what a route needs ---- */

static enum cp_err need_role(enum api_role role, const char *name, const struct api_principal *who,
                             struct cp_error *err)
{
    if (who->role >= role) {
        return CP_OK;
    }
    if (who->role == API_ROLE_NONE && who->receiver_id[0] == '\0') {
        return cp_error_set(err, CP_ERR_AUTH_REQUIRED,
                            "This address needs the role '%s': send an account (Basic) or a token "
                            "(Bearer).",
                            name);
    }
    return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                        "This address needs the role '%s', which these credentials do not have: "
                        "use an account or token that has it.",
                        name);
}

enum cp_err api_authorize(enum api_need need, const struct api_principal *who, struct cp_error *err)
{
    switch (need) {
    case API_NEED_PUBLIC:
    case API_NEED_CONTENT:
        return CP_OK;
    case API_NEED_RECEIVER:
        if (who->receiver_id[0] != '\0') {
            return CP_OK;
        }
        return cp_error_set(
            err, who->role == API_ROLE_NONE ? CP_ERR_AUTH_REQUIRED : CP_ERR_ACCESS_DENIED,
            "This address takes the receiver token of its join, as a Bearer token: "
            "the answer to 'POST /api/v1/joins' has it.");
    case API_NEED_ACCOUNT:
        return need_role(API_ROLE_CONTENT, "content", who, err);
    case API_NEED_VIEWER:
        return need_role(API_ROLE_VIEWER, "viewer", who, err);
    case API_NEED_OPERATOR:
        return need_role(API_ROLE_OPERATOR, "operator", who, err);
    case API_NEED_ADMIN:
        return need_role(API_ROLE_ADMIN, "admin", who, err);
    }
    return cp_error_set(err, CP_ERR_ACCESS_DENIED, "This address is closed.");
}
