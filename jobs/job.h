/* SPDX-License-Identifier: Apache-2.0
 * What the body of a task works with: what it is to do, how far it is, what it says, what came of
 * it. A job belongs to one worker's thread. */
#ifndef JOBS_JOB_H
#define JOBS_JOB_H

#include <jansson.h>

#include "common/err.h"
#include "db/task.h"

struct blob_store;  /* content/blob.h */
struct db_settings; /* db/settings.h */
struct keys_ring;   /* keys/keyring.h */

/* Borrowed for as long as workers run. */
struct jobs_context {
    struct db_pool *db;
    struct blob_store *blobs;
    struct keys_ring *keyring;
    const char *node_id;
};

struct job;

/* Does the work. It may be begun again after the process was killed at any point of it, so what it
 * changes is one transaction, or nothing when done twice. CP_ERR_CANCELLED and CP_ERR_INTERRUPTED as job_progress
 * gives them; a failure of the database or for want of memory is tried again later. */
typedef enum cp_err job_fn(struct job *job, struct cp_error *err);

/* Seconds between two runs that nobody asks for; 0: never. */
typedef uint64_t job_interval(const struct db_settings *settings);

struct job_kind {
    const char *name; /* the task's kind */
    job_fn *run;
    job_interval *interval; /* NULL: only when asked for */
    enum db_task_unit unit; /* of a task that nobody asked for */
    bool slow;              /* reads content, for hours: some workers leave it to the others */
};

/* All kinds, ended by one without a name (jobs/kinds.c). */
extern const struct job_kind job_kinds[];

const struct jobs_context *job_context(const struct job *job);
const struct db_task *job_task(const struct job *job);
/* The task's parameters, an object. Borrowed. */
const json_t *job_params(const struct job *job);

/* The node's settings as they are now. */
CP_MUST_CHECK enum cp_err job_settings(struct job *job, struct db_settings *ret_settings,
                                       struct cp_error *err);

/* Says how far the work is (written once a second at most) and asks whether it is to go on: CP_OK,
 * CP_ERR_CANCELLED (an operator) or CP_ERR_INTERRUPTED (the service stops): return that. */
CP_MUST_CHECK enum cp_err job_progress(struct job *job, uint64_t done, uint64_t total,
                                       struct cp_error *err);

/* A line of the task's log. What cannot be written is lost. */
void job_log(struct job *job, enum db_task_level level, const char *fmt, ...) CP_PRINTF(3, 4);

/* What came of it; takes over the reference. Call before returning CP_OK. */
void job_result(struct job *job, json_t *result);

/* The same as a sentence for people, the last line of the task's log: it is written in the
 * transaction that ends the task as done, so that it never tells what did not hold. Every kind says
 * one, also when there was nothing to do. Call before job_done_in, or before returning CP_OK. A task
 * that ends otherwise gets its reason as its last line (jobs/work.c). */
void job_summary(struct job *job, enum db_task_level level, const char *fmt, ...) CP_PRINTF(3, 4);

/* "no blobs", "1 blob", "2 blobs": for sentences. Pure. */
struct job_amount {
    char text[64];
};
struct job_amount job_amount(uint64_t count, const char *one, const char *many);

/* Ends the task in the transaction of its work, so that both hold or neither. conn: of the body. */
CP_MUST_CHECK enum cp_err job_done_in(struct job *job, struct db_conn *conn, struct cp_error *err);

/* An event by the task's actor and request; takes over detail (may be NULL). */
CP_MUST_CHECK enum cp_err job_event(struct job *job, struct db_conn *conn, const char *kind,
                                    const char *subject, json_t *detail, struct cp_error *err);

#endif
