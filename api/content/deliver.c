/* SPDX-License-Identifier: Apache-2.0
 * The decision about content over HTTPS and the answer with it. Touches the database and the blob
 * store; thread-safe. */
#include "api/content/deliver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "api/access/access.h"
#include "api/framework/etag.h"
#include "api/framework/http_date.h"
#include "api/framework/range.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "common/base64.h"
#include "common/hex.h"
#include "content/blob.h"
#include "db/package.h"

#define CONTENT_TYPE "application/octet-stream"

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

/* A package that does not exist is guarded by the distribution point's own setting. */
static enum cp_err decide_missing(struct db_conn *conn, const char *name, enum db_access node,
                                  const struct api_principal *who, struct cp_error *err)
{
    struct db_package package = {.access = DB_ACCESS_INHERIT};
    enum cp_err rc = db_package_get(conn, name, &package, err);

    if (rc != CP_OK && rc != CP_ERR_PACKAGE_NOT_FOUND) {
        return rc;
    }
    return api_access_decide(rc == CP_OK ? package.access : DB_ACCESS_INHERIT, node, who, "", err);
}

enum cp_err api_deliver_find(struct db_conn *conn, const struct api_context *ctx,
                             const struct api_call *call, bool bytes,
                             struct db_version *ret_version, struct cp_error *err)
{
    struct cp_error missing = {.code = CP_OK};
    struct db_version v;
    enum db_access node;
    enum cp_err rc;

    CP_TRY(api_deliver_setting(conn, ctx, &node, err));
    rc = api_version_find(conn, call->params[0], call->params[1], &v, &missing);
    if (rc == CP_OK) {
        struct api_deliver_facts facts = {.version_id = v.id,
                                          .package = v.package,
                                          .number = v.number,
                                          .state = v.state,
                                          .policy = v.policy,
                                          .access = v.access};

        CP_TRY(api_deliver_decide(&facts, node, call->who, bytes, err));
        *ret_version = v;
        return CP_OK;
    }
    if (rc == CP_ERR_PACKAGE_NOT_FOUND || rc == CP_ERR_VERSION_NOT_FOUND ||
        rc == CP_ERR_VERSION_NOT_SEALED) {
        CP_TRY(decide_missing(conn, call->params[0], node, call->who, err));
    }
    return cp_error_set(err, rc, "%s", missing.text);
}

/* ---- the answer ---- */

struct delivery {
    const struct api_call *call;
    char etag[API_ETAG_SIZE];
    char modified[API_HTTP_DATE_SIZE];
    int64_t modified_s;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    bool immutable;
    uint64_t size;
    struct api_ranges ranges;
};

static void add_content_headers(struct api_response *rs, const struct delivery *d)
{
    char base64[CP_BASE64_SIZE(CONTENT_DIGEST_SIZE)];

    (void)cp_base64_encode(CP_BASE64_STD, d->digest, CONTENT_DIGEST_SIZE, base64);
    api_header_add(rs, "ETag", "%s", d->etag);
    api_header_add(rs, "Last-Modified", "%s", d->modified);
    api_header_add(rs, "Repr-Digest", "sha-256=:%s:", base64);
    api_header_add(rs, "Accept-Ranges", "bytes");
    /* private: a cache in between does not know who may have it */
    api_header_add(rs, "Cache-Control", "%s",
                   d->immutable ? "private, max-age=31536000, immutable" : "private, no-cache");
}

/* RFC 9110 13.1.3: If-Modified-Since counts only without If-None-Match. */
static bool client_has_it(const struct delivery *d)
{
    const struct api_request *rq = d->call->rq;
    const char *since = api_request_header(rq, "If-Modified-Since");
    int64_t since_s;

    if (since == NULL || api_request_header(rq, "If-None-Match") != NULL) {
        return api_etag_none_match(rq, d->etag);
    }
    return api_http_date_parse(since, &since_s) && d->modified_s <= since_s;
}

static struct api_response outside(const struct delivery *d)
{
    struct api_response rs = api_refuse_text(
        d->call, CP_ERR_RANGE,
        "Header 'Range' is '%.100s' but the content has %" PRIu64
        " bytes: ask for bytes 0 to %" PRIu64 ".",
        api_request_header(d->call->rq, "Range"), d->size, d->size > 0 ? d->size - 1 : 0);

    api_header_add(&rs, "Content-Range", "bytes */%" PRIu64, d->size);
    return rs;
}

/* Before each range of a multipart body (RFC 9110 14.6), and after the last one. */
#define PART_HEAD                                                                                  \
    "\r\n--%s\r\nContent-Type: " CONTENT_TYPE "\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64      \
    "/%" PRIu64 "\r\n\r\n"
#define PART_HEAD_MAX (sizeof PART_HEAD + sizeof(((struct api_response *)0)->boundary) + 3 * 20)

static enum cp_err make_parts(struct api_response *rs, const struct delivery *d)
{
    uint8_t random[(sizeof rs->boundary - 1) / 2];
    size_t cap = (d->ranges.count + 1) * PART_HEAD_MAX;

