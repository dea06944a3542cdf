/* SPDX-License-Identifier: Apache-2.0
 * Keys of a distribution point: list, rotate. Touches the database; thread-safe. */
#include <stdio.h>
#include <string.h>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/list.h"
#include "api/resource.h"
#include "api/respond.h"
#include "common/base64.h"
#include "db/key.h"
#include "keys/keyring.h"

struct keys_tx {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_node node;
    enum db_key_kind kind;
    struct db_key key;
};

static json_t *key_json(const struct db_key *k)
{
    char public_key[CP_BASE64_SIZE(sizeof k->public_key)];

    (void)cp_base64_encode(CP_BASE64_URL, k->public_key, k->public_key_size, public_key);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", k->id,
        "kind", db_key_kind_name(k->kind), "state", k->active ? "active" : "retired", "fingerprint",
        k->fingerprint, "public_key", public_key, "certificate", api_json_text(k->certificate),
        "not_before", api_json_time(k->not_before), "not_after", api_json_time(k->not_after),
        "created_at", api_json_time(k->created_at), "retired_at", api_json_time(k->retired_at),
        "retired_reason", api_json_text(k->retired_reason), "last_used_at",
        api_json_time(k->last_used_at), "checked_at", api_json_time(k->checked_at), "check_result",
        api_json_text(k->check_result));
}

/* ---- list ---- */

static enum cp_err fetch_page(struct db_conn *conn, struct api_list *l, struct cp_error *err)
{
    struct db_node node;

    CP_TRY(api_node_find(conn, l->ctx, l->call->params[0], &node, err));
    return db_key_list(conn, node.id, l->after, l->want, l->rows, &l->count, err);
}

static json_t *page_row(const struct api_list *l, const void *row, char ret_cursor[API_CURSOR_SIZE])
{
    const struct db_key *r = row;

    (void)l;
    (void)snprintf(ret_cursor, API_CURSOR_SIZE, "%s", r->id);
    return key_json(r);
}

struct api_response api_keys_list(const struct api_context *ctx, const struct api_call *call)
{
    struct api_list list = {.name = "list-keys",
                            .row_size = sizeof(struct db_key),
                            .cursor = API_CURSOR_UUID,
                            .fetch = fetch_page,
                            .row = page_row};

    return api_list_respond(ctx, call, &list);
}

/* ---- rotate ---- */

static enum cp_err rotate_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct keys_tx *t = arg;

    CP_TRY(api_node_find(conn, t->ctx, t->call->params[0], &t->node, err));
    if (strcmp(t->node.id, t->ctx->node_id) != 0) {
        /* Its keys are sealed under its own master key. */
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "The keys of '%s' can only be rotated there: send the request to that "
                            "distribution point.",
                            t->node.name);
    }
    CP_TRY(keys_ring_rotate(t->ctx->keyring, conn, t->kind, t->call->who->account,
                            t->call->rq->request_id, err));
    return db_key_active(conn, t->node.id, t->kind, &t->key, err);
}

struct api_response api_keys_rotate(const struct api_context *ctx, const struct api_call *call)
{
    struct keys_tx t = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    if (!api_fields_none(call, &rs)) {
        return rs;
    }
    if (!db_key_kind_parse(call->params[1], &t.kind)) {
        return api_refuse_text(call, CP_ERR_NOT_FOUND,
                               "There is no kind of key '%.60s': give 'identity' or 'multicast'.",
                               call->params[1]);
    }
    err.code = db_run_tx_locking(ctx->db, "rotate-key", rotate_body, &t, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_json(200, key_json(&t.key));
}
