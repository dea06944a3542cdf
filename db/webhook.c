/* SPDX-License-Identifier: Apache-2.0
 * SQL of webhooks. */
#include "db/webhook.h"

#include <stdio.h>
#include <string.h>

#include "db/sql.h"

/* An empty array is "": all kinds. */
#define COLUMNS                                                                                    \
    "id, node_id, name, url, allow_http, enabled, CASE WHEN kinds = '{}' THEN '' ELSE"             \
    " kinds::text END, secret_sealed, position, attempts, first_attempt_at, next_attempt_at,"      \
    " failing_since, last_success_at, last_error, disabled_reason, revision, created_at,"          \
    " updated_at"

static const struct db_stmt create_stmt = {
    "webhook_create",
    "INSERT INTO webhooks (id, node_id, name, url, allow_http, enabled, kinds, secret_sealed,"
    " position) VALUES ($1, $2, $3, $4, $5, $6, coalesce($7::text[], '{}'), $8,"
    " (SELECT settled FROM events_settled())) ON CONFLICT (name) DO NOTHING RETURNING " COLUMNS};
static const struct db_stmt get_stmt = {"webhook_get", "SELECT " COLUMNS
                                                       " FROM webhooks WHERE id = $1 OR name = $2"};
static const struct db_stmt lock_stmt = {
    "webhook_lock", "SELECT " COLUMNS " FROM webhooks WHERE id = $1 FOR NO KEY UPDATE"};
static const struct db_stmt list_stmt = {
    "webhook_list", "SELECT " COLUMNS " FROM webhooks WHERE name > $1"
                    " AND ($3::boolean IS NULL OR enabled = $3) AND ($4::text IS NULL OR CASE"
                    "  WHEN NOT enabled THEN 'disabled' WHEN failing_since IS NULL THEN 'good'"
                    "  ELSE 'failing' END = $4) ORDER BY name LIMIT $2"};
static const struct db_stmt update_stmt = {
    "webhook_update",
    "UPDATE webhooks SET url = $2, allow_http = $3, enabled = $4,"
    " kinds = coalesce($5::text[], '{}'), secret_sealed = $6, attempts = 0,"
    " first_attempt_at = NULL, next_attempt_at = now(), failing_since = NULL, last_error = '',"
    " disabled_reason = '', revision = revision + 1, updated_at = now() WHERE id = $1"
    " RETURNING " COLUMNS};
static const struct db_stmt delete_stmt = {"webhook_delete", "DELETE FROM webhooks WHERE id = $1"};
static const struct db_stmt due_stmt = {
    "webhook_due", "SELECT " COLUMNS " FROM webhooks WHERE node_id = $1 AND enabled"
                   " AND next_attempt_at <= clock_timestamp() ORDER BY next_attempt_at LIMIT $2"};
static const struct db_stmt next_stmt = {
    "webhook_next_at", "SELECT min(next_attempt_at) FROM webhooks WHERE node_id = $1 AND enabled"
                       " AND next_attempt_at > clock_timestamp()"};

static const struct db_stmt log_stmt = {
    "webhook_log",
    "INSERT INTO webhook_deliveries (webhook_id, event_id, kind, attempt, taken, status,"
    " duration_ms, error) VALUES ($1, nullif($2, 0), $3, $4, $5, $6, $7, $8)"};
static const struct db_stmt trim_stmt = {
    "webhook_trim",
    "DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND id <= (SELECT id FROM"
    " webhook_deliveries WHERE webhook_id = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)"};
static const struct db_stmt taken_stmt = {
    "webhook_taken",
    "UPDATE webhooks SET position = greatest(position, $2), attempts = 0, first_attempt_at = NULL,"
    " next_attempt_at = clock_timestamp(), failing_since = NULL,"
    " last_success_at = clock_timestamp(), last_error = '' WHERE id = $1 RETURNING " COLUMNS};
static const struct db_stmt failed_stmt = {
    "webhook_failed",
    "UPDATE webhooks SET attempts = attempts + 1,"
    " first_attempt_at = coalesce(first_attempt_at, clock_timestamp()),"
    " next_attempt_at = clock_timestamp() + $2 * interval '1 millisecond',"
    " failing_since = coalesce(failing_since, clock_timestamp()), last_error = $3 WHERE id = $1"
    " RETURNING " COLUMNS};
static const struct db_stmt skip_stmt = {
    "webhook_skip", "UPDATE webhooks SET position = greatest(position, $2), attempts = 0,"
                    " first_attempt_at = NULL WHERE id = $1"};
static const struct db_stmt disable_stmt = {
    "webhook_disable", "UPDATE webhooks SET enabled = false, disabled_reason = $2,"
                       " revision = revision + 1, updated_at = now() WHERE id = $1"};
