/* SPDX-License-Identifier: Apache-2.0
 * Writing the audit log. Touches the database; thread-safe. */
#include "api/events/audit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/framework/respond.h"
#include "api/framework/router.h"
#include "common/clock.h"
#include "common/log.h"
#include "db/account.h"
#include "keys/credentials.h"

#define REFUSALS_BURST 300u
#define REFUSAL_EVERY  CP_SEC

/* ---- how many refusals ---- */

struct api_audit {
    pthread_mutex_t lock;
    cp_time full_at;   /* when the whole burst is there again */
    uint64_t left_out; /* since the last entry */
};

enum cp_err api_audit_new(struct api_audit **ret_audit)
{
    struct api_audit *a = calloc(1, sizeof *a);

    if (a == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    (void)pthread_mutex_init(&a->lock, NULL);
    *ret_audit = a;
    return CP_OK;
}

void api_audit_free(struct api_audit *audit)
{
    if (audit != NULL) {
        (void)pthread_mutex_destroy(&audit->lock);
        free(audit);
    }
}

/* Each refusal puts off the moment at which all is there again. */
static bool admit(struct api_audit *a, uint64_t *ret_left_out)
{
    cp_time now = cp_clock_now();
    bool good;

    *ret_left_out = 0;
    if (a == NULL) {
        return true;
    }
    (void)pthread_mutex_lock(&a->lock);
    if (a->full_at < now) {
        a->full_at = now;
    }
    good = a->full_at - now < REFUSALS_BURST * REFUSAL_EVERY;
    if (good) {
        a->full_at += REFUSAL_EVERY;
        *ret_left_out = a->left_out;
        a->left_out = 0;
    } else {
        a->left_out++;
    }
    (void)pthread_mutex_unlock(&a->lock);
    return good;
}

/* ---- no secrets ---- */

#define BLOT "(not shown)"

static bool secret_name(const char *name)
{
    static const char *const words[] = {"password", "secret",         "token",
                                        "private",  "receiver_token", "authorization"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(name, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool secret_text(const char *text)
{
    return strncmp(text, "cpt_", 4) == 0 || strncmp(text, "cpr_", 4) == 0 ||
           strncmp(text, "cpw_", 4) == 0 || strncmp(text, "scrypt$", 7) == 0;
}

static void blot(json_t *value)
{
    const char *name;
    json_t *member;
    void *next;
    size_t i;

    json_array_foreach(value, i, member)
    {
        if (json_is_string(member) && secret_text(json_string_value(member))) {
            (void)json_array_set_new(value, i, json_string(BLOT));
        } else {
            blot(member);
        }
    }
    json_object_foreach_safe(value, next, name, member)
    {
        bool text = json_is_string(member);

        if (text && (secret_name(name) || secret_text(json_string_value(member)))) {
            (void)json_object_set_new(value, name, json_string(BLOT));
        } else {
            blot(member);
        }
    }
}

json_t *api_audit_blot(const json_t *value)
{
    json_t *copy = value != NULL ? json_deep_copy(value) : NULL;

    if (copy != NULL) {
        blot(copy);
    }
    return copy;
}

/* Malloced text; NULL for NULL. */
static char *dump(const json_t *value)
{
    json_t *copy = api_audit_blot(value);
    char *text = copy != NULL ? json_dumps(copy, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(copy);
    return text;
}

/* ---- entries ---- */

/* Text from a request may be longer than its column, and not UTF-8, which PostgreSQL refuses. */
static void put(char *field, size_t size, const char *text)
{
    (void)snprintf(field, size, "%s", text != NULL ? text : "");
    for (char *p = field; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x80 || (unsigned char)*p < 0x20) {
            *p = '?';
        }
    }
}

static void fill(struct db_audit *e, const struct api_context *ctx, const struct api_request *rq,
                 const struct api_principal *who)
{
    (void)snprintf(e->node_id, sizeof e->node_id, "%s", ctx->node_id);
    (void)snprintf(e->account, sizeof e->account, "%s", who->account);
    if (who->role != API_ROLE_NONE) {
        (void)snprintf(e->role, sizeof e->role, "%s", db_role_name((enum db_role)who->role));
    }
    (void)snprintf(e->authentication, sizeof e->authentication, "%s",
                   api_auth_method_name(who->method));
    put(e->address, sizeof e->address, rq->remote);
    (void)snprintf(e->method, sizeof e->method, "%s", api_method_name(rq->method));
    put(e->path, sizeof e->path, rq->path);
    put(e->request_id, sizeof e->request_id, rq->request_id);
}

/* False: no memory. */
static bool describe(struct db_audit *e, const struct api_context *ctx, const struct api_call *call,
                     const struct api_change *change)
{
    e->outcome = change->outcome;
    fill(e, ctx, call->rq, call->who);
    (void)snprintf(e->operation, sizeof e->operation, "%s",
                   call->operation != NULL ? call->operation : "");
    (void)snprintf(e->subject, sizeof e->subject, "%s", change->subject);
    e->before = dump(change->before);
    e->after = dump(change->after);
    return (change->before == NULL || e->before != NULL) &&
           (change->after == NULL || e->after != NULL);
}

enum cp_err api_audit_change(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, const struct api_change *change,
                             struct cp_error *err)
{
    return api_audit_changes(conn, ctx, call, change, 1, err);
}

enum cp_err api_audit_changes(struct db_conn *conn, const struct api_context *ctx,
                              const struct api_call *call, const struct api_change *changes,
                              size_t count, struct cp_error *err)
{
    struct db_audit *entries = calloc(count, sizeof *entries);
    bool good = entries != NULL;
    enum cp_err code;

    for (size_t i = 0; good && i < count; i++) {
        good = describe(&entries[i], ctx, call, &changes[i]);
    }
    code = good ? db_audit_add_many(conn, entries, count, err)
                : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the audit log.");
    for (size_t i = 0; entries != NULL && i < count; i++) {
        free(entries[i].before);
        free(entries[i].after);
    }
    free(entries);
    return code;
}

static enum cp_err refusal_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    return db_audit_add(conn, arg, err);
}

static bool changes(enum api_method method)
{
    return method == API_POST || method == API_PUT || method == API_PATCH || method == API_DELETE;
}

static enum api_need need_of(const char *operation)
{
    const struct api_route *routes;
    size_t count;

    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].operation, operation) == 0) {
            return routes[i].need;
        }
    }
    return API_NEED_ADMIN;
}

