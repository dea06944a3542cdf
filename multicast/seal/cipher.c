/* SPDX-License-Identifier: Apache-2.0
 * AES-256-CTR over an object with random access: counter block = nonce (8 bytes) ‖ number of the
 * 16-byte block (64 bits, big endian). The key is expanded once; a call sets only the counter.
 * One thread per object; libcrypto does the work. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/cursor.h"
#include "multicast/seal/seal.h"

#define AES_BLOCK   16u
#define PIECE_BYTES (1u << 30) /* EVP takes an int */

struct seal_cipher {
    EVP_CIPHER_CTX *ctx;
    uint8_t nonce[8];
};

enum cp_err seal_cipher_new(const struct seal_content_key *key, struct seal_cipher **ret_cipher)
{
    struct seal_cipher *c = calloc(1, sizeof *c);

    if (c == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    memcpy(c->nonce, key->nonce, sizeof c->nonce);
    c->ctx = EVP_CIPHER_CTX_new();
    if (c->ctx == NULL) {
        seal_cipher_free(c);
        return CP_ERR_NO_MEMORY;
    }
    if (EVP_EncryptInit_ex(c->ctx, EVP_aes_256_ctr(), NULL, key->key, NULL) != 1) {
        seal_cipher_free(c);
        return CP_ERR_INTERNAL;
    }
    *ret_cipher = c;
    return CP_OK;
}

void seal_cipher_free(struct seal_cipher *c)
{
    if (c == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(c->ctx); /* wipes the expanded key */
    OPENSSL_cleanse(c, sizeof *c);
    free(c);
}

enum cp_err seal_cipher_apply(struct seal_cipher *c, uint64_t offset, uint8_t *data, size_t size)
{
    uint8_t counter[AES_BLOCK];
    uint8_t skipped[AES_BLOCK] = {0};
    struct cp_writer w;
    int got;

    if (size > UINT64_MAX - offset) {
        return CP_ERR_INVALID;
    }
    cp_writer_init(&w, counter, sizeof counter);
    cp_write_bytes(&w, c->nonce, sizeof c->nonce);
    cp_write_u64(&w, offset / AES_BLOCK);
    if (EVP_EncryptInit_ex(c->ctx, NULL, NULL, NULL, counter) != 1) {
        return CP_ERR_INTERNAL;
    }
    if (offset % AES_BLOCK != 0) {
        const int lead = (int)(offset % AES_BLOCK);

        if (EVP_EncryptUpdate(c->ctx, skipped, &got, skipped, lead) != 1) {
            return CP_ERR_INTERNAL;
        }
        OPENSSL_cleanse(skipped, sizeof skipped); /* it is key stream */
    }
    while (size > 0) {
        const size_t piece = size < PIECE_BYTES ? size : PIECE_BYTES;

        if (EVP_EncryptUpdate(c->ctx, data, &got, data, (int)piece) != 1) {
            return CP_ERR_INTERNAL;
        }
        data += piece;
        size -= piece;
    }
    return CP_OK;
}
