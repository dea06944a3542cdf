/* SPDX-License-Identifier: Apache-2.0
 * Making and checking a manifest, and its exact bytes. Pure; manifest_parse.c reads the bytes. */
#include "content/manifest.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "content/path.h"

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct manifest_file *)a)->path, ((const struct manifest_file *)b)->path);
}

void manifest_sort_files(struct manifest_file *files, size_t count)
{
    if (count > 0) {
        qsort(files, count, sizeof *files, compare_files);
    }
}

static enum cp_err check_header(const struct manifest_parts *parts, struct cp_error *err)
{
    size_t size = strlen(parts->package);

    if (size == 0 || size > MANIFEST_PACKAGE_MAX) {
        return cp_error_set(err, CP_ERR_INVALID, "package: 1 to %u bytes", MANIFEST_PACKAGE_MAX);
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)parts->package[i];

        if (c <= 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '/') {
            return cp_error_set(err, CP_ERR_INVALID,
                                "package: a space, quote, slash or control character");
        }
    }
    if (parts->version == 0) {
        return cp_error_set(err, CP_ERR_INVALID, "version: must be above 0");
    }
    if (parts->file_count == 0) {
        return cp_error_set(err, CP_ERR_CONTENT_EMPTY, "the version has no file");
    }
    if (parts->file_count > MANIFEST_FILES_MAX) {
        return cp_error_set(err, CP_ERR_INVALID, "files: more than %u", MANIFEST_FILES_MAX);
    }
    return CP_OK;
}

static enum cp_err check_paths(const struct manifest_parts *parts, struct cp_error *err)
{
    const char **paths = calloc(parts->file_count, sizeof *paths);
    enum cp_err code;

    if (paths == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "manifest");
    }
    for (size_t i = 0; i < parts->file_count; i++) {
        paths[i] = parts->files[i].path;
    }
    code = content_paths_check(paths, parts->file_count, err);
    free(paths);
    return code;
}

/* Paths are valid here, so they may be shown. */
static enum cp_err check_files(const struct manifest_parts *parts, uint64_t *ret_stream_size,
                               struct cp_error *err)
{
    uint64_t at = 0;

    for (size_t i = 0; i < parts->file_count; i++) {
        const struct manifest_file *f = &parts->files[i];

        if (f->size == 0) {
            return cp_error_set(err, CP_ERR_CONTENT_EMPTY, "file '%s' is empty", f->path);
        }
        if (f->size > MANIFEST_STREAM_MAX - at) {
            return cp_error_set(err, CP_ERR_INVALID, "file '%s': the version is too large",
                                f->path);
        }
        if (f->mode > 0777) {
            return cp_error_set(err, CP_ERR_INVALID, "file '%s': mode %o is not of permission bits",
                                f->path, f->mode);
        }
        if (i > 0 && strcmp(parts->files[i - 1].path, f->path) >= 0) {
            return cp_error_set(err, CP_ERR_INVALID, "file '%s' is not in ascending order",
                                f->path);
        }
        at += f->size;
    }
    *ret_stream_size = at;
    return CP_OK;
}

static enum cp_err check_chunks(const struct manifest_parts *parts, uint64_t stream_size,
                                struct cp_error *err)
{
    if (parts->chunk_count != content_chunk_count(stream_size)) {
        return cp_error_set(err, CP_ERR_INVALID, "chunks: %zu where the files' sizes make %llu",
                            parts->chunk_count,
                            (unsigned long long)content_chunk_count(stream_size));
    }
    return CP_OK;
}

static enum cp_err copy_files(struct manifest *m, const struct manifest_parts *parts)
{
    uint64_t at = 0;

    m->files = calloc(parts->file_count, sizeof *m->files);
    if (m->files == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < parts->file_count; i++) {
        m->files[i] = parts->files[i];
        m->files[i].path = strdup(parts->files[i].path);
        m->files[i].stream_offset = at;
        m->file_count = i + 1;
        if (m->files[i].path == NULL) {
            return CP_ERR_NO_MEMORY;
        }
        at += m->files[i].size;
    }
    return CP_OK;
}

enum cp_err manifest_new(const struct manifest_parts *parts, struct manifest **ret_manifest,
                         struct cp_error *err)
{
    struct manifest *m;
    uint64_t stream_size = 0;

