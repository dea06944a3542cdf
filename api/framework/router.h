/* SPDX-License-Identifier: Apache-2.0
 * The static route table (routes.c) and the matching of a path against it. Pure; thread-safe.
 * HEAD is answered by the GET row: the response carries the body GET would have had, server/
 * sends only its size. */
#ifndef API_FRAMEWORK_ROUTER_H
#define API_FRAMEWORK_ROUTER_H

#include "api/api.h"

/* Who may enter a route; everything else is refused before the handler runs. */
enum api_need {
    API_NEED_PUBLIC,   /* anybody; credentials are not even looked at */
    API_NEED_CONTENT,  /* anybody enters, the handler asks api_access_content() */
    API_NEED_RECEIVER, /* a receiver token; the handler compares it with {join} */
    API_NEED_ACCOUNT,  /* any enabled account; the handler checks "admin or itself" */
    API_NEED_LOGIN,    /* the same, but by a token for admins only */
    API_NEED_VIEWER,
    API_NEED_OPERATOR,
    API_NEED_ADMIN
};

struct api_route {
    enum api_method method; /* never API_HEAD */
    const char *pattern;    /* "/a/{name}/b/{rest...}": the last parameter may be greedy */
    enum api_need need;
    const char *operation;    /* operationId in openapi.yaml */
    const char *const *query; /* names of the parameters it takes, NULL behind the last */
    api_handler *handler;     /* NULL for an upload */
    api_upload_begin *upload;
};

/* The whole table. */
const struct api_route *api_routes(size_t *ret_count);

/* "public", "content", "receiver", "account", "login", "viewer", "operator", "admin". */
const char *api_need_name(enum api_need need);

/* "GET" … */
const char *api_method_name(enum api_method method);

struct api_match {
    const struct api_route *route;
    const char *params[API_PARAMS_MAX]; /* decoded, into storage */
    size_t param_count;
    unsigned allowed; /* bit (1u << method) of each method the path has, also on a 405 */
    char *storage;
};

/* Finds the route of a percent-encoded path. CP_OK: api_match_done(ret_match) later.
 * CP_ERR_NOT_FOUND; CP_ERR_METHOD_NOT_ALLOWED with ret_match->allowed set; CP_ERR_INVALID for a bad
 * escape, a NUL, or an encoded slash in a parameter that is not greedy. */
CP_MUST_CHECK enum cp_err api_route_find(const struct api_route *routes, size_t count,
                                         enum api_method method, const char *path,
                                         struct api_match *ret_match, struct cp_error *err);
void api_match_done(struct api_match *match);

/* "GET, HEAD, PUT" of a bit set, for the Allow header. */
void api_allow_text(unsigned allowed, char *ret_text, size_t cap);

/* Decodes one percent-encoded text into ret_text (size ≥ strlen + 1). CP_ERR_INVALID as above. */
CP_MUST_CHECK enum cp_err api_percent_decode(const char *text, size_t size, bool allow_slash,
                                             char *ret_text);

#endif
