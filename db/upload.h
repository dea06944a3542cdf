/* SPDX-License-Identifier: Apache-2.0
 * Uploads that can be resumed, and the room that uploads have. What a row says of bytes received is
 * on the disk; the file may have more. */
#ifndef DB_UPLOAD_H
#define DB_UPLOAD_H

#include "db/file.h"

#define DB_UPLOAD_METADATA_SIZE 1536 /* the longest path in base64, and the rest */

struct db_upload {
    char id[DB_ID_SIZE];
    uint64_t number; /* ascending; the cursor of lists */
    char node_id[DB_ID_SIZE];
    char version_id[DB_ID_SIZE];
    char package[DB_NAME_SIZE];
    uint32_t version; /* its number */
    bool draft;       /* the version still is one */
    char path[DB_PATH_SIZE];
    uint32_t mode;
    uint64_t size, received;
    char announced[DB_DIGEST_SIZE];     /* SHA-256 that the file must have; "": any */
    char digest[DB_DIGEST_SIZE];        /* that it has, once all of it was read; "" until then */
    struct db_file_condition condition; /* of what is at the path when it ends */
    char metadata[DB_UPLOAD_METADATA_SIZE]; /* as the client sent it */
    char account[DB_NAME_SIZE];
    uint64_t reserve; /* of its node's settings: bytes of the file system to be left free */
    uint64_t created_at, updated_at, expires_at;
    uint64_t finished_at; /* the draft got the file */
};

/* Uses node_id, version_id, path, mode, size, announced, condition, metadata, account. It expires after
 * the node's upload_expiry_hours, which begin anew with every piece. */
CP_MUST_CHECK enum cp_err db_upload_create(struct db_conn *conn, const struct db_upload *upload,
                                           struct db_upload *ret_upload, struct cp_error *err);

/* Those of that node which have not expired. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_upload_get(struct db_conn *conn, const char *node_id, const char *id,
                                        struct db_upload *ret_upload, struct cp_error *err);

/* How far one is: bytes are missing; all are here; the draft has the file. */
enum db_upload_state { DB_UPLOAD_ANY, DB_UPLOAD_RECEIVING, DB_UPLOAD_RECEIVED, DB_UPLOAD_FINISHED };
enum db_upload_state db_upload_state_of(const struct db_upload *upload);

/* Which uploads. */
struct db_upload_list {
    const char *version_id; /* NULL: of all versions */
    const char *package;    /* name; NULL: of all packages */
    enum db_upload_state state;
    uint64_t after; /* number of the last row before; 0: from the start */
};

/* Ascending by number, at most limit, of all nodes; expired ones are left out. */
CP_MUST_CHECK enum cp_err db_upload_list(struct db_conn *conn, const struct db_upload_list *list,
                                         size_t limit, struct db_upload *ret_items,
                                         size_t *ret_count, struct cp_error *err);

/* So many bytes are on the disk now. CP_ERR_NOT_FOUND: it, or its draft, was deleted meanwhile. */
CP_MUST_CHECK enum cp_err db_upload_advance(struct db_conn *conn, const char *id, uint64_t received,
                                            struct db_upload *ret_upload, struct cp_error *err);

/* All bytes are on the disk, and this is their digest. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_upload_complete(struct db_conn *conn, const char *id,
                                             const char *digest, struct db_upload *ret_upload,
                                             struct cp_error *err);

/* The draft has the file: in the transaction that gives it. Again: no change. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_upload_finish(struct db_conn *conn, const char *id,
                                           struct db_upload *ret_upload, struct cp_error *err);

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_upload_delete(struct db_conn *conn, const char *id,
                                           struct cp_error *err);

/* Uploads of the node that have expired, or whose version was sealed before they finished; oldest
 * first, at most limit. */
CP_MUST_CHECK enum cp_err db_upload_expired(struct db_conn *conn, const char *node_id, size_t limit,
                                            struct db_upload *ret_items, size_t *ret_count,
                                            struct cp_error *err);

/* Deletes it if it is one of these still; *ret_deleted false: bytes came meanwhile, or it is gone. */
CP_MUST_CHECK enum cp_err db_upload_expire(struct db_conn *conn, const char *id, bool *ret_deleted,
                                           struct cp_error *err);

/* Whether there is a row of that id, be it expired. */
CP_MUST_CHECK enum cp_err db_upload_exists(struct db_conn *conn, const char *id, bool *ret_exists,
                                           struct cp_error *err);

/* What decides whether there is room for another upload, in bytes. */
struct db_upload_room {
    uint64_t quota;    /* 0: none */
    uint64_t reserve;  /* of the file system, to be left free */
    uint64_t stored;   /* all blobs; 0 without a quota, when nobody asks */
    uint64_t promised; /* announced by uploads into drafts that have not finished */
    uint64_t left;     /* of it, not received yet */
};
CP_MUST_CHECK enum cp_err db_upload_room(struct db_conn *conn, const char *node_id,
                                         struct db_upload_room *ret_room, struct cp_error *err);

#endif
