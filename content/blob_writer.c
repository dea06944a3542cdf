/* SPDX-License-Identifier: Apache-2.0
 * Blobs that come in one piece: incoming/N, hashed on the way, then renamed to their digest. Touches
 * files; a writer belongs to one thread at a time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hex.h"
#include "content/blob_care.h"
#include "content/blob_private.h"

/* A run of zeros in one of the file system's blocks is worth a hole. */
#define BLOCK_SIZE ((uint64_t)4096)

struct blob_writer {
    struct blob_store *store;
    struct content_sha256 *hash;
    struct blob_file file; /* fd -1 until the first byte comes */
    uint64_t promised;     /* in the store's ledger; follows file.size when that is not known */
    bool is_known;
    bool is_committed;
    char name[BLOB_NAME_SIZE]; /* in incoming/ */
    bool is_expected;          /* `expected` was given */
    uint8_t expected[CONTENT_DIGEST_SIZE];
};

/* ---- files ---- */

static bool is_zero(const char *p, size_t size)
{
    return p[0] == 0 && memcmp(p, p + 1, size - 1) == 0;
}

/* Bytes up to the end of the block that `at` lies in. */
static size_t to_block_end(uint64_t at, size_t size)
{
    uint64_t rest = BLOCK_SIZE - at % BLOCK_SIZE;

    return rest < size ? (size_t)rest : size;
}

static enum cp_err write_all(int fd, uint64_t at, const char *data, size_t size,
                             struct cp_error *err)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return blob_storage_error(err, errno, "writing the incoming file");
        }
        data += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return CP_OK;
}

enum cp_err blob_file_add(struct blob_file *f, const void *data, size_t size, struct cp_error *err)
{
    const char *p = data;
    size_t done = 0;
    size_t run = 0; /* bytes before `done` that are to be written */

    while (done < size) {
        size_t part = to_block_end(f->size + done, size - done);

        if (!is_zero(p + done, part)) {
            run += part;
        } else {
            CP_TRY(write_all(f->fd, f->size + done - run, p + done - run, run, err));
            run = 0;
        }
        done += part;
    }
    CP_TRY(write_all(f->fd, f->size + done - run, p + done - run, run, err));
    f->size += size;
    if (f->size - f->written_back >= BLOB_WRITE_BACK_STEP) {
        (void)sync_file_range(f->fd, (off_t)f->written_back, (off_t)(f->size - f->written_back),
                              SYNC_FILE_RANGE_WRITE);
        f->written_back = f->size;
    }
    return CP_OK;
}

enum cp_err blob_file_sync(struct blob_file *f, struct cp_error *err)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0) {
        return blob_storage_error(err, errno, "incoming file");
    }
    if ((uint64_t)st.st_size < f->size && ftruncate(f->fd, (off_t)f->size) != 0) {
        return blob_storage_error(err, errno, "growing the incoming file");
    }
    return fsync(f->fd) == 0 ? CP_OK : blob_storage_error(err, errno, "syncing the incoming file");
}

enum cp_err blob_publish(struct blob_store *s, int folder, const char *name,
                         const uint8_t digest[CONTENT_DIGEST_SIZE], struct cp_error *err)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    char place[3];
    int into;
    enum cp_err code;

    cp_hex_encode(digest, CONTENT_DIGEST_SIZE, hex);
    (void)snprintf(place, sizeof place, "%.2s", hex);
    if (blob_hold(s, digest) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
    }
    code = blob_open_folder(s->blobs, place, &into, err);
    if (code != CP_OK) {
        blob_release(s, digest);
        return code;
    }
    if (renameat(folder, name, into, hex) != 0) {
        code = errno == ENOENT ? cp_error_set(err, CP_ERR_BLOB_MISSING, "the upload's file is gone")
                               : blob_storage_error(err, errno, "naming the blob");
    } else if (fsync(into) != 0) {
        /* The file itself is whole and synced: it may stay, it is only not known to be durable. */
        code = blob_storage_error(err, errno, "syncing the blob's folder");
    }
    (void)close(into);
    if (code != CP_OK) {
        blob_release(s, digest);
    }
    return code;
}

/* ---- the ledger ---- */

static void enter(struct blob_writer *w, uint64_t promise, uint64_t write)
{
    (void)pthread_mutex_lock(&w->store->ledger_lock);
    w->store->promised += promise;
    w->store->written += write;
    (void)pthread_mutex_unlock(&w->store->ledger_lock);
    w->promised += promise;
}

