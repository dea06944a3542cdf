/* SPDX-License-Identifier: Apache-2.0
 * What the files of the tus protocol share. Touches the database and the blob store; thread-safe. */
#ifndef API_UPLOAD_TUS_H
#define API_UPLOAD_TUS_H

#include <jansson.h>

#include "api/api.h"
#include "content/blob.h"
#include "db/upload.h"

/* The version that a request names: CP_ERR_TUS_VERSION for another one, and for none when
 * `required`. */
CP_MUST_CHECK enum cp_err api_tus_check_version(const struct api_request *rq, bool required,
                                                struct cp_error *err);

/* A problem as tus wants it: with Tus-Resumable, and what goes with some codes. row: the upload, as
 * far as it is known; NULL: not at all. */
struct api_response api_tus_refuse(const struct api_request *rq, const struct cp_error *err,
                                   const struct db_upload *row);

/* Tus-Resumable, Upload-Offset and Upload-Expires. */
void api_tus_headers(struct api_response *rs, const struct db_upload *row);

json_t *api_tus_json(const struct db_upload *row);

/* "package win11 version 3", for events. */
void api_tus_subject(const struct db_upload *row, char ret_subject[DB_TEXT_SIZE]);

/* An upload of this node that somebody works at: nobody else has it until blob_partial_close. */
struct api_tus_work {
    const struct api_context *ctx;
    const struct api_call *call;
    struct db_upload row;
    struct blob_partial *file; /* NULL: not taken */
};

/* Takes it, then reads its row. CP_ERR_NOT_FOUND, CP_ERR_UPLOAD_LOCKED. `file` is to be closed in
 * every case. */
CP_MUST_CHECK enum cp_err api_tus_take(struct api_tus_work *w, const char *id,
                                       struct cp_error *err);

/* Throws a taken upload away, with the event upload-deleted; `file` is still to be closed. */
CP_MUST_CHECK enum cp_err api_tus_delete(struct api_tus_work *w, struct cp_error *err);

/* All bytes are here and synced, or were so when the process died: gives the draft the file. Again:
 * no change. CP_ERR_DIGEST_MISMATCH: it is not what was announced, and is thrown away with the
 * upload. After other failures it may be tried again. */
CP_MUST_CHECK enum cp_err api_tus_complete(struct api_tus_work *w, struct cp_error *err);

#endif
