/* SPDX-License-Identifier: Apache-2.0
 * Pages of other sites (the Fetch standard's CORS protocol): only the origins of the setting
 * cors_origins, never with cookies or a browser's own credentials. Thread-safe. */
#ifndef API_ACCESS_CORS_H
#define API_ACCESS_CORS_H

#include "api/api.h"

#define API_CORS_ORIGINS_MAX 16
#define API_CORS_ORIGIN_MAX  128 /* bytes of one */

/* Whether a text is an origin as browsers send it: scheme http or https, host in lower case, a port
 * unless it is the scheme's own; no path. */
bool api_cors_is_origin(const char *text);

/* A preflight of an allowed origin: *ret_response answers it. */
bool api_cors_preflight(const struct api_context *ctx, const struct api_request *rq,
                        struct api_response *ret_response);

/* The headers by which a browser lets the page have the answer. Needs no more than three places. */
void api_cors_add(const struct api_context *ctx, const struct api_request *rq,
                  struct api_response *rs);

#endif
