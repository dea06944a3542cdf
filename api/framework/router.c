/* SPDX-License-Identifier: Apache-2.0
 * Matching of a percent-encoded path against patterns. Segments are split before they are decoded,
 * so that an encoded slash never changes which route is found. Pure but for malloc. */
#include "api/framework/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *api_need_name(enum api_need need)
{
    switch (need) {
    case API_NEED_PUBLIC:
        return "public";
    case API_NEED_CONTENT:
        return "content";
    case API_NEED_RECEIVER:
        return "receiver";
    case API_NEED_ACCOUNT:
        return "account";
    case API_NEED_LOGIN:
        return "login";
    case API_NEED_VIEWER:
        return "viewer";
    case API_NEED_OPERATOR:
        return "operator";
    case API_NEED_ADMIN:
        return "admin";
    }
    return "none";
}

const char *api_method_name(enum api_method method)
{
    static const char *const names[API_METHOD_COUNT] = {"GET",   "HEAD",   "POST",   "PUT",
                                                        "PATCH", "DELETE", "OPTIONS"};

    CP_ASSERT(method < API_METHOD_COUNT);
    return names[method];
}

/* One path against one pattern, as spans of the path. */
struct spans {
    const char *at[API_PARAMS_MAX];
    size_t size[API_PARAMS_MAX];
    bool greedy[API_PARAMS_MAX];
    size_t count;
};

static void add_span(struct spans *s, const char *at, size_t size, bool greedy)
{
    CP_ASSERT(s->count < API_PARAMS_MAX);
    s->at[s->count] = at;
    s->size[s->count] = size;
    s->greedy[s->count] = greedy;
    s->count++;
}

static bool pattern_matches(const char *pattern, const char *path, struct spans *ret_spans)
{
    struct spans s = {.count = 0};

    for (;;) {
        size_t want = strcspn(pattern + 1, "/");
        const char *part = pattern + 1;
        size_t have;

        if (path[0] != '/') {
            return false;
        }
        path++;
        have = strcspn(path, "/");
        if (part[0] == '{' && want > 5 && memcmp(part + want - 4, "...}", 4) == 0) {
            if (path[0] == '\0') {
                return false;
            }
            add_span(&s, path, strlen(path), true);
            *ret_spans = s;
            return true;
        }
        if (part[0] == '{') {
            if (have == 0) {
                return false;
            }
            add_span(&s, path, have, false);
        } else if (have != want || memcmp(part, path, want) != 0) {
            return false;
        }
        pattern += 1 + want;
        path += have;
        if (pattern[0] == '\0') {
            *ret_spans = s;
            return path[0] == '\0';
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

enum cp_err api_percent_decode(const char *text, size_t size, bool allow_slash, char *ret_text)
{
    size_t out = 0;

    for (size_t i = 0; i < size; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < size ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

            if (low < 0) {
                return CP_ERR_INVALID;
            }
            c = (char)(high * 16 + low);
            if (c == '\0' || (c == '/' && !allow_slash)) {
                return CP_ERR_INVALID;
            }
            i += 2;
        }
        ret_text[out++] = c;
    }
    ret_text[out] = '\0';
    return CP_OK;
}

static enum cp_err decode_params(const struct spans *s, struct api_match *match,
                                 struct cp_error *err)
{
    size_t need = 1;
    char *at;

    for (size_t i = 0; i < s->count; i++) {
        need += s->size[i] + 1;
    }
    match->storage = malloc(need);
    if (match->storage == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the request's address.");
    }
    at = match->storage;
    for (size_t i = 0; i < s->count; i++) {
        if (api_percent_decode(s->at[i], s->size[i], s->greedy[i], at) != CP_OK) {
            api_match_done(match);
            return cp_error_set(err, CP_ERR_INVALID,
                                "The address part '%.*s' has a bad percent escape, an encoded NUL "
                                "or an encoded slash: encode each byte as %%XX.",
                                (int)(s->size[i] < 200 ? s->size[i] : 200), s->at[i]);
        }
        match->params[i] = at;
        at += strlen(at) + 1;
    }
    match->param_count = s->count;
    return CP_OK;
}

enum cp_err api_route_find(const struct api_route *routes, size_t count, enum api_method method,
                           const char *path, struct api_match *ret_match, struct cp_error *err)
{
    enum api_method wanted = method == API_HEAD ? API_GET : method;
    struct api_match match = {.route = NULL};
    struct spans spans = {.count = 0};

    for (size_t i = 0; i < count; i++) {
        struct spans found;

        if (!pattern_matches(routes[i].pattern, path, &found)) {
            continue;
        }
        match.allowed |= 1u << routes[i].method;
        if (routes[i].method == API_GET) {
            match.allowed |= 1u << API_HEAD;
        }
        if (routes[i].method == wanted && match.route == NULL) {
            match.route = &routes[i];
            spans = found;
        }
    }
    if (match.allowed == 0) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "There is nothing at the address '%.300s'.",
                            path);
    }
    if (match.route == NULL) {
        char allow[64];

        api_allow_text(match.allowed, allow, sizeof allow);
        ret_match->allowed = match.allowed;
        return cp_error_set(err, CP_ERR_METHOD_NOT_ALLOWED,
                            "The address '%.300s' does not take %s; it takes %s.", path,
                            api_method_name(method), allow);
    }
    CP_TRY(decode_params(&spans, &match, err));
    *ret_match = match;
    return CP_OK;
}

void api_match_done(struct api_match *match)
{
    free(match->storage);
    match->storage = NULL;
}

void api_allow_text(unsigned allowed, char *ret_text, size_t cap)
{
    size_t at = 0;

    CP_ASSERT(cap > 0);
    ret_text[0] = '\0';
    for (unsigned m = 0; m < API_METHOD_COUNT; m++) {
        if ((allowed & (1u << m)) != 0 && at < cap) {
            at += (size_t)snprintf(ret_text + at, cap - at, "%s%s", at > 0 ? ", " : "",
                                   api_method_name((enum api_method)m));
        }
    }
}
