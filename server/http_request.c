/* SPDX-License-Identifier: Apache-2.0
 * Checks and conversion of one HTTP request. */
#include "server/http_request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "common/hex.h"

struct srv_request *srv_request_new(const char *target)
{
    struct srv_request *r = calloc(1, sizeof *r);
    const char *mark = strchr(target, '?');

    if (r == NULL) {
        return NULL;
    }
    r->target = mark == NULL ? strdup(target) : strndup(target, (size_t)(mark - target));
    r->query = strdup(mark == NULL ? "" : mark + 1);
    if (r->target == NULL || r->query == NULL) {
        srv_request_free(r);
        return NULL;
    }
    r->target_size = strlen(target);
    r->rq.path = r->target;
    r->rq.headers = r->headers;
    r->rq.query = r->query_pairs;
    r->rq.remote = r->remote;
    r->rq.request_id = r->id;
    r->rq.content_length = UINT64_MAX;
    return r;
}

void srv_request_free(struct srv_request *r)
{
    if (r == NULL) {
        return;
    }
    if (r->body != NULL) {
        /* A body may hold a password. */
        explicit_bzero(r->body, r->body_room);
    }
    free(r->body);
    free(r->joined);
    free(r->target);
    free(r->query);
    free(r);
}

void srv_request_add_header(struct srv_request *r, const char *name, const char *value)
{
    size_t size = value == NULL ? 0 : strlen(value);

    if (strcasecmp(name, "Authorization") == 0) {
        r->authorization_size += size;
        size = 0;
    }
    r->headers_size += strlen(name) + size;
    if (r->rq.header_count == SRV_HEADERS_MAX) {
        r->too_many_headers = true;
        return;
    }
    r->headers[r->rq.header_count].name = name;
    r->headers[r->rq.header_count].value = value == NULL ? "" : value;
    r->rq.header_count++;
}

static size_t count_header(const struct srv_request *r, const char *name, const char **ret_value)
{
    size_t count = 0;

    for (size_t i = 0; i < r->rq.header_count; i++) {
        if (strcasecmp(r->headers[i].name, name) == 0) {
            *ret_value = r->headers[i].value;
            count++;
        }
    }
    return count;
}

/* RFC9110 5.6.2: a token, which a field's name must be. */
static bool is_token(const char *text)
{
    size_t size = strspn(text, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    return size > 0 && text[size] == '\0';
}

static bool is_field_value(const char *text)
{
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

/* What a target may consist of, white space in it being a way to smuggle (RFC9112 3.2). */
static bool is_visible(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f || *text == '#' || *text == '\\') {
            return false;
        }
    }
    return true;
}

static enum cp_err check_headers(const struct srv_request *r, struct cp_error *err)
{
    if (r->too_many_headers || r->headers_size > SRV_HEADERS_SIZE_MAX) {
        return cp_error_set(err, CP_ERR_HEADERS_TOO_LARGE,
                            "more than %d header fields, or more than %d bytes of them",
                            SRV_HEADERS_MAX, SRV_HEADERS_SIZE_MAX);
    }
    if (r->authorization_size > SRV_AUTHORIZATION_MAX) {
        return cp_error_set(err, CP_ERR_HEADERS_TOO_LARGE,
                            "header 'Authorization' has more than %d bytes", SRV_AUTHORIZATION_MAX);
    }
    if (r->broken_lines) {
        return cp_error_set(
            err, CP_ERR_INVALID,
            "the request line or a header field has a NUL in it, is folded, or has no name");
    }
    for (size_t i = 0; i < r->rq.header_count; i++) {
        if (!is_token(r->headers[i].name) || !is_field_value(r->headers[i].value)) {
            return cp_error_set(err, CP_ERR_INVALID, "a header field is not well-formed");
        }
    }
    return CP_OK;
}

/* RFC9112 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1
 * request message that lacks a Host header field and to any request message that contains more
 * than one Host header field line or a Host header field with an invalid field value." */
static enum cp_err check_host(const struct srv_request *r, struct cp_error *err)
{
    const char *host = "";
    size_t count = count_header(r, "Host", &host);

    if (count != 1) {
        return cp_error_set(err, CP_ERR_INVALID, "the request has %s Host header",
                            count == 0 ? "no" : "more than one");
    }
    if (*host == '\0' ||
        host[strspn(host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "-._~:[]%")] != '\0') {
        return cp_error_set(err, CP_ERR_INVALID, "the Host header is not HOST or HOST:PORT");
    }
    return CP_OK;
}

