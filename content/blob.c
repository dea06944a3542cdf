/* SPDX-License-Identifier: Apache-2.0
 * The content library on a file system: root/sha256/ab/<64 digits>, root/incoming/, root/lock.
 * Thread-safe: the only shared thing that changes is the counter that names incoming files. */
#include "content/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/hex.h"

/* Write-back is started every so many bytes, so that commit's fsync finds little left to do. */
#define WRITE_BACK_STEP ((uint64_t)8 << 20)
#define NAME_SIZE       24u

struct blob_store {
    int root, incoming, blobs, lock; /* descriptors; the first three are folders */
    atomic_uint_fast64_t next_name;
};

struct blob_writer {
    struct blob_store *store;
    struct content_sha256 *hash;
    int fd;
    uint64_t size, written_back;
    char name[NAME_SIZE]; /* in incoming/ */
    bool is_expected;     /* `expected` was given */
    uint8_t expected[CONTENT_DIGEST_SIZE];
};

static enum cp_err storage_error(struct cp_error *err, int error, const char *what)
{
    enum cp_err code = error == ENOSPC || error == EDQUOT ? CP_ERR_STORAGE_FULL : CP_ERR_STORAGE;

    return cp_error_set(err, code, "%s: %s", what, strerror(error));
}

static void close_fd(int fd)
{
    if (fd >= 0) {
        (void)close(fd);
    }
}

/* Opens a folder of the store, making it when it is not there. */
static enum cp_err open_folder(int parent, const char *name, int *ret_fd, struct cp_error *err)
{
    int fd;

    if (mkdirat(parent, name, 0700) == 0) {
        if (parent != AT_FDCWD && fsync(parent) != 0) {
            return storage_error(err, errno, name);
        }
    } else if (errno != EEXIST) {
        return storage_error(err, errno, name);
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return storage_error(err, errno, name);
    }
    *ret_fd = fd;
    return CP_OK;
}

static enum cp_err take_lock(struct blob_store *s, struct cp_error *err)
{
    s->lock = openat(s->root, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock < 0) {
        return storage_error(err, errno, "lock");
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? cp_error_set(err, CP_ERR_STORAGE, "another process uses this content library")
                   : storage_error(err, errno, "lock");
    }
    return CP_OK;
}

/* Under the lock nobody else writes, so whatever lies in incoming/ belongs to a dead process. */
static enum cp_err remove_leftovers(struct blob_store *s, struct cp_error *err)
{
    int fd = openat(s->incoming, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (dir == NULL) {
        enum cp_err code = storage_error(err, errno, "incoming");

        close_fd(fd);
        return code;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)unlinkat(s->incoming, entry->d_name, 0);
        }
    }
    (void)closedir(dir);
    return CP_OK;
}

enum cp_err blob_store_open(const char *root, struct blob_store **ret_store, struct cp_error *err)
{
    struct blob_store *s = calloc(1, sizeof *s);
    enum cp_err code;

    if (s == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "content library");
    }
    s->root = s->incoming = s->blobs = s->lock = -1;
    atomic_init(&s->next_name, 0);
    code = open_folder(AT_FDCWD, root, &s->root, err);
    if (code == CP_OK) {
        code = take_lock(s, err);
    }
    if (code == CP_OK) {
        code = open_folder(s->root, "incoming", &s->incoming, err);
    }
    if (code == CP_OK) {
        code = open_folder(s->root, "sha256", &s->blobs, err);
    }
    if (code == CP_OK) {
        code = remove_leftovers(s, err);
    }
    if (code != CP_OK) {
        cp_error_prefix(err, "content library %s", root);
        blob_store_close(s);
        return code;
    }
    *ret_store = s;
    return CP_OK;
}

void blob_store_close(struct blob_store *s)
{
    if (s != NULL) {
        close_fd(s->blobs);
        close_fd(s->incoming);
        close_fd(s->root);
        close_fd(s->lock); /* gives the lock back */
        free(s);
    }
}

enum cp_err blob_store_free_space(struct blob_store *s, uint64_t *ret_bytes, struct cp_error *err)
{
    struct statvfs st;

    if (fstatvfs(s->incoming, &st) != 0) {
        return storage_error(err, errno, "free space");
    }
    *ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return CP_OK;
}

static void writer_free(struct blob_writer *w)
{
    close_fd(w->fd);
    content_sha256_free(w->hash);
    free(w);
}

enum cp_err blob_writer_open(struct blob_store *s, uint64_t expected_size,
                             struct blob_writer **ret_writer, struct cp_error *err)
{
    struct blob_writer *w;
    uint64_t room = 0;

    CP_TRY(blob_store_free_space(s, &room, err));
    if (expected_size != BLOB_SIZE_UNKNOWN && expected_size > room) {
        return cp_error_set(err, CP_ERR_STORAGE_FULL, "%llu bytes are to come, %llu are free",
                            (unsigned long long)expected_size, (unsigned long long)room);
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
    }
    w->store = s;
    w->fd = -1;
    if (content_sha256_new(&w->hash) != CP_OK) {
        writer_free(w);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
    }
    (void)snprintf(w->name, sizeof w->name, "%llu",
                   (unsigned long long)atomic_fetch_add(&s->next_name, 1));
    w->fd =
        openat(s->incoming, w->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        enum cp_err code = storage_error(err, errno, "incoming file");

        writer_free(w);
        return code;
    }
    *ret_writer = w;
    return CP_OK;
}

