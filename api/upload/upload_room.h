/* SPDX-License-Identifier: Apache-2.0
 * Whether there is room for what uploads bring: the library's quota, and the reserve of its file
 * system. Touches the database and the blob store; thread-safe. */
#ifndef API_UPLOAD_UPLOAD_ROOM_H
#define API_UPLOAD_UPLOAD_ROOM_H

#include "api/api.h"
#include "api/upload/upload_target.h"
#include "content/blob.h"
#include "db/upload.h"

/* The blob store's part. Take it before the transaction that reads the database's: what moves from
 * one to the other meanwhile is then counted twice rather than not at all. */
struct api_room {
    struct blob_room store;
    struct db_upload_room db;
    uint64_t known; /* bytes of the announced content, when the library counts them already */
};
CP_MUST_CHECK enum cp_err api_room_take(const struct api_context *ctx, struct api_room *ret_room,
                                        struct cp_error *err);
/* target: what was announced is looked for: content that has a row, damaged or not, is not charged
 * to the quota again. */
CP_MUST_CHECK enum cp_err api_room_read(struct db_conn *conn, const struct api_context *ctx,
                                        const struct api_target *target, struct api_room *room,
                                        struct cp_error *err);

/* Whether all that was promised fits, the asker's own bytes included; `size` of them, 0 when that is
 * not known, for the text. CP_ERR_STORAGE_FULL with the figures; CP_ERR_TOO_LARGE: it is more than
 * the quota by itself. */
CP_MUST_CHECK enum cp_err api_room_decide(const struct api_room *room, uint64_t size,
                                          struct cp_error *err);

/* While bytes come: whether the reserve is still untouched. unforeseen: bytes so far of an upload
 * that announced neither its size nor content that is known, whose place in the quota is asked for
 * then; 0: it did. */
CP_MUST_CHECK enum cp_err api_room_during(const struct api_context *ctx, uint64_t reserve,
                                          uint64_t unforeseen, struct cp_error *err);

#endif
