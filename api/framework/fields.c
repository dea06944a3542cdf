/* SPDX-License-Identifier: Apache-2.0
 * Strict fields of JSON bodies and queries; all that is wrong is collected and answered at once.
 * Pure but for malloc. */
#include "api/framework/fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/framework/respond.h"

/* Our bodies are at most two levels deep; jansson's own limit is 2048. */
#define BODY_DEPTH_MAX 16

/* Longest value that an error repeats. */
#define ERROR_VALUE_MAX 200

/* A body of a megabyte could be wrong in a hundred thousand places; nobody reads more than these. */
#define ERRORS_MAX 20u

#define BODY_MAX (1024u * 1024u)
/* All of a distribution point in one document: an export of 100,000 packages has 11 MB. */
#define CONFIGURATION_MAX (16u * BODY_MAX)

size_t api_body_max(const struct api_request *rq)
{
    bool configuration = rq->method == API_PUT && strcmp(rq->path, "/api/v1/configuration") == 0;

    return configuration ? CONFIGURATION_MAX : BODY_MAX;
}

static bool too_deep(const char *text, size_t size)
{
    int depth = 0;
    bool in_string = false;

    for (size_t i = 0; i < size; i++) {
        if (in_string) {
            if (text[i] == '\\') {
                i++;
            } else if (text[i] == '"') {
                in_string = false;
            }
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > BODY_DEPTH_MAX) {
                return true;
            }
        } else if (text[i] == '}' || text[i] == ']') {
            depth--;
        }
    }
    return false;
}

static bool type_is(const char *type, const char *wanted)
{
    size_t size = strcspn(type, "; \t");

    return size == strlen(wanted) && strncasecmp(type, wanted, size) == 0;
}

static enum cp_err check_type(const struct api_request *rq, struct cp_error *err)
{
    const char *type = api_request_header(rq, "Content-Type");
    bool patch = rq->method == API_PATCH;

    if (type == NULL) {
        return cp_error_set(err, CP_ERR_UNSUPPORTED_MEDIA,
                            "Header 'Content-Type' is missing: send 'application/json' with the "
                            "body.");
    }
    if (type_is(type, "application/json") ||
        (patch && type_is(type, "application/merge-patch+json"))) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_UNSUPPORTED_MEDIA,
                        "Header 'Content-Type' is '%.100s': send 'application/json'%s.", type,
                        patch ? " or 'application/merge-patch+json'" : "");
}

/* The field of the outer object that lies at `end`: "name": … Its text is JSON up to there. */
static void find_field(const char *text, size_t end, char *ret_name, size_t cap)
{
    size_t from = 0;
    size_t size = 0;
    int depth = 0;

    for (size_t i = 0; i < end; i++) {
        if (text[i] == '"') {
            size_t start = ++i;

            for (; i < end && text[i] != '"'; i++) {
                i += text[i] == '\\';
            }
            if (depth == 1 && i + 1 < end && text[i + 1 + strspn(text + i + 1, " \t\r\n")] == ':') {
                from = start;
                size = i - start;
            }
        } else {
            depth += text[i] == '{' || text[i] == '[';
            depth -= text[i] == '}' || text[i] == ']';
        }
    }
    (void)snprintf(ret_name, cap, "%.*s", (int)(size < cap ? size : 0), text + from);
}

/* What 64 bits or a double cannot hold is JSON all the same, and no field takes it. */
static void refuse_number(struct api_fields *f, const struct api_request *rq,
                          const json_error_t *at)
{
    char name[64];

    find_field(rq->body, (size_t)at->position, name, sizeof name);
    api_field_error(f, name, "has a number that is too large");
    (void)cp_error_set(&f->fail, CP_ERR_INVALID,
                       "Field '%s' has a number that is too large, line %d, column %d.", name,
                       at->line, at->column);
}

