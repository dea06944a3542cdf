/* SPDX-License-Identifier: Apache-2.0
 * Keys of a distribution point: shown, checked, rotated, revoked. Secrets of sessions and the
 * master key are shown beside them, as counts and by name, never their values. Touches the
 * database; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/audit.h"
#include "api/framework/fields.h"
#include "api/framework/idempotency.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/tasks.h"
#include "common/base64.h"
#include "keys/care.h"
#include "keys/master.h"
#include "keys/report.h"

#define PRESENT_MAX 16 /* keys of a kind that are shown as pending, active, in overlap */
#define REASON_MAX  180

/* What {kind} names. */
enum word { IDENTITY, MULTICAST, SECRETS, MASTER, WORD_COUNT };
static const char *const words[WORD_COUNT] = {"identity", "multicast", "session-secrets", "master"};

struct keys_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    enum word word;
    struct db_node node;
    bool local;
    struct db_settings settings;
    uint64_t now;
    json_t *view;
    const char *reason, *fingerprint; /* of a revocation */
    struct api_task task;
    struct db_key_list filter; /* of the list */
};

/* ---- one key ---- */

static json_t *key_json(const struct db_key *k, const struct db_settings *settings, uint64_t now)
{
    char public_key[CP_BASE64_SIZE(sizeof k->public_key)];
    struct keys_report report;

    keys_report_key(k, settings, now, &report);
    (void)cp_base64_encode(CP_BASE64_URL, k->public_key, k->public_key_size, public_key);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o}",
        "id", k->id, "kind", db_key_kind_name(k->kind), "state", db_key_state_name(k->state),
        "health", keys_health_name(report.health), "summary", report.summary, "fingerprint",
        k->fingerprint, "public_key", public_key, "certificate", api_json_text(k->certificate),
        "not_before", api_json_time(k->not_before), "not_after", api_json_time(k->not_after),
        "created_at", api_json_time(k->created_at), "activated_at", api_json_time(k->activated_at),
        "overlap_until", api_json_time(k->overlap_until), "retired_at",
        api_json_time(k->retired_at), "retired_reason", api_json_text(k->retired_reason),
        "last_used_at", api_json_time(k->last_used_at), "checked_at", api_json_time(k->checked_at),
        "check_result", api_json_text(k->check_result), "next_rotation_at",
        api_json_time(report.next_rotation_at));
}

/* The node of the path, its settings and the time: what every view needs. */
static enum cp_err find_node(struct db_conn *conn, struct keys_tx *t, struct cp_error *err)
{
    CP_TRY(api_node_find(conn, t->ctx, t->call->params[0], &t->node, err));
    t->local = strcmp(t->node.id, t->ctx->node_id) == 0;
    CP_TRY(db_settings_get(conn, t->node.id, &t->settings, err));
    return db_now(conn, &t->now, err);
}

/* Its keys are sealed under its own master key. */
static enum cp_err find_local(struct db_conn *conn, struct keys_tx *t, struct cp_error *err)
{
    CP_TRY(find_node(conn, t, err));
    return t->local ? CP_OK
                    : cp_error_set(err, CP_ERR_CONFLICT,
                                   "The keys of '%s' can only be changed there: send the request "
                                   "to that distribution point.",
                                   t->node.name);
}

/* ---- one kind ---- */

static json_t *kind_json(const struct keys_tx *t, enum db_key_kind kind, const struct db_key *rows,
                         size_t count)
{
    const struct db_key *active = NULL;
    json_t *pending = json_null();
    json_t *overlap = json_array();
    struct keys_report report;

    for (size_t i = 0; i < count; i++) {
        if (rows[i].state == DB_KEY_OVERLAP) {
            (void)json_array_append_new(overlap, key_json(&rows[i], &t->settings, t->now));
        } else if (rows[i].state == DB_KEY_PENDING) {
            pending = key_json(&rows[i], &t->settings, t->now);
        } else {
            active = &rows[i];
        }
    }
    keys_report_kind(kind, active, &t->settings, t->now, &report);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "kind", words[t->word], "health",
                     keys_health_name(report.health), "summary", report.summary, "active",
                     active != NULL ? key_json(active, &t->settings, t->now) : json_null(),
                     "pending", pending, "overlap", overlap);
}

static enum cp_err view_kind(struct db_conn *conn, struct keys_tx *t, struct cp_error *err)
{
    enum db_key_kind kind = t->word == IDENTITY ? DB_KEY_IDENTITY : DB_KEY_MULTICAST;
    struct db_key *rows = calloc(PRESENT_MAX, sizeof *rows);
    size_t count = 0;
    enum cp_err rc;

    if (rows == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the keys.");
    }
    rc = db_key_present(conn, t->node.id, kind, PRESENT_MAX, rows, &count, err);
    if (rc == CP_OK) {
        t->view = kind_json(t, kind, rows, count);
    }
    free(rows);
    return rc;
}

