/* SPDX-License-Identifier: Apache-2.0
 * tus 1.0.0 (https://tus.io/protocols/resumable-upload): POST begins an upload, PATCH goes on with
 * it; both carry bytes. Touches the database and the blob store. */
#include "api/upload/tus.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/content/files.h"
#include "api/framework/resource.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/upload/digest.h"
#include "api/upload/tus_headers.h"
#include "api/upload/upload_private.h"
#include "api/upload/upload_room.h"
#include "api/upload/upload_target.h"
#include "common/hex.h"

/* After so many bytes of one request they are made durable, so that a killed service asks for no
 * more than these again. */
#define CHECKPOINT_EVERY ((uint64_t)64 << 20)

#define BODY_TYPE "application/offset+octet-stream"

struct tus_upload {
    struct api_upload base; /* first */
    struct api_tus_work work;
    bool creates;
    struct content_sha256 *hash; /* of this request's bytes; NULL: no checksum was given */
    uint8_t checksum[CONTENT_DIGEST_SIZE];
    struct api_target target; /* creates */
    struct api_room room;
};

/* ---- headers ---- */

static enum cp_err read_body_type(const struct api_request *rq, struct cp_error *err)
{
    const char *type = api_request_header(rq, "Content-Type");

    if (type == NULL || strcasecmp(type, BODY_TYPE) != 0) {
        return cp_error_set(err, CP_ERR_UNSUPPORTED_MEDIA,
                            "Header 'Content-Type' is '%.60s': a piece of an upload is "
                            "'" BODY_TYPE "'.",
                            type != NULL ? type : "");
    }
    return api_target_encoding(rq, err);
}

/* Of this request's bytes. That is what Repr-Digest means in a PATCH, too, whose representation is the
 * piece; a creation's is the file. */
static enum cp_err read_checksum(struct tus_upload *u, const struct api_request *rq,
                                 struct cp_error *err)
{
    static const char *const names[] = {"Content-Digest", "Repr-Digest"};
    const char *text = api_request_header(rq, "Upload-Checksum");
    struct api_digest piece = {.is_given = text != NULL};

    if (text != NULL) {
        CP_TRY(api_tus_checksum(text, piece.sha256, err));
    }
    for (size_t i = 0; i < (u->creates ? 1 : 2); i++) {
        CP_TRY(api_digest_field(names[i], api_request_header(rq, names[i]), &piece, err));
    }
    if (!piece.is_given) {
        return CP_OK;
    }
    memcpy(u->checksum, piece.sha256, sizeof u->checksum);
    return content_sha256_new(&u->hash) == CP_OK ? CP_OK
                                                 : cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
}

static enum cp_err read_number(const struct api_request *rq, const char *name, uint64_t *ret_number,
                               struct cp_error *err)
{
    const char *text = api_request_header(rq, name);

    if (text == NULL || !api_tus_number(text, ret_number)) {
        return cp_error_set(err, CP_ERR_INVALID, "Header '%s' is '%.40s': give a number of bytes.",
                            name, text != NULL ? text : "");
    }
    return CP_OK;
}

/* ---- the file ---- */

static enum cp_err too_long(const struct tus_upload *u, struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_TOO_LARGE,
                        "The upload has %" PRIu64 " bytes; this piece goes beyond.",
                        u->work.row.size);
}

/* Bytes follow from the row's offset on. */
static enum cp_err open_file(struct tus_upload *u, struct cp_error *err)
{
    const struct db_upload *row = &u->work.row;
    enum cp_err code;

    u->base.reserve = row->reserve;
    if (u->base.announced != UINT64_MAX && u->base.announced > row->size - row->received) {
        return too_long(u, err);
    }
    if (row->received == row->size) {
        return CP_OK; /* nothing can follow */
    }
    CP_TRY(api_room_during(u->base.ctx, row->reserve, 0, err));
    code = blob_partial_resume(u->work.file, row->received, err);
    if (code == CP_ERR_BLOB_MISSING) {
        cp_error_prefix(err, "Delete the upload and begin anew");
    }
    return code;
}

