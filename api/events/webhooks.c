/* SPDX-License-Identifier: Apache-2.0
 * Webhooks: list, create (the secret is shown this once), get, change, delete, test, and the log of
 * their attempts; by admins. Touches the database; thread-safe. */
#include "api/events/webhooks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/webhook_url.h"
#include "api/framework/etag.h"
#include "api/framework/idempotency.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/tasks.h"
#include "keys/keyring.h"

#define KINDS_MAX  64
#define SHOWN_SIZE 64 /* of a kind that is none; not cut, as it may be UTF-8 */

struct webhook_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct api_webhook_change change;
    char subject[DB_TEXT_SIZE];
    struct api_task task;
};

/* ---- JSON ---- */

/* "{a,b}" */
static json_t *kinds_json(const char *kinds)
{
    json_t *array = json_array();
    const char *at = kinds;

    while (*at != '\0') {
        size_t size = strcspn(at, "{},");

        if (size > 0) {
            (void)json_array_append_new(array, json_stringn(at, size));
        }
        at += size + (at[size] != '\0');
    }
    return array;
}

static const char *const state_words[] = {"good", "failing", "disabled", NULL};

static const char *state_of(const struct db_webhook *w)
{
    return !w->enabled ? "disabled" : w->failing_since > 0 ? "failing" : "good";
}

static json_t *webhook_json(const struct db_webhook *w)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:b, s:o, s:b, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
        "id", w->id, "distribution_point", w->node_id, "name", w->name, "url", w->url, "allow_http",
        w->allow_http, "kinds", kinds_json(w->kinds), "enabled", w->enabled, "state", state_of(w),
        "last_event", (json_int_t)w->position, "failed_attempts", (json_int_t)w->attempts,
        "next_attempt_at", api_json_time(w->attempts > 0 ? w->next_attempt_at : 0), "failing_since",
        api_json_time(w->failing_since), "last_success_at", api_json_time(w->last_success_at),
        "last_error", api_json_text(w->last_error), "disabled_reason",
        api_json_text(w->disabled_reason), "created_at", api_json_time(w->created_at), "updated_at",
        api_json_time(w->updated_at));
}

/* What people set; the rest changes by itself and is no part of the audit log. */
json_t *api_webhook_values(const struct db_webhook *w)
{
    return json_pack("{s:s, s:s, s:b, s:o, s:b}", "name", w->name, "url", w->url, "allow_http",
                     w->allow_http, "kinds", kinds_json(w->kinds), "enabled", w->enabled);
}

static struct api_response answer(const struct webhook_tx *t, int status)
{
    json_t *body = webhook_json(&t->change.result);
    struct api_response rs;

    if (t->change.secret[0] != '\0') {
        (void)json_object_set_new(body, "secret", json_string(t->change.secret));
    }
    rs = api_response_json(status, body);
    api_etag_add(&rs, t->change.result.revision);
    return rs;
}

/* ---- list, get, deliveries ---- */

struct filter {
    struct db_webhook_list list;
    bool enabled;
};

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct filter *filter = l->arg;

    filter->list.state = api_list_word(f, "state", state_words);
    filter->list.enabled = api_list_switch(f, "enabled", &filter->enabled);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct filter *filter = l->arg;

    filter->list.after = l->after;
    return db_webhook_page(conn, &filter->list, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_webhook *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->name);
    return webhook_json(r);
}

struct api_response api_webhooks_list(const struct api_context *ctx, const struct api_call *call)
{
    struct filter filter = {.enabled = false};
    struct api_list list = {.name = "list-webhooks",
                            .row_size = sizeof(struct db_webhook),
                            .cursor = API_CURSOR_TEXT,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct webhook_tx *t = arg;

