/* SPDX-License-Identifier: Apache-2.0
 * Authentication by password, token, client certificate and Kerberos ticket, and the check of a
 * route's need. Touches the database; thread-safe. */
#include "api/access/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/access/login.h"
#include "api/access/negotiate.h"
#include "api/framework/respond.h"
#include "common/clock.h"
#include "db/account.h"
#include "db/certificate.h"
#include "db/receiver.h"
#include "db/token.h"
#include "keys/credentials.h"

/* db_token_touch and its like write at most once a minute; do not even ask more often. */
#define TOUCH_INTERVAL_NS (60 * CP_SEC)

const char *api_auth_method_name(enum api_auth_method method)
{
    static const char *const names[] = {[API_AUTH_NONE] = "none",
                                        [API_AUTH_PASSWORD] = "password",
                                        [API_AUTH_TOKEN] = "token",
                                        [API_AUTH_RECEIVER] = "receiver",
                                        [API_AUTH_CERTIFICATE] = "certificate",
                                        [API_AUTH_NEGOTIATE] = "kerberos"};

    return names[method];
}

/* What a client may come with, as this service is configured. */
static const char *ways_of(const struct api_context *ctx)
{
    static const char *const ways[2][2] = {
        {API_WAYS_ALWAYS, "an account (Basic), a token (Bearer) or a Kerberos ticket (Negotiate)"},
        {"an account (Basic), a token (Bearer) or a client certificate",
         "an account (Basic), a token (Bearer), a client certificate or a Kerberos ticket "
         "(Negotiate)"}};

    return ways[ctx->client_certificates][ctx->negotiate != NULL];
}

/* A refusal by the database ("no such row") is one by us; its other failures pass through. */
static enum cp_err refuse_missing(enum cp_err code, struct cp_error *err)
{
    return code == CP_ERR_NOT_FOUND ? api_login_refuse(err) : code;
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
        return api_login_refuse(err);
    }
    if (cp_clock_wall() > t->last_used_at + TOUCH_INTERVAL_NS) {
        /* only a note for people: a failure must not refuse the request */
        enum cp_err noted = db_run_tx_locking(ctx->db, "touch-token", touch_token, l, NULL);

        (void)noted;
    }
    ret_who->role = (enum api_role)t->scope;
    ret_who->method = API_AUTH_TOKEN;
    ret_who->expires_at = t->expires_at;
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
        return api_login_refuse(err);
    }
    ret_who->method = API_AUTH_RECEIVER;
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
        return api_login_refuse(err);
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

/* ---- Negotiate ---- */

struct principal_lookup {
    struct api_negotiated said;
    struct db_account account;
};

static enum cp_err load_principal(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct principal_lookup *l = arg;

    return db_account_by_principal(conn, l->said.principal, &l->account, err);
}

static enum cp_err negotiate(const struct api_context *ctx, const char *text,
                             struct api_principal *ret_who, struct cp_error *err)
{
    struct principal_lookup l;
    enum cp_err code;

    if (ctx->negotiate == NULL) {
        return cp_error_set(err, CP_ERR_AUTH_FAILED,
                            "This service takes no Kerberos tickets: it has no --keytab. Send %s.",
                            ways_of(ctx));
    }
    CP_TRY(api_negotiate_accept(ctx->negotiate, text, &l.said, err));
    code = db_run_read(ctx->db, "authenticate", load_principal, &l, err);
    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                            "The Kerberos principal '%.255s' is no account's: an administrator "
                            "gives it to one as its field 'principal'.",
                            l.said.principal);
    }
    CP_TRY(code);
    if (!l.account.enabled) {
        return api_login_refuse(err);
    }
    api_login_as(&l.account, API_AUTH_NEGOTIATE, ret_who);
    memcpy(ret_who->negotiated, l.said.answer, sizeof ret_who->negotiated);
    return CP_OK;
}

/* ---- client certificates ---- */

struct certificate_lookup {
    const struct api_certificate *shown;
    struct db_certificate found;
};

static enum cp_err load_certificate(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct certificate_lookup *l = arg;

    return db_certificate_find(conn, l->shown->sha256, l->shown->subject, l->shown->issuer,
                               &l->found, err);
}

static enum cp_err touch_certificate(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct certificate_lookup *l = arg;

    return db_certificate_touch(conn, l->found.id, err);
}

static enum cp_err check_certificate(const struct api_certificate *c, struct cp_error *err)
{
    static const char *const why[] = {
        [API_CERTIFICATE_VALID] = "",
        [API_CERTIFICATE_EXPIRED] = "has expired, or is not valid yet",
        [API_CERTIFICATE_REVOKED] = "was revoked",
        [API_CERTIFICATE_UNCHECKED] =
            "could not be checked: the list of --client-crl is out of date",
        [API_CERTIFICATE_FOREIGN] = "is not one of this service's authority for clients"};

    if (c->state == API_CERTIFICATE_VALID) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_AUTH_FAILED, "The client certificate with SHA-256 %s %s.",
                        c->sha256, why[c->state]);
}

/* Whose certificate it is, and that the other credentials, if there are any, are of the same
 * account. */
