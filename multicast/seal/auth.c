/* SPDX-License-Identifier: Apache-2.0
 * Group MAC in EXT_AUTH (RFC 6584 section 5; norm.md 1.4): HMAC-SHA-256, left-most 128 bits, over
 * the whole NORM packet with the MAC field as zeros. Signer of one source; verifier of many, with
 * a key and a replay window for each. No allocation per packet. One thread per object. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "multicast/seal/keys.h"
#include "multicast/seal/seal.h"

#define EXT_AUTH_HET   1u
#define EXT_AUTH_WORDS (SEAL_AUTH_SIZE / 4u)
#define ASID_AND_AR    0x11u /* ASID 1 | reserved 000 | AR 1 */
#define SN_OFFSET      3u
#define MAC_OFFSET     8u
#define MAC_SIZE       16u
#define SN_MAX         ((UINT64_C(1) << 40) - 1)
#define NONE           SIZE_MAX
#define NODES_MAX      (1u << 20) /* 800 bytes each; a guard against nonsense */

/* ---- signer ---- */

struct seal_signer {
    struct seal_hmac hmac;
    uint64_t sn; /* of the last packet signed */
};

static bool auth_fits(size_t size, size_t auth_offset)
{
    return size >= SEAL_AUTH_SIZE && auth_offset <= size - SEAL_AUTH_SIZE;
}

/* The packet's MAC, with zeros in place of the MAC field: nothing is written to the packet. */
static void packet_mac(const struct seal_hmac *h, const uint8_t *pkt, size_t size,
                       size_t auth_offset, uint8_t ret_mac[SEAL_DIGEST_SIZE])
{
    static const uint8_t zeros[MAC_SIZE];
    const size_t mac_at = auth_offset + MAC_OFFSET;
    SHA256_CTX message = h->inner;

    seal_hmac_update(&message, pkt, mac_at);
    seal_hmac_update(&message, zeros, sizeof zeros);
    seal_hmac_update(&message, pkt + mac_at + MAC_SIZE, size - mac_at - MAC_SIZE);
    seal_hmac_final(h, &message, ret_mac);
}

enum cp_err seal_signer_new(const uint8_t secret[SEAL_SECRET_SIZE], uint32_t source_id,
                            uint16_t instance_id, enum seal_direction direction,
                            struct seal_signer **ret_signer)
{
    struct seal_signer *s = calloc(1, sizeof *s);
    uint8_t key[32];
    enum cp_err rc;

