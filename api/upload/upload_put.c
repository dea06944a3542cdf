/* SPDX-License-Identifier: Apache-2.0
 * PUT of a file: the body streams into the blob store; when it is whole and durable the draft gets
 * its row. Touches the database and the blob store. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/content/files.h"
#include "api/framework/respond.h"
#include "api/handlers.h"
#include "api/upload/upload_private.h"
#include "api/upload/upload_room.h"
#include "api/upload/upload_target.h"
#include "common/hex.h"
#include "content/blob_care.h"

struct put_upload {
    struct api_upload base; /* first */
    struct api_target target;
    struct api_room room;
    struct blob_writer *writer;
    struct api_stored stored;
};

/* ---- begin ---- */

static enum cp_err read_request(struct put_upload *u, const struct api_call *call,
                                struct cp_error *err)
{
    struct api_target *t = &u->target;

    t->may_heal = true;
    CP_TRY(api_target_path(call->params[2], err));
    (void)snprintf(t->file.path, sizeof t->file.path, "%s", call->params[2]);
    CP_TRY(api_target_encoding(call->rq, err));
    CP_TRY(api_target_mode(api_request_header(call->rq, "X-Castpoint-Mode"),
                           "Header 'X-Castpoint-Mode'", &t->file.mode, err));
    CP_TRY(api_target_digests(call->rq, t, err));
    CP_TRY(api_file_condition(call->rq, &t->condition, err));
    return call->rq->content_length == 0 ? api_target_empty(t->file.path, err) : CP_OK;
}

struct look_up {
    struct put_upload *upload;
    const struct api_call *call;
};

static enum cp_err look_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct look_up *l = arg;

    CP_TRY(api_target_find(conn, l->call, &l->upload->target, err));
    return api_room_read(conn, l->upload->base.ctx, &l->upload->target, &l->upload->room, err);
}

static enum cp_err begin(struct put_upload *u, const struct api_call *call, struct cp_error *err)
{
    const struct api_context *ctx = u->base.ctx;
    bool is_known = u->base.announced != UINT64_MAX;
    struct look_up l = {.upload = u, .call = call};

    CP_TRY(read_request(u, call, err));
    CP_TRY(blob_writer_open(ctx->blobs, is_known ? u->base.announced : BLOB_SIZE_UNKNOWN,
                            &u->writer, err));
    CP_TRY(api_room_take(ctx, &u->room, err));
    CP_TRY(db_run_read(ctx->db, "find-draft", look_body, &l, err));
    CP_TRY(api_room_decide(&u->room, is_known ? u->base.announced : 0, err));
    u->base.reserve = u->room.db.reserve;
    if (u->target.is_announced) {
        blob_writer_expect(u->writer, u->target.digest);
    }
    return CP_OK;
}

/* ---- body ---- */

static struct put_upload *put_of(struct api_upload *base)
{
    return (struct put_upload *)base;
}

/* Bytes whose place in the quota nobody asked for. */
static uint64_t unforeseen(const struct put_upload *u)
{
    bool is_foreseen = u->base.announced != UINT64_MAX || u->base.received <= u->room.known;

    return is_foreseen ? 0 : u->base.received;
}

static enum cp_err take(struct api_upload *base, const void *data, size_t size,
                        struct cp_error *err)
{
    CP_TRY(blob_writer_add(put_of(base)->writer, data, size, err));
    return api_upload_look(base, unforeseen(put_of(base)), err);
}

/* ---- end ---- */

static enum cp_err put_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct put_upload *u = arg;

    return api_target_store(conn, u->base.ctx, &u->base.call, &u->stored, err);
}

static enum cp_err check_whole(const struct put_upload *u, bool complete, struct cp_error *err)
{
    if (u->base.err.code != CP_OK) {
        *err = u->base.err;
        return err->code;
    }
    if (!complete) {
        return cp_error_set(err, CP_ERR_UPLOAD_INCOMPLETE,
                            "Of file '%.300s' only %" PRIu64 " bytes arrived: upload it again.",
                            u->target.file.path, u->base.received);
    }
    if (u->base.received == 0) {
        return api_target_empty(u->target.file.path, err);
    }
    return u->base.announced != UINT64_MAX
               ? CP_OK
               : api_room_during(u->base.ctx, u->base.reserve, unforeseen(u), err);
}

static enum cp_err store(struct put_upload *u, struct cp_error *err)
{
    struct blob_writer *writer = u->writer;
    uint8_t digest[CONTENT_DIGEST_SIZE];
    enum cp_err code;

    u->writer = NULL;
    code = blob_writer_commit(writer, digest, &u->target.file.size, err);
    if (code == CP_ERR_DIGEST_MISMATCH) {
        cp_error_prefix(err, "File '%.200s'", u->target.file.path);
    }
    CP_TRY(code);
    cp_hex_encode(digest, sizeof digest, u->target.file.sha256);
    u->stored.target = &u->target;
    code = db_run_tx_locking(u->base.ctx->db, "put-file", put_body, u, err);
    blob_release(u->base.ctx->blobs, digest);
    blob_store_settled(u->base.ctx->blobs, u->target.file.size);
    return code;
}

static struct api_response end(struct api_upload *base, bool complete)
{
    struct put_upload *u = put_of(base);
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    err.code = check_whole(u, complete, &err);
    if (err.code == CP_OK) {
        err.code = store(u, &err);
    }
    if (err.code == CP_OK) {
        rs = api_response_json(u->stored.created ? 201 : 200, api_file_json(&u->target.file));
        api_header_add(&rs, "ETag", "\"%s\"", u->target.file.sha256);
    } else {
        rs = api_problem(&base->rq, &err);
    }
    blob_writer_abort(u->writer);
    return rs;
}

static const struct api_upload_kind put_kind = {.take = take, .end = end};

struct api_upload *api_files_put(const struct api_context *ctx, const struct api_call *call,
                                 struct api_response *ret_response)
{
    struct api_upload *base = api_upload_new(sizeof(struct put_upload), &put_kind, ctx, call);
    struct cp_error err = {.code = CP_OK};

    if (base == NULL) {
        *ret_response = api_refuse_text(call, CP_ERR_NO_MEMORY, "No memory for the upload.");
        return NULL;
    }
    err.code = begin(put_of(base), call, &err);
    if (err.code != CP_OK) {
        *ret_response = api_refuse(call, &err);
        blob_writer_abort(put_of(base)->writer);
        free(base);
        return NULL;
    }
    return base;
}
