/* SPDX-License-Identifier: Apache-2.0
 * Uploads that may be resumed: partial/NAME, which grows by pieces, survives the process, and becomes
 * a blob at last. Touches files; a partial belongs to one thread at a time, the store's list of them
 * is locked. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/blob_care.h"
#include "content/blob_private.h"

/* Hashes kept of uploads that nobody has open: under 1 KiB each. The others are read again. */
#define KEPT_MAX  256u
#define READ_SIZE ((size_t)128 << 10)

/* One upload as the store knows it. */
struct blob_partial_state {
    struct blob_partial_state *next;
    char name[BLOB_NAME_SIZE];
    bool is_open;
    struct content_sha256 *hash; /* of the first `hashed` bytes */
    uint64_t hashed;
};

struct blob_partial {
    struct blob_store *store;
    struct blob_partial_state *state;
    struct blob_file file;
    bool is_gone; /* published: nothing to go on with */
};

/* ---- the list ---- */

static void state_free(struct blob_partial_state *state)
{
    content_sha256_free(state->hash);
    free(state);
}

/* Takes it off the list and frees it; with the lock. */
static void forget(struct blob_store *s, struct blob_partial_state *state)
{
    struct blob_partial_state **at = &s->partials;

    while (*at != state) {
        at = &(*at)->next;
    }
    *at = state->next;
    state_free(state);
}

/* The newest come first: keeps KEPT_MAX of those that nobody has open. With the lock. */
static void trim(struct blob_store *s)
{
    struct blob_partial_state *state = s->partials;
    size_t kept = 0;

    while (state != NULL) {
        struct blob_partial_state *next = state->next;

        kept += !state->is_open;
        if (!state->is_open && kept > KEPT_MAX) {
            forget(s, state);
        }
        state = next;
    }
}

static struct blob_partial_state *state_new(struct blob_store *s, const char *name)
{
    struct blob_partial_state *state = calloc(1, sizeof *state);

    if (state == NULL || content_sha256_new(&state->hash) != CP_OK) {
        free(state);
        return NULL;
    }
    (void)snprintf(state->name, sizeof state->name, "%s", name);
    state->next = s->partials;
    s->partials = state;
    return state;
}

/* From here until give_back() nobody else has the upload. */
static enum cp_err take(struct blob_store *s, const char *name,
                        struct blob_partial_state **ret_state, struct cp_error *err)
{
    struct blob_partial_state *state;
    enum cp_err code = CP_OK;

    CP_ASSERT(name[0] != '\0' && name[strspn(name, "0123456789abcdef-")] == '\0' &&
              strlen(name) < BLOB_NAME_SIZE);
    (void)pthread_mutex_lock(&s->partial_lock);
    state = s->partials;
    while (state != NULL && strcmp(state->name, name) != 0) {
        state = state->next;
    }
    if (state == NULL) {
        state = state_new(s, name);
    }
    if (state == NULL) {
        code = cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
    } else if (state->is_open) {
        code = cp_error_set(err, CP_ERR_UPLOAD_LOCKED, "another request is at this upload");
    } else {
        state->is_open = true;
        *ret_state = state;
    }
    (void)pthread_mutex_unlock(&s->partial_lock);
    return code;
}

static void give_back(struct blob_store *s, struct blob_partial_state *state, bool keep)
{
    (void)pthread_mutex_lock(&s->partial_lock);
    state->is_open = false;
    if (keep) {
        trim(s);
    } else {
        forget(s, state);
    }
    (void)pthread_mutex_unlock(&s->partial_lock);
}

void blob_partials_free(struct blob_store *s)
{
    while (s->partials != NULL) {
        struct blob_partial_state *state = s->partials;

        s->partials = state->next;
        state_free(state);
    }
}

/* ---- open and close ---- */

static void restart_hash(struct blob_partial_state *state)
{
    uint8_t unused[CONTENT_DIGEST_SIZE];

    content_sha256_finish(state->hash, unused);
    state->hashed = 0;
}

/* The file, made when the upload begins; its name is durable before the first byte counts. */
static enum cp_err open_file(struct blob_store *s, const char *name, bool create, int *ret_fd,
                             struct cp_error *err)
{
    int fd = openat(s->partial, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT && create) {
        fd = openat(s->partial, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 && fsync(s->partial) != 0) {
            (void)close(fd);
            fd = -1;
        }
    }
    if (fd < 0) {
        return errno == ENOENT ? cp_error_set(err, CP_ERR_BLOB_MISSING, "the upload's file is gone")
                               : blob_storage_error(err, errno, "the upload's file");
    }
    *ret_fd = fd;
    return CP_OK;
}

enum cp_err blob_partial_cut(struct blob_partial *p, uint64_t offset, struct cp_error *err)
{
    struct stat st;

    if (fstat(p->file.fd, &st) != 0) {
        return blob_storage_error(err, errno, "the upload's file");
    }
    if ((uint64_t)st.st_size < offset && p->file.size < offset) {
        return cp_error_set(err, CP_ERR_BLOB_MISSING,
                            "the upload's file has %llu bytes instead of %llu",
                            (unsigned long long)st.st_size, (unsigned long long)offset);
    }
    if (ftruncate(p->file.fd, (off_t)offset) != 0) {
        return blob_storage_error(err, errno, "cutting the upload's file");
    }
    p->file.size = p->file.written_back = offset;
    if (p->state->hashed > offset) {
        restart_hash(p->state);
    }
    return CP_OK;
}

