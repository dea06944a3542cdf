/* SPDX-License-Identifier: Apache-2.0
 * Group MAC in EXT_AUTH (RFC 6584 section 5; norm.md 1.4): HMAC-SHA-256, left-most 128 bits, or
 * AES-256-GMAC, over the whole NORM packet with the MAC field as zeros. The signer of one source. No
 * allocation per packet. One thread per object. */
#include "multicast/seal/auth.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "multicast/seal/keys.h"

#define SN_MAX ((UINT64_C(1) << 40) - 1)

struct seal_signer {
    struct seal_gmac *gmac; /* NULL: HMAC */
    struct seal_hmac hmac;
    uint64_t sn; /* of the last packet signed */
};

static const uint8_t zeros[SEAL_MAC_SIZE];

bool seal_auth_fits(size_t size, size_t auth_offset)
{
    return size >= SEAL_AUTH_SIZE && auth_offset <= size - SEAL_AUTH_SIZE;
}

/* RFC6584 5.3.1: "During this computation, the Group-keyed MAC field MUST also be set to 0." */
void seal_auth_hmac(const struct seal_hmac *h, const struct seal_packet *p,
                    uint8_t ret_mac[SEAL_MAC_SIZE])
{
    const size_t mac_at = p->auth_offset + SEAL_MAC_OFFSET;
    const size_t behind = mac_at + SEAL_MAC_SIZE;
    SHA256_CTX message = h->inner;
    uint8_t digest[SEAL_DIGEST_SIZE];

    seal_hmac_update(&message, p->data, mac_at);
    seal_hmac_update(&message, zeros, sizeof zeros);
    seal_hmac_update(&message, p->data + behind, p->size - behind);
    seal_hmac_final(h, &message, digest);
    memcpy(ret_mac, digest, SEAL_MAC_SIZE);
}

enum cp_err seal_auth_gmac(struct seal_gmac *g, const struct seal_packet *p, uint64_t sn,
                           uint8_t ret_mac[SEAL_MAC_SIZE])
{
    const size_t mac_at = p->auth_offset + SEAL_MAC_OFFSET;
    const size_t behind = mac_at + SEAL_MAC_SIZE;
    const struct seal_piece piece[] = {
        {p->data, mac_at}, {zeros, sizeof zeros}, {p->data + behind, p->size - behind}};

    return seal_gmac_tag(g, sn, piece, sizeof piece / sizeof piece[0], ret_mac);
}

/* The key into the MAC's own form. */
static enum cp_err set_key(struct seal_signer *s, enum seal_mac mac,
                           const struct seal_source *source, const uint8_t key[32])
{
    uint8_t prefix[SEAL_SOURCE_SIZE];

    if (mac == SEAL_HMAC_SHA256) {
        seal_hmac_init(&s->hmac, key, 32);
        return CP_OK;
    }
    seal_keys_source(source, prefix);
    CP_TRY(seal_gmac_new(&s->gmac));
    return seal_gmac_set_key(s->gmac, key, prefix);
}

enum cp_err seal_signer_new(enum seal_mac mac, const uint8_t secret[SEAL_SECRET_SIZE],
                            uint32_t source_id, uint16_t instance_id, enum seal_direction direction,
                            struct seal_signer **ret_signer)
{
    const struct seal_source source = {source_id, instance_id, (uint8_t)direction};
    struct seal_signer *s = calloc(1, sizeof *s);
    uint8_t key[32];
    enum cp_err rc;

    if (s == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    rc = seal_derive_packet_key(mac, secret, source_id, instance_id, direction, key);
    if (rc == CP_OK) {
        rc = set_key(s, mac, &source, key);
    }
    OPENSSL_cleanse(key, sizeof key);
    if (rc != CP_OK) {
        seal_signer_free(s);
        return rc;
    }
    *ret_signer = s;
    return CP_OK;
}

void seal_signer_free(struct seal_signer *s)
{
    if (s == NULL) {
        return;
    }
    seal_gmac_free(s->gmac);
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

uint64_t seal_signer_sn(const struct seal_signer *s)
{
    return s->sn;
}

void seal_signer_skip(struct seal_signer *s, uint64_t sn)
{
    if (sn > s->sn) {
        s->sn = sn;
    }
}

enum cp_err seal_sign(struct seal_signer *s, uint8_t *pkt, size_t size, size_t auth_offset)
{
    const struct seal_packet p = {pkt, size, auth_offset};
    uint8_t mac[SEAL_MAC_SIZE];
    struct cp_writer w;

    if (!seal_auth_fits(size, auth_offset)) {
        return CP_ERR_INVALID;
    }
    if (s->sn >= SN_MAX) {
        return CP_ERR_INTERNAL; /* 2^40 packets are 1.5 PB: a session never gets there */
    }
    s->sn++;
    cp_writer_init(&w, pkt + auth_offset, SEAL_AUTH_SIZE);
    cp_write_u8(&w, SEAL_AUTH_HET);
    cp_write_u8(&w, SEAL_AUTH_WORDS);
    cp_write_u8(&w, SEAL_AUTH_ASID);
    cp_write_u40(&w, s->sn);
    if (s->gmac != NULL) {
        CP_TRY(seal_auth_gmac(s->gmac, &p, s->sn, mac));
    } else {
        seal_auth_hmac(&s->hmac, &p, mac);
    }
    cp_write_bytes(&w, mac, sizeof mac);
    return CP_OK;
}
