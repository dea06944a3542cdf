/* SPDX-License-Identifier: Apache-2.0
 * What the resources share: look-ups by a path's words, JSON of times. Touches
 * the database through the connection it is given; thread-safe. */
#ifndef API_FRAMEWORK_RESOURCE_H
#define API_FRAMEWORK_RESOURCE_H

#include <jansson.h>

#include "api/api.h"
#include "api/events/event.h"
#include "db/db.h"
#include "db/node.h"
#include "db/session.h"
#include "db/version.h"

/* RFC 3339 text of wall-clock nanoseconds, null for 0. */
json_t *api_json_time(uint64_t wall_ns);

/* Text, null for "". */
json_t *api_json_text(const char *text);

/* A node by its id, its name or "local". CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err api_node_find(struct db_conn *conn, const struct api_context *ctx,
                                        const char *ref, struct db_node *ret_node,
                                        struct cp_error *err);

/* A version by its number or "current". Errors as db_version_get; a text that is neither is
 * CP_ERR_VERSION_NOT_FOUND. */
CP_MUST_CHECK enum cp_err api_version_find(struct db_conn *conn, const char *package,
                                           const char *text, struct db_version *ret_version,
                                           struct cp_error *err);

/* A session by its id. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err api_session_find(struct db_conn *conn, const char *id,
                                           struct db_session *ret_session, struct cp_error *err);

#endif
