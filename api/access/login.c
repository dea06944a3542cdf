/* SPDX-License-Identifier: Apache-2.0
 * Checking a password. A name that no account has takes the same way as any other: the same
 * statements, a check of the same length, the same count, the same lock. */
#include "api/access/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/access/auth.h"
#include "api/access/authcache.h"
#include "api/access/lockout.h"
#include "api/framework/resource.h"
#include "common/base64.h"
#include "common/clock.h"
#include "common/log.h"
#include "content/sha256.h"
#include "db/settings.h"
#include "keys/credentials.h"

/* Longest "name:password": 63 + 1 + 1024. */
#define BASIC_SIZE_MAX 1088

struct login {
    const struct api_context *ctx;
    const struct api_request *rq;
    const char *password;
    /* as given, then the account's own, which may have been given by its id */
    char name[BASIC_SIZE_MAX + 1];
    uint8_t name_hash[DB_HASH_SIZE];
    struct db_account account; /* id "": there is none of that name */
    struct db_login_limits limits;
    struct db_login standing;
    bool locked_now;
};

enum cp_err api_login_refuse(struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_AUTH_FAILED,
                        "The credentials were not accepted: the account is unknown or disabled, "
                        "the password is wrong, or the token is unknown, disabled or expired.");
}

static enum cp_err refuse_locked(unsigned wait_s, struct cp_error *err)
{
    (void)cp_error_set(err, CP_ERR_ACCOUNT_LOCKED,
                       "Too many different passwords were wrong, for this name or from this "
                       "address: passwords are taken again in %u s. A token (Bearer) is not "
                       "locked.",
                       wait_s);
    if (err != NULL) {
        err->retry_after_s = wait_s > 0 ? wait_s : 1;
    }
    return CP_ERR_ACCOUNT_LOCKED;
}

void api_login_as(const struct db_account *account, enum api_auth_method method,
                  struct api_principal *ret_who)
{
    ret_who->role = (enum api_role)account->role;
    ret_who->method = method;
    (void)snprintf(ret_who->account_id, sizeof ret_who->account_id, "%s", account->id);
    (void)snprintf(ret_who->account, sizeof ret_who->account, "%s", account->name);
}

enum cp_err api_login_name_hash(const char *name, uint8_t ret_hash[DB_HASH_SIZE],
                                struct cp_error *err)
{
    enum cp_err rc = content_sha256(name, strlen(name), ret_hash);

    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "No memory to check the name.");
}

/* ---- what is known of the name ---- */

