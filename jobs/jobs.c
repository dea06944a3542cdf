/* SPDX-License-Identifier: Apache-2.0
 * The workers' threads, and one that listens for new tasks and looks at the calendar. */
#include "jobs/jobs.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "db/listener.h"

#define LOOK_EVERY_MS 5000 /* should a notification be lost */
#define DUE_EVERY     (60 * CP_SEC)

struct worker {
    struct jobs *jobs;
    bool quick; /* leaves the slow kinds to the others */
    pthread_t thread;
};

struct jobs {
    const struct jobs_context *ctx;
    struct db_listener *listener;
    pthread_t listening;
    struct worker workers[JOBS_WORKERS];
    size_t worker_count;
    atomic_bool stop;
    int wake_fd; /* of the listening thread */
    pthread_mutex_t lock;
    pthread_cond_t something; /* may be waiting: `looks` went up */
    uint64_t looks;
};

/* ---- workers ---- */

static void look(struct jobs *j)
{
    (void)pthread_mutex_lock(&j->lock);
    j->looks++;
    (void)pthread_cond_broadcast(&j->something);
    (void)pthread_mutex_unlock(&j->lock);
}

/* Until something may be waiting that was not looked at yet. */
static void wait_for_work(struct jobs *j, uint64_t *seen)
{
    (void)pthread_mutex_lock(&j->lock);
    while (j->looks == *seen && !atomic_load(&j->stop)) {
        (void)pthread_cond_wait(&j->something, &j->lock);
    }
    *seen = j->looks;
    (void)pthread_mutex_unlock(&j->lock);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct jobs *j = w->jobs;
    uint64_t seen = 0;

    while (!atomic_load(&j->stop)) {
        struct cp_error err = {.code = CP_OK};
        enum cp_err rc =
            w->quick ? jobs_do_quick(j->ctx, &j->stop, &err) : jobs_do_one(j->ctx, &j->stop, &err);

        if (rc != CP_OK) {
            if (rc != CP_ERR_NOT_FOUND) {
                cp_log_error(CP_LOG_WARN, "task-not-written", &err);
            }
            wait_for_work(j, &seen);
        }
    }
    return NULL;
}

/* ---- listening ---- */

static void ask_due(struct jobs *j, cp_time *due_at)
{
    struct cp_error err = {.code = CP_OK};
    cp_time now = cp_clock_now();

    if (now >= *due_at) {
        *due_at = now + DUE_EVERY;
        if (jobs_ask_due(j->ctx, &err) != CP_OK) {
            cp_log_error(CP_LOG_WARN, "work-not-asked-for", &err);
        }
    }
}

/* What they say does not matter: workers look for themselves. Without a connection they still do,
 * every few seconds. */
static void read_notifications(struct jobs *j)
{
    struct db_notification n;
    bool any = true;
    enum cp_err rc = CP_OK;

    while (rc == CP_OK && any) {
        rc = db_listener_next(j->listener, &any, &n, NULL);
    }
    if (rc != CP_OK && db_listener_reconnect(j->listener, NULL) == CP_OK) {
        cp_log(CP_LOG_INFO, "database-back", "for", "tasks", NULL);
    }
}

static void *listen_for_tasks(void *arg)
{
    struct jobs *j = arg;
    cp_time due_at = 0;

    while (!atomic_load(&j->stop)) {
        struct pollfd fds[2] = {{.fd = j->wake_fd, .events = POLLIN},
                                {.fd = db_listener_fd(j->listener), .events = POLLIN}};

        ask_due(j, &due_at);
        look(j);
        (void)poll(fds, 2, LOOK_EVERY_MS);
        if (!atomic_load(&j->stop)) {
            read_notifications(j);
        }
    }
    return NULL;
}

/* ---- start and stop ---- */

struct recover_arg {
    const char *node_id;
    uint64_t count;
};

static enum cp_err recover_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct recover_arg *a = arg;

    return db_task_recover(conn, a->node_id, cp_err_info(CP_ERR_INTERRUPTED)->code, &a->count, err);
}

static enum cp_err start_threads(struct jobs *j, struct cp_error *err)
{
    while (j->worker_count < JOBS_WORKERS) {
        struct worker *w = &j->workers[j->worker_count];

        w->jobs = j;
        w->quick = j->worker_count < JOBS_QUICK_WORKERS;
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "No thread for a worker.");
        }
        j->worker_count++;
    }
    if (pthread_create(&j->listening, NULL, listen_for_tasks, j) != 0) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No thread to listen for tasks.");
    }
    return CP_OK;
}

static void stop_workers(struct jobs *j)
{
    atomic_store(&j->stop, true);
    look(j);
    for (size_t i = 0; i < j->worker_count; i++) {
        (void)pthread_join(j->workers[i].thread, NULL);
    }
}

static void drop(struct jobs *j)
{
    (void)pthread_cond_destroy(&j->something);
    (void)pthread_mutex_destroy(&j->lock);
    if (j->wake_fd >= 0) {
        (void)close(j->wake_fd);
    }
    free(j);
}

enum cp_err jobs_start(const struct jobs_context *ctx, struct db_listener *listener,
                       struct jobs **ret_jobs, struct cp_error *err)
{
    struct recover_arg recover = {.node_id = ctx->node_id};
    struct jobs *j;
    enum cp_err rc;

    CP_TRY(db_run_tx_locking(ctx->db, "recover-tasks", recover_body, &recover, err));
    if (recover.count > 0) {
        cp_log(CP_LOG_INFO, "tasks-put-back", "count", cp_log_u64(recover.count), NULL);
    }
    j = calloc(1, sizeof *j);
    if (j == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the workers.");
    }
    j->ctx = ctx;
    j->listener = listener;
    (void)pthread_mutex_init(&j->lock, NULL);
    (void)pthread_cond_init(&j->something, NULL);
    j->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = j->wake_fd >= 0 ? start_threads(j, err)
                         : cp_error_set(err, CP_ERR_NO_MEMORY, "No descriptor for the workers.");
    if (rc != CP_OK) {
        stop_workers(j);
        drop(j);
        return rc;
    }
    *ret_jobs = j;
    return CP_OK;
}

void jobs_stop(struct jobs *j)
{
    uint64_t one = 1;

    if (j == NULL) {
        return;
    }
    atomic_store(&j->stop, true);
    (void)!write(j->wake_fd, &one, sizeof one);
    (void)pthread_join(j->listening, NULL);
    stop_workers(j);
    drop(j);
}
