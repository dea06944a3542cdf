/* SPDX-License-Identifier: Apache-2.0
 * HMAC-SHA-256 (RFC 2104) with the key's two compressions done in advance, and HKDF (RFC 5869)
 * on it. Private to multicast/seal and its tests. No allocation; plain values that the caller
 * wipes. */
#ifndef MULTICAST_SEAL_HMAC_H
#define MULTICAST_SEAL_HMAC_H

#include <openssl/sha.h>
#include <stddef.h>
#include <stdint.h>

#include "multicast/seal/seal.h"

/* The states after the inner and the outer pad. A copy of `inner` is updated with the message and
 * given to seal_hmac_final. */
struct seal_hmac {
    SHA256_CTX inner;
    SHA256_CTX outer;
};

void seal_hmac_init(struct seal_hmac *h, const void *key, size_t size);
void seal_hmac_update(SHA256_CTX *message, const void *data, size_t size);
void seal_hmac_final(const struct seal_hmac *h, SHA256_CTX *message,
                     uint8_t ret_mac[SEAL_DIGEST_SIZE]);

/* HKDF-Extract: the result is the key of seal_hkdf_expand. */
void seal_hkdf_extract(const void *salt, size_t salt_size, const void *secret, size_t secret_size,
                       struct seal_hmac *ret_prk);
/* HKDF-Expand; size ≤ 255 × 32. */
void seal_hkdf_expand(const struct seal_hmac *prk, const void *info, size_t info_size,
                      uint8_t *ret_key, size_t size);

#endif
