/* SPDX-License-Identifier: Apache-2.0
 * What a session's sender decides, on its way from the engine's thread to the database: the newest
 * DB_DECISIONS_KEPT about pace, parity and budgets wait here to be taken; each one of any kind goes
 * to the log at once (level debug).
 * Thread-safe; nothing else is locked while it is. */
#ifndef SERVER_DECISIONS_H
#define SERVER_DECISIONS_H

#include <pthread.h>

#include "db/decision.h"
#include "multicast/session.h"

struct srv_decisions {
    pthread_mutex_t lock;
    struct db_decision ring[DB_DECISIONS_KEPT];
    size_t first, count;
};

void srv_decisions_init(struct srv_decisions *d);
void srv_decisions_done(struct srv_decisions *d);

/* An mc_trace_fn; arg is the struct srv_decisions. */
void srv_decisions_note(void *arg, const struct mc_trace *t);

/* Takes up to cap of them out, oldest first. */
size_t srv_decisions_take(struct srv_decisions *d, struct db_decision *ret_items, size_t cap);

#endif
