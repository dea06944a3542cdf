/* SPDX-License-Identifier: Apache-2.0
 * AES-256-GMAC (NIST SP 800-38D; GCM that encrypts nothing) with nonces that count up: a 7-byte
 * prefix that is fixed with the key, then a 40-bit number. Private to multicast/seal and its
 * tests. Nothing is allocated but by _new. One thread per object. */
#ifndef MULTICAST_SEAL_GMAC_H
#define MULTICAST_SEAL_GMAC_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SEAL_GMAC_KEY_SIZE    32u
#define SEAL_GMAC_PREFIX_SIZE 7u
#define SEAL_GMAC_TAG_SIZE    16u

/* A part of the message. */
struct seal_piece {
    const uint8_t *data;
    size_t size;
};

struct seal_gmac;

/* Without a key yet. CP_ERR_NO_MEMORY, CP_ERR_INTERNAL (libcrypto has no AES). */
CP_MUST_CHECK enum cp_err seal_gmac_new(struct seal_gmac **ret_gmac);
void seal_gmac_free(struct seal_gmac *g); /* wipes; NULL allowed */

/* Makes it ready for the key; any number of times. CP_ERR_INTERNAL when libcrypto refuses: tags fail
 * then until a key is set. */
CP_MUST_CHECK enum cp_err seal_gmac_set_key(struct seal_gmac *g,
                                            const uint8_t key[SEAL_GMAC_KEY_SIZE],
                                            const uint8_t prefix[SEAL_GMAC_PREFIX_SIZE]);

/* The tag of the pieces, one after the other, under the nonce prefix ‖ number (40 bits, big
 * endian). Numbers that follow one another are quick. CP_ERR_INTERNAL when libcrypto failed: no tag
 * is given out. Two messages under one number give the key away: the caller sees to it. */
CP_MUST_CHECK enum cp_err seal_gmac_tag(struct seal_gmac *g, uint64_t number,
                                        const struct seal_piece *piece, size_t count,
                                        uint8_t ret_tag[SEAL_GMAC_TAG_SIZE]);

#endif
