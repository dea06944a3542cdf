/* SPDX-License-Identifier: Apache-2.0
 * Sessions: list, get, cancel. Touches the database; thread-safe. */
#include <stdio.h>

#include "api/framework/fields.h"
#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/session/session_json.h"

struct session_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_session session;
};

/* ---- list ---- */

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct db_session_filter *filter = l->arg;
    const char *state = api_field_string(f, "state", API_OPTIONAL, 1, 16);

    filter->package = api_field_string(f, "package", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
    (void)api_field_bool(f, "live", API_OPTIONAL, &filter->only_live);
    if (state != NULL && !db_session_state_parse(state, &filter->state)) {
        api_field_error(f, "state",
                        "must be waiting, running, draining, finished, failed, cancelled or "
                        "interrupted");
    }
    filter->by_state = state != NULL;
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    const struct db_session_place place = {
        .ascending = !l->descending, .after = l->after, .after_time = l->after_time};

    return db_session_page(conn, l->arg, &place, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_session *r = row;

    (void)l;
    api_cursor_time(ret_cursor, r->created_at, r->id);
    return api_session_json(r);
}

struct api_response api_sessions_list(const struct api_context *ctx, const struct api_call *call)
{
    static const struct api_sort sorts[] = {{"created_at", API_CURSOR_TIME_UUID}};
    struct db_session_filter filter = {0};
    struct api_list list = {.name = "list-sessions",
                            .row_size = sizeof(struct db_session),
                            .sorts = sorts,
                            .sort_count = 1,
                            .descending = true,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}

/* ---- get ---- */

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct session_tx *t = arg;

    return api_session_find(conn, t->call->params[0], &t->session, err);
}

struct api_response api_sessions_get(const struct api_context *ctx, const struct api_call *call)
{
    struct session_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-session", get_body, &t, &err);
    return err.code == CP_OK ? api_response_json(200, api_session_json(&t.session))
                             : api_refuse(call, &err);
}

/* ---- cancel ---- */

static enum cp_err cancel_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct session_tx *t = arg;
    const struct cp_err_info *info = cp_err_info(CP_ERR_CANCELLED);
    char subject[DB_TEXT_SIZE];
    bool changed;

    CP_TRY(api_session_find(conn, t->call->params[0], &t->session, err));
    CP_TRY(db_session_end(conn, t->session.id, DB_SESSION_CANCELLED, info->code,
                          "An operator cancelled the session.", &changed, err));
    CP_TRY(db_session_get(conn, t->session.id, &t->session, err));
    if (!changed) {
        /* Asked twice it is cancelled once; what ended otherwise cannot be cancelled any more. */
        return t->session.state == DB_SESSION_CANCELLED
                   ? CP_OK
                   : cp_error_set(err, CP_ERR_CONFLICT, "The session has ended: it is %s.",
                                  db_session_state_name(t->session.state));
    }
    (void)snprintf(subject, sizeof subject, "session %s", t->session.id);
    return api_event_write(
        conn, t->ctx, t->call,
        &(struct api_event){.kind = "session-cancelled",
                            .subject = subject,
                            .detail = json_pack("{s:s, s:I}", "package", t->session.package,
                                                "version", (json_int_t)t->session.version)},
        err);
}

struct api_response api_sessions_cancel(const struct api_context *ctx, const struct api_call *call)
{
    struct session_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_fields f;

    api_fields_body(&f, call);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    err.code = db_run_tx_locking(ctx->db, "cancel-session", cancel_body, &t, &err);
    return err.code == CP_OK ? api_response_json(200, api_session_json(&t.session))
                             : api_refuse(call, &err);
}