/* The name that is not one would not pass as text of the database. */
static bool may_be_a_name(const char *name)
{
    return name[0] != '\0' && strlen(name) < DB_NAME_SIZE &&
           name[strspn(
               name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-")] == '\0';
}

static enum cp_err load(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct login *l = arg;
    struct db_settings settings;
    enum cp_err found = CP_ERR_NOT_FOUND;

    memset(&l->account, 0, sizeof l->account);
    CP_TRY(db_settings_get(conn, l->ctx->node_id, &settings, err));
    l->limits = (struct db_login_limits){.failures = settings.login_failures,
                                         .lockout_s = settings.login_lockout_s};
    found = db_account_get(conn, may_be_a_name(l->name) ? l->name : "-", &l->account, err);
    if (found == CP_OK) {
        (void)snprintf(l->name, sizeof l->name, "%s", l->account.name);
    } else if (found != CP_ERR_NOT_FOUND) {
        return found;
    }
    CP_TRY(api_login_name_hash(l->name, l->name_hash, err));
    return db_login_get(conn, l->name_hash, &l->standing, err);
}

/* ---- a hash of before ---- */

struct rehash {
    const struct db_account *account;
    char hash[KEYS_PASSWORD_HASH_SIZE];
};

static enum cp_err rehash_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct rehash *r = arg;

    return db_account_rehash(conn, r->account->id, r->account->password_hash, r->hash, err);
}

/* Only now the password is known. A login does not fail because of it: the next one tries again. */
static void renew_hash(const struct login *l)
{
    struct rehash r = {.account = &l->account};
    struct cp_error err = {.code = CP_OK};

    if (!l->account.enabled || !keys_password_outdated(l->account.password_hash)) {
        return;
    }
    err.code = keys_password_hash(l->password, r.hash);
    if (err.code == CP_OK) {
        err.code = db_run_tx(l->ctx->db, "renew-password-hash", rehash_body, &r, &err);
    }
    if (err.code != CP_OK) {
        cp_log_error(CP_LOG_WARN, "password-hash-not-renewed", &err);
    } else if (l->ctx->auth_cache != NULL) {
        api_auth_cache_put(l->ctx->auth_cache, r.hash, l->password);
    }
}

/* ---- the check ---- */

/* Whom a wrong password is remembered for. A disabled account is another one: its right password is
 * refused, too, but is right again when the account is enabled. */
#define GUESSED_SIZE (BASIC_SIZE_MAX + sizeof "disabled ")
static void guessed(const struct login *l, char ret_name[GUESSED_SIZE])
{
    bool disabled = l->account.id[0] != '\0' && !l->account.enabled;

    (void)snprintf(ret_name, GUESSED_SIZE, "%s%s", disabled ? "disabled " : "", l->name);
}

static enum cp_err check(const struct login *l)
{
    struct api_auth_cache *cache = l->ctx->auth_cache;
    char name[GUESSED_SIZE];
    const char *verifier = l->account.password_hash; /* "": takes as long as a wrong password */
    enum cp_err rc;

    if (cache == NULL) {
        rc = keys_password_verify(l->password, verifier);
        if (rc == CP_OK) {
            renew_hash(l);
        }
        return rc;
    }
    if (api_auth_cache_has(cache, verifier, l->password)) {
        return CP_OK;
    }
    guessed(l, name);
    if (!api_auth_cache_enter(cache)) {
        return CP_ERR_TOO_MANY_REQUESTS;
    }
    /* A room of machines comes with one account: who waited finds what the first one found out. */
    if (api_auth_cache_has(cache, verifier, l->password)) {
        rc = CP_OK;
    } else if (api_auth_cache_has_wrong(cache, name, verifier, l->password)) {
        rc = CP_ERR_AUTH_FAILED;
    } else {
        rc = keys_password_verify(l->password, verifier);
        if (rc == CP_OK) {
            api_auth_cache_put(cache, verifier, l->password);
            renew_hash(l);
        }
    }
    api_auth_cache_leave(cache);
    return rc;
}

/* ---- what came of it ---- */

static enum cp_err write_failure(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct login *l = arg;
    struct api_principal nobody = {.role = API_ROLE_NONE};
    struct api_call call = {.rq = l->rq, .who = &nobody};
    char subject[DB_TEXT_SIZE] = "a name that no account has";

    CP_TRY(db_login_failed(conn, l->name_hash, &l->limits, &l->standing, &l->locked_now, err));
    if (!l->locked_now) {
        return CP_OK;
    }
    if (l->account.id[0] != '\0') {
        (void)snprintf(subject, sizeof subject, "account %s", l->account.name);
    }
    return api_event_write(
        conn, l->ctx, &call,
        &(struct api_event){.kind = "account-locked",
                            .subject = subject,
                            .detail =
                                json_pack("{s:i, s:i, s:s}", "failures", (int)l->limits.failures,
                                          "seconds", (int)l->limits.lockout_s, "address",
                                          l->rq->remote != NULL ? l->rq->remote : "")},
        err);
}

static enum cp_err count_failure(struct login *l, struct cp_error *err)
{
    struct api_auth_cache *cache = l->ctx->auth_cache;
    const char *verifier = l->account.password_hash;
    char name[GUESSED_SIZE];

    guessed(l, name);
    if (cache != NULL && api_auth_cache_has_wrong(cache, name, verifier, l->password)) {
        return CP_OK; /* the same guess again */
    }
    if (cache != NULL) {
        api_auth_cache_put_wrong(cache, name, verifier, l->password);
    }
    if (l->limits.failures == 0) {
        return CP_OK;
    }
    if (l->ctx->lockout != NULL) {
        api_lockout_failed(l->ctx->lockout, l->rq->remote, l->name_hash, &l->limits,
                           cp_clock_now());
    }
    return db_run_tx_locking(l->ctx->db, "count-failed-login", write_failure, l, err);
}

static enum cp_err forget_failures(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct login *l = arg;
    bool had;

    return db_login_clear(conn, l->name_hash, &had, err);
}

static enum cp_err succeed(struct login *l, struct api_principal *ret_who, struct cp_error *err)
{
    if (l->standing.failures > 0) {
        CP_TRY(db_run_tx_locking(l->ctx->db, "forget-failed-logins", forget_failures, l, err));
    }
    if (l->ctx->lockout != NULL) {
        api_lockout_succeeded(l->ctx->lockout, l->rq->remote, l->name_hash);
    }
    api_login_as(&l->account, API_AUTH_PASSWORD, ret_who);
    return CP_OK;
}

static enum cp_err log_in(struct login *l, struct api_principal *ret_who, struct cp_error *err)
{
    unsigned wait_s = l->ctx->lockout == NULL
                          ? 0
                          : api_lockout_wait(l->ctx->lockout, l->rq->remote, cp_clock_now());
    enum cp_err rc;

    if (wait_s > 0) {
        return refuse_locked(wait_s, err);
    }
    CP_TRY(db_run_read(l->ctx->db, "authenticate", load, l, err));
    if (l->standing.locked_until != 0) {
        return refuse_locked(l->standing.wait_s, err);
    }
    rc = check(l);
    if (rc == CP_ERR_TOO_MANY_REQUESTS) {
        return cp_error_set(err, rc,
                            "Too many passwords are being checked: use a token (Bearer), which "
                            "costs nothing to check, or ask again after Retry-After.");
    }
    if (rc == CP_OK && l->account.enabled) {
        return succeed(l, ret_who, err);
    }
    CP_TRY(count_failure(l, err)); /* a disabled account's right password, too: it tells nothing */
    return api_login_refuse(err);
}

/* ---- Basic ---- */

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

enum cp_err api_login_password(const struct api_context *ctx, const struct api_request *rq,
                               const char *text, struct api_principal *ret_who,
                               struct cp_error *err)
{
    char pair[BASIC_SIZE_MAX + 1];
    char *password = NULL;
    struct login *l;
    enum cp_err rc;

    if (!split_basic(text, pair, &password)) {
        keys_wipe(pair, sizeof pair);
        return api_login_refuse(err);
    }
    l = calloc(1, sizeof *l);
    if (l == NULL) {
        keys_wipe(pair, sizeof pair);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to check the password.");
    }
    l->ctx = ctx;
    l->rq = rq;
    l->password = password;
    (void)snprintf(l->name, sizeof l->name, "%s", pair);
    rc = log_in(l, ret_who, err);
    keys_wipe(pair, sizeof pair);
    keys_wipe(l, sizeof *l);
    free(l);
    return rc;
}
