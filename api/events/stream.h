/* SPDX-License-Identifier: Apache-2.0
 * Events as they happen: one reader fetches each event once and hands it to every listener. The
 * last 1,024 are kept in memory; who is further behind gets them from the database, by the same
 * reader, who asks once for all that are at the same place. No event is told twice or left out
 * (db/event.h: settled). Thread-safe. */
#ifndef API_EVENTS_STREAM_H
#define API_EVENTS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct api_stream;
struct api_feed; /* one listener */
struct db_pool;

#define API_STREAM_TYPE   "text/event-stream"
#define API_FEEDS_MAX     1000
#define API_STREAM_BEAT_S 15u  /* a comment to each silent listener: who has left shows then */
#define API_FEED_SECONDS  3600 /* then the listener must come again, with its credentials */
#define API_STREAM_AGAIN  50u  /* ms until the reader looks again for what is not settled */

/* ---- for the reader ---- */

CP_MUST_CHECK enum cp_err api_stream_new(struct api_stream **ret_stream);
/* No feed is open any more. NULL allowed. */
void api_stream_free(struct api_stream *s);

/* What to call, from any thread, when a listener needs the reader. Before anybody listens. */
void api_stream_set_wake(struct api_stream *s, void (*wake)(void *arg), void *arg);

/* Reads what is new and what listeners lack, and hands it out. *ret_upto: the last event that is
 * settled. *ret_again: more will be settled without a notification; look again soon. On failure
 * nothing is lost: the next call does it. One thread at a time. */
CP_MUST_CHECK enum cp_err api_stream_poll(struct api_stream *s, struct db_pool *db,
                                          uint64_t *ret_upto, bool *ret_again,
                                          struct cp_error *err);

/* Every API_STREAM_BEAT_S. */
void api_stream_beat(struct api_stream *s);

/* Whether all who listen have all there is, and wait. For tests. */
bool api_stream_idle(struct api_stream *s);

/* Ends every feed, for good: the service stops. */
void api_stream_stop(struct api_stream *s);

/* ---- for who listens ---- */

struct api_feed_start {
    const char *kinds;   /* of db_kinds_add; "" all. Borrowed, as the rest */
    const char *subject; /* NULL: any */
    /* the feed ends when that account, its tokens or its certificates are changed */
    const char *account;
    uint64_t expires_at; /* and then: of the credentials, wall-clock nanoseconds; 0: never */
    bool resume;         /* from behind `after`; else from now on */
    uint64_t after;
};
/* CP_ERR_TOO_MANY_REQUESTS; CP_ERR_UNAVAILABLE while the service starts or stops. */
CP_MUST_CHECK enum cp_err api_feed_open(struct api_stream *s, const struct api_feed_start *start,
                                        struct api_feed **ret_feed, struct cp_error *err);
/* NULL allowed. */
void api_feed_close(struct api_feed *feed);

/* park: called when a read finds nothing; wake: when the next one will find something. Both under
 * the stream's lock, in turn. */
struct api_feed_owner {
    void (*park)(void *arg);
    void (*wake)(void *arg);
    void *arg;
};
void api_feed_attach(struct api_feed *feed, const struct api_feed_owner *owner);

#define API_FEED_END ((size_t)-1)
/* Server-sent events, as many bytes as there are, at most max (16 at least). 0: parked.
 * API_FEED_END: no more will come. */
size_t api_feed_read(struct api_feed *feed, char *buffer, size_t max);

#endif
