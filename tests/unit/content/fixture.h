/* SPDX-License-Identifier: Apache-2.0
 * What the tests of the blob store share: a store in a folder of its own. */
#ifndef TESTS_UNIT_CONTENT_FIXTURE_H
#define TESTS_UNIT_CONTENT_FIXTURE_H

#include "content/blob.h"
#include "tests/support/folder.h"

struct fixture {
    char root[FOLDER_SIZE];
    struct blob_store *store;
};

/* cmocka set-up and tear-down: an empty store. */
int fixture_open(void **state);
int fixture_close(void **state);

/* Where a blob lies. */
#define FIXTURE_PATH_SIZE 160
void fixture_path(const struct fixture *f, const uint8_t digest[CONTENT_DIGEST_SIZE],
                  char ret_path[FIXTURE_PATH_SIZE]);
/* Files below a folder of the root, the lock not counted. */
size_t fixture_files(const struct fixture *f, const char *below);

#endif
