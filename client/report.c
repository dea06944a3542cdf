/* SPDX-License-Identifier: Apache-2.0
 * Reports to the service. The thread and the fetching one share a few values under one lock. */
#include "client/report.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "common/clock.h"
#include "common/log.h"

#define ANSWER_MAX         16384u
#define PROGRESS_TIMEOUT   5000u
#define RESULT_TIMEOUT     15000u
#define RESULT_TIMEOUT_END 3000u /* after a signal nobody waits long */
#define RESULT_TRIES       4u

struct cl_report {
    struct cl_http *http;
    struct cl_report_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_bool stop; /* ends a request in flight */
    /* under the lock */
    struct cl_counters counters;
    const char *state;
    enum cp_err reason;
    bool dirty; /* the state changed since it was told */
    bool leave;
    struct cp_error leave_why;
    bool failing; /* the last report did not get through: logged once */
};

static json_t *counters_json(const struct cl_counters *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "bytes_total",
                     (json_int_t)c->bytes_total, "bytes_multicast", (json_int_t)c->bytes_multicast,
                     "bytes_repair", (json_int_t)c->bytes_repair, "bytes_https",
                     (json_int_t)c->bytes_https, "rate_bps", (json_int_t)c->rate_bps, "loss_ppm",
                     (json_int_t)c->loss_ppm, "nacks", (json_int_t)c->nacks);
}

static char *dump_and_free(json_t *body, int failed)
{
    char *text = body == NULL || failed != 0 ? NULL : json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return text;
}

char *cl_report_progress_body(const struct cl_counters *c, const char *state, enum cp_err reason)
{
    json_t *body = counters_json(c);
    int failed = 0;

    if (body != NULL) {
        failed |= json_object_set_new(body, "state", json_string(state));
        failed |= json_object_set_new(body, "bytes_done", json_integer((json_int_t)c->bytes_done));
    }
    if (body != NULL && reason != CP_OK) {
        failed |= json_object_set_new(body, "reason", json_string(cp_err_info(reason)->code));
    }
    return dump_and_free(body, failed);
}

char *cl_report_result_body(const struct cl_result *result)
{
    const struct cp_error *f = result->failure;
    json_t *body = counters_json(result->counters);
    int failed = 0;

    if (body == NULL) {
        return NULL;
    }
    failed |= json_object_set_new(body, "outcome", json_string(f == NULL ? "done" : "failed"));
    failed |= json_object_set_new(body, "duration_ms",
                                  json_integer((json_int_t)(result->duration / CP_MSEC)));
    if (f != NULL) {
        const struct cp_err_info *info = cp_err_info(f->code);
        json_t *detail = json_string(f->text[0] == '\0' ? info->title : f->text);

        /* A file name in the text that is not UTF-8 must not cost the report. */
        detail = detail == NULL ? json_string(info->title) : detail;
        failed |= json_object_set_new(body, "code", json_string(info->code));
        failed |= json_object_set_new(body, "detail", detail);
    }
    return dump_and_free(body, failed);
}

static void leave(struct cl_report *r, enum cp_err code, const char *detail)
{
    (void)pthread_mutex_lock(&r->lock);
    r->leave = true;
    (void)cp_error_set(&r->leave_why, code, "%.300s", detail);
    (void)pthread_mutex_unlock(&r->lock);
}

/* {"command": "leave", "code": …, "detail": …} */
static void take_command(struct cl_report *r, const struct cl_http_answer *answer)
{
    json_t *root = json_loadb(answer->body, answer->size, JSON_REJECT_DUPLICATES, NULL);
    const char *command = json_string_value(json_object_get(root, "command"));
    const char *name = json_string_value(json_object_get(root, "code"));
    const char *detail = json_string_value(json_object_get(root, "detail"));
    enum cp_err code = name == NULL ? CP_OK : cp_err_from_code(name);

    if (command != NULL && strcmp(command, "leave") == 0) {
        leave(r, code == CP_OK ? CP_ERR_CANCELLED : code,
              detail == NULL ? "the service asked to leave multicast" : detail);
    }
    json_decref(root);
}

static enum cp_err put_progress(struct cl_report *r, struct cl_http *http,
                                const struct cl_counters *c, const char *state, enum cp_err reason,
                                struct cp_error *err)
{
    struct cl_http_answer answer;
    char *body = cl_report_progress_body(c, state, reason);
    struct cl_http_call call = {.method = "PUT",
                                .path = r->config.progress_url,
                                .body = body,
                                .answer_max = ANSWER_MAX,
                                .timeout_ms = PROGRESS_TIMEOUT};
    enum cp_err code;

    if (body == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "a report");
    }
    code = cl_http_call(http, &call, &answer, err);
    free(body);
    if (code == CP_OK) {
        if (answer.status == 200) {
            take_command(r, &answer);
        }
        free(answer.body);
    }
    return code;
}

static void send_progress(struct cl_report *r, const struct cl_counters *c, const char *state,
                          enum cp_err reason)
{
    struct cp_error err = {.code = CP_OK};
    enum cp_err code = put_progress(r, r->http, c, state, reason, &err);