static void parse_body(struct api_fields *f, const struct api_request *rq)
{
    json_error_t at;

    if (check_type(rq, &f->fail) != CP_OK) {
        return;
    }
    if (rq->body_size > api_body_max(rq)) {
        (void)cp_error_set(&f->fail, CP_ERR_TOO_LARGE, "The body has %zu bytes: send at most %zu.",
                           rq->body_size, api_body_max(rq));
        return;
    }
    if (too_deep(rq->body, rq->body_size)) {
        (void)cp_error_set(&f->fail, CP_ERR_INVALID,
                           "The body is nested more than %d levels deep: send one JSON object.",
                           BODY_DEPTH_MAX);
        return;
    }
    f->body = json_loadb(rq->body, rq->body_size, JSON_REJECT_DUPLICATES, &at);
    if (f->body == NULL && json_error_code(&at) == json_error_numeric_overflow) {
        refuse_number(f, rq, &at);
    } else if (f->body == NULL) {
        (void)cp_error_set(&f->fail, CP_ERR_INVALID,
                           "The body is not valid JSON, line %d, column %d: %s.", at.line,
                           at.column, at.text);
    } else if (!json_is_object(f->body)) {
        (void)cp_error_set(&f->fail, CP_ERR_INVALID, "The body must be one JSON object.");
    }
}

static void init(struct api_fields *f, const struct api_request *rq)
{
    memset(f, 0, sizeof *f);
    f->rq = rq;
    f->errors = json_array();
}

void api_fields_body(struct api_fields *f, const struct api_call *call)
{
    init(f, call->rq);
    if (call->rq->body != NULL && call->rq->body_size > 0) {
        parse_body(f, call->rq);
    } else {
        f->body = json_object();
    }
    if (f->fail.code == CP_OK && (f->body == NULL || f->errors == NULL)) {
        (void)cp_error_set(&f->fail, CP_ERR_NO_MEMORY, "No memory to read the body.");
    }
}

bool api_fields_none(const struct api_call *call, struct api_response *ret_response)
{
    struct api_fields f;

    api_fields_body(&f, call);
    if (!api_fields_ok(&f)) {
        *ret_response = api_fields_refuse(&f, call);
        return false;
    }
    api_fields_done(&f);
    return true;
}

void api_fields_query(struct api_fields *f, const struct api_call *call)
{
    init(f, call->rq);
    f->from_query = true;
    if (f->errors == NULL) {
        (void)cp_error_set(&f->fail, CP_ERR_NO_MEMORY, "No memory to read the query.");
    }
}

/* The first of that name, NULL when there is none. */
static const struct api_pair *find_pair(const struct api_request *rq, const char *name)
{
    for (size_t i = 0; i < rq->query_count; i++) {
        if (strcmp(rq->query[i].name, name) == 0) {
            return &rq->query[i];
        }
    }
    return NULL;
}

