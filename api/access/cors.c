/* SPDX-License-Identifier: Apache-2.0
 * CORS: preflights, and headers of answers. Thread-safe. */
#include "api/access/cors.h"

#include <stdlib.h>
#include <string.h>

#include "api/access/gate.h"
#include "api/framework/respond.h"
#include "api/point/live.h"

/* Seconds that a browser keeps a preflight's answer: a change of the setting holds within them. */
#define PREFLIGHT_AGE "600"

static bool host_ok(const char *host, size_t size)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";

    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        return strspn(host + 1, "0123456789abcdef:.") == size - 2;
    }
    return size > 0 && strspn(host, name) >= size;
}

bool api_cors_is_origin(const char *text)
{
    bool tls = strncmp(text, "https://", 8) == 0;
    const char *host = text + (tls ? 8 : 7);
    const char *port;
    size_t digits;
    long number;

    if ((!tls && strncmp(text, "http://", 7) != 0) || strlen(text) > API_CORS_ORIGIN_MAX) {
        return false;
    }
    port = strrchr(host, ':');
    if (port == NULL || strchr(port, ']') != NULL) {
        return host_ok(host, strlen(host));
    }
    digits = strspn(port + 1, "0123456789");
    if (digits == 0 || digits > 5 || port[1 + digits] != '\0' || port[1] == '0') {
        return false;
    }
    number = strtol(port + 1, NULL, 10);
    return number <= 65535 && number != (tls ? 443 : 80) && host_ok(host, (size_t)(port - host));
}

static const char *allowed_origin(const struct api_context *ctx, const struct api_request *rq)
{
    const char *origin = api_request_header(rq, "Origin");

    return origin != NULL && api_live_origin(ctx, origin) ? origin : NULL;
}

bool api_cors_preflight(const struct api_context *ctx, const struct api_request *rq,
                        struct api_response *ret_response)
{
    struct api_response rs;

    struct cp_error err;

    if (rq->method != API_OPTIONS || api_gate_pass(ctx->gate, &err) != CP_OK) {
        return false;
    }
    api_live_refresh(ctx);
    if (api_request_header(rq, "Access-Control-Request-Method") == NULL ||
        allowed_origin(ctx, rq) == NULL) {
        return false;
    }
    rs = api_response_empty(204);
    api_header_add(&rs, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    api_header_add(&rs, "Access-Control-Allow-Headers",
                   "Authorization, Content-Type, Content-Digest, Repr-Digest, If-Match, "
                   "If-None-Match, If-Range, Range, Idempotency-Key, Last-Event-ID, X-Request-Id, "
                   "X-Castpoint-Mode, Tus-Resumable, Upload-Length, Upload-Offset, "
                   "Upload-Metadata, Upload-Checksum, X-HTTP-Method-Override");
    api_header_add(&rs, "Access-Control-Max-Age", PREFLIGHT_AGE);
    *ret_response = rs;
    return true;
}

void api_cors_add(const struct api_context *ctx, const struct api_request *rq,
                  struct api_response *rs)
{
    const char *origin;

    if (!api_live_any_origin(ctx)) {
        return;
    }
    api_header_add(rs, "Vary", "Origin");
    origin = allowed_origin(ctx, rq);
    if (origin != NULL) {
        api_header_add(rs, "Access-Control-Allow-Origin", "%s", origin);
        api_header_add(rs, "Access-Control-Expose-Headers",
                       "ETag, Link, Location, Retry-After, X-Request-Id, Idempotency-Replayed, "
                       "Accept-Ranges, Content-Range, Repr-Digest, Last-Modified, Tus-Resumable, "
                       "Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, "
                       "Upload-Offset, Upload-Length, Upload-Expires, Upload-Metadata");
    }
}
