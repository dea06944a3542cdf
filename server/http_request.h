/* SPDX-License-Identifier: Apache-2.0
 * One HTTP request as it comes in: target, headers, checks that libmicrohttpd does not make, and
 * the api_request that stands for it. Pure but for the request id's random bytes; one thread. */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "api/api.h"
#include "common/err.h"

/* docs/limits.md. The bytes are those of names and values. */
#define SRV_TARGET_MAX       8192
#define SRV_HEADERS_MAX      100
#define SRV_HEADERS_SIZE_MAX 16384
/* Of Authorization, whose value is not counted there: a Kerberos ticket names all groups of its user,
 * in Active Directory up to a thousand. */
#define SRV_AUTHORIZATION_MAX 49152
#define SRV_QUERY_MAX         32

struct srv_request {
    struct api_request rq;                    /* points into this struct */
    char *target;                             /* owned: as received, cut at '?' */
    char *query;                              /* owned: decoded in place */
    struct api_pair headers[SRV_HEADERS_MAX]; /* borrowed strings */
    struct api_pair query_pairs[SRV_QUERY_MAX];
    char id[64];
    char remote[64];
    char *joined; /* owned: values of headers that came in several lines */
    char *body;   /* collected */
    size_t body_room;
    size_t target_size, headers_size, authorization_size;
    bool chunked, http_1_0;
    bool too_many_headers;
    bool broken_lines; /* there is more to the request line or the headers than can be seen */
    bool bad_method;   /* none of enum api_method */
};

/* target: request line's middle, with its query. NULL when out of memory. */
struct srv_request *srv_request_new(const char *target);
void srv_request_free(struct srv_request *r);

/* name and value are borrowed until the request is freed. */
void srv_request_add_header(struct srv_request *r, const char *name, const char *value);

/* Once all headers are in: takes method, length, id, query out of them and refuses what could be
 * understood in two ways (RFC 9112 3.2, 6.1, 6.3): no Host or two, two Content-Lengths,
 * Content-Length with Transfer-Encoding, foreign codings, twice what has one value; and what is over
 * a limit. No header is there twice afterwards: the lines of a list are one. CP_ERR_INVALID,
 * METHOD_NOT_ALLOWED, TARGET_TOO_LONG, HEADERS_TOO_LARGE, NO_MEMORY;
 * the connection must then be closed, for where the next request begins is not known. */
CP_MUST_CHECK enum cp_err srv_request_finish(struct srv_request *r, const char *method,
                                             struct cp_error *err);

/* Adds to the body. CP_ERR_TOO_LARGE when it gets larger than max; CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err srv_request_add_body(struct srv_request *r, const char *data, size_t size,
                                               size_t max);

#endif
