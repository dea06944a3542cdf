/* SPDX-License-Identifier: Apache-2.0
 * Building responses: JSON, problem+json, headers. Pure but for malloc. X-Request-Id and the
 * default Cache-Control are added centrally, not by handlers. */
#ifndef API_FRAMEWORK_RESPOND_H
#define API_FRAMEWORK_RESPOND_H

#include <jansson.h>

#include "api/api.h"

/* No body, no headers yet. */
struct api_response api_response_empty(int status);

/* Makes a 200 the 304 that says so. Its body stays, and is not sent: Content-Length is to be that of
 * the 200, or not there (RFC 9110 8.6). */
void api_response_unchanged(struct api_response *rs);

/* JSON body; takes over the reference to value (NULL: out-of-memory becomes a 500). */
struct api_response api_response_json(int status, json_t *value);

/* Body of bytes that are copied. content_type is a static string. */
struct api_response api_response_bytes(int status, const char *content_type, const void *data,
                                       size_t size);

/* {"items": items, "next": next or null}; takes over items. next may be NULL or "". */
struct api_response api_response_list(json_t *items, const char *next);

/* problem+json with "errors": [{"field","value","message"}]; takes over errors (may be NULL). */
struct api_response api_problem_fields(const struct api_request *rq, const struct cp_error *err,
                                       json_t *errors);

/* Short for api_problem(call->rq, …) with a text made in place. */
struct api_response api_refuse(const struct api_call *call, const struct cp_error *err);
struct api_response api_refuse_text(const struct api_call *call, enum cp_err code, const char *fmt,
                                    ...) CP_PRINTF(3, 4);

/* Adds a header (even if one of that name is there); too long a value is our bug. */
void api_header_add(struct api_response *rs, const char *name, const char *fmt, ...)
    CP_PRINTF(3, 4);

/* The response's header of that name, NULL when there is none. */
const char *api_header_get(const struct api_response *rs, const char *name);

/* The request's header, NULL when absent. server/ lets no name in twice. */
const char *api_request_header(const struct api_request *rq, const char *name);

/* X-Request-Id, Cache-Control (no-store unless set) and nosniff, unless they are there already. */
void api_response_seal(const struct api_request *rq, struct api_response *rs);

#endif
