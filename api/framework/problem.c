/* SPDX-License-Identifier: Apache-2.0
 * problem+json (RFC 9457) of a failure, in the one shape of docs/protocol.md section 1. Allocates, and
 * logs what callers are not told. */
#include "api/framework/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

#define PROBLEM_TYPE "https://castpoint.dev/problems/"

/* What a client may wait before it asks again, seconds: a database or an address comes back within
 * seconds, a draft is sealed by a human. */
#define RETRY_SOON_S  "5"
#define RETRY_LATER_S "30"

static void add_problem_headers(struct api_response *rs, const struct cp_err_info *info,
                                unsigned retry_after_s)
{
    if (info->http_status == 401) {
        bool failed = strcmp(info->code, cp_err_info(CP_ERR_AUTH_FAILED)->code) == 0;

        api_header_add(rs, "WWW-Authenticate", "Basic realm=\"castpoint\", charset=\"UTF-8\"");
        api_header_add(rs, "WWW-Authenticate", "Bearer realm=\"castpoint\"%s",
                       failed ? ", error=\"invalid_token\"" : "");
    }
    if (retry_after_s > 0) {
        api_header_add(rs, "Retry-After", "%u", retry_after_s);
    } else if (info->http_status == 503 || info->http_status == 429) {
        bool draft = strcmp(info->code, cp_err_info(CP_ERR_VERSION_NOT_SEALED)->code) == 0;

        api_header_add(rs, "Retry-After", "%s", draft ? RETRY_LATER_S : RETRY_SOON_S);
    }
}

/* Text from a request may not be UTF-8, which JSON cannot carry: such bytes become '?'. */
static json_t *safe_string(const char *text)
{
    json_t *value = json_string(text);
    char copy[CP_ERROR_TEXT_SIZE];

    if (value != NULL) {
        return value;
    }
    (void)snprintf(copy, sizeof copy, "%s", text);
    for (char *p = copy; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x80) {
            *p = '?';
        }
    }
    return json_string(copy);
}

/* Whoever may send a request may see its problem, with credentials or without: libpq's hosts and roles
 * and the system's paths are for the log, under the same id. */
static const char *public_detail(const struct cp_error *err, const struct cp_err_info *info)
{
    if (err->text[0] == '\0') {
        return info->title;
    }
    if (!cp_err_is_inner(err->code)) {
        return err->text;
    }
    cp_log_error(info->http_status == 500 ? CP_LOG_ERROR : CP_LOG_WARN, "request-failed", err);
    return info->title;
}

struct api_response api_problem_fields(const struct api_request *rq, const struct cp_error *err,
                                       json_t *errors)
{
    const struct cp_err_info *info = cp_err_info(err->code == CP_OK ? CP_ERR_INTERNAL : err->code);
    struct cp_error plain;
    char type[128];
    struct api_response rs;
    json_t *body;

    if (rq->plain && info->http_status == 401) {
        /* to ask for credentials here would be to ask for them in the open */
        (void)cp_error_set(&plain, CP_ERR_TLS_REQUIRED,
                           "This needs credentials, which are taken by HTTPS only.");
        err = &plain;
        info = cp_err_info(err->code);
    }
    (void)snprintf(type, sizeof type, PROBLEM_TYPE "%s", info->code);
    body = json_pack("{s:s, s:s, s:i, s:o, s:s, s:s, s:s, s:o}", "type", type, "title", info->title,
                     "status", info->http_status, "detail", safe_string(public_detail(err, info)),
                     "code", info->code, "cause", info->cause, "remedy", info->remedy, "request_id",
                     safe_string(rq->request_id != NULL ? rq->request_id : ""));
    if (body != NULL && errors != NULL) {
        (void)json_object_set(body, "errors", errors);
    }
    json_decref(errors);
    rs = api_response_json(info->http_status, body);
    if (rs.body != NULL) {
        rs.content_type = "application/problem+json";
    }
    add_problem_headers(&rs, info, err->retry_after_s);
    api_response_seal(rq, &rs);
    return rs;
}

struct api_response api_problem(const struct api_request *rq, const struct cp_error *err)
{
    return api_problem_fields(rq, err, NULL);
}

struct api_response api_refuse(const struct api_call *call, const struct cp_error *err)
{
    return api_problem_fields(call->rq, err, NULL);
}

struct api_response api_refuse_text(const struct api_call *call, enum cp_err code, const char *fmt,
                                    ...)
{
    struct cp_error err = {.code = code};
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(err.text, sizeof err.text, fmt, args);
    va_end(args);
    return api_problem_fields(call->rq, &err, NULL);
}
