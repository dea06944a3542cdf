/* SPDX-License-Identifier: Apache-2.0
 * The workers of a node: threads that take waiting tasks from the database and do them, and the
 * calendar of the work that nobody asks for. */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include <stdatomic.h>

#include "common/err.h"
#include "jobs/job.h"

struct db_listener; /* db/listener.h */
struct jobs;

/* A validation may take days and a seal hours; the other two never wait for such. */
#define JOBS_WORKERS       4
#define JOBS_QUICK_WORKERS 2

/* Puts back what an earlier process was doing, then starts. listener: connected, on
 * DB_CHANNEL_TASKS; borrowed until stop. CP_ERR_DATABASE, NO_MEMORY. */
CP_MUST_CHECK enum cp_err jobs_start(const struct jobs_context *ctx, struct db_listener *listener,
                                     struct jobs **ret_jobs, struct cp_error *err);

/* Asks running jobs to end at their next safe place (their tasks wait for the next start) and waits
 * for all threads. NULL allowed. */
void jobs_stop(struct jobs *j);

/* Does the oldest waiting task, in the calling thread. CP_ERR_NOT_FOUND: none waits. What the task
 * itself came to is in its row. stop: raised to end it early; may be NULL. */
CP_MUST_CHECK enum cp_err jobs_do_one(const struct jobs_context *ctx, const atomic_bool *stop,
                                      struct cp_error *err);

/* The same without the slow kinds. */
CP_MUST_CHECK enum cp_err jobs_do_quick(const struct jobs_context *ctx, const atomic_bool *stop,
                                        struct cp_error *err);

/* Asks for every kind of work whose interval has passed since what was last done of it was asked
 * for. What failed is tried again after an hour, what was cancelled after a day. */
CP_MUST_CHECK enum cp_err jobs_ask_due(const struct jobs_context *ctx, struct cp_error *err);

#endif
