/* SPDX-License-Identifier: Apache-2.0
 * What files.c and upload.c share. Pure. */
#ifndef API_FILES_H
#define API_FILES_H

#include <jansson.h>

#include "api/api.h"
#include "db/file.h"

json_t *api_file_json(const struct db_file *f);

/* What a change of a file expects to find there, from If-Match (a file's ETag is its digest) and
 * If-None-Match: *. *ret_any: whatever is there; else "" for nothing, or a digest.
 * CP_ERR_PRECONDITION_FAILED for a tag that no file can have. */
CP_MUST_CHECK enum cp_err api_file_expected(const struct api_request *rq,
                                            char ret_expected[DB_DIGEST_SIZE], bool *ret_any,
                                            struct cp_error *err);

#endif
