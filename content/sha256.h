/* SPDX-License-Identifier: Apache-2.0
 * SHA-256, whole and piece by piece, over libcrypto: what names blobs, files and chunks. No file
 * or clock. One thread per object. */
#ifndef CONTENT_SHA256_H
#define CONTENT_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define CONTENT_DIGEST_SIZE      32u
#define CONTENT_DIGEST_TEXT_SIZE 65u /* lower-case hexadecimal and NUL */

struct content_sha256;

/* CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err content_sha256_new(struct content_sha256 **ret_hash);
void content_sha256_free(struct content_sha256 *h); /* NULL allowed */
void content_sha256_add(struct content_sha256 *h, const void *data, size_t size);
/* The digest of what was added; the object begins anew. */
void content_sha256_finish(struct content_sha256 *h, uint8_t ret_digest[CONTENT_DIGEST_SIZE]);

/* Digest of `size` bytes in one step. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err content_sha256(const void *data, size_t size,
                                         uint8_t ret_digest[CONTENT_DIGEST_SIZE]);

#endif
