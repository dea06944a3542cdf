/* SPDX-License-Identifier: Apache-2.0
 * Reading a blob back to see whether its bytes are still those that its name says. Touches files;
 * thread-safe. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/pages.h"
#include "content/blob_care.h"
#include "content/blob_private.h"

#define PIECE ((size_t)1 << 20)

/* As pread; once more where the disk failed, since many a failure is passing. */
static ssize_t read_piece(int fd, uint8_t *buffer, size_t want, uint64_t at)
{
    bool again = true;

    for (;;) {
        ssize_t got = pread(fd, buffer, want, (off_t)at);

        if (got >= 0 || (errno != EINTR && !(errno == EIO && again))) {
            return got;
        }
        again = again && errno == EINTR;
    }
}

/* CP_OK with what was found; a failure is pace's, or CP_ERR_STORAGE: it cannot be known. */
static enum cp_err compare(const struct blob_check *c, int fd, struct content_sha256 *hash,
                           uint8_t *buffer, bool *ret_same, struct cp_error *err)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    uint64_t done = 0;

    while (done < c->size) {
        size_t want = c->size - done < PIECE ? (size_t)(c->size - done) : PIECE;
        ssize_t got;

        CP_TRY(c->pace(c->arg, want, err));
        got = read_piece(fd, buffer, want, done);
        if (got < 0 && errno != EIO) {
            return cp_error_set(err, CP_ERR_STORAGE, "Content cannot be read at %" PRIu64 ": %s.",
                                done, strerror(errno));
        }
        if (got <= 0) {
            *ret_same = false; /* a bad sector, or somebody cut the file */
            return CP_OK;
        }
        content_sha256_add(hash, buffer, (size_t)got);
        (void)posix_fadvise(fd, (off_t)done, (off_t)got, POSIX_FADV_DONTNEED);
        done += (uint64_t)got;
    }
    content_sha256_finish(hash, digest);
    *ret_same = memcmp(digest, c->digest, sizeof digest) == 0;
    return CP_OK;
}

static enum cp_err read_all(const struct blob_check *c, int fd, bool *ret_same,
                            struct cp_error *err)
{
    struct content_sha256 *hash = NULL;
    uint8_t *buffer = cp_pages_alloc(PIECE);
    enum cp_err code;

    if (buffer == NULL || content_sha256_new(&hash) != CP_OK) {
        free(buffer);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "No memory to read the library.");
    }
    /* What memory has of it says nothing about the disk. */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    code = compare(c, fd, hash, buffer, ret_same, err);
    content_sha256_free(hash);
    free(buffer);
    return code;
}

/* A link or folder in its place: whatever that is, these bytes are gone. */
static bool is_replaced(struct blob_store *s, const uint8_t *digest)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    int folder = blob_digest_folder(s, digest, hex);
    struct stat st;
    bool replaced;

    if (folder < 0) {
        return false;
    }
    replaced = fstatat(folder, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode);
    (void)close(folder);
    return replaced;
}

enum cp_err blob_verify(struct blob_store *s, const struct blob_check *check,
                        enum blob_condition *ret_condition, int *ret_fd, struct cp_error *err)
{
    uint64_t size;
    bool same = false;
    int fd;
    enum cp_err code = blob_open(s, check->digest, &fd, &size, err);

    if (code == CP_ERR_BLOB_MISSING || (code != CP_OK && is_replaced(s, check->digest))) {
        *ret_condition = code == CP_ERR_BLOB_MISSING ? BLOB_MISSING : BLOB_DAMAGED;
        *ret_fd = -1;
        return CP_OK;
    }
    CP_TRY(code);
    if (size != check->size) {
        *ret_condition = BLOB_SIZE_DIFFERS;
        *ret_fd = fd;
        return CP_OK;
    }
    code = read_all(check, fd, &same, err);
    if (code != CP_OK) {
        (void)close(fd);
        return code;
    }
    *ret_condition = same ? BLOB_GOOD : BLOB_DAMAGED;
    *ret_fd = fd;
    return CP_OK;
}