    CP_TRY(db_webhook_get(conn, t->call->params[0], &t->change.present, err));
    (void)snprintf(t->subject, sizeof t->subject, "webhook %s", t->change.present.name);
    return CP_OK;
}

struct api_response api_webhooks_get(const struct api_context *ctx, const struct api_call *call)
{
    struct webhook_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-webhook", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    /* how far it got, and what went wrong, change by themselves */
    return api_response_moving(t.change.present.revision, webhook_json(&t.change.present));
}

struct delivery_filter {
    struct db_delivery_list list;
    bool taken;
};

static void read_delivery_filter(struct api_fields *f, struct api_list *l)
{
    struct delivery_filter *filter = l->arg;
    int64_t event = 0;

    filter->list.taken = api_list_switch(f, "taken", &filter->taken);
    (void)api_field_int(f, "event", API_OPTIONAL, 1, INT64_MAX, &event);
    filter->list.event_id = (uint64_t)event;
}

static enum cp_err fetch_deliveries(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct delivery_filter *filter = l->arg;
    struct db_webhook webhook;

    CP_TRY(db_webhook_get(conn, l->call->params[0], &webhook, err));
    filter->list.webhook_id = webhook.id;
    filter->list.before = l->after_number;
    return db_webhook_deliveries(conn, &filter->list, l->want, l->rows, &l->count, err);
}

static json_t *delivery_row(const struct api_list *l, const void *row,
                            char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_delivery *d = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, d->id);
    return json_pack("{s:I, s:o, s:o, s:s, s:I, s:b, s:o, s:I, s:o}", "id", (json_int_t)d->id,
                     "time", api_json_time(d->time), "event",
                     d->event_id > 0 ? json_integer((json_int_t)d->event_id) : json_null(), "kind",
                     d->kind, "attempt", (json_int_t)d->attempt, "taken", d->taken, "status",
                     d->status > 0 ? json_integer(d->status) : json_null(), "duration_ms",
                     (json_int_t)d->duration_ms, "error", api_json_text(d->error));
}

struct api_response api_webhooks_deliveries(const struct api_context *ctx,
                                            const struct api_call *call)
{
    struct delivery_filter filter = {.taken = false};
    struct api_list list = {.name = "list-webhook-deliveries",
                            .row_size = sizeof(struct db_delivery),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_delivery_filter,
                            .fetch = fetch_deliveries,
                            .row = delivery_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

/* ---- create, change, delete ---- */

static void read_kinds(struct api_fields *f, struct db_webhook *w)
{
    const json_t *kinds = api_field_array(f, "kinds", API_OPTIONAL);
    const json_t *kind;
    size_t i;

    if (kinds == NULL) {
        return;
    }
    w->kinds[0] = '\0';
    json_array_foreach(kinds, i, kind)
    {
        const char *text = json_string_value(kind);

        if (text == NULL || i >= KINDS_MAX) {
            api_field_error(f, "kinds", "must be at most %d texts", KINDS_MAX);
            return;
        }
        if (!db_kinds_add(w->kinds, text)) {
            api_field_error(f, "kinds", "'%s' (number %zu) is no kind of docs/events.md",
                            strlen(text) <= SHOWN_SIZE ? text : "…", i + 1);
            return;
        }
    }
}

void api_webhook_read(struct api_fields *f, bool create, struct db_webhook *w)
{
    const char *url =
        api_field_string(f, "url", create ? API_REQUIRED : API_OPTIONAL, 8, sizeof w->url - 1);
    const char *wrong;

    (void)api_field_bool(f, "allow_http", API_OPTIONAL, &w->allow_http);
    (void)api_field_bool(f, "enabled", API_OPTIONAL, &w->enabled);
    read_kinds(f, w);
    if (url != NULL) {
        (void)snprintf(w->url, sizeof w->url, "%s", url);
    }
    wrong = w->url[0] != '\0' ? api_webhook_url_wrong(w->url, w->allow_http) : NULL;
    if (wrong != NULL) {
        api_field_error(f, "url", "%s", wrong);
    }
}

static enum cp_err new_secret(const struct api_context *ctx, struct api_webhook_change *c,
                              struct cp_error *err)
{
    char purpose[DB_WEBHOOK_PURPOSE_SIZE];
    uint8_t hash[KEYS_TOKEN_HASH_SIZE];
    enum cp_err rc = keys_token_new(KEYS_TOKEN_WEBHOOK, c->secret, hash);

    _Static_assert(KEYS_TOKEN_SIZE + KEYS_SEAL_OVERHEAD <= DB_SEALED_SIZE, "room for a secret");
    (void)snprintf(purpose, sizeof purpose, DB_WEBHOOK_PURPOSE, c->wanted.id);
    if (rc == CP_OK) {
        rc = keys_ring_seal(ctx->keyring, purpose, c->secret, strlen(c->secret),
                            c->wanted.secret_sealed, &c->wanted.secret_size);
    }
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "Making a webhook's secret failed.");
}

static enum cp_err check_room(struct db_conn *conn, struct cp_error *err)
{
    struct db_webhook *rows = calloc(DB_WEBHOOKS_MAX, sizeof *rows);
    size_t count = 0;
    enum cp_err rc;

    if (rows == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a webhook.");
    }
    rc = db_webhook_list(conn, "", DB_WEBHOOKS_MAX, rows, &count, err);
    free(rows);
    if (rc == CP_OK && count == DB_WEBHOOKS_MAX) {
        rc = cp_error_set(err, CP_ERR_CONFLICT, "There are %d webhooks already: delete one first.",
                          DB_WEBHOOKS_MAX);
    }
    return rc;
}

static void set_subject(char ret_subject[DB_TEXT_SIZE], const char *name)
{
    (void)snprintf(ret_subject, DB_TEXT_SIZE, "webhook %s", name);
}

enum cp_err api_webhook_make(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, struct api_webhook_change *c,
                             struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];
    char origin[DB_URL_SIZE];
    enum cp_err rc;

    CP_TRY(check_room(conn, err));
    (void)snprintf(c->wanted.node_id, sizeof c->wanted.node_id, "%s", ctx->node_id);
    CP_TRY(db_uuid(conn, c->wanted.id, err));
    CP_TRY(new_secret(ctx, c, err));
    rc = db_webhook_create(conn, &c->wanted, &c->result, err);
    if (rc == CP_ERR_CONFLICT) {
        return api_etag_taken(call->rq, err,
                              "Field 'name': a webhook '%s' exists already: choose another name, "
                              "or change that one.",
                              c->wanted.name);
    }
    CP_TRY(rc);
    set_subject(subject, c->result.name);
    db_webhook_origin(&c->result, origin);
    return api_event_write(
        conn, ctx, call,
        &(struct api_event){.kind = "webhook-created",
                            .subject = subject,
                            .detail =
                                json_pack("{s:s, s:s}", "name", c->result.name, "origin", origin),
                            .after = api_webhook_values(&c->result)},
        err);
}

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct webhook_tx *t = arg;

    return api_webhook_make(conn, t->ctx, t->call, &t->change, err);
}

