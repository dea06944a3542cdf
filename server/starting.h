/* SPDX-License-Identifier: Apache-2.0
 * Sessions that are due get their engines; so do those that run in the database only. Belongs to
 * the scheduler's thread. */
#ifndef SERVER_STARTING_H
#define SERVER_STARTING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "db/session.h"

struct api_context; /* api/api.h */
struct srv_runs;    /* server/runs.h */

struct srv_starting {
    const struct api_context *api;
    struct srv_runs *runs;
    struct db_session *page; /* SRV_STARTING_PAGE, scratch space */
};
#define SRV_STARTING_PAGE 16u

/* adopt: also the orphans; only while this process is known to be the one that works for the node.
 * *ret_wait_ms: until the next session is due, UINT64_MAX when none is. */
CP_MUST_CHECK enum cp_err srv_start_due(struct srv_starting *s, bool adopt, uint64_t *ret_wait_ms,
                                        struct cp_error *err);

#endif
