/* SPDX-License-Identifier: Apache-2.0
 * EXT_AUTH as our profile has it: what signer (auth.c) and verifier (verify.c) share. Private to
 * multicast/seal. */
#ifndef MULTICAST_SEAL_AUTH_H
#define MULTICAST_SEAL_AUTH_H

#include "multicast/seal/gmac.h"
#include "multicast/seal/hmac.h"

#define SEAL_MAC_SIZE   16u
#define SEAL_MAC_OFFSET 8u /* in EXT_AUTH */
#define SEAL_SN_OFFSET  3u

#define SEAL_AUTH_HET   1u
#define SEAL_AUTH_WORDS (SEAL_AUTH_SIZE / 4u)
#define SEAL_AUTH_ASID  0x11u /* ASID 1 | reserved 000 | AR 1 */

/* A whole packet and the place of its EXT_AUTH. */
struct seal_packet {
    const uint8_t *data;
    size_t size;
    size_t auth_offset;
};

bool seal_auth_fits(size_t size, size_t auth_offset);

/* The packet's MAC, with zeros in place of the MAC field: nothing is written to the packet.
 * seal_auth_gmac: CP_ERR_INTERNAL as seal_gmac_tag. */
void seal_auth_hmac(const struct seal_hmac *h, const struct seal_packet *p,
                    uint8_t ret_mac[SEAL_MAC_SIZE]);
CP_MUST_CHECK enum cp_err seal_auth_gmac(struct seal_gmac *g, const struct seal_packet *p,
                                         uint64_t sn, uint8_t ret_mac[SEAL_MAC_SIZE]);

#endif