    if (s == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    rc = seal_derive_packet_key(secret, source_id, instance_id, direction, key);
    if (rc != CP_OK) {
        free(s);
        return rc;
    }
    seal_hmac_init(&s->hmac, key, sizeof key);
    OPENSSL_cleanse(key, sizeof key);
    *ret_signer = s;
    return CP_OK;
}

void seal_signer_free(struct seal_signer *s)
{
    if (s == NULL) {
        return;
    }
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

void seal_signer_skip(struct seal_signer *s, uint64_t sn)
{
    if (sn > s->sn) {
        s->sn = sn;
    }
}

enum cp_err seal_sign(struct seal_signer *s, uint8_t *pkt, size_t size, size_t auth_offset)
{
    uint8_t mac[SEAL_DIGEST_SIZE];
    struct cp_writer w;

    if (!auth_fits(size, auth_offset)) {
        return CP_ERR_INVALID;
    }
    if (s->sn >= SN_MAX) {
        return CP_ERR_INTERNAL; /* 2^40 packets are 1.5 PB: a session never gets there */
    }
    s->sn++;
    cp_writer_init(&w, pkt + auth_offset, SEAL_AUTH_SIZE);
    cp_write_u8(&w, EXT_AUTH_HET);
    cp_write_u8(&w, EXT_AUTH_WORDS);
    cp_write_u8(&w, ASID_AND_AR);
    cp_write_u40(&w, s->sn);
    packet_mac(&s->hmac, pkt, size, auth_offset, mac);
    cp_write_bytes(&w, mac, MAC_SIZE);
    return CP_OK;
}

/* ---- verifier ---- */

struct node {
    uint32_t source_id;
    uint16_t instance_id;
    uint8_t direction;
    size_t next_in_bucket;
    size_t newer, older; /* by use */
    struct seal_hmac hmac;
    struct seal_replay replay;
};

struct seal_verifier {
    struct seal_hmac prk;
    struct node *node;
    size_t node_max, node_count;
    size_t newest, oldest;
    size_t *bucket; /* heads of lists through next_in_bucket */
    size_t bucket_mask;
};

enum cp_err seal_verifier_new(const uint8_t secret[SEAL_SECRET_SIZE], size_t node_max,
                              struct seal_verifier **ret_verifier)
{
    struct seal_verifier *v;
    size_t bucket_count = 1;

    if (node_max == 0 || node_max > NODES_MAX) {
        return CP_ERR_INVALID;
    }
    v = calloc(1, sizeof *v);
    if (v == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    while (bucket_count < node_max) {
        bucket_count *= 2;
    }
    v->node_max = node_max;
    v->bucket_mask = bucket_count - 1;
    v->node = calloc(node_max, sizeof *v->node);
    v->bucket = malloc(bucket_count * sizeof *v->bucket);
    if (v->node == NULL || v->bucket == NULL) {
        seal_verifier_free(v);
        return CP_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < bucket_count; i++) {
        v->bucket[i] = NONE;
    }
    v->newest = NONE;
    v->oldest = NONE;
    seal_keys_extract(secret, &v->prk);
    *ret_verifier = v;
    return CP_OK;
}

void seal_verifier_free(struct seal_verifier *v)
{
    if (v == NULL) {
        return;
    }
    if (v->node != NULL) {
        OPENSSL_cleanse(v->node, v->node_count * sizeof *v->node);
    }
    free(v->node);
    free(v->bucket);
    OPENSSL_cleanse(v, sizeof *v);
    free(v);
}

/* Only members that hold the secret get into the table, so a plain mix of the bits is enough. */
static size_t *bucket_of(const struct seal_verifier *v, uint32_t source_id, uint16_t instance_id,
                         unsigned direction)
{
    uint64_t x = (uint64_t)source_id << 17 ^ (uint64_t)instance_id << 1 ^ direction;

    x *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio: Knuth's multiplicative hash */
    return &v->bucket[(size_t)(x >> 32) & v->bucket_mask];
}

static size_t find_node(const struct seal_verifier *v, uint32_t source_id, uint16_t instance_id,
                        unsigned direction)
{
    size_t at = *bucket_of(v, source_id, instance_id, direction);

    while (at != NONE) {
        const struct node *n = &v->node[at];

        if (n->source_id == source_id && n->instance_id == instance_id &&
            n->direction == direction) {
            return at;
        }
        at = n->next_in_bucket;
    }
    return NONE;
}

static void unlink_use(struct seal_verifier *v, size_t at)
{
    const struct node *n = &v->node[at];

    if (n->newer != NONE) {
        v->node[n->newer].older = n->older;
    } else {
        v->newest = n->older;
    }
    if (n->older != NONE) {
        v->node[n->older].newer = n->newer;
    } else {
        v->oldest = n->newer;
    }
}

static void link_newest(struct seal_verifier *v, size_t at)
{
    v->node[at].newer = NONE;
    v->node[at].older = v->newest;
    if (v->newest != NONE) {
        v->node[v->newest].newer = at;
    } else {
        v->oldest = at;
    }
    v->newest = at;
}

static size_t evict_oldest(struct seal_verifier *v)
{
    const size_t at = v->oldest;
    struct node *n = &v->node[at];
    size_t *link = bucket_of(v, n->source_id, n->instance_id, n->direction);

    while (*link != at) {
        link = &v->node[*link].next_in_bucket;
    }
    *link = n->next_in_bucket;
    unlink_use(v, at);
    OPENSSL_cleanse(n, sizeof *n);
    return at;
}

static size_t add_node(struct seal_verifier *v, uint32_t source_id, uint16_t instance_id,
                       unsigned direction, const struct seal_hmac *hmac)
{
    const size_t at = v->node_count < v->node_max ? v->node_count++ : evict_oldest(v);
    struct node *n = &v->node[at];
    size_t *bucket = bucket_of(v, source_id, instance_id, direction);

    n->source_id = source_id;
    n->instance_id = instance_id;
    n->direction = (uint8_t)direction;
    n->hmac = *hmac;
    memset(&n->replay, 0, sizeof n->replay);
    n->next_in_bucket = *bucket;
    *bucket = at;
    link_newest(v, at);
    return at;
}

/* The form that our profile fixes; CP_OK and the SN. */
static bool parse_auth(const uint8_t *ext, uint64_t *ret_sn)
{
    struct cp_reader r;

    if (ext[0] != EXT_AUTH_HET || ext[1] != EXT_AUTH_WORDS || ext[2] != ASID_AND_AR) {
        return false;
    }
    cp_reader_init(&r, ext + SN_OFFSET, MAC_OFFSET - SN_OFFSET);
    *ret_sn = cp_read_u40(&r);
    return true;
}

enum seal_verdict seal_verify(struct seal_verifier *v, uint32_t source_id, uint16_t instance_id,
                              enum seal_direction direction, const uint8_t *pkt, size_t size,
                              size_t auth_offset)
{
    uint8_t mac[SEAL_DIGEST_SIZE];
    uint64_t sn;
    size_t at;
    struct seal_hmac fresh;
    const struct seal_hmac *hmac = &fresh;
    bool genuine;

    if (!auth_fits(size, auth_offset) || !parse_auth(pkt + auth_offset, &sn)) {
        return SEAL_BAD_FORM;
    }
    at = find_node(v, source_id, instance_id, direction);
    if (at != NONE) {
        hmac = &v->node[at].hmac;
    } else {
        uint8_t key[32];

        seal_keys_packet(&v->prk, source_id, instance_id, direction, key);
        seal_hmac_init(&fresh, key, sizeof key);
        OPENSSL_cleanse(key, sizeof key);
    }
    packet_mac(hmac, pkt, size, auth_offset, mac);
    genuine = CRYPTO_memcmp(mac, pkt + auth_offset + MAC_OFFSET, MAC_SIZE) == 0;
    if (genuine && at == NONE && sn != 0) {
        at = add_node(v, source_id, instance_id, direction, &fresh);
    }
    if (hmac == &fresh) {
        OPENSSL_cleanse(&fresh, sizeof fresh);
    }
    if (!genuine) {
        return SEAL_FORGED;
    }
    if (at == NONE || seal_replay_seen(&v->node[at].replay, sn)) {
        return SEAL_REPLAYED;
    }
    seal_replay_mark(&v->node[at].replay, sn);
    if (at != v->newest) {
        unlink_use(v, at);
        link_newest(v, at);
    }
    return SEAL_GOOD;
}
