/* SPDX-License-Identifier: Apache-2.0
 * Webhooks: where events are posted to, how far each is, and the log of its attempts. */
#ifndef DB_WEBHOOK_H
#define DB_WEBHOOK_H

#include "db/db.h"
#include "db/event.h"

#define DB_URL_SIZE        1024
#define DB_DELIVERIES_KEPT 1000 /* of each webhook */
#define DB_WEBHOOKS_MAX    100  /* of all nodes together */
/* What a secret is sealed for (keys_ring_seal), with the webhook's id; db/sealed.c has the same. */
#define DB_WEBHOOK_PURPOSE      "webhook %s"
#define DB_WEBHOOK_PURPOSE_SIZE 64

struct db_webhook {
    char id[DB_ID_SIZE];
    char node_id[DB_ID_SIZE];
    char name[DB_NAME_SIZE];
    char url[DB_URL_SIZE];
    bool allow_http;
    bool enabled;
    char kinds[DB_KINDS_SIZE]; /* PostgreSQL array, as db_kinds_add makes it; "" all */
    uint8_t secret_sealed[DB_SEALED_SIZE];
    size_t secret_size;
    uint64_t position; /* last event that was taken or given up */
    uint32_t attempts; /* failed ones, at the event behind it */
    uint64_t first_attempt_at, next_attempt_at, failing_since, last_success_at;
    char last_error[DB_TEXT_SIZE];
    char disabled_reason[DB_TEXT_SIZE];
    int64_t revision;
    uint64_t created_at, updated_at;
};

/* Scheme, host and port of its url. What follows them is often a secret (who knows it may post), so
 * whatever others than admins see has only this. */
void db_webhook_origin(const struct db_webhook *webhook, char ret_origin[DB_URL_SIZE]);

/* Uses id, node_id, name, url, allow_http, enabled, kinds and the secret. Events from now on.
 * CP_ERR_CONFLICT: the name is taken. */
CP_MUST_CHECK enum cp_err db_webhook_create(struct db_conn *conn, const struct db_webhook *webhook,
                                            struct db_webhook *ret_webhook, struct cp_error *err);

/* By id or name. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_webhook_get(struct db_conn *conn, const char *ref,
                                         struct db_webhook *ret_webhook, struct cp_error *err);

/* By name, those after `after` ("" from the start), at most limit. */
CP_MUST_CHECK enum cp_err db_webhook_list(struct db_conn *conn, const char *after, size_t limit,
                                          struct db_webhook *ret_items, size_t *ret_count,
                                          struct cp_error *err);

/* The same of some. */
struct db_webhook_list {
    const char *after;
    const bool *enabled; /* NULL: whether or not */
    const char *state;   /* "good", "failing", "disabled"; NULL: any */
};
CP_MUST_CHECK enum cp_err db_webhook_page(struct db_conn *conn, const struct db_webhook_list *list,
                                          size_t limit, struct db_webhook *ret_items,
                                          size_t *ret_count, struct cp_error *err);

/* url, allow_http, enabled, kinds and the secret of the row with that id and revision. Failures so
 * far are forgotten: the next attempt comes at once. CP_ERR_PRECONDITION_FAILED, NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_webhook_update(struct db_conn *conn, const struct db_webhook *webhook,
                                            struct db_webhook *ret_webhook, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_webhook_delete(struct db_conn *conn, const char *id, int64_t revision,
                                            struct cp_error *err);

/* ---- sending ---- */

/* Those of the node that are enabled and may try now, at most limit. */
CP_MUST_CHECK enum cp_err db_webhook_due(struct db_conn *conn, const char *node_id, size_t limit,
                                         struct db_webhook *ret_items, size_t *ret_count,
                                         struct cp_error *err);

/* When the next of the node may try; 0: none waits. */
CP_MUST_CHECK enum cp_err db_webhook_next_at(struct db_conn *conn, const char *node_id,
                                             uint64_t *ret_wall_ns, struct cp_error *err);

/* How an attempt ended. */
struct db_attempt {
    uint64_t event_id; /* 0: a test */
    const char *kind;
    bool taken;
    uint32_t status; /* HTTP, 0 none */
    uint64_t duration_ms;
    const char *error; /* "" none */
    uint64_t pause_ms; /* failed: until the next attempt */
};

/* Logs an attempt; the newest DB_DELIVERIES_KEPT stay. */
CP_MUST_CHECK enum cp_err db_webhook_log(struct db_conn *conn, const struct db_webhook *webhook,
                                         const struct db_attempt *attempt, struct cp_error *err);

/* Moves the webhook behind the event, or puts the next attempt off. Says how it stood before
 * (*ret_before, locked) and stands now. CP_ERR_NOT_FOUND: it is gone. */
CP_MUST_CHECK enum cp_err db_webhook_attempted(struct db_conn *conn, const char *id,
                                               const struct db_attempt *attempt,
                                               struct db_webhook *ret_before,
                                               struct db_webhook *ret_after, struct cp_error *err);

/* Leaves an event out. */
CP_MUST_CHECK enum cp_err db_webhook_skip(struct db_conn *conn, const char *id, uint64_t event_id,
                                          struct cp_error *err);
CP_MUST_CHECK enum cp_err db_webhook_disable(struct db_conn *conn, const char *id,
                                             const char *reason, struct cp_error *err);

/* ---- the log ---- */

struct db_delivery {
    uint64_t id; /* ascending */
    uint64_t time;
    uint64_t event_id; /* 0: a test */
    char kind[DB_NAME_SIZE];
    uint32_t attempt;
    bool taken;
    uint32_t status;
    uint64_t duration_ms;
    char error[DB_TEXT_SIZE];
};

/* Which attempts. */
struct db_delivery_list {
    const char *webhook_id;
    uint64_t before;   /* those with an id below; 0: from the newest */
    const bool *taken; /* NULL: whether or not */
    uint64_t event_id; /* 0: of all events */
};

/* Newest first, at most limit. */
CP_MUST_CHECK enum cp_err db_webhook_deliveries(struct db_conn *conn,
                                                const struct db_delivery_list *list, size_t limit,
                                                struct db_delivery *ret_items, size_t *ret_count,
                                                struct cp_error *err);

#endif
