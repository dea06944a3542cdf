/* SPDX-License-Identifier: Apache-2.0
 * Events and audit entries of changes that requests make. Touches the database through the
 * connection it is given; thread-safe. */
#ifndef API_EVENTS_EVENT_H
#define API_EVENTS_EVENT_H

#include <jansson.h>

#include "api/api.h"
#include "db/db.h"
#include "db/event.h"

/* What a call changed. All JSON is taken over by api_event_write; NULL for none. Secrets never
 * belong in here; what looks like one is blotted out of the audit log. */
struct api_event {
    const char *kind;    /* of common/event_catalogue.h: "package-created" */
    const char *subject; /* "package win11" */
    json_t *detail;      /* of the event; viewers and all webhooks get it */
    json_t *before;      /* for the audit log: what it was, as GET shows it */
    json_t *after;       /* what it became; NULL: `detail` tells it */
};

/* Writes the event, and who made it in the audit log, in the transaction of the change. */
CP_MUST_CHECK enum cp_err api_event_write(struct db_conn *conn, const struct api_context *ctx,
                                          const struct api_call *call,
                                          const struct api_event *event, struct cp_error *err);

/* The same of many, at least one: all events in their order by one statement, all entries by another. */
CP_MUST_CHECK enum cp_err api_events_write(struct db_conn *conn, const struct api_context *ctx,
                                           const struct api_call *call,
                                           const struct api_event *events, size_t count,
                                           struct cp_error *err);

/* Names of the members of `after` that differ from those of `before`, for a detail that must not
 * show values; both are taken over. */
json_t *api_event_changed(json_t *before, json_t *after);

#endif
