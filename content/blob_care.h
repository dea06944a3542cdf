/* SPDX-License-Identifier: Apache-2.0
 * Looking after the content library: who needs a blob at this moment, what lies in the store, is it
 * still what its name says, and setting aside what is not. Touches files; thread-safe. */
#ifndef CONTENT_BLOB_CARE_H
#define CONTENT_BLOB_CARE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "content/sha256.h"

struct blob_store; /* content/blob.h */

/* ---- who needs a blob ----
 * Between the moment at which a blob's bytes are in the store and the one at which the database
 * knows who refers to them, a collector would take them for garbage. So whoever stores a blob holds
 * it until its row is written (blob_writer_commit takes the hold), and whoever removes a blob or
 * sets it aside claims it first. Several may hold a blob, one may claim it, never both. A claim is
 * kept while the database decides, so hold no connection while you wait for either. */

/* Waits while the blob is claimed. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err blob_hold(struct blob_store *s,
                                    const uint8_t digest[CONTENT_DIGEST_SIZE]);
void blob_release(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE]);

/* Waits while the blob is held or claimed. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err blob_claim(struct blob_store *s,
                                     const uint8_t digest[CONTENT_DIGEST_SIZE]);
void blob_unclaim(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE]);

/* ---- whose library it is ---- */

#define BLOB_IDENTITY_SIZE 37 /* a UUID and its NUL */

/* What the library says of itself; "" when it says nothing, "?" when that is no identity.
 * CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_identity_get(struct blob_store *s,
                                            char ret_identity[BLOB_IDENTITY_SIZE],
                                            struct cp_error *err);
/* Writes it durably, whole or not at all. CP_ERR_STORAGE, CP_ERR_STORAGE_FULL. */
CP_MUST_CHECK enum cp_err blob_identity_set(struct blob_store *s, const char *identity,
                                            struct cp_error *err);

/* ---- what is there ---- */

enum blob_place { BLOB_IN_STORE, BLOB_IN_QUARANTINE, BLOB_INCOMING };

struct blob_found {
    uint8_t digest[CONTENT_DIGEST_SIZE]; /* by its name; zeros in BLOB_INCOMING */
    uint64_t size;
    uint64_t disk_bytes; /* what it takes of the disk: less with holes in it */
    uint64_t changed_at; /* wall-clock nanoseconds: when it got its name, or its mark */
    bool stray;          /* marked as one that nobody knows: blob_stray_mark */
};

/* Any failure ends the walk. It may remove what it is shown. */
typedef enum cp_err blob_visit(void *arg, const struct blob_found *found, struct cp_error *err);

/* Shows every file of a place, in no order; what is not named as we name files is passed over.
 * CP_ERR_STORAGE, and what visit answers. */
CP_MUST_CHECK enum cp_err blob_store_walk(struct blob_store *s, enum blob_place place,
                                          blob_visit *visit, void *arg, struct cp_error *err);

/* Marks a file as one that the database does not know, or takes the mark off; changed_at says since
 * when. Whoever stores the same bytes again stores them in a new file, without it. name: as walks and
 * blob_partial_each show it (BLOB_INCOMING: of an upload that may be resumed). One that is gone is
 * fine. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_stray_mark(struct blob_store *s, enum blob_place place,
                                          const char *name, bool stray, struct cp_error *err);

/* When a blob's file got its name, wall-clock nanoseconds; 0: there is none. */
uint64_t blob_changed_at(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE]);

/* Bytes of the library's file system: in all, and those that may still be written. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_store_space(struct blob_store *s, uint64_t *ret_size,
                                           uint64_t *ret_free, struct cp_error *err);

/* ---- is it what its name says ---- */

enum blob_condition { BLOB_GOOD, BLOB_MISSING, BLOB_DAMAGED, BLOB_SIZE_DIFFERS };

/* Asked before each piece is read: may wait, and may end the reading by a failure. */
typedef enum cp_err blob_pace(void *arg, uint64_t bytes, struct cp_error *err);

struct blob_check {
    const uint8_t *digest;
    uint64_t size; /* that it must have */
    blob_pace *pace;
    void *arg;
};

/* Reads the blob from the disk, not from memory, and leaves nothing of it in the page cache. What
 * the disk cannot read, asked twice, is damaged. *ret_fd: the file that was read, the caller's to close; -1 when
 * there is none. CP_ERR_STORAGE (it cannot be opened, or read for a reason that is not the
 * disk's), CP_ERR_NO_MEMORY, and what pace answers. */
CP_MUST_CHECK enum cp_err blob_verify(struct blob_store *s, const struct blob_check *check,
                                      enum blob_condition *ret_condition, int *ret_fd,
                                      struct cp_error *err);

/* Whether fd (of blob_verify) is still the blob's file; -1: whether there is still none. */
bool blob_is_still(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], int fd);

/* ---- quarantine: what was damaged, kept aside for whoever wants to look at it ---- */

/* Moves the blob out of the store if it is still the file behind fd; *ret_moved false: it was
 * replaced or removed meanwhile. Claim it first. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_quarantine(struct blob_store *s,
                                          const uint8_t digest[CONTENT_DIGEST_SIZE], int fd,
                                          bool *ret_moved, struct cp_error *err);
bool blob_quarantined(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE]);
/* One that is not there is fine. CP_ERR_STORAGE. */
CP_MUST_CHECK enum cp_err blob_quarantine_remove(struct blob_store *s,
                                                 const uint8_t digest[CONTENT_DIGEST_SIZE],
                                                 struct cp_error *err);

#endif
