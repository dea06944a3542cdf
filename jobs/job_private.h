/* SPDX-License-Identifier: Apache-2.0
 * A job's inside, for job.c and the workers. */
#ifndef JOBS_JOB_PRIVATE_H
#define JOBS_JOB_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/time.h"
#include "jobs/job.h"

#define JOB_LINES_MAX 1000u /* of an attempt, without how it ended */

struct job_line {
    enum db_task_level level;
    char text[DB_TASK_LINE_SIZE];
};

struct job {
    const struct jobs_context *ctx;
    const atomic_bool *stop; /* may be NULL */
    struct db_task task;
    json_t *params;
    char *result; /* JSON text, NULL none */
    cp_time told_at;
    unsigned lines;
    struct job_line summary; /* no text: none */
    bool done;               /* by job_done_in: holds when the work's transaction did */
};

/* Ends an attempt, with that last line of the log (no text: none), in one transaction. */
CP_MUST_CHECK enum cp_err job_end(struct db_conn *conn, const char *task_id,
                                  const struct db_task_end *end, const struct job_line *line,
                                  struct cp_error *err);

#endif
