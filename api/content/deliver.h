/* SPDX-License-Identifier: Apache-2.0
 * Handing out content: whether this caller may have a version over HTTPS, and the answer with a
 * blob or a range of it. Used by manifest, files and content. Thread-safe. */
#ifndef API_CONTENT_DELIVER_H
#define API_CONTENT_DELIVER_H

#include "api/api.h"
#include "db/blob.h"
#include "db/settings.h"
#include "db/version.h"

/* What is decided about: a version, by the facts that the decision needs. */
struct api_deliver_facts {
    const char *version_id;
    const char *package;
    uint32_t number;
    enum db_version_state state;
    enum db_policy policy;
    enum db_access access;
};

/* node: the distribution point's content_access. bytes: content itself (the policy "require"
 * counts), not only the manifest. A draft is for operators; a retired version for them and for
 * receivers that joined while it was sealed. Errors: those of api_access_decide,
 * CP_ERR_VERSION_NOT_SEALED, CP_ERR_VERSION_RETIRED, CP_ERR_MULTICAST_ONLY. Pure. */
CP_MUST_CHECK enum cp_err api_deliver_decide(const struct api_deliver_facts *v, enum db_access node,
                                             const struct api_principal *who, bool bytes,
                                             struct cp_error *err);

/* The content_access of this context's distribution point. */
CP_MUST_CHECK enum cp_err api_deliver_setting(struct db_conn *conn, const struct api_context *ctx,
                                              enum db_access *ret_access, struct cp_error *err);

/* The version of the path ({package}, {version}), when this caller may have it: api_version_find and
 * api_deliver_decide. Who may not have it is refused in the same way whether it exists or not. */
CP_MUST_CHECK enum cp_err api_deliver_find(struct db_conn *conn, const struct api_context *ctx,
                                           const struct api_call *call, bool bytes,
                                           struct db_version *ret_version, struct cp_error *err);

#define API_MODIFIED_UNKNOWN INT64_MIN

/* 200, 206, 304, 412 or 416 with the blob of a digest: ETag, Last-Modified, Repr-Digest,
 * Accept-Ranges, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since.
 * size: bytes that it has by the database; 503 content-damaged when the file in the store has not so
 * many. modified_s: when these bytes came to this address, seconds since 1970, or
 * API_MODIFIED_UNKNOWN: when the blob was stored. immutable: the address always means these bytes. */
struct api_response api_deliver_blob(const struct api_context *ctx, const struct api_call *call,
                                     const char *sha256, uint64_t size, int64_t modified_s,
                                     bool immutable);

#endif
