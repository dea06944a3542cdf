/* SPDX-License-Identifier: Apache-2.0
 * Folders of tests below /tmp. */
#ifndef TESTS_SUPPORT_FOLDER_H
#define TESTS_SUPPORT_FOLDER_H

#include <stdbool.h>

#define FOLDER_SIZE 64

/* A new, empty one: "/tmp/castpoint-<word>-…"; false: there is none. */
bool folder_make(const char *word, char ret_path[FOLDER_SIZE]);
/* With all that is in it. */
void folder_remove(const char *path);

#endif