static bool parse_length(const char *text, uint64_t *ret)
{
    uint64_t v = 0;

    if (*text == '\0' || strlen(text) > 18) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text)) {
            return false;
        }
        v = v * 10 + (uint64_t)(*text - '0');
    }
    *ret = v;
    return true;
}

/* RFC9112 6.3: where the body ends must have one reading only (request smuggling). */
static enum cp_err check_length(struct srv_request *r, struct cp_error *err)
{
    const char *length = "";
    const char *coding = "";
    size_t lengths = count_header(r, "Content-Length", &length);
    size_t codings = count_header(r, "Transfer-Encoding", &coding);

    if (lengths > 1) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "the request has more than one Content-Length header");
    }
    if (lengths > 0 && codings > 0) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "the request has both Content-Length and Transfer-Encoding");
    }
    /* RFC9112 6.1: HTTP/1.0 has no such coding, so the framing counts as faulty. */
    if (codings > 0 && r->http_1_0) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "the request is HTTP/1.0, which has no Transfer-Encoding");
    }
    if (codings > 1 || (codings == 1 && strcasecmp(coding, "chunked") != 0)) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "the only Transfer-Encoding understood is 'chunked'");
    }
    if (lengths == 1 && !parse_length(length, &r->rq.content_length)) {
        return cp_error_set(err, CP_ERR_INVALID, "Content-Length is not a number");
    }
    r->chunked = codings == 1;
    if (lengths == 0 && codings == 0) {
        r->rq.content_length = 0;
    }
    return CP_OK;
}

/* What has one value: of two the first is no better than the second. */
static enum cp_err check_single(const struct srv_request *r, struct cp_error *err)
{
    static const char *const names[] = {"Authorization",
                                        "Content-Type",
                                        "Content-Range",
                                        "Range",
                                        "If-Range",
                                        "Idempotency-Key",
                                        "If-Modified-Since",
                                        "If-Unmodified-Since",
                                        "Last-Event-ID",
                                        "Origin",
                                        "Sec-Fetch-Site",
                                        "Tus-Resumable",
                                        "Upload-Length",
                                        "Upload-Offset",
                                        "Upload-Checksum",
                                        "Upload-Concat",
                                        "Upload-Defer-Length",
                                        "X-Castpoint-Mode",
                                        "Access-Control-Request-Method"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value;

        if (count_header(r, names[i], &value) > 1) {
            return cp_error_set(err, CP_ERR_INVALID, "the request has more than one %s header",
                                names[i]);
        }
    }
    return CP_OK;
}

/* The next line of what line i is, behind line k; 0: none. */
static size_t next_line(const struct srv_request *r, size_t i, size_t k)
{
    while (++k < r->rq.header_count) {
        if (r->headers[k].name != NULL && strcasecmp(r->headers[k].name, r->headers[i].name) == 0) {
            return k;
        }
    }
    return 0;
}

/* Makes line i's value that of all lines of its name, the others' names NULL. Where its text ends. */
static char *join(struct srv_request *r, size_t i, char *room)
{
    char *end = stpcpy(room, r->headers[i].value);

    for (size_t k = next_line(r, i, i); k != 0; k = next_line(r, i, k)) {
        end = stpcpy(stpcpy(end, ", "), r->headers[k].value);
        r->headers[k].name = NULL;
    }
    r->headers[i].value = room;
    return end + 1;
}

/* RFC9110 5.3: "A recipient MAY combine multiple field lines within a field section that have the
 * same field name into one field line, without changing the semantics of the message, by appending
 * each subsequent field line value to the initial field line value in order, separated by a comma
 * (",") and optional whitespace". Who looks for a header then finds all of it. */
static enum cp_err join_lines(struct srv_request *r, struct cp_error *err)
{
    char *room = NULL;
    size_t kept = 0;

