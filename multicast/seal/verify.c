/* SPDX-License-Identifier: Apache-2.0
 * The verifier of EXT_AUTH: many sources, with a key and a replay window for each, found by hash,
 * the least recently used one forgotten first. No allocation per packet. One thread per object. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "multicast/seal/auth.h"
#include "multicast/seal/keys.h"

#define NONE      SIZE_MAX
#define NODES_MAX (1u << 20) /* 800 bytes each; a guard against nonsense */
#define READY_MAX 64u

struct node {
    struct seal_source source;
    size_t next_in_bucket;
    size_t newer, older; /* by use */
    union {
        struct seal_hmac hmac;
        uint8_t gmac[SEAL_GMAC_KEY_SIZE];
    } key;
    struct seal_replay replay;
};

/* GMAC wants 1.5 KB per key, too much for each of thousands of nodes that speak once a minute: a
 * node takes the place of its index modulo their number, and keys it anew (1 µs) when another had
 * it. */
struct ready {
    struct seal_gmac *gmac;
    size_t node; /* NONE: of nobody */
};

struct seal_verifier {
    enum seal_mac mac;
    struct seal_hmac prk;
    struct ready ready[READY_MAX];
    size_t ready_count;
    struct seal_gmac *stranger; /* keyed for one packet of an unknown source */
    struct node *node;
    size_t node_max, node_count;
    size_t newest, oldest;
    size_t *bucket; /* heads of lists through next_in_bucket */
    size_t bucket_mask;
};

static enum cp_err make_ready(struct seal_verifier *v)
{
    v->ready_count = v->node_max < READY_MAX ? v->node_max : READY_MAX;
    for (size_t i = 0; i < v->ready_count; i++) {
        v->ready[i].node = NONE;
        CP_TRY(seal_gmac_new(&v->ready[i].gmac));
    }
    return seal_gmac_new(&v->stranger);
}

static enum cp_err init(struct seal_verifier *v, const uint8_t secret[SEAL_SECRET_SIZE])
{
    size_t bucket_count = 1;

    while (bucket_count < v->node_max) {
        bucket_count *= 2;
    }
    v->bucket_mask = bucket_count - 1;
    v->node = calloc(v->node_max, sizeof *v->node);
    v->bucket = malloc(bucket_count * sizeof *v->bucket);
    if (v->node == NULL || v->bucket == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < bucket_count; i++) {
        v->bucket[i] = NONE;
    }
    v->newest = NONE;
    v->oldest = NONE;
    seal_keys_extract(secret, &v->prk);
    return v->mac == SEAL_AES256_GMAC ? make_ready(v) : CP_OK;
}

