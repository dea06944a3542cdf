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
#include "api/progress.h"
#include "api/session_json.h"
#include "common/clock.h"
#include "common/log.h"
#include "db/listener.h"
#include "db/receiver.h"
#include "db/session.h"
#include "db/settings.h"
#include "server/recovery.h"
#include "server/run.h"

#define FLUSH_EVERY   CP_SEC
#define DUE_EVERY     (5 * CP_SEC) /* should a notification be lost */
#define SWEEP_EVERY   (5 * CP_SEC)
#define RECONNECT     CP_SEC
#define SILENCE_MAX   (30 * CP_SEC) /* then a receiver is lost */
#define DUE_AT_ONCE   16u
#define NOTIFICATIONS 1000 /* read in one go */

struct srv_scheduler {
    const struct api_context *api;
    pthread_t thread;
    atomic_bool stop;
    int wake_fd;
    struct db_listener *listener;
    struct srv_run **runs;
    size_t run_count, run_room;
    struct db_receiver_report *reports; /* API_PROGRESS_BATCH */
    struct db_session *due;             /* DUE_AT_ONCE */
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

static enum cp_err add_run(void *arg, const struct db_session *session, struct cp_error *err)
{
    struct srv_scheduler *s = arg;
    enum cp_err rc;

    if (s->run_count == s->run_room) {
        size_t room = s->run_room == 0 ? 16 : 2 * s->run_room;
        struct srv_run **runs = realloc(s->runs, room * sizeof(struct srv_run *));

        if (runs == NULL) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "the list of sessions");
        }
        s->runs = runs;
        s->run_room = room;
    }
    rc = srv_run_new(s->api, session, s->wake_fd, &s->runs[s->run_count]);
    if (rc != CP_OK) {
        return cp_error_set(err, rc, "session %s: no thread for its engine", session->id);
    }
    s->run_count++;
    return CP_OK;
}

static void do_rounds(struct srv_scheduler *s, cp_time now)
{
    for (size_t i = 0; i < s->run_count;) {
        struct srv_run *r = s->runs[i];
        struct cp_error err = {.code = CP_OK};
        bool over = false;

        if (srv_run_next_round(r) <= now) {
            (void)note(s, srv_run_round(r, now, &over, &err), "session-round-failed", &err);
        }
        if (over) {
            srv_run_free(r);
            s->runs[i] = s->runs[--s->run_count];
        } else {
            i++;
        }
    }
}

/* ---- starting ---- */

struct due_arg {
    struct srv_scheduler *scheduler;
    size_t count;
    uint64_t wait_ms;
};

static enum cp_err due_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct due_arg *a = arg;

    return db_session_due(conn, a->scheduler->api->node_id, DUE_AT_ONCE, a->scheduler->due,
                          &a->count, &a->wait_ms, err);
}

struct start_arg {
    const char *node_id;
    const char *id;
    struct db_session session;
    bool disabled; /* multicast was switched off while it waited */
    bool empty;    /* everybody left before it began */
};

/* Its receivers are told to leave, and why, with their next report. */
static enum cp_err cancel_disabled(struct db_conn *conn, struct start_arg *a, struct cp_error *err)
{
    static const char why[] = "Multicast was switched off while the session waited.";
    bool changed;

    CP_TRY(db_session_get(conn, a->id, &a->session, err));
    CP_TRY(db_session_end(conn, a->id, DB_SESSION_CANCELLED,
                          cp_err_info(CP_ERR_MULTICAST_DISABLED)->code, why, &changed, err));
    return changed ? api_session_event(conn, &a->session, "session-cancelled",
                                       CP_ERR_MULTICAST_DISABLED, why, err)
                   : CP_OK;
}

static enum cp_err start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct start_arg *a = arg;
    struct db_settings settings;

    CP_TRY(db_settings_get(conn, a->node_id, &settings, err));
    a->disabled = !settings.multicast_enabled;
    a->empty = false;
    if (a->disabled) {
        return cancel_disabled(conn, a, err);
    }
    CP_TRY(db_session_start(conn, a->id, 0, &a->session, err));
    if (a->session.receivers_active == 0) {
        CP_TRY(db_session_finish(conn, a->id, NULL, &a->empty, err));
    }
    return api_session_event(conn, &a->session, a->empty ? "session-finished" : "session-started",
                             CP_OK, NULL, err);
}

struct fail_arg {
    const struct db_session *session;
    const struct cp_error *why;
};

static enum cp_err fail_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct fail_arg *a = arg;
    bool changed;

    CP_TRY(db_session_end(conn, a->session->id, DB_SESSION_FAILED, cp_err_info(a->why->code)->code,
                          a->why->text, &changed, err));
    return api_session_event(conn, a->session, "session-failed", a->why->code, a->why->text, err);
}

static enum cp_err run_or_fail(struct srv_scheduler *s, const struct db_session *session,
                               struct cp_error *err)
{
    struct cp_error why = {.code = CP_OK};
    struct fail_arg failure = {.session = session, .why = &why};

    if (add_run(s, session, &why) == CP_OK) {
        return CP_OK;
    }
    cp_log_error(CP_LOG_ERROR, "session-failed", &why);
    return db_run_tx_locking(s->api->db, "fail-session", fail_body, &failure, err);
}

static enum cp_err start_session(struct srv_scheduler *s, const char *id, struct cp_error *err)
{
    struct start_arg a = {.node_id = s->api->node_id, .id = id};
    enum cp_err rc = db_run_tx_locking(s->api->db, "start-session", start_body, &a, err);

