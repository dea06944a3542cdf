/* SPDX-License-Identifier: Apache-2.0
 * Digests that a client announces in headers (RFC 9530). What is not understood is refused, not
 * passed over: whoever gives a digest relies on it. Pure. */
#ifndef API_UPLOAD_DIGEST_H
#define API_UPLOAD_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "content/sha256.h"

/* The SHA-256 that one header or several give. Zeroed: none yet. */
struct api_digest {
    bool is_given;
    uint8_t sha256[CONTENT_DIGEST_SIZE];
};

/* text: the value of Repr-Digest or Content-Digest, a dictionary of byte sequences (RFC 8941 3.2,
 * 3.3.5); NULL: not there. Well-formed digests of other algorithms are passed over. CP_ERR_INVALID:
 * a member that is not ALGORITHM=:BASE64:, a sha-256 of another length, or not the same as the one
 * that *digest has already. */
CP_MUST_CHECK enum cp_err api_digest_field(const char *header, const char *text,
                                           struct api_digest *digest, struct cp_error *err);

/* text: the value of the header Trailer; NULL: not there. CP_ERR_INVALID: a digest is to come behind
 * the body, where it is not looked for. */
CP_MUST_CHECK enum cp_err api_digest_trailer(const char *text, struct cp_error *err);

#endif
