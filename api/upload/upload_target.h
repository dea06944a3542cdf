/* SPDX-License-Identifier: Apache-2.0
 * Where an upload goes: what its headers say, and the draft it is for. Touches the database through
 * the connection it is given; thread-safe. */
#ifndef API_UPLOAD_UPLOAD_TARGET_H
#define API_UPLOAD_UPLOAD_TARGET_H

#include "api/api.h"
#include "content/sha256.h"
#include "db/file.h"
#include "db/version.h"

/* The file as the client wants it. */
struct api_target {
    struct db_version version;
    struct db_file file;                /* path and mode; the rest when its content is known */
    struct db_file_condition condition; /* of what is at that path */
    bool may_heal;     /* a sealed version's file may be stored again when its content is damaged */
    bool heals;        /* that it is: `digest` is that file's */
    bool is_announced; /* `digest` is what the content must have */
    uint8_t digest[CONTENT_DIGEST_SIZE];
};

/* Permission bits in octal, NULL for the default. `name`: what the text comes from, for people. */
CP_MUST_CHECK enum cp_err api_target_mode(const char *text, const char *name, uint32_t *ret_mode,
                                          struct cp_error *err);
/* CP_ERR_PATH_INVALID. */
CP_MUST_CHECK enum cp_err api_target_path(const char *path, struct cp_error *err);
/* Repr-Digest and Content-Digest (RFC 9530): sha-256 of them; CP_ERR_INVALID. */
CP_MUST_CHECK enum cp_err api_target_digests(const struct api_request *rq,
                                             struct api_target *target, struct cp_error *err);
/* CP_ERR_UNSUPPORTED_MEDIA, CP_ERR_INVALID: encodings, ranges and digests in a trailer are not
 * taken. */
CP_MUST_CHECK enum cp_err api_target_encoding(const struct api_request *rq, struct cp_error *err);
/* CP_ERR_CONTENT_EMPTY with the path. */
enum cp_err api_target_empty(const char *path, struct cp_error *err);

/* Finds the draft and refuses before the body what would be refused after it. */
CP_MUST_CHECK enum cp_err api_target_find(struct db_conn *conn, const struct api_call *call,
                                          struct api_target *target, struct cp_error *err);

/* A file got into a draft. */
struct api_stored {
    struct api_target *target; /* its file has digest and size; read back as it is stored */
    bool created;              /* set: the path was new */
};
/* Gives the draft the file, with the event file-stored. */
CP_MUST_CHECK enum cp_err api_target_store(struct db_conn *conn, const struct api_context *ctx,
                                           const struct api_call *call, struct api_stored *stored,
                                           struct cp_error *err);

#endif
