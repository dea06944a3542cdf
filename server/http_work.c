/* SPDX-License-Identifier: Apache-2.0
 * A queue of jobs and the threads that do them. */
#include "server/http_work.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 256u

struct srv_work {
    pthread_mutex_t lock;
    pthread_cond_t something; /* for the threads */
    pthread_cond_t nothing;   /* for who drains */
    struct srv_job *first, **end;
    size_t reserved; /* and not done yet */
    bool draining, stop;
    size_t count;
    pthread_t threads[THREADS_MAX];
};

static struct srv_job *next_job(struct srv_work *w)
{
    struct srv_job *job;

    (void)pthread_mutex_lock(&w->lock);
    while (w->first == NULL && !w->stop) {
        (void)pthread_cond_wait(&w->something, &w->lock);
    }
    job = w->first;
    if (job != NULL) {
        w->first = job->next;
        if (w->first == NULL) {
            w->end = &w->first;
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return job;
}

static void count_done(struct srv_work *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->reserved--;
    if (w->reserved == 0) {
        (void)pthread_cond_broadcast(&w->nothing);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

static void *work(void *arg)
{
    struct srv_work *w = arg;
    struct srv_job *job = next_job(w);

    while (job != NULL) {
        job->fn(job);
        count_done(w);
        job = next_job(w);
    }
    return NULL;
}

enum cp_err srv_work_new(size_t threads, struct srv_work **ret_work, struct cp_error *err)
{
    struct srv_work *w = calloc(1, sizeof *w);

    if (w == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY,
                            "No memory for the threads that serve requests.");
    }
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->something, NULL);
    (void)pthread_cond_init(&w->nothing, NULL);
    w->end = &w->first;
    while (w->count < threads && w->count < THREADS_MAX) {
        if (pthread_create(&w->threads[w->count], NULL, work, w) != 0) {
            srv_work_free(w);
            return cp_error_set(err, CP_ERR_NO_MEMORY, "No more threads to serve requests.");
        }
        w->count++;
    }
    *ret_work = w;
    return CP_OK;
}

bool srv_work_reserve(struct srv_work *w)
{
    bool good;

    (void)pthread_mutex_lock(&w->lock);
    good = !w->draining;
    w->reserved += good;
    (void)pthread_mutex_unlock(&w->lock);
    return good;
}

void srv_work_submit(struct srv_work *w, struct srv_job *job)
{
    job->next = NULL;
    (void)pthread_mutex_lock(&w->lock);
    *w->end = job;
    w->end = &job->next;
    (void)pthread_cond_signal(&w->something);
    (void)pthread_mutex_unlock(&w->lock);
}

void srv_work_drain(struct srv_work *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->draining = true;
    while (w->reserved > 0) {
        (void)pthread_cond_wait(&w->nothing, &w->lock);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

void srv_work_free(struct srv_work *w)
{
    if (w == NULL) {
        return;
    }
    srv_work_drain(w);
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_broadcast(&w->something);
    (void)pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->count; i++) {
        (void)pthread_join(w->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&w->nothing);
    (void)pthread_cond_destroy(&w->something);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}
