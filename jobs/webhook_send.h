/* SPDX-License-Identifier: Apache-2.0
 * Inside jobs/: one attempt of a webhook, as a request and as what came of it. */
#ifndef JOBS_WEBHOOK_SEND_H
#define JOBS_WEBHOOK_SEND_H

#include "db/event.h"
#include "db/webhook.h"
#include "jobs/job.h"
#include "jobs/webhook_http.h"

/* Posts the event, signed. delivery: what is the same with every attempt at it. CP_ERR_KEY_UNUSABLE:
 * the secret cannot be opened. arg: for hook_http_next. */
struct hook_send {
    const struct db_webhook *webhook;
    const struct db_event *event;
    const char *delivery;
    void *arg;
};
CP_MUST_CHECK enum cp_err hook_send(const struct jobs_context *ctx, struct hook_http *http,
                                    const struct hook_send *send, struct cp_error *err);

/* Writes down what came of it: position, next attempt, log, events. */
CP_MUST_CHECK enum cp_err hook_record(const struct jobs_context *ctx,
                                      const struct db_webhook *webhook,
                                      const struct db_event *event,
                                      const struct hook_result *result, struct cp_error *err);

/* Milliseconds until the next attempt after so many that failed: 5 s, doubled each time, an hour at
 * most; then up to a quarter more or less by random (32 bits), so that those who failed together do
 * not come back together. Pure. */
uint64_t hook_pause_ms(uint32_t failed, uint32_t random);

#endif
