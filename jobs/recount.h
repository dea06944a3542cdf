/* SPDX-License-Identifier: Apache-2.0
 * Counting references to content anew, as a task: the counts that triggers keep are compared with
 * the files and corrected. Result: {"blobs", "wrong"}. */
#ifndef JOBS_RECOUNT_H
#define JOBS_RECOUNT_H

#include "jobs/job.h"

job_fn job_recount;
job_interval job_recount_interval;

#endif
