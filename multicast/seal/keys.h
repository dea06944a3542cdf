/* SPDX-License-Identifier: Apache-2.0
 * The key schedule with its first half (HKDF-Extract) kept, so that a verifier derives a key per
 * unknown source with four compressions. Private to multicast/seal. */
#ifndef MULTICAST_SEAL_KEYS_H
#define MULTICAST_SEAL_KEYS_H

#include "multicast/seal/hmac.h"

#define SEAL_SOURCE_SIZE 7u

/* Whose packets a key is for. */
struct seal_source {
    uint32_t id;
    uint16_t instance_id;
    uint8_t direction; /* enum seal_direction */
};

/* The caller wipes *ret_prk. */
void seal_keys_extract(const uint8_t secret[SEAL_SECRET_SIZE], struct seal_hmac *ret_prk);
void seal_keys_packet(const struct seal_hmac *prk, enum seal_mac mac,
                      const struct seal_source *source, uint8_t ret_key[32]);
/* Source, instance and direction as they stand in a key's info, and in GMAC's nonce. */
void seal_keys_source(const struct seal_source *source, uint8_t ret_bytes[SEAL_SOURCE_SIZE]);

#endif
