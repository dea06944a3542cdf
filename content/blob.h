/* SPDX-License-Identifier: Apache-2.0
 * The content library: blobs named by their SHA-256 under a root folder, written so that a blob is
 * visible only when it is whole and on the disk. Touches files. A store may be used by many
 * threads; a writer by one at a time. */
#ifndef CONTENT_BLOB_H
#define CONTENT_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "content/sha256.h"

#define BLOB_SIZE_UNKNOWN UINT64_MAX

struct blob_store;
struct blob_writer;

/* Opens (and makes, mode 0700) root/, root/incoming/ and root/sha256/; takes the store's lock, so
 * that one process owns it, and removes what a killed one left in incoming/.
 * CP_ERR_STORAGE (also when another process holds the lock), CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err blob_store_open(const char *root, struct blob_store **ret_store,
                                          struct cp_error *err);
void blob_store_close(struct blob_store *s); /* no writer may be open; NULL allowed */

/* Begins a blob. expected_size in bytes, or BLOB_SIZE_UNKNOWN: CP_ERR_STORAGE_FULL at once when
 * the file system has not that much room. CP_ERR_STORAGE, CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err blob_writer_open(struct blob_store *s, uint64_t expected_size,
                                           struct blob_writer **ret_writer, struct cp_error *err);
/* Appends. CP_ERR_STORAGE_FULL, CP_ERR_STORAGE; after a failure only abort is allowed. */
CP_MUST_CHECK enum cp_err blob_writer_add(struct blob_writer *w, const void *data, size_t size,
                                          struct cp_error *err);
/* The digest that the content must have: commit answers CP_ERR_DIGEST_MISMATCH for another. */
void blob_writer_expect(struct blob_writer *w, const uint8_t digest[CONTENT_DIGEST_SIZE]);
/* Makes the blob durable (fsync of file and folder) and visible by one rename. A blob of that digest
 * that is there already is replaced by these same bytes: one copy stays, and a damaged one is
 * healed; whoever has it open keeps reading the old one. The writer is freed in every case; after
 * a failure nothing is visible. Errors as add. */
CP_MUST_CHECK enum cp_err blob_writer_commit(struct blob_writer *w,
                                             uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                                             uint64_t *ret_size, struct cp_error *err);
/* Throws away what was written and frees the writer; NULL allowed. */
void blob_writer_abort(struct blob_writer *w);

/* Opens a blob for reading; the descriptor is the caller's to close.
 * CP_ERR_BLOB_MISSING, CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_open(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE],
                                    int *ret_fd, uint64_t *ret_size, struct cp_error *err);
/* Whether the blob is there with that size (BLOB_SIZE_UNKNOWN: any). */
bool blob_exists(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], uint64_t size);
/* Removes a blob; one that is not there is fine. Open descriptors stay usable. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err
blob_remove(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], struct cp_error *err);
/* Bytes that may still be written to the library's file system. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_store_free_space(struct blob_store *s, uint64_t *ret_bytes,
                                                struct cp_error *err);

#endif
