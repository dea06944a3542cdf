/* SPDX-License-Identifier: Apache-2.0
 * castget's conversation over HTTPS: the one place that knows libcurl. One thread per object;
 * every call blocks, is bounded in time and size, and ends soon after *stop is set. */
#ifndef CLIENT_HTTP_H
#define CLIENT_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct cl_http;

/* Strings are borrowed for the object's life. */
struct cl_http_config {
    const char *base_url; /* "https://host:port" */
    const char *cacert;   /* NULL: the system's authorities */
    const char *pin;      /* NULL none; without cacert the pinned key alone is trusted */
    const char *account;  /* with password, NULL none */
    const char *password;
    const char *token;          /* bearer token instead, NULL none */
    bool negotiate;             /* the user's Kerberos ticket instead (SPNEGO) */
    const char *correlation_id; /* sent as X-Request-Id: both logs speak of the same; NULL none */
    const atomic_bool *stop;    /* set by a signal handler or another thread; NULL: never */
};

/* CP_ERR_NO_MEMORY, CP_ERR_USAGE (cacert cannot be read, libcurl has no SPNEGO). First call before any thread starts. */
CP_MUST_CHECK enum cp_err cl_http_new(const struct cl_http_config *config,
                                      struct cl_http **ret_http, struct cp_error *err);
void cl_http_free(struct cl_http *h); /* NULL allowed */

/* From now on this bearer token (copied) instead of account or token: the join's. NULL: account or
 * token again. */
CP_MUST_CHECK enum cp_err cl_http_use_token(struct cl_http *h, const char *token);

struct cl_http_call {
    const char *method; /* "GET", "POST", "PUT" */
    const char *path;   /* "/api/v1/…" */
    const char *body;   /* JSON; NULL none */
    size_t answer_max;  /* bytes; more is CP_ERR_PROTOCOL */
    unsigned timeout_ms;
    bool even_stopped; /* goes through although *stop is set: the last report */
};

struct cl_http_answer {
    long status;
    char *body; /* malloced, NUL-terminated; the caller frees */
    size_t size;
    uint64_t date_ns; /* wall-clock time of the service (Date header), 0 unknown */
};

/* 2xx is success. Otherwise the problem's code and detail; CP_ERR_SERVICE_UNREACHABLE,
 * TLS_UNTRUSTED, NETWORK, PROTOCOL, INTERRUPTED. */
CP_MUST_CHECK enum cp_err cl_http_call(struct cl_http *h, const struct cl_http_call *call,
                                       struct cl_http_answer *ret_answer, struct cp_error *err);

/* Takes bytes of the body as they come; a failure ends the transfer and is what the call returns. */
typedef enum cp_err cl_http_sink(void *arg, const void *data, size_t size, struct cp_error *err);

struct cl_http_range {
    const char *path;
    uint64_t offset;
    uint64_t size;       /* > 0 */
    uint64_t whole_size; /* of the file: a 200 with all of it is taken too */
    cl_http_sink *sink;
    void *arg;
};

/* GET of a range. Fewer or more bytes than asked for are CP_ERR_NETWORK and CP_ERR_PROTOCOL; the
 * sink may have had some of them in every failure. */
CP_MUST_CHECK enum cp_err cl_http_get_range(struct cl_http *h, const struct cl_http_range *range,
                                            struct cp_error *err);

/* Whether trying the same again later may help. */
bool cl_http_is_passing(enum cp_err code);

/* Pure: the failure that an answer of this status tells; body may be problem+json or anything. */
CP_MUST_CHECK enum cp_err cl_http_problem(long status, const char *body, size_t size,
                                          bool with_credentials, struct cp_error *err);

#endif
