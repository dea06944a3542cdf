/* SPDX-License-Identifier: Apache-2.0
 * Our profile of NORM in figures (docs/norm.md section 6.3): one source for the sessions and for the
 * simulator, which asserts what they achieve. Pure. */
#ifndef NORM_PROFILE_H
#define NORM_PROFILE_H

#include "multicast/norm/sender.h"

#define NORM_PROFILE_ROBUST 20u            /* RFC5740's default; both sides must agree */
#define NORM_PROFILE_GRTT   (10 * CP_MSEC) /* until something was measured */

/* K for a group of so many. */
uint8_t norm_profile_backoff(uint64_t gsize);

/* Timing, probes, repairs and rate control for a group of so many; ids, object, ceiling and the rest
 * are zero: the caller's. */
struct norm_sender_config norm_profile_sender(uint64_t gsize);

#endif
