/* SPDX-License-Identifier: Apache-2.0
 * The decision about content over HTTPS and the answer with it. Touches the database and the blob
 * store; thread-safe. */
#include "api/deliver.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/access.h"
#include "api/etag.h"
#include "api/range.h"
#include "api/respond.h"
#include "common/base64.h"
#include "common/hex.h"
#include "content/blob.h"

struct api_deliver_facts api_deliver_facts_of(const struct db_version *v)
{
    return (struct api_deliver_facts){.version_id = v->id,
                                      .package = v->package,
                                      .number = v->number,
                                      .state = v->state,
                                      .policy = v->policy,
                                      .access = v->access};
}

enum cp_err api_deliver_decide(const struct api_deliver_facts *v, enum db_access node,
                               const struct api_principal *who, bool bytes, struct cp_error *err)
{
    bool joined =
        who->receiver_id[0] != '\0' && strcmp(who->receiver_version_id, v->version_id) == 0;

    if (who->role >= API_ROLE_OPERATOR) {
        return CP_OK;
    }
    CP_TRY(api_access_decide(v->access, node, who, v->version_id, err));
    if (v->state == DB_VERSION_DRAFT) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_SEALED,
                            "Version %u of package '%s' is a draft: its content is for operators "
                            "until it is sealed.",
                            (unsigned)v->number, v->package);
    }
    if (v->state == DB_VERSION_RETIRED && !joined) {
        return cp_error_set(err, CP_ERR_VERSION_RETIRED,
                            "Version %u of package '%s' is retired: ask for the current version.",
                            (unsigned)v->number, v->package);
    }
    if (bytes && v->policy == DB_POLICY_REQUIRE) {
        return cp_error_set(err, CP_ERR_MULTICAST_ONLY,
                            "Package '%s' has the policy 'require': its content is not given out "
                            "by HTTPS; fetch it by multicast, or set the policy to 'prefer'.",
                            v->package);
    }
    return CP_OK;
}

enum cp_err api_deliver_setting(struct db_conn *conn, const struct api_context *ctx,
                                enum db_access *ret_access, struct cp_error *err)
{
    struct db_settings settings;

    CP_TRY(db_settings_get(conn, ctx->node_id, &settings, err));
    *ret_access = settings.content_access;
    return CP_OK;
}

static void add_content_headers(struct api_response *rs, const char *etag, const uint8_t *digest,
                                bool immutable)
{
    char base64[CP_BASE64_SIZE(CONTENT_DIGEST_SIZE)];

    (void)cp_base64_encode(CP_BASE64_STD, digest, CONTENT_DIGEST_SIZE, base64);
    api_header_add(rs, "ETag", "%s", etag);
    api_header_add(rs, "Repr-Digest", "sha-256=:%s:", base64);
    api_header_add(rs, "Accept-Ranges", "bytes");
    /* private: a cache in between does not know who may have it */
    api_header_add(rs, "Cache-Control", "%s",
                   immutable ? "private, max-age=31536000, immutable" : "private, no-cache");
}

static struct api_response outside(const struct api_call *call, uint64_t size)
{
    struct api_response rs =
        api_refuse_text(call, CP_ERR_RANGE,
                        "Header 'Range' is '%.100s' but the content has %" PRIu64
                        " bytes: ask for bytes 0 to %" PRIu64 ".",
                        api_request_header(call->rq, "Range"), size, size > 0 ? size - 1 : 0);

    api_header_add(&rs, "Content-Range", "bytes */%" PRIu64, size);
    return rs;
}

struct api_response api_deliver_blob(const struct api_context *ctx, const struct api_call *call,
                                     const char *sha256, bool immutable)
{
    struct api_response rs = api_response_empty(200);
    struct cp_error err = {.code = CP_OK};
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char etag[API_ETAG_SIZE];
    enum api_range_kind kind;
    uint64_t size;

    (void)snprintf(etag, sizeof etag, "\"%s\"", sha256);
    if (!cp_hex_decode(sha256, digest, sizeof digest)) {
        return api_refuse_text(call, CP_ERR_INTERNAL, "A digest in the database is damaged.");
    }
    if (api_etag_none_match(call->rq, etag)) {
        rs.status = 304;
        add_content_headers(&rs, etag, digest, immutable);
        return rs;
    }
    err.code = blob_open(ctx->blobs, digest, &rs.fd, &size, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    rs.fd_size = size;
    kind = api_range_request(call->rq, etag, size, &rs.fd_offset, &rs.fd_size);
    if (kind == API_RANGE_OUTSIDE) {
        api_response_done(&rs);
        return outside(call, size);
    }
    rs.content_type = "application/octet-stream";
    add_content_headers(&rs, etag, digest, immutable);
    if (kind == API_RANGE_PART) {
        rs.status = 206;
        api_header_add(&rs, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, rs.fd_offset,
                       rs.fd_offset + rs.fd_size - 1, size);
    }
    return rs;
}
