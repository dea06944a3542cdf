/* SPDX-License-Identifier: Apache-2.0
 * Reading slowly, for the sake of whoever else needs the disk: a token bucket by the settings'
 * library_validate_rate_bps, and the lowest I/O priority. One thread. */
#ifndef JOBS_PACE_H
#define JOBS_PACE_H

#include "common/time.h"
#include "jobs/job.h"

/* Zeroed at the start, with job set. */
struct job_pace {
    struct job *job;
    uint64_t done, total; /* bytes; done counts what was asked for */
    uint64_t rate_bps;    /* 0: no limit */
    cp_time settings_at;  /* when they are read again */
    cp_time filled_at;    /* of the bucket */
    int64_t bits;         /* in the bucket; below 0 is debt */
};

/* Waits until so many bytes may be read, and tells the task how far it is. The settings may change
 * meanwhile. As job_progress. */
CP_MUST_CHECK enum cp_err job_pace_wait(struct job_pace *p, uint64_t bytes, struct cp_error *err);

/* The calling thread's disk requests wait for all others'; back to the usual. Where the system has
 * no such thing nothing happens. */
void job_pace_idle(bool idle);

#endif
