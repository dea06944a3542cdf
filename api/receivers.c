/* SPDX-License-Identifier: Apache-2.0
 * The receivers of a session. Touches the database; thread-safe. */
#include <stdlib.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/respond.h"
#include "api/session_json.h"

struct receivers_tx {
    const char *session_id;
    const char *after;
    int limit;
    struct db_receiver *rows;
    size_t row_count;
};

static enum cp_err list_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct receivers_tx *t = arg;
    struct db_session session;
    enum cp_err rc = CP_ERR_NOT_FOUND;

    if (db_is_uuid(t->session_id)) {
        rc = db_session_get(conn, t->session_id, &session, err);
    }
    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, rc,
                            "There is no session '%.60s': 'GET /api/v1/sessions' lists "
                            "them.",
                            t->session_id);
    }
    CP_TRY(rc);
    return db_receiver_list(conn, session.id, t->after != NULL ? t->after : "",
                            (size_t)t->limit + 1, t->rows, &t->row_count, err);
}

static struct api_response list_response(const struct receivers_tx *t)
{
    json_t *items = json_array();

    for (size_t i = 0; i < t->row_count && i < (size_t)t->limit; i++) {
        (void)json_array_append_new(items, api_receiver_json(&t->rows[i]));
    }
    return api_response_list(items,
                             t->row_count > (size_t)t->limit ? t->rows[t->limit - 1].id : NULL);
}

struct api_response api_session_receivers_list(const struct api_context *ctx,
                                               const struct api_call *call)
{
    struct receivers_tx t = {.session_id = call->params[0]};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;

    api_fields_query(&f, call);
    api_fields_page(&f, &t.limit, &t.after);
    if (t.after != NULL && !db_is_uuid(t.after)) {
        api_field_error(&f, "after", "must be the 'next' of the page before");
    }
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    t.rows = api_rows_new(t.limit, sizeof *t.rows);
    if (t.rows == NULL) {
        rs = api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the list.");
    } else {
        err.code = db_run_read(ctx->db, "list-receivers", list_body, &t, &err);
        rs = err.code == CP_OK ? list_response(&t) : api_refuse(call, &err);
    }
    free(t.rows);
    api_fields_done(&f);
    return rs;
}
