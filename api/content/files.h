/* SPDX-License-Identifier: Apache-2.0
 * What files.c and upload.c share. Pure. */
#ifndef API_CONTENT_FILES_H
#define API_CONTENT_FILES_H

#include <jansson.h>

#include "api/api.h"
#include "db/file.h"

json_t *api_file_json(const struct db_file *f);

/* What a change of a file expects to find there, from If-Match and If-None-Match (a file's ETag is
 * its digest). CP_ERR_INVALID: they name more than DB_FILE_DIGESTS_MAX. */
CP_MUST_CHECK enum cp_err api_file_condition(const struct api_request *rq,
                                             struct db_file_condition *ret_condition,
                                             struct cp_error *err);

#endif
