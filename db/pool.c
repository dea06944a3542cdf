/* SPDX-License-Identifier: Apache-2.0
 * The pool of connections: lends each to one thread at a time, the last used first. Thread-safe. */
#include "db/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/clock.h"
#include "common/prng.h"

#define POOL_SIZE_MAX 64
#define ACQUIRE_WAIT  (10 * CP_SEC)
/* As long as the runner tries a lost transaction again: a restart or a failover takes less. */
#define AWAY_AFTER   (3 * CP_SEC)
#define FORGET_AFTER (30 * CP_SEC) /* a probe may take as long as connect_timeout for each host */
#define PROBE_EVERY  (500 * CP_MSEC)

struct db_pool {
    char *conninfo;
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    struct cp_prng prng;   /* jitter of back-off; under the mutex, as all that follows */
    cp_time failing_since; /* connecting has failed since then; 0: it did not */
    cp_time failed_at;     /* the newest failure */
    cp_time probe_at;      /* while the database is away: the next try */
    bool probing;
    struct cp_error why;
    atomic_bool hurry;
    size_t size;
    size_t idle_count;
    struct db_conn *idle[POOL_SIZE_MAX]; /* a stack: warm connections on top */
    struct db_conn conns[];
};

static bool init_locks(struct db_pool *pool)
{
    pthread_condattr_t attr;
    bool ok;

    if (pthread_condattr_init(&attr) != 0) {
        return false;
    }
    ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
         pthread_cond_init(&pool->freed, &attr) == 0;
    (void)pthread_condattr_destroy(&attr);
    if (ok && pthread_mutex_init(&pool->mutex, NULL) != 0) {
        (void)pthread_cond_destroy(&pool->freed);
        ok = false;
    }
    return ok;
}

/* A number for each connection that no other process has. */
static bool number_slots(struct db_pool *pool)
{
    for (size_t i = 0; i < pool->size; i++) {
        uint64_t random;

        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
            return false;
        }
        pool->conns[i].slot = (int64_t)(random >> 1);
    }
    return true;
}

enum cp_err db_pool_open(const char *conninfo, size_t size, struct db_pool **ret_pool,
                         struct cp_error *err)
{
    struct db_pool *pool;
    enum cp_err rc;

    CP_ASSERT(size >= 1 && size <= POOL_SIZE_MAX);
    pool = calloc(1, sizeof *pool + size * sizeof pool->conns[0]);
    if (pool == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "opening the database pool");
    }
    pool->conninfo = strdup(conninfo);
    if (pool->conninfo == NULL || !init_locks(pool)) {
        free(pool->conninfo);
        free(pool);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "opening the database pool");
    }
    cp_prng_seed(&pool->prng, cp_clock_wall() ^ (uint64_t)(uintptr_t)pool);
    pool->size = size;
    for (size_t i = 0; i < size; i++) {
        pool->conns[i].hurry = &pool->hurry;
        pool->idle[pool->idle_count++] = &pool->conns[size - 1 - i];
    }
    rc = number_slots(pool)
             ? db_conn_open(&pool->conns[0], pool->conninfo, err)
             : cp_error_set(err, CP_ERR_INTERNAL, "no random numbers for the database pool");
    if (rc != CP_OK) {
        db_pool_close(pool);
        return rc;
    }
    *ret_pool = pool;
    return CP_OK;
}

void db_pool_close(struct db_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    CP_ASSERT(pool->idle_count == pool->size);
    for (size_t i = 0; i < pool->size; i++) {
        db_conn_close(&pool->conns[i]);
    }
    (void)pthread_mutex_destroy(&pool->mutex);
    (void)pthread_cond_destroy(&pool->freed);
    free(pool->conninfo);
    free(pool);
}

void db_pool_hurry(struct db_pool *pool)
{
    atomic_store(&pool->hurry, true);
}

