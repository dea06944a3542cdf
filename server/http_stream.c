/* SPDX-License-Identifier: Apache-2.0
 * A body without end, for libmicrohttpd. */
#include "server/http_stream.h"

#include <stdlib.h>

#include "api/events/stream.h"

#define BLOCK_SIZE (16u * 1024u)

struct stream {
    struct api_feed *feed;
    struct MHD_Connection *connection;
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

static ssize_t on_read(void *cls, uint64_t position, char *buffer, size_t max)
{
    struct stream *s = cls;
    size_t size = api_feed_read(s->feed, buffer, max);

    (void)position;
    return size == API_FEED_END ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)size;
}

static void on_free(void *cls)
{
    struct stream *s = cls;

    api_feed_close(s->feed);
    free(s);
}

struct MHD_Response *srv_stream_new(struct MHD_Connection *connection, struct api_response *rs)
{
    struct stream *s = calloc(1, sizeof *s);
    struct api_feed_owner owner = {.park = park, .wake = wake, .arg = s};
    struct MHD_Response *out;

    if (s == NULL) {
        return NULL;
    }
    s->feed = rs->feed;
    s->connection = connection;
    api_feed_attach(s->feed, &owner);
    out = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, on_read, s, on_free);
    if (out == NULL) {
        free(s);
        return NULL;
    }
    rs->feed = NULL;
    return out;
}
