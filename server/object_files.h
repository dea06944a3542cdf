/* SPDX-License-Identifier: Apache-2.0
 * A version's object as the engine reads it: its blobs, open, and which piece of the object lies
 * where in them. Touches the content library; one thread per object. */
#ifndef SERVER_OBJECT_FILES_H
#define SERVER_OBJECT_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "multicast/session.h"

struct blob_store; /* content/blob.h */

struct srv_object_files {
    uint64_t content_size;
    struct mc_extent *extents; /* owned, ascending */
    size_t extent_count;
    int *fds; /* owned, one a file of the manifest, -1: not of the object */
    size_t fd_count;
};

/* CP_ERR_BLOB_MISSING (also when a blob has another size than the manifest says), CP_ERR_STORAGE,
 * CP_ERR_MALFORMED (manifest), CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err srv_object_files_open(struct blob_store *blobs, const char *manifest,
                                                size_t manifest_size,
                                                struct srv_object_files *ret_files,
                                                struct cp_error *err);

/* Closes and frees; zeroed object allowed. */
void srv_object_files_done(struct srv_object_files *f);

#endif