static struct api_response created(const void *arg)
{
    const struct webhook_tx *t = arg;
    struct api_response rs = answer(t, 201);

    api_header_add(&rs, "Location", "/api/v1/webhooks/%s", t->change.result.name);
    return rs;
}

static bool name_ok(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

    return strchr(first, name[0]) != NULL && name[strspn(name, rest)] == '\0';
}

const char *api_webhook_read_name(struct api_fields *f)
{
    const char *name = api_field_string(f, "name", API_REQUIRED, 1, DB_NAME_SIZE - 1);

    if (name != NULL && !name_ok(name)) {
        api_field_error(f, "name",
                        "must be of a-z, 0-9, '.', '_', '-' and begin with a letter or digit");
        return NULL;
    }
    return name;
}

struct api_response api_webhooks_create(const struct api_context *ctx, const struct api_call *call)
{
    struct webhook_tx t = {.ctx = ctx, .call = call, .change = {.wanted = {.enabled = true}}};
    struct api_creation creation = {
        .name = "create-webhook", .body = create_body, .answer = created, .arg = &t};
    struct api_response rs;
    struct api_fields f;
    const char *name;

    api_fields_body(&f, call);
    name = api_webhook_read_name(&f);
    api_webhook_read(&f, true, &t.change.wanted);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    (void)snprintf(t.change.wanted.name, sizeof t.change.wanted.name, "%s", name);
    api_fields_done(&f);
    rs = api_create(ctx, call, &creation);
    keys_wipe(t.change.secret, sizeof t.change.secret);
    return rs;
}

/* The present webhook when If-Match names it. */
static enum cp_err load_matching(struct webhook_tx *t, struct cp_error *err)
{
    CP_TRY(db_run_read(t->ctx->db, "get-webhook", get_body, t, err));
    return api_etag_require(t->call->rq, t->change.present.revision, err);
}

