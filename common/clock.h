/* SPDX-License-Identifier: Apache-2.0
 * The only place that reads a clock. The protocol core never includes it (tests/style). */
#ifndef CP_COMMON_CLOCK_H
#define CP_COMMON_CLOCK_H

#include <stddef.h>

#include "common/time.h"

/* CLOCK_MONOTONIC, nanoseconds. */
cp_time cp_clock_now(void);

/* Wall-clock time, nanoseconds since 1970 UTC. */
uint64_t cp_clock_wall(void);

/* RFC 3339 text of a wall-clock time, UTC with milliseconds: "2026-11-23T04:21:00.123Z". */
#define CP_RFC3339_SIZE 32
void cp_clock_rfc3339(uint64_t wall_ns, char ret_text[CP_RFC3339_SIZE]);

#endif