enum cp_err db_pool_acquire(struct db_pool *pool, struct db_conn **ret_conn, struct cp_error *err)
{
    cp_time deadline = cp_clock_now() + ACQUIRE_WAIT;
    struct timespec until = {.tv_sec = (time_t)(deadline / CP_SEC),
                             .tv_nsec = (long)(deadline % CP_SEC)};
    enum cp_err rc = CP_OK;

    (void)pthread_mutex_lock(&pool->mutex);
    while (pool->idle_count == 0 && rc == CP_OK) {
        if (pthread_cond_timedwait(&pool->freed, &pool->mutex, &until) == ETIMEDOUT &&
            pool->idle_count == 0) {
            rc = cp_error_set(err, CP_ERR_UNAVAILABLE,
                              "all %zu database connections were busy for 10 s", pool->size);
        }
    }
    if (rc == CP_OK) {
        *ret_conn = pool->idle[--pool->idle_count];
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return rc;
}

void db_pool_release(struct db_pool *pool, struct db_conn *conn)
{
    (void)pthread_mutex_lock(&pool->mutex);
    pool->idle[pool->idle_count++] = conn;
    (void)pthread_cond_signal(&pool->freed);
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* An old failure says nothing of now: connections may have worked ever since. */
static bool is_away(const struct db_pool *pool, cp_time now)
{
    return pool->failing_since != 0 && pool->failed_at - pool->failing_since > AWAY_AFTER &&
           now - pool->failed_at < FORGET_AFTER;
}

bool db_pool_away(struct db_pool *pool)
{
    bool away;

    (void)pthread_mutex_lock(&pool->mutex);
    away = is_away(pool, cp_clock_now());
    (void)pthread_mutex_unlock(&pool->mutex);
    return away;
}

/* False: another caller tries, or did a moment ago. */
static bool may_connect(struct db_pool *pool, struct cp_error *ret_why)
{
    cp_time now = cp_clock_now();
    bool may = true;

    (void)pthread_mutex_lock(&pool->mutex);
    if (is_away(pool, now)) {
        may = !pool->probing && now >= pool->probe_at;
        pool->probing = pool->probing || may;
        *ret_why = pool->why;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    return may;
}

static void note_outcome(struct db_pool *pool, const struct cp_error *why)
{
    cp_time now = cp_clock_now();

    (void)pthread_mutex_lock(&pool->mutex);
    pool->probing = false;
    if (why == NULL) {
        pool->failing_since = 0;
    } else {
        if (pool->failing_since == 0 || now - pool->failed_at >= FORGET_AFTER) {
            pool->failing_since = now;
        }
        pool->failed_at = now;
        pool->probe_at = now + PROBE_EVERY;
        pool->why = *why;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
}

enum cp_err db_pool_connect(struct db_pool *pool, struct db_conn *conn, struct cp_error *err)
{
    struct cp_error why = {.code = CP_OK};
    enum cp_err rc;

    if (!may_connect(pool, &why)) {
        return cp_error_set(err, why.code, "%s", why.text);
    }
    rc = db_conn_open(conn, pool->conninfo, &why);
    note_outcome(pool, rc == CP_OK ? NULL : &why);
    return rc == CP_OK ? CP_OK : cp_error_set(err, rc, "%s", why.text);
}

void db_pool_back_off(struct db_pool *pool, uint32_t base_ms, uint32_t max_ms, uint32_t run)
{
    uint64_t delay_ms = base_ms;
    uint64_t jitter;
    struct timespec pause;

    for (uint32_t i = 2; i < run && delay_ms < max_ms; i++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms < max_ms ? delay_ms : max_ms;
    (void)pthread_mutex_lock(&pool->mutex);
    jitter = cp_prng_below(&pool->prng, delay_ms * CP_MSEC);
    (void)pthread_mutex_unlock(&pool->mutex);
    jitter += delay_ms * CP_MSEC / 2;
    pause =
        (struct timespec){.tv_sec = (time_t)(jitter / CP_SEC), .tv_nsec = (long)(jitter % CP_SEC)};
    (void)nanosleep(&pause, NULL);
}
