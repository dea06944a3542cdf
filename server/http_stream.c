/* SPDX-License-Identifier: Apache-2.0
 * A body without end, for libmicrohttpd. */
#include "server/http_stream.h"

#include <stdlib.h>

#include "api/events/stream.h"
#include "common/clock.h"
#include "server/http_tls.h"

#define BLOCK_SIZE (16u * 1024u)
/* Judging takes a signature's time. Less than API_STREAM_BEAT_S: each beat to a silent listener is an
 * occasion. */
#define JUDGE_EVERY (5 * CP_SEC)

struct stream {
    struct api_feed *feed;
    struct MHD_Connection *connection;
    struct srv_trust *trust; /* NULL: the listener came without a certificate */
    cp_time judged_at;
};

/* Both under the lock of the api_stream, so that none of them overtakes the other. */
static void park(void *arg)
{
    const struct stream *s = arg;

    MHD_suspend_connection(s->connection);
}

static void wake(void *arg)
{
    const struct stream *s = arg;

    MHD_resume_connection(s->connection);
}

/* Whether the listener's certificate would be taken still: it may have been revoked, or run out. */
static bool welcome(struct stream *s)
{
    cp_time now = cp_clock_now();
    struct api_certificate c;

    if (s->trust == NULL || now - s->judged_at < JUDGE_EVERY) {
        return true;
    }
    s->judged_at = now;
    return srv_trust_peer(s->trust, s->connection, &c) && c.state == API_CERTIFICATE_VALID;
}

static ssize_t on_read(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *s = cls;
    size_t size = welcome(s) ? api_feed_read(s->feed, buffer, max) : API_FEED_END;

    (void)position;
    return size == API_FEED_END ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)size;
}

static void on_free(void *cls)
{
    struct stream *s = cls;

    api_feed_close(s->feed);
    free(s);
}

struct MHD_Response *srv_stream_new(struct MHD_Connection *connection, struct srv_trust *trust,
                                    struct api_response *rs)
{
    struct stream *s = calloc(1, sizeof *s);
    struct api_feed_owner owner = {.park = park, .wake = wake, .arg = s};
    struct MHD_Response *out;

    if (s == NULL) {
        return NULL;
    }
    s->feed = rs->feed;
    s->connection = connection;
    s->trust = trust;
    s->judged_at = cp_clock_now();
    api_feed_attach(s->feed, &owner);
    out = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, on_read, s, on_free);
    if (out == NULL) {
        free(s);
        return NULL;
    }
    rs->feed = NULL;
    return out;
}
