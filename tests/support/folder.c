/* SPDX-License-Identifier: Apache-2.0
 * See folder.h. */
#include "tests/support/folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

bool folder_make(const char *word, char ret_path[FOLDER_SIZE])
{
    (void)snprintf(ret_path, FOLDER_SIZE, "/tmp/castpoint-%s-XXXXXX", word);
    return mkdtemp(ret_path) != NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void folder_remove(const char *path)
{
    (void)nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
