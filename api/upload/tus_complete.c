/* SPDX-License-Identifier: Apache-2.0
 * The end of a resumable upload, in steps that may be repeated after a crash between any two: the
 * digest is stored, the file becomes a blob, one transaction gives it to the draft. Touches the
 * database and the blob store. */
#include <stdio.h>
#include <string.h>

#include "api/framework/resource.h"
#include "api/upload/tus.h"
#include "api/upload/upload_target.h"
#include "common/hex.h"
#include "content/blob_care.h"

/* ---- taking ---- */

static enum cp_err get_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_tus_work *w = arg;

    return db_upload_get(conn, w->ctx->node_id, w->row.id, &w->row, err);
}

enum cp_err api_tus_take(struct api_tus_work *w, const char *id, struct cp_error *err)
{
    if (!db_is_uuid(id) || id[strspn(id, "0123456789abcdef-")] != '\0') {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "There is no upload '%.60s'.", id);
    }
    (void)snprintf(w->row.id, sizeof w->row.id, "%s", id);
    CP_TRY(blob_partial_open(w->ctx->blobs, id, &w->file, err));
    return db_run_read(w->ctx->db, "get-upload", get_body, w, err);
}

/* ---- the digest ---- */

static enum cp_err complete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_tus_work *w = arg;
    struct db_upload row = w->row;

    return db_upload_complete(conn, row.id, row.digest, &w->row, err);
}

/* What was announced cannot come of these bytes, however often it is tried. */
static enum cp_err throw_away(struct api_tus_work *w, struct cp_error *err)
{
    CP_TRY(api_tus_delete(w, err));
    return cp_error_set(err, CP_ERR_DIGEST_MISMATCH,
                        "File '%.150s' has the SHA-256 %s, announced was %s: the upload was thrown "
                        "away.",
                        w->row.path, w->row.digest, w->row.announced);
}

static enum cp_err find_digest(struct api_tus_work *w, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];

    CP_TRY(blob_partial_digest(w->file, digest, err));
    cp_hex_encode(digest, sizeof digest, w->row.digest);
    if (w->row.announced[0] != '\0' && strcmp(w->row.announced, w->row.digest) != 0) {
        return throw_away(w, err);
    }
    return db_run_tx_locking(w->ctx->db, "complete-upload", complete_body, w, err);
}

/* ---- the blob and the draft ---- */

/* The process may have died after this step: then the blob is there and the upload's file is not. */
static enum cp_err publish(struct api_tus_work *w, const uint8_t digest[CONTENT_DIGEST_SIZE],
                           struct cp_error *err)
{
    enum cp_err code = blob_partial_publish(w->file, digest, err);

    if (code != CP_ERR_BLOB_MISSING) {
        return code;
    }
    if (blob_hold(w->ctx->blobs, digest) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
    }
    if (!blob_exists(w->ctx->blobs, digest, w->row.size)) {
        blob_release(w->ctx->blobs, digest);
        return cp_error_set(err, CP_ERR_BLOB_MISSING,
                            "The bytes of upload '%s' are gone: delete it and begin anew.",
                            w->row.id);
    }
    return CP_OK;
}

static enum cp_err store_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct api_tus_work *w = arg;
    struct db_upload row = w->row;
    struct api_target target = {.condition = row.condition,
                                .file = {.size = row.size, .mode = row.mode}};
    struct api_stored stored = {.target = &target};

    (void)snprintf(target.version.id, sizeof target.version.id, "%s", row.version_id);
    (void)snprintf(target.version.package, sizeof target.version.package, "%s", row.package);
    target.version.number = row.version;
    (void)snprintf(target.file.path, sizeof target.file.path, "%s", row.path);
    (void)snprintf(target.file.sha256, sizeof target.file.sha256, "%s", row.digest);
    CP_TRY(api_target_store(conn, w->ctx, w->call, &stored, err));
    return db_upload_finish(conn, row.id, &w->row, err);
}

enum cp_err api_tus_complete(struct api_tus_work *w, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    enum cp_err code;

    if (w->row.finished_at != 0) {
        return CP_OK;
    }
    if (w->row.digest[0] == '\0') {
        CP_TRY(find_digest(w, err));
    }
    CP_ASSERT(cp_hex_decode(w->row.digest, digest, sizeof digest));
    CP_TRY(publish(w, digest, err));
    code = db_run_tx_locking(w->ctx->db, "finish-upload", store_body, w, err);
    blob_release(w->ctx->blobs, digest);
    return code;
}
