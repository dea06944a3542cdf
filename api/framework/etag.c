/* SPDX-License-Identifier: Apache-2.0
 * ETags and the conditions on them (RFC 9110 section 13). Pure. */
#include "api/framework/etag.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/framework/respond.h"

void api_etag_revision(int64_t revision, char ret_etag[API_ETAG_SIZE])
{
    (void)snprintf(ret_etag, API_ETAG_SIZE, "\"r%" PRId64 "\"", revision);
}

void api_etag_add(struct api_response *rs, int64_t revision)
{
    char etag[API_ETAG_SIZE];

    api_etag_revision(revision, etag);
    api_header_add(rs, "ETag", "%s", etag);
}

bool api_etag_listed(const char *list, const char *etag, bool strong)
{
    size_t size = strlen(etag);
    const char *at = list;

    for (;;) {
        bool weak = false;
        const char *end;

        at += strspn(at, " \t,");
        if (at[0] == '*') {
            return true;
        }
        if (at[0] == 'W' && at[1] == '/') {
            weak = true;
            at += 2;
        }
        if (at[0] != '"') {
            return false; /* the end, or not a list of tags */
        }
        end = strchr(at + 1, '"');
        if (end == NULL) {
            return false;
        }
        if (!(weak && strong) && (size_t)(end + 1 - at) == size && memcmp(at, etag, size) == 0) {
            return true;
        }
        at = end + 1;
    }
}

enum cp_err api_etag_require(const struct api_request *rq, int64_t revision, struct cp_error *err)
{
    const char *header = api_request_header(rq, "If-Match");
    char etag[API_ETAG_SIZE];

    if (header == NULL) {
        return cp_error_set(err, CP_ERR_PRECONDITION_REQUIRED,
                            "The request has no If-Match header: GET this address first and send "
                            "its ETag in If-Match.");
    }
    api_etag_revision(revision, etag);
    if (!api_etag_listed(header, etag, true)) {
        return cp_error_set(err, CP_ERR_PRECONDITION_FAILED,
                            "If-Match is '%.100s' but the present ETag is '%s': GET this address "
                            "again, apply the change to what it says now.",
                            header, etag);
    }
    return CP_OK;
}

enum cp_err api_etag_honour(const struct api_request *rq, int64_t revision, struct cp_error *err)
{
    return api_request_header(rq, "If-Match") == NULL ? CP_OK : api_etag_require(rq, revision, err);
}

enum cp_err api_etag_taken(const struct api_request *rq, struct cp_error *err, const char *fmt, ...)
{
    bool only_new = api_etag_none_match(rq, "\"\"");
    char text[CP_ERROR_TEXT_SIZE];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return cp_error_set(err, only_new ? CP_ERR_PRECONDITION_FAILED : CP_ERR_CONFLICT, "%s", text);
}

bool api_etag_none_match(const struct api_request *rq, const char *etag)
{
    const char *header = api_request_header(rq, "If-None-Match");

    return header != NULL && api_etag_listed(header, etag, false);
}

struct api_response api_response_resource(const struct api_request *rq, int64_t revision,
                                          json_t *value)
{
    struct api_response rs = api_response_json(200, value);
    char etag[API_ETAG_SIZE];

    api_etag_revision(revision, etag);
    if (rs.status == 200 && (rq->method == API_GET || rq->method == API_HEAD) &&
        api_etag_none_match(rq, etag)) {
        api_response_unchanged(&rs);
    }
    api_header_add(&rs, "ETag", "%s", etag);
    api_header_add(&rs, "Cache-Control", "no-cache");
    return rs;
}

struct api_response api_response_moving(int64_t revision, json_t *value)
{
    struct api_response rs = api_response_json(200, value);

    api_etag_add(&rs, revision);
    api_header_add(&rs, "Cache-Control", "no-cache");
    return rs;
}
