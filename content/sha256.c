/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 over libcrypto's EVP. */
#include "content/sha256.h"

#include <stdlib.h>

#include <openssl/evp.h>

struct content_sha256 {
    EVP_MD_CTX *ctx;
};

enum cp_err content_sha256_new(struct content_sha256 **ret_hash)
{
    struct content_sha256 *h = calloc(1, sizeof *h);

    if (h == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx == NULL || EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1) {
        content_sha256_free(h);
        return CP_ERR_NO_MEMORY;
    }
    *ret_hash = h;
    return CP_OK;
}

void content_sha256_free(struct content_sha256 *h)
{
    if (h != NULL) {
        EVP_MD_CTX_free(h->ctx);
        free(h);
    }
}

void content_sha256_add(struct content_sha256 *h, const void *data, size_t size)
{
    CP_ASSERT(EVP_DigestUpdate(h->ctx, data, size) == 1);
}

void content_sha256_finish(struct content_sha256 *h, uint8_t ret_digest[CONTENT_DIGEST_SIZE])
{
    CP_ASSERT(EVP_DigestFinal_ex(h->ctx, ret_digest, NULL) == 1);
    CP_ASSERT(EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) == 1);
}

enum cp_err content_sha256(const void *data, size_t size, uint8_t ret_digest[CONTENT_DIGEST_SIZE])
{
    return EVP_Digest(data, size, ret_digest, NULL, EVP_sha256(), NULL) == 1 ? CP_OK
                                                                             : CP_ERR_NO_MEMORY;
}
