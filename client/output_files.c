/* SPDX-License-Identifier: Apache-2.0
 * Names and folders of an output. Every step down a path is openat with O_NOFOLLOW, so that no link
 * that lies in the target folder leads a file out of it. Touches files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/output_private.h"
#include "common/hex.h"

#define NAME_SIZE 256u

enum cp_err output_error(struct cp_error *err, int error, const char *what)
{
    enum cp_err code =
        error == ENOSPC || error == EDQUOT || error == EFBIG ? CP_ERR_OUTPUT_FULL : CP_ERR_OUTPUT;

    return cp_error_set(err, code, "%s: %s", what, strerror(error));
}

/* Name of the partial file of a target's name; a name too long for the suffix is shortened to its
 * digest. */
static enum cp_err partial_name(const char *name, char ret_name[NAME_SIZE])
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    if (strlen(name) + sizeof CL_PARTIAL_SUFFIX <= NAME_SIZE) {
        (void)snprintf(ret_name, NAME_SIZE, "%s%s", name, CL_PARTIAL_SUFFIX);
        return CP_OK;
    }
    CP_TRY(content_sha256(name, strlen(name), digest));
    cp_hex_encode(digest, sizeof digest, hex);
    (void)snprintf(ret_name, NAME_SIZE, "%s%s", hex, CL_PARTIAL_SUFFIX);
    return CP_OK;
}

static enum cp_err open_device(struct cl_output *o, const char *path, struct cp_error *err)
{
    uint64_t size = 0;

    if (o->manifest->file_count != 1) {
        return cp_error_set(err, CP_ERR_OUTPUT, "%s is a device and the package has %zu files",
                            path, o->manifest->file_count);
    }
    o->kind = OUTPUT_DEVICE;
    /* O_EXCL on a block device: refused while it is mounted or otherwise in use. */
    o->files[0].fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
    if (o->files[0].fd < 0) {
        return output_error(err, errno, path);
    }
    if (ioctl(o->files[0].fd, BLKGETSIZE64, &size) != 0) {
        return output_error(err, errno, path);
    }
    if (size < o->manifest->stream_size) {
        return cp_error_set(err, CP_ERR_OUTPUT_FULL, "%s has %llu bytes, the content %llu", path,
                            (unsigned long long)size, (unsigned long long)o->manifest->stream_size);
    }
    return CP_OK;
}

/* "a/b" to the folder "a" and the name "b"; "b" to "." and "b". */
static enum cp_err split_target(struct cl_output *o, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);

    o->root_path = slash == NULL ? strdup(".") : strndup(path, size);
    o->name = strdup(slash == NULL ? path : slash + 1);
    return o->root_path == NULL || o->name == NULL ? CP_ERR_NO_MEMORY : CP_OK;
}

enum cp_err output_open_root(struct cl_output *o, const char *path, struct cp_error *err)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    size_t length = strlen(path);

    o->root = -1;
    if (exists && S_ISBLK(st.st_mode)) {
        return open_device(o, path, err);
    }
    if (exists && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        return cp_error_set(err, CP_ERR_OUTPUT, "%s is neither folder, file nor block device",
                            path);
    }
    o->kind = (exists && S_ISDIR(st.st_mode)) || o->manifest->file_count > 1 ||
                      (length > 0 && path[length - 1] == '/')
                  ? OUTPUT_FOLDER
                  : OUTPUT_FILE;
    if (o->kind == OUTPUT_FILE) {
        if (split_target(o, path) != CP_OK) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "output");
        }
        o->files[0].path = o->name;
    } else {
        o->root_path = strdup(path);
        if (o->root_path == NULL) {
            return cp_error_set(err, CP_ERR_NO_MEMORY, "output");
        }
        if (!exists && mkdir(path, 0777) == 0) {
            o->root_made = true;
        }
    }
    o->root = open(o->root_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return o->root < 0 ? output_error(err, errno, o->root_path) : CP_OK;
}

/* Remembers a folder that was made, to be removed when the output is given up. */
static enum cp_err note_folder(struct cl_output *o, const char *path, size_t size)
{
    char **more = realloc(o->made, (o->made_count + 1) * sizeof *more);

