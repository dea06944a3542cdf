/* SPDX-License-Identifier: Apache-2.0
 * Posting over HTTP(S), several at a time, by one thread. This is the one file of jobs/ with
 * <curl/curl.h>. It follows no redirect, uses no proxy, and connects to no address that only this
 * machine's neighbourhood should reach (link-local, metadata services of clouds): whoever may write
 * a webhook must not read those through it. */
#ifndef JOBS_WEBHOOK_HTTP_H
#define JOBS_WEBHOOK_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct hook_http;

/* timeout_ms: of a whole attempt. */
CP_MUST_CHECK enum cp_err hook_http_new(unsigned timeout_ms, struct hook_http **ret_http,
                                        struct cp_error *err);
/* Breaks off what is under way. NULL allowed. */
void hook_http_free(struct hook_http *h);

#define HOOK_HEADERS_MAX 6
struct hook_request {
    const char *url;
    bool allow_http;                       /* plain HTTP also to other machines than this one */
    const char *headers[HOOK_HEADERS_MAX]; /* "Name: value" */
    const char *body;                      /* all are copied */
};
/* Begins; what comes of it is given by hook_http_next along with arg. */
CP_MUST_CHECK enum cp_err hook_http_begin(struct hook_http *h, const struct hook_request *request,
                                          void *arg, struct cp_error *err);

/* Works until something has ended, timeout_ms have passed or hook_http_wake was called. */
void hook_http_wait(struct hook_http *h, unsigned timeout_ms);
/* From any thread. */
void hook_http_wake(struct hook_http *h);

struct hook_result {
    uint32_t status; /* 0: no answer */
    uint64_t duration_ms;
    char error[256]; /* "" : the answer was 2xx */
};
/* One that has ended; false: none. */
bool hook_http_next(struct hook_http *h, void **ret_arg, struct hook_result *ret_result);

/* Whether an address may be connected to; text is a number of IPv4 or IPv6. Pure. */
bool hook_address_allowed(const char *text);

#endif
