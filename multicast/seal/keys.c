/* SPDX-License-Identifier: Apache-2.0
 * Key schedule of a session (docs/protocol.md): HKDF-SHA-256, salt "castpoint/1", the session's
 * secret, and an info string per purpose. Pure. */
#include "multicast/seal/keys.h"

#include <openssl/crypto.h>
#include <string.h>

#include "common/cursor.h"

#define INFO_SIZE_MAX 48u

static const char salt[] = "castpoint/1";
static const char content_label[] = "castpoint content key";
static const char packet_label[] = "castpoint packet key";
static const char gmac_label[] = " gmac"; /* behind it: a key serves one MAC only */

void seal_keys_extract(const uint8_t secret[SEAL_SECRET_SIZE], struct seal_hmac *ret_prk)
{
    seal_hkdf_extract(salt, sizeof salt - 1, secret, SEAL_SECRET_SIZE, ret_prk);
}

void seal_keys_source(const struct seal_source *source, uint8_t ret_bytes[SEAL_SOURCE_SIZE])
{
    struct cp_writer w;

    cp_writer_init(&w, ret_bytes, SEAL_SOURCE_SIZE);
    cp_write_u32(&w, source->id);
    cp_write_u16(&w, source->instance_id);
    cp_write_u8(&w, source->direction);
}

void seal_keys_packet(const struct seal_hmac *prk, enum seal_mac mac,
                      const struct seal_source *source, uint8_t ret_key[32])
{
    uint8_t info[INFO_SIZE_MAX];
    uint8_t bytes[SEAL_SOURCE_SIZE];
    struct cp_writer w;

    seal_keys_source(source, bytes);
    cp_writer_init(&w, info, sizeof info);
    cp_write_bytes(&w, packet_label, sizeof packet_label - 1);
    if (mac == SEAL_AES256_GMAC) {
        cp_write_bytes(&w, gmac_label, sizeof gmac_label - 1);
    }
    cp_write_bytes(&w, bytes, sizeof bytes);
    CP_ASSERT(!w.failed);
    seal_hkdf_expand(prk, info, w.at, ret_key, 32);
}

enum cp_err seal_derive_content_key(const uint8_t secret[SEAL_SECRET_SIZE], uint16_t object_id,
                                    struct seal_content_key *ret_key)
{
    struct seal_hmac prk;
    uint8_t out[sizeof ret_key->key + sizeof ret_key->nonce];
    uint8_t info[INFO_SIZE_MAX];
    struct cp_writer w;

    cp_writer_init(&w, info, sizeof info);
    cp_write_bytes(&w, content_label, sizeof content_label - 1);
    cp_write_u16(&w, object_id);
    CP_ASSERT(!w.failed);
    seal_keys_extract(secret, &prk);
    seal_hkdf_expand(&prk, info, w.at, out, sizeof out);
    memcpy(ret_key->key, out, sizeof ret_key->key);
    memcpy(ret_key->nonce, out + sizeof ret_key->key, sizeof ret_key->nonce);
    OPENSSL_cleanse(out, sizeof out);
    OPENSSL_cleanse(&prk, sizeof prk);
    return CP_OK;
}

enum cp_err seal_derive_packet_key(enum seal_mac mac, const uint8_t secret[SEAL_SECRET_SIZE],
                                   uint32_t source_id, uint16_t instance_id,
                                   enum seal_direction direction, uint8_t ret_key[32])
{
    const struct seal_source source = {source_id, instance_id, (uint8_t)direction};
    struct seal_hmac prk;

    seal_keys_extract(secret, &prk);
    seal_keys_packet(&prk, mac, &source, ret_key);
    OPENSSL_cleanse(&prk, sizeof prk);
    return CP_OK;
}
