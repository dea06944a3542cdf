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
struct blob_found; /* content/blob_care.h */

/* Opens (and makes, mode 0700) root/ with its folders incoming, partial, sha256 and quarantine; takes the
 * store's lock, so that one process owns it, and removes what a killed one left in incoming/.
 * CP_ERR_STORAGE (also when another process holds the lock), CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err blob_store_open(const char *root, struct blob_store **ret_store,
                                          struct cp_error *err);
void blob_store_close(struct blob_store *s); /* no writer may be open; NULL allowed */

/* ---- blobs that come in one piece ---- */

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
 * healed; whoever has it open keeps reading the old one. The blob is held then, so that nobody takes
 * it for garbage: blob_release (content/blob_care.h) when the database knows it, and blob_store_settled. The writer is freed
 * in every case; after a failure nothing is visible or held. Errors as add. */
CP_MUST_CHECK enum cp_err blob_writer_commit(struct blob_writer *w,
                                             uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                                             uint64_t *ret_size, struct cp_error *err);
/* Throws away what was written and frees the writer; NULL allowed. */
void blob_writer_abort(struct blob_writer *w);

/* ---- uploads that may be resumed ---- */

/* A file in root/partial/ that grows until it becomes a blob; it survives the process. One thread at
 * a time. */
struct blob_partial;

/* Takes the upload: nobody else has it until close. No file is touched, so that its offset can be
 * read from where it is kept meanwhile. name: of 0-9 a-f and '-', at most 63.
 * CP_ERR_UPLOAD_LOCKED: somebody has it. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err blob_partial_open(struct blob_store *s, const char *name,
                                            struct blob_partial **ret_partial,
                                            struct cp_error *err);
/* Opens its file to go on at `offset`, which must have been synced: what lies beyond is cut off.
 * With offset 0 it is made when it is not there. CP_ERR_BLOB_MISSING: it is gone, or shorter than
 * that. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_partial_resume(struct blob_partial *p, uint64_t offset,
                                              struct cp_error *err);
/* Ends the work on it; what was not synced may be lost. NULL allowed. */
void blob_partial_close(struct blob_partial *p);
/* Appends. CP_ERR_STORAGE_FULL, CP_ERR_STORAGE; after a failure only cut and close are allowed. */
CP_MUST_CHECK enum cp_err blob_partial_add(struct blob_partial *p, const void *data, size_t size,
                                           struct cp_error *err);
/* Cuts it back to `offset`: what came after counts as never sent. */
CP_MUST_CHECK enum cp_err blob_partial_cut(struct blob_partial *p, uint64_t offset,
                                           struct cp_error *err);
/* All that was added is on the disk. */
CP_MUST_CHECK enum cp_err blob_partial_sync(struct blob_partial *p, struct cp_error *err);
uint64_t blob_partial_size(const struct blob_partial *p); /* bytes */
/* SHA-256 of all its bytes. It is at hand when this process saw all of them; else the file is read,
 * 128 KiB at a time. */
CP_MUST_CHECK enum cp_err blob_partial_digest(struct blob_partial *p,
                                              uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                                              struct cp_error *err);
/* Makes the synced file the blob of that digest, held, as blob_writer_commit does; close it then. */
CP_MUST_CHECK enum cp_err blob_partial_publish(struct blob_partial *p,
                                               const uint8_t digest[CONTENT_DIGEST_SIZE],
                                               struct cp_error *err);
/* Throws the file away, opened or not; one that is not there is fine. Close it then. */
CP_MUST_CHECK enum cp_err blob_partial_remove(struct blob_partial *p, struct cp_error *err);
/* Calls fn with every file, as long as it returns CP_OK. */
typedef enum cp_err blob_partial_fn(void *arg, const char *name, const struct blob_found *found,
                                    struct cp_error *err);
CP_MUST_CHECK enum cp_err blob_partial_each(struct blob_store *s, blob_partial_fn *fn, void *arg,
                                            struct cp_error *err);

/* ---- what is there ---- */

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

/* Room as the uploads under way leave it, in bytes. */
struct blob_room {
    uint64_t free;     /* of the file system */
    uint64_t promised; /* announced by writers, or written where that is not known; until settled */
    uint64_t left;     /* of it, not written yet */
};
/* Counts bytes that will come by another way than a writer; withdraw what was promised, once it is
 * counted elsewhere or given up. Promise first, then look at the room: of two that do so at the same
 * time each sees the other. */
void blob_store_promise(struct blob_store *s, uint64_t bytes);
void blob_store_withdraw(struct blob_store *s, uint64_t bytes);
/* What blob_writer_commit gave is counted by the database from now on, or is nobody's. */
void blob_store_settled(struct blob_store *s, uint64_t bytes);
CP_MUST_CHECK enum cp_err blob_store_room(struct blob_store *s, struct blob_room *ret_room,
                                          struct cp_error *err);

#endif
