/* SPDX-License-Identifier: Apache-2.0
 * Events of changes that requests make. Touches the database; thread-safe. */
#include "api/events/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/audit.h"
#include "db/event_json.h"

static enum cp_err add_event(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, const struct api_event *event,
                             struct cp_error *err)
{
    struct db_event *row = calloc(1, sizeof *row);
    enum cp_err code;

    if (row == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", event->kind);
    }
    (void)snprintf(row->node_id, sizeof row->node_id, "%s", ctx->node_id);
    (void)snprintf(row->kind, sizeof row->kind, "%s", event->kind);
    (void)snprintf(row->subject, sizeof row->subject, "%s", event->subject);
    (void)snprintf(row->actor, sizeof row->actor, "%s", call->who->account);
    (void)snprintf(row->request_id, sizeof row->request_id, "%s",
                   call->rq->request_id != NULL ? call->rq->request_id : "");
    code = event->detail == NULL || db_event_set_detail(row, json_incref(event->detail))
               ? db_event_add(conn, row, err)
               : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", event->kind);
    free(row);
    return code;
}

enum cp_err api_event_write(struct db_conn *conn, const struct api_context *ctx,
                            const struct api_call *call, const struct api_event *event,
                            struct cp_error *err)
{
    struct api_change change = {.outcome = DB_AUDIT_DONE,
                                .subject = event->subject,
                                .before = event->before,
                                .after = event->after != NULL ? event->after : event->detail};
    enum cp_err code;

    if (event->after == NULL && event->before != NULL && call->rq->method == API_DELETE) {
        change.after = NULL; /* it is gone, whatever the event tells of it */
    }
    code = add_event(conn, ctx, call, event, err);

    if (code == CP_OK) {
        code = api_audit_change(conn, ctx, call, &change, err);
    }
    json_decref(event->detail);
    json_decref(event->before);
    json_decref(event->after);
    return code;
}

json_t *api_event_changed(json_t *before, json_t *after)
{
    json_t *names = json_array();
    const json_t *value;
    const char *name;

    json_object_foreach(after, name, value)
    {
        if (!json_equal(value, json_object_get(before, name))) {
            (void)json_array_append_new(names, json_string(name));
        }
    }
    json_decref(before);
    json_decref(after);
    return names;
}
