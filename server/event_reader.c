/* SPDX-License-Identifier: Apache-2.0
 * The one reader of events. Opens a socket (LISTEN); a thread of its own. */
#include "server/event_reader.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/events/stream.h"
#include "common/clock.h"
#include "common/log.h"
#include "db/listener.h"

#define RETRY_MS 1000u
/* Should a notification be lost. */
#define LOOK_MS (API_STREAM_BEAT_S * 1000u)

struct srv_event_reader {
    struct srv_event_reader_config config;
    char *database;
    struct db_listener *listener; /* NULL: not connected yet */
    pthread_t thread;
    int wake_fd;
    atomic_bool stop;
    uint64_t told;
    bool away; /* said in the log that the database is */
};

static void wake(void *arg)
{
    struct srv_event_reader *r = arg;
    uint64_t one = 1;

    (void)!write(r->wake_fd, &one, sizeof one);
}

static void say(struct srv_event_reader *r, const struct cp_error *err)
{
    if (!r->away && err != NULL) {
        cp_log_error(CP_LOG_WARN, "events-not-read", err);
    } else if (r->away && err == NULL) {
        cp_log(CP_LOG_INFO, "database-back", "for", "events", NULL);
    }
    r->away = err != NULL;
}

/* Connected and listening; else false. */
static bool listening(struct srv_event_reader *r, struct cp_error *err)
{
    static const char *const channels[] = {DB_CHANNEL_EVENTS};

    if (r->listener == NULL) {
        return db_listener_open(r->database, channels, 1, &r->listener, err) == CP_OK;
    }
    return db_listener_fd(r->listener) >= 0 || db_listener_reconnect(r->listener, err) == CP_OK;
}

/* Reads; milliseconds until it is to look again at the latest. */
static unsigned look(struct srv_event_reader *r)
{
    struct cp_error err = {.code = CP_OK};
    uint64_t upto = r->told;
    bool again = false;

    if (!listening(r, &err) ||
        api_stream_poll(r->config.stream, r->config.db, &upto, &again, &err) != CP_OK) {
        say(r, &err);
        return RETRY_MS;
    }
    say(r, NULL);
    if (upto != r->told && r->config.news != NULL) {
        r->config.news(r->config.news_arg, upto);
    }
    r->told = upto;
    return again ? API_STREAM_AGAIN : LOOK_MS;
}

/* What they say does not matter. A lost connection shows here, and is made anew by look(). */
static void drain(struct srv_event_reader *r)
{
    struct db_notification n;
    uint64_t count;
    bool any = true;

    (void)!read(r->wake_fd, &count, sizeof count);
    while (any && r->listener != NULL && db_listener_fd(r->listener) >= 0) {
        if (db_listener_next(r->listener, &any, &n, NULL) != CP_OK) {
            any = false;
        }
    }
}

static unsigned until(cp_time when, cp_time now)
{
    return when <= now ? 0 : (unsigned)((when - now + CP_MSEC - 1) / CP_MSEC);
}

static void *read_events(void *arg)
{
    struct srv_event_reader *r = arg;
    cp_time beat_at = cp_clock_now() + API_STREAM_BEAT_S * CP_SEC;

    while (!atomic_load(&r->stop)) {
        unsigned wait = look(r);
        unsigned beat_in = until(beat_at, cp_clock_now());
        struct pollfd fds[2] = {
            {.fd = r->wake_fd, .events = POLLIN},
            {.fd = r->listener != NULL ? db_listener_fd(r->listener) : -1, .events = POLLIN}};

        (void)poll(fds, 2, (int)(wait < beat_in ? wait : beat_in));
        drain(r);
        if (cp_clock_now() >= beat_at) {
            api_stream_beat(r->config.stream);
            beat_at = cp_clock_now() + API_STREAM_BEAT_S * CP_SEC;
        }
    }
    return NULL;
}

static void drop(struct srv_event_reader *r)
{
    db_listener_close(r->listener);
    if (r->wake_fd >= 0) {
        (void)close(r->wake_fd);
    }
    free(r->database);
    free(r);
}

enum cp_err srv_event_reader_start(const struct srv_event_reader_config *config,
                                   struct srv_event_reader **ret_reader, struct cp_error *err)
{
    struct srv_event_reader *r = calloc(1, sizeof *r);

    if (r == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the reader of events.");
    }
    r->config = *config;
    r->database = strdup(config->database);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->database != NULL && r->wake_fd >= 0) {
        api_stream_set_wake(config->stream, wake, r);
        if (pthread_create(&r->thread, NULL, read_events, r) == 0) {
            *ret_reader = r;
            return CP_OK;
        }
        api_stream_set_wake(config->stream, NULL, NULL);
    }
    drop(r);
    return cp_error_set(err, CP_ERR_NO_MEMORY, "No thread for the reader of events.");
}

void srv_event_reader_stop(struct srv_event_reader *r)
{
    if (r == NULL) {
        return;
    }
    atomic_store(&r->stop, true);
    wake(r);
    (void)pthread_join(r->thread, NULL);
    api_stream_set_wake(r->config.stream, NULL, NULL);
    drop(r);
}
