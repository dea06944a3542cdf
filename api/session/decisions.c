/* SPDX-License-Identifier: Apache-2.0
 * What the sender of a session decided of late. Touches the database; thread-safe. */
#include <inttypes.h>
#include <stdio.h>

#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/handlers.h"
#include "api/session/session_json.h"

static void read_filter(struct api_fields *f, struct api_list *l)
{
    static const char *const words[] = {"rate", "parity", "budget", NULL};
    struct db_decision_list *filter = l->arg;

    filter->what = api_list_word(f, "what", words);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_decision_list *filter = l->arg;
    struct db_session session;

    CP_TRY(api_session_find(conn, l->call->params[0], &session, err));
    filter->session_id = session.id;
    filter->before = l->after_number;
    return db_decision_list(conn, filter, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_decision *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%" PRIu64, r->number);
    return api_decision_json(r);
}

struct api_response api_session_decisions_list(const struct api_context *ctx,
                                               const struct api_call *call)
{
    struct db_decision_list filter = {.what = NULL};
    struct api_list list = {.name = "list-decisions",
                            .row_size = sizeof(struct db_decision),
                            .cursor = API_CURSOR_NUMBER,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}
