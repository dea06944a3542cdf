/* SPDX-License-Identifier: Apache-2.0
 * Who sends to webhooks: a thread that looks what is due, keeps an attempt of each webhook under
 * way, and writes down what came of it. */
#include "jobs/webhooks.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "jobs/webhook_send.h"
#include "keys/master.h"

#define TIMEOUT_MS 15000u
#define UNDER_WAY  16u    /* attempts at a time */
#define LOOK_MS    60000u /* should a change of a webhook go unseen */
#define RETRY_MS   1000u  /* the database is away */

struct attempt {
    bool used;
    struct db_webhook webhook;
    struct db_event event;
};

struct webhooks {
    const struct jobs_context *ctx;
    struct hook_http *http;
    pthread_t thread;
    atomic_bool stop;
    _Atomic uint64_t upto;
    _Atomic uint64_t news; /* counts them */
    uint64_t seen;         /* of them */
    struct attempt attempts[UNDER_WAY];
    struct db_webhook due[DB_WEBHOOKS_MAX]; /* of one look */
    bool away;
    bool unwritten; /* what came of an attempt could not be written: not so fast */
};

/* ---- what is due ---- */

static bool under_way(const struct webhooks *w, const char *id)
{
    for (size_t i = 0; i < UNDER_WAY; i++) {
        if (w->attempts[i].used && strcmp(w->attempts[i].webhook.id, id) == 0) {
            return true;
        }
    }
    return false;
}

static struct attempt *free_place(struct webhooks *w)
{
    for (size_t i = 0; i < UNDER_WAY; i++) {
        if (!w->attempts[i].used) {
            return &w->attempts[i];
        }
    }
    return NULL;
}

/* What one look found. */
struct look {
    struct webhooks *w;
    uint64_t next_at; /* 0: nobody waits */
    struct attempt *found[UNDER_WAY];
    size_t found_count;
};

static enum cp_err find_event(struct db_conn *conn, struct look *l,
                              const struct db_webhook *webhook, struct cp_error *err)
{
    struct db_event_range range = {
        .kinds = webhook->kinds, .after = webhook->position, .upto = atomic_load(&l->w->upto)};
    struct attempt *place = free_place(l->w);
    size_t count = 0;

    if (place == NULL || range.upto <= range.after || under_way(l->w, webhook->id)) {
        return CP_OK;
    }
    CP_TRY(db_event_follow(conn, &range, 1, &place->event, &count, err));
    if (count > 0) {
        place->used = true;
        place->webhook = *webhook;
        l->found[l->found_count++] = place;
    }
    return CP_OK;
}

static enum cp_err look_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct look *l = arg;
    const char *node_id = l->w->ctx->node_id;
    size_t count = 0;

    while (l->found_count > 0) { /* of a run that was broken off */
        l->found[--l->found_count]->used = false;
    }
    CP_TRY(db_webhook_due(conn, node_id, DB_WEBHOOKS_MAX, l->w->due, &count, err));
    for (size_t i = 0; i < count; i++) {
        CP_TRY(find_event(conn, l, &l->w->due[i], err));
    }
    return db_webhook_next_at(conn, node_id, &l->next_at, err);
}

/* ---- attempts ---- */

static void record(struct webhooks *w, struct attempt *a, const struct hook_result *result)
{
    struct cp_error err = {.code = CP_OK};

    /* What is not written is sent again. */
    if (hook_record(w->ctx, &a->webhook, &a->event, result, &err) != CP_OK) {
        cp_log_error(CP_LOG_WARN, "webhook-not-written", &err);
        w->unwritten = true;
    }
    a->used = false;
}

