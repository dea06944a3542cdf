/* SPDX-License-Identifier: Apache-2.0
 * Ed25519 and JWS over libcrypto. The protected header of a key is one exact text, so a foreign
 * algorithm, key id, extra field or other spelling is a mismatch and nothing is parsed. */
#include "content/jws.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/base64.h"
#include "common/hex.h"
#include "content/sha256.h"

#define SIGNATURE_SIZE 64u
/* base64url text of 64 bytes */
#define SIGNATURE_TEXT_SIZE 86u
#define HEADER_JSON_SIZE    (sizeof "{\"alg\":\"EdDSA\",\"kid\":\"\"}" + JWS_FINGERPRINT_SIZE)
#define HEADER_TEXT_SIZE    CP_BASE64_SIZE(HEADER_JSON_SIZE)

static enum cp_err public_of(EVP_PKEY *pkey, const uint8_t *secret, struct jws_key *ret_key)
{
    struct jws_key key;
    size_t size = sizeof key.public_key;

    memcpy(key.secret, secret, sizeof key.secret);
    if (EVP_PKEY_get_raw_public_key(pkey, key.public_key, &size) != 1 || size != JWS_KEY_SIZE) {
        OPENSSL_cleanse(&key, sizeof key);
        return CP_ERR_INTERNAL;
    }
    *ret_key = key;
    OPENSSL_cleanse(&key, sizeof key);
    return CP_OK;
}

enum cp_err jws_key_from_secret(const uint8_t secret[JWS_KEY_SIZE], struct jws_key *ret_key)
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, JWS_KEY_SIZE);
    enum cp_err code = pkey == NULL ? CP_ERR_INTERNAL : public_of(pkey, secret, ret_key);

    EVP_PKEY_free(pkey);
    return code;
}

enum cp_err jws_key_make(struct jws_key *ret_key)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    uint8_t secret[JWS_KEY_SIZE];
    size_t size = sizeof secret;
    enum cp_err code = CP_ERR_INTERNAL;

    if (pkey != NULL && EVP_PKEY_get_raw_private_key(pkey, secret, &size) == 1 &&
        size == JWS_KEY_SIZE) {
        code = public_of(pkey, secret, ret_key);
    }
    OPENSSL_cleanse(secret, sizeof secret);
    EVP_PKEY_free(pkey);
    return code;
}

void jws_key_wipe(struct jws_key *key)
{
    OPENSSL_cleanse(key, sizeof *key);
}

enum cp_err jws_fingerprint(const uint8_t public_key[JWS_KEY_SIZE],
                            char ret_text[JWS_FINGERPRINT_SIZE])
{
    uint8_t digest[CONTENT_DIGEST_SIZE];

    CP_TRY(content_sha256(public_key, JWS_KEY_SIZE, digest));
    cp_hex_encode(digest, sizeof digest, ret_text);
    return CP_OK;
}

/* Writes the protected header's base64url text; returns its length in *ret_size. */
static enum cp_err make_header(const uint8_t public_key[JWS_KEY_SIZE],
                               char ret_text[HEADER_TEXT_SIZE], size_t *ret_size)
{
    char kid[JWS_FINGERPRINT_SIZE];
    char json[HEADER_JSON_SIZE];
    int size;

    CP_TRY(jws_fingerprint(public_key, kid));
    size = snprintf(json, sizeof json, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", kid);
    CP_ASSERT(size > 0 && (size_t)size < sizeof json);
    *ret_size = cp_base64_encode(CP_BASE64_URL, json, (size_t)size, ret_text);
    return CP_OK;
}

/* What is signed, and the start of a compact JWS: header '.' base64url(payload); malloced with
 * room for '.' and a signature after it. */
static enum cp_err make_input(const uint8_t public_key[JWS_KEY_SIZE], const void *payload,
                              size_t size, char **ret_text, size_t *ret_header_size,
                              size_t *ret_size)
{
    char header[HEADER_TEXT_SIZE];
    size_t header_size;
    char *text;

    CP_TRY(make_header(public_key, header, &header_size));
    if (size > SIZE_MAX / 4) {
        return CP_ERR_TOO_LARGE;
    }
    text = malloc(header_size + 1 + CP_BASE64_SIZE(size) + 1 + SIGNATURE_TEXT_SIZE + 1);
    if (text == NULL) {
        return CP_ERR_NO_MEMORY;
    }
    memcpy(text, header, header_size);
    text[header_size] = '.';
    *ret_size =
        header_size + 1 + cp_base64_encode(CP_BASE64_URL, payload, size, text + header_size + 1);
    *ret_header_size = header_size;
    *ret_text = text;
    return CP_OK;
}

static bool ed25519_sign(const struct jws_key *key, const char *data, size_t size,
                         uint8_t ret_signature[SIGNATURE_SIZE])
{
    EVP_PKEY *pkey =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->secret, JWS_KEY_SIZE);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t signature_size = SIGNATURE_SIZE;
    bool ok = pkey != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, ret_signature, &signature_size, (const unsigned char *)data,
                             size) == 1 &&
              signature_size == SIGNATURE_SIZE;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}

