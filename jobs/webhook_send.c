/* SPDX-License-Identifier: Apache-2.0
 * One attempt of a webhook. Touches the database and, through webhook_http.h, the network. */
#include "jobs/webhook_send.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "db/event_json.h"
#include "keys/credentials.h"
#include "keys/master.h"

#define PAUSE_FIRST_MS 5000u
#define PAUSE_MAX_MS   3600000u
/* An event that was not taken for so long is left out. */
#define GIVE_UP_AFTER (24 * 3600 * CP_SEC)
/* Who has failed for so long is switched off. */
#define DISABLE_AFTER (3 * 24 * 3600 * CP_SEC)

/* ---- the request ---- */

static enum cp_err open_secret(const struct jobs_context *ctx, const struct db_webhook *w,
                               char ret_secret[KEYS_TOKEN_SIZE], struct cp_error *err)
{
    struct keys_sealed sealed = {w->secret_sealed, w->secret_size};
    char purpose[DB_WEBHOOK_PURPOSE_SIZE];
    size_t size = 0;
    enum cp_err rc;

    (void)snprintf(purpose, sizeof purpose, DB_WEBHOOK_PURPOSE, w->id);
    rc = keys_ring_unseal(ctx->keyring, purpose, sealed, ret_secret, KEYS_TOKEN_SIZE - 1, &size);
    if (rc == CP_ERR_KEY_UNUSABLE) {
        return keys_ring_missing(err);
    }
    if (rc != CP_OK) {
        return cp_error_set(err, CP_ERR_KEY_UNUSABLE,
                            "its secret is damaged or was sealed under another master key: make a "
                            "new one by PATCH {\"new_secret\": true}");
    }
    ret_secret[size] = '\0';
    return CP_OK;
}

/* HMAC-SHA-256 over "<timestamp>.<body>": the time is signed, so that nobody can send it again
 * later as new. */
static enum cp_err sign(const char *secret, const char *stamp, const char *body,
                        char ret_signature[65])
{
    size_t size = strlen(stamp) + 1 + strlen(body);
    char *text = malloc(size + 1);
    enum cp_err rc;

    if (text == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    (void)snprintf(text, size + 1, "%s.%s", stamp, body);
    rc = keys_hmac_hex(secret, text, size, ret_signature);
    free(text);
    return rc;
}

static char *body_of(const struct db_event *event)
{
    json_t *value = db_event_json(event);
    char *body = value != NULL ? json_dumps(value, JSON_COMPACT) : NULL;

    json_decref(value);
    return body;
}

enum cp_err hook_send(const struct jobs_context *ctx, struct hook_http *http,
                      const struct hook_send *send, struct cp_error *err)
{
    char kind[DB_NAME_SIZE + 32], delivery[160], time[64], signature[128];
    char secret[KEYS_TOKEN_SIZE], stamp[24], hex[65];
    struct hook_request rq = {.url = send->webhook->url,
                              .allow_http = send->webhook->allow_http,
                              .headers = {kind, delivery, time, signature}};
    char *body;
    enum cp_err rc;

    CP_TRY(open_secret(ctx, send->webhook, secret, err));
    body = body_of(send->event);
    (void)snprintf(stamp, sizeof stamp, "%" PRIu64, cp_clock_wall() / CP_SEC);
    rc = body != NULL ? sign(secret, stamp, body, hex) : CP_ERR_NO_MEMORY;
    keys_wipe(secret, sizeof secret);
    if (rc != CP_OK) {
        free(body);
        return cp_error_set(err, rc, "signing what is sent failed");
    }
    (void)snprintf(kind, sizeof kind, "X-Castpoint-Event: %s", send->event->kind);
    (void)snprintf(delivery, sizeof delivery, "X-Castpoint-Delivery: %s", send->delivery);
    (void)snprintf(time, sizeof time, "X-Castpoint-Timestamp: %s", stamp);
    (void)snprintf(signature, sizeof signature, "X-Castpoint-Signature: sha256=%s", hex);
    rq.body = body;
    rc = hook_http_begin(http, &rq, send->arg, err);
    free(body);
    return rc;
}

/* ---- what came of it ---- */

uint64_t hook_pause_ms(uint32_t failed, uint32_t random)
{
    uint64_t pause = failed < 10 ? (uint64_t)PAUSE_FIRST_MS << failed : PAUSE_MAX_MS;

    pause = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
    /* 3/4 … 5/4 */
    return pause * 3 / 4 + pause / 2 * random / UINT32_MAX;
}

struct record {
    const struct jobs_context *ctx;
    const struct db_event *event;
    struct db_attempt attempt;
    char id[DB_ID_SIZE];
    struct db_webhook before, after;
};

/* Takes detail over. */
static enum cp_err tell(struct db_conn *conn, const struct record *r, const char *kind,
                        json_t *detail, struct cp_error *err)
{
    struct db_event row = {.id = 0};

    if (!db_event_set_detail(&row, detail)) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", kind);
    }
    (void)snprintf(row.node_id, sizeof row.node_id, "%s", r->ctx->node_id);
    (void)snprintf(row.kind, sizeof row.kind, "%s", kind);
    (void)snprintf(row.subject, sizeof row.subject, "webhook %s", r->after.name);
    return db_event_add(conn, &row, err);
}