static enum cp_err view_secrets(struct db_conn *conn, struct keys_tx *t, struct cp_error *err)
{
    struct keys_secrets s;
    enum keys_health health = KEYS_HEALTH_OK;
    char text[KEYS_SUMMARY_SIZE];

    CP_TRY(keys_ring_secrets(t->ctx->keyring, conn, t->node.id, &s, err));
    if (!t->local) {
        (void)snprintf(text, sizeof text,
                       "Whether they open is known to their distribution point only.");
    } else if (!keys_ring_has_master(t->ctx->keyring)) {
        health = s.unusable > 0 ? KEYS_HEALTH_ATTENTION : KEYS_HEALTH_OK;
        (void)snprintf(text, sizeof text,
                       "%u of %u cannot be opened: the master key is missing. They can when it is "
                       "back.",
                       s.unusable, s.waiting + s.running);
    } else if (s.unusable == 0) {
        (void)snprintf(text, sizeof text, "Every session that has not ended has a good secret.");
    } else {
        health = KEYS_HEALTH_ATTENTION;
        (void)snprintf(text, sizeof text,
                       "%u of %u cannot be opened: damaged, or sealed under another master key. %s",
                       s.unusable, s.waiting + s.running,
                       t->settings.key_repair
                           ? "Sessions that wait are cancelled by the next check, and the next "
                             "join makes new ones; those that run go on."
                           : "key_repair is off: cancel those sessions, the next join makes new "
                             "ones.");
    }
    t->view =
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:o}", "kind", words[t->word], "health",
                  keys_health_name(health), "summary", text, "waiting", (int)s.waiting, "running",
                  (int)s.running, "unusable", t->local ? json_integer(s.unusable) : json_null());
    return CP_OK;
}

static enum cp_err view_master(struct db_conn *conn, struct keys_tx *t, struct cp_error *err)
{
    const char *text = "All secrets of the database are sealed under it.";
    enum keys_health health = KEYS_HEALTH_OK;
    struct db_master_key stored = {.changed_at = 0};
    struct cp_error file = {.code = CP_OK};
    char ours[DB_DIGEST_SIZE], lost[KEYS_SUMMARY_SIZE];
    enum cp_err rc = db_master_key_get(conn, t->node.id, &stored, err);

    if (rc != CP_OK && rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    if (keys_ring_master_fingerprint(t->ctx->keyring, ours, &file) != CP_OK) {
        health = KEYS_HEALTH_BROKEN;
        (void)snprintf(ours, sizeof ours, "%s", stored.fingerprint);
    }
    if (!t->local) {
        health = KEYS_HEALTH_OK;
        text = "Whether it is there is known to its distribution point only.";
    } else if (health != KEYS_HEALTH_OK) {
        text = file.text;
    } else if (rc == CP_ERR_NOT_FOUND) {
        text = "Nothing is sealed under it yet.";
    } else if (strcmp(ours, stored.fingerprint) != 0) {
        health = KEYS_HEALTH_BROKEN;
        text = "castpointd has another master key than the one that the secrets of the database "
               "were sealed under. Stop it, put the right key back and start it again; or rotate "
               "identity and multicast key, and clients that pinned the identity must be told.";
    } else if (keys_ring_check_master(t->ctx->keyring, &file) != CP_OK) {
        health = KEYS_HEALTH_BROKEN;
        text = lost;
        (void)snprintf(lost, sizeof lost,
                       "castpointd works with a master key that its file does not hold: after its "
                       "next start nobody could open the secrets of the database. Rotate the "
                       "master key now, which writes the file anew. (%.250s)",
                       file.text);
    }
    t->view = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s}", "kind", words[t->word], "health",
                        keys_health_name(health), "summary", text, "fingerprint",
                        api_json_text(t->local ? ours : stored.fingerprint), "changed_at",
                        api_json_time(stored.changed_at), "source",
                        keys_ring_master_source(t->ctx->keyring));
    return CP_OK;
}

static enum cp_err view(struct db_conn *conn, struct keys_tx *t, struct cp_error *err)
{
    json_decref(t->view);
    t->view = NULL;
    if (t->word == SECRETS) {
        return view_secrets(conn, t, err);
    }
    return t->word == MASTER ? view_master(conn, t, err) : view_kind(conn, t, err);
}

/* ---- list ---- */

/* How each kind is, were there no row of it: emptied rows and a missing master key show here. */
static enum cp_err view_kinds(struct db_conn *conn, struct keys_tx *t, json_t **kinds,
                              struct cp_error *err)
{
    json_decref(*kinds);
    *kinds = json_array();
    for (int i = 0; i < WORD_COUNT; i++) {
        t->word = (enum word)i;
        CP_TRY(view(conn, t, err));
        (void)json_array_append_new(*kinds, json_pack("{s:s, s:O, s:O}", "kind", words[i], "health",
                                                      json_object_get(t->view, "health"), "summary",
                                                      json_object_get(t->view, "summary")));
    }
    return CP_OK;
}

