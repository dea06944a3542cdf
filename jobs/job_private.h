/* SPDX-License-Identifier: Apache-2.0
 * A job's inside, for job.c and the workers. */
#ifndef JOBS_JOB_PRIVATE_H
#define JOBS_JOB_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/time.h"
#include "jobs/job.h"

#define JOB_LINES_MAX 1000u /* of a task's log */

struct job {
    const struct jobs_context *ctx;
    const atomic_bool *stop; /* may be NULL */
    struct db_task task;
    json_t *params;
    char *result; /* JSON text, NULL none */
    cp_time told_at;
    unsigned lines;
    bool done; /* by job_done_in: holds when the work's transaction did */
};

#endif
