/* SPDX-License-Identifier: Apache-2.0
 * AES-256-GMAC against NIST's vectors and against libcrypto's own GCM. */
#include <openssl/evp.h>
#include <string.h>

#include "common/hex.h"
#include "common/prng.h"
#include "multicast/seal/gmac.h"
#include "tests/unit/seal/seal_tests.h"

#define NONCE_SIZE 12u

/* Nonce as prefix and number. */
static uint64_t number_of(const uint8_t nonce[NONCE_SIZE])
{
    uint64_t number = 0;

    for (unsigned i = SEAL_GMAC_PREFIX_SIZE; i < NONCE_SIZE; i++) {
        number = number << 8 | nonce[i];
    }
    return number;
}

static struct seal_gmac *make_gmac(void)
{
    struct seal_gmac *g = NULL;

    assert_int_equal(seal_gmac_new(&g), CP_OK);
    return g;
}

/* Test case 13 of the GCM submission to NIST (McGrew, Viega), and the first of
 * gcmEncryptExtIV256.rsp of the CAVP with PTlen 0 and AADlen 128. */
void gmac_vectors_of_nist(void **state)
{
    static const struct {
        const char *key, *nonce, *data, *tag;
    } vectors[] = {
        {"0000000000000000000000000000000000000000000000000000000000000000",
         "000000000000000000000000", "", "530f8afbc74536b9a963b4f1c4cb738b"},
        {"78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
         "d79cf22d504cc793c3fb6c8a", "b96baa8c1c75a671bfb2d08d06be5f36",
         "3e5d486aa2e30b22e040b85723a06e76"},
    };
    struct seal_gmac *g = make_gmac();

    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t key[SEAL_GMAC_KEY_SIZE];
        uint8_t nonce[NONCE_SIZE];
        uint8_t data[16];
        uint8_t want[SEAL_GMAC_TAG_SIZE];
        uint8_t tag[SEAL_GMAC_TAG_SIZE];
        const struct seal_piece piece = {data, strlen(vectors[i].data) / 2};

        assert_true(cp_hex_decode(vectors[i].key, key, sizeof key));
        assert_true(cp_hex_decode(vectors[i].nonce, nonce, sizeof nonce));
        assert_true(cp_hex_decode(vectors[i].data, data, piece.size));
        assert_true(cp_hex_decode(vectors[i].tag, want, sizeof want));
        assert_int_equal(seal_gmac_set_key(g, key, nonce), CP_OK);
        assert_int_equal(seal_gmac_tag(g, number_of(nonce), &piece, 1, tag), CP_OK);
        assert_memory_equal(tag, want, sizeof tag);
    }
    seal_gmac_free(g);
}

static void evp_tag(const uint8_t *key, const uint8_t *nonce, const uint8_t *data, size_t size,
                    uint8_t ret_tag[SEAL_GMAC_TAG_SIZE])
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int got;

    assert_non_null(c);
    assert_int_equal(EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &got, data, (int)size), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, ret_tag, &got), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, SEAL_GMAC_TAG_SIZE, ret_tag), 1);
    EVP_CIPHER_CTX_free(c);
}

/* Numbers that follow, skip and go back; messages of all lengths in three pieces; keys that change,
 * up to the last number of 40 bits. */
void gmac_is_that_of_evp(void **state)
{
    struct seal_gmac *g = make_gmac();
    uint8_t key[SEAL_GMAC_KEY_SIZE];
    uint8_t nonce[NONCE_SIZE];
    uint8_t data[1600];
    uint64_t number = 0;
    struct cp_prng p;

    (void)state;
    cp_prng_seed(&p, 5);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)cp_prng_u64(&p);
    }
    for (unsigned round = 0; round < 3000; round++) {
        const size_t size = 1 + cp_prng_below(&p, sizeof data);
        const size_t first = cp_prng_below(&p, size + 1);
        const size_t second = cp_prng_below(&p, size - first + 1);
        const struct seal_piece piece[] = {
            {data, first}, {data + first, second}, {data + first + second, size - first - second}};
        uint8_t tag[SEAL_GMAC_TAG_SIZE];
        uint8_t want[SEAL_GMAC_TAG_SIZE];

        if (round % 300 == 0) {
            for (size_t i = 0; i < sizeof key; i++) {
                key[i] = (uint8_t)cp_prng_u64(&p);
                nonce[i % NONCE_SIZE] = (uint8_t)cp_prng_u64(&p);
            }
            assert_int_equal(seal_gmac_set_key(g, key, nonce), CP_OK);
            number = round % 600 == 0 ? 1 : (UINT64_C(1) << 40) - 300;
        } else if (cp_prng_below(&p, 10) == 0) {
            number -= cp_prng_below(&p, number < 100 ? 1 : 100);
        } else if (number < (UINT64_C(1) << 40) - 1) {
            number++;
        }
        for (unsigned i = 0; i < 5; i++) {
            nonce[NONCE_SIZE - 1 - i] = (uint8_t)(number >> 8 * i);
        }
        assert_int_equal(seal_gmac_tag(g, number, piece, 3, tag), CP_OK);
        evp_tag(key, nonce, data, size, want);
        assert_memory_equal(tag, want, sizeof tag);
    }
    seal_gmac_free(g);
}

void gmac_without_a_key_gives_no_tag(void **state)
{
    struct seal_gmac *g = make_gmac();
    uint8_t tag[SEAL_GMAC_TAG_SIZE] = {7};

    (void)state;
    assert_int_equal(seal_gmac_tag(g, 1, NULL, 0, tag), CP_ERR_INTERNAL);
    assert_int_equal(tag[0], 7);
    seal_gmac_free(g);
    seal_gmac_free(NULL);
}
