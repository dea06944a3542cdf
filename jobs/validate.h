/* SPDX-License-Identifier: Apache-2.0
 * Validation as a task: content is read back and compared with its digests. Parameters {"package",
 * "version"}: of it only, without them the whole library. Result: {"blobs", "bytes", "good",
 * "missing", "damaged", "healed", "unreadable"}. */
#ifndef JOBS_VALIDATE_H
#define JOBS_VALIDATE_H

#include "jobs/job.h"

job_fn job_validate;
job_interval job_validate_interval;

#endif
