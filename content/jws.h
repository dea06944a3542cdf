/* SPDX-License-Identifier: Apache-2.0
 * Ed25519 signatures as JWS (RFC 7515, RFC 8037), compact and with detached payload (appendix F),
 * with one fixed protected header (docs/protocol.md section 3). Over libcrypto; no file or clock. */
#ifndef CONTENT_JWS_H
#define CONTENT_JWS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define JWS_KEY_SIZE         32u
#define JWS_FINGERPRINT_SIZE 65u             /* lower-case hexadecimal and NUL */
#define JWS_PAYLOAD_MAX      (1024u * 1024u) /* of compact ones; detached have no limit */

/* A key pair. secret is RFC 8032's 32-byte private key (seed). */
struct jws_key {
    uint8_t secret[JWS_KEY_SIZE];
    uint8_t public_key[JWS_KEY_SIZE];
};

/* A new random pair; the pair that belongs to a secret. CP_ERR_INTERNAL when libcrypto fails. */
CP_MUST_CHECK enum cp_err jws_key_make(struct jws_key *ret_key);
CP_MUST_CHECK enum cp_err jws_key_from_secret(const uint8_t secret[JWS_KEY_SIZE],
                                              struct jws_key *ret_key);
void jws_key_wipe(struct jws_key *key);

/* SHA-256 of the 32 raw public bytes as text. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err jws_fingerprint(const uint8_t public_key[JWS_KEY_SIZE],
                                          char ret_text[JWS_FINGERPRINT_SIZE]);

/* Compact "protected.payload.signature", malloced. CP_ERR_TOO_LARGE, NO_MEMORY, INTERNAL. */
CP_MUST_CHECK enum cp_err jws_sign(const struct jws_key *key, const void *payload, size_t size,
                                   char **ret_jws);
/* Detached "protected..signature", malloced. */
CP_MUST_CHECK enum cp_err jws_sign_detached(const struct jws_key *key, const void *payload,
                                            size_t size, char **ret_jws);

/* The payload (malloced, NUL-terminated, *ret_size without the NUL) of a compact JWS that this key
 * signed. CP_ERR_SIGNATURE for anything else: other key, changed, truncated, other header; text
 * says which. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err jws_verify(const uint8_t public_key[JWS_KEY_SIZE], const char *jws,
                                     char **ret_payload, size_t *ret_size, struct cp_error *err);
CP_MUST_CHECK enum cp_err jws_verify_detached(const uint8_t public_key[JWS_KEY_SIZE],
                                              const char *jws, const void *payload, size_t size,
                                              struct cp_error *err);

#endif
