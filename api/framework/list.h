/* SPDX-License-Identifier: Apache-2.0
 * Lists, page by page: what all of them do (limit, cursor, transaction, answer), so that a resource
 * says only what it lists. Touches the database; thread-safe. */
#ifndef API_FRAMEWORK_LIST_H
#define API_FRAMEWORK_LIST_H

#include <jansson.h>

#include "api/api.h"
#include "api/framework/fields.h"
#include "db/db.h"

#define API_CURSOR_SIZE DB_PATH_SIZE

/* What `after` of a list is: a name or path, an id, a number, or, for orders in which several rows
 * may be equal, a time and what tells those apart (api_cursor_time). */
enum api_cursor {
    API_CURSOR_TEXT,
    API_CURSOR_UUID,
    API_CURSOR_NUMBER,
    API_CURSOR_TIME_TEXT,
    API_CURSOR_TIME_UUID
};

/* An order that a list can be had in. `sort` names it; "-created_at" is the same backwards. */
struct api_sort {
    const char *word; /* "created_at" */
    enum api_cursor cursor;
};

struct api_list;

/* Reads the list's own query parameters. */
typedef void api_list_filter(struct api_fields *f, struct api_list *list);
/* Fetches up to list->want rows after the cursor into list->rows and sets list->count; may run
 * more than once. */
typedef enum cp_err api_list_fetch(struct db_conn *conn, struct api_list *list,
                                   struct cp_error *err);
/* JSON of one row; writes the cursor that a page after this row starts from. */
typedef json_t *api_list_row(const struct api_list *list, const void *row,
                             char ret_cursor[API_CURSOR_SIZE]);

struct api_list {
    /* what differs, set by the resource */
    const char *name; /* of the transaction: "list-packages" */
    size_t row_size;
    enum api_cursor cursor;
    const struct api_sort *sorts; /* instead of `cursor`: what `sort` takes; NULL: no choice */
    size_t sort_count;
    bool descending;         /* without `sort`: the first of sorts, backwards */
    api_list_filter *filter; /* NULL: none */
    api_list_fetch *fetch;
    api_list_row *row;
    void *arg;          /* the resource's own */
    const char *beside; /* a member of the answer beside the items; NULL: none. Else fetch sets: */
    json_t *beside_json;

    /* set by api_list_respond */
    const struct api_context *ctx;
    const struct api_call *call;
    size_t sort;           /* which of sorts; `descending` says its direction */
    const char *after;     /* "" from the start */
    uint64_t after_number; /* 0 from the start */
    uint64_t after_time;   /* nanoseconds, 0 from the start; `after` is what follows it */
    size_t want;           /* rows to fetch: one more than a page shows */
    void *rows;
    size_t count;
};

/* Filters, for api_list_filter: one of a NULL-terminated list of words, NULL when it is not given; a
 * switch, kept at ret, NULL when it is not given. */
const char *api_list_word(struct api_fields *f, const char *name, const char *const *words);
const bool *api_list_switch(struct api_fields *f, const char *name, bool *ret);

/* The cursor of a row in an order by time: `tie` is its name or id. */
void api_cursor_time(char ret_cursor[API_CURSOR_SIZE], uint64_t wall_ns, const char *tie);

/* The whole handler of a list; its answer has the next page's address in Link (RFC 8288) too. */
struct api_response api_list_respond(const struct api_context *ctx, const struct api_call *call,
                                     struct api_list *list);

#endif
