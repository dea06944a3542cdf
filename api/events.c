/* SPDX-License-Identifier: Apache-2.0
 * Events: what happened, newest first. Touches the database; thread-safe. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/respond.h"
#include "db/event.h"

struct event_list {
    int limit;
    const char *kind;
    uint64_t before;
    struct db_event *rows;
    size_t row_count;
};

static json_t *event_json(const struct db_event *e)
{
    json_t *detail = json_loads(e->detail[0] != '\0' ? e->detail : "{}", 0, NULL);

    return json_pack("{s:I, s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "id", (json_int_t)e->id, "time",
                     api_json_time(e->time), "node_id", api_json_text(e->node_id), "kind", e->kind,
                     "subject", e->subject, "actor", api_json_text(e->actor), "detail",
                     detail != NULL ? detail : json_object(), "request_id",
                     api_json_text(e->request_id));
}

static enum cp_err list_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct event_list *l = arg;

    return db_event_list(conn, l->kind, l->before, (size_t)l->limit + 1, l->rows, &l->row_count,
                         err);
}

static struct api_response list_response(const struct event_list *l)
{
    json_t *items = json_array();
    char next[24] = "";

    for (size_t i = 0; i < l->row_count && i < (size_t)l->limit; i++) {
        (void)json_array_append_new(items, event_json(&l->rows[i]));
    }
    if (l->row_count > (size_t)l->limit) {
        (void)snprintf(next, sizeof next, "%" PRIu64, l->rows[l->limit - 1].id);
    }
    return api_response_list(items, next);
}

struct api_response api_events_list(const struct api_context *ctx, const struct api_call *call)
{
    struct event_list l = {.limit = API_LIMIT_DEFAULT};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;
    int64_t number;

    api_fields_query(&f, call);
    if (api_field_int(&f, "limit", API_OPTIONAL, 1, API_LIMIT_MAX, &number)) {
        l.limit = (int)number;
    }
    if (api_field_int(&f, "after", API_OPTIONAL, 1, INT64_MAX, &number)) {
        l.before = (uint64_t)number;
    }
    l.kind = api_field_string(&f, "kind", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    l.rows = api_rows_new(l.limit, sizeof *l.rows);
    if (l.rows == NULL) {
        return api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the list.");
    }
    err.code = db_run_read(ctx->db, "list-events", list_body, &l, &err);
    rs = err.code == CP_OK ? list_response(&l) : api_refuse(call, &err);
    free(l.rows);
    return rs;
}
