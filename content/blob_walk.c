/* SPDX-License-Identifier: Apache-2.0
 * What lies in the content library, and how much room there is. Touches files; thread-safe. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/hex.h"
#include "content/blob_care.h"
#include "content/blob_private.h"

#define FOLDERS 256u
/* What st_blocks counts (POSIX leaves it open, Linux does not). */
#define DISK_UNIT 512u
#define SEC       UINT64_C(1000000000)

struct walk {
    blob_visit *visit;
    void *arg;
    bool named; /* files are named by their digest */
};

enum cp_err blob_look(int folder, const char *name, struct blob_found *ret_found, bool *ret_is_file,
                      struct cp_error *err)
{
    struct stat st;

    *ret_is_file = false;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? CP_OK : blob_storage_error(err, errno, name);
    }
    *ret_is_file = S_ISREG(st.st_mode);
    ret_found->size = (uint64_t)st.st_size;
    ret_found->disk_bytes = (uint64_t)st.st_blocks * DISK_UNIT;
    ret_found->changed_at = (uint64_t)st.st_ctim.tv_sec * SEC + (uint64_t)st.st_ctim.tv_nsec;
    ret_found->stray = (st.st_mode & S_ISVTX) != 0;
    return CP_OK;
}

static enum cp_err show(const struct walk *w, int folder, const char *name, struct cp_error *err)
{
    struct blob_found found = {.size = 0};
    bool is_file;

    if (w->named && (strlen(name) != CONTENT_DIGEST_TEXT_SIZE - 1 ||
                     !cp_hex_decode(name, found.digest, sizeof found.digest))) {
        return CP_OK;
    }
    CP_TRY(blob_look(folder, name, &found, &is_file, err));
    return is_file ? w->visit(w->arg, &found, err) : CP_OK;
}

/* Takes the descriptor over. */
static enum cp_err walk_folder(const struct walk *w, int fd, struct cp_error *err)
{
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    enum cp_err code = CP_OK;

    if (dir == NULL) {
        code = blob_storage_error(err, errno, "reading a folder of the library");
        if (fd >= 0) {
            (void)close(fd);
        }
        return code;
    }
    while (code == CP_OK && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            code = show(w, dirfd(dir), entry->d_name, err);
        }
    }
    (void)closedir(dir);
    return code;
}

static int open_again(int folder, const char *name)
{
    return openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static enum cp_err walk_store(const struct walk *w, int blobs, struct cp_error *err)
{
    enum cp_err code = CP_OK;

    for (unsigned i = 0; i < FOLDERS && code == CP_OK; i++) {
        char name[3];
        int fd;

        (void)snprintf(name, sizeof name, "%02x", i);
        fd = open_again(blobs, name);
        if (fd >= 0 || errno != ENOENT) {
            code = walk_folder(w, fd, err);
        }
    }
    return code;
}

enum cp_err blob_store_walk(struct blob_store *s, enum blob_place place, blob_visit *visit,
                            void *arg, struct cp_error *err)
{
    struct walk w = {.visit = visit, .arg = arg, .named = place != BLOB_INCOMING};

    switch (place) {
    case BLOB_IN_STORE:
        return walk_store(&w, s->blobs, err);
    case BLOB_IN_QUARANTINE:
        return walk_folder(&w, open_again(s->quarantine, "."), err);
    case BLOB_INCOMING:
        break;
    }
    CP_TRY(walk_folder(&w, open_again(s->incoming, "."), err));
    return walk_folder(&w, open_again(s->partial, "."), err);
}

uint64_t blob_changed_at(struct blob_store *s, const uint8_t digest[CONTENT_DIGEST_SIZE])
{
    char hex[CONTENT_DIGEST_TEXT_SIZE];
    struct blob_found found = {.size = 0};
    bool is_file = false;
    int folder = blob_digest_folder(s, digest, hex);

    if (folder >= 0) {
        if (blob_look(folder, hex, &found, &is_file, NULL) != CP_OK) {
            is_file = false;
        }
        (void)close(folder);
    }
    return is_file ? found.changed_at : 0;
}

enum cp_err blob_store_space(struct blob_store *s, uint64_t *ret_size, uint64_t *ret_free,
                             struct cp_error *err)
{
    struct statvfs st;

    if (fstatvfs(s->blobs, &st) != 0) {
        return blob_storage_error(err, errno, "room of the library");
    }
    *ret_size = (uint64_t)st.f_blocks * st.f_frsize;
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    return CP_OK;
}
