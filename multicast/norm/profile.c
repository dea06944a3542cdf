/* SPDX-License-Identifier: Apache-2.0
 * See profile.h. Pure. */
#include "multicast/norm/profile.h"

#define FEW          50u
#define BACKOFF_FEW  4u /* K, for up to FEW receivers … */
#define BACKOFF_MANY 6u /* … more must spread out further */

uint8_t norm_profile_backoff(uint64_t gsize)
{
    return gsize <= FEW ? BACKOFF_FEW : BACKOFF_MANY;
}

struct norm_sender_config norm_profile_sender(uint64_t gsize)
{
    return (struct norm_sender_config){
        .repair_flag = true,
        .cc_probe_rate = true,
        .grtt = NORM_PROFILE_GRTT,
        .grtt_min = CP_MSEC,
        .grtt_max = 200 * CP_MSEC,
        .backoff = norm_profile_backoff(gsize),
        .gsize = gsize,
        .robust_factor = NORM_PROFILE_ROBUST,
        .rate_mode = NORM_RATE_LAN,
        .live_window = 2 * CP_SEC,
    };
}
