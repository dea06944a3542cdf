/* SPDX-License-Identifier: Apache-2.0
 * The receivers that belong to a session: a set of node ids, found by hash. Pure; no lock of its own,
 * storage is allocated once. */
#ifndef MULTICAST_SESSION_ROSTER_H
#define MULTICAST_SESSION_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "multicast/norm/members.h"

#define MC_ROSTER_MAX   NORM_MEMBERS_MAX     /* as many as the core keeps account of */
#define MC_ROSTER_SLOTS (2u * MC_ROSTER_MAX) /* a power of two */

struct mc_roster {
    uint32_t *slot; /* MC_ROSTER_SLOTS of them; 0: free */
    size_t count;
};

CP_MUST_CHECK enum cp_err mc_roster_init(struct mc_roster *r); /* CP_ERR_NO_MEMORY */
void mc_roster_done(struct mc_roster *r);

bool mc_roster_has(const struct mc_roster *r, uint32_t node_id);
/* False: there already, a reserved id (0, 0xffffffff), or MC_ROSTER_MAX others are there. */
bool mc_roster_add(struct mc_roster *r, uint32_t node_id);
/* False: was not there. */
bool mc_roster_remove(struct mc_roster *r, uint32_t node_id);
/* The same ids as `from`. */
void mc_roster_copy(struct mc_roster *r, const struct mc_roster *from);

#endif
