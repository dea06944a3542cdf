/* SPDX-License-Identifier: Apache-2.0
 * Manifest and blobs to extents. */
#include "server/object_files.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content/blob.h"
#include "content/manifest.h"
#include "content/object_map.h"

void srv_object_files_done(struct srv_object_files *f)
{
    for (size_t i = 0; i < f->fd_count; i++) {
        if (f->fds[i] >= 0) {
            (void)close(f->fds[i]);
        }
    }
    free(f->fds);
    free(f->extents);
    memset(f, 0, sizeof *f);
}

static enum cp_err open_file(struct blob_store *blobs, const struct manifest_file *file,
                             int *ret_fd, struct cp_error *err)
{
    uint64_t size;
    int fd;

    CP_TRY(blob_open(blobs, file->sha256, &fd, &size, err));
    if (size != file->size) {
        (void)close(fd);
        return cp_error_set(err, CP_ERR_BLOB_MISSING, "%s: the library's copy has another size",
                            file->path);
    }
    *ret_fd = fd;
    return CP_OK;
}

static enum cp_err fill(struct blob_store *blobs, const struct manifest *m,
                        const struct object_map *map, struct srv_object_files *f,
                        struct cp_error *err)
{
    f->fds = malloc(m->file_count * sizeof *f->fds + 1);
    f->extents = calloc(map->piece_count + 1, sizeof *f->extents);
    if (f->fds == NULL || f->extents == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "the object's extents");
    }
    for (size_t i = 0; i < m->file_count; i++) {
        f->fds[i] = -1;
    }
    f->fd_count = m->file_count;
    f->content_size = map->content_size;
    for (size_t i = 0; i < map->piece_count; i++) {
        const struct object_piece *p = &map->pieces[i];

        if (f->fds[p->file_index] < 0) {
            CP_TRY(open_file(blobs, &m->files[p->file_index], &f->fds[p->file_index], err));
        }
        f->extents[i] = (struct mc_extent){.fd = f->fds[p->file_index],
                                           .file_offset = p->file_offset,
                                           .object_offset = p->object_offset,
                                           .size = p->size};
        f->extent_count = i + 1;
    }
    return CP_OK;
}

enum cp_err srv_object_files_open(struct blob_store *blobs, const char *manifest,
                                  size_t manifest_size, struct srv_object_files *ret_files,
                                  struct cp_error *err)
{
    struct srv_object_files f = {0};
    struct manifest *m = NULL;
    struct object_map *map = NULL;
    enum cp_err rc;

    CP_TRY(manifest_parse(manifest, manifest_size, &m, err));
    rc = object_map_new(m, &map);
    if (rc != CP_OK) {
        (void)cp_error_set(err, rc, "the object's map");
    } else {
        rc = fill(blobs, m, map, &f, err);
    }
    object_map_free(map);
    manifest_free(m);
    if (rc != CP_OK) {
        srv_object_files_done(&f);
        return rc;
    }
    *ret_files = f;
    return CP_OK;
}
