/* SPDX-License-Identifier: Apache-2.0
 * What the user sees while it runs: a bar on a terminal, a line now and then elsewhere. Writes to
 * one descriptor; cl_rate is pure. One thread. */
#ifndef CLIENT_PROGRESS_H
#define CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/counters.h"
#include "common/time.h"

/* Rate over the last seconds. Zeroed at the start. */
#define CL_RATE_SAMPLES 32u
struct cl_rate {
    cp_time when[CL_RATE_SAMPLES];
    uint64_t bytes[CL_RATE_SAMPLES];
    size_t count; /* samples ever taken */
};
/* A sample: so many bytes in all at this time; samples closer than 100 ms are left out, and so is
 * the time before the first byte came. */
void cl_rate_add(struct cl_rate *r, cp_time now, uint64_t bytes);
/* Bits per second between the oldest and the newest sample; 0 unknown. */
uint64_t cl_rate_bps(const struct cl_rate *r);

struct cl_progress {
    const char *package;
    int fd;
    bool quiet;
    bool terminal;
    bool open; /* a bar stands on the last line */
    cp_time last;
    unsigned last_percent;
};

/* fd is a terminal or not; package is borrowed. */
void cl_progress_init(struct cl_progress *p, const char *package, int fd, bool quiet);
/* how: "multicast", "HTTPS", "waiting for the session" … Bounded in how often it writes. */
void cl_progress_show(struct cl_progress *p, cp_time now, const struct cl_counters *c,
                      const char *how);
/* A line of its own, above the bar. */
void cl_progress_note(struct cl_progress *p, const char *text);
/* Takes the bar away: whatever is written next begins a line. */
void cl_progress_end(struct cl_progress *p);

/* Pure: the text of a line, without line end, of at most `width` columns; returns ret_text. */
char *cl_progress_text(const char *package, const struct cl_counters *c, const char *how,
                       size_t width, char *ret_text, size_t size);

#endif
