/* SPDX-License-Identifier: Apache-2.0
 * HMAC-SHA-256 and HKDF against the vectors of their RFCs. */
#include <string.h>

#include "common/hex.h"
#include "multicast/seal/hmac.h"
#include "tests/unit/seal/seal_tests.h"

static void assert_hex(const uint8_t *data, size_t size, const char *text)
{
    char got[256];

    assert_true(2 * size < sizeof got);
    cp_hex_encode(data, size, got);
    assert_string_equal(got, text);
}

/* RFC 4231 section 4, test cases 1 to 4, 6 and 7. */
static const struct {
    uint8_t key_byte; /* repeated key_size times; 0: key_text */
    size_t key_size;
    const char *key_text;
    uint8_t data_byte;
    size_t data_size;
    const char *data_text;
    const char *mac;
} hmac_vectors[] = {
    {0x0b, 20, NULL, 0, 0, "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 0, "Jefe", 0, 0, "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, 0xdd, 50, NULL,
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0xaa, 131, NULL, 0, 0, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL, 0, 0,
     "This is a test using a larger than block-size key and a larger than block-size data. The key "
     "needs to be hashed before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

void hmac_vectors_of_rfc_4231(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hmac_vectors / sizeof hmac_vectors[0]; i++) {
        uint8_t key[131];
        uint8_t data[256];
        uint8_t mac[SEAL_DIGEST_SIZE];
        size_t key_size = hmac_vectors[i].key_size;
        size_t data_size = hmac_vectors[i].data_size;
        struct seal_hmac h;

        memset(key, hmac_vectors[i].key_byte, sizeof key);
        memset(data, hmac_vectors[i].data_byte, sizeof data);
        if (hmac_vectors[i].key_text != NULL) {
            key_size = strlen(hmac_vectors[i].key_text);
            memcpy(key, hmac_vectors[i].key_text, key_size);
        }
        if (hmac_vectors[i].data_text != NULL) {
            data_size = strlen(hmac_vectors[i].data_text);
            memcpy(data, hmac_vectors[i].data_text, data_size);
        }
        seal_hmac_init(&h, key, key_size);
        for (int again = 0; again < 2; again++) { /* the prepared key serves many messages */
            SHA256_CTX message = h.inner;

            seal_hmac_update(&message, data, data_size / 3);
            seal_hmac_update(&message, data + data_size / 3, data_size - data_size / 3);
            seal_hmac_final(&h, &message, mac);
            assert_hex(mac, sizeof mac, hmac_vectors[i].mac);
        }
    }
}

static void fill_ascending(uint8_t *data, size_t size, uint8_t first)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(first + i);
    }
}

/* RFC 5869 appendix A.1, A.2, A.3. */
void hkdf_vectors_of_rfc_5869(void **state)
{
    uint8_t secret[80];
    uint8_t salt[80];
    uint8_t info[80];
    uint8_t key[82];
    struct seal_hmac prk;

    (void)state;
    memset(secret, 0x0b, 22);
    fill_ascending(salt, 13, 0x00);
    fill_ascending(info, 10, 0xf0);
    seal_hkdf_extract(salt, 13, secret, 22, &prk);
    seal_hkdf_expand(&prk, info, 10, key, 42);
    assert_hex(
        key, 42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");

    seal_hkdf_extract(NULL, 0, secret, 22, &prk);
    seal_hkdf_expand(&prk, NULL, 0, key, 42);
    assert_hex(
        key, 42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");

    fill_ascending(secret, 80, 0x00);
    fill_ascending(salt, 80, 0x60);
    fill_ascending(info, 80, 0xb0);
    seal_hkdf_extract(salt, 80, secret, 80, &prk);
    seal_hkdf_expand(&prk, info, 80, key, 82);
    assert_hex(
        key, 82,
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb"
        "41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

/* FIPS 180-2 appendix B.1. */
void sha256_vector(void **state)
{
    uint8_t digest[SEAL_DIGEST_SIZE];

    (void)state;
    assert_int_equal(seal_sha256("abc", 3, digest), CP_OK);
    assert_hex(digest, sizeof digest,
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
