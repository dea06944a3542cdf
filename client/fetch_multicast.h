/* SPDX-License-Identifier: Apache-2.0
 * Receives a session of the multicast engine into the output. The engine runs in a thread of its
 * own; the caller's thread is called back now and then. */
#ifndef CLIENT_FETCH_MULTICAST_H
#define CLIENT_FETCH_MULTICAST_H

#include "client/output.h"
#include "client/ticket.h"
#include "common/err.h"
#include "content/object_map.h"
#include "multicast/session.h"

/* Called ten times a second with the engine's figures. A failure stops the reception and is what
 * cl_multicast_fetch returns. */
typedef enum cp_err cl_multicast_tick(void *arg, const struct mc_receiver_stats *stats,
                                      struct cp_error *err);

struct cl_multicast {
    const struct cl_ticket *ticket; /* with a session */
    const struct object_map *map;
    const char *interface; /* NULL: the one towards the sender, else by the route to the group */
    struct cl_output *output;
    cl_multicast_tick *tick;
    void *arg;
};

/* CP_OK when the engine has all; every verified chunk is marked in the output in any case, and
 * *ret_stats has the last figures (zeros when it could not open). Errors: mc_receiver_open's and
 * mc_receiver_run's, the tick's. */
CP_MUST_CHECK enum cp_err cl_multicast_fetch(const struct cl_multicast *m,
                                             struct mc_receiver_stats *ret_stats,
                                             struct cp_error *err);

#endif
