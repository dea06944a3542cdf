/* SPDX-License-Identifier: Apache-2.0
 * Sends events to webhooks: each webhook's events in their order, one at a time, each until it was
 * taken (2xx). What fails is tried again after 5 s, 10 s, … an hour at most, for a day; then it is
 * left out. Who fails for three days is switched off. A receiver may get an event twice (the
 * service was killed before it could write that it was taken): X-Castpoint-Delivery is the same. */
#ifndef JOBS_WEBHOOKS_H
#define JOBS_WEBHOOKS_H

#include <stdint.h>

#include "common/err.h"
#include "jobs/job.h"

struct webhooks;

struct webhooks_config {
    const struct jobs_context *ctx; /* borrowed until stop */
    unsigned timeout_ms;            /* of an attempt; 0: 15 s */
};

/* Starts the thread that sends. */
CP_MUST_CHECK enum cp_err webhooks_start(const struct webhooks_config *config,
                                         struct webhooks **ret_webhooks, struct cp_error *err);
/* Breaks off what is being sent: it is sent again. NULL allowed. */
void webhooks_stop(struct webhooks *w);

/* Events up to there are settled. From any thread. */
void webhooks_news(struct webhooks *w, uint64_t upto);

/* For tests: sends what is due, in the calling thread, until nothing is. */
CP_MUST_CHECK enum cp_err webhooks_do_due(const struct webhooks_config *config, uint64_t upto,
                                          struct cp_error *err);

/* Body of the task "test-webhook": parameter "webhook", an id. Fails by CP_ERR_WEBHOOK when the
 * receiver does not take it. */
enum cp_err job_test_webhook(struct job *job, struct cp_error *err);

#endif