enum cp_err blob_writer_add(struct blob_writer *w, const void *data, size_t size,
                            struct cp_error *err)
{
    const char *p = data;

    content_sha256_add(w->hash, data, size);
    while (size > 0) {
        ssize_t n = write(w->fd, p, size);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return storage_error(err, errno, "writing the incoming file");
        }
        p += n;
        size -= (size_t)n;
        w->size += (uint64_t)n;
    }
    if (w->size - w->written_back >= WRITE_BACK_STEP) {
        (void)sync_file_range(w->fd, (off_t)w->written_back, (off_t)(w->size - w->written_back),
                              SYNC_FILE_RANGE_WRITE);
        w->written_back = w->size;
    }
    return CP_OK;
}

/* "ab" of the digest's text: the folder. */
static void folder_name(const char *hex, char ret_name[3])
{
    ret_name[0] = hex[0];
    ret_name[1] = hex[1];
    ret_name[2] = '\0';
}

static enum cp_err publish(struct blob_writer *w, const char *hex, struct cp_error *err)
{
    char name[3];
    int folder;
    enum cp_err code = CP_OK;

    folder_name(hex, name);
    CP_TRY(open_folder(w->store->blobs, name, &folder, err));
    if (renameat(w->store->incoming, w->name, folder, hex) != 0) {
        code = storage_error(err, errno, "naming the blob");
    } else if (fsync(folder) != 0) {
        /* The file itself is whole and synced: it may stay, it is only not known to be durable. */
        code = storage_error(err, errno, "syncing the blob's folder");
    }
    (void)close(folder);
    return code;
}

void blob_writer_expect(struct blob_writer *w, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    memcpy(w->expected, digest, sizeof w->expected);
    w->is_expected = true;
}

static enum cp_err check_expected(const struct blob_writer *w,
                                  const uint8_t digest[CONTENT_DIGEST_SIZE], const char *hex,
                                  struct cp_error *err)
{
    char wanted[CONTENT_DIGEST_TEXT_SIZE];

    if (!w->is_expected || memcmp(digest, w->expected, CONTENT_DIGEST_SIZE) == 0) {
        return CP_OK;
    }
    cp_hex_encode(w->expected, CONTENT_DIGEST_SIZE, wanted);
    return cp_error_set(err, CP_ERR_DIGEST_MISMATCH,
                        "the content has the SHA-256 %s, announced was %s", hex, wanted);
}

enum cp_err blob_writer_commit(struct blob_writer *w, uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                               uint64_t *ret_size, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    enum cp_err code;

    content_sha256_finish(w->hash, digest);
    cp_hex_encode(digest, sizeof digest, hex);
    code = check_expected(w, digest, hex, err);
    if (code == CP_OK) {
        code = fsync(w->fd) == 0 ? publish(w, hex, err)
                                 : storage_error(err, errno, "syncing the incoming file");
    }
    if (code != CP_OK) {
        blob_writer_abort(w);
        return code;
    }
    memcpy(ret_digest, digest, sizeof digest);
    *ret_size = w->size;
    writer_free(w);
    return CP_OK;
}

void blob_writer_abort(struct blob_writer *w)
{
    if (w != NULL) {
        (void)unlinkat(w->store->incoming, w->name, 0);
        writer_free(w);
    }
}

/* Folder of a digest's blob, opened without making it; -1 with errno. */
static int digest_folder(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE],
                         char ret_hex[CONTENT_DIGEST_TEXT_SIZE])
{
    char name[3];

    cp_hex_encode(digest, CONTENT_DIGEST_SIZE, ret_hex);
    folder_name(ret_hex, name);
    return openat(s->blobs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

enum cp_err blob_open(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], int *ret_fd,
                      uint64_t *ret_size, struct cp_error *err)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    struct stat st;
    int folder = digest_folder(s, digest, hex);
    int error = errno;
    int fd = -1;

    if (folder >= 0) {
        fd = openat(folder, hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        error = errno;
        (void)close(folder);
    }
    if (fd < 0 && error == ENOENT) {
        return cp_error_set(err, CP_ERR_BLOB_MISSING, "blob %s is not in the content library", hex);
    }
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        close_fd(fd);
        fd = -1;
        error = EIO;
    }
    if (fd < 0) {
        enum cp_err code = storage_error(err, error, "opening");

        cp_error_prefix(err, "blob %s", hex);
        return code;
    }
    *ret_fd = fd;
    *ret_size = (uint64_t)st.st_size;
    return CP_OK;
}

bool blob_exists(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], uint64_t size)
{
    uint64_t found;
    int fd;

    if (blob_open(s, digest, &fd, &found, NULL) != CP_OK) {
        return false;
    }
    (void)close(fd);
    return size == BLOB_SIZE_UNKNOWN || size == found;
}

enum cp_err blob_remove(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE],
                        struct cp_error *err)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    int folder = digest_folder(s, digest, hex);
    enum cp_err code = CP_OK;

    if (folder < 0) {
        return errno == ENOENT ? CP_OK : storage_error(err, errno, "removing a blob");
    }
    if (unlinkat(folder, hex, 0) != 0 && errno != ENOENT) {
        code = storage_error(err, errno, "removing a blob");
    }
    (void)close(folder);
    return code;
}
