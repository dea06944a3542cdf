/* SPDX-License-Identifier: Apache-2.0
 * Answers of HTTP/1.1, read strictly. Pure but for malloc; aborts at what must not be. */
#include "tests/fuzz/answers.h"

#include <ctype.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/err.h"

#define VERSION  "HTTP/1.1 "
#define CONTINUE VERSION "100 Continue\r\n\r\n"
#define PROBLEM  "application/problem+json"

struct answer {
    const char *head;
    size_t head_size; /* with the empty line */
    int status;
    const char *length, *type, *id, *connection; /* values, up to a CR; NULL: none */
    bool bodiless;
    const char *body;
    size_t body_size;
};

static bool value_is(const char *value, const char *wanted)
{
    return value != NULL && strncmp(value, wanted, strlen(wanted)) == 0 &&
           value[strlen(wanted)] == '\r';
}

/* One line of a head: a token, a colon, a value without control characters. */
static void read_field(struct answer *a, const char *line, const char *end)
{
    const struct {
        const char *name, **value;
    } known[] = {{"Content-Length", &a->length},
                 {"Content-Type", &a->type},
                 {"X-Request-Id", &a->id},
                 {"Connection", &a->connection}};
    const char *colon = memchr(line, ':', (size_t)(end - line));

    CP_ASSERT(colon != NULL && colon > line && colon[1] == ' ');
    for (const char *p = line; p < colon; p++) {
        CP_ASSERT(isalnum((unsigned char)*p) || *p == '-');
    }
    for (const char *p = colon; p < end; p++) {
        CP_ASSERT((unsigned char)*p >= ' ' && *p != 0x7f);
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncasecmp(line, known[i].name, (size_t)(colon - line)) == 0 &&
            known[i].name[colon - line] == '\0') {
            CP_ASSERT(*known[i].value == NULL); /* once */
            *known[i].value = colon + 2;
        }
    }
    CP_ASSERT(strncasecmp(line, "Transfer-Encoding:", 18) != 0);
    a->bodiless = a->bodiless || strncmp(line, FUZZ_BODILESS ":", sizeof FUZZ_BODILESS) == 0;
}

/* False: it is not whole. */
static bool read_head(const char *text, const char *end, struct answer *ret_answer)
{
    const char *stop = memmem(text, (size_t)(end - text), "\r\n\r\n", 4);
    struct answer a = {.head = text};
    const char *line = text;

    if (stop == NULL) {
        return false;
    }
    for (const char *next; line < stop + 2; line = next + 2) {
        next = memmem(line, (size_t)(stop + 2 - line), "\r\n", 2);
        CP_ASSERT(next != NULL);
        if (line == text) {
            CP_ASSERT(next - line > 12 && memcmp(line, VERSION, 9) == 0 && line[12] == ' ');
            a.status = atoi(line + 9);
        } else {
            read_field(&a, line, next);
        }
    }
    a.head_size = (size_t)(stop + 4 - text);
    *ret_answer = a;
    return true;
}

/* A refusal of ours. */
static void check_problem(const struct answer *a)
{
    json_t *problem;
    const char *code;

    CP_ASSERT(value_is(a->type, PROBLEM));
    if (a->bodiless) {
        return;
    }
    problem = json_loadb(a->body, a->body_size, JSON_REJECT_DUPLICATES, NULL);
    code = json_string_value(json_object_get(problem, "code"));
    CP_ASSERT(code != NULL && cp_err_from_code(code) != CP_OK);
    CP_ASSERT(cp_err_info(cp_err_from_code(code))->http_status == a->status);
    CP_ASSERT(json_integer_value(json_object_get(problem, "status")) == a->status);
    json_decref(problem);
}

/* libmicrohttpd's own: no id, HTML, and the connection's end. */
static void check_foreign(const struct answer *a, const char *end)
{
    const char *rest = a->head + a->head_size;

    CP_ASSERT(a->status == 400 || a->status == 413 || a->status == 505);
    CP_ASSERT(a->type == NULL && value_is(a->connection, "close"));
    if (a->status != 505 && (size_t)(end - rest) >= a->head_size &&
        memcmp(rest, a->head, a->head_size) == 0) {
        rest += a->head_size; /* twice */
    }
    CP_ASSERT(rest == end || (size_t)(end - rest) == strtoul(a->length, NULL, 10));
    CP_ASSERT(rest == end || strncmp(rest, "<html>", 6) == 0);
}

/* Where the next one begins; `end` after the last, NULL: it is cut off. */
static const char *check_one(const char *text, const char *end)
{
    size_t size = (size_t)(end - text);
    struct answer a;

    if (strncmp(text, CONTINUE, sizeof CONTINUE - 1) == 0) {
        return text + sizeof CONTINUE - 1;
    }
    if (!read_head(text, end, &a)) {
        size = size < sizeof VERSION - 1 ? size : sizeof VERSION - 1;
        CP_ASSERT(memcmp(text, VERSION, size) == 0);
        return NULL;
    }
    CP_ASSERT(a.status >= 200 && a.status < 600 && a.status != 500);
    CP_ASSERT(a.length != NULL && isdigit((unsigned char)a.length[0]));
    if (a.id == NULL) {
        check_foreign(&a, end);
        return end;
    }
    a.body = text + a.head_size;
    a.body_size = a.bodiless ? 0 : strtoul(a.length, NULL, 10);
    if (a.body_size > (size_t)(end - a.body)) {
        return NULL;
    }
    if (a.status >= 400) {
        check_problem(&a);
    }
    CP_ASSERT(!value_is(a.connection, "close") || a.body + a.body_size == end);
    return a.body + a.body_size;
}

void fuzz_answers_check(const char *text, size_t size, bool ended)
{
    const char *end = text + size;
    const char *at = text;

    while (at != NULL && at < end) {
        at = check_one(at, end);
    }
    CP_ASSERT(at != NULL || !ended);
}
