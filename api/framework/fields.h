/* SPDX-License-Identifier: Apache-2.0
 * Strict reading of JSON bodies and query parameters. The body of a PATCH is a JSON Merge Patch (RFC
 * 7396): what it leaves out stays, null takes a value away where that has a meaning. Getters collect field errors (field, value,
 * what is allowed) so that one answer names all that is wrong. Pure but for malloc; one object
 * belongs to one call.
 *
 *     struct api_fields f;
 *     api_fields_body(&f, call);
 *     name = api_field_string(&f, "name", API_REQUIRED, 1, 64);
 *     if (!api_fields_ok(&f)) {
 *         return api_fields_refuse(&f, call);
 *     }
 *     … strings stay valid until api_fields_done(&f); */
#ifndef API_FRAMEWORK_FIELDS_H
#define API_FRAMEWORK_FIELDS_H

#include <jansson.h>

#include "api/api.h"

#define API_FIELDS_MAX    64 /* known fields of one body */
#define API_LIMIT_DEFAULT 100
#define API_LIMIT_MAX     1000

enum api_presence { API_OPTIONAL, API_REQUIRED };

struct api_fields {
    json_t *body;                 /* object, or NULL for a query */
    const struct api_request *rq; /* for queries */
    bool from_query;
    const char *known[API_FIELDS_MAX]; /* names the getters asked for; others are refused */
    size_t known_count;
    json_t *errors;       /* array of {"field","value","message"} */
    struct cp_error fail; /* failure of the body as a whole: type, size, syntax */
};

/* Parses call's body, which must be one JSON object (Content-Type application/json, for a PATCH also
 * application/merge-patch+json).
 * Failures are kept for api_fields_refuse. An absent body counts as {}. */
void api_fields_body(struct api_fields *f, const struct api_call *call);

/* For an action that takes no field: true when the body is absent or {}; else *ret_response. */
bool api_fields_none(const struct api_call *call, struct api_response *ret_response);

/* Whether the query has only parameters of that list (NULL behind the last), each once; else
 * *ret_response. For every request, before its handler. */
bool api_query_takes(const struct api_call *call, const char *const *names,
                     struct api_response *ret_response);

/* Reads the query instead of a body. */
void api_fields_query(struct api_fields *f, const struct api_call *call);

/* Getters: true when the field is there and valid; false when absent (an error if required) or
 * wrong (an error is collected); *ret untouched then. Each call makes the name known. Numbers in a
 * query are decimal text. */
bool api_field_int(struct api_fields *f, const char *name, enum api_presence presence, int64_t min,
                   int64_t max, int64_t *ret);
bool api_field_bool(struct api_fields *f, const char *name, enum api_presence presence, bool *ret);

/* Text of min to max bytes (UTF-8, no control characters); NULL when absent or wrong. */
const char *api_field_string(struct api_fields *f, const char *name, enum api_presence presence,
                             size_t min, size_t max);

/* One of a NULL-terminated list of words: its index, or -1 when absent or wrong. */
int api_field_word(struct api_fields *f, const char *name, enum api_presence presence,
                   const char *const *words);

/* True when the field is there as JSON null: makes the name known, so call it before the getter
 * and skip the getter then. */
bool api_field_null(struct api_fields *f, const char *name);

/* An object or array as it is, borrowed; NULL when absent or of another type. */
json_t *api_field_object(struct api_fields *f, const char *name, enum api_presence presence);
json_t *api_field_array(struct api_fields *f, const char *name, enum api_presence presence);

/* Reads an object that lies inside the body of `parent` by the same getters, api_fields_ok() last.
 * The end makes its errors the parent's, with "prefix." before the field. */
void api_fields_inside(struct api_fields *f, const struct api_fields *parent, json_t *object);
void api_fields_inside_end(struct api_fields *f, struct api_fields *parent, const char *prefix);

/* Forgets the errors: the same body is read again, as when a transaction is run again. */
void api_fields_again(struct api_fields *f);

/* Collects an error that a handler found itself; value may be NULL (shown as it was sent). */
void api_field_error(struct api_fields *f, const char *name, const char *fmt, ...) CP_PRINTF(3, 4);

/* Query "limit" (1 … API_LIMIT_MAX, default API_LIMIT_DEFAULT) and "after" (cursor or NULL). */
void api_fields_page(struct api_fields *f, int *ret_limit, const char **ret_after);

/* No error so far and no unknown field in a body: call after the last getter. */
bool api_fields_ok(struct api_fields *f);

/* The problem for what was collected; ends f. */
struct api_response api_fields_refuse(struct api_fields *f, const struct api_call *call);
void api_fields_done(struct api_fields *f);

#endif