enum cp_err seal_verifier_new(enum seal_mac mac, const uint8_t secret[SEAL_SECRET_SIZE],
                              size_t node_max, struct seal_verifier **ret_verifier)
{
    struct seal_verifier *v;
    enum cp_err rc;

    if (node_max == 0 || node_max > NODES_MAX) {
        return CP_ERR_INVALID;
    }
    v = calloc(1, sizeof *v);
    if (v == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    v->mac = mac;
    v->node_max = node_max;
    rc = init(v, secret);
    if (rc != CP_OK) {
        seal_verifier_free(v);
        return rc;
    }
    *ret_verifier = v;
    return CP_OK;
}

void seal_verifier_free(struct seal_verifier *v)
{
    if (v == NULL) {
        return;
    }
    for (size_t i = 0; i < v->ready_count; i++) {
        seal_gmac_free(v->ready[i].gmac);
    }
    seal_gmac_free(v->stranger);
    if (v->node != NULL) {
        OPENSSL_cleanse(v->node, v->node_count * sizeof *v->node);
    }
    free(v->node);
    free(v->bucket);
    OPENSSL_cleanse(v, sizeof *v);
    free(v);
}

/* Only members that hold the secret get into the table, so a plain mix of the bits is enough. */
static size_t *bucket_of(const struct seal_verifier *v, const struct seal_source *source)
{
    uint64_t x =
        (uint64_t)source->id << 17 ^ (uint64_t)source->instance_id << 1 ^ source->direction;

    x *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / golden ratio: Knuth's multiplicative hash */
    return &v->bucket[(size_t)(x >> 32) & v->bucket_mask];
}

static size_t find_node(const struct seal_verifier *v, const struct seal_source *source)
{
    size_t at = *bucket_of(v, source);

    while (at != NONE) {
        const struct node *n = &v->node[at];

        if (n->source.id == source->id && n->source.instance_id == source->instance_id &&
            n->source.direction == source->direction) {
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
    size_t *link = bucket_of(v, &n->source);

    while (*link != at) {
        link = &v->node[*link].next_in_bucket;
    }
    *link = n->next_in_bucket;
    unlink_use(v, at);
    if (v->ready_count > 0 && v->ready[at % v->ready_count].node == at) {
        v->ready[at % v->ready_count].node = NONE;
    }
    OPENSSL_cleanse(n, sizeof *n);
    return at;
}

static size_t add_node(struct seal_verifier *v, const struct node *fresh)
{
    const size_t at = v->node_count < v->node_max ? v->node_count++ : evict_oldest(v);
    struct node *n = &v->node[at];
    size_t *bucket = bucket_of(v, &fresh->source);

    *n = *fresh;
    n->next_in_bucket = *bucket;
    *bucket = at;
    link_newest(v, at);
    return at;
}

/* The form that our profile fixes; true and the SN. */
static bool parse_auth(const uint8_t *ext, uint64_t *ret_sn)
{
    struct cp_reader r;

    if (ext[0] != SEAL_AUTH_HET || ext[1] != SEAL_AUTH_WORDS || ext[2] != SEAL_AUTH_ASID) {
        return false;
    }
    cp_reader_init(&r, ext + SEAL_SN_OFFSET, SEAL_MAC_OFFSET - SEAL_SN_OFFSET);
    *ret_sn = cp_read_u40(&r);
    return true;
}

static void init_fresh(const struct seal_verifier *v, const struct seal_source *source,
                       struct node *fresh)
{
    uint8_t key[32];

    memset(fresh, 0, sizeof *fresh);
    fresh->source = *source;
    seal_keys_packet(&v->prk, v->mac, source, key);
    if (v->mac == SEAL_AES256_GMAC) {
        memcpy(fresh->key.gmac, key, sizeof key);
    } else {
        seal_hmac_init(&fresh->key.hmac, key, sizeof key);
    }
    OPENSSL_cleanse(key, sizeof key);
}

/* GMAC with the node's key; `at` NONE: of a source that is not known. */
static enum cp_err gmac_of(struct seal_verifier *v, const struct node *n, size_t at,
                           struct seal_gmac **ret_gmac)
{
    struct ready *ready = at == NONE ? NULL : &v->ready[at % v->ready_count];
    uint8_t prefix[SEAL_SOURCE_SIZE];

    *ret_gmac = ready != NULL ? ready->gmac : v->stranger;
    if (ready != NULL && ready->node == at) {
        return CP_OK;
    }
    if (ready != NULL) {
        ready->node = NONE; /* of nobody, should libcrypto fail */
    }
    seal_keys_source(&n->source, prefix);
    CP_TRY(seal_gmac_set_key(*ret_gmac, n->key.gmac, prefix));
    if (ready != NULL) {
        ready->node = at;
    }
    return CP_OK;
}

static bool mac_is_good(struct seal_verifier *v, const struct node *n, size_t at,
                        const struct seal_packet *p, uint64_t sn)
{
    uint8_t mac[SEAL_MAC_SIZE];
    struct seal_gmac *gmac = NULL;

    if (v->mac == SEAL_HMAC_SHA256) {
        seal_auth_hmac(&n->key.hmac, p, mac);
    } else if (gmac_of(v, n, at, &gmac) != CP_OK || seal_auth_gmac(gmac, p, sn, mac) != CP_OK) {
        return false; /* libcrypto failed: nothing is genuine */
    }
    return CRYPTO_memcmp(mac, p->data + p->auth_offset + SEAL_MAC_OFFSET, sizeof mac) == 0;
}

/* A packet of a source that has no place yet: it gets one if it is genuine. */
static size_t admit(struct seal_verifier *v, const struct seal_source *source,
                    const struct seal_packet *p, uint64_t sn, bool *ret_genuine)
{
    struct node fresh;
    size_t at = NONE;

    init_fresh(v, source, &fresh);
    *ret_genuine = mac_is_good(v, &fresh, NONE, p, sn);
    if (*ret_genuine && sn != 0) {
        at = add_node(v, &fresh);
    }
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return at;
}

enum seal_verdict seal_verify(struct seal_verifier *v, uint32_t source_id, uint16_t instance_id,
                              enum seal_direction direction, const uint8_t *pkt, size_t size,
                              size_t auth_offset)
{
    const struct seal_source source = {source_id, instance_id, (uint8_t)direction};
    const struct seal_packet p = {pkt, size, auth_offset};
    uint64_t sn;
    size_t at;
    bool genuine;

    if (!seal_auth_fits(size, auth_offset) || !parse_auth(pkt + auth_offset, &sn)) {
        return SEAL_BAD_FORM;
    }
    at = find_node(v, &source);
    if (at != NONE) {
        genuine = mac_is_good(v, &v->node[at], at, &p, sn);
    } else {
        at = admit(v, &source, &p, sn, &genuine);
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
