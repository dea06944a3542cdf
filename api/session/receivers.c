/* SPDX-License-Identifier: Apache-2.0
 * The receivers of a session. Touches the database; thread-safe. */
#include <stdio.h>

#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/handlers.h"
#include "api/session/session_json.h"

static const char *const state_words[] = {"joined", "receiving", "repairing", "verifying", "done",
                                          "moved",  "failed",    "lost",      NULL};

static void read_filter(struct api_fields *f, struct api_list *l)
{
    struct db_receiver_filter *filter = l->arg;

    filter->state = api_list_word(f, "state", state_words);
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_receiver_filter *filter = l->arg;
    struct db_session session;

    CP_TRY(api_session_find(conn, l->call->params[0], &session, err));
    filter->session_id = session.id;
    filter->after = l->after;
    return db_receiver_page(conn, filter, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_receiver *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->id);
    return api_receiver_json(r);
}

struct api_response api_session_receivers_list(const struct api_context *ctx,
                                               const struct api_call *call)
{
    struct db_receiver_filter filter = {.state = NULL};
    struct api_list list = {.name = "list-receivers",
                            .row_size = sizeof(struct db_receiver),
                            .cursor = API_CURSOR_UUID,
                            .filter = read_filter,
                            .fetch = fetch_page,
                            .row = page_row,
                            .arg = &filter};

    return api_list_respond(ctx, call, &list);
}