static void leave_ledger(struct blob_writer *w)
{
    (void)pthread_mutex_lock(&w->store->ledger_lock);
    w->store->promised -= w->promised;
    w->store->written -= w->file.size;
    w->store->unsettled += w->is_committed ? w->file.size : 0;
    (void)pthread_mutex_unlock(&w->store->ledger_lock);
}

/* ---- writers ---- */

static void writer_free(struct blob_writer *w)
{
    leave_ledger(w);
    if (w->file.fd >= 0) {
        (void)close(w->file.fd);
    }
    content_sha256_free(w->hash);
    free(w);
}

enum cp_err blob_writer_open(struct blob_store *s, uint64_t expected_size,
                             struct blob_writer **ret_writer, struct cp_error *err)
{
    struct blob_writer *w;
    struct blob_room room;

    CP_TRY(blob_store_room(s, &room, err));
    if (expected_size != BLOB_SIZE_UNKNOWN && expected_size > room.free) {
        return cp_error_set(err, CP_ERR_STORAGE_FULL, "%llu bytes are to come, %llu are free",
                            (unsigned long long)expected_size, (unsigned long long)room.free);
    }
    w = calloc(1, sizeof *w);
    if (w == NULL || content_sha256_new(&w->hash) != CP_OK) {
        free(w);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
    }
    w->store = s;
    w->file.fd = -1;
    w->is_known = expected_size != BLOB_SIZE_UNKNOWN;
    (void)snprintf(w->name, sizeof w->name, "%llu",
                   (unsigned long long)atomic_fetch_add(&s->next_name, 1));
    enter(w, w->is_known ? expected_size : 0, 0);
    *ret_writer = w;
    return CP_OK;
}

/* With the first byte, so that an upload that is refused before it touches no disk. */
static enum cp_err make_file(struct blob_writer *w, struct cp_error *err)
{
    if (w->file.fd < 0) {
        w->file.fd = openat(w->store->incoming, w->name,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    return w->file.fd >= 0 ? CP_OK : blob_storage_error(err, errno, "incoming file");
}

enum cp_err blob_writer_add(struct blob_writer *w, const void *data, size_t size,
                            struct cp_error *err)
{
    CP_TRY(make_file(w, err));
    content_sha256_add(w->hash, data, size);
    CP_TRY(blob_file_add(&w->file, data, size, err));
    enter(w, w->is_known ? 0 : size, size);
    return CP_OK;
}

void blob_writer_expect(struct blob_writer *w, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    memcpy(w->expected, digest, sizeof w->expected);
    w->is_expected = true;
}

static enum cp_err check_expected(const struct blob_writer *w,
                                  const uint8_t digest[CONTENT_DIGEST_SIZE], struct cp_error *err)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    char wanted[CONTENT_DIGEST_TEXT_SIZE];

    if (!w->is_expected || memcmp(digest, w->expected, CONTENT_DIGEST_SIZE) == 0) {
        return CP_OK;
    }
    cp_hex_encode(digest, CONTENT_DIGEST_SIZE, hex);
    cp_hex_encode(w->expected, CONTENT_DIGEST_SIZE, wanted);
    return cp_error_set(err, CP_ERR_DIGEST_MISMATCH,
                        "the content has the SHA-256 %s, announced was %s", hex, wanted);
}

static enum cp_err finish(struct blob_writer *w, const uint8_t digest[CONTENT_DIGEST_SIZE],
                          struct cp_error *err)
{
    CP_TRY(make_file(w, err));
    CP_TRY(check_expected(w, digest, err));
    CP_TRY(blob_file_sync(&w->file, err));
    return blob_publish(w->store, w->store->incoming, w->name, digest, err);
}

enum cp_err blob_writer_commit(struct blob_writer *w, uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                               uint64_t *ret_size, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    enum cp_err code;

    content_sha256_finish(w->hash, digest);
    code = finish(w, digest, err);
    if (code != CP_OK) {
        blob_writer_abort(w);
        return code;
    }
    memcpy(ret_digest, digest, sizeof digest);
    *ret_size = w->file.size;
    w->is_committed = true;
    writer_free(w);
    return CP_OK;
}

void blob_writer_abort(struct blob_writer *w)
{
    if (w != NULL) {
        if (w->file.fd >= 0) {
            (void)unlinkat(w->store->incoming, w->name, 0);
        }
        writer_free(w);
    }
}