static struct tus_upload *tus_of(struct api_upload *base)
{
    return (struct tus_upload *)base;
}

static enum cp_err advance_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct tus_upload *u = arg;

    return db_upload_advance(conn, u->work.row.id, blob_partial_size(u->work.file), &u->work.row,
                             err);
}

/* What came so far is kept, whatever happens now. */
static enum cp_err checkpoint(struct tus_upload *u, struct cp_error *err)
{
    CP_TRY(blob_partial_sync(u->work.file, err));
    return db_run_tx_locking(u->base.ctx->db, "advance-upload", advance_body, u, err);
}

static enum cp_err take(struct api_upload *base, const void *data, size_t size,
                        struct cp_error *err)
{
    struct tus_upload *u = tus_of(base);
    uint64_t at = u->work.row.received;

    if (u->work.row.size == at || size > u->work.row.size - blob_partial_size(u->work.file)) {
        return too_long(u, err);
    }
    CP_TRY(blob_partial_add(u->work.file, data, size, err));
    if (u->hash != NULL) {
        content_sha256_add(u->hash, data, size); /* nothing of it counts before all is compared */
    } else if (blob_partial_size(u->work.file) - at >= CHECKPOINT_EVERY &&
               blob_partial_size(u->work.file) < u->work.row.size) {
        CP_TRY(checkpoint(u, err));
    }
    return api_upload_look(base, 0, err);
}

/* ---- end ---- */

static enum cp_err check_checksum(struct tus_upload *u, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];

    if (u->hash == NULL) {
        return CP_OK;
    }
    content_sha256_finish(u->hash, digest);
    return memcmp(digest, u->checksum, sizeof digest) == 0
               ? CP_OK
               : cp_error_set(err, CP_ERR_UPLOAD_CHECKSUM,
                              "The %" PRIu64 " bytes from %" PRIu64
                              " on do not have the checksum that was announced.",
                              u->base.received, u->work.row.received);
}

static enum cp_err settle(struct tus_upload *u, bool complete, struct cp_error *err)
{
    struct db_upload *row = &u->work.row;

    if (u->base.err.code != CP_OK) {
        *err = u->base.err;
        return err->code;
    }
    if (complete || u->hash == NULL) {
        CP_TRY(check_checksum(u, err));
        if (u->base.received > 0 && blob_partial_size(u->work.file) < row->size) {
            CP_TRY(checkpoint(u, err));
        } else if (u->base.received > 0) {
            CP_TRY(blob_partial_sync(u->work.file, err));
            row->received = row->size; /* in the database with its digest */
        }
    }
    if (row->received == row->size) {
        return api_tus_complete(&u->work, err);
    }
    return complete ? CP_OK
                    : cp_error_set(err, CP_ERR_UPLOAD_INCOMPLETE,
                                   "The connection broke; %" PRIu64 " bytes of %" PRIu64
                                   " are here: go on from there.",
                                   row->received, row->size);
}

static void tus_done(struct tus_upload *u)
{
    blob_partial_close(u->work.file);
    content_sha256_free(u->hash);
}

static void add_location(struct api_response *rs, const struct db_upload *row)
{
    api_header_add(rs, "Location", "/api/v1/uploads/%s", row->id);
}

static struct api_response end(struct api_upload *base, bool complete)
{
    struct tus_upload *u = tus_of(base);
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = settle(u, complete, &err);
    if (err.code != CP_OK) {
        rs = api_tus_refuse(&base->rq, &err, &u->work.row);
    } else {
        rs = u->creates ? api_response_json(201, api_tus_json(&u->work.row))
                        : api_response_empty(204);
        api_tus_headers(&rs, &u->work.row);
    }
    if (u->creates && err.code != CP_ERR_DIGEST_MISMATCH) {
        add_location(&rs, &u->work.row); /* also of what may be tried again */
    }
    tus_done(u);
    return rs;
}

static const struct api_upload_kind tus_kind = {.take = take, .end = end};

