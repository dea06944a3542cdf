/* SPDX-License-Identifier: Apache-2.0
 * Events of changes that requests make. Touches the database; thread-safe. */
#include "api/events/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/events/audit.h"
#include "db/event_json.h"

/* False: no memory. */
static bool describe(struct db_event *row, const struct api_context *ctx,
                     const struct api_call *call, const struct api_event *event)
{
    (void)snprintf(row->node_id, sizeof row->node_id, "%s", ctx->node_id);
    (void)snprintf(row->kind, sizeof row->kind, "%s", event->kind);
    (void)snprintf(row->subject, sizeof row->subject, "%s", event->subject);
    (void)snprintf(row->actor, sizeof row->actor, "%s", call->who->account);
    (void)snprintf(row->request_id, sizeof row->request_id, "%s",
                   call->rq->request_id != NULL ? call->rq->request_id : "");
    return event->detail == NULL || db_event_set_detail(row, json_incref(event->detail));
}

static enum cp_err add_events(struct db_conn *conn, const struct api_context *ctx,
                              const struct api_call *call, const struct api_event *events,
                              size_t count, struct cp_error *err)
{
    struct db_event *rows = calloc(count, sizeof *rows);
    bool good = rows != NULL;
    enum cp_err code;

    for (size_t i = 0; good && i < count; i++) {
        good = describe(&rows[i], ctx, call, &events[i]);
    }
    code =
        good ? db_event_add_many(conn, rows, count, err)
             : cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the event '%s'.", events[0].kind);
    free(rows);
    return code;
}

static enum cp_err add_entries(struct db_conn *conn, const struct api_context *ctx,
                               const struct api_call *call, const struct api_event *events,
                               size_t count, struct cp_error *err)
{
    struct api_change *changes = calloc(count, sizeof *changes);
    enum cp_err code;

    if (changes == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory for the audit log.");
    }
    for (size_t i = 0; i < count; i++) {
        const struct api_event *e = &events[i];

        changes[i] = (struct api_change){.outcome = DB_AUDIT_DONE,
                                         .subject = e->subject,
                                         .before = e->before,
                                         .after = e->after != NULL ? e->after : e->detail};
        if (e->after == NULL && e->before != NULL && call->rq->method == API_DELETE) {
            changes[i].after = NULL; /* it is gone, whatever the event tells of it */
        }
    }
    code = api_audit_changes(conn, ctx, call, changes, count, err);
    free(changes);
    return code;
}

enum cp_err api_event_write(struct db_conn *conn, const struct api_context *ctx,
                            const struct api_call *call, const struct api_event *event,
                            struct cp_error *err)
{
    return api_events_write(conn, ctx, call, event, 1, err);
}

enum cp_err api_events_write(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, const struct api_event *events,
                             size_t count, struct cp_error *err)
{
    enum cp_err code = add_events(conn, ctx, call, events, count, err);

    if (code == CP_OK) {
        code = add_entries(conn, ctx, call, events, count, err);
    }
    for (size_t i = 0; i < count; i++) {
        json_decref(events[i].detail);
        json_decref(events[i].before);
        json_decref(events[i].after);
    }
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