static bool is_among(const char *const *names, const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

bool api_query_takes(const struct api_call *call, const char *const *names,
                     struct api_response *ret_response)
{
    const struct api_pair *query = call->rq->query;
    struct api_fields f;

    if (call->rq->query_count == 0) {
        return true;
    }
    api_fields_query(&f, call);
    for (size_t i = 0; i < call->rq->query_count; i++) {
        if (!is_among(names, query[i].name)) {
            api_field_error(&f, query[i].name, "is not a parameter of this address: remove it");
        } else if (find_pair(call->rq, query[i].name) != &query[i]) {
            api_field_error(&f, query[i].name, "is given twice: give it once");
        }
    }
    if (!api_fields_ok(&f)) {
        *ret_response = api_fields_refuse(&f, call);
        return false;
    }
    api_fields_done(&f);
    return true;
}

static const char *query_value(const struct api_fields *f, const char *name)
{
    const struct api_pair *pair = find_pair(f->rq, name);

    return pair == NULL ? NULL : pair->value != NULL ? pair->value : "";
}

/* What was sent, for the error; a secret is never repeated. */
static json_t *shown_value(const struct api_fields *f, const char *name)
{
    json_t *sent;

    if (strcmp(name, "password") == 0) {
        return json_null();
    }
    if (f->from_query) {
        const char *text = query_value(f, name);

        sent = text != NULL ? json_string(text) : NULL;
    } else {
        sent = json_incref(json_object_get(f->body, name));
    }
    if (sent == NULL || json_is_object(sent) || json_is_array(sent) ||
        (json_is_string(sent) && json_string_length(sent) > ERROR_VALUE_MAX)) {
        json_decref(sent);
        return json_null();
    }
    return sent;
}

void api_field_error(struct api_fields *f, const char *name, const char *fmt, ...)
{
    char text[CP_ERROR_TEXT_SIZE];
    json_t *field;
    va_list args;

    if (json_array_size(f->errors) >= ERRORS_MAX) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    field = json_string(name);
    if (field == NULL) {
        field = json_string("(not UTF-8)"); /* a parameter's name is the client's */
    }
    if (json_array_append_new(f->errors, json_pack("{s:o, s:o, s:s}", "field", field, "value",
                                                   shown_value(f, name), "message", text)) != 0) {
        (void)cp_error_set(&f->fail, CP_ERR_NO_MEMORY, "No memory to say what is wrong.");
    }
}

static void make_known(struct api_fields *f, const char *name)
{
    for (size_t i = 0; i < f->known_count; i++) {
        if (strcmp(f->known[i], name) == 0) {
            return;
        }
    }
    CP_ASSERT(f->known_count < API_FIELDS_MAX);
    f->known[f->known_count++] = name;
}

/* The field as JSON (borrowed) or as query text; false when it is absent or the body is unusable. */
static bool look_up(struct api_fields *f, const char *name, enum api_presence presence,
                    json_t **ret_value, const char **ret_text)
{
    make_known(f, name);
    if (f->fail.code != CP_OK) {
        return false;
    }
    *ret_value = f->from_query ? NULL : json_object_get(f->body, name);
    *ret_text = f->from_query ? query_value(f, name) : NULL;
    if (*ret_value != NULL || *ret_text != NULL) {
        return true;
    }
    if (presence == API_REQUIRED) {
        api_field_error(f, name, "is missing: it is required");
    }
    return false;
}

static bool parse_decimal(const char *text, int64_t *ret)
{
    char *end = NULL;
    size_t digits = strspn(text[0] == '-' ? text + 1 : text, "0123456789");

    if (digits == 0 || digits > 18) {
        return false;
    }
    *ret = strtoll(text, &end, 10);
    return *end == '\0';
}

bool api_field_int(struct api_fields *f, const char *name, enum api_presence presence, int64_t min,
                   int64_t max, int64_t *ret)
{
    int64_t number = 0;
    json_t *value;
    const char *text;
    bool fits;

    if (!look_up(f, name, presence, &value, &text)) {
        return false;
    }
    if (value != NULL) {
        fits = json_is_integer(value);
        number = json_integer_value(value);
    } else {
        fits = parse_decimal(text, &number);
    }
    if (!fits || number < min || number > max) {
        api_field_error(f, name, "must be a whole number from %" PRId64 " to %" PRId64, min, max);
        return false;
    }
    *ret = number;
    return true;
}

bool api_field_bool(struct api_fields *f, const char *name, enum api_presence presence, bool *ret)
{
    json_t *value;
    const char *text;

    if (!look_up(f, name, presence, &value, &text)) {
        return false;
    }
    if (value != NULL ? json_is_boolean(value)
                      : strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        *ret = value != NULL ? json_is_true(value) : strcmp(text, "true") == 0;
        return true;
    }
    api_field_error(f, name, "must be true or false");
    return false;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

const char *api_field_string(struct api_fields *f, const char *name, enum api_presence presence,
                             size_t min, size_t max)
{
    json_t *value;
    const char *text;

    if (!look_up(f, name, presence, &value, &text)) {
        return NULL;
    }
    if (value != NULL) {
        text = json_string_value(value);
    }
    if (text == NULL || strlen(text) < min || strlen(text) > max || has_control(text)) {
        api_field_error(f, name, "must be text of %zu to %zu bytes without control characters", min,
                        max);
        return NULL;
    }
    return text;
}

int api_field_word(struct api_fields *f, const char *name, enum api_presence presence,
                   const char *const *words)
{
    char list[256] = "";
    size_t at = 0;
    json_t *value;
    const char *text;

    if (!look_up(f, name, presence, &value, &text)) {
        return -1;
    }
    if (value != NULL) {
        text = json_string_value(value);
    }
    for (int i = 0; words[i] != NULL; i++) {
        if (text != NULL && strcmp(text, words[i]) == 0) {
            return i;
        }
        if (at < sizeof list) {
            at += (size_t)snprintf(list + at, sizeof list - at, "%s'%s'", i > 0 ? ", " : "",
                                   words[i]);
        }
    }
    api_field_error(f, name, "must be one of %s", list);
    return -1;
}

bool api_field_null(struct api_fields *f, const char *name)
{
    make_known(f, name);
    return f->fail.code == CP_OK && !f->from_query && json_is_null(json_object_get(f->body, name));
}

static json_t *structured(struct api_fields *f, const char *name, enum api_presence presence,
                          json_type type)
{
    json_t *value = NULL;
    const char *text;

    if (!look_up(f, name, presence, &value, &text)) {
        return NULL;
    }
    if (value == NULL || json_typeof(value) != type) {
        api_field_error(f, name, "must be a JSON %s", type == JSON_OBJECT ? "object" : "array");
        return NULL;
    }
    return value;
}

json_t *api_field_object(struct api_fields *f, const char *name, enum api_presence presence)
{
    return structured(f, name, presence, JSON_OBJECT);
}

json_t *api_field_array(struct api_fields *f, const char *name, enum api_presence presence)
{
    return structured(f, name, presence, JSON_ARRAY);
}

void api_fields_page(struct api_fields *f, int *ret_limit, const char **ret_after)
{
    int64_t limit = API_LIMIT_DEFAULT;

    (void)api_field_int(f, "limit", API_OPTIONAL, 1, API_LIMIT_MAX, &limit);
    *ret_limit = (int)limit;
    *ret_after = api_field_string(f, "after", API_OPTIONAL, 1, 1023);
}

static bool is_known(const struct api_fields *f, const char *name)
{
    for (size_t i = 0; i < f->known_count; i++) {
        if (strcmp(f->known[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void refuse_unknown(struct api_fields *f)
{
    const char *name;
    json_t *value;

    json_object_foreach(f->body, name, value)
    {
        if (!is_known(f, name)) {
            api_field_error(f, name, "is not a field of this request: remove it");
        }
    }
}

bool api_fields_ok(struct api_fields *f)
{
    if (f->fail.code != CP_OK) {
        return false;
    }
    refuse_unknown(f);
    return f->fail.code == CP_OK && json_array_size(f->errors) == 0;
}

void api_fields_inside(struct api_fields *f, const struct api_fields *parent, json_t *object)
{
    init(f, parent->rq);
    f->body = json_is_object(object) ? json_incref(object) : json_object();
    if (f->body == NULL || f->errors == NULL) {
        (void)cp_error_set(&f->fail, CP_ERR_NO_MEMORY, "No memory to read the body.");
    } else if (!json_is_object(object)) {
        api_field_error(f, "", "must be a JSON object");
    }
}

void api_fields_inside_end(struct api_fields *f, struct api_fields *parent, const char *prefix)
{
    size_t i;
    json_t *error;

    if (parent->fail.code == CP_OK) {
        parent->fail = f->fail;
    }
    json_array_foreach(f->errors, i, error)
    {
        const char *field = json_string_value(json_object_get(error, "field"));
        char path[256];

        (void)snprintf(path, sizeof path, "%s%s%s", prefix, field[0] != '\0' ? "." : "", field);
        (void)json_object_set_new(error, "field", json_string(path));
        if (json_array_size(parent->errors) < ERRORS_MAX) {
            (void)json_array_append(parent->errors, error);
        }
    }
    api_fields_done(f);
}

void api_fields_again(struct api_fields *f)
{
    (void)json_array_clear(f->errors);
}

struct api_response api_fields_refuse(struct api_fields *f, const struct api_call *call)
{
    struct cp_error err = f->fail;
    json_t *errors = NULL;
    struct api_response rs;

    if (err.code == CP_OK || err.code == CP_ERR_INVALID) {
        errors = json_array_size(f->errors) > 0 ? json_incref(f->errors) : NULL;
    }
    if (err.code == CP_OK) {
        const json_t *first = json_array_get(f->errors, 0);
        size_t count = json_array_size(f->errors);

        (void)cp_error_set(&err, CP_ERR_INVALID, "%s '%.64s' %.300s%s.",
                           f->from_query ? "Parameter" : "Field",
                           json_string_value(json_object_get(first, "field")),
                           json_string_value(json_object_get(first, "message")),
                           count > 1 ? "; 'errors' lists more" : "");
    }
    rs = api_problem_fields(call->rq, &err, errors);
    api_fields_done(f);
    return rs;
}

void api_fields_done(struct api_fields *f)
{
    json_decref(f->body);
    json_decref(f->errors);
    f->body = NULL;
    f->errors = NULL;
}