static const struct db_stmt deliveries_stmt = {
    "webhook_deliveries",
    "SELECT id, time, event_id, kind, attempt, taken, status, duration_ms, error"
    " FROM webhook_deliveries WHERE webhook_id = $1 AND ($2 = 0 OR id < $2)"
    " AND ($4::boolean IS NULL OR taken = $4) AND ($5::bigint = 0 OR event_id = $5)"
    " ORDER BY id DESC LIMIT $3"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_webhook, id),
    DB_COL_TEXT(db_webhook, node_id),
    DB_COL_TEXT(db_webhook, name),
    DB_COL_TEXT(db_webhook, url),
    DB_COL_BOOL(db_webhook, allow_http),
    DB_COL_BOOL(db_webhook, enabled),
    DB_COL_TEXT(db_webhook, kinds),
    DB_COL_BYTES(db_webhook, secret_sealed, secret_size),
    DB_COL_INT(db_webhook, position),
    DB_COL_INT(db_webhook, attempts),
    DB_COL_TIME(db_webhook, first_attempt_at),
    DB_COL_TIME(db_webhook, next_attempt_at),
    DB_COL_TIME(db_webhook, failing_since),
    DB_COL_TIME(db_webhook, last_success_at),
    DB_COL_TEXT(db_webhook, last_error),
    DB_COL_TEXT(db_webhook, disabled_reason),
    DB_COL_INT(db_webhook, revision),
    DB_COL_TIME(db_webhook, created_at),
    DB_COL_TIME(db_webhook, updated_at),
};

static enum cp_err missing(enum cp_err rc, const char *ref, struct cp_error *err)
{
    return rc == CP_ERR_NOT_FOUND
               ? cp_error_set(err, rc,
                              "There is no webhook '%.100s': 'GET /api/v1/webhooks' lists them.",
                              ref)
               : rc;
}

void db_webhook_origin(const struct db_webhook *webhook, char ret_origin[DB_URL_SIZE])
{
    const char *scheme = strstr(webhook->url, "://");
    size_t size = scheme != NULL ? (size_t)(scheme - webhook->url) + 3 : 0;

    size += strcspn(webhook->url + size, "/?#");
    memcpy(ret_origin, webhook->url, size);
    ret_origin[size] = '\0';
}

enum cp_err db_webhook_create(struct db_conn *conn, const struct db_webhook *webhook,
                              struct db_webhook *ret_webhook, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(webhook->id),           db_p_id(webhook->node_id),
        db_p_text(webhook->name),       db_p_text(webhook->url),
        db_p_bool(webhook->allow_http), db_p_bool(webhook->enabled),
        db_p_some(webhook->kinds),      db_p_bytes(webhook->secret_sealed, webhook->secret_size)};
    enum cp_err rc = db_one(conn, DB_QUERY(&create_stmt, params, cols), ret_webhook, err);

    return rc == CP_ERR_NOT_FOUND ? cp_error_set(err, CP_ERR_CONFLICT,
                                                 "A webhook '%s' exists already: choose another "
                                                 "name, or change that one.",
                                                 webhook->name)
                                  : rc;
}

enum cp_err db_webhook_get(struct db_conn *conn, const char *ref, struct db_webhook *ret_webhook,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_id(ref), db_p_text(ref)};

    return missing(db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_webhook, err), ref, err);
}

static enum cp_err lock(struct db_conn *conn, const char *id, struct db_webhook *ret_webhook,
                        struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};

    return missing(db_one(conn, DB_QUERY(&lock_stmt, params, cols), ret_webhook, err), id, err);
}

enum cp_err db_webhook_list(struct db_conn *conn, const char *after, size_t limit,
                            struct db_webhook *ret_items, size_t *ret_count, struct cp_error *err)
{
    const struct db_webhook_list list = {.after = after};

    return db_webhook_page(conn, &list, limit, ret_items, ret_count, err);
}

enum cp_err db_webhook_page(struct db_conn *conn, const struct db_webhook_list *list, size_t limit,
                            struct db_webhook *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(list->after), db_p_u64(limit), db_p_maybe(list->enabled),
                                db_p_text(list->state)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY_FRESH(&list_stmt, params, cols), rows, err);
}

enum cp_err db_webhook_update(struct db_conn *conn, const struct db_webhook *webhook,
                              struct db_webhook *ret_webhook, struct cp_error *err)
{
    struct db_param params[] = {
        db_p_id(webhook->id),           db_p_text(webhook->url),
        db_p_bool(webhook->allow_http), db_p_bool(webhook->enabled),
        db_p_some(webhook->kinds),      db_p_bytes(webhook->secret_sealed, webhook->secret_size)};
    struct db_webhook present;

