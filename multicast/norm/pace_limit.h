/* SPDX-License-Identifier: Apache-2.0
 * The limit of one receiver, as rate control keeps it (pace_limit.c) and compares it with the others'
 * (pace.c). Private to these two. Pure. */
#ifndef NORM_PACE_LIMIT_H
#define NORM_PACE_LIMIT_H

#include "multicast/norm/pace.h"

#define NORM_PACE_WALL_SHARE 0.97 /* of the wall, once it is known */
#define NORM_PACE_OUTLIER_IN 0.5  /* of the median */

static inline bool pace_serial_before(uint16_t a, uint16_t b)
{
    return (int16_t)(a - b) < 0;
}

static inline uint64_t pace_share(uint64_t bps, double part)
{
    return (uint64_t)((double)bps * part);
}

static inline uint64_t pace_at_least(uint64_t bps, uint64_t floor_bps)
{
    return bps > floor_bps ? bps : floor_bps;
}

static inline uint64_t pace_at_most(uint64_t bps, uint64_t ceiling_bps)
{
    return bps < ceiling_bps ? bps : ceiling_bps;
}

/* Pace that it can take now, as far as is known; UINT64_MAX: no limit. */
uint64_t norm_limit_allowance(const struct norm_limit *l);
/* What it takes at most, and where it stands now, bits per second; it climbs from there. */
void norm_limit_set_wall(struct norm_pace *p, struct norm_limit *l, double wall, double low);
/* No limit any more, and why. */
void norm_limit_forget(struct norm_limit *l, enum norm_reason reason);
/* Tells a limit that is there for another reason than when it was told last. */
void norm_limit_tell(const struct norm_pace *p, cp_time now, struct norm_member *m);
/* Its trial showed congestion, or took too long to show anything. */
void norm_limit_trial_congested(struct norm_pace *p, struct norm_limit *l);

#endif
