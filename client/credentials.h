/* SPDX-License-Identifier: Apache-2.0
 * Passwords and tokens out of files, so that none stands on a command line. Touches files. */
#ifndef CLIENT_CREDENTIALS_H
#define CLIENT_CREDENTIALS_H

#include "common/err.h"

/* The first line of a file, without its line end; malloced. CP_ERR_USAGE with a text that names
 * option and file: not readable, empty, longer than 4096 bytes, or with control characters. */
CP_MUST_CHECK enum cp_err cl_secret_read(const char *option, const char *path, char **ret_secret,
                                         struct cp_error *err);
void cl_secret_free(char *secret); /* wipes; NULL allowed */

#endif
