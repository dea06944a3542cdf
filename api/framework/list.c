/* SPDX-License-Identifier: Apache-2.0
 * Lists, page by page. Touches the database; thread-safe. */
#include "api/framework/list.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/respond.h"

/* ---- the order ---- */

static void refuse_sort(struct api_fields *f, const struct api_list *l)
{
    char words[256] = "";
    size_t at = 0;

    for (size_t i = 0; i < l->sort_count && at < sizeof words; i++) {
        at += (size_t)snprintf(words + at, sizeof words - at, "%s'%s', '-%s'", i > 0 ? ", " : "",
                               l->sorts[i].word, l->sorts[i].word);
    }
    api_field_error(f, "sort", "must be one of %s", words);
}

static void read_sort(struct api_fields *f, struct api_list *l)
{
    const char *text;
    bool descending;

    if (l->sorts == NULL) {
        return;
    }
    text = api_field_string(f, "sort", API_OPTIONAL, 1, 64);
    l->sort = 0;
    for (size_t i = 0; text != NULL && i < l->sort_count; i++) {
        descending = text[0] == '-';
        if (strcmp(text + descending, l->sorts[i].word) == 0) {
            l->sort = i;
            l->descending = descending;
            text = NULL;
        }
    }
    if (text != NULL) {
        refuse_sort(f, l);
    }
    l->cursor = l->sorts[l->sort].cursor;
}

/* ---- filters ---- */

const char *api_list_word(struct api_fields *f, const char *name, const char *const *words)
{
    int word = api_field_word(f, name, API_OPTIONAL, words);

    return word >= 0 ? words[word] : NULL;
}

const bool *api_list_switch(struct api_fields *f, const char *name, bool *ret)
{
    return api_field_bool(f, name, API_OPTIONAL, ret) ? ret : NULL;
}

/* ---- the place ---- */

void api_cursor_time(char ret_cursor[API_CURSOR_SIZE], uint64_t wall_ns, const char *tie)
{
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64 "_%s", wall_ns / 1000, tie);
}

/* The database keeps microseconds: a time from there comes back exactly. */
static bool split_time(struct api_list *l, const char *after)
{
    size_t digits = strspn(after, "0123456789");

    if (digits == 0 || digits > 16 || after[digits] != '_' || after[digits + 1] == '\0') {
        return false;
    }
    l->after_time = strtoull(after, NULL, 10) * 1000;
    l->after = after + digits + 1;
    return true;
}

static void read_place(struct api_fields *f, struct api_list *l, const char *after)
{
    bool timed = l->cursor == API_CURSOR_TIME_TEXT || l->cursor == API_CURSOR_TIME_UUID;
    bool uuid = l->cursor == API_CURSOR_UUID || l->cursor == API_CURSOR_TIME_UUID;

    l->after = after != NULL ? after : "";
    if (after != NULL && ((timed && !split_time(l, after)) || (uuid && !db_is_uuid(l->after)))) {
        api_field_error(f, "after", "must be the 'next' of the page before, in the same order");
    }
}

static void read_page(struct api_fields *f, struct api_list *l)
{
    const char *after = NULL;
    int64_t number = 0;
    int limit = 0;

    api_fields_page(f, &limit, &after);
    l->want = (size_t)limit + 1;
    if (l->cursor == API_CURSOR_NUMBER) {
        (void)api_field_int(f, "after", API_OPTIONAL, 1, INT64_MAX, &number);
        l->after = "";
    } else {
        read_place(f, l, after);
    }
    l->after_number = (uint64_t)number;
}

/* ---- the answer ---- */

static enum cp_err fetch(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_list *l = arg;

    return l->fetch(conn, l, err);
}

static void put_encoded(FILE *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~/:,@";

    for (; *text != '\0'; text++) {
        if (strchr(plain, *text) != NULL) {
            (void)fputc(*text, out);
        } else {
            (void)fprintf(out, "%%%02X", (unsigned char)*text);
        }
    }
}

/* The same address with all its parameters but the new place. NULL: no memory; it is in the body. */
static char *link_next(const struct api_request *rq, const char *next)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL) {
        return NULL;
    }
    (void)fprintf(out, "<%s?", rq->path);
    for (size_t i = 0; i < rq->query_count; i++) {
        if (strcmp(rq->query[i].name, "after") != 0) {
            put_encoded(out, rq->query[i].name);
            (void)fputc('=', out);
            put_encoded(out, rq->query[i].value);
            (void)fputc('&', out);
        }
    }
    (void)fputs("after=", out);
    put_encoded(out, next);
    (void)fputs(">; rel=\"next\"", out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static struct api_response page(const struct api_list *l)
{
    json_t *items = json_array();
    char next[API_CURSOR_SIZE] = "";
    size_t shown = l->count < l->want ? l->count : l->want - 1;
    bool more = l->count > shown;
    struct api_response rs;

    for (size_t i = 0; i < shown; i++) {
        const void *row = (const char *)l->rows + i * l->row_size;

        (void)json_array_append_new(items, l->row(l, row, next));
    }
    if (l->beside == NULL) {
        rs = api_response_list(items, more ? next : NULL);
    } else {
        rs = api_response_json(200,
                               json_pack("{s:O, s:o, s:o}", l->beside, l->beside_json, "items",
                                         items, "next", more ? json_string(next) : json_null()));
    }
    if (more) {
        rs.link = link_next(l->call->rq, next);
    }
    return rs;
}

struct api_response api_list_respond(const struct api_context *ctx, const struct api_call *call,
                                     struct api_list *list)
{
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;

    list->ctx = ctx;
    list->call = call;
    api_fields_query(&f, call);
    read_sort(&f, list);
    if (list->filter != NULL) {
        list->filter(&f, list);
    }
    read_page(&f, list);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    list->rows = calloc(list->want, list->row_size);
    if (list->rows == NULL) {
        rs = api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the list.");
    } else {
        err.code = db_run_read(ctx->db, list->name, fetch, list, &err);
        rs = err.code == CP_OK ? page(list) : api_refuse(call, &err);
    }
    free(list->rows);
    json_decref(list->beside_json);
    api_fields_done(&f);
    return rs;
}