static enum cp_err certificate(const struct api_context *ctx, const struct api_certificate *shown,
                               bool alone, struct api_principal *who, struct cp_error *err)
{
    struct certificate_lookup l = {.shown = shown};
    const struct db_certificate *c = &l.found;
    enum cp_err code;

    CP_TRY(check_certificate(shown, err));
    code = db_run_read(ctx->db, "authenticate", load_certificate, &l, err);
    if (code == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                            "The client certificate with SHA-256 %s is no account's: an "
                            "administrator adds it with 'POST …/accounts/{account}/certificates'.",
                            shown->sha256);
    }
    CP_TRY(code);
    if (!c->account_enabled) {
        return api_login_refuse(err);
    }
    if (!alone && strcmp(who->account_id, c->account_id) != 0) {
        return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                            "The client certificate is account '%s', the Authorization header is "
                            "not: send credentials of one account.",
                            c->account);
    }
    if (cp_clock_wall() > c->last_used_at + TOUCH_INTERVAL_NS) {
        enum cp_err noted =
            db_run_tx_locking(ctx->db, "touch-certificate", touch_certificate, &l, NULL);

        (void)noted;
    }
    if (alone) {
        who->role = (enum api_role)c->account_role;
        who->method = API_AUTH_CERTIFICATE;
        (void)snprintf(who->account_id, sizeof who->account_id, "%s", c->account_id);
        (void)snprintf(who->account, sizeof who->account, "%s", c->account);
    }
    return CP_OK;
}

/* ---- all of them ---- */

/* What follows the scheme's name; NULL: another scheme. */
static const char *after_scheme(const char *header, const char *scheme)
{
    size_t size = strlen(scheme);

    if (strncasecmp(header, scheme, size) != 0 || header[size] != ' ') {
        return NULL;
    }
    return header + size + strspn(header + size, " ");
}

static enum cp_err authorization(const struct api_context *ctx, const struct api_request *rq,
                                 const char *header, struct api_principal *who,
                                 struct cp_error *err)
{
    const char *text;

    if ((text = after_scheme(header, "Basic")) != NULL) {
        return api_login_password(ctx, rq, text, who, err);
    }
    if ((text = after_scheme(header, "Bearer")) != NULL) {
        return bearer(ctx, text, who, err);
    }
    if ((text = after_scheme(header, "Negotiate")) != NULL) {
        return negotiate(ctx, text, who, err);
    }
    return api_login_refuse(err);
}

enum cp_err api_authenticate(const struct api_context *ctx, const struct api_request *rq,
                             struct api_principal *ret_who, struct cp_error *err)
{
    struct api_principal who = {.role = API_ROLE_NONE, .ways = ways_of(ctx)};
    const char *header = NULL;

    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, "Authorization") == 0) {
            if (header != NULL) {
                return api_login_refuse(err);
            }
            header = rq->headers[i].value;
        }
    }
    if (header != NULL) {
        CP_TRY(authorization(ctx, rq, header, &who, err));
    }
    if (rq->certificate != NULL) {
        CP_TRY(certificate(ctx, rq->certificate, header == NULL, &who, err));
    }
    *ret_who = who;
    return CP_OK;
}

void api_auth_challenge(const struct api_context *ctx, struct api_response *rs)
{
    if (rs->status == 401 && ctx->negotiate != NULL) {
        api_header_add(rs, "WWW-Authenticate", "Negotiate");
    }
}

void api_auth_answer(const struct api_principal *who, struct api_response *rs)
{
    if (who->negotiated[0] != '\0' && rs->header_count < API_HEADERS_MAX) {
        api_header_add(rs, "WWW-Authenticate", "Negotiate %s", who->negotiated);
    }
}

/* ---- what a route needs ---- */

static enum cp_err need_role(enum api_role role, const char *name, const struct api_principal *who,
                             struct cp_error *err)
{
    if (who->role >= role) {
        return CP_OK;
    }
    if (who->role == API_ROLE_NONE && who->receiver_id[0] == '\0') {
        return cp_error_set(err, CP_ERR_AUTH_REQUIRED, "This address needs the role '%s': send %s.",
                            name, who->ways != NULL ? who->ways : API_WAYS_ALWAYS);
    }
    return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                        "This address needs the role '%s', which these credentials do not have: "
                        "use an account or token that has it.",
                        name);
}

/* Tokens lie on boot media, which anybody may read: one that was found there must not make another
 * one that lives longer, nor take away those of other machines. */
static enum cp_err need_login(const struct api_principal *who, struct cp_error *err)
{
    CP_TRY(need_role(API_ROLE_CONTENT, "content", who, err));
    if (who->role >= API_ROLE_ADMIN || who->method == API_AUTH_PASSWORD ||
        who->method == API_AUTH_CERTIFICATE || who->method == API_AUTH_NEGOTIATE) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                        "A token makes, changes and deletes no tokens unless its role is 'admin': "
                        "come with the account's password, client certificate or Kerberos ticket, "
                        "or ask an administrator.");
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
    case API_NEED_LOGIN:
        return need_login(who, err);
    case API_NEED_VIEWER:
        return need_role(API_ROLE_VIEWER, "viewer", who, err);
    case API_NEED_OPERATOR:
        return need_role(API_ROLE_OPERATOR, "operator", who, err);
    case API_NEED_ADMIN:
        return need_role(API_ROLE_ADMIN, "admin", who, err);
    }
    return cp_error_set(err, CP_ERR_ACCESS_DENIED, "This address is closed.");
}
