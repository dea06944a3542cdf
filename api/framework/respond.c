/* SPDX-License-Identifier: Apache-2.0
 * Responses of every kind but problems. Pure but for malloc. */
#include "api/framework/respond.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "api/events/stream.h"

struct api_response api_response_empty(int status)
{
    return (struct api_response){.status = status, .fd = -1};
}

void api_response_unchanged(struct api_response *rs)
{
    rs->status = 304;
    rs->content_type = NULL;
}

struct api_response api_response_json(int status, json_t *value)
{
    struct api_response rs = api_response_empty(status);
    char *text = value == NULL ? NULL : json_dumps(value, JSON_COMPACT);

    json_decref(value);
    if (text == NULL) {
        rs.status = cp_err_info(CP_ERR_NO_MEMORY)->http_status;
        return rs;
    }
    rs.content_type = "application/json";
    rs.body = text;
    rs.body_size = strlen(text);
    return rs;
}

struct api_response api_response_bytes(int status, const char *content_type, const void *data,
                                       size_t size)
{
    struct api_response rs = api_response_empty(status);

    rs.body = malloc(size + 1);
    if (rs.body == NULL) {
        rs.status = cp_err_info(CP_ERR_NO_MEMORY)->http_status;
        return rs;
    }
    memcpy(rs.body, data, size);
    rs.body[size] = '\0';
    rs.body_size = size;
    rs.content_type = content_type;
    return rs;
}

struct api_response api_response_list(json_t *items, const char *next)
{
    json_t *cursor = next != NULL && next[0] != '\0' ? json_string(next) : json_null();

    return api_response_json(200, json_pack("{s:o, s:o}", "items", items, "next", cursor));
}

void api_response_done(struct api_response *rs)
{
    free(rs->body);
    free(rs->pieces);
    free(rs->link);
    rs->link = NULL;
    rs->body = NULL;
    api_feed_close(rs->feed);
    rs->feed = NULL;
    rs->pieces = NULL;
    if (rs->fd >= 0) {
        (void)close(rs->fd);
    }
    rs->fd = -1;
}

uint64_t api_response_size(const struct api_response *rs)
{
    uint64_t size = rs->body_size;

    if (rs->fd < 0) {
        return size;
    }
    if (rs->pieces == NULL) {
        return rs->fd_size;
    }
    for (size_t i = 0; i < rs->piece_count; i++) {
        size += rs->pieces[i].size;
    }
    return size;
}

void api_header_add(struct api_response *rs, const char *name, const char *fmt, ...)
{
    struct api_header *h;
    va_list args;
    int len;

    CP_ASSERT(rs->header_count < API_HEADERS_MAX);
    h = &rs->headers[rs->header_count];
    len = snprintf(h->name, sizeof h->name, "%s", name);
    CP_ASSERT(len >= 0 && (size_t)len < sizeof h->name);
    va_start(args, fmt);
    len = vsnprintf(h->value, sizeof h->value, fmt, args);
    va_end(args);
    CP_ASSERT(len >= 0 && (size_t)len < sizeof h->value);
    rs->header_count++;
}

const char *api_header_get(const struct api_response *rs, const char *name)
{
    for (size_t i = 0; i < rs->header_count; i++) {
        if (strcasecmp(rs->headers[i].name, name) == 0) {
            return rs->headers[i].value;
        }
    }
    return NULL;
}

const char *api_request_header(const struct api_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->header_count; i++) {
        if (strcasecmp(rq->headers[i].name, name) == 0) {
            return rq->headers[i].value;
        }
    }
    return NULL;
}

void api_response_seal(const struct api_request *rq, struct api_response *rs)
{
    if (rq->request_id != NULL && api_header_get(rs, "X-Request-Id") == NULL) {
        api_header_add(rs, "X-Request-Id", "%.200s", rq->request_id);
    }
    if (api_header_get(rs, "Cache-Control") == NULL) {
        api_header_add(rs, "Cache-Control", "no-store");
    }
    if (api_header_get(rs, "X-Content-Type-Options") == NULL) {
        api_header_add(rs, "X-Content-Type-Options", "nosniff");
    }
}
