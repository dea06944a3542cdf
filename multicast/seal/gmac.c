/* SPDX-License-Identifier: Apache-2.0
 * AES-256-GMAC on libcrypto's GHASH (openssl/modes.h) and its AES behind EVP's ECB, both in
 * constant time with AES-NI and PCLMUL. EVP's own GCM takes 440 ns per message before the first byte
 * (OpenSSL 3.0). The block that each tag is masked with is made for AHEAD nonces in one call, since
 * that call has a price too: numbers follow one another at a signer and, but for losses, at a
 * verifier. NIST SP 800-38D. */
#include "multicast/seal/gmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/modes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"

#define AES_BLOCK  16u
#define NONCE_SIZE 12u /* prefix and number: GCM's size that needs no GHASH of its own */
#define AHEAD      32u

struct seal_gmac {
    EVP_CIPHER_CTX *aes; /* ECB, no padding: the bare block cipher */
    GCM128_CONTEXT *gcm; /* NULL: no key yet */
    bool failed;         /* since the key was set */
    uint8_t prefix[SEAL_GMAC_PREFIX_SIZE];
    uint64_t first;       /* number of mask[0] */
    bool masked;          /* mask[] is valid */
    const uint8_t *ready; /* what the next block cipher call gives, NULL: it works */
    uint8_t mask[AHEAD][AES_BLOCK];
};

/* The block cipher for GHASH's key and, with the answer known, for the mask. */
static void one_block(const unsigned char in[AES_BLOCK], unsigned char out[AES_BLOCK],
                      const void *key)
{
    struct seal_gmac *g = (struct seal_gmac *)(uintptr_t)key; /* block128_f says const */
    int got;

    if (g->ready != NULL) {
        memcpy(out, g->ready, AES_BLOCK);
        return;
    }
    if (EVP_EncryptUpdate(g->aes, out, &got, in, AES_BLOCK) != 1) {
        g->failed = true;
    }
}

enum cp_err seal_gmac_new(struct seal_gmac **ret_gmac)
{
    struct seal_gmac *g = calloc(1, sizeof *g);

    if (g == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    g->failed = true;
    g->aes = EVP_CIPHER_CTX_new();
    if (g->aes == NULL) {
        seal_gmac_free(g);
        return CP_ERR_NO_MEMORY;
    }
    if (EVP_EncryptInit_ex(g->aes, EVP_aes_256_ecb(), NULL, NULL, NULL) != 1 ||
        EVP_CIPHER_CTX_set_padding(g->aes, 0) != 1) {
        seal_gmac_free(g);
        return CP_ERR_INTERNAL;
    }
    *ret_gmac = g;
    return CP_OK;
}

void seal_gmac_free(struct seal_gmac *g)
{
    if (g == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(g->aes); /* both wipe what they hold */
    CRYPTO_gcm128_release(g->gcm);
    OPENSSL_cleanse(g, sizeof *g);
    free(g);
}

enum cp_err seal_gmac_set_key(struct seal_gmac *g, const uint8_t key[SEAL_GMAC_KEY_SIZE],
                              const uint8_t prefix[SEAL_GMAC_PREFIX_SIZE])
{
    memcpy(g->prefix, prefix, sizeof g->prefix);
    g->masked = false;
    g->ready = NULL;
    g->failed = EVP_EncryptInit_ex(g->aes, NULL, NULL, key, NULL) != 1;
    if (g->failed) {
        return CP_ERR_INTERNAL;
    }
    if (g->gcm == NULL) {
        g->gcm = CRYPTO_gcm128_new(g, one_block);
    } else {
        CRYPTO_gcm128_init(g->gcm, g, one_block);
    }
    if (g->gcm == NULL) {
        g->failed = true;
        return CP_ERR_NO_MEMORY;
    }
    return g->failed ? CP_ERR_INTERNAL : CP_OK;
}

static void write_nonce(const struct seal_gmac *g, uint64_t number, uint8_t ret_nonce[NONCE_SIZE])
{
    struct cp_writer w;

    cp_writer_init(&w, ret_nonce, NONCE_SIZE);
    cp_write_bytes(&w, g->prefix, sizeof g->prefix);
    cp_write_u40(&w, number);
}

/* E(nonce ‖ 1) for `number` and those that follow it. */
static void make_masks(struct seal_gmac *g, uint64_t number)
{
    static const uint8_t one[AES_BLOCK - NONCE_SIZE] = {0, 0, 0, 1};
    int got;

    for (unsigned i = 0; i < AHEAD; i++) {
        write_nonce(g, number + i, g->mask[i]);
        memcpy(g->mask[i] + NONCE_SIZE, one, sizeof one);
    }
    g->first = number;
    g->masked = EVP_EncryptUpdate(g->aes, g->mask[0], &got, g->mask[0], sizeof g->mask) == 1;
    g->failed = !g->masked;
}

enum cp_err seal_gmac_tag(struct seal_gmac *g, uint64_t number, const struct seal_piece *piece,
                          size_t count, uint8_t ret_tag[SEAL_GMAC_TAG_SIZE])
{
    uint8_t nonce[NONCE_SIZE];

    if (!g->failed && (!g->masked || number < g->first || number - g->first >= AHEAD)) {
        make_masks(g, number);
    }
    if (g->failed) {
        return CP_ERR_INTERNAL;
    }
    write_nonce(g, number, nonce);
    g->ready = g->mask[number - g->first];
    CRYPTO_gcm128_setiv(g->gcm, nonce, sizeof nonce);
    for (size_t i = 0; i < count; i++) {
        if (CRYPTO_gcm128_aad(g->gcm, piece[i].data, piece[i].size) != 0) {
            return CP_ERR_INTERNAL; /* over 2^61 bytes */
        }
    }
    CRYPTO_gcm128_tag(g->gcm, ret_tag, SEAL_GMAC_TAG_SIZE);
    return CP_OK;
}
