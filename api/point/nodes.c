/* SPDX-License-Identifier: Apache-2.0
 * Distribution points: list and get. Touches the database; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/framework/list.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"

struct node_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_node node;
};

static json_t *node_json(const struct api_context *ctx, const struct db_node *n)
{
    bool local = strcmp(n->id, ctx->node_id) == 0;

    return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "id", n->id, "name", n->name,
                     "version", n->version, "local", local, "base_url",
                     local ? api_json_text(ctx->base_url) : json_null(), "tls_pin",
                     local ? api_json_text(ctx->tls_fingerprint) : json_null(), "created_at",
                     api_json_time(n->created_at), "started_at", api_json_time(n->started_at));
}

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    return db_node_list(conn, l->after, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_node *r = row;

    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->name);
    return node_json(l->ctx, r);
}

struct api_response api_nodes_list(const struct api_context *ctx, const struct api_call *call)
{
    struct api_list list = {.name = "list-nodes",
                            .row_size = sizeof(struct db_node),
                            .cursor = API_CURSOR_TEXT,
                            .fetch = fetch_page,
                            .row = page_row};

    return api_list_respond(ctx, call, &list);
}

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct node_tx *t = arg;

    return api_node_find(conn, t->ctx, t->call->params[0], &t->node, err);
}

struct api_response api_nodes_get(const struct api_context *ctx, const struct api_call *call)
{
    struct node_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "get-node", get_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_json(200, node_json(ctx, &t.node));
}