    CP_TRY(lock(conn, webhook->id, &present, err));
    CP_TRY(db_revision_check(webhook->revision, present.revision, "webhook", err));
    return db_one(conn, DB_QUERY(&update_stmt, params, cols), ret_webhook, err);
}

enum cp_err db_webhook_delete(struct db_conn *conn, const char *id, int64_t revision,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id)};
    struct db_webhook present;

    CP_TRY(lock(conn, id, &present, err));
    CP_TRY(db_revision_check(revision, present.revision, "webhook", err));
    return db_do(conn, DB_COMMAND(&delete_stmt, params), NULL, err);
}

/* ---- sending ---- */

enum cp_err db_webhook_due(struct db_conn *conn, const char *node_id, size_t limit,
                           struct db_webhook *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&due_stmt, params, cols), rows, err);
}

enum cp_err db_webhook_next_at(struct db_conn *conn, const char *node_id, uint64_t *ret_wall_ns,
                               struct cp_error *err)
{
    static const struct db_col next_cols[] = {DB_COL_TIME(db_webhook, next_attempt_at)};
    struct db_param params[] = {db_p_id(node_id)};
    struct db_webhook row;

    CP_TRY(db_one(conn, DB_QUERY(&next_stmt, params, next_cols), &row, err));
    *ret_wall_ns = row.next_attempt_at;
    return CP_OK;
}

enum cp_err db_webhook_log(struct db_conn *conn, const struct db_webhook *webhook,
                           const struct db_attempt *attempt, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(webhook->id),
                                db_p_u64(attempt->event_id),
                                db_p_text(attempt->kind),
                                db_p_u64(attempt->event_id > 0 ? webhook->attempts + 1u : 1u),
                                db_p_bool(attempt->taken),
                                db_p_u64(attempt->status),
                                db_p_u64(attempt->duration_ms),
                                db_p_text(attempt->error)};
    struct db_param trim[] = {db_p_id(webhook->id), db_p_u64(DB_DELIVERIES_KEPT)};

    CP_TRY(db_do(conn, DB_COMMAND(&log_stmt, params), NULL, err));
    return db_do(conn, DB_COMMAND(&trim_stmt, trim), NULL, err);
}

enum cp_err db_webhook_attempted(struct db_conn *conn, const char *id,
                                 const struct db_attempt *attempt, struct db_webhook *ret_before,
                                 struct db_webhook *ret_after, struct cp_error *err)
{
    struct db_param taken[] = {db_p_id(id), db_p_u64(attempt->event_id)};
    struct db_param failed[] = {db_p_id(id), db_p_u64(attempt->pause_ms),
                                db_p_text(attempt->error)};

    CP_TRY(lock(conn, id, ret_before, err));
    CP_TRY(db_webhook_log(conn, ret_before, attempt, err));
    if (attempt->taken) {
        return db_one(conn, DB_QUERY(&taken_stmt, taken, cols), ret_after, err);
    }
    return db_one(conn, DB_QUERY(&failed_stmt, failed, cols), ret_after, err);
}

enum cp_err db_webhook_skip(struct db_conn *conn, const char *id, uint64_t event_id,
                            struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_u64(event_id)};

    return db_do(conn, DB_COMMAND(&skip_stmt, params), NULL, err);
}

enum cp_err db_webhook_disable(struct db_conn *conn, const char *id, const char *reason,
                               struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_text(reason)};

    return db_do(conn, DB_COMMAND(&disable_stmt, params), NULL, err);
}

enum cp_err db_webhook_deliveries(struct db_conn *conn, const struct db_delivery_list *list,
                                  size_t limit, struct db_delivery *ret_items, size_t *ret_count,
                                  struct cp_error *err)
{
    static const struct db_col delivery_cols[] = {
        DB_COL_INT(db_delivery, id),       DB_COL_TIME(db_delivery, time),
        DB_COL_INT(db_delivery, event_id), DB_COL_TEXT(db_delivery, kind),
        DB_COL_INT(db_delivery, attempt),  DB_COL_BOOL(db_delivery, taken),
        DB_COL_INT(db_delivery, status),   DB_COL_INT(db_delivery, duration_ms),
        DB_COL_TEXT(db_delivery, error),
    };
    struct db_param params[] = {db_p_id(list->webhook_id),
                                db_p_u64(list->before > INT64_MAX ? 0 : list->before),
                                db_p_u64(limit), db_p_maybe(list->taken), db_p_u64(list->event_id)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY_FRESH(&deliveries_stmt, params, delivery_cols), rows, err);
}
