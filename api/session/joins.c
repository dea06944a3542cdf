/* SPDX-License-Identifier: Apache-2.0
 * Joins: make one, look at it, report progress and result. Touches the database and the table of
 * progress; thread-safe. */
#include <stdlib.h>
#include <string.h>

#include "api/framework/fields.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/session/join.h"
#include "api/session/progress.h"
#include "api/session/session_json.h"
#include "api/session/ticket.h"
#include "common/base64.h"
#include "common/log.h"

/* ---- POST /joins ---- */

static bool client_id_ok(const char *id)
{
    return id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] ==
           '\0';
}

static void read_wish(struct api_fields *f, struct api_join *j)
{
    const char *text;
    int64_t number = 0;

    j->package = api_field_string(f, "package", API_REQUIRED, 1, DB_NAME_SIZE - 1);
    (void)api_field_int(f, "version", API_OPTIONAL, 1, INT32_MAX, &number);
    j->number = (uint32_t)number;
    j->client_id = api_field_string(f, "client_id", API_REQUIRED, 1, 64);
    if (j->client_id != NULL && !client_id_ok(j->client_id)) {
        api_field_error(f, "client_id", "must be of A-Z, a-z, 0-9, '.', '_' and '-'");
    }
    text = api_field_string(f, "client_name", API_OPTIONAL, 0, DB_NAME_SIZE - 1);
    j->client_name = text == NULL ? "" : text;
    text = api_field_string(f, "client_version", API_OPTIONAL, 0, 31);
    j->client_version = text == NULL ? "" : text;
    j->multicast = true;
    (void)api_field_bool(f, "multicast", API_OPTIONAL, &j->multicast);
}

/* The signed ticket, malloced. */
static enum cp_err sign_ticket(const struct api_join *j, char **ret_jws, struct cp_error *err)
{
    bool has_session = j->session.id[0] != '\0';
    struct api_ticket t = {
        .version = &j->version,
        .receiver = &j->receiver,
        .session = has_session ? &j->session : NULL,
        .secret = j->secret,
        .source = j->link.source,
        .no_session = j->no_session,
        .no_session_detail = j->no_session_detail,
        .manifest_signature = j->version.manifest_signature,
    };
    enum cp_err rc;
    size_t size = 0;
    char *text;

    text = api_ticket_text(&t, &size);
    if (text == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the ticket.");
    }
    rc = keys_ring_sign(&j->key, text, size, ret_jws, err);
    keys_wipe(text, size);
    free(text);
    return rc;
}

/* For clients that know an identity only that was rotated lately: the same key, certified by it. */
static json_t *previous_json(const struct keys_multicast *key)
{
    json_t *list = json_array();

    for (size_t i = 0; i < key->previous_count; i++) {
        char identity[CP_BASE64_SIZE(32)];

        (void)cp_base64_encode(CP_BASE64_URL, key->previous[i].identity_key, 32, identity);
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "identity_key", identity,
                                                    "certificate", key->previous[i].certificate));
    }
    return list;
}

static struct api_response answer_join(const struct api_join *j, const char *token)
{
    struct cp_error err = {.code = CP_OK};
    char identity[CP_BASE64_SIZE(32)];
    struct api_response rs;
    char *ticket = NULL;

    err.code = sign_ticket(j, &ticket, &err);
    if (err.code != CP_OK) {
        return api_refuse(j->call, &err);
    }
    (void)cp_base64_encode(CP_BASE64_URL, j->key.identity_key, 32, identity);
    rs = api_response_json(j->rejoined ? 200 : 201,
                           json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "id", j->receiver.id,
                                     "receiver_token", token, "ticket", ticket, "certificate",
                                     j->key.certificate, "identity_key", identity,
                                     "previous_identities", previous_json(&j->key)));
    free(ticket);
    if (!j->rejoined) {
        api_header_add(&rs, "Location", "/api/v1/joins/%s", j->receiver.id);
    }
    return rs;
}

static struct api_response run_join(struct api_join *j)
{
    struct cp_error err = {.code = CP_OK};
    char token[KEYS_TOKEN_SIZE];
    struct api_response rs;

    err.code = keys_token_new(KEYS_TOKEN_RECEIVER, token, j->token_hash);
    if (err.code != CP_OK) {
        return api_refuse_text(j->call, err.code, "No receiver token could be made.");
    }
    err.code = db_run_tx_locking(j->ctx->db, "join", api_join_body, j, &err);
    if (err.code != CP_OK) {
        return api_refuse(j->call, &err);
    }
    if (j->ctx->progress != NULL) {
        /* What the client reported before it came back is of its former life. */
        api_progress_drop(j->ctx->progress, j->receiver.id);
    }
    rs = answer_join(j, token);
    keys_wipe(token, sizeof token);
    return rs;
}

