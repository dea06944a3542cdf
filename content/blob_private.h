/* SPDX-License-Identifier: Apache-2.0
 * A store's inside, for the files of content/blob*. */
#ifndef CONTENT_BLOB_PRIVATE_H
#define CONTENT_BLOB_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "content/blob.h"

/* Write-back is started every so many bytes, so that commit's fsync finds little left to do. */
#define BLOB_WRITE_BACK_STEP ((uint64_t)8 << 20)
#define BLOB_NAME_SIZE       64u

struct blob_hold;          /* blob_hold.c */
struct blob_partial_state; /* blob_partial.c */

struct blob_store {
    /* descriptors; all but the last are folders */
    int root, incoming, partial, blobs, quarantine, lock;
    atomic_uint_fast64_t next_name;
    pthread_mutex_t ledger_lock;
    uint64_t promised, written; /* of all writers: what is to come, and what of it came */
    uint64_t unsettled;         /* blobs whose rows are not written yet */
    pthread_mutex_t partial_lock;
    struct blob_partial_state *partials;
    pthread_mutex_t holds_lock;
    pthread_cond_t holds_changed;
    struct blob_hold *holds; /* few at a time: those of uploads that are being finished */
};

/* CP_ERR_STORAGE_FULL or CP_ERR_STORAGE by errno, with its text. */
enum cp_err blob_storage_error(struct cp_error *err, int error, const char *what);

/* Opens a folder of the store, making it when it is not there. */
CP_MUST_CHECK enum cp_err blob_open_folder(int parent, const char *name, int *ret_fd,
                                           struct cp_error *err);

/* Folder of a digest's blob, opened without making it; -1 with errno. */
int blob_digest_folder(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE],
                       char ret_hex[CONTENT_DIGEST_TEXT_SIZE]);

/* ---- a file that grows, holes where its bytes are zeros ---- */

struct blob_file {
    int fd;
    uint64_t size, written_back;
};

CP_MUST_CHECK enum cp_err blob_file_add(struct blob_file *f, const void *data, size_t size,
                                        struct cp_error *err);
/* As long as its bytes, trailing zeros too, and on the disk. */
CP_MUST_CHECK enum cp_err blob_file_sync(struct blob_file *f, struct cp_error *err);

struct blob_found; /* content/blob_care.h */

/* What a file is by itself: all but its digest. *ret_is_file false: it is gone, or something else. */
CP_MUST_CHECK enum cp_err blob_look(int folder, const char *name, struct blob_found *ret_found,
                                    bool *ret_is_file, struct cp_error *err);

/* Renames a whole and synced file of `folder` to its digest and holds it (content/blob_care.h).
 * CP_ERR_BLOB_MISSING: it is gone. */
CP_MUST_CHECK enum cp_err blob_publish(struct blob_store *s, int folder, const char *name,
                                       const uint8_t digest[CONTENT_DIGEST_SIZE],
                                       struct cp_error *err);

/* Frees the list. */
void blob_partials_free(struct blob_store *s);

/* ---- holds (content/blob_care.h) ---- */

void blob_holds_init(struct blob_store *s);
void blob_holds_done(struct blob_store *s);

#endif
