/* SPDX-License-Identifier: Apache-2.0
 * LISTEN on one channel with a connection of its own, for the session scheduler: a descriptor to
 * poll and the notifications that came. Not thread-safe; one owner. */
#ifndef DB_LISTENER_H
#define DB_LISTENER_H

#include <stdbool.h>

#include "common/err.h"
#include "db/db.h"

/* Payload: "<node id> <session id>", of settings "<node id> settings", of tasks "<node id> task". */
#define DB_CHANNEL_SESSIONS  "castpoint_sessions"  /* a session was made, cancelled or changed */
#define DB_CHANNEL_RECEIVERS "castpoint_receivers" /* a receiver joined or left its session */
#define DB_CHANNEL_SETTINGS  "castpoint_settings"  /* a node's settings were changed */
#define DB_CHANNEL_EVENTS    "castpoint_events"    /* an event was written (by a trigger) */
#define DB_CHANNEL_TASKS     "castpoint_tasks"     /* a node has a task to do */

struct db_listener;

struct db_notification {
    char channel[DB_NAME_SIZE];
    char payload[DB_TEXT_SIZE];
};

/* channels: names, count at most 8; copied. Connects at once. */
CP_MUST_CHECK enum cp_err db_listener_open(const char *conninfo, const char *const *channels,
                                           size_t count, struct db_listener **ret_listener,
                                           struct cp_error *err);
void db_listener_close(struct db_listener *l);

/* Makes this process the only one that works for node_id, for as long as this connection lives;
 * taken again by every reconnect. CP_ERR_CONFLICT: another process has it (a killed one's claim
 * goes with its connection, which the server may notice a moment later). */
CP_MUST_CHECK enum cp_err db_listener_claim(struct db_listener *l, const char *node_id,
                                            struct cp_error *err);

/* Descriptor to poll for reading; -1 while disconnected. Changes on every reconnect. */
int db_listener_fd(const struct db_listener *l);

/* Takes the next notification without waiting. *ret_any false: there is none now. A lost
 * connection gives CP_ERR_DATABASE; call db_listener_reconnect (after a pause), then look at the
 * tables: notifications in between are lost. */
CP_MUST_CHECK enum cp_err db_listener_next(struct db_listener *l, bool *ret_any,
                                           struct db_notification *ret_notification,
                                           struct cp_error *err);
CP_MUST_CHECK enum cp_err db_listener_reconnect(struct db_listener *l, struct cp_error *err);

#endif
