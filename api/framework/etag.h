/* SPDX-License-Identifier: Apache-2.0
 * Strong ETags: a row's revision, or a content's digest, and the conditions that name them. Pure. */
#ifndef API_FRAMEWORK_ETAG_H
#define API_FRAMEWORK_ETAG_H

#include "api/api.h"

#define API_ETAG_SIZE 80

/* "\"r12\"" */
void api_etag_revision(int64_t revision, char ret_etag[API_ETAG_SIZE]);

/* Adds the ETag header of a revision. */
void api_etag_add(struct api_response *rs, int64_t revision);

/* If-Match of a change: CP_ERR_PRECONDITION_REQUIRED without, CP_ERR_PRECONDITION_FAILED when no
 * listed tag is the revision's ("*" is always). */
CP_MUST_CHECK enum cp_err api_etag_require(const struct api_request *rq, int64_t revision,
                                           struct cp_error *err);

/* The same for an action on a thing with an ETag (promote, seal): only when If-Match is sent. */
CP_MUST_CHECK enum cp_err api_etag_honour(const struct api_request *rq, int64_t revision,
                                          struct cp_error *err);

/* What a creation says when the name is taken: CP_ERR_CONFLICT with that text, or
 * CP_ERR_PRECONDITION_FAILED when it was asked for with "If-None-Match: *". */
enum cp_err api_etag_taken(const struct api_request *rq, struct cp_error *err, const char *fmt, ...)
    CP_PRINTF(3, 4);

/* If-None-Match of a GET names this tag (weak comparison, or "*"): answer 304. */
bool api_etag_none_match(const struct api_request *rq, const char *etag);

/* Whether a comma-separated list of tags holds this one; strong: W/ tags never match. */
bool api_etag_listed(const char *list, const char *etag, bool strong);

/* GET of a JSON resource with a revision that changes with all it shows: 304, or 200, with ETag;
 * takes over value. */
struct api_response api_response_resource(const struct api_request *rq, int64_t revision,
                                          struct json_t *value);

/* GET of one that shows what changes by itself, too (when a token was used, what takes effect): the
 * ETag is for If-Match, and the answer never 304; takes over value. */
struct api_response api_response_moving(int64_t revision, struct json_t *value);

#endif
