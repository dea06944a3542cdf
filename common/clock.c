/* SPDX-License-Identifier: Apache-2.0
 * Reads the system's clocks. Thread-safe. */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * CP_SEC + (uint64_t)ts.tv_nsec;
}

cp_time cp_clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t cp_clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

void cp_clock_rfc3339(uint64_t wall_ns, char ret_text[CP_RFC3339_SIZE])
{
    time_t seconds = (time_t)(wall_ns / CP_SEC);
    struct tm tm;
    char date[CP_RFC3339_SIZE];

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(ret_text, CP_RFC3339_SIZE, "%.22s.%03uZ", date,
                   (unsigned)(wall_ns % CP_SEC / CP_MSEC));
}