    if (more == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    o->made = more;
    o->made[o->made_count] = strndup(path, size);
    return o->made[o->made_count++] == NULL ? CP_ERR_NO_MEMORY : CP_OK;
}

/* Opens the folder that holds the last name of `path`, making folders on the way when asked to;
 * *ret_name is that last name. */
static enum cp_err open_parent(struct cl_output *o, const char *path, bool make, int *ret_fd,
                               const char **ret_name, struct cp_error *err)
{
    int fd = openat(o->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *part = path;
    const char *slash;

    while (fd >= 0 && (slash = strchr(part, '/')) != NULL) {
        char name[NAME_SIZE];
        int next;

        (void)snprintf(name, sizeof name, "%.*s", (int)(slash - part), part);
        if (make && mkdirat(fd, name, 0777) == 0 &&
            note_folder(o, path, (size_t)(slash - path)) != CP_OK) {
            (void)close(fd);
            return cp_error_set(err, CP_ERR_NO_MEMORY, "output");
        }
        next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        (void)close(fd);
        fd = next;
        part = slash + 1;
    }
    if (fd < 0) {
        return output_error(err, errno, path);
    }
    *ret_fd = fd;
    *ret_name = part;
    return CP_OK;
}

/* A partial file of a killed run of ours is taken over; anything else of that name is refused. */
static enum cp_err take_over(int folder, const char *name, struct output_file *file,
                             struct cp_error *err)
{
    struct stat st;

    file->fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (file->fd < 0) {
        return output_error(err, errno, name);
    }
    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
        st.st_uid != geteuid()) {
        (void)close(file->fd); /* not ours: it must not be removed */
        file->fd = -1;
        return cp_error_set(err, CP_ERR_OUTPUT, "%s is in the way and not castget's", name);
    }
    file->resumed = true;
    return CP_OK;
}

static enum cp_err open_partial(int folder, const char *target, struct output_file *file,
                                uint64_t size, struct cp_error *err)
{
    char name[NAME_SIZE];
    struct stat st;

    if (fstatat(folder, target, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)) {
        return cp_error_set(err, CP_ERR_OUTPUT, "%s is a folder", file->path);
    }
    if (partial_name(target, name) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "output");
    }
    file->fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file->fd < 0 && errno != EEXIST) {
        return output_error(err, errno, name);
    }
    if (file->fd < 0) {
        CP_TRY(take_over(folder, name, file, err));
    }
    if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
        (void)close(file->fd); /* the same */
        file->fd = -1;
        return cp_error_set(err, CP_ERR_OUTPUT, "another castget writes %s", file->path);
    }
    return ftruncate(file->fd, (off_t)size) == 0 ? CP_OK : output_error(err, errno, name);
}

enum cp_err output_open_files(struct cl_output *o, struct cp_error *err)
{
    for (size_t i = 0; i < o->file_count; i++) {
        const char *name;
        enum cp_err code;
        int folder;

        CP_TRY(open_parent(o, o->files[i].path, true, &folder, &name, err));
        code = open_partial(folder, name, &o->files[i], o->manifest->files[i].size, err);
        (void)close(folder);
        if (code != CP_OK) {
            return code;
        }
    }
    return CP_OK;
}

static enum cp_err rename_file(struct cl_output *o, const char *path, struct cp_error *err)
{
    char partial[NAME_SIZE];
    const char *name;
    int folder;
    enum cp_err code = CP_OK;

    CP_TRY(open_parent(o, path, false, &folder, &name, err));
    if (partial_name(name, partial) != CP_OK) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "output");
    } else if (renameat(folder, partial, folder, name) != 0) {
        code = output_error(err, errno, path);
    }
    (void)close(folder);
    return code;
}

/* Syncs the folder that holds `path`. */
static enum cp_err sync_parent(struct cl_output *o, const char *path, struct cp_error *err)
{
    const char *name;
    int folder;
    enum cp_err code = CP_OK;

    CP_TRY(open_parent(o, path, false, &folder, &name, err));
    if (fsync(folder) != 0) {
        code = output_error(err, errno, path);
    }
    (void)close(folder);
    return code;
}

static bool same_parent(const char *a, const char *b)
{
    const char *end_a = strrchr(a, '/');
    const char *end_b = strrchr(b, '/');
    size_t size_a = end_a == NULL ? 0 : (size_t)(end_a - a);
    size_t size_b = end_b == NULL ? 0 : (size_t)(end_b - b);

    return size_a == size_b && memcmp(a, b, size_a) == 0;
}

/* The folder in which a root that was made lies. */
static enum cp_err sync_above_root(struct cl_output *o, struct cp_error *err)
{
    int fd = openat(o->root, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum cp_err code = CP_OK;

    if (fd < 0 || fsync(fd) != 0) {
        code = output_error(err, errno, o->root_path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return code;
}

enum cp_err output_rename_files(struct cl_output *o, struct cp_error *err)
{
    for (size_t i = 0; i < o->file_count; i++) {
        CP_TRY(rename_file(o, o->files[i].path, err));
    }
    for (size_t i = 0; i < o->file_count; i++) {
        if (i + 1 == o->file_count || !same_parent(o->files[i].path, o->files[i + 1].path)) {
            CP_TRY(sync_parent(o, o->files[i].path, err));
        }
    }
    for (size_t i = 0; i < o->made_count; i++) {
        CP_TRY(sync_parent(o, o->made[i], err));
    }
    return o->root_made ? sync_above_root(o, err) : CP_OK;
}

void output_remove_files(struct cl_output *o)
{
    for (size_t i = 0; i < o->file_count; i++) {
        char partial[NAME_SIZE];
        const char *name;
        int folder;

        if (o->files[i].fd < 0 || open_parent(o, o->files[i].path, false, &folder, &name, NULL)) {
            continue;
        }
        if (partial_name(name, partial) == CP_OK) {
            (void)unlinkat(folder, partial, 0);
        }
        (void)close(folder);
    }
    /* Deepest last made, so first removed; one that is in use by now stays. */
    for (size_t i = o->made_count; i > 0; i--) {
        if (o->made[i - 1] != NULL) {
            (void)unlinkat(o->root, o->made[i - 1], AT_REMOVEDIR);
        }
    }
    if (o->root_made) {
        (void)rmdir(o->root_path);
    }
}