struct api_response api_joins_create(const struct api_context *ctx, const struct api_call *call)
{
    struct api_join *j = calloc(1, sizeof *j);
    struct api_response rs;
    struct api_fields f;

    if (j == NULL) {
        return api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the join.");
    }
    if (call->who->receiver_id[0] != '\0') {
        /* It could renew itself for ever, whatever was decided about access meanwhile. */
        free(j);
        return api_refuse_text(call, CP_ERR_ACCESS_DENIED,
                               "A receiver token is for the join that it belongs to: join again "
                               "with an account (Basic) or a token (Bearer), or without "
                               "credentials where access is anonymous.");
    }
    j->ctx = ctx;
    j->call = call;
    api_fields_body(&f, call);
    read_wish(&f, j);
    if (!api_fields_ok(&f)) {
        rs = api_fields_refuse(&f, call);
    } else {
        rs = run_join(j);
        api_fields_done(&f);
    }
    api_join_done(j);
    free(j);
    return rs;
}

/* ---- of one join ---- */

struct join_tx {
    const struct api_context *ctx;
    const char *id;
    struct db_receiver receiver;
    struct db_receiver_result result;
    bool changed;
};

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct join_tx *t = arg;

    return db_receiver_get(conn, t->id, &t->receiver, err);
}

/* The token must be of this very join: another's, even of the same session, is refused. */
static enum cp_err check_own(const struct api_call *call, struct cp_error *err)
{
    if (strcmp(call->who->receiver_id, call->params[0]) != 0) {
        return cp_error_set(err, CP_ERR_ACCESS_DENIED,
                            "The receiver token belongs to another join.");
    }
    return CP_OK;
}

static enum cp_err load_own(const struct api_context *ctx, const struct api_call *call,
                            struct join_tx *ret_tx, struct cp_error *err)
{
    memset(ret_tx, 0, sizeof *ret_tx);
    ret_tx->ctx = ctx;
    ret_tx->id = call->params[0];
    CP_TRY(check_own(call, err));
    return db_run_read(ctx->db, "get-join", get_body, ret_tx, err);
}

/* The service left it behind, or changed the session's secret, and it does not know yet. */
static bool left_behind(const struct db_receiver *r)
{
    enum cp_err reason = cp_err_from_code(r->progress.reason);

    return r->progress.state == DB_RECEIVER_MOVED &&
           (reason == CP_ERR_RECEIVER_TOO_SLOW || reason == CP_ERR_SESSION_REKEYED);
}

/* Whether a receiver that says it is in that state should leave multicast: its session is over
 * without it, or goes on without it. */
static bool must_leave(const struct db_receiver *r, enum db_receiver_state state)
{
    return r->session_id[0] != '\0' && db_receiver_active(state) && r->result_at == 0 &&
           (db_session_ended(r->session_state) || left_behind(r));
}

static json_t *command_json(const struct db_receiver *r, enum db_receiver_state state)
{
    const char *code = r->session_end_code;
    const char *detail = r->session_end_detail;

    if (!must_leave(r, state)) {
        return json_null();
    }
    if (left_behind(r)) {
        code = r->progress.reason;
        detail = r->detail;
    } else if (code[0] == '\0') {
        code = cp_err_info(CP_ERR_SENDER_SILENT)->code;
        detail = "The session has ended.";
    } else if (cp_err_is_inner(cp_err_from_code(code))) {
        detail = cp_err_info(cp_err_from_code(code))->title;
    }
    return json_pack("{s:s, s:s, s:s}", "command", "leave", "code", code, "detail", detail);
}

struct api_response api_joins_get(const struct api_context *ctx, const struct api_call *call)
{
    struct cp_error err = {.code = CP_OK};
    struct join_tx t;
    json_t *value;

    err.code = load_own(ctx, call, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    value = api_receiver_json(&t.receiver);
    if (value != NULL) {
        const char *state =
            t.receiver.session_id[0] != '\0' ? db_session_state_name(t.receiver.session_state) : "";

        (void)json_object_set_new(value, "session_state", api_json_text(state));
        (void)json_object_set_new(value, "command",
                                  command_json(&t.receiver, t.receiver.progress.state));
    }
    return api_response_json(200, value);
}

/* ---- progress ---- */

static void read_count(struct api_fields *f, const char *name, uint64_t *ret)
{
    int64_t value = 0;

    (void)api_field_int(f, name, API_OPTIONAL, 0, INT64_MAX, &value);
    *ret = (uint64_t)value;
}

static uint32_t read_loss(struct api_fields *f)
{
    int64_t value = 0;

    (void)api_field_int(f, "loss_ppm", API_OPTIONAL, 0, 1000000, &value);
    return (uint32_t)value;
}

static void read_progress(struct api_fields *f, struct db_progress *ret_progress)
{
    struct db_progress *p = ret_progress;
    const char *state = api_field_string(f, "state", API_REQUIRED, 1, 16);
    const char *reason = api_field_string(f, "reason", API_OPTIONAL, 1, DB_CODE_SIZE - 1);

    memset(p, 0, sizeof *p);
    if (state != NULL && !db_receiver_state_parse(state, &p->state)) {
        api_field_error(f, "state",
                        "must be joined, receiving, repairing, verifying, done, moved, failed or "
                        "lost");
    }
    if (reason != NULL && cp_err_from_code(reason) == CP_OK) {
        api_field_error(f, "reason", "must be a code of the error catalogue");
    } else if (reason != NULL) {
        memcpy(p->reason, reason, strlen(reason) + 1);
    }
    read_count(f, "bytes_done", &p->bytes_done);
    read_count(f, "bytes_total", &p->bytes_total);
    read_count(f, "bytes_multicast", &p->bytes_multicast);
    read_count(f, "bytes_repair", &p->bytes_repair);
    read_count(f, "bytes_https", &p->bytes_https);
    read_count(f, "rate_bps", &p->rate_bps);
    read_count(f, "nacks", &p->nacks);
    p->loss_ppm = read_loss(f);
}

struct report_arg {
    struct db_receiver_report report;
};

static enum cp_err report_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct report_arg *a = arg;

