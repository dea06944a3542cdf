/* SPDX-License-Identifier: Apache-2.0
 * Lists, page by page: what all of them do (limit, cursor, transaction, answer), so that a resource
 * says only what it lists. Touches the database; thread-safe. */
#ifndef API_LIST_H
#define API_LIST_H

#include <jansson.h>

#include "api/api.h"
#include "api/fields.h"
#include "db/db.h"

#define API_CURSOR_SIZE DB_PATH_SIZE

/* What `after` of a list is: a name or path, an id, or a number. */
enum api_cursor { API_CURSOR_TEXT, API_CURSOR_UUID, API_CURSOR_NUMBER };

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
    api_list_filter *filter; /* NULL: none */
    api_list_fetch *fetch;
    api_list_row *row;
    void *arg; /* the resource's own */

    /* set by api_list_respond */
    const struct api_context *ctx;
    const struct api_call *call;
    const char *after;     /* "" from the start */
    uint64_t after_number; /* 0 from the start */
    size_t want;           /* rows to fetch: one more than a page shows */
    void *rows;
    size_t count;
};

/* The whole handler of a list. */
struct api_response api_list_respond(const struct api_context *ctx, const struct api_call *call,
                                     struct api_list *list);

#endif
