/* SPDX-License-Identifier: Apache-2.0
 * Random bytes, tokens, passwords and sealing, over libcrypto; the master key's file is in
 * master_key.c. Thread-safe. */
#include "keys/credentials.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "common/base64.h"
#include "common/hex.h"

#define TOKEN_BYTES 32u

/* scrypt: 32 MiB and about 250 ms a guess. One of the settings that OWASP's Password Storage Cheat
 * Sheet names as equal (N=2^17 with r=8, p=1; 2^16, p=2; 2^15, p=3; 2^14, p=5): each check has its
 * memory for itself, and a login must not take 128 MiB. */
#define SCRYPT_LOG_N 15u
#define SCRYPT_R     8u
#define SCRYPT_P     3u
#define SALT_SIZE    16u
#define HASH_SIZE    32u

#define SEAL_FORMAT 1u
#define NONCE_SIZE  12u
#define TAG_SIZE    16u

enum cp_err keys_random(void *ret_bytes, size_t size)
{
    return RAND_bytes(ret_bytes, (int)size) == 1 ? CP_OK : CP_ERR_INTERNAL;
}

bool keys_equal_secret(const void *a, const void *b, size_t size)
{
    return CRYPTO_memcmp(a, b, size) == 0;
}

void keys_wipe(void *data, size_t size)
{
    OPENSSL_cleanse(data, size);
}

static enum cp_err sha256(const void *data, size_t size, uint8_t ret_digest[32])
{
    return EVP_Digest(data, size, ret_digest, NULL, EVP_sha256(), NULL) == 1 ? CP_OK
                                                                             : CP_ERR_INTERNAL;
}

enum cp_err keys_sha256_hex(const void *data, size_t size, char ret_text[65])
{
    uint8_t digest[32];

    CP_TRY(sha256(data, size, digest));
    cp_hex_encode(digest, sizeof digest, ret_text);
    return CP_OK;
}

enum cp_err keys_hmac_hex(const char *key, const void *data, size_t size, char ret_text[65])
{
    uint8_t digest[32];
    size_t digest_size = 0;

    if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, strlen(key), data, size, digest,
                  sizeof digest, &digest_size) == NULL ||
        digest_size != sizeof digest) {
        return CP_ERR_INTERNAL;
    }
    cp_hex_encode(digest, sizeof digest, ret_text);
    return CP_OK;
}

/* ---- tokens and generated passwords ---- */

enum cp_err keys_token_hash(const char *token, uint8_t ret_hash[KEYS_TOKEN_HASH_SIZE])
{
    return sha256(token, strlen(token), ret_hash);
}

enum cp_err keys_token_new(const char *prefix, char ret_token[KEYS_TOKEN_SIZE],
                           uint8_t ret_hash[KEYS_TOKEN_HASH_SIZE])
{
    uint8_t bytes[TOKEN_BYTES];
    char token[KEYS_TOKEN_SIZE];
    size_t length = strlen(prefix);
    enum cp_err rc;

    CP_ASSERT(length + CP_BASE64_SIZE(TOKEN_BYTES) <= sizeof token);
    CP_TRY(keys_random(bytes, sizeof bytes));
    memcpy(token, prefix, length);
    (void)cp_base64_encode(CP_BASE64_URL, bytes, sizeof bytes, token + length);
    rc = keys_token_hash(token, ret_hash);
    if (rc == CP_OK) {
        (void)snprintf(ret_token, KEYS_TOKEN_SIZE, "%s", token);
    }
    keys_wipe(bytes, sizeof bytes);
    keys_wipe(token, sizeof token);
    return rc;
}

enum cp_err keys_password_new(char ret_password[KEYS_PASSWORD_SIZE])
{
    /* Without 0, 1, l and o, which people mistake for each other. */
    static const char alphabet[] = "23456789abcdefghijkmnpqrstuvwxyz";
    uint8_t bytes[20];

    _Static_assert(sizeof alphabet == 33, "five bits a character");
    CP_TRY(keys_random(bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++) {
        ret_password[i] = alphabet[bytes[i] & 31];
    }
    ret_password[sizeof bytes] = '\0';
    keys_wipe(bytes, sizeof bytes);
    return CP_OK;
}

/* ---- passwords ---- */

struct scrypt {
    unsigned log_n, r, p;
    uint8_t salt[SALT_SIZE];
    uint8_t hash[HASH_SIZE];
};

/* OpenSSL's default limit of 32 MiB is just too little for N=2^15: it would refuse. */
static enum cp_err derive(const char *password, const struct scrypt *s, uint8_t ret_hash[HASH_SIZE])
{
    uint64_t n = (uint64_t)1 << s->log_n;
    uint64_t max_memory = 128 * (uint64_t)s->r * (n + s->p + 2) + (1u << 20);

    return EVP_PBE_scrypt(password, strlen(password), s->salt, SALT_SIZE, n, s->r, s->p, max_memory,
                          ret_hash, HASH_SIZE) == 1
               ? CP_OK
               : CP_ERR_INTERNAL;
}

enum cp_err keys_password_hash(const char *password, char ret_encoded[KEYS_PASSWORD_HASH_SIZE])
{
    struct scrypt s = {.log_n = SCRYPT_LOG_N, .r = SCRYPT_R, .p = SCRYPT_P};
    char salt[CP_BASE64_SIZE(SALT_SIZE)];
    char hash[CP_BASE64_SIZE(HASH_SIZE)];