static json_t *changed_json(const struct api_webhook_change *c)
{
    json_t *changed =
        api_event_changed(api_webhook_values(&c->present), api_webhook_values(&c->result));
    char origin[DB_URL_SIZE];

    if (c->secret[0] != '\0') {
        (void)json_array_append_new(changed, json_string("secret"));
    }
    db_webhook_origin(&c->result, origin);
    return json_pack("{s:s, s:s, s:o}", "name", c->result.name, "origin", origin, "changed",
                     changed);
}

enum cp_err api_webhook_change(struct db_conn *conn, const struct api_context *ctx,
                               const struct api_call *call, struct api_webhook_change *c,
                               struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];

    CP_TRY(db_webhook_update(conn, &c->wanted, &c->result, err));
    set_subject(subject, c->result.name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "webhook-changed",
                                               .subject = subject,
                                               .detail = changed_json(c),
                                               .before = api_webhook_values(&c->present),
                                               .after = api_webhook_values(&c->result)},
                           err);
}

static enum cp_err update_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct webhook_tx *t = arg;

    return api_webhook_change(conn, t->ctx, t->call, &t->change, err);
}

struct api_response api_webhooks_update(const struct api_context *ctx, const struct api_call *call)
{
    struct webhook_tx t = {.ctx = ctx, .call = call};
    struct api_webhook_change *c = &t.change;
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;
    bool renew = false;

    err.code = load_matching(&t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    c->wanted = c->present;
    api_fields_body(&f, call);
    api_webhook_read(&f, false, &c->wanted);
    (void)api_field_bool(&f, "new_secret", API_OPTIONAL, &renew);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    if (renew && strcmp(c->present.node_id, ctx->node_id) != 0) {
        /* Sealed under our master key it would be of no use there. */
        err.code = cp_error_set(&err, CP_ERR_CONFLICT,
                                "Webhook '%s' is sent by another distribution point (%s): ask that "
                                "one for a new secret.",
                                c->present.name, c->present.node_id);
    } else if (renew) {
        err.code = new_secret(ctx, c, &err);
    }
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "update-webhook", update_body, &t, &err);
    }
    rs = err.code == CP_OK ? answer(&t, 200) : api_refuse(call, &err);
    keys_wipe(c->secret, sizeof c->secret);
    return rs;
}

enum cp_err api_webhook_remove(struct db_conn *conn, const struct api_context *ctx,
                               const struct api_call *call, const struct api_webhook_change *c,
                               struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];

    CP_TRY(db_webhook_delete(conn, c->present.id, c->present.revision, err));
    set_subject(subject, c->present.name);
    return api_event_write(conn, ctx, call,
                           &(struct api_event){.kind = "webhook-deleted",
                                               .subject = subject,
                                               .before = api_webhook_values(&c->present)},
                           err);
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct webhook_tx *t = arg;

    return api_webhook_remove(conn, t->ctx, t->call, &t->change, err);
}

struct api_response api_webhooks_delete(const struct api_context *ctx, const struct api_call *call)
{
    struct webhook_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = load_matching(&t, &err);
    if (err.code == CP_OK) {
        err.code = db_run_tx(ctx->db, "delete-webhook", delete_body, &t, &err);
    }
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}

/* ---- test ---- */

static enum cp_err test_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct webhook_tx *t = arg;

    CP_TRY(get_body(conn, t, err));
    CP_TRY(api_etag_honour(t->call->rq, t->change.present.revision, err));
    (void)snprintf(t->task.subject, sizeof t->task.subject, "%s", t->subject);
    (void)snprintf(t->task.node_id, sizeof t->task.node_id, "%s", t->change.present.node_id);
    t->task.params = json_pack("{s:s}", "webhook", t->change.present.id);
    return api_task_ask(conn, t->ctx, t->call, &t->task, err);
}

struct api_response api_webhooks_test(const struct api_context *ctx, const struct api_call *call)
{
    struct webhook_tx t = {.ctx = ctx, .call = call, .task = {.kind = "test-webhook"}};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_fields_none(call, &rs)) {
        return rs;
    }
    err.code = db_run_tx_locking(ctx->db, "ask-to-test-webhook", test_body, &t, &err);
    return err.code == CP_OK ? api_task_accepted(&t.task) : api_refuse(call, &err);
}
