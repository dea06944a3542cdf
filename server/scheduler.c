/* SPDX-License-Identifier: Apache-2.0
 * The scheduler's thread: waits for notifications, time and ended engines, then does what is due. */
#include "server/scheduler.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/api.h"
#include "api/session/progress.h"
#include "common/clock.h"
#include "common/log.h"
#include "db/listener.h"
#include "db/receiver.h"
#include "db/session.h"
#include "server/recovery.h"
#include "server/run.h"
#include "server/runs.h"
#include "server/starting.h"

#define FLUSH_EVERY   CP_SEC
#define DUE_EVERY     (5 * CP_SEC) /* should a notification be lost */
#define SWEEP_EVERY   (5 * CP_SEC)
#define RECONNECT     CP_SEC
#define SILENCE_MAX   (30 * CP_SEC) /* then a receiver is lost */
#define NOTIFICATIONS 1000          /* read in one go */

struct srv_scheduler {
    const struct api_context *api;
    pthread_t thread;
    atomic_bool stop;
    int wake_fd;
    struct db_listener *listener;
    struct srv_throttle *throttle;
    struct srv_runs runs;
    struct srv_starting starting;
    struct db_receiver_report *reports; /* API_PROGRESS_BATCH */
    cp_time due_at, flush_at, sweep_at, reconnect_at;
    bool listening;
    bool database_away; /* told once */
};

/* One line when the database goes, one when it is back. */
static bool note(struct srv_scheduler *s, enum cp_err rc, const char *event,
                 const struct cp_error *err)
{
    if (rc != CP_OK && !s->database_away) {
        cp_log_error(CP_LOG_WARN, event, err);
    } else if (rc == CP_OK && s->database_away) {
        cp_log(CP_LOG_INFO, "database-back", NULL);
    }
    s->database_away = rc != CP_OK;
    return rc == CP_OK;
}

/* ---- runs ---- */

static void do_rounds(struct srv_scheduler *s, cp_time now)
{
    for (size_t i = 0; i < s->runs.count;) {
        struct srv_run *r = s->runs.items[i];
        struct cp_error err = {.code = CP_OK};
        bool over = false;

        if (srv_run_next_round(r) <= now) {
            (void)note(s, srv_run_round(r, now, &over, &err), "session-round-failed", &err);
        }
        if (over) {
            srv_runs_remove(&s->runs, i);
        } else {
            i++;
        }
    }
    srv_runs_share(&s->runs, now);
}

/* ---- starting ---- */

/* The ceiling first: what starts gets its share of the present one. */
static enum cp_err start_all_due(struct srv_scheduler *s, uint64_t *ret_wait_ms,
                                 struct cp_error *err)
{
    CP_TRY(srv_runs_read_ceiling(&s->runs, err));
    /* Not listening, another process may work for this node by now. */
    return srv_start_due(&s->starting, s->listening, ret_wait_ms, err);
}

static void start_due(struct srv_scheduler *s, cp_time now)
{
    struct cp_error err = {.code = CP_OK};
    uint64_t wait_ms = UINT64_MAX;

    if (now < s->due_at) {
        return;
    }
    s->due_at = now + FLUSH_EVERY;
    if (!note(s, start_all_due(s, &wait_ms, &err), "sessions-not-started", &err)) {
        return;
    }
    /* A millisecond more: the database rounds down. */
    s->due_at = now + (wait_ms < DUE_EVERY / CP_MSEC ? (wait_ms + 1) * CP_MSEC : DUE_EVERY);
}

/* ---- progress ---- */

struct flush_arg {
    const struct db_receiver_report *reports;
    size_t count;
};

static enum cp_err flush_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct flush_arg *a = arg;

    return db_receiver_progress(conn, a->reports, a->count, err);
}

/* Reports that cannot be written now are dropped: newer ones come within a second. */
static void flush_progress(struct srv_scheduler *s, cp_time now)
{
    struct flush_arg a = {.reports = s->reports};
    struct cp_error err = {.code = CP_OK};
    bool good = true;

    if (now < s->flush_at) {
        return;
    }
    s->flush_at = now + FLUSH_EVERY;
    do {
        a.count = api_progress_take(s->api->progress, s->reports, API_PROGRESS_BATCH);
        if (a.count > 0) {
            good = note(s, db_run_tx_locking(s->api->db, "progress", flush_body, &a, &err),
                        "progress-not-written", &err);
        }
    } while (a.count == API_PROGRESS_BATCH && good);
}

struct sweep_arg {
    const char *node_id;
    uint64_t count;
};

static enum cp_err sweep_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct sweep_arg *a = arg;

    return db_receiver_sweep(conn, a->node_id, SILENCE_MAX / CP_MSEC,
                             cp_err_info(CP_ERR_RECEIVER_LOST)->code, &a->count, err);
}

static void sweep(struct srv_scheduler *s, cp_time now)
{
    struct sweep_arg a = {.node_id = s->api->node_id};
    struct cp_error err = {.code = CP_OK};

    if (now < s->sweep_at) {
        return;
    }
    s->sweep_at = now + SWEEP_EVERY;
    if (note(s, db_run_tx_locking(s->api->db, "sweep-receivers", sweep_body, &a, &err),
             "receivers-not-swept", &err) &&
        a.count > 0) {
        cp_log(CP_LOG_INFO, "receivers-lost", "count", cp_log_u64(a.count), NULL);
    }
}

/* ---- notifications ---- */

