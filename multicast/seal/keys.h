/* SPDX-License-Identifier: Apache-2.0
 * The key schedule with its first half (HKDF-Extract) kept, so that a verifier derives a key per
 * unknown source with four compressions. Private to multicast/seal. */
#ifndef MULTICAST_SEAL_KEYS_H
#define MULTICAST_SEAL_KEYS_H

#include "multicast/seal/hmac.h"

/* The caller wipes *ret_prk. */
void seal_keys_extract(const uint8_t secret[SEAL_SECRET_SIZE], struct seal_hmac *ret_prk);
void seal_keys_packet(const struct seal_hmac *prk, uint32_t source_id, uint16_t instance_id,
                      enum seal_direction direction, uint8_t ret_key[32]);

#endif
