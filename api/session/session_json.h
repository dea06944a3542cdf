/* SPDX-License-Identifier: Apache-2.0
 * Sessions and receivers as the API shows them, and events about sessions. */
#ifndef API_SESSION_SESSION_JSON_H
#define API_SESSION_SESSION_JSON_H

#include "common/err.h"
#include "db/db.h"
#include "db/decision.h"
#include "db/receiver.h"
#include "db/session.h"

struct json_t; /* jansson */

/* New references; NULL when out of memory. Secrets are not in them. */
struct json_t *api_session_json(const struct db_session *s);
struct json_t *api_receiver_json(const struct db_receiver *r);
struct json_t *api_decision_json(const struct db_decision *d);

/* Adds the event `kind` ("session-started") about a session, made by the service itself. code CP_OK:
 * none; text may be NULL. In the transaction of what it tells of. */
CP_MUST_CHECK enum cp_err api_session_event(struct db_conn *conn, const struct db_session *s,
                                            const char *kind, enum cp_err code, const char *text,
                                            struct cp_error *err);

/* Adds the event "receiver-too-slow": a receiver that was left behind, with the figures. */
CP_MUST_CHECK enum cp_err api_slow_receiver_event(struct db_conn *conn, const struct db_session *s,
                                                  const struct db_receiver *r,
                                                  struct cp_error *err);

#endif
