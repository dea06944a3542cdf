/* SPDX-License-Identifier: Apache-2.0
 * A token bucket that may be overdrawn by one quantum, and the queue of those who wait for it. */
#include "server/http_throttle.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"

/* What one turn gives: small enough that a slow ceiling is shared smoothly (QUANTA turns a
 * second), large enough for whole TLS records. */
#define QUANTUM_MAX (64u * 1024u)
#define QUANTUM_MIN (4u * 1024u)
#define QUANTA      50u

struct srv_throttle {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* somebody waits, another ceiling, the end */
    pthread_t thread;
    uint64_t bytes_per_s; /* 0: no ceiling */
    int64_t tokens;       /* bytes; below 0: taken in advance */
    cp_time filled;
    struct srv_turn *first, **end;
    bool open, stop;
};

static size_t quantum(const struct srv_throttle *t)
{
    uint64_t q = t->bytes_per_s / QUANTA;

    return q < QUANTUM_MIN ? QUANTUM_MIN : q > QUANTUM_MAX ? QUANTUM_MAX : (size_t)q;
}

/* What was not used within a fiftieth of a second is lost: a burst is no longer than that. */
static void refill(struct srv_throttle *t)
{
    cp_time now = cp_clock_now();
    uint64_t spent = cp_time_min(now - t->filled, CP_SEC); /* no debt is older */
    uint64_t earned = t->bytes_per_s * spent;
    int64_t most = (int64_t)(t->bytes_per_s / QUANTA);

    /* the part of a byte that is earned so far stays earned */
    t->filled = now - earned % CP_SEC / t->bytes_per_s;
    t->tokens += (int64_t)(earned / CP_SEC);
    t->tokens = t->tokens < most ? t->tokens : most;
}

static size_t draw(struct srv_throttle *t, size_t want)
{
    size_t grant = quantum(t);

    grant = want < grant ? want : grant;
    t->tokens -= (int64_t)grant;
    return grant;
}

/* ---- the queue ---- */

static void enqueue(struct srv_throttle *t, struct srv_turn *turn)
{
    turn->waits = true;
    turn->next = NULL;
    turn->at = t->end;
    *t->end = turn;
    t->end = &turn->next;
}

static void dequeue(struct srv_throttle *t, struct srv_turn *turn)
{
    *turn->at = turn->next;
    if (turn->next != NULL) {
        turn->next->at = turn->at;
    } else {
        t->end = turn->at;
    }
    turn->waits = false;
}

static void wake_first(struct srv_throttle *t, size_t grant)
{
    struct srv_turn *turn = t->first;

    dequeue(t, turn);
    turn->granted = grant;
    turn->resume(turn);
}

/* Waits until a token is there again. */
static void sleep_on_debt(struct srv_throttle *t)
{
    struct timespec until;
    cp_time wait = (cp_time)(1 - t->tokens) * CP_SEC / t->bytes_per_s + CP_MSEC / 10;
    cp_time at = cp_clock_now() + wait;

    until.tv_sec = (time_t)(at / CP_SEC);
    until.tv_nsec = (long)(at % CP_SEC);
    (void)pthread_cond_timedwait(&t->changed, &t->lock, &until);
}

static void *run(void *arg)
{
    struct srv_throttle *t = arg;

    (void)pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        if (t->first == NULL) {
            (void)pthread_cond_wait(&t->changed, &t->lock);
            continue;
        }
        if (t->open || t->bytes_per_s == 0) {
            wake_first(t, 0);
            continue;
        }
        refill(t);
        if (t->tokens > 0) {
            wake_first(t, draw(t, QUANTUM_MAX));
        } else {
            sleep_on_debt(t);
        }
    }
    (void)pthread_mutex_unlock(&t->lock);
    return NULL;
}

/* ---- public ---- */

enum cp_err srv_throttle_new(struct srv_throttle **ret_throttle, struct cp_error *err)
{
    struct srv_throttle *t = calloc(1, sizeof *t);
    pthread_condattr_t monotonic;

    if (t == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the ceiling of downloads.");
    }
    t->end = &t->first;
    t->filled = cp_clock_now();
    (void)pthread_mutex_init(&t->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* cp_clock_now()'s */
    (void)pthread_cond_init(&t->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (pthread_create(&t->thread, NULL, run, t) != 0) {
        (void)pthread_cond_destroy(&t->changed);
        (void)pthread_mutex_destroy(&t->lock);
        free(t);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No thread for the ceiling of downloads.");
    }
    *ret_throttle = t;
    return CP_OK;
}

void srv_throttle_free(struct srv_throttle *t)
{
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&t->lock);
    CP_ASSERT(t->first == NULL);
    t->stop = true;
    (void)pthread_cond_signal(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
    (void)pthread_join(t->thread, NULL);
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

void srv_throttle_set(struct srv_throttle *t, uint64_t bps)
{
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&t->lock);
    if (t->bytes_per_s != bps / 8) {
        t->bytes_per_s = bps / 8;
        t->tokens = 0; /* debts of a slow ceiling would hold up a fast one */
        t->filled = cp_clock_now();
        (void)pthread_cond_signal(&t->changed);
    }
    (void)pthread_mutex_unlock(&t->lock);
}

size_t srv_throttle_take(struct srv_throttle *t, struct srv_turn *turn, size_t want)
{
    size_t grant = want;

    if (t == NULL) {
        return want;
    }
    (void)pthread_mutex_lock(&t->lock);
    if (t->open || t->bytes_per_s == 0) {
        turn->granted = 0;
    } else if (turn->granted > 0) {
        grant = want < turn->granted ? want : turn->granted;
        turn->granted = 0;
    } else {
        refill(t);
        if (t->first == NULL && t->tokens > 0) {
            grant = draw(t, want);
        } else {
            grant = 0;
            enqueue(t, turn);
            turn->suspend(turn);
            (void)pthread_cond_signal(&t->changed);
        }
    }
    (void)pthread_mutex_unlock(&t->lock);
    return grant;
}

void srv_throttle_leave(struct srv_throttle *t, struct srv_turn *turn)
{
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&t->lock);
    if (turn->waits) {
        dequeue(t, turn);
    }
    (void)pthread_mutex_unlock(&t->lock);
}

void srv_throttle_open(struct srv_throttle *t)
{
    if (t == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&t->lock);
    t->open = true;
    while (t->first != NULL) {
        wake_first(t, 0);
    }
    (void)pthread_mutex_unlock(&t->lock);
}
