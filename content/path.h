/* SPDX-License-Identifier: Apache-2.0
 * Which file paths a version may contain: relative, of plain names separated by '/', and no two
 * that could not lie next to each other on a disk. Pure. */
#ifndef CONTENT_PATH_H
#define CONTENT_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define CONTENT_PATH_MAX      1024u /* bytes, without NUL */
#define CONTENT_PATH_PART_MAX 255u  /* bytes of one name: NAME_MAX of Linux */

/* CP_ERR_PATH_INVALID with a text that names the path and the reason: empty, absolute, an empty
 * part, '.' or '..', backslash, control character, not UTF-8, too long. */
CP_MUST_CHECK enum cp_err content_path_check(const char *path, struct cp_error *err);

/* Two files cannot both be there: equal, equal but for ASCII case, or one is a folder of the
 * other (again without regard to case). */
bool content_path_conflicts(const char *a, const char *b);

/* The same as an error: CP_ERR_PATH_DUPLICATE with a text that names both. */
CP_MUST_CHECK enum cp_err content_path_check_pair(const char *path, const char *other,
                                                  struct cp_error *err);

/* All paths of a version at once (each valid, no two in conflict), in any order, n·log n.
 * CP_ERR_PATH_INVALID, CP_ERR_PATH_DUPLICATE, CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err content_paths_check(const char *const *paths, size_t count,
                                              struct cp_error *err);

#endif