static void read_filter(struct api_fields *f, struct api_list *l)
{
    static const char *const kinds[] = {"identity", "multicast", NULL};
    static const char *const states[] = {"pending", "active",  "overlap", "retired",
                                         "revoked", "damaged", NULL};
    struct keys_tx *t = l->arg;

    t->filter.kind = api_list_word(f, "kind", kinds);
    t->filter.state = api_list_word(f, "state", states);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct keys_tx *t = l->arg;

    CP_TRY(find_node(conn, t, err));
    CP_TRY(view_kinds(conn, t, &l->beside_json, err));
    t->filter.node_id = t->node.id;
    t->filter.after = l->after;
    return db_key_list(conn, &t->filter, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct keys_tx *t = l->arg;
    const struct db_key *r = row;

    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->id);
    return key_json(r, &t->settings, t->now);
}

struct api_response api_keys_list(const struct api_context *ctx, const struct api_call *call)
{
    struct keys_tx t = {.ctx = ctx, .call = call};
    struct api_list list = {.name = "list-keys",
                            .row_size = sizeof(struct db_key),
                            .cursor = API_CURSOR_UUID,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .beside = "kinds",
                            .arg = &t};
    struct api_response rs = api_list_respond(ctx, call, &list);

    json_decref(t.view);
    return rs;
}

static bool read_word(const struct api_call *call, enum word *ret_word,
                      struct api_response *ret_response)
{
    for (int i = 0; i < WORD_COUNT; i++) {
        if (strcmp(call->params[1], words[i]) == 0) {
            *ret_word = (enum word)i;
            return true;
        }
    }
    *ret_response = api_refuse_text(call, CP_ERR_NOT_FOUND,
                                    "There is no kind of key '%.60s': give 'identity', "
                                    "'multicast', 'session-secrets' or 'master'.",
                                    call->params[1]);
    return false;
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keys_tx *t = arg;

    CP_TRY(find_node(conn, t, err));
    return view(conn, t, err);
}

static struct api_response answer(struct keys_tx *t, const struct cp_error *err)
{
    if (err->code != CP_OK) {
        json_decref(t->view);
        return api_refuse(t->call, err);
    }
    return api_response_json(200, t->view);
}

struct api_response api_keys_get(const struct api_context *ctx, const struct api_call *call)
{
    struct keys_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!read_word(call, &t.word, &rs)) {
        return rs;
    }
    err.code = db_run_read(ctx->db, "get-keys", get_body, &t, &err);
    return answer(&t, &err);
}

/* ---- check ---- */

static struct keys_caller caller_of(const struct api_call *call)
{
    return (struct keys_caller){.actor = call->who->account, .request_id = call->rq->request_id};
}

/* The keyring writes the events; who asked for it is in the audit log. */
static enum cp_err audit(struct db_conn *conn, const struct keys_tx *t, struct cp_error *err)
{
    char subject[DB_TEXT_SIZE];
    struct api_change change = {.outcome = DB_AUDIT_DONE, .subject = subject, .after = t->view};

    (void)snprintf(subject, sizeof subject, "keys %s", words[t->word]);
    return api_audit_change(conn, t->ctx, t->call, &change, err);
}

static enum cp_err check_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keys_tx *t = arg;
    struct keys_caller caller = caller_of(t->call);
    struct keys_care care;

    CP_TRY(find_local(conn, t, err));
    CP_TRY(keys_ring_care(t->ctx->keyring, conn, &caller, &care, err));
    CP_TRY(view(conn, t, err));
    return audit(conn, t, err);
}

struct api_response api_keys_check(const struct api_context *ctx, const struct api_call *call)
{
    struct keys_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_fields_none(call, &rs) || !read_word(call, &t.word, &rs)) {
        return rs;
    }
    err.code = db_run_tx_locking(ctx->db, "check-keys", check_body, &t, &err);
    return answer(&t, &err);
}

/* ---- rotate and revoke ---- */

/* Manifests that the former key signed are signed anew by a task. It is a part of what was asked
 * for, not something that somebody asked for: no entry of its own in the audit log. */
static enum cp_err ask_check(struct db_conn *conn, struct keys_tx *t, struct cp_error *err)
{
    struct db_task *task = calloc(1, sizeof *task);
    enum cp_err rc;
    bool made;

    if (task == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a task.");
    }
    (void)snprintf(task->node_id, sizeof task->node_id, "%s", t->node.id);
    (void)snprintf(task->kind, sizeof task->kind, "check-keys");
    (void)snprintf(task->actor, sizeof task->actor, "%s", t->call->who->account);
    (void)snprintf(task->request_id, sizeof task->request_id, "%s", t->call->rq->request_id);
    rc = db_task_create(conn, task, task, &made, err);
    free(task);
    return rc;
}