    if (code == CP_ERR_AUTH_FAILED || code == CP_ERR_AUTH_REQUIRED) {
        /* The join was revoked: its session may have another secret, and a new join says why. */
        leave(r, code, err.text);
    }
    if (code == CP_OK) {
        r->failing = false;
    } else if (!r->failing && !atomic_load(&r->stop)) {
        r->failing = true; /* the service may restart: content goes on without reports */
        cp_log_error(CP_LOG_WARN, "progress-not-reported", &err);
    }
}

static void *run(void *arg)
{
    struct cl_report *r = arg;
    struct timespec until;
    cp_time next;

    cp_log_correlation(r->config.correlation_id);
    (void)pthread_mutex_lock(&r->lock);
    while (!atomic_load(&r->stop)) {
        struct cl_counters counters = r->counters;
        const char *state = r->state;
        enum cp_err reason = r->reason;

        r->dirty = false;
        (void)pthread_mutex_unlock(&r->lock);
        send_progress(r, &counters, state, reason);
        next = cp_clock_now() + r->config.interval;
        until.tv_sec = (time_t)(next / CP_SEC);
        until.tv_nsec = (long)(next % CP_SEC);
        (void)pthread_mutex_lock(&r->lock);
        while (!atomic_load(&r->stop) && !r->dirty &&
               pthread_cond_timedwait(&r->changed, &r->lock, &until) == 0) {
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* Signals are the first thread's: this one has them blocked while it starts the others. */
static int start_thread(struct cl_report *r)
{
    sigset_t all, before;
    int error;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&r->thread, NULL, run, r);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

enum cp_err cl_report_start(const struct cl_report_config *config, struct cl_report **ret_report,
                            struct cp_error *err)
{
    struct cl_report *r = calloc(1, sizeof *r);
    struct cl_http_config http = config->http;
    pthread_condattr_t attr;
    enum cp_err code;

    if (r == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "reports");
    }
    r->config = *config;
    r->state = "joined";
    http.stop = &r->stop;
    code = cl_http_new(&http, &r->http, err);
    if (code == CP_OK) {
        code = cl_http_use_token(r->http, config->token);
    }
    if (code != CP_OK) {
        cl_http_free(r->http);
        free(r);
        return code;
    }
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&r->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (start_thread(r) != 0) {
        (void)pthread_cond_destroy(&r->changed);
        (void)pthread_mutex_destroy(&r->lock);
        cl_http_free(r->http);
        free(r);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "reports: no thread");
    }
    *ret_report = r;
    return CP_OK;
}

void cl_report_update(struct cl_report *r, const struct cl_counters *counters, const char *state,
                      enum cp_err reason)
{
    (void)pthread_mutex_lock(&r->lock);
    r->counters = *counters;
    if (strcmp(r->state, state) != 0) {
        r->dirty = true;
        (void)pthread_cond_signal(&r->changed);
    }
    r->state = state;
    r->reason = reason;
    (void)pthread_mutex_unlock(&r->lock);
}

enum cp_err cl_report_ask(struct cl_report *r, struct cl_http *http, struct cp_error *err)
{
    struct cl_counters counters;
    const char *state;
    enum cp_err reason;

    (void)pthread_mutex_lock(&r->lock);
    counters = r->counters;
    state = r->state;
    reason = r->reason;
    (void)pthread_mutex_unlock(&r->lock);
    return put_progress(r, http, &counters, state, reason, err);
}

bool cl_report_leave(struct cl_report *r, struct cp_error *ret_why)
{
    bool leave;

    (void)pthread_mutex_lock(&r->lock);
    leave = r->leave;
    if (leave) {
        *ret_why = r->leave_why;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return leave;
}

void cl_report_stop(struct cl_report *r)
{
    if (r == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&r->lock);
    atomic_store(&r->stop, true);
    (void)pthread_cond_signal(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    (void)pthread_join(r->thread, NULL);
    (void)pthread_cond_destroy(&r->changed);
    (void)pthread_mutex_destroy(&r->lock);
    cl_http_free(r->http);
    free(r);
}

enum cp_err cl_report_result(struct cl_http *http, const struct cl_result *result,
                             struct cp_error *err)
{
    char *body = cl_report_result_body(result);
    struct cl_http_call call = {.method = "PUT",
                                .path = result->url,
                                .body = body,
                                .answer_max = ANSWER_MAX,
                                .timeout_ms = result->stopped ? RESULT_TIMEOUT_END : RESULT_TIMEOUT,
                                .even_stopped = result->stopped};
    struct cl_http_answer answer;
    bool away = result->failure != NULL && cl_http_is_passing(result->failure->code);
    unsigned tries = result->stopped || away ? 1 : RESULT_TRIES;
    enum cp_err code = CP_ERR_NO_MEMORY;

    if (body == NULL) {
        return cp_error_set(err, code, "result");
    }
    for (unsigned i = 0; i < tries; i++) {
        struct timespec pause = {.tv_sec = 1L << i};

        code = cl_http_call(http, &call, &answer, err);
        if (code == CP_OK) {
            free(answer.body);
        }
        if (!cl_http_is_passing(code) || i + 1 == tries) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    free(body);
    return code;
}
