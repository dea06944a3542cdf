/* SPDX-License-Identifier: Apache-2.0
 * The project's scalar for monotonic time: nanoseconds in 64 bits. Pure; clock.h reads clocks. */
#ifndef CP_COMMON_TIME_H
#define CP_COMMON_TIME_H

#include <stdint.h>

typedef uint64_t cp_time; /* nanoseconds since an arbitrary start */

#define CP_TIME_NEVER UINT64_MAX
#define CP_USEC       ((cp_time)1000)
#define CP_MSEC       ((cp_time)1000000)
#define CP_SEC        ((cp_time)1000000000)

static inline cp_time cp_time_min(cp_time a, cp_time b)
{
    return a < b ? a : b;
}

/* Sum that stays at CP_TIME_NEVER instead of wrapping. */
static inline cp_time cp_time_add(cp_time a, cp_time b)
{
    return a > CP_TIME_NEVER - b ? CP_TIME_NEVER : a + b;
}

#endif