    CP_TRY(check_header(parts, err));
    CP_TRY(check_paths(parts, err));
    CP_TRY(check_files(parts, &stream_size, err));
    CP_TRY(check_chunks(parts, stream_size, err));
    m = calloc(1, sizeof *m);
    if (m == NULL || copy_files(m, parts) != CP_OK) {
        manifest_free(m);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "manifest");
    }
    (void)snprintf(m->package, sizeof m->package, "%s", parts->package);
    m->version = parts->version;
    m->stream_size = stream_size;
    m->chunks = malloc(parts->chunk_count * sizeof *m->chunks);
    if (m->chunks == NULL) {
        manifest_free(m);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "manifest");
    }
    memcpy(m->chunks, parts->chunks, parts->chunk_count * sizeof *m->chunks);
    m->chunk_count = parts->chunk_count;
    *ret_manifest = m;
    return CP_OK;
}

void manifest_free(struct manifest *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i < m->file_count; i++) {
        free((void *)(uintptr_t)m->files[i].path); /* made by strdup in copy_files */
    }
    free(m->files);
    free(m->chunks);
    free(m);
}

/* A text that grows; once memory is out it stays failed. */
struct text {
    char *data;
    size_t size, capacity;
    bool failed;
};

static void text_add(struct text *t, const char *s, size_t size)
{
    if (!t->failed && t->capacity - t->size <= size) {
        size_t capacity = (t->capacity + size + 4096) * 2;
        char *data = realloc(t->data, capacity);

        if (data == NULL) {
            t->failed = true;
        } else {
            t->data = data;
            t->capacity = capacity;
        }
    }
    if (!t->failed) {
        memcpy(t->data + t->size, s, size);
        t->size += size;
        t->data[t->size] = '\0';
    }
}

CP_PRINTF(2, 3) static void text_print(struct text *t, const char *fmt, ...)
{
    char part[512]; /* numbers, digests and field names only */
    va_list args;
    int size;

    va_start(args, fmt);
    size = vsnprintf(part, sizeof part, fmt, args);
    va_end(args);
    CP_ASSERT(size >= 0 && (size_t)size < sizeof part);
    text_add(t, part, (size_t)size);
}

/* Valid paths and package names hold no backslash and no control character. */
static void text_add_quoted(struct text *t, const char *s)
{
    text_add(t, "\"", 1);
    for (; *s != '\0'; s++) {
        if (*s == '"') {
            text_add(t, "\\", 1);
        }
        text_add(t, s, 1);
    }
    text_add(t, "\"", 1);
}

enum cp_err manifest_encode(const struct manifest *m, char **ret_text, size_t *ret_size)
{
    struct text t = {.data = NULL};
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    text_print(&t, "{\"format\":1,\"package\":");
    text_add_quoted(&t, m->package);
    text_print(&t, ",\"version\":%u,\"stream_size\":%llu,\"chunk_size\":%u,\"files\":[", m->version,
               (unsigned long long)m->stream_size, CONTENT_CHUNK_SIZE);
    for (size_t i = 0; i < m->file_count; i++) {
        cp_hex_encode(m->files[i].sha256, CONTENT_DIGEST_SIZE, hex);
        text_print(&t, "%s{\"path\":", i == 0 ? "" : ",");
        text_add_quoted(&t, m->files[i].path);
        text_print(&t, ",\"size\":%llu,\"mode\":%u,\"sha256\":\"%s\"}",
                   (unsigned long long)m->files[i].size, m->files[i].mode, hex);
    }
    text_print(&t, "],\"chunks\":[");
    for (size_t i = 0; i < m->chunk_count; i++) {
        cp_hex_encode(m->chunks[i].digest, CONTENT_DIGEST_SIZE, hex);
        if (m->chunks[i].zero) {
            text_print(&t, "%snull", i == 0 ? "" : ",");
        } else {
            text_print(&t, "%s\"%s\"", i == 0 ? "" : ",", hex);
        }
    }
    text_print(&t, "]}\n");
    if (t.failed) {
        free(t.data);
        return CP_ERR_NO_MEMORY;
    }
    *ret_text = t.data;
    *ret_size = t.size;
    return CP_OK;
}