typedef enum cp_err begin_fn(struct tus_upload *u, const struct api_call *call,
                             struct cp_error *err);

static struct api_upload *start(const struct api_context *ctx, const struct api_call *call,
                                begin_fn *begin, struct api_response *ret_response)
{
    struct api_upload *base = api_upload_new(sizeof(struct tus_upload), &tus_kind, ctx, call);
    struct cp_error err = {.code = CP_OK};
    struct tus_upload *u = tus_of(base);

    if (base == NULL) {
        *ret_response = api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the upload.");
        return NULL;
    }
    u->work = (struct api_tus_work){.ctx = ctx, .call = &base->call};
    err.code = api_tus_check_version(call->rq, true, &err);
    if (err.code == CP_OK) {
        err.code = begin(u, call, &err);
    }
    if (err.code != CP_OK) {
        *ret_response = api_tus_refuse(call->rq, &err, &u->work.row);
        tus_done(u);
        free(base);
        return NULL;
    }
    return base;
}

/* ---- PATCH ---- */

static enum cp_err begin_patch(struct tus_upload *u, const struct api_call *call,
                               struct cp_error *err)
{
    struct db_upload *row = &u->work.row;
    uint64_t offset = 0;

    CP_TRY(read_body_type(call->rq, err));
    CP_TRY(read_number(call->rq, "Upload-Offset", &offset, err));
    CP_TRY(read_checksum(u, call->rq, err));
    CP_TRY(api_tus_take(&u->work, call->params[0], err));
    if (offset != row->received) {
        return cp_error_set(err, CP_ERR_UPLOAD_OFFSET,
                            "Upload-Offset is %" PRIu64 "; the upload goes on at %" PRIu64 ".",
                            offset, row->received);
    }
    if (!row->draft && row->finished_at == 0) {
        return cp_error_set(err, CP_ERR_VERSION_SEALED,
                            "Version %u of package '%s' is no draft any more: create a new "
                            "version.",
                            (unsigned)row->version, row->package);
    }
    return open_file(u, err);
}

struct api_upload *api_uploads_patch(const struct api_context *ctx, const struct api_call *call,
                                     struct api_response *ret_response)
{
    return start(ctx, call, begin_patch, ret_response);
}

/* ---- POST ---- */

static enum cp_err refuse_variants(const struct api_request *rq, struct cp_error *err)
{
    static const char *const names[] = {"Upload-Defer-Length", "Upload-Concat"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (api_request_header(rq, names[i]) != NULL) {
            return cp_error_set(err, CP_ERR_INVALID,
                                "Header '%s' is of an extension of tus that is not spoken here; "
                                "these are: " API_TUS_EXTENSIONS ".",
                                names[i]);
        }
    }
    return CP_OK;
}

static enum cp_err read_metadata(struct tus_upload *u, const struct api_request *rq,
                                 struct cp_error *err)
{
    const char *text = api_request_header(rq, "Upload-Metadata");
    struct api_target *t = &u->target;
    struct db_upload *row = &u->work.row;
    struct api_digest whole = {.is_given = false};
    struct api_tus_metadata m;

    text = text != NULL ? text : "";
    if (strlen(text) >= sizeof row->metadata) {
        return cp_error_set(err, CP_ERR_INVALID, "Header 'Upload-Metadata' is longer than %zu.",
                            sizeof row->metadata - 1);
    }
    (void)snprintf(row->metadata, sizeof row->metadata, "%s", text);
    CP_TRY(api_tus_metadata(text, &m, err));
    CP_TRY(api_target_path(m.path, err));
    (void)snprintf(t->file.path, sizeof t->file.path, "%s", m.path);
    CP_TRY(api_target_mode(m.mode[0] != '\0' ? m.mode : NULL, "Upload-Metadata's 'mode'",
                           &t->file.mode, err));
    whole.is_given = m.sha256[0] != '\0';
    if (whole.is_given && !cp_hex_decode(m.sha256, whole.sha256, sizeof whole.sha256)) {
        return cp_error_set(err, CP_ERR_INVALID,
                            "Upload-Metadata's 'sha256' is not 64 hexadecimal digits.");
    }
    CP_TRY(api_digest_field("Repr-Digest", api_request_header(rq, "Repr-Digest"), &whole, err));
    if (whole.is_given) {
        t->is_announced = true;
        memcpy(t->digest, whole.sha256, sizeof t->digest);
        cp_hex_encode(t->digest, sizeof t->digest, row->announced);
    }
    return CP_OK;
}

