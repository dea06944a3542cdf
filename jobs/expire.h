/* SPDX-License-Identifier: Apache-2.0
 * Throwing away resumable uploads that nobody goes on with, hourly. Result {"uploads",
 * "bytes", "stray_files"}. */
#ifndef JOBS_EXPIRE_H
#define JOBS_EXPIRE_H

#include "jobs/job.h"

job_fn job_expire;
job_interval job_expire_interval;

#endif
