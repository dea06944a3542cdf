/* SPDX-License-Identifier: Apache-2.0
 * The one reader of events: a thread that listens for new ones, hands them to all who follow them,
 * and keeps their connections alive. */
#ifndef SERVER_EVENT_READER_H
#define SERVER_EVENT_READER_H

#include <stdint.h>

#include "common/err.h"

struct api_stream; /* api/events/stream.h */
struct db_pool;    /* db/db.h */
struct srv_event_reader;

struct srv_event_reader_config {
    const char *database; /* conninfo, for the connection that listens; copied */
    struct db_pool *db;
    struct api_stream *stream;
    /* Called by the thread when events up to there are settled; NULL allowed. */
    void (*news)(void *arg, uint64_t upto);
    void *news_arg;
};

/* All borrowed until stop. While PostgreSQL is away it tries again every second. */
CP_MUST_CHECK enum cp_err srv_event_reader_start(const struct srv_event_reader_config *config,
                                                 struct srv_event_reader **ret_reader,
                                                 struct cp_error *err);

/* Waits for the thread. NULL allowed. Listeners are ended by api_stream_stop(). */
void srv_event_reader_stop(struct srv_event_reader *r);

#endif