static enum cp_err read_creation(struct tus_upload *u, const struct api_request *rq,
                                 struct cp_error *err)
{
    struct db_upload *row = &u->work.row;

    CP_TRY(refuse_variants(rq, err));
    CP_TRY(read_number(rq, "Upload-Length", &row->size, err));
    CP_TRY(read_metadata(u, rq, err));
    if (row->size == 0) {
        return api_target_empty(u->target.file.path, err);
    }
    CP_TRY(api_file_condition(rq, &row->condition, err));
    u->target.condition = row->condition;
    CP_TRY(read_checksum(u, rq, err));
    if (u->base.announced != 0) {
        CP_TRY(read_body_type(rq, err));
    } else {
        CP_TRY(check_checksum(u, err)); /* before there is an upload */
    }
    row->mode = u->target.file.mode;
    (void)snprintf(row->path, sizeof row->path, "%s", u->target.file.path);
    (void)snprintf(row->node_id, sizeof row->node_id, "%s", u->base.ctx->node_id);
    (void)snprintf(row->account, sizeof row->account, "%s", u->base.who.account);
    return CP_OK;
}

struct creation {
    struct tus_upload *upload;
    const struct api_call *call;
};

static enum cp_err create_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct creation *c = arg;
    struct tus_upload *u = c->upload;
    struct db_upload wanted = u->work.row;
    char subject[DB_TEXT_SIZE];

    CP_TRY(api_target_find(conn, c->call, &u->target, err));
    CP_TRY(api_room_read(conn, u->base.ctx, &u->target, &u->room, err));
    CP_TRY(api_room_decide(&u->room, wanted.size, err));
    (void)snprintf(wanted.version_id, sizeof wanted.version_id, "%s", u->target.version.id);
    CP_TRY(db_upload_create(conn, &wanted, &u->work.row, err));
    api_tus_subject(&u->work.row, subject);
    return api_event_write(conn, u->base.ctx, &u->base.call,
                           &(struct api_event){.kind = "upload-created",
                                               .subject = subject,
                                               .detail = api_tus_json(&u->work.row)},
                           err);
}

/* The row's bytes are promised by the blob store until the row itself promises them. */
static enum cp_err create(struct tus_upload *u, const struct api_call *call, struct cp_error *err)
{
    const struct api_context *ctx = u->base.ctx;
    struct creation c = {.upload = u, .call = call};
    uint64_t size = u->work.row.size;
    enum cp_err code;

    blob_store_promise(ctx->blobs, size);
    code = api_room_take(ctx, &u->room, err);
    if (code == CP_OK) {
        code = db_run_tx_locking(ctx->db, "create-upload", create_body, &c, err);
    }
    blob_store_withdraw(ctx->blobs, size);
    return code;
}

static enum cp_err begin_post(struct tus_upload *u, const struct api_call *call,
                              struct cp_error *err)
{
    u->creates = true;
    CP_TRY(read_creation(u, call->rq, err));
    if (u->base.announced != UINT64_MAX && u->base.announced > u->work.row.size) {
        return too_long(u, err);
    }
    CP_TRY(create(u, call, err));
    if (u->base.announced == 0) {
        return CP_OK;
    }
    CP_TRY(blob_partial_open(u->base.ctx->blobs, u->work.row.id, &u->work.file, err));
    return open_file(u, err);
}

struct api_upload *api_uploads_create(const struct api_context *ctx, const struct api_call *call,
                                      struct api_response *ret_response)
{
    return start(ctx, call, begin_post, ret_response);
}
