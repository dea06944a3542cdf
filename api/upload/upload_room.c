/* SPDX-License-Identifier: Apache-2.0
 * Room for uploads. Touches the database and the blob store. */
#include "api/upload/upload_room.h"

#include <inttypes.h>

#include "common/hex.h"

enum cp_err api_room_take(const struct api_context *ctx, struct api_room *ret_room,
                          struct cp_error *err)
{
    return blob_store_room(ctx->blobs, &ret_room->store, err);
}

enum cp_err api_room_read(struct db_conn *conn, const struct api_context *ctx,
                          const struct api_target *target, struct api_room *room,
                          struct cp_error *err)
{
    char digest[CONTENT_DIGEST_TEXT_SIZE];
    struct db_blob blob;
    enum cp_err rc;

    room->known = 0;
    CP_TRY(db_upload_room(conn, ctx->node_id, &room->db, err));
    if (room->db.quota == 0 || !target->is_announced) {
        return CP_OK;
    }
    cp_hex_encode(target->digest, sizeof target->digest, digest);
    rc = db_blob_get(conn, digest, &blob, err);
    if (rc == CP_ERR_NOT_FOUND) {
        return CP_OK;
    }
    CP_TRY(rc);
    room->known = blob.size;
    return CP_OK;
}

static enum cp_err check_quota(const struct api_room *room, uint64_t size, struct cp_error *err)
{
    uint64_t others = room->db.stored + room->db.promised + room->store.promised;

    if (room->db.quota == 0 || others <= room->db.quota) {
        return CP_OK;
    }
    if (room->known > 0 && size <= room->known) {
        return CP_OK; /* `stored` has these bytes */
    }
    if (size > room->db.quota) {
        return cp_error_set(err, CP_ERR_TOO_LARGE,
                            "The upload has %" PRIu64 " bytes; library_quota_bytes allows %" PRIu64
                            " in all.",
                            size, room->db.quota);
    }
    others = others > size ? others - size : 0;
    return cp_error_set(err, CP_ERR_STORAGE_FULL,
                        "The upload needs %" PRIu64 " bytes; %" PRIu64
                        " are stored or promised to other uploads, and library_quota_bytes is "
                        "%" PRIu64 ".",
                        size, others, room->db.quota);
}

static enum cp_err check_reserve(const struct api_room *room, uint64_t size, struct cp_error *err)
{
    uint64_t left = room->db.left + room->store.left;

    if (room->store.free >= room->db.reserve && room->store.free - room->db.reserve >= left) {
        return CP_OK;
    }
    return cp_error_set(err, CP_ERR_STORAGE_FULL,
                        "The upload needs %" PRIu64 " bytes; the file system has %" PRIu64
                        " free, of which %" PRIu64 " are promised to other uploads and %" PRIu64
                        " are the reserve.",
                        size, room->store.free, left > size ? left - size : 0, room->db.reserve);
}

enum cp_err api_room_decide(const struct api_room *room, uint64_t size, struct cp_error *err)
{
    CP_TRY(check_quota(room, size, err));
    return check_reserve(room, size, err);
}

struct look {
    const struct api_context *ctx;
    struct api_room room;
};

static enum cp_err look_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct look *l = arg;

    return db_upload_room(conn, l->ctx->node_id, &l->room.db, err);
}

enum cp_err api_room_during(const struct api_context *ctx, uint64_t reserve, uint64_t unforeseen,
                            struct cp_error *err)
{
    struct look l = {.ctx = ctx};

    CP_TRY(api_room_take(ctx, &l.room, err));
    if (l.room.store.free < reserve) {
        return cp_error_set(err, CP_ERR_STORAGE_FULL,
                            "The file system has %" PRIu64 " bytes free; %" PRIu64
                            " are the reserve.",
                            l.room.store.free, reserve);
    }
    if (unforeseen == 0) {
        return CP_OK;
    }
    CP_TRY(db_run_read(ctx->db, "upload-room", look_body, &l, err));
    return check_quota(&l.room, unforeseen, err);
}
