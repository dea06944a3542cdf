/* SPDX-License-Identifier: Apache-2.0
 * The signed manifest of a version, its exact bytes. Touches the database; thread-safe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/content/deliver.h"
#include "api/framework/etag.h"
#include "api/framework/respond.h"
#include "api/handlers.h"

struct manifest_read {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_version version;
    char etag[API_ETAG_SIZE];
    char *text;
    size_t size;
};

static enum cp_err read_manifest(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct manifest_read *m = arg;

    free(m->text);
    m->text = NULL;
    CP_TRY(api_deliver_find(conn, m->ctx, m->call, false, &m->version, err));
    if (m->version.state == DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_SEALED,
                            "Version %u of package '%s' is a draft: it gets its manifest when it "
                            "is sealed.",
                            (unsigned)m->version.number, m->version.package);
    }
    (void)snprintf(m->etag, sizeof m->etag, "\"%s\"", m->version.manifest_sha256);
    return db_version_manifest(conn, m->version.id, &m->text, &m->size, err);
}

struct api_response api_manifest_get(const struct api_context *ctx, const struct api_call *call)
{
    struct manifest_read m = {.ctx = ctx, .call = call};
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = db_run_read(ctx->db, "read-manifest", read_manifest, &m, &err);
    if (err.code != CP_OK) {
        free(m.text);
        return api_refuse(call, &err);
    }
    rs = api_response_empty(200);
    rs.content_type = "application/json";
    rs.body = m.text;
    rs.body_size = m.size;
    if (api_etag_none_match(call->rq, m.etag)) {
        api_response_unchanged(&rs);
    }
    api_header_add(&rs, "ETag", "%s", m.etag);
    api_header_add(&rs, "Cache-Control", "private, no-cache");
    api_header_add(&rs, "X-Castpoint-Signature", "%.350s", m.version.manifest_signature);
    return rs;
}