    return db_receiver_progress(conn, &a->report, 1, err);
}

/* Into the table, which is flushed every second; at once where there is none (tests). */
static enum cp_err keep_progress(const struct api_context *ctx, const char *id,
                                 const struct db_progress *progress, struct cp_error *err)
{
    struct report_arg a = {.report.progress = *progress};
    enum cp_err rc;

    if (ctx->progress == NULL) {
        memcpy(a.report.id, id, strlen(id) + 1);
        return db_run_tx_locking(ctx->db, "progress", report_body, &a, err);
    }
    rc = api_progress_put(ctx->progress, id, progress);
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "The progress cannot be kept now.");
}

struct api_response api_joins_progress(const struct api_context *ctx, const struct api_call *call)
{
    struct cp_error err = {.code = CP_OK};
    struct db_progress progress;
    struct api_fields f;
    struct join_tx t;

    if (check_own(call, &err) != CP_OK) {
        return api_refuse(call, &err);
    }
    api_fields_body(&f, call);
    read_progress(&f, &progress);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    err.code = load_own(ctx, call, &t, &err);
    if (err.code == CP_OK && t.receiver.result_at == 0) {
        err.code = keep_progress(ctx, t.receiver.id, &progress, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    if (must_leave(&t.receiver, progress.state)) {
        return api_response_json(200, command_json(&t.receiver, progress.state));
    }
    return api_response_empty(204);
}

/* ---- result ---- */

static void read_result(struct api_fields *f, struct db_receiver_result *r)
{
    static const char *const outcomes[] = {"done", "failed", NULL};
    int outcome = api_field_word(f, "outcome", API_REQUIRED, outcomes);
    uint64_t duration;

    r->done = outcome == 0;
    r->code = api_field_string(f, "code", outcome == 1 ? API_REQUIRED : API_OPTIONAL, 1,
                               DB_CODE_SIZE - 1);
    r->detail = api_field_string(f, "detail", API_OPTIONAL, 0, DB_TEXT_SIZE - 1);
    if (r->code != NULL && (r->done || cp_err_from_code(r->code) == CP_OK)) {
        api_field_error(f, "code",
                        "must be a code of the error catalogue, and goes with 'failed' only");
    }
    read_count(f, "bytes_total", &r->bytes_total);
    read_count(f, "bytes_multicast", &r->bytes_multicast);
    read_count(f, "bytes_repair", &r->bytes_repair);
    read_count(f, "bytes_https", &r->bytes_https);
    read_count(f, "duration_ms", &duration);
    read_count(f, "rate_bps", &r->rate_bps);
    r->duration_ms = duration;
    r->loss_ppm = read_loss(f);
    read_count(f, "nacks", &r->nacks);
}

static enum cp_err result_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct join_tx *t = arg;

    return db_receiver_result(conn, t->id, &t->result, &t->changed, err);
}

struct api_response api_joins_result(const struct api_context *ctx, const struct api_call *call)
{
    struct cp_error err = {.code = CP_OK};
    struct db_receiver_result result = {.done = false};
    struct api_fields f;
    struct join_tx t;

    if (check_own(call, &err) != CP_OK) {
        return api_refuse(call, &err);
    }
    api_fields_body(&f, call);
    read_result(&f, &result);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    err.code = load_own(ctx, call, &t, &err);
    if (err.code == CP_OK) {
        if (ctx->progress != NULL) {
            api_progress_drop(ctx->progress, t.id);
        }
        t.result = result;
        err.code = db_run_tx_locking(ctx->db, "result", result_body, &t, &err);
    }
    api_fields_done(&f);
    return err.code == CP_OK ? api_response_empty(204) : api_refuse(call, &err);
}
