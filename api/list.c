/* SPDX-License-Identifier: Apache-2.0
 * Lists, page by page. Touches the database; thread-safe. */
#include "api/list.h"

#include <stdlib.h>

#include "api/respond.h"

static void read_page(struct api_fields *f, struct api_list *l)
{
    const char *after = NULL;
    int64_t number = 0;
    int limit = 0;

    api_fields_page(f, &limit, &after);
    l->want = (size_t)limit + 1;
    if (l->cursor == API_CURSOR_NUMBER) {
        (void)api_field_int(f, "after", API_OPTIONAL, 1, INT64_MAX, &number);
    }
    if (after != NULL && l->cursor == API_CURSOR_UUID && !db_is_uuid(after)) {
        api_field_error(f, "after", "must be the 'next' of the page before");
    }
    l->after = after != NULL ? after : "";
    l->after_number = (uint64_t)number;
}

static enum cp_err fetch(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_list *l = arg;

    return l->fetch(conn, l, err);
}

static struct api_response page(const struct api_list *l)
{
    json_t *items = json_array();
    char next[API_CURSOR_SIZE] = "";
    size_t shown = l->count < l->want ? l->count : l->want - 1;

    for (size_t i = 0; i < shown; i++) {
        const void *row = (const char *)l->rows + i * l->row_size;

        (void)json_array_append_new(items, l->row(l, row, next));
    }
    return api_response_list(items, l->count > shown ? next : NULL);
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
    api_fields_done(&f);
    return rs;
}
