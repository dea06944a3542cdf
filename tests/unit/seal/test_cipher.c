/* SPDX-License-Identifier: Apache-2.0
 * The content key and the object cipher. */
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/prng.h"
#include "multicast/seal/seal.h"
#include "tests/unit/seal/seal_tests.h"

static void assert_hex(const uint8_t *data, size_t size, const char *text)
{
    char got[256];

    assert_true(2 * size < sizeof got);
    cp_hex_encode(data, size, got);
    assert_string_equal(got, text);
}

/* docs/protocol.md section 6, made with Python's hmac and hashlib. */
void content_keys_are_fixed(void **state)
{
    struct seal_content_key key;

    (void)state;
    assert_int_equal(seal_derive_content_key(test_secret, 1, &key), CP_OK);
    assert_hex(key.key, 32, "1a45acb94986290e25f5f81dc2d1fb34428fd5f473fe005afcb8b0c33002cfaa");
    assert_hex(key.nonce, 8, "e23c1eb9d8c7783e");
    assert_int_equal(seal_derive_content_key(test_secret, 0xfffe, &key), CP_OK);
    assert_hex(key.key, 32, "955d9f9c245db272200433c7588c6a50b3157126b3378cdb8fd8ab7450764178");
    assert_hex(key.nonce, 8, "7d4248d1e05830fb");
}

static struct seal_cipher *cipher_of_object(uint16_t object_id)
{
    struct seal_content_key key;
    struct seal_cipher *c = NULL;

    assert_int_equal(seal_derive_content_key(test_secret, object_id, &key), CP_OK);
    assert_int_equal(seal_cipher_new(&key, &c), CP_OK);
    return c;
}

/* docs/protocol.md section 6, made with openssl enc -aes-256-ctr. */
void key_stream_is_fixed(void **state)
{
    struct seal_cipher *c = cipher_of_object(1);
    uint8_t data[32] = {0};

    (void)state;
    assert_int_equal(seal_cipher_apply(c, 0, data, sizeof data), CP_OK);
    assert_hex(data, 32, "0a3a69cd415660526b7275f6dd4690d0d3c83b51539bf94ddba2523278e7e987");
    memset(data, 0, sizeof data);
    assert_int_equal(seal_cipher_apply(c, UINT64_C(50000000003), data, sizeof data), CP_OK);
    assert_hex(data, 32, "01148da79b4c0bc1b86cbf666935a53b87c91c8cde0334515b742337844c5915");
    seal_cipher_free(c);
    seal_cipher_free(NULL);
}

/* NIST AESAVS, VarTxt256, count 0: the first block of the stream is the nonce with zeros behind it,
 * enciphered. */
void key_stream_is_that_of_nist(void **state)
{
    const struct seal_content_key key = {.nonce = {0x80}};
    struct seal_cipher *c = NULL;
    uint8_t data[16] = {0};

    (void)state;
    assert_int_equal(seal_cipher_new(&key, &c), CP_OK);
    assert_int_equal(seal_cipher_apply(c, 0, data, sizeof data), CP_OK);
    assert_hex(data, sizeof data, "ddc6bf790c15760d8d9aeb6f9a75fd4e");
    seal_cipher_free(c);
}

void random_access_equals_sequential(void **state)
{
    const size_t size = 3u << 20;
    struct seal_cipher *c = cipher_of_object(7);
    uint8_t *whole = calloc(1, size);
    uint8_t *pieces = calloc(1, size);
    struct cp_prng p;

    (void)state;
    assert_non_null(whole);
    assert_non_null(pieces);
    assert_int_equal(seal_cipher_apply(c, 0, whole, size), CP_OK);
    /* Symbols from the last to the first. */
    for (size_t at = size / 1408 * 1408;; at -= 1408) {
        assert_int_equal(seal_cipher_apply(c, at, pieces + at, size - at < 1408 ? size - at : 1408),
                         CP_OK);
        if (at == 0) {
            break;
        }
    }
    assert_memory_equal(whole, pieces, size);
    /* Any offset, any size; twice is the identity. */
    cp_prng_seed(&p, 1);
    for (int i = 0; i < 500; i++) {
        const size_t at = (size_t)cp_prng_below(&p, size);
        const size_t left = size - at < 5000 ? size - at : 5000;
        const size_t piece = (size_t)cp_prng_below(&p, left + 1);

        assert_int_equal(seal_cipher_apply(c, at, pieces + at, piece), CP_OK);
        for (size_t j = 0; j < piece; j++) {
            assert_int_equal(pieces[at + j], 0);
        }
        assert_int_equal(seal_cipher_apply(c, at, pieces + at, piece), CP_OK);
    }
    assert_memory_equal(whole, pieces, size);
    seal_cipher_free(c);
    free(whole);
    free(pieces);
}

void cipher_refuses_an_offset_beyond_2_64(void **state)
{
    struct seal_cipher *c = cipher_of_object(1);
    uint8_t data[2] = {1, 2};

    (void)state;
    assert_int_equal(seal_cipher_apply(c, UINT64_MAX, data, 2), CP_ERR_INVALID);
    assert_int_equal(data[0], 1);
    assert_int_equal(data[1], 2);
    assert_int_equal(seal_cipher_apply(c, UINT64_MAX - 2, data, 2), CP_OK);
    seal_cipher_free(c);
}