static void begin(struct webhooks *w, struct attempt *a)
{
    struct cp_error err = {.code = CP_OK};
    char delivery[DB_ID_SIZE + 24];
    struct hook_send send = {
        .webhook = &a->webhook, .event = &a->event, .delivery = delivery, .arg = a};

    (void)snprintf(delivery, sizeof delivery, "%s-%" PRIu64, a->webhook.id, a->event.id);
    if (hook_send(w->ctx, w->http, &send, &err) != CP_OK) {
        struct hook_result result = {.status = 0};

        (void)snprintf(result.error, sizeof result.error, "%.255s", err.text);
        record(w, a, &result);
    }
}

/* Begins what is due. Milliseconds until it is to look again at the latest. */
static unsigned look(struct webhooks *w)
{
    struct look l = {.w = w};
    struct cp_error err = {.code = CP_OK};
    uint64_t now;

    if (w->unwritten) {
        w->unwritten = false;
        return RETRY_MS;
    }
    if (!keys_ring_has_master(w->ctx->keyring)) {
        return RETRY_MS; /* nothing can be signed: events wait, and no receiver has failed */
    }
    if (db_run_read(w->ctx->db, "due-webhooks", look_body, &l, &err) != CP_OK) {
        while (l.found_count > 0) {
            l.found[--l.found_count]->used = false;
        }
        if (!w->away) {
            cp_log_error(CP_LOG_WARN, "webhooks-not-read", &err);
        }
        w->away = true;
        return RETRY_MS;
    }
    w->away = false;
    for (size_t i = 0; i < l.found_count; i++) {
        begin(w, l.found[i]);
    }
    now = cp_clock_wall();
    if (l.next_at == 0 || l.next_at > now + LOOK_MS * CP_MSEC) {
        return LOOK_MS;
    }
    return l.next_at > now ? (unsigned)((l.next_at - now) / CP_MSEC) + 1 : 1;
}

static size_t end_finished(struct webhooks *w)
{
    struct hook_result result;
    size_t count = 0;
    void *arg;

    while (hook_http_next(w->http, &arg, &result)) {
        record(w, arg, &result);
        count++;
    }
    return count;
}

static bool any_under_way(const struct webhooks *w)
{
    for (size_t i = 0; i < UNDER_WAY; i++) {
        if (w->attempts[i].used) {
            return true;
        }
    }
    return false;
}

/* ---- the thread ---- */

static enum cp_err make(const struct webhooks_config *config, struct webhooks **ret_webhooks,
                        struct cp_error *err)
{
    struct webhooks *w = calloc(1, sizeof *w);
    enum cp_err rc;

    if (w == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for webhooks.");
    }
    w->ctx = config->ctx;
    rc = hook_http_new(config->timeout_ms > 0 ? config->timeout_ms : TIMEOUT_MS, &w->http, err);
    if (rc != CP_OK) {
        free(w);
        return rc;
    }
    *ret_webhooks = w;
    return CP_OK;
}

static void drop(struct webhooks *w)
{
    hook_http_free(w->http);
    free(w);
}

/* Until an attempt has ended (its webhook's next event is due), there is news, or it is time. */
static void work_until_news(struct webhooks *w, cp_time end)
{
    uint64_t seen = w->seen;
    cp_time now = cp_clock_now();

    while (now < end && atomic_load(&w->news) == seen && !atomic_load(&w->stop)) {
        hook_http_wait(w->http, (unsigned)((end - now) / CP_MSEC) + 1);
        if (end_finished(w) > 0) {
            break;
        }
        now = cp_clock_now();
    }
    w->seen = atomic_load(&w->news);
}

static void *send_events(void *arg)
{
    struct webhooks *w = arg;

    while (!atomic_load(&w->stop)) {
        unsigned wait = look(w);

        work_until_news(w, cp_clock_now() + wait * CP_MSEC);
    }
    return NULL;
}

enum cp_err webhooks_start(const struct webhooks_config *config, struct webhooks **ret_webhooks,
                           struct cp_error *err)
{
    struct webhooks *w = NULL;

    CP_TRY(make(config, &w, err));
    if (pthread_create(&w->thread, NULL, send_events, w) != 0) {
        drop(w);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No thread for webhooks.");
    }
    *ret_webhooks = w;
    return CP_OK;
}