    rs->pieces = calloc(d->ranges.count, sizeof *rs->pieces);
    rs->body = malloc(cap);
    if (rs->pieces == NULL || rs->body == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    /* Random, so that no content can have it on purpose. */
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return CP_ERR_INTERNAL;
    }
    cp_hex_encode(random, sizeof random, rs->boundary);
    rs->piece_count = d->ranges.count;
    for (size_t i = 0; i < d->ranges.count; i++) {
        const struct api_range *r = &d->ranges.items[i];
        int size = snprintf(rs->body + rs->body_size, cap - rs->body_size, PART_HEAD, rs->boundary,
                            r->offset, r->offset + r->size - 1, d->size);

        rs->pieces[i] =
            (struct api_piece){.text_size = (size_t)size, .offset = r->offset, .size = r->size};
        rs->body_size += (size_t)size;
    }
    rs->body_size += (size_t)snprintf(rs->body + rs->body_size, cap - rs->body_size,
                                      "\r\n--%s--\r\n", rs->boundary);
    return CP_OK;
}

static enum cp_err add_ranges(struct api_response *rs, const struct delivery *d)
{
    const struct api_range *first = &d->ranges.items[0];

    rs->status = 206;
    if (d->ranges.count > 1) {
        rs->content_type = "multipart/byteranges";
        return make_parts(rs, d);
    }
    rs->fd_offset = first->offset;
    rs->fd_size = first->size;
    api_header_add(rs, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first->offset,
                   first->offset + first->size - 1, d->size);
    return CP_OK;
}

/* What the blob itself tells. */
static void find_times(struct delivery *d, int fd, int64_t modified_s)
{
    struct stat st;

    d->modified_s = modified_s;
    if (modified_s == API_MODIFIED_UNKNOWN) {
        d->modified_s = fstat(fd, &st) == 0 ? (int64_t)st.st_mtime : 0;
    }
    api_http_date(d->modified_s, d->modified);
}

/* RFC 9110 13.1.1 and 13.1.4: If-Unmodified-Since counts only without If-Match. */
static enum cp_err is_unchanged(const struct delivery *d, struct cp_error *err)
{
    const char *match = api_request_header(d->call->rq, "If-Match");
    const char *since = api_request_header(d->call->rq, "If-Unmodified-Since");
    int64_t since_s;

    if (match != NULL) {
        return api_etag_listed(match, d->etag, true)
                   ? CP_OK
                   : cp_error_set(err, CP_ERR_PRECONDITION_FAILED,
                                  "If-Match is '%.100s' but the present ETag is '%s'.", match,
                                  d->etag);
    }
    if (since != NULL && api_http_date_parse(since, &since_s) && d->modified_s > since_s) {
        return cp_error_set(err, CP_ERR_PRECONDITION_FAILED,
                            "If-Unmodified-Since is '%.100s' but it was modified on '%s'.", since,
                            d->modified);
    }
    return CP_OK;
}

/* With the blob open; conditions in the order of RFC 9110 13.2.2. */
static enum cp_err fill(struct api_response *rs, struct delivery *d, struct cp_error *err)
{
    CP_TRY(is_unchanged(d, err));
    if (client_has_it(d)) {
        rs->fd_size = d->size;
        add_content_headers(rs, d);
        api_response_unchanged(rs);
        return CP_OK;
    }
    /* A date names bytes for good only where the address does (RFC 9110 8.8.2.2). */
    api_range_request(d->call->rq, d->etag, d->immutable ? d->modified : "", d->size, &d->ranges);
    if (d->ranges.kind == API_RANGE_OUTSIDE) {
        return CP_ERR_RANGE;
    }
    rs->content_type = CONTENT_TYPE;
    rs->fd_size = d->size;
    add_content_headers(rs, d);
    return d->ranges.kind == API_RANGE_PART ? add_ranges(rs, d) : CP_OK;
}

/* Nobody gets a part of it under the ETag of the whole. */
static enum cp_err not_whole(const char *sha256, uint64_t found, uint64_t size,
                             struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_CONTENT_DAMAGED,
                        "Content %.64s cannot be had: the library has %" PRIu64
                        " bytes under its name, not %" PRIu64
                        ". Validate the library, then upload the same file again.",
                        sha256, found, size);
}

struct api_response api_deliver_blob(const struct api_context *ctx, const struct api_call *call,
                                     const char *sha256, uint64_t size, int64_t modified_s,
                                     bool immutable)
{
    struct delivery d = {.call = call, .immutable = immutable};
    struct api_response rs = api_response_empty(200);
    struct cp_error err = {.code = CP_OK};

    (void)snprintf(d.etag, sizeof d.etag, "\"%s\"", sha256);
    if (!cp_hex_decode(sha256, d.digest, sizeof d.digest)) {
        return api_refuse_text(call, CP_ERR_INTERNAL, "A digest in the database is damaged.");
    }
    err.code = blob_open(ctx->blobs, d.digest, &rs.fd, &d.size, &err);
    if (err.code != CP_OK) {
        return api_refuse(call, &err);
    }
    if (d.size != size) {
        err.code = not_whole(sha256, d.size, size, &err);
        api_response_done(&rs);
        return api_refuse(call, &err);
    }
    find_times(&d, rs.fd, modified_s);
    err.code = fill(&rs, &d, &err);
    if (err.code == CP_OK) {
        return rs;
    }
    api_response_done(&rs);
    return err.code == CP_ERR_RANGE ? outside(&d) : api_refuse(call, &err);
}
