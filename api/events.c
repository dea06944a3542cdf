/* SPDX-License-Identifier: Apache-2.0
 * Events: what happened, newest first. Touches the database; thread-safe. */
#include <inttypes.h>
#include <stdio.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/list.h"
#include "api/resource.h"
#include "api/respond.h"
#include "db/event.h"

static json_t *event_json(const struct db_event *e)
{
    json_t *detail = json_loads(e->detail[0] != '\0' ? e->detail : "{}", 0, NULL);

    return json_pack("{s:I, s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "id", (json_int_t)e->id, "time",
                     api_json_time(e->time), "node_id", api_json_text(e->node_id), "kind", e->kind,
                     "subject", e->subject, "actor", api_json_text(e->actor), "detail",
                     detail != NULL ? detail : json_object(), "request_id",
                     api_json_text(e->request_id));
}

static void read_filter(struct api_fields *f, struct api_list *l)
{
    const char **kind = l->arg;

    *kind = api_field_string(f, "kind", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    const char **kind = l->arg;

    return db_event_list(conn, *kind, l->after_number, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_event *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, r->id);
    return event_json(r);
}

struct api_response api_events_list(const struct api_context *ctx, const struct api_call *call)
{
    const char *kind = NULL;
    struct api_list list = {.name = "list-events",
                            .row_size = sizeof(struct db_event),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &kind};

    return api_list_respond(ctx, call, &list);
}
