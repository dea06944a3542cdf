/* SPDX-License-Identifier: Apache-2.0
 * Distribution points: list and get. Touches the database; thread-safe. */
#include <stdlib.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/resource.h"
#include "api/respond.h"

struct node_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    int limit;
    const char *after;
    struct db_node *rows;
    size_t row_count;
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

static enum cp_err list_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct node_tx *t = arg;

    return db_node_list(conn, t->after != NULL ? t->after : "", (size_t)t->limit + 1, t->rows,
                        &t->row_count, err);
}

struct api_response api_nodes_list(const struct api_context *ctx, const struct api_call *call)
{
    struct node_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;
    struct api_fields f;
    json_t *items;

    api_fields_query(&f, call);
    api_fields_page(&f, &t.limit, &t.after);
    if (!api_fields_ok(&f)) {
        return api_fields_refuse(&f, call);
    }
    api_fields_done(&f);
    t.rows = api_rows_new(t.limit, sizeof *t.rows);
    if (t.rows == NULL) {
        return api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the list.");
    }
    err.code = db_run_read(ctx->db, "list-nodes", list_body, &t, &err);
    if (err.code != CP_OK) {
        free(t.rows);
        return api_refuse(call, &err);
    }
    items = json_array();
    for (size_t i = 0; i < t.row_count && i < (size_t)t.limit; i++) {
        (void)json_array_append_new(items, node_json(ctx, &t.rows[i]));
    }
    rs = api_response_list(items, t.row_count > (size_t)t.limit ? t.rows[t.limit - 1].name : NULL);
    free(t.rows);
    return rs;
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
