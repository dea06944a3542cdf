/* SPDX-License-Identifier: Apache-2.0
 * Small files of the state folder that hold secrets: created whole, with mode 0600, or not at
 * all. Touches the file system. */
#ifndef SERVER_STATE_FILE_H
#define SERVER_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

/* Makes dir (mode 0700) when it is missing, but not its parents. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err srv_state_dir(const char *dir, struct cp_error *err);

/* Writes <dir>/<name> by a temporary file, fsync and rename, with mode 0600. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err srv_state_write(const char *dir, const char *name, const void *data,
                                          size_t size, struct cp_error *err);

/* Reads <dir>/<name> (or name alone when dir is NULL), at most max bytes, into a malloced buffer
 * with a NUL after it. CP_ERR_NOT_FOUND when there is no such file, CP_ERR_STORAGE else. */
CP_MUST_CHECK enum cp_err srv_state_read(const char *dir, const char *name, size_t max,
                                         char **ret_data, size_t *ret_size, struct cp_error *err);

#endif
