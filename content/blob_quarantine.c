/* SPDX-License-Identifier: Apache-2.0
 * Damaged blobs, set aside: root/quarantine/<64 digits>. Touches files; whoever moves a blob has
 * claimed it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hex.h"
#include "content/blob_care.h"
#include "content/blob_private.h"

static bool is_same_file(int folder, const char *name, int fd)
{
    struct stat there;
    struct stat read;
    bool is_there = fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0;

    if (fd < 0) {
        return !is_there || !S_ISREG(there.st_mode);
    }
    return is_there && fstat(fd, &read) == 0 && there.st_dev == read.st_dev &&
           there.st_ino == read.st_ino;
}

bool blob_is_still(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], int fd)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    int folder = blob_digest_folder(s, digest, hex);
    bool same;

    if (folder < 0) {
        return fd < 0;
    }
    same = is_same_file(folder, hex, fd);
    (void)close(folder);
    return same;
}

enum cp_err blob_quarantine(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE], int fd,
                            bool *ret_moved, struct cp_error *err)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    int folder = blob_digest_folder(s, digest, hex);
    bool moved = false;
    enum cp_err code = CP_OK;

    if (folder < 0 && errno != ENOENT) {
        return blob_storage_error(err, errno, "setting a blob aside");
    }
    if (folder >= 0 && fd >= 0 && is_same_file(folder, hex, fd)) {
        moved = renameat(folder, hex, s->quarantine, hex) == 0;
        if (!moved || fsync(s->quarantine) != 0 || fsync(folder) != 0) {
            code = blob_storage_error(err, errno, "setting a blob aside");
        }
    }
    if (folder >= 0) {
        (void)close(folder);
    }
    CP_TRY(code);
    *ret_moved = moved;
    return CP_OK;
}

bool blob_quarantined(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    cp_hex_encode(digest, CONTENT_DIGEST_SIZE, hex);
    return faccessat(s->quarantine, hex, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

enum cp_err blob_quarantine_remove(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE],
                                   struct cp_error *err)
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    cp_hex_encode(digest, CONTENT_DIGEST_SIZE, hex);
    return unlinkat(s->quarantine, hex, 0) == 0 || errno == ENOENT
               ? CP_OK
               : blob_storage_error(err, errno, "removing what was set aside");
}
