/* SPDX-License-Identifier: Apache-2.0
 * Headers of the tus protocol 1.0.0 (https://tus.io/protocols/resumable-upload). Pure. */
#ifndef API_UPLOAD_TUS_HEADERS_H
#define API_UPLOAD_TUS_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "content/sha256.h"

#define API_TUS_VERSION    "1.0.0"
#define API_TUS_EXTENSIONS "creation,creation-with-upload,expiration,termination,checksum"

/* What of Upload-Metadata says where a file goes. An empty text: not given. */
struct api_tus_metadata {
    char path[1024];
    char mode[8];    /* octal, as in X-Castpoint-Mode */
    char sha256[65]; /* hexadecimal */
};

/* Bytes: decimal digits, at most 18 of them. */
bool api_tus_number(const char *text, uint64_t *ret_number);

/* Upload-Metadata: "key base64" pairs, parted by commas. Keys that are not ours are passed over.
 * CP_ERR_INVALID: a pair that is not one, a key twice, a value that is not base64, is too long or
 * holds a NUL; anything that is not plain ASCII. */
CP_MUST_CHECK enum cp_err api_tus_metadata(const char *text, struct api_tus_metadata *ret_metadata,
                                           struct cp_error *err);

/* Upload-Checksum: "sha256 base64". CP_ERR_INVALID: another algorithm, or no digest. */
CP_MUST_CHECK enum cp_err
api_tus_checksum(const char *text, uint8_t ret_digest[CONTENT_DIGEST_SIZE], struct cp_error *err);

#endif
