/* SPDX-License-Identifier: Apache-2.0
 * Whose library it is, root/identity; and which of its files nobody knows. Touches files;
 * thread-safe. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hex.h"
#include "content/blob_care.h"
#include "content/blob_private.h"

#define NAME "identity"

/* ---- identity ---- */

static bool is_identity(const char *text)
{
    return strlen(text) == BLOB_IDENTITY_SIZE - 1 &&
           text[strspn(text, "0123456789abcdef-")] == '\0';
}

enum cp_err blob_identity_get(struct blob_store *s, char ret_identity[BLOB_IDENTITY_SIZE],
                              struct cp_error *err)
{
    char text[BLOB_IDENTITY_SIZE + 2] = ""; /* a newline, and one byte that must not be there */
    int fd = openat(s->root, NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t size;

    if (fd < 0 && errno == ENOENT) {
        ret_identity[0] = '\0';
        return CP_OK;
    }
    size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (size < 0) {
        enum cp_err code = blob_storage_error(err, errno, "reading the library's identity");

        if (fd >= 0) {
            (void)close(fd);
        }
        return code;
    }
    (void)close(fd);
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(ret_identity, BLOB_IDENTITY_SIZE, "%s", is_identity(text) ? text : "?");
    return CP_OK;
}

static bool write_whole(int fd, const char *text)
{
    ssize_t size = (ssize_t)strlen(text);

    return write(fd, text, (size_t)size) == size && fsync(fd) == 0;
}

enum cp_err blob_identity_set(struct blob_store *s, const char *identity, struct cp_error *err)
{
    char line[BLOB_IDENTITY_SIZE + 1];
    int fd;
    bool done;

    CP_ASSERT(is_identity(identity));
    (void)snprintf(line, sizeof line, "%s\n", identity);
    fd = openat(s->incoming, NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    done = fd >= 0 && write_whole(fd, line) && renameat(s->incoming, NAME, s->root, NAME) == 0 &&
           fsync(s->root) == 0;
    if (!done) {
        enum cp_err code = blob_storage_error(err, errno, "writing the library's identity");

        if (fd >= 0) {
            (void)close(fd);
        }
        return code;
    }
    (void)close(fd);
    return CP_OK;
}

/* ---- strays ----
 * The sticky bit, which means nothing for a file: it survives the process and whatever becomes of
 * the database, goes with the file, and the file's change time says since when. */

static int folder_of(struct blob_store *s, enum blob_place place, const char *name)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    if (place == BLOB_IN_STORE) {
        CP_ASSERT(cp_hex_decode(name, digest, sizeof digest));
        return blob_digest_folder(s, digest, hex);
    }
    return dup(place == BLOB_IN_QUARANTINE ? s->quarantine : s->partial);
}

/* Whether it could be set, or the file is gone. */
static bool set_mark(int folder, const char *name, bool stray)
{
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    bool done;

    if (fd < 0) {
        return errno == ENOENT;
    }
    done = fstat(fd, &st) == 0 &&
           fchmod(fd, (st.st_mode & (mode_t)0777) | (stray ? (mode_t)S_ISVTX : 0)) == 0;
    (void)close(fd);
    return done;
}

enum cp_err blob_stray_mark(struct blob_store *s, enum blob_place place, const char *name,
                            bool stray, struct cp_error *err)
{
    int folder = folder_of(s, place, name);
    enum cp_err code = CP_OK;

    if (folder < 0) {
        return errno == ENOENT ? CP_OK : blob_storage_error(err, errno, name);
    }
    if (!set_mark(folder, name, stray)) {
        code = blob_storage_error(err, errno, name);
    }
    (void)close(folder);
    return code;
}