    if (rc == CP_ERR_CONFLICT) {
        return CP_OK; /* cancelled in this very moment */
    }
    CP_TRY(rc);
    cp_log(CP_LOG_INFO, a.empty || a.disabled ? "session-over" : "session-started", "session", id,
           "package", a.session.package, "version", cp_log_u64(a.session.version), "group",
           a.session.group, "port", cp_log_u64(a.session.port), "receivers",
           cp_log_u64(a.session.receivers_active), NULL);
    return a.empty || a.disabled ? CP_OK : run_or_fail(s, &a.session, err);
}

/* ---- sessions that run in the database only ---- */

struct orphan_arg {
    struct srv_scheduler *scheduler;
    size_t count;
    struct db_session session;
};

static enum cp_err running_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct orphan_arg *a = arg;
    struct db_session_filter filter = {
        .node_id = a->scheduler->api->node_id, .by_state = true, .state = DB_SESSION_RUNNING};

    return db_session_list(conn, &filter, a->session.id, DUE_AT_ONCE, a->scheduler->due, &a->count,
                           err);
}

static enum cp_err resume_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct orphan_arg *a = arg;

    CP_TRY(db_session_resume(conn, a->session.id, &a->session, err));
    return api_session_event(conn, &a->session, "session-resumed", CP_OK, NULL, err);
}

static bool has_run(const struct srv_scheduler *s, const char *id)
{
    for (size_t i = 0; i < s->run_count; i++) {
        if (strcmp(srv_run_session_id(s->runs[i]), id) == 0) {
            return true;
        }
    }
    return false;
}

/* When the database went away at the very moment of a start, the row may say that the session runs
 * and nobody sends: every later join of its version would enter it and hear nothing. */
static enum cp_err adopt_orphans(struct srv_scheduler *s, struct cp_error *err)
{
    struct orphan_arg a = {.scheduler = s};

    do {
        CP_TRY(db_run_read(s->api->db, "running-sessions", running_body, &a, err));
        for (size_t i = 0; i < a.count; i++) {
            enum cp_err rc;

            a.session = s->due[i];
            if (has_run(s, a.session.id)) {
                continue;
            }
            rc = db_run_tx_locking(s->api->db, "resume-session", resume_body, &a, err);
            if (rc == CP_ERR_CONFLICT) {
                continue; /* it ended in this very moment */
            }
            CP_TRY(rc);
            cp_log(CP_LOG_WARN, "session-resumed", "session", a.session.id, "package",
                   a.session.package, NULL);
            CP_TRY(run_or_fail(s, &a.session, err));
        }
    } while (a.count == DUE_AT_ONCE);
    return CP_OK;
}

static enum cp_err start_all_due(struct srv_scheduler *s, uint64_t *ret_wait_ms,
                                 struct cp_error *err)
{
    struct due_arg a = {.scheduler = s};

    if (s->listening) { /* else another process may work for this node by now */
        CP_TRY(adopt_orphans(s, err));
    }
    do {
        CP_TRY(db_run_read(s->api->db, "due-sessions", due_body, &a, err));
        for (size_t i = 0; i < a.count; i++) {
            CP_TRY(start_session(s, s->due[i].id, err));
        }
    } while (a.count == DUE_AT_ONCE);
    *ret_wait_ms = a.wait_ms;
    return CP_OK;
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

/* "<node id> <session id>": ours are acted on, other nodes' are theirs. */
static void take_notification(struct srv_scheduler *s, const struct db_notification *n)
{
    size_t node_size = strlen(s->api->node_id);

    if (strncmp(n->payload, s->api->node_id, node_size) != 0 || n->payload[node_size] != ' ') {
        return;
    }
    if (strcmp(n->channel, DB_CHANNEL_SESSIONS) == 0) {
        s->due_at = 0;
    }
    for (size_t i = 0; i < s->run_count; i++) {
        if (strcmp(srv_run_session_id(s->runs[i]), n->payload + node_size + 1) == 0) {
            srv_run_touch(s->runs[i]);
        }
    }
}

static void touch_all(struct srv_scheduler *s)
{
    s->due_at = 0;
    for (size_t i = 0; i < s->run_count; i++) {
        srv_run_touch(s->runs[i]);
    }
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

    for (size_t i = 0; i < s->run_count; i++) {
        next = cp_time_min(next, srv_run_next_round(s->runs[i]));
    }
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
        for (size_t i = 0; i < s->run_count; i++) {
            srv_run_touch(s->runs[i]);
        }
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
    for (size_t i = 0; i < s->run_count; i++) {
        srv_run_withdraw(s->runs[i]);
    }
    for (size_t i = 0; i < s->run_count; i++) {
        struct cp_error err = {.code = CP_OK};

        if (srv_run_interrupt(s->runs[i], &err) != CP_OK) {
            cp_log_error(CP_LOG_WARN, "session-not-interrupted", &err);
        }
        srv_run_free(s->runs[i]);
    }
    if (s->wake_fd >= 0) {
        (void)close(s->wake_fd);
    }
    free(s->runs);
    free(s->reports);
    free(s->due);
    free(s);
}

static enum cp_err prepare(struct srv_scheduler *s, struct cp_error *err)
{
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->reports = calloc(API_PROGRESS_BATCH, sizeof *s->reports);
    s->due = calloc(DUE_AT_ONCE, sizeof *s->due);
    if (s->wake_fd < 0 || s->reports == NULL || s->due == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "the scheduler");
    }
    s->listening = true;
    return srv_recover(s->api, add_run, s, err);
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
