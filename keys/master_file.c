/* SPDX-License-Identifier: Apache-2.0
 * The master key's file: read with its permissions checked, made when it is not there, replaced.
 * Touches the file system. */
#include "keys/master_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys/credentials.h"
#include "keys/master.h"

#define PATH_SIZE KEYS_PATH_SIZE

static enum cp_err refuse(struct cp_error *err, const char *path, const char *why)
{
    return cp_error_set(err, CP_ERR_MASTER_KEY, "master key file %s: %s", path, why);
}

/* NULL: the file is as it must be. A credential of systemd may belong to root and be readable by an
 * access control list, which shows as the group's rights. */
static const char *complaint(const struct stat *st, bool credential)
{
    if (!S_ISREG(st->st_mode)) {
        return "it is not a regular file";
    }
    if (st->st_uid != geteuid() && !(credential && st->st_uid == 0)) {
        return "it belongs to another user than castpointd runs as (chown)";
    }
    if ((st->st_mode & (credential ? 027 : 077)) != 0) {
        return "others may read or write it; set its mode to 0600 (chmod 600)";
    }
    if (st->st_size != KEYS_MASTER_SIZE) {
        return "it does not hold exactly 32 bytes; put it back from a backup (docs/keys.md)";
    }
    return NULL;
}

static enum cp_err read_key(int fd, const char *path, bool credential,
                            uint8_t ret_key[KEYS_MASTER_SIZE], struct cp_error *err)
{
    uint8_t key[KEYS_MASTER_SIZE];
    const char *why = NULL;
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return refuse(err, path, strerror(errno));
    }
    why = complaint(&st, credential);
    if (why != NULL) {
        return refuse(err, path, why);
    }
    if (read(fd, key, sizeof key) != (ssize_t)sizeof key) {
        return refuse(err, path, "it cannot be read");
    }
    memcpy(ret_key, key, sizeof key);
    keys_wipe(key, sizeof key);
    return CP_OK;
}

static int open_folder(const char *path, int flags)
{
    char folder[PATH_SIZE];
    char *slash;

    (void)snprintf(folder, sizeof folder, "%s", path);
    slash = strrchr(folder, '/');
    if (slash == NULL) {
        (void)snprintf(folder, sizeof folder, ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    return open(folder, flags | O_CLOEXEC, 0600);
}

static void sync_folder(const char *path)
{
    int fd = open_folder(path, O_RDONLY | O_DIRECTORY);

    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

static bool put_key(int fd, const uint8_t key[KEYS_MASTER_SIZE])
{
    return write(fd, key, KEYS_MASTER_SIZE) == (ssize_t)KEYS_MASTER_SIZE && fsync(fd) == 0;
}

/* Without a name until it is whole: whatever happens, no key lies about under another name. */
static bool write_nameless(const char *path, const uint8_t key[KEYS_MASTER_SIZE])
{
    int fd = open_folder(path, O_TMPFILE | O_WRONLY);
    char link_path[32];
    bool ok;

    if (fd < 0) {
        return false;
    }
    (void)snprintf(link_path, sizeof link_path, "/proc/self/fd/%d", fd);
    ok = put_key(fd, key) &&
         (linkat(AT_FDCWD, link_path, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 || errno == EEXIST);
    (void)close(fd);
    return ok;
}

/* For file systems that know no files without a name (NFS). */
static enum cp_err write_named(const char *path, const uint8_t key[KEYS_MASTER_SIZE],
                               struct cp_error *err)
{
    char temporary[PATH_SIZE];
    int saved;
    bool ok;
    int fd;

    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary) {
        return refuse(err, path, "the path is too long");
    }
    fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        return refuse(err, path, strerror(errno));
    }
    ok = put_key(fd, key);
    ok = close(fd) == 0 && ok;
    ok = ok && (link(temporary, path) == 0 || errno == EEXIST);
    saved = errno;
    (void)unlink(temporary);
    return ok ? CP_OK : refuse(err, path, strerror(saved));
}

enum cp_err keys_master_write(const char *path, const uint8_t key[KEYS_MASTER_SIZE],
                              struct cp_error *err)
{
    if (!write_nameless(path, key)) {
        CP_TRY(write_named(path, key, err));
    }
    sync_folder(path);
    return CP_OK;
}

enum cp_err keys_master_replace(const char *path, const char *next, const char *old,
                                struct cp_error *err)
{
    if ((unlink(old) != 0 && errno != ENOENT) || (link(path, old) != 0 && errno != ENOENT) ||
        rename(next, path) != 0) {
        return refuse(err, path, strerror(errno));
    }
    sync_folder(path);
    return CP_OK;
}

enum cp_err keys_master_remove(const char *path, struct cp_error *err)
{
    if (unlink(path) != 0 && errno != ENOENT) {
        return refuse(err, path, strerror(errno));
    }
    sync_folder(path);
    return CP_OK;
}

enum cp_err keys_master_read(const char *path, bool credential, uint8_t ret_key[KEYS_MASTER_SIZE],
                             struct cp_error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    enum cp_err rc;

    if (fd < 0 && errno == ENOENT) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "master key file %s: there is none", path);
    }
    if (fd < 0) {
        return refuse(err, path, strerror(errno));
    }
    rc = read_key(fd, path, credential, ret_key, err);
    (void)close(fd);
    return rc;
}

enum cp_err keys_master_load(const char *path, uint8_t ret_key[KEYS_MASTER_SIZE],
                             struct cp_error *err)
{
    uint8_t key[KEYS_MASTER_SIZE];
    enum cp_err rc = keys_master_read(path, false, ret_key, err);

    if (rc != CP_ERR_NOT_FOUND) {
        return rc;
    }
    CP_TRY(keys_random(key, sizeof key));
    rc = keys_master_write(path, key, err);
    keys_wipe(key, sizeof key);
    CP_TRY(rc);
    return keys_master_read(path, false, ret_key, err);
}

enum cp_err keys_master_compare(const char *path, const uint8_t key[KEYS_MASTER_SIZE],
                                bool *ret_same, struct cp_error *err)
{
    uint8_t found[KEYS_MASTER_SIZE];
    enum cp_err rc = keys_master_read(path, false, found, err);

    if (rc == CP_OK) {
        *ret_same = memcmp(found, key, sizeof found) == 0;
        keys_wipe(found, sizeof found);
    }
    return rc;
}