enum cp_err blob_partial_open(struct blob_store *s, const char *name,
                              struct blob_partial **ret_partial, struct cp_error *err)
{
    struct blob_partial *p = calloc(1, sizeof *p);
    enum cp_err code;

    if (p == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
    }
    p->store = s;
    p->file.fd = -1;
    code = take(s, name, &p->state, err);
    if (code != CP_OK) {
        free(p);
        return code;
    }
    *ret_partial = p;
    return CP_OK;
}

enum cp_err blob_partial_resume(struct blob_partial *p, uint64_t offset, struct cp_error *err)
{
    CP_TRY(open_file(p->store, p->state->name, offset == 0, &p->file.fd, err));
    return blob_partial_cut(p, offset, err);
}

void blob_partial_close(struct blob_partial *p)
{
    if (p == NULL) {
        return;
    }
    if (p->file.fd >= 0) {
        (void)close(p->file.fd);
    }
    give_back(p->store, p->state, !p->is_gone && p->state->hashed > 0);
    free(p);
}

/* ---- growing ---- */

enum cp_err blob_partial_add(struct blob_partial *p, const void *data, size_t size,
                             struct cp_error *err)
{
    bool follows = p->state->hashed == p->file.size;

    CP_TRY(blob_file_add(&p->file, data, size, err));
    if (follows) {
        content_sha256_add(p->state->hash, data, size);
        p->state->hashed += size;
    }
    return CP_OK;
}

enum cp_err blob_partial_sync(struct blob_partial *p, struct cp_error *err)
{
    return blob_file_sync(&p->file, err);
}

uint64_t blob_partial_size(const struct blob_partial *p)
{
    return p->file.size;
}

/* ---- the end ---- */

/* Bytes from `at` on that are a hole, at most `rest`: they need not be read. */
static uint64_t hole_at(int fd, uint64_t at, uint64_t rest)
{
    off_t data = lseek(fd, (off_t)at, SEEK_DATA);

    if (data < 0) {
        return errno == ENXIO ? rest : 0;
    }
    return (uint64_t)data - at < rest ? (uint64_t)data - at : rest;
}

static size_t piece_of(uint64_t rest)
{
    return rest < READ_SIZE ? (size_t)rest : READ_SIZE;
}

static void hash_zeros(struct blob_partial_state *state, char *buffer, uint64_t size)
{
    memset(buffer, 0, piece_of(size));
    while (size > 0) {
        size_t piece = piece_of(size);

        content_sha256_add(state->hash, buffer, piece);
        state->hashed += piece;
        size -= piece;
    }
}

static enum cp_err read_rest(struct blob_partial *p, char *buffer, struct cp_error *err)
{
    struct blob_partial_state *state = p->state;

    while (state->hashed < p->file.size) {
        uint64_t rest = p->file.size - state->hashed;
        uint64_t hole = hole_at(p->file.fd, state->hashed, rest);
        ssize_t n;

        if (hole > 0) {
            hash_zeros(state, buffer, hole);
            continue;
        }
        n = pread(p->file.fd, buffer, piece_of(rest), (off_t)state->hashed);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return blob_storage_error(err, n < 0 ? errno : EIO, "reading the upload's file");
        }
        content_sha256_add(state->hash, buffer, (size_t)n);
        state->hashed += (uint64_t)n;
    }
    return CP_OK;
}

enum cp_err blob_partial_digest(struct blob_partial *p, uint8_t ret_digest[CONTENT_DIGEST_SIZE],
                                struct cp_error *err)
{
    char *buffer = NULL;
    enum cp_err code = CP_OK;

    if (p->state->hashed < p->file.size) {
        buffer = malloc(READ_SIZE);
        code = buffer != NULL ? read_rest(p, buffer, err)
                              : cp_error_set(err, CP_ERR_NO_MEMORY, "upload");
        free(buffer);
    }
    if (code == CP_OK) {
        content_sha256_finish(p->state->hash, ret_digest);
        p->state->hashed = 0;
    }
    return code;
}

enum cp_err blob_partial_publish(struct blob_partial *p, const uint8_t digest[CONTENT_DIGEST_SIZE],
                                 struct cp_error *err)
{
    CP_TRY(blob_publish(p->store, p->store->partial, p->state->name, digest, err));
    p->is_gone = true;
    return CP_OK;
}

enum cp_err blob_partial_remove(struct blob_partial *p, struct cp_error *err)
{
    p->is_gone = true;
    if (unlinkat(p->store->partial, p->state->name, 0) != 0 && errno != ENOENT) {
        return blob_storage_error(err, errno, "removing an upload's file");
    }
    return CP_OK;
}

static enum cp_err show(int folder, const char *name, blob_partial_fn *fn, void *arg,
                        struct cp_error *err)
{
    struct blob_found found = {.size = 0};
    bool is_file;

    CP_TRY(blob_look(folder, name, &found, &is_file, err));
    return is_file ? fn(arg, name, &found, err) : CP_OK;
}

enum cp_err blob_partial_each(struct blob_store *s, blob_partial_fn *fn, void *arg,
                              struct cp_error *err)
{
    int fd = openat(s->partial, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    enum cp_err code = CP_OK;

    if (dir == NULL) {
        code = blob_storage_error(err, errno, "partial");
        if (fd >= 0) {
            (void)close(fd);
        }
        return code;
    }
    while (code == CP_OK && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            code = show(dirfd(dir), entry->d_name, fn, arg, err);
        }
    }
    (void)closedir(dir);
    return code;
}