    for (size_t i = 0; i < r->rq.header_count; i++) {
        if (r->headers[i].name == NULL) {
            continue;
        }
        if (next_line(r, i, i) != 0) {
            if (room == NULL) {
                /* Authorization's value, which is not counted, is never one of several. */
                room = r->joined = malloc(r->headers_size + sizeof ", " * r->rq.header_count);
            }
            if (room == NULL) {
                return cp_error_set(err, CP_ERR_NO_MEMORY, "no memory for the headers");
            }
            room = join(r, i, room);
        }
        r->headers[kept++] = r->headers[i];
    }
    r->rq.header_count = kept;
    return CP_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Form decoding in place; false for a broken escape or one that hides a NUL. */
static bool decode(char *text)
{
    char *out = text;

    for (; *text != '\0'; text++) {
        if (*text == '%') {
            int high = hex_digit(text[1]);
            int low = high < 0 ? -1 : hex_digit(text[2]);

            if (low < 0 || high * 16 + low == 0) {
                return false;
            }
            *out++ = (char)(high * 16 + low);
            text += 2;
        } else {
            *out++ = (char)(*text == '+' ? ' ' : *text);
        }
    }
    *out = '\0';
    return true;
}

static enum cp_err split_query(struct srv_request *r, struct cp_error *err)
{
    char *at = r->query;

    while (at != NULL) {
        char *pair = strsep(&at, "&");
        char *value;

        if (*pair == '\0') {
            continue;
        }
        value = strchr(pair, '=');
        if (value != NULL) {
            *value++ = '\0';
        } else {
            value = pair + strlen(pair);
        }
        if (r->rq.query_count == SRV_QUERY_MAX) {
            return cp_error_set(err, CP_ERR_INVALID, "more than %d query parameters",
                                SRV_QUERY_MAX);
        }
        if (!decode(pair) || !decode(value)) {
            return cp_error_set(err, CP_ERR_INVALID, "the query has a broken %%-escape");
        }
        r->query_pairs[r->rq.query_count].name = pair;
        r->query_pairs[r->rq.query_count].value = value;
        r->rq.query_count++;
    }
    return CP_OK;
}

/* The client's id when it is harmless in logs and in the database; else one of our own. */
static void choose_id(struct srv_request *r)
{
    const char *id = "";
    uint8_t random[16];

    if (count_header(r, "X-Request-Id", &id) == 1 && strlen(id) >= 1 && strlen(id) < sizeof r->id &&
        id[strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._")] ==
            '\0') {
        memcpy(r->id, id, strlen(id) + 1);
        return;
    }
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        memset(random, 0, sizeof random);
    }
    cp_hex_encode(random, sizeof random, r->id);
}

static bool find_method(const char *text, enum api_method *ret_method)
{
    static const char *const names[API_METHOD_COUNT] = {"GET",   "HEAD",   "POST",   "PUT",
                                                        "PATCH", "DELETE", "OPTIONS"};

    for (size_t i = 0; i < API_METHOD_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_method = (enum api_method)i;
            return true;
        }
    }
    return false;
}

enum cp_err srv_request_finish(struct srv_request *r, const char *method, struct cp_error *err)
{
    choose_id(r);
    r->bad_method = !find_method(method, &r->rq.method);
    if (r->target_size > SRV_TARGET_MAX) {
        return cp_error_set(err, CP_ERR_TARGET_TOO_LONG, "path and query have more than %d bytes",
                            SRV_TARGET_MAX);
    }
    CP_TRY(check_headers(r, err));
    CP_TRY(check_host(r, err));
    CP_TRY(check_length(r, err));
    CP_TRY(check_single(r, err));
    CP_TRY(join_lines(r, err));
    if (r->target[0] != '/' || !is_visible(r->target)) {
        return cp_error_set(err, CP_ERR_INVALID, "the request's target is not a path");
    }
    if (r->bad_method) {
        return cp_error_set(err, CP_ERR_METHOD_NOT_ALLOWED, "this service has no method '%.20s'",
                            method);
    }
    return split_query(r, err);
}

enum cp_err srv_request_add_body(struct srv_request *r, const char *data, size_t size, size_t max)
{
    size_t need = r->rq.body_size + size + 1;

    if (size > max || r->rq.body_size > max - size) {
        return CP_ERR_TOO_LARGE;
    }
    if (need > r->body_room) {
        size_t room = need > 2 * r->body_room ? need : 2 * r->body_room;
        char *body;

        room = room > max + 1 ? max + 1 : room; /* `max` is what it is counted as */
        body = malloc(room);
        if (body == NULL) {
            return CP_ERR_NO_MEMORY;
        }
        if (r->body != NULL) {
            memcpy(body, r->body, r->rq.body_size);
            explicit_bzero(r->body, r->body_room);
            free(r->body);
        }
        r->body = body;
        r->body_room = room;
        r->rq.body = body;
    }
    memcpy(r->body + r->rq.body_size, data, size);
    r->rq.body_size += size;
    r->body[r->rq.body_size] = '\0';
    return CP_OK;
}
