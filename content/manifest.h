/* SPDX-License-Identifier: Apache-2.0
 * The manifest (docs/protocol.md section 2): which files a version has and the digests of its
 * chunks. Exact bytes are made once, stored, hashed and signed; the parser believes nothing. Pure. */
#ifndef CONTENT_MANIFEST_H
#define CONTENT_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "content/chunks.h"
#include "content/sha256.h"

#define MANIFEST_SIZE_MAX    (256u * 1024u * 1024u) /* bytes of text; about 3.6 TB of content */
#define MANIFEST_FILES_MAX   1000000u
#define MANIFEST_PACKAGE_MAX 128u                /* bytes of a package's name */
#define MANIFEST_STREAM_MAX  ((uint64_t)1 << 47) /* what 48-bit object sizes carry, with room */

struct manifest_file {
    const char *path;
    uint64_t size;
    uint32_t mode; /* permission bits, at most 0777 */
    uint8_t sha256[CONTENT_DIGEST_SIZE];
    uint64_t stream_offset; /* where the file begins in the stream; made here, not given */
};

/* Read only for everybody but manifest.c. */
struct manifest {
    char package[MANIFEST_PACKAGE_MAX + 1];
    uint32_t version;
    uint64_t stream_size;
    struct manifest_file *files; /* ascending by path, bytewise */
    size_t file_count;
    struct content_chunk *chunks;
    size_t chunk_count;
};

/* Sorts into stream order: to be done before the chunks are computed. */
void manifest_sort_files(struct manifest_file *files, size_t count);

/* A manifest of files in stream order and the chunks of their stream; everything is copied and
 * checked. CP_ERR_CONTENT_EMPTY (no file, or one without bytes: named), CP_ERR_PATH_INVALID,
 * CP_ERR_PATH_DUPLICATE, CP_ERR_INVALID, CP_ERR_NO_MEMORY. */
struct manifest_parts {
    const char *package;
    uint32_t version;                  /* > 0 */
    const struct manifest_file *files; /* stream_offset is not looked at */
    size_t file_count;
    const struct content_chunk *chunks;
    size_t chunk_count;
};
CP_MUST_CHECK enum cp_err manifest_new(const struct manifest_parts *parts,
                                       struct manifest **ret_manifest, struct cp_error *err);
void manifest_free(struct manifest *m); /* NULL allowed */

/* The exact bytes, malloced, NUL-terminated (the NUL is not of the manifest). CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err manifest_encode(const struct manifest *m, char **ret_text,
                                          size_t *ret_size);

/* Strict: unknown, missing or doubled fields, wrong sizes or order, a bad path or digest are
 * CP_ERR_MALFORMED (CP_ERR_CONTENT_EMPTY, CP_ERR_PATH_INVALID, CP_ERR_PATH_DUPLICATE where they
 * say more), with a text that names the place; CP_ERR_TOO_LARGE, CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err manifest_parse(const char *text, size_t size,
                                         struct manifest **ret_manifest, struct cp_error *err);

#endif
