/* SPDX-License-Identifier: Apache-2.0
 * See fixture.h. */
#include "tests/unit/content/fixture.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"

int fixture_open(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    *state = f;
    return folder_make("blob", f->root) && blob_store_open(f->root, &f->store, NULL) == CP_OK ? 0
                                                                                              : -1;
}

int fixture_close(void **state)
{
    struct fixture *f = *state;

    blob_store_close(f->store);
    folder_remove(f->root);
    free(f);
    return 0;
}

void fixture_path(const struct fixture *f, const uint8_t digest[CONTENT_DIGEST_SIZE],
                  char ret_path[FIXTURE_PATH_SIZE])
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    cp_hex_encode(digest, CONTENT_DIGEST_SIZE, hex);
    (void)snprintf(ret_path, FIXTURE_PATH_SIZE, "%s/sha256/%.2s/%s", f->root, hex, hex);
}

static size_t files_seen;
static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    files_seen += type == FTW_F && strstr(path, "/lock") == NULL;
    return 0;
}

size_t fixture_files(const struct fixture *f, const char *below)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", f->root, below);
    files_seen = 0;
    assert_int_equal(nftw(path, count_file, 8, FTW_PHYS), 0);
    return files_seen;
}
