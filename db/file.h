/* SPDX-License-Identifier: Apache-2.0
 * Files of a version: a path and the blob that holds its bytes. */
#ifndef DB_FILE_H
#define DB_FILE_H

#include "db/blob.h"

struct db_file {
    char path[DB_PATH_SIZE]; /* relative, '/' between parts; its form is the caller's check */
    char sha256[DB_DIGEST_SIZE];
    uint64_t size;
    uint32_t mode; /* permission bits */
    uint64_t updated_at;
    /* of its bytes; not used by put */
    enum db_blob_state content;
    uint64_t checked_at; /* 0: not read since they were stored */
};

/* What a change expects of the file at its path, which fails with CP_ERR_PRECONDITION_FAILED
 * otherwise (RFC 9110 13.1.1 and 13.1.2). Each is "": no condition; "*": any file; or digests with
 * ',' between them. The file must be one of `match`, and none of `none_match`. */
#define DB_FILE_DIGESTS_MAX 16
#define DB_FILE_MATCH_NEVER "-" /* as match: a condition that no file meets */
struct db_file_condition {
    char match[DB_FILE_DIGESTS_MAX * DB_DIGEST_SIZE];
    char none_match[DB_FILE_DIGESTS_MAX * DB_DIGEST_SIZE];
};

/* condition NULL: none; present NULL: there is no such file. Pure. */
bool db_file_condition_holds(const struct db_file_condition *condition,
                             const struct db_file *present);

/* Adds or replaces a file of a draft, with its blob's row, and counts the version's revision up.
 * The blob's bytes must already be in the blob store. condition: NULL takes whatever is there.
 * CP_ERR_PRECONDITION_FAILED, CP_ERR_VERSION_SEALED, CP_ERR_VERSION_NOT_FOUND,
 * CP_ERR_PATH_DUPLICATE: another path differs only in case, or one is a folder of the other (err
 * names it). *ret_created: it was not there before. */
CP_MUST_CHECK enum cp_err db_file_put(struct db_conn *conn, const char *version_id,
                                      const struct db_file *file,
                                      const struct db_file_condition *condition, bool *ret_created,
                                      struct cp_error *err);

/* Before a long upload: CP_ERR_PATH_DUPLICATE when another path of the version differs only in case,
 * or one is a folder of the other (err names it). Put decides again. */
CP_MUST_CHECK enum cp_err db_file_check_path(struct db_conn *conn, const char *version_id,
                                             const char *path, struct cp_error *err);

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_file_get(struct db_conn *conn, const char *version_id,
                                      const char *path, struct db_file *ret_file,
                                      struct cp_error *err);

/* In stream order (bytewise by path), those after `after` ("" from the start), at most limit. */
CP_MUST_CHECK enum cp_err db_file_list(struct db_conn *conn, const char *version_id,
                                       const char *after, size_t limit, struct db_file *ret_items,
                                       size_t *ret_count, struct cp_error *err);

/* The same of those whose path begins so. */
struct db_file_list {
    const char *version_id;
    const char *prefix; /* NULL: all */
    const char *after;
};
CP_MUST_CHECK enum cp_err db_file_list_below(struct db_conn *conn, const struct db_file_list *list,
                                             size_t limit, struct db_file *ret_items,
                                             size_t *ret_count, struct cp_error *err);

/* Removes a file of a draft; condition as above. CP_ERR_NOT_FOUND,
 * CP_ERR_VERSION_SEALED, CP_ERR_PRECONDITION_FAILED. */
CP_MUST_CHECK enum cp_err db_file_delete(struct db_conn *conn, const char *version_id,
                                         const char *path,
                                         const struct db_file_condition *condition,
                                         struct cp_error *err);

#endif
