/* SPDX-License-Identifier: Apache-2.0
 * Drives mc_receiver_* in a thread. */
#include "client/fetch_multicast.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/interface.h"
#include "common/clock.h"
#include "common/log.h"

#define TICK (100 * CP_MSEC)

struct engine {
    struct mc_receiver *receiver;
    const char *correlation_id;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done; /* under the lock */
    enum cp_err code;
    struct cp_error err;
};

static void *run(void *arg)
{
    struct engine *e = arg;
    struct cp_error err = {.code = CP_OK};
    enum cp_err code;

    cp_log_correlation(e->correlation_id);
    code = mc_receiver_run(e->receiver, &err);
    (void)pthread_mutex_lock(&e->lock);
    e->code = code;
    e->err = err;
    e->done = true;
    (void)pthread_cond_signal(&e->ended);
    (void)pthread_mutex_unlock(&e->lock);
    return NULL;
}

static int start(struct engine *e)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    int error;

    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&e->ended, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)sigfillset(&all); /* signals are the first thread's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&e->thread, NULL, run, e);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* Waits for the engine for one tick; true when it has ended. */
static bool wait_tick(struct engine *e)
{
    cp_time next = cp_clock_now() + TICK;
    struct timespec until = {.tv_sec = (time_t)(next / CP_SEC), .tv_nsec = (long)(next % CP_SEC)};
    bool done;

    (void)pthread_mutex_lock(&e->lock);
    while (!e->done && pthread_cond_timedwait(&e->ended, &e->lock, &until) == 0) {
    }
    done = e->done;
    (void)pthread_mutex_unlock(&e->lock);
    return done;
}

/* Runs the engine to its end. What the tick says goes before how the engine ended. */
static enum cp_err drive(struct engine *e, const struct cl_multicast *m, struct cp_error *err)
{
    struct mc_receiver_stats stats;
    enum cp_err stopped = CP_OK;

    if (start(e) != 0) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "multicast: no thread");
    }
    while (!wait_tick(e)) {
        mc_receiver_get_stats(e->receiver, &stats);
        if (stopped == CP_OK) {
            stopped = m->tick(m->arg, &stats, err);
            if (stopped != CP_OK) {
                mc_receiver_stop(e->receiver);
            }
        }
    }
    (void)pthread_join(e->thread, NULL);
    if (stopped != CP_OK && e->code != CP_OK) {
        return stopped;
    }
    if (e->code != CP_OK && err != NULL) {
        *err = e->err;
        err->code = e->code;
    }
    return e->code;
}

static struct mc_extent *make_extents(const struct cl_multicast *m)
{
    struct mc_extent *extents = calloc(m->map->piece_count, sizeof *extents);

    for (size_t i = 0; extents != NULL && i < m->map->piece_count; i++) {
        const struct object_piece *p = &m->map->pieces[i];

        extents[i] = (struct mc_extent){.fd = cl_output_fd(m->output, p->file_index),
                                        .file_offset = p->file_offset,
                                        .object_offset = p->object_offset,
                                        .size = p->size};
    }
    return extents;
}

/* Object chunks that the output has already. */
static uint8_t *make_have(const struct cl_multicast *m)
{
    uint8_t *have = calloc(m->map->chunk_count, 1);

    for (size_t d = 0; have != NULL && d < m->map->chunk_count; d++) {
        have[d] = cl_output_chunks(m->output)[m->map->stream_chunks[d]];
    }
    return have;
}

static void mark_chunks(struct mc_receiver *receiver, const struct cl_multicast *m, uint8_t *have)
{
    mc_receiver_get_chunks(receiver, have, m->map->chunk_count);
    for (size_t d = 0; d < m->map->chunk_count; d++) {
        if (have[d] != 0) {
            cl_output_mark_chunk(m->output, m->map->stream_chunks[d]);
        }
    }
}

static enum cp_err fetch(const struct cl_multicast *m, const struct mc_receiver_config *config,
                         uint8_t *have, struct mc_receiver_stats *ret_stats, struct cp_error *err)
{
    struct engine e = {.correlation_id = m->ticket->correlation_id};
    enum cp_err code;

    CP_TRY(mc_receiver_open(config, &e.receiver, err));
    code = drive(&e, m, err);
    mc_receiver_get_stats(e.receiver, ret_stats);
    mark_chunks(e.receiver, m, have);
    mc_receiver_close(e.receiver);
    (void)pthread_cond_destroy(&e.ended);
    (void)pthread_mutex_destroy(&e.lock);
    return code;
}

static void choose_interface(const struct cl_multicast *m, char ret_name[CL_INTERFACE_SIZE])
{
    if (m->interface != NULL) {
        (void)snprintf(ret_name, CL_INTERFACE_SIZE, "%s", m->interface);
    } else if (!cl_interface_towards(m->ticket->channel.source, ret_name)) {
        ret_name[0] = '\0';
    }
}

enum cp_err cl_multicast_fetch(const struct cl_multicast *m, struct mc_receiver_stats *ret_stats,
                               struct cp_error *err)
{
    struct mc_extent *extents = make_extents(m);
    uint8_t *have = make_have(m);
    struct mc_receiver_config config = {.channel = m->ticket->channel,
                                        .node_id = m->ticket->node_id,
                                        .extents = extents,
                                        .extent_count = m->map->piece_count,
                                        .chunk_digests = m->map->digests,
                                        .chunk_count = m->map->chunk_count,
                                        .chunks_have = have,
                                        .silence = m->ticket->silence,
                                        .start_wait = m->ticket->starts_in};
    enum cp_err code;

    memset(ret_stats, 0, sizeof *ret_stats);
    if (extents == NULL || have == NULL) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "multicast");
        goto out;
    }
    choose_interface(m, config.channel.interface);
    cp_log(CP_LOG_INFO, "multicast-start", "group", config.channel.group, "port",
           cp_log_u64(config.channel.port), "interface", config.channel.interface, "node_id",
           cp_log_u64(config.node_id), NULL);
    code = fetch(m, &config, have, ret_stats, err);
out:
    explicit_bzero(&config.channel, sizeof config.channel);
    free(extents);
    free(have);
    return code;
}
