/* SPDX-License-Identifier: Apache-2.0
 * The ceiling of content over HTTPS: how many bytes a download may send now. Who may not send yet
 * waits its turn, all alike (a token bucket, its waiters served in turn). A thread of its own ends
 * the waits; thread-safe. */
#ifndef SERVER_HTTP_THROTTLE_H
#define SERVER_HTTP_THROTTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct srv_throttle;

/* One download's place; embedded, zeroed at the start but for the functions. */
struct srv_turn {
    /* Called with the throttle's lock held, so that no wait ends before it has begun. */
    void (*suspend)(struct srv_turn *turn);
    void (*resume)(struct srv_turn *turn);
    size_t granted; /* while it waited */
    bool waits;
    struct srv_turn *next, **at;
};

/* In all that follows NULL is one without ceiling. */
CP_MUST_CHECK enum cp_err srv_throttle_new(struct srv_throttle **ret_throttle,
                                           struct cp_error *err);
/* No turn may wait any more. */
void srv_throttle_free(struct srv_throttle *t);

/* Bits per second of all together; 0: no ceiling. Holds at once for those that wait. */
void srv_throttle_set(struct srv_throttle *t, uint64_t bps);

/* How many of these bytes (at least 1) may be sent now. 0: none; the turn is suspended, and resumed when it
 * is to ask again. */
size_t srv_throttle_take(struct srv_throttle *t, struct srv_turn *turn, size_t want);
/* The download is over. */
void srv_throttle_leave(struct srv_throttle *t, struct srv_turn *turn);

/* From now on nobody waits; those that do are resumed. */
void srv_throttle_open(struct srv_throttle *t);

#endif
