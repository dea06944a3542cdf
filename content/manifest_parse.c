/* SPDX-License-Identifier: Apache-2.0
 * Strict reading of a manifest's bytes: jansson finds the values, every rule is checked here or in
 * manifest_new(). Pure. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/hex.h"
#include "content/manifest.h"

static enum cp_err malformed(struct cp_error *err, const char *place, size_t index,
                             const char *what)
{
    return cp_error_set(err, CP_ERR_MALFORMED, "manifest: %s[%zu]: %s", place, index, what);
}

/* An integer of at most max; false otherwise. */
static bool get_number(const json_t *object, const char *key, uint64_t max, uint64_t *ret_value)
{
    const json_t *v = json_object_get(object, key);

    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max) {
        return false;
    }
    *ret_value = (uint64_t)json_integer_value(v);
    return true;
}

/* Lower-case hexadecimal only: one form for one digest. */
static bool get_digest(const json_t *value, uint8_t ret_digest[CONTENT_DIGEST_SIZE])
{
    const char *s = json_string_value(value);

    return s != NULL && strspn(s, "0123456789abcdef") == CONTENT_DIGEST_TEXT_SIZE - 1 &&
           cp_hex_decode(s, ret_digest, CONTENT_DIGEST_SIZE);
}

static enum cp_err parse_file(const json_t *object, size_t index, struct manifest_file *file,
                              struct cp_error *err)
{
    uint64_t mode;

    if (!json_is_object(object) || json_object_size(object) != 4) {
        return malformed(err, "files", index, "not an object of path, size, mode and sha256");
    }
    file->path = json_string_value(json_object_get(object, "path"));
    if (file->path == NULL) {
        return malformed(err, "files", index, "path is missing or not a text");
    }
    if (!get_number(object, "size", MANIFEST_STREAM_MAX, &file->size)) {
        return malformed(err, "files", index, "size is missing or out of range");
    }
    if (!get_number(object, "mode", 0777, &mode)) {
        return malformed(err, "files", index, "mode is missing or out of range");
    }
    file->mode = (uint32_t)mode;
    if (!get_digest(json_object_get(object, "sha256"), file->sha256)) {
        return malformed(err, "files", index, "sha256 is missing or not a digest");
    }
    return CP_OK;
}

static enum cp_err parse_chunk(const json_t *value, size_t index, struct content_chunk *chunk,
                               struct cp_error *err)
{
    chunk->zero = json_is_null(value);
    if (!chunk->zero && !get_digest(value, chunk->digest)) {
        return malformed(err, "chunks", index, "neither a digest nor null");
    }
    return CP_OK;
}

static enum cp_err parse_arrays(const json_t *files, const json_t *chunks,
                                struct manifest_file *ret_files, struct content_chunk *ret_chunks,
                                struct cp_error *err)
{
    for (size_t i = 0; i < json_array_size(files); i++) {
        CP_TRY(parse_file(json_array_get(files, i), i, &ret_files[i], err));
    }
    for (size_t i = 0; i < json_array_size(chunks); i++) {
        CP_TRY(parse_chunk(json_array_get(chunks, i), i, &ret_chunks[i], err));
    }
    return CP_OK;
}

static enum cp_err build(const struct manifest_parts *parts, uint64_t stream_size,
                         struct manifest **ret_manifest, struct cp_error *err)
{
    struct manifest *m;
    enum cp_err code = manifest_new(parts, &m, err);

    if (code == CP_ERR_INVALID) {
        code = CP_ERR_MALFORMED;
        if (err != NULL) {
            err->code = code;
        }
    }
    if (code != CP_OK) {
        cp_error_prefix(err, "manifest");
        return code;
    }
    if (m->stream_size != stream_size) {
        manifest_free(m);
        return cp_error_set(err, CP_ERR_MALFORMED,
                            "manifest: stream_size is not the sum of the files' sizes");
    }
    *ret_manifest = m;
    return CP_OK;
}

static enum cp_err parse_root(const json_t *root, struct manifest **ret_manifest,
                              struct cp_error *err)
{
    const json_t *files = json_object_get(root, "files");
    const json_t *chunks = json_object_get(root, "chunks");
    const char *package = json_string_value(json_object_get(root, "package"));
    struct manifest_file *file_list = NULL;
    struct content_chunk *chunk_list = NULL;
    uint64_t format, version, stream_size, chunk_size;
    enum cp_err code = CP_ERR_NO_MEMORY;

    if (!json_is_object(root) || json_object_size(root) != 7) {
        return cp_error_set(err, CP_ERR_MALFORMED, "manifest: not an object of its seven fields");
    }
    if (!get_number(root, "format", 1, &format) || format != 1) {
        return cp_error_set(err, CP_ERR_MALFORMED, "manifest: format is not 1");
    }
    if (package == NULL || !get_number(root, "version", UINT32_MAX, &version) ||
        !get_number(root, "stream_size", MANIFEST_STREAM_MAX, &stream_size)) {
        return cp_error_set(err, CP_ERR_MALFORMED,
                            "manifest: package, version or stream_size is missing or wrong");
    }
    if (!get_number(root, "chunk_size", CONTENT_CHUNK_SIZE, &chunk_size) ||
        chunk_size != CONTENT_CHUNK_SIZE) {
        return cp_error_set(err, CP_ERR_MALFORMED, "manifest: chunk_size is not 1048576");
    }
    if (!json_is_array(files) || !json_is_array(chunks)) {
        return cp_error_set(err, CP_ERR_MALFORMED, "manifest: files or chunks is not a list");
    }
    file_list = calloc(json_array_size(files) + 1, sizeof *file_list);
    chunk_list = calloc(json_array_size(chunks) + 1, sizeof *chunk_list);
    if (file_list == NULL || chunk_list == NULL) {
        (void)cp_error_set(err, code, "manifest");
        goto out;
    }
    code = parse_arrays(files, chunks, file_list, chunk_list, err);
    if (code == CP_OK) {
        struct manifest_parts parts = {.package = package,
                                       .version = (uint32_t)version,
                                       .files = file_list,
                                       .file_count = json_array_size(files),
                                       .chunks = chunk_list,
                                       .chunk_count = json_array_size(chunks)};

        code = build(&parts, stream_size, ret_manifest, err);
    }
out:
    free(file_list);
    free(chunk_list);
    return code;
}

enum cp_err manifest_parse(const char *text, size_t size, struct manifest **ret_manifest,
                           struct cp_error *err)
{
    json_error_t error;
    json_t *root;
    enum cp_err code;

    if (size > MANIFEST_SIZE_MAX) {
        return cp_error_set(err, CP_ERR_TOO_LARGE, "manifest: %zu bytes, more than %u", size,
                            MANIFEST_SIZE_MAX);
    }
    root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        return cp_error_set(err, CP_ERR_MALFORMED, "manifest: line %d column %d: %.200s",
                            error.line, error.column, error.text);
    }
    code = parse_root(root, ret_manifest, err);
    json_decref(root);
    return code;
}