static bool ed25519_verify(const uint8_t public_key[JWS_KEY_SIZE], const char *data, size_t size,
                           const uint8_t signature[SIGNATURE_SIZE])
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, JWS_KEY_SIZE);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok =
        pkey != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
        EVP_DigestVerify(ctx, signature, SIGNATURE_SIZE, (const unsigned char *)data, size) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return ok;
}

static enum cp_err sign(const struct jws_key *key, const void *payload, size_t size, bool detached,
                        char **ret_jws)
{
    uint8_t signature[SIGNATURE_SIZE];
    char *text;
    size_t header_size, at;

    CP_TRY(make_input(key->public_key, payload, size, &text, &header_size, &at));
    if (!ed25519_sign(key, text, at, signature)) {
        free(text);
        return CP_ERR_INTERNAL;
    }
    at = detached ? header_size + 1 : at;
    text[at++] = '.';
    (void)cp_base64_encode(CP_BASE64_URL, signature, sizeof signature, text + at);
    *ret_jws = text;
    return CP_OK;
}

enum cp_err jws_sign(const struct jws_key *key, const void *payload, size_t size, char **ret_jws)
{
    return size > JWS_PAYLOAD_MAX ? CP_ERR_TOO_LARGE : sign(key, payload, size, false, ret_jws);
}

enum cp_err jws_sign_detached(const struct jws_key *key, const void *payload, size_t size,
                              char **ret_jws)
{
    return sign(key, payload, size, true, ret_jws);
}

/* The three parts of a compact JWS, borrowed. */
struct parts {
    const char *payload;
    size_t payload_size;
    uint8_t signature[SIGNATURE_SIZE];
};

/* Splits and checks everything but the signature itself. */
static enum cp_err split(const uint8_t public_key[JWS_KEY_SIZE], const char *jws,
                         struct parts *ret_parts, struct cp_error *err)
{
    char header[HEADER_TEXT_SIZE];
    const char *first = strchr(jws, '.');
    const char *second = first == NULL ? NULL : strchr(first + 1, '.');
    size_t header_size, size;

    if (second == NULL || strchr(second + 1, '.') != NULL) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "not a compact JWS of three parts");
    }
    if (make_header(public_key, header, &header_size) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "signature");
    }
    if ((size_t)(first - jws) != header_size || memcmp(jws, header, header_size) != 0) {
        return cp_error_set(err, CP_ERR_SIGNATURE,
                            "signed by another key or algorithm than expected");
    }
    if (strlen(second + 1) != SIGNATURE_TEXT_SIZE ||
        !cp_base64_decode(CP_BASE64_URL, second + 1, SIGNATURE_TEXT_SIZE, ret_parts->signature,
                          SIGNATURE_SIZE, &size) ||
        size != SIGNATURE_SIZE) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "the signature is cut or not base64url");
    }
    ret_parts->payload = first + 1;
    ret_parts->payload_size = (size_t)(second - first) - 1;
    return CP_OK;
}

enum cp_err jws_verify(const uint8_t public_key[JWS_KEY_SIZE], const char *jws, char **ret_payload,
                       size_t *ret_size, struct cp_error *err)
{
    struct parts p;
    size_t size;
    char *payload;

    CP_TRY(split(public_key, jws, &p, err));
    if (p.payload_size >= CP_BASE64_SIZE(JWS_PAYLOAD_MAX)) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "the signed text is too large");
    }
    if (!ed25519_verify(public_key, jws, (size_t)(p.payload - jws) + p.payload_size, p.signature)) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "the signature does not match the text");
    }
    payload = malloc(p.payload_size + 1);
    if (payload == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "signature");
    }
    if (!cp_base64_decode(CP_BASE64_URL, p.payload, p.payload_size, payload, p.payload_size,
                          &size)) {
        free(payload);
        return cp_error_set(err, CP_ERR_SIGNATURE, "the signed text is not base64url");
    }
    payload[size] = '\0';
    *ret_payload = payload;
    *ret_size = size;
    return CP_OK;
}

enum cp_err jws_verify_detached(const uint8_t public_key[JWS_KEY_SIZE], const char *jws,
                                const void *payload, size_t size, struct cp_error *err)
{
    struct parts p;
    size_t header_size, input_size;
    char *input;
    bool ok;

    CP_TRY(split(public_key, jws, &p, err));
    if (p.payload_size != 0) {
        return cp_error_set(err, CP_ERR_SIGNATURE, "the signature is not a detached one");
    }
    if (make_input(public_key, payload, size, &input, &header_size, &input_size) != CP_OK) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "signature");
    }
    ok = ed25519_verify(public_key, input, input_size, p.signature);
    free(input);
    return ok ? CP_OK
              : cp_error_set(err, CP_ERR_SIGNATURE, "the signature does not match the text");
}
