/* SPDX-License-Identifier: Apache-2.0
 * The threads that do what requests ask for, so that libmicrohttpd's own only move bytes: a password's
 * hash, a slow query or an fsync holds up nobody else's connection. Thread-safe. */
#ifndef SERVER_HTTP_WORK_H
#define SERVER_HTTP_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct srv_work; /* the pool */

/* One piece of work; owned by who asks, free again when fn begins. */
struct srv_job {
    void (*fn)(struct srv_job *job);
    struct srv_job *next;
};

CP_MUST_CHECK enum cp_err srv_work_new(size_t threads, struct srv_work **ret_work,
                                       struct cp_error *err);

/* Room for one job that will be submitted: false once srv_work_drain was called. */
bool srv_work_reserve(struct srv_work *w);
/* job->fn runs on one of the threads, in the order of submission. Reserved before. */
void srv_work_submit(struct srv_work *w, struct srv_job *job);

/* Takes no further work and waits until all that was reserved is done. */
void srv_work_drain(struct srv_work *w);
/* Drains, ends the threads. NULL allowed. */
void srv_work_free(struct srv_work *w);

#endif
