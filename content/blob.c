/* SPDX-License-Identifier: Apache-2.0
 * The content library on a file system: root/sha256/ab/<64 digits>, root/incoming/, root/partial/,
 * root/quarantine/, root/identity, root/lock.
 * Thread-safe: the only shared thing that changes is the counter that names incoming files. */
#include "content/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/hex.h"
#include "content/blob_private.h"

enum cp_err blob_storage_error(struct cp_error *err, int error, const char *what)
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

enum cp_err blob_open_folder(int parent, const char *name, int *ret_fd, struct cp_error *err)
{
    int fd;

    if (mkdirat(parent, name, 0700) == 0) {
        if (parent != AT_FDCWD && fsync(parent) != 0) {
            return blob_storage_error(err, errno, name);
        }
    } else if (errno != EEXIST) {
        return blob_storage_error(err, errno, name);
    }
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return blob_storage_error(err, errno, name);
    }
    *ret_fd = fd;
    return CP_OK;
}

static enum cp_err take_lock(struct blob_store *s, struct cp_error *err)
{
    s->lock = openat(s->root, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (s->lock < 0) {
        return blob_storage_error(err, errno, "lock");
    }
    if (flock(s->lock, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK
                   ? cp_error_set(err, CP_ERR_STORAGE, "another process uses this content library")
                   : blob_storage_error(err, errno, "lock");
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
        enum cp_err code = blob_storage_error(err, errno, "incoming");

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
    s->root = s->incoming = s->partial = s->blobs = s->quarantine = s->lock = -1;
    blob_holds_init(s);
    atomic_init(&s->next_name, 0);
    (void)pthread_mutex_init(&s->ledger_lock, NULL);
    (void)pthread_mutex_init(&s->partial_lock, NULL);
    code = blob_open_folder(AT_FDCWD, root, &s->root, err);
    if (code == CP_OK) {
        code = take_lock(s, err);
    }
    if (code == CP_OK) {
        code = blob_open_folder(s->root, "incoming", &s->incoming, err);
    }
    if (code == CP_OK) {
        code = blob_open_folder(s->root, "partial", &s->partial, err);
    }
    if (code == CP_OK) {
        code = blob_open_folder(s->root, "sha256", &s->blobs, err);
    }
    if (code == CP_OK) {
        code = blob_open_folder(s->root, "quarantine", &s->quarantine, err);
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
        blob_partials_free(s);
        blob_holds_done(s);
        (void)pthread_mutex_destroy(&s->partial_lock);
        (void)pthread_mutex_destroy(&s->ledger_lock);
        close_fd(s->quarantine);
        close_fd(s->blobs);
        close_fd(s->partial);
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
        return blob_storage_error(err, errno, "free space");
    }
    *ret_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return CP_OK;
}

void blob_store_promise(struct blob_store *s, uint64_t bytes)
{
    (void)pthread_mutex_lock(&s->ledger_lock);
    s->promised += bytes;
    (void)pthread_mutex_unlock(&s->ledger_lock);
}

void blob_store_withdraw(struct blob_store *s, uint64_t bytes)
{
    (void)pthread_mutex_lock(&s->ledger_lock);
    s->promised -= bytes;
    (void)pthread_mutex_unlock(&s->ledger_lock);
}

void blob_store_settled(struct blob_store *s, uint64_t bytes)
{
    (void)pthread_mutex_lock(&s->ledger_lock);
    s->unsettled -= bytes;
    (void)pthread_mutex_unlock(&s->ledger_lock);
}

enum cp_err blob_store_room(struct blob_store *s, struct blob_room *ret_room, struct cp_error *err)
{
    struct blob_room room;

    CP_TRY(blob_store_free_space(s, &room.free, err));
    (void)pthread_mutex_lock(&s->ledger_lock);
    room.promised = s->promised + s->unsettled;
    room.left = s->promised > s->written ? s->promised - s->written : 0;
    (void)pthread_mutex_unlock(&s->ledger_lock);
    *ret_room = room;
    return CP_OK;
}

int blob_digest_folder(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE],
                       char ret_hex[CONTENT_DIGEST_TEXT_SIZE])
{
    char name[3];

    cp_hex_encode(digest, CONTENT_DIGEST_SIZE, ret_hex);
    (void)snprintf(name, sizeof name, "%.2s", ret_hex);
    return openat(s->blobs, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

enum cp_err blob_open(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], int *ret_fd,
                      uint64_t *ret_size, struct cp_error *err)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    struct stat st;
    int folder = blob_digest_folder(s, digest, hex);
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
        enum cp_err code = blob_storage_error(err, error, "opening");

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
    int folder = blob_digest_folder(s, digest, hex);
    enum cp_err code = CP_OK;

    if (folder < 0) {
        return errno == ENOENT ? CP_OK : blob_storage_error(err, errno, "removing a blob");
    }
    if (unlinkat(folder, hex, 0) != 0 && errno != ENOENT) {
        code = blob_storage_error(err, errno, "removing a blob");
    }
    (void)close(folder);
    return code;
}