static enum db_key_kind kind_of(const struct keys_tx *t)
{
    return t->word == IDENTITY ? DB_KEY_IDENTITY : DB_KEY_MULTICAST;
}

static enum cp_err rotate_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keys_tx *t = arg;
    struct keys_caller caller = caller_of(t->call);
    struct db_key key;

    CP_TRY(find_local(conn, t, err));
    CP_TRY(keys_ring_rotate(t->ctx->keyring, conn, kind_of(t), &caller, err));
    CP_TRY(ask_check(conn, t, err));
    CP_TRY(db_key_active(conn, t->node.id, kind_of(t), &key, err));
    json_decref(t->view);
    t->view = key_json(&key, &t->settings, t->now);
    return audit(conn, t, err);
}

static enum cp_err rotate_master_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keys_tx *t = arg;

    CP_TRY(find_local(conn, t, err));
    t->task = (struct api_task){
        .kind = "rotate-master-key", .unit = DB_TASK_ITEMS, .subject = "master key"};
    return api_task_ask(conn, t->ctx, t->call, &t->task, err);
}

static struct api_response refuse_secrets(const struct api_call *call)
{
    return api_refuse_text(call, CP_ERR_CONFLICT,
                           "Each session has a secret of its own, made with it: cancel a session "
                           "to have none of its secret, the next join makes another session.");
}

static struct api_response changed(const void *arg)
{
    const struct keys_tx *t = arg;

    return t->word == MASTER ? api_task_accepted(&t->task)
                             : api_response_json(200, json_incref(t->view));
}

/* Asked for twice with one Idempotency-Key, a key is rotated once. */
struct api_response api_keys_rotate(const struct api_context *ctx, const struct api_call *call)
{
    struct keys_tx t = {.ctx = ctx, .call = call};
    struct api_creation creation = {.name = "rotate-key", .answer = changed, .arg = &t};
    struct api_response rs;

    if (!api_fields_none(call, &rs) || !read_word(call, &t.word, &rs)) {
        return rs;
    }
    if (t.word == SECRETS) {
        return refuse_secrets(call);
    }
    creation.body = t.word == MASTER ? rotate_master_body : rotate_body;
    rs = api_create(ctx, call, &creation);
    json_decref(t.view);
    return rs;
}

static enum cp_err revoke_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keys_tx *t = arg;
    struct keys_caller caller = caller_of(t->call);
    struct keys_revocation revocation = {
        .kind = kind_of(t), .fingerprint = t->fingerprint, .reason = t->reason};
    char fingerprint[DB_DIGEST_SIZE];
    struct db_key key;

    CP_TRY(find_local(conn, t, err));
    if (t->fingerprint == NULL) {
        CP_TRY(db_key_active(conn, t->node.id, revocation.kind, &key, err));
        memcpy(fingerprint, key.fingerprint, sizeof fingerprint);
    } else {
        (void)snprintf(fingerprint, sizeof fingerprint, "%s", t->fingerprint);
    }
    CP_TRY(keys_ring_revoke(t->ctx->keyring, conn, &revocation, &caller, err));
    CP_TRY(ask_check(conn, t, err));
    CP_TRY(db_key_by_fingerprint(conn, t->node.id, revocation.kind, fingerprint, &key, err));
    CP_TRY(view(conn, t, err));
    (void)json_object_set_new(t->view, "revoked", key_json(&key, &t->settings, t->now));
    return audit(conn, t, err);
}

/* Asked for twice with one Idempotency-Key, the key that took the revoked one's place stays. */
struct api_response api_keys_revoke(const struct api_context *ctx, const struct api_call *call)
{
    struct keys_tx t = {.ctx = ctx, .call = call};
    struct api_creation creation = {
        .name = "revoke-key", .body = revoke_body, .answer = changed, .arg = &t};
    struct api_response rs;
    struct api_fields f;

    if (!read_word(call, &t.word, &rs)) {
        return rs;
    }
    if (t.word == SECRETS) {
        return refuse_secrets(call);
    }
    if (t.word == MASTER) {
        return api_refuse_text(call, CP_ERR_CONFLICT,
                               "The master key is not revoked but rotated: that seals everything "
                               "anew. Who had both it and the database has all keys: rotate or "
                               "revoke these too.");
    }
    api_fields_body(&f, call);
    t.reason = api_field_string(&f, "reason", API_REQUIRED, 1, REASON_MAX);
    t.fingerprint = api_field_string(&f, "fingerprint", API_OPTIONAL, 64, 64);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    rs = api_create(ctx, call, &creation);
    api_fields_done(&f);
    json_decref(t.view);
    return rs;
}
