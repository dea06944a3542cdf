/* SPDX-License-Identifier: Apache-2.0
 * Cryptography of a session: keys from its secret (HKDF-SHA-256, RFC 5869), the object cipher
 * (AES-256-CTR), the group MAC in EXT_AUTH (RFC 6584 section 5: ASID 1, AR=1, HMAC-SHA-256-128 or
 * AES-256-GMAC) with replay window, SHA-256. No socket, clock or file; libcrypto is behind it. Key
 * schedule: docs/protocol.md. */
#ifndef MULTICAST_SEAL_SEAL_H
#define MULTICAST_SEAL_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

#define SEAL_SECRET_SIZE   32u
#define SEAL_AUTH_SIZE     24u /* whole EXT_AUTH: het, hel, ASID/AR, 40-bit SN, 128-bit MAC */
#define SEAL_DIGEST_SIZE   32u
#define SEAL_REPLAY_WINDOW 4096u

/* ---- SHA-256 ---- */
CP_MUST_CHECK enum cp_err seal_sha256(const void *data, size_t size,
                                      uint8_t ret_digest[SEAL_DIGEST_SIZE]);

/* The same piece by piece. A plain value without pointers; init, updates, one final. */
struct seal_hash {
    _Alignas(8) uint8_t state[112];
};
void seal_hash_init(struct seal_hash *h);
void seal_hash_update(struct seal_hash *h, const void *data, size_t size);
void seal_hash_final(struct seal_hash *h, uint8_t ret_digest[SEAL_DIGEST_SIZE]);

/* ---- key schedule ---- */
struct seal_content_key {
    uint8_t key[32];
    uint8_t nonce[8];
};
CP_MUST_CHECK enum cp_err seal_derive_content_key(const uint8_t secret[SEAL_SECRET_SIZE],
                                                  uint16_t object_id,
                                                  struct seal_content_key *ret_key);
/* GMAC takes a quarter of the time: 270 ns per packet of 1472 bytes instead of 1060. */
enum seal_mac { SEAL_HMAC_SHA256, SEAL_AES256_GMAC };
enum seal_direction { SEAL_FROM_SENDER = 0, SEAL_FROM_RECEIVER = 1 };
CP_MUST_CHECK enum cp_err seal_derive_packet_key(enum seal_mac mac,
                                                 const uint8_t secret[SEAL_SECRET_SIZE],
                                                 uint32_t source_id, uint16_t instance_id,
                                                 enum seal_direction direction,
                                                 uint8_t ret_key[32]);

/* ---- object cipher ---- */
struct seal_cipher;
CP_MUST_CHECK enum cp_err seal_cipher_new(const struct seal_content_key *key,
                                          struct seal_cipher **ret_cipher);
void seal_cipher_free(struct seal_cipher *c); /* wipes the key */
/* XORs the key stream of the object's bytes offset … offset + size - 1 over data, in place; any
 * offset. Same call encrypts and decrypts. One thread per cipher object. */
CP_MUST_CHECK enum cp_err seal_cipher_apply(struct seal_cipher *c, uint64_t offset, uint8_t *data,
                                            size_t size);

/* ---- packet authentication, own packets ---- */
struct seal_signer;
/* No two signers of one secret, source, instance and direction may use the same SN: the verifiers
 * take the second packet for a replay, and with GMAC the two give the key away to everybody who
 * hears them. Where several are made, each goes on behind the SNs of those before. */
CP_MUST_CHECK enum cp_err seal_signer_new(enum seal_mac mac, const uint8_t secret[SEAL_SECRET_SIZE],
                                          uint32_t source_id, uint16_t instance_id,
                                          enum seal_direction direction,
                                          struct seal_signer **ret_signer);
void seal_signer_free(struct seal_signer *s);
/* SN of the last packet; 0: none yet. */
uint64_t seal_signer_sn(const struct seal_signer *s);
/* The next packet gets SN sn + 1, when that is ahead: to go on behind numbers already used. */
void seal_signer_skip(struct seal_signer *s, uint64_t sn);
/* Fills the EXT_AUTH at auth_offset of the whole packet: next SN (first is 1), then the MAC over
 * the packet with the MAC field zeroed. CP_ERR_INVALID when auth_offset + 24 > size; the SN's 40
 * bits never wrap (CP_ERR_INTERNAL). A packet is final then: to send other bytes sign again. */
CP_MUST_CHECK enum cp_err seal_sign(struct seal_signer *s, uint8_t *pkt, size_t size,
                                    size_t auth_offset);

/* ---- packet authentication, others' packets ---- */
struct seal_verifier;
/* Keeps keys and replay windows of up to node_max sources (least recently used goes first); a source
 * gets a place only with its first valid packet. */
CP_MUST_CHECK enum cp_err seal_verifier_new(enum seal_mac mac,
                                            const uint8_t secret[SEAL_SECRET_SIZE], size_t node_max,
                                            struct seal_verifier **ret_verifier);
void seal_verifier_free(struct seal_verifier *v);

enum seal_verdict { SEAL_GOOD, SEAL_FORGED, SEAL_REPLAYED, SEAL_BAD_FORM };
/* Checks form (het 1, hel 6, ASID 1, AR 1), MAC, then replay; the window moves only for a good MAC.
 * A source that was forgotten (node_max) starts with an empty window. */
enum seal_verdict seal_verify(struct seal_verifier *v, uint32_t source_id, uint16_t instance_id,
                              enum seal_direction direction, const uint8_t *pkt, size_t size,
                              size_t auth_offset);

/* Anti-replay window of RFC 6584 3.3.2 by itself (embedded; zeroed is empty). */
struct seal_replay {
    uint64_t highest; /* SN accepted, 0 none */
    uint64_t bits[SEAL_REPLAY_WINDOW / 64];
};
bool seal_replay_seen(const struct seal_replay *r, uint64_t sn); /* seen, 0, or too old */
void seal_replay_mark(struct seal_replay *r, uint64_t sn);

#endif