/* A receiver asks with its token until it sees that its join has ended: nobody attacks anything. */
static bool by_receiver(const struct api_request *rq)
{
    static const char start[] = "Bearer " KEYS_TOKEN_RECEIVER;
    const char *header = api_request_header(rq, "Authorization");

    return header != NULL && strncasecmp(header, start, sizeof start - 1) == 0;
}

/* Of those who only wanted to read: wrong credentials, those that are no account's, and those that
 * do not suffice for what is the administrators'. */
static bool suspicious(const struct api_request *rq, const char *operation,
                       const struct api_principal *who, enum cp_err code)
{
    enum api_need need = need_of(operation);

    if (code == CP_ERR_AUTH_FAILED || code == CP_ERR_ACCOUNT_LOCKED) {
        return !by_receiver(rq);
    }
    if (code != CP_ERR_ACCESS_DENIED) {
        return false;
    }
    /* Content may be refused also to those who need no account. */
    return need == API_NEED_ADMIN || (who->method == API_AUTH_NONE && need != API_NEED_CONTENT);
}

enum cp_err api_audit_code(int status)
{
    return status == 401 ? CP_ERR_AUTH_REQUIRED : status == 403 ? CP_ERR_ACCESS_DENIED : CP_OK;
}

void api_audit_refusal(const struct api_context *ctx, const struct api_request *rq,
                       const char *operation, const struct api_principal *who, enum cp_err code)
{
    struct db_audit e = {.outcome = DB_AUDIT_REFUSED};
    bool refusal =
        api_audit_code(cp_err_info(code)->http_status) != CP_OK || code == CP_ERR_ACCOUNT_LOCKED;
    struct cp_error err = {.code = CP_OK};

    if (code == CP_OK || !refusal ||
        (!changes(rq->method) && !suspicious(rq, operation, who, code)) ||
        !admit(ctx->audit, &e.left_out)) {
        return;
    }
    fill(&e, ctx, rq, who);
    (void)snprintf(e.operation, sizeof e.operation, "%s", operation);
    (void)snprintf(e.code, sizeof e.code, "%s", cp_err_info(code)->code);
    if (db_run_tx_locking(ctx->db, "audit-refusal", refusal_body, &e, &err) != CP_OK) {
        cp_log_error(CP_LOG_WARN, "refusal-not-written", &err);
    }
}
