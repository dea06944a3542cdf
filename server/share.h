/* SPDX-License-Identifier: Apache-2.0
 * Division of the distribution point's ceiling among its running sessions: max-min fair by what
 * they made use of. Pure; the caller brings time and counters. */
#ifndef SERVER_SHARE_H
#define SERVER_SHARE_H

#include <stddef.h>
#include <stdint.h>

#include "common/time.h"

/* A session wants all that it can get. */
#define SRV_SHARE_ALL UINT64_MAX

/* What a session makes of its share. */
struct srv_use {
    cp_time began, since;
    uint64_t bytes;     /* sent until `since` */
    uint64_t share_bps; /* granted */
    uint64_t least_bps; /* granted since `since`: only what was open to it counts against it */
    uint64_t want_bps;  /* by the last sample; SRV_SHARE_ALL: its share holds it back */
};

/* It begins; it wants all until it had the time to find its pace. */
void srv_use_init(struct srv_use *u, cp_time now, uint64_t share_bps);
/* bytes: sent so far, as the share counts them. Samples closer than half a second are passed over:
 * they would measure bursts. */
void srv_use_sample(struct srv_use *u, cp_time now, uint64_t bytes);
void srv_use_grant(struct srv_use *u, uint64_t share_bps);

/* Max-min fair shares (Bertsekas and Gallager, Data Networks, 6.5.2) of the ceiling: nobody gets
 * more than it wants while another one wants more than it has; a session that idles keeps a tenth
 * of an equal share, so that it can show that it wants more. What nobody wants is spread evenly.
 * The sum is at most the ceiling. count may be 0. */
void srv_share_divide(uint64_t ceiling_bps, const uint64_t *wants, size_t count,
                      uint64_t *ret_shares);

#endif
