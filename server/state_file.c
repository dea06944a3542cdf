/* SPDX-License-Identifier: Apache-2.0
 * Files of the state folder. */
#include "server/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum cp_err srv_state_dir(const char *dir, struct cp_error *err)
{
    struct stat st;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return cp_error_set(err, CP_ERR_STORAGE, "%s: %s", dir, strerror(errno));
    }
    if (stat(dir, &st) != 0) {
        return cp_error_set(err, CP_ERR_STORAGE, "%s: %s", dir, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return cp_error_set(err, CP_ERR_STORAGE, "%s: is not a folder", dir);
    }
    return CP_OK;
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        data += n;
        size -= (size_t)n;
    }
    return true;
}

/* A rename is on the disk only when its folder is. */
static bool sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0) {
        (void)close(fd);
    }
    return good;
}

enum cp_err srv_state_write(const char *dir, const char *name, const void *data, size_t size,
                            struct cp_error *err)
{
    char path[PATH_MAX];
    char temporary[PATH_MAX];
    int fd;
    bool good;
    int saved;

    if ((size_t)snprintf(temporary, sizeof temporary, "%s/%s.new", dir, name) >= sizeof temporary) {
        return cp_error_set(err, CP_ERR_STORAGE, "%s: the path is too long", dir);
    }
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    good = fd >= 0 && write_all(fd, data, size) && fsync(fd) == 0;
    saved = errno;
    if (fd >= 0 && close(fd) != 0 && good) {
        good = false;
        saved = errno;
    }
    if (good && (rename(temporary, path) != 0 || !sync_dir(dir))) {
        good = false;
        saved = errno;
    }
    if (!good) {
        (void)unlink(temporary);
        return cp_error_set(err, CP_ERR_STORAGE, "%s: %s", path, strerror(saved));
    }
    return CP_OK;
}

static enum cp_err read_all(int fd, size_t max, char **ret_data, size_t *ret_size)
{
    char *data = malloc(max + 1);
    size_t at = 0;
    ssize_t n = 1;

    if (data == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    while (at <= max && n != 0) {
        n = read(fd, data + at, max + 1 - at);
        if (n < 0 && errno != EINTR) {
            free(data);
            return CP_ERR_STORAGE;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    if (at > max) {
        free(data);
        errno = EFBIG;
        return CP_ERR_STORAGE;
    }
    data[at] = '\0';
    *ret_data = data;
    *ret_size = at;
    return CP_OK;
}

enum cp_err srv_state_read(const char *dir, const char *name, size_t max, char **ret_data,
                           size_t *ret_size, struct cp_error *err)
{
    char path[PATH_MAX];
    enum cp_err rc;
    int fd;

    (void)snprintf(path, sizeof path, "%s%s%s", dir == NULL ? "" : dir, dir == NULL ? "" : "/",
                   name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cp_error_set(err, errno == ENOENT ? CP_ERR_NOT_FOUND : CP_ERR_STORAGE, "%s: %s",
                            path, strerror(errno));
    }
    rc = read_all(fd, max, ret_data, ret_size);
    if (rc != CP_OK) {
        (void)cp_error_set(err, rc, "%s: %s", path, strerror(errno));
    }
    (void)close(fd);
    return rc;
}