/* "<node id> <session id>" or "<node id> settings": ours are acted on, other nodes' are theirs. */
static void take_notification(struct srv_scheduler *s, const struct db_notification *n)
{
    size_t node_size = strlen(s->api->node_id);
    struct srv_run *r;

    if (strncmp(n->payload, s->api->node_id, node_size) != 0 || n->payload[node_size] != ' ') {
        return;
    }
    if (strcmp(n->channel, DB_CHANNEL_RECEIVERS) != 0) {
        s->due_at = 0; /* a session may be due, the ceiling may be another */
    }
    r = srv_runs_find(&s->runs, n->payload + node_size + 1);
    if (r != NULL) {
        srv_run_touch(r);
    }
}

static void touch_all(struct srv_scheduler *s)
{
    s->due_at = 0;
    srv_runs_touch_all(&s->runs);
}

static void read_notifications(struct srv_scheduler *s, cp_time now)
{
    struct db_notification n;
    struct cp_error err = {.code = CP_OK};
    bool any = true;

    if (!s->listening && now >= s->reconnect_at) {
        s->reconnect_at = now + RECONNECT;
        s->listening = db_listener_reconnect(s->listener, &err) == CP_OK;
        if (s->listening) {
            touch_all(s); /* what was notified in between is not known */
        }
    }
    for (int i = 0; s->listening && any && i < NOTIFICATIONS; i++) {
        if (db_listener_next(s->listener, &any, &n, &err) != CP_OK) {
            s->listening = false;
        } else if (any) {
            take_notification(s, &n);
        }
    }
}

/* ---- the thread ---- */

static cp_time next_time(const struct srv_scheduler *s)
{
    cp_time next = cp_time_min(s->due_at, cp_time_min(s->flush_at, s->sweep_at));

    next = cp_time_min(next, srv_runs_next_time(&s->runs));
    return s->listening ? next : cp_time_min(next, s->reconnect_at);
}

static void wait_for_work(struct srv_scheduler *s)
{
    struct pollfd fds[] = {
        {.fd = s->wake_fd, .events = POLLIN},
        {.fd = s->listening ? db_listener_fd(s->listener) : -1, .events = POLLIN},
    };
    cp_time now = cp_clock_now();
    cp_time next = next_time(s);
    int wait_ms = next <= now ? 0 : (int)((next - now) / CP_MSEC) + 1;
    uint64_t count;

    if (poll(fds, 2, wait_ms) > 0 && (fds[0].revents & POLLIN) != 0 &&
        read(s->wake_fd, &count, sizeof count) > 0) {
        srv_runs_touch_all(&s->runs);
    }
}

static void *run(void *arg)
{
    struct srv_scheduler *s = arg;

    while (!atomic_load(&s->stop)) {
        cp_time now = cp_clock_now();

        read_notifications(s, now);
        flush_progress(s, now);
        sweep(s, now);
        start_due(s, now);
        do_rounds(s, now);
        wait_for_work(s);
    }
    return NULL;
}

static void free_scheduler(struct srv_scheduler *s)
{
    for (size_t i = 0; i < s->runs.count; i++) {
        srv_run_withdraw(s->runs.items[i]);
    }
    for (size_t i = 0; i < s->runs.count; i++) {
        struct cp_error err = {.code = CP_OK};

        if (srv_run_interrupt(s->runs.items[i], &err) != CP_OK) {
            cp_log_error(CP_LOG_WARN, "session-not-interrupted", &err);
        }
    }
    srv_runs_done(&s->runs);
    if (s->wake_fd >= 0) {
        (void)close(s->wake_fd);
    }
    free(s->reports);
    free(s->starting.page);
    free(s);
}

static enum cp_err resume(void *arg, const struct db_session *session, struct cp_error *err)
{
    struct srv_scheduler *s = arg;

    return srv_runs_add(&s->runs, session, err);
}

static enum cp_err prepare(struct srv_scheduler *s, struct cp_error *err)
{
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    srv_runs_init(&s->runs, s->api, s->wake_fd);
    s->runs.throttle = s->throttle;
    s->reports = calloc(API_PROGRESS_BATCH, sizeof *s->reports);
    s->starting = (struct srv_starting){
        .api = s->api,
        .runs = &s->runs,
        .page = calloc(SRV_STARTING_PAGE, sizeof *s->starting.page),
    };
    if (s->wake_fd < 0 || s->reports == NULL || s->starting.page == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "the scheduler");
    }
    s->listening = true;
    CP_TRY(srv_runs_read_ceiling(&s->runs, err));
    return srv_recover(s->api, resume, s, err);
}

enum cp_err srv_scheduler_start(const struct srv_scheduler_config *config,
                                struct srv_scheduler **ret_scheduler, struct cp_error *err)
{
    struct srv_scheduler *s = calloc(1, sizeof *s);
    enum cp_err rc;

    if (s == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "the scheduler");
    }
    s->api = config->api;
    s->listener = config->listener;
    s->throttle = config->throttle;
    s->wake_fd = -1;
    /* Receivers get the time to be heard again before they count as lost. */
    s->sweep_at = cp_clock_now() + SILENCE_MAX;
    rc = prepare(s, err);
    if (rc == CP_OK && pthread_create(&s->thread, NULL, run, s) != 0) {
        rc = cp_error_set(err, CP_ERR_UNAVAILABLE, "no thread for the scheduler");
    }
    if (rc != CP_OK) {
        free_scheduler(s);
        return rc;
    }
    *ret_scheduler = s;
    return CP_OK;
}

void srv_scheduler_stop(struct srv_scheduler *s)
{
    uint64_t one = 1;

    if (s == NULL) {
        return;
    }
    atomic_store(&s->stop, true);
    if (write(s->wake_fd, &one, sizeof one) < 0) {
        one = 0; /* the counter is full: the thread is awake anyway */
    }
    (void)pthread_join(s->thread, NULL);
    s->flush_at = 0;
    flush_progress(s, cp_clock_now());
    free_scheduler(s);
}
