/* SPDX-License-Identifier: Apache-2.0
 * Work on keys: the hourly check, and another master key. */
#ifndef JOBS_KEYS_H
#define JOBS_KEYS_H

#include "jobs/job.h"

job_fn job_check_keys; /* "check-keys" */
job_interval job_check_keys_interval;
job_fn job_rotate_master_key; /* "rotate-master-key" */

#endif