    CP_TRY(keys_random(s.salt, sizeof s.salt));
    CP_TRY(derive(password, &s, s.hash));
    (void)cp_base64_encode(CP_BASE64_URL, s.salt, sizeof s.salt, salt);
    (void)cp_base64_encode(CP_BASE64_URL, s.hash, sizeof s.hash, hash);
    (void)snprintf(ret_encoded, KEYS_PASSWORD_HASH_SIZE, "scrypt$%u$%u$%u$%s$%s", s.log_n, s.r, s.p,
                   salt, hash);
    return CP_OK;
}

static bool decode(const char *encoded, struct scrypt *ret)
{
    struct scrypt s;
    char salt[32], hash[64];
    size_t salt_size, hash_size;
    int end = 0;

    if (sscanf(encoded, "scrypt$%2u$%2u$%2u$%31[^$]$%63s%n", &s.log_n, &s.r, &s.p, salt, hash,
               &end) != 5 ||
        encoded[end] != '\0') {
        return false;
    }
    /* A damaged row must not make the service allocate gigabytes. */
    if (s.log_n < 10 || s.log_n > 18 || s.r < 1 || s.r > 16 || s.p < 1 || s.p > 16) {
        return false;
    }
    if (!cp_base64_decode(CP_BASE64_URL, salt, strlen(salt), s.salt, SALT_SIZE, &salt_size) ||
        !cp_base64_decode(CP_BASE64_URL, hash, strlen(hash), s.hash, HASH_SIZE, &hash_size) ||
        salt_size != SALT_SIZE || hash_size != HASH_SIZE) {
        return false;
    }
    *ret = s;
    return true;
}

static bool is_lighter(const struct scrypt *s)
{
    return s->log_n == SCRYPT_LOG_N && s->r == SCRYPT_R && s->p < SCRYPT_P;
}

bool keys_password_outdated(const char *encoded)
{
    struct scrypt s;

    return decode(encoded, &s) && (s.log_n != SCRYPT_LOG_N || s.r != SCRYPT_R || s.p != SCRYPT_P);
}

/* The work that a hash of before costs less than one of now, of which nothing comes: by the time that
 * a check takes nobody shall tell such accounts from names that there are not. The cost of scrypt
 * grows with p alone. */
static enum cp_err make_up(const char *password, const struct scrypt *s)
{
    struct scrypt rest = *s;
    uint8_t hash[HASH_SIZE];
    enum cp_err rc;

    if (!is_lighter(s)) {
        return CP_OK;
    }
    rest.p = SCRYPT_P - s->p;
    rc = derive(password, &rest, hash);
    keys_wipe(hash, sizeof hash);
    return rc;
}

enum cp_err keys_password_verify(const char *password, const char *encoded)
{
    struct scrypt s = {.log_n = SCRYPT_LOG_N, .r = SCRYPT_R, .p = SCRYPT_P};
    uint8_t hash[HASH_SIZE];
    bool known = decode(encoded, &s);
    enum cp_err rc = derive(password, &s, hash);

    if (rc == CP_OK) {
        rc = make_up(password, &s);
    }
    if (rc == CP_OK && (!known || !keys_equal_secret(hash, s.hash, HASH_SIZE))) {
        rc = CP_ERR_AUTH_FAILED;
    }
    keys_wipe(hash, sizeof hash);
    keys_wipe(&s, sizeof s);
    return rc;
}

/* ---- sealing: format, nonce, ciphertext, tag; the purpose is authenticated with it ---- */

enum cp_err keys_seal(const uint8_t key[KEYS_MASTER_SIZE], const char *purpose, const void *data,
                      size_t size, uint8_t *ret_sealed, size_t *ret_sealed_size)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t *nonce = ret_sealed + 1;
    uint8_t *text = nonce + NONCE_SIZE;
    int n = 0;
    bool ok;

    CP_ASSERT(size <= INT32_MAX);
    if (ctx == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    ret_sealed[0] = SEAL_FORMAT;
    ok = keys_random(nonce, NONCE_SIZE) == CP_OK &&
         EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &n, ret_sealed, 1) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)purpose, (int)strlen(purpose)) == 1 &&
         EVP_EncryptUpdate(ctx, text, &n, data, (int)size) == 1 &&
         EVP_EncryptFinal_ex(ctx, text + n, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, (int)TAG_SIZE, text + size) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        return CP_ERR_INTERNAL;
    }
    *ret_sealed_size = size + KEYS_SEAL_OVERHEAD;
    return CP_OK;
}

enum cp_err keys_unseal(const uint8_t key[KEYS_MASTER_SIZE], const char *purpose,
                        struct keys_sealed sealed, void *ret_data, size_t cap, size_t *ret_size)
{
    const uint8_t *nonce = sealed.data + 1;
    const uint8_t *text = nonce + NONCE_SIZE;
    uint8_t tag[TAG_SIZE];
    EVP_CIPHER_CTX *ctx;
    size_t size;
    int n = 0;
    bool ok;

    _Static_assert(KEYS_SEAL_OVERHEAD == 1 + NONCE_SIZE + TAG_SIZE, "what sealing adds");
    if (sealed.size < KEYS_SEAL_OVERHEAD || sealed.size > INT32_MAX ||
        sealed.data[0] != SEAL_FORMAT || sealed.size - KEYS_SEAL_OVERHEAD > cap) {
        return CP_ERR_SIGNATURE;
    }
    size = sealed.size - KEYS_SEAL_OVERHEAD;
    memcpy(tag, text + size, TAG_SIZE);
    ctx = EVP_CIPHER_CTX_new();
    if (ctx == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    ok = EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &n, sealed.data, 1) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)purpose, (int)strlen(purpose)) == 1 &&
         EVP_DecryptUpdate(ctx, ret_data, &n, text, (int)size) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, (int)TAG_SIZE, tag) == 1 &&
         EVP_DecryptFinal_ex(ctx, (uint8_t *)ret_data + n, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        keys_wipe(ret_data, size);
        return CP_ERR_SIGNATURE;
    }
    *ret_size = size;
    return CP_OK;
}
