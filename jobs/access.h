/* SPDX-License-Identifier: Apache-2.0
 * The work "watch-access": warns of tokens that expire soon, forgets old failed logins. */
#ifndef JOBS_ACCESS_H
#define JOBS_ACCESS_H

#include "jobs/job.h"

/* How long before its end a token's owner is warned, seconds: 14 days. */
#define JOB_TOKEN_WARN_S UINT64_C(1209600)

CP_MUST_CHECK enum cp_err job_watch_access(struct job *job, struct cp_error *err);
/* Hourly. */
uint64_t job_watch_access_interval(const struct db_settings *settings);

#endif
