/* SPDX-License-Identifier: Apache-2.0
 * Forgetting, as a task: what ended longer ago than the settings' history_days. Result: {"days",
 * "answers", "sessions", "receivers", "tasks", "events"}: how many of each; answers are those to
 * requests with an Idempotency-Key, kept for a day. */
#ifndef JOBS_HISTORY_H
#define JOBS_HISTORY_H

#include "jobs/job.h"

job_fn job_history;
job_interval job_history_interval;

#endif