void webhooks_stop(struct webhooks *w)
{
    if (w == NULL) {
        return;
    }
    atomic_store(&w->stop, true);
    hook_http_wake(w->http);
    (void)pthread_join(w->thread, NULL);
    drop(w);
}

void webhooks_news(struct webhooks *w, uint64_t upto)
{
    atomic_store(&w->upto, upto);
    (void)atomic_fetch_add(&w->news, 1);
    hook_http_wake(w->http);
}

enum cp_err webhooks_do_due(const struct webhooks_config *config, uint64_t upto,
                            struct cp_error *err)
{
    struct webhooks *w = NULL;

    CP_TRY(make(config, &w, err));
    atomic_store(&w->upto, upto);
    (void)look(w);
    while (any_under_way(w)) {
        hook_http_wait(w->http, RETRY_MS);
        if (end_finished(w) > 0) {
            (void)look(w);
        }
    }
    drop(w);
    return CP_OK;
}

/* ---- the test button ---- */

struct test {
    const struct jobs_context *ctx;
    const char *id;
    struct db_webhook webhook;
    struct db_attempt attempt;
};

static enum cp_err test_read(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct test *t = arg;

    return db_webhook_get(conn, t->id, &t->webhook, err);
}

static enum cp_err test_write(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct test *t = arg;

    return db_webhook_log(conn, &t->webhook, &t->attempt, err);
}

static enum cp_err post_test(struct job *job, struct test *t, struct hook_result *ret_result,
                             struct cp_error *err)
{
    struct db_event event = {.kind = "webhook-test"};
    struct hook_send send = {
        .webhook = &t->webhook, .event = &event, .delivery = job_task(job)->id, .arg = t};
    struct hook_http *http = NULL;
    void *arg;
    enum cp_err rc;

    event.time = cp_clock_wall();
    (void)snprintf(event.node_id, sizeof event.node_id, "%s", t->ctx->node_id);
    (void)snprintf(event.subject, sizeof event.subject, "webhook %s", t->webhook.name);
    (void)snprintf(event.actor, sizeof event.actor, "%s", job_task(job)->actor);
    CP_TRY(hook_http_new(TIMEOUT_MS, &http, err));
    rc = hook_send(t->ctx, http, &send, err);
    while (rc == CP_OK && !hook_http_next(http, &arg, ret_result)) {
        hook_http_wait(http, RETRY_MS);
        rc = job_progress(job, 0, 1, err);
    }
    hook_http_free(http);
    return rc;
}

enum cp_err job_test_webhook(struct job *job, struct cp_error *err)
{
    struct test t = {.ctx = job_context(job),
                     .id = json_string_value(json_object_get(job_params(job), "webhook"))};
    struct hook_result result = {.status = 0};
    char origin[DB_URL_SIZE];

    CP_ASSERT(t.id != NULL);
    CP_TRY(db_run_read(t.ctx->db, "get-webhook", test_read, &t, err));
    CP_TRY(post_test(job, &t, &result, err));
    t.attempt = (struct db_attempt){.kind = "webhook-test",
                                    .taken = result.error[0] == '\0',
                                    .status = result.status,
                                    .duration_ms = result.duration_ms,
                                    .error = result.error};
    CP_TRY(db_run_tx_locking(t.ctx->db, "webhook-tested", test_write, &t, err));
    db_webhook_origin(&t.webhook, origin);
    if (!t.attempt.taken) {
        return cp_error_set(err, CP_ERR_WEBHOOK, "%.200s: %.250s", origin, result.error);
    }
    job_result(job, json_pack("{s:i, s:I}", "status", (int)result.status, "duration_ms",
                              (json_int_t)result.duration_ms));
    job_summary(job, DB_TASK_INFO, "%s took it: it answered %d after %llu ms.", origin,
                (int)result.status, (unsigned long long)result.duration_ms);
    return CP_OK;
}