static json_t *since_json(const struct record *r, uint64_t since)
{
    char text[CP_RFC3339_SIZE];
    char origin[DB_URL_SIZE];

    cp_clock_rfc3339(since, text);
    db_webhook_origin(&r->after, origin);
    return json_pack("{s:s, s:s, s:s}", "origin", origin, "failing_since", text, "error",
                     r->attempt.error);
}

static enum cp_err record_failure(struct db_conn *conn, struct record *r, struct cp_error *err)
{
    uint64_t now = cp_clock_wall();
    char origin[DB_URL_SIZE];

    db_webhook_origin(&r->after, origin);
    if (r->before.failing_since == 0) {
        CP_TRY(tell(conn, r, "webhook-failing",
                    json_pack("{s:s, s:s}", "origin", origin, "error", r->attempt.error), err));
    }
    if (now > r->after.first_attempt_at + GIVE_UP_AFTER) {
        CP_TRY(db_webhook_skip(conn, r->id, r->attempt.event_id, err));
        CP_TRY(tell(conn, r, "webhook-gave-up",
                    json_pack("{s:s, s:I, s:s}", "origin", origin, "event",
                              (json_int_t)r->attempt.event_id, "error", r->attempt.error),
                    err));
    }
    if (now > r->after.failing_since + DISABLE_AFTER) {
        CP_TRY(db_webhook_disable(conn, r->id, r->attempt.error, err));
        CP_TRY(tell(conn, r, "webhook-disabled", since_json(r, r->after.failing_since), err));
    }
    return CP_OK;
}

static enum cp_err record_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct record *r = arg;

    CP_TRY(db_webhook_attempted(conn, r->id, &r->attempt, &r->before, &r->after, err));
    if (!r->attempt.taken) {
        return record_failure(conn, r, err);
    }
    if (r->before.failing_since > 0) {
        return tell(conn, r, "webhook-recovered", since_json(r, r->before.failing_since), err);
    }
    return CP_OK;
}

enum cp_err hook_record(const struct jobs_context *ctx, const struct db_webhook *webhook,
                        const struct db_event *event, const struct hook_result *result,
                        struct cp_error *err)
{
    struct record *r = calloc(1, sizeof *r);
    uint32_t random = 0;
    enum cp_err rc;

    if (r == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for a webhook.");
    }
    if (keys_random(&random, sizeof random) != CP_OK) {
        random = UINT32_MAX / 2;
    }
    r->ctx = ctx;
    r->attempt = (struct db_attempt){.event_id = event->id,
                                     .kind = event->kind,
                                     .taken = result->error[0] == '\0',
                                     .status = result->status,
                                     .duration_ms = result->duration_ms,
                                     .error = result->error,
                                     .pause_ms = hook_pause_ms(webhook->attempts, random)};
    (void)snprintf(r->id, sizeof r->id, "%s", webhook->id);
    rc = db_run_tx_locking(ctx->db, "webhook-attempted", record_body, r, err);
    free(r);
    /* It was deleted meanwhile: there is nothing to write down. */
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}
