/* SPDX-License-Identifier: Apache-2.0
 * The service itself: who it is, its health, its description. Touches the database;
 * thread-safe. */
#include <string.h>

#include "api/framework/etag.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/point/description.h"
#include "db/audit.h"
#include "keys/keyring.h"

struct api_response api_healthz(const struct api_context *ctx, const struct api_call *call)
{
    (void)ctx;
    (void)call;
    return api_response_json(200, json_pack("{s:s}", "status", "ok"));
}

/* "Does the process live" must not depend on what others wait for. */
bool api_is_prompt(const struct api_request *rq)
{
    return (rq->method == API_GET || rq->method == API_HEAD) && strcmp(rq->path, "/healthz") == 0;
}

struct readiness {
    const struct api_context *ctx;
    struct db_node node;
    bool audit_guarded;
};

static enum cp_err read_readiness(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct readiness *r = arg;

    CP_TRY(db_audit_guarded(conn, &r->audit_guarded, err));
    return db_node_get(conn, r->ctx->node_id, &r->node, err);
}

struct api_response api_readyz(const struct api_context *ctx, const struct api_call *call)
{
    struct readiness r = {.ctx = ctx};
    struct cp_error err = {.code = CP_OK};

    err.code = db_run_read(ctx->db, "ready", read_readiness, &r, &err);
    if (err.code == CP_ERR_NOT_FOUND) {
        return api_refuse_text(call, CP_ERR_UNAVAILABLE,
                               "The database does not know this distribution point any more: "
                               "restart castpointd.");
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_json(200, json_pack("{s:s, s:s, s:s}", "status", "ready", "library",
                                            r.node.library_foreign_since != 0 ? "foreign" : "own",
                                            "audit_log",
                                            r.audit_guarded ? "append-only" : "changeable"));
}

struct identity {
    const struct api_context *ctx;
    const char *request_id;
    char fingerprint[DB_DIGEST_SIZE];
};

static enum cp_err read_identity(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct identity *id = arg;
    struct db_key key;

    CP_TRY(db_key_active(conn, id->ctx->node_id, DB_KEY_IDENTITY, &key, err));
    memcpy(id->fingerprint, key.fingerprint, sizeof id->fingerprint);
    return CP_OK;
}

static enum cp_err make_identity(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct identity *id = arg;
    uint8_t public_key[32];

    return keys_ring_identity(id->ctx->keyring, conn, id->request_id, public_key, id->fingerprint,
                              err);
}

struct api_response api_service_get(const struct api_context *ctx, const struct api_call *call)
{
    struct identity id = {.ctx = ctx, .request_id = call->rq->request_id};
    struct cp_error err = {.code = CP_OK};

    /* everybody may ask, so only the very first question writes */
    err.code = db_run_read(ctx->db, "read-identity", read_identity, &id, &err);
    if (err.code == CP_ERR_NOT_FOUND) {
        err.code = db_run_tx_locking(ctx->db, "make-identity", make_identity, &id, &err);
    }
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    return api_response_json(200, json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:s}", "name",
                                            "castpoint", "version", ctx->version, "node", "id",
                                            ctx->node_id, "name", ctx->node_name, "identity_key",
                                            id.fingerprint, "openapi", "/api/v1/openapi.yaml"));
}

/* Bytes that are built in: the ETag lets clients keep them. */
static struct api_response built_in(const struct api_call *call, const char *type, const void *data,
                                    size_t size, const char *etag)
{
    struct api_response rs = api_response_bytes(200, type, data, size);

    if (rs.status == 200 && api_etag_none_match(call->rq, etag)) {
        api_response_unchanged(&rs);
    }
    api_header_add(&rs, "ETag", "%s", etag);
    api_header_add(&rs, "Cache-Control", "no-cache");
    return rs;
}

struct api_response api_openapi_get(const struct api_context *ctx, const struct api_call *call)
{
    (void)ctx;
    return built_in(call, "application/yaml", api_description, api_description_size,
                    api_description_etag);
}

struct api_response api_docs_get(const struct api_context *ctx, const struct api_call *call)
{
    struct api_response rs =
        built_in(call, "text/html; charset=utf-8", api_page, api_page_size, api_page_etag);

    (void)ctx;
    api_header_add(&rs, "Content-Security-Policy",
                   "default-src 'none'; style-src '%s'; base-uri 'none'; form-action 'none'; "
                   "frame-ancestors 'none'",
                   api_page_style);
    return rs;
}
