/* SPDX-License-Identifier: Apache-2.0
 * Sessions: list, get, cancel. Touches the database; thread-safe. */
#include <stdlib.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/respond.h"
#include "api/session_json.h"

struct session_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_session_filter filter;
    const char *after;
    int limit;
    struct db_session *rows;
    size_t row_count;
    struct db_session session;
};

/* ---- list ---- */

static void read_filter(struct api_fields *f, struct session_tx *t)
{
    const char *state = api_field_string(f, "state", API_OPTIONAL, 1, 16);

    t->filter.package = api_field_string(f, "package", API_OPTIONAL, 1, DB_NAME_SIZE - 1);
    (void)api_field_bool(f, "live", API_OPTIONAL, &t->filter.only_live);
    if (state != NULL && !db_session_state_parse(state, &t->filter.state)) {
        api_field_error(f, "state",
                        "must be waiting, running, draining, finished, failed, cancelled or "
                        "interrupted");
    }
    t->filter.by_state = state != NULL;
    api_fields_page(f, &t->limit, &t->after);
    if (t->after != NULL && !db_is_uuid(t->after)) {
        api_field_error(f, "after", "must be the 'next' of the page before");
    }
}

static enum cp_err list_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct session_tx *t = arg;

    return db_session_list(conn, &t->filter, t->after != NULL ? t->after : "", (size_t)t->limit + 1,
                           t->rows, &t->row_count, err);
}

static struct api_response list_response(const struct session_tx *t)
{
    json_t *items = json_array();

    for (size_t i = 0; i < t->row_count && i < (size_t)t->limit; i++) {
        (void)json_array_append_new(items, api_session_json(&t->rows[i]));
    }
    return api_response_list(items,
                             t->row_count > (size_t)t->limit ? t->rows[t->limit - 1].id : NULL);
}

struct api_response api_sessions_list(const struct api_context *ctx, const struct api_call *call)
{
    struct session_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;

    api_fields_query(&f, call);
    read_filter(&f, &t);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    t.rows = api_rows_new(t.limit, sizeof *t.rows);
    if (t.rows == NULL) {
        rs = api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the list.");
    } else {
        err.code = db_run_read(ctx->db, "list-sessions", list_body, &t, &err);
        rs = err.code == CP_OK ? list_response(&t) : api_refuse(call, &err);
    }
    free(t.rows);
    api_fields_done(&f);
    return rs;
}

/* ---- get ---- */

static enum cp_err get_session(struct db_conn *conn, const char *id, struct db_session *ret_session,
                               struct cp_error *err)
{
    enum cp_err rc = CP_ERR_NOT_FOUND;

    if (db_is_uuid(id)) {
        rc = db_session_get(conn, id, ret_session, err);
    }
    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, rc,
                            "There is no session '%.60s': 'GET /api/v1/sessions' lists "
                            "them.",
                            id);
    }
    return rc;
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct session_tx *t = arg;

    return get_session(conn, t->call->params[0], &t->session, err);
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

    CP_TRY(get_session(conn, t->call->params[0], &t->session, err));
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
