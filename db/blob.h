/* SPDX-License-Identifier: Apache-2.0
 * Blobs: content by its SHA-256, shared by the files that have the same bytes. */
#ifndef DB_BLOB_H
#define DB_BLOB_H

#include "db/db.h"
#include "db/version.h"

struct db_blob {
    char sha256[DB_DIGEST_SIZE];
    uint64_t size;
    uint64_t created_at;
};

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_blob_get(struct db_conn *conn, const char *sha256,
                                      struct db_blob *ret_blob, struct cp_error *err);

/* One version that holds a blob, for the decision who may fetch it. */
struct db_blob_user {
    char version_id[DB_ID_SIZE];
    char package[DB_NAME_SIZE];
    uint32_t number;
    enum db_version_state state;
    enum db_policy policy;
    enum db_access access; /* the package's */
};

/* Versions with a file of these bytes, sealed ones first, newest first, at most limit. */
CP_MUST_CHECK enum cp_err db_blob_users(struct db_conn *conn, const char *sha256, size_t limit,
                                        struct db_blob_user *ret_items, size_t *ret_count,
                                        struct cp_error *err);

/* Blobs without a file, older than age_ms, by digest, after `after`: what may be collected. */
CP_MUST_CHECK enum cp_err db_blob_unused(struct db_conn *conn, uint64_t age_ms, const char *after,
                                         size_t limit, struct db_blob *ret_items, size_t *ret_count,
                                         struct cp_error *err);

/* Deletes the row if no file refers to it; *ret_deleted says whether its bytes may be removed. */
CP_MUST_CHECK enum cp_err db_blob_delete(struct db_conn *conn, const char *sha256,
                                         bool *ret_deleted, struct cp_error *err);

#endif
