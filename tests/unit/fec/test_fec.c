/* SPDX-License-Identifier: Apache-2.0
 * Tests of multicast/fec: the matrix of the NORM reference implementation (vectors of norm.md
 * section 3, taken from libnorm itself), encoding, decoding of random erasures. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "common/prng.h"
#include "multicast/fec/fec.h"
#include "multicast/seal/seal.h"
#include "tests/support/failing_alloc.h"

#define SYMBOLS_MAX 255
#define SIZE_MAX_   2048

static uint8_t storage[SYMBOLS_MAX][SIZE_MAX_];
static uint8_t expected[SYMBOLS_MAX][SIZE_MAX_];

static struct fec_code *make_code(uint16_t block_len, uint16_t parity)
{
    struct fec_code *c = NULL;

    assert_int_equal(fec_code_new(block_len, parity, &c), CP_OK);
    return c;
}

/* ---- matrix ---- */

static void assert_matrix(uint16_t block_len, uint16_t parity, const char *first, const char *last,
                          const char *digest_start)
{
    struct fec_code *c = make_code(block_len, parity);
    const size_t size = (size_t)block_len * parity;
    uint8_t *matrix = malloc(size);
    uint8_t digest[SEAL_DIGEST_SIZE];
    char text[2 * SEAL_DIGEST_SIZE + 1];

    assert_non_null(matrix);
    for (uint16_t r = 0; r < parity; r++) {
        for (uint16_t i = 0; i < block_len; i++) {
            matrix[(size_t)r * block_len + i] = fec_code_coefficient(c, r, i);
        }
    }
    if (first != NULL) {
        cp_hex_encode(matrix, 8, text);
        assert_string_equal(text, first);
        cp_hex_encode(matrix + size - 8, 8, text);
        assert_string_equal(text, last);
    }
    assert_int_equal(seal_sha256(matrix, size, digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, text);
    assert_memory_equal(text, digest_start, strlen(digest_start));
    free(matrix);
    fec_code_free(c);
}

static void matrix_is_that_of_nrl(void **state)
{
    (void)state;
    assert_matrix(64, 8, "45f507e37805ae46", "2a4b5529b5437c09",
                  "53f7555e04043801e4c3bc5ea05891e9");
    assert_matrix(128, 32, "1609bb98c789d8a0", "045a91da16f152d4",
                  "f46313430a1ade4d8431fbe62fd9406f");
    assert_matrix(200, 55, NULL, NULL, "6f0391e0663b541a9b7d580a7a5424fa");
}

/* Symbol i = bytes (i, i+1, 3i, 255-i) mod 256: norm.md section 3. */
static void assert_parity(uint16_t block_len, const char *first, const char *last)
{
    struct fec_code *c = make_code(64, 8);
    uint8_t source[64][4];
    uint8_t parity[8][4];
    const uint8_t *in[64];
    uint8_t *out[8];
    char text[9];

    for (unsigned i = 0; i < 64; i++) {
        source[i][0] = (uint8_t)i;
        source[i][1] = (uint8_t)(i + 1);
        source[i][2] = (uint8_t)(3 * i);
        source[i][3] = (uint8_t)(255 - i);
        in[i] = source[i];
    }
    for (unsigned r = 0; r < 8; r++) {
        out[r] = parity[r];
    }
    fec_encode(c, block_len, in, 4, 0, 8, out);
    cp_hex_encode(parity[0], 4, text);
    assert_string_equal(text, first);
    cp_hex_encode(parity[7], 4, text);
    assert_string_equal(text, last);
    /* One row alone is the same as that row among others. */
    memset(parity, 0xee, sizeof parity);
    fec_encode(c, block_len, in, 4, 7, 1, out);
    cp_hex_encode(parity[0], 4, text);
    assert_string_equal(text, last);
    fec_encode(c, block_len, in, 4, 0, 0, out);
    cp_hex_encode(parity[0], 4, text);
    assert_string_equal(text, last);
    fec_code_free(c);
}

static void parity_is_that_of_nrl(void **state)
{
    (void)state;
    assert_parity(64, "46af1bb9", "330eb6cc");
    assert_parity(60, "9327deb1", "bc2d2d3d");
}

static void sizes_are_checked(void **state)
{
    struct fec_code *c = NULL;
    struct fec_workspace *w = NULL;

    (void)state;
    assert_int_equal(fec_code_new(0, 8, &c), CP_ERR_INVALID);
    assert_int_equal(fec_code_new(248, 8, &c), CP_ERR_INVALID);
    assert_int_equal(fec_code_new(65535, 65535, &c), CP_ERR_INVALID);
    assert_null(c);
    c = make_code(247, 8);
    assert_int_equal(fec_workspace_new(c, 0, &w), CP_ERR_INVALID);
    assert_int_equal(fec_workspace_new(c, SIZE_MAX, &w), CP_ERR_INVALID);
    assert_null(w);
    fec_code_free(c);
    fec_code_free(NULL);
    fec_workspace_free(NULL);
}

/* ---- decoding ---- */

struct trial {
    struct fec_code *code;
    struct fec_workspace *workspace;
    uint16_t parity;
    uint8_t *symbol[SYMBOLS_MAX];
    uint8_t present[SYMBOLS_MAX];
};

static void trial_init(struct trial *t, uint16_t block_len_max, uint16_t parity)
{
    t->code = make_code(block_len_max, parity);
    t->parity = parity;
    t->workspace = NULL;
    assert_int_equal(fec_workspace_new(t->code, SIZE_MAX_, &t->workspace), CP_OK);
    for (unsigned i = 0; i < SYMBOLS_MAX; i++) {
        t->symbol[i] = storage[i];
    }
}

static void trial_done(struct trial *t)
{
    fec_workspace_free(t->workspace);
    fec_code_free(t->code);
}

/* Random content and its parity in `storage` and `expected`, everything present. */
static void trial_fill(struct trial *t, struct cp_prng *p, uint16_t block_len, size_t size)
{
    for (unsigned i = 0; i < block_len; i++) {
        for (size_t at = 0; at < size; at++) {
            storage[i][at] = (uint8_t)cp_prng_u64(p);
        }
        t->symbol[i] = storage[i];
    }
    for (unsigned i = block_len; i < (unsigned)block_len + t->parity; i++) {
        t->symbol[i] = storage[i];
    }
    fec_encode(t->code, block_len, (const uint8_t *const *)t->symbol, size, 0, t->parity,
               t->symbol + block_len);
    memcpy(expected, storage, sizeof expected);
    memset(t->present, 1, sizeof t->present);
}

/* Takes `count` of the symbols [from, to) away, at random. */
static void erase(struct trial *t, struct cp_prng *p, unsigned from, unsigned to, unsigned count)
{
    while (count > 0) {
        const unsigned i = from + (unsigned)cp_prng_below(p, to - from);

        if (t->present[i] != 0) {
            t->present[i] = 0;
            memset(storage[i], 0xa5, SIZE_MAX_);
            count--;
        }
    }
}

static void assert_restored(struct trial *t, uint16_t block_len, size_t size)
{
    assert_int_equal(fec_decode(t->code, t->workspace, block_len, t->symbol, t->present, size),
                     CP_OK);
    for (unsigned i = 0; i < block_len; i++) {
        assert_memory_equal(storage[i], expected[i], size);
        if (t->present[i] == 0) {
            assert_int_equal(storage[i][size], 0xa5); /* not a byte further */
        }
    }
}

static void random_erasures(struct cp_prng *p, uint16_t block_len_max, uint16_t parity,
                            uint16_t block_len, size_t size)
{
    struct trial t;
    const unsigned total = (unsigned)block_len + parity;

    trial_init(&t, block_len_max, parity);
    for (unsigned lost = 0; lost <= parity; lost = lost < 4 ? lost + 1 : lost + 1 + lost / 3) {
        /* Anywhere: parity rows get holes and come out of order. */
        trial_fill(&t, p, block_len, size);
        erase(&t, p, 0, total, lost);
        assert_restored(&t, block_len, size);
        /* As many sources as can be, from whatever parity is left. */
        if (lost <= block_len) {
            trial_fill(&t, p, block_len, size);
            erase(&t, p, 0, block_len, lost);
            erase(&t, p, block_len, total, parity - lost);
            for (unsigned i = block_len; i < total; i++) {
                t.symbol[i] = t.present[i] != 0 ? storage[i] : NULL;
            }
            assert_restored(&t, block_len, size);
        }
    }
    trial_done(&t);
}

static void erasures_are_rebuilt(void **state)
{
    static const struct {
        uint16_t block_len_max, parity, block_len;
        size_t size;
    } cases[] = {{64, 8, 64, 1408},   {64, 8, 60, 1400},  {64, 8, 1, 700},    {128, 32, 128, 1408},
                 {128, 32, 127, 97},  {128, 32, 17, 64},  {128, 32, 1, 1},    {200, 55, 200, 33},
                 {200, 55, 137, 1},   {20, 4, 20, 15},    {20, 4, 19, 16},    {2, 2, 2, 63},
                 {1, 1, 1, 1408},     {1, 254, 1, 40},    {254, 1, 254, 40},  {127, 128, 127, 31},
                 {127, 128, 90, 130}, {10, 100, 10, 999}, {223, 32, 223, 200}};
    struct cp_prng p;

    (void)state;
    cp_prng_seed(&p, 20261123);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        random_erasures(&p, cases[i].block_len_max, cases[i].parity, cases[i].block_len,
                        cases[i].size);
    }
}

/* Every pattern of up to P losses among all symbols of a small code. */
static void every_pattern_of_a_small_code(void **state)
{
    struct trial t;
    struct cp_prng p;

    (void)state;
    cp_prng_seed(&p, 7);
    trial_init(&t, 7, 4);
    for (unsigned pattern = 0; pattern < 1u << 11; pattern++) {
        if (__builtin_popcount(pattern) > 4) {
            continue;
        }
        trial_fill(&t, &p, 7, 24);
        for (unsigned i = 0; i < 11; i++) {
            if ((pattern >> i & 1) != 0) {
                t.present[i] = 0;
                memset(storage[i], 0xa5, SIZE_MAX_);
            }
        }
        assert_restored(&t, 7, 24);
    }
    trial_done(&t);
}

static void too_few_symbols_are_refused(void **state)
{
    struct trial t;
    struct cp_prng p;

    (void)state;
    cp_prng_seed(&p, 8);
    trial_init(&t, 64, 8);
    trial_fill(&t, &p, 60, 128);
    erase(&t, &p, 0, 60, 5);
    erase(&t, &p, 60, 68, 4);
    memcpy(expected, storage, sizeof expected);
    assert_int_equal(fec_decode(t.code, t.workspace, 60, t.symbol, t.present, 128), CP_ERR_INVALID);
    assert_memory_equal(storage, expected, sizeof expected); /* untouched */
    memset(t.present, 0, sizeof t.present);
    assert_int_equal(fec_decode(t.code, t.workspace, 60, t.symbol, t.present, 128), CP_ERR_INVALID);
    memset(t.present, 1, sizeof t.present);
    assert_int_equal(fec_decode(t.code, t.workspace, 0, t.symbol, t.present, 128), CP_ERR_INVALID);
    assert_int_equal(fec_decode(t.code, t.workspace, 65, t.symbol, t.present, 128), CP_ERR_INVALID);
    assert_int_equal(fec_decode(t.code, t.workspace, 64, t.symbol, t.present, 0), CP_ERR_INVALID);
    assert_int_equal(fec_decode(t.code, t.workspace, 64, t.symbol, t.present, SIZE_MAX_ + 1),
                     CP_ERR_INVALID);
    trial_done(&t);
}

static void a_code_without_parity(void **state)
{
    struct trial t;
    struct cp_prng p;

    (void)state;
    cp_prng_seed(&p, 9);
    trial_init(&t, 64, 0);
    trial_fill(&t, &p, 64, 100);
    assert_restored(&t, 64, 100);
    t.present[63] = 0;
    assert_int_equal(fec_decode(t.code, t.workspace, 64, t.symbol, t.present, 100), CP_ERR_INVALID);
    trial_done(&t);
}

static void without_memory_it_says_so(void **state)
{
    struct fec_code *c = NULL;
    struct fec_workspace *w = NULL;
    int count = 0;

    (void)state;
    for (;; count++) {
        failing_alloc_after(count);
        if (fec_code_new(64, 8, &c) == CP_OK) {
            break;
        }
        assert_true(failing_alloc_happened());
        assert_null(c);
    }
    assert_int_equal(count, 3);
    for (count = 0;; count++) {
        failing_alloc_after(count);
        if (fec_workspace_new(c, 1408, &w) == CP_OK) {
            break;
        }
        assert_true(failing_alloc_happened());
        assert_null(w);
    }
    assert_int_equal(count, 5);
    failing_alloc_after(-1);
    fec_workspace_free(w);
    fec_code_free(c);
}

/* ---- threads ---- */

struct worker {
    const struct fec_code *code;
    uint64_t seed;
    bool right;
};

/* Own symbols, own workspace, the code of all. */
static void *work(void *arg)
{
    enum { LEN = 20, PARITY = 4, SIZE = 200 };
    struct worker *worker = arg;
    struct fec_workspace *w = NULL;
    uint8_t data[LEN + PARITY][SIZE];
    uint8_t copy[LEN][SIZE];
    uint8_t *symbol[LEN + PARITY];
    uint8_t present[LEN + PARITY];
    struct cp_prng p;

    worker->right = fec_workspace_new(worker->code, SIZE, &w) == CP_OK;
    cp_prng_seed(&p, worker->seed);
    for (int round = 0; worker->right && round < 50; round++) {
        for (unsigned i = 0; i < LEN + PARITY; i++) {
            symbol[i] = data[i];
            memset(data[i], (int)cp_prng_below(&p, 256), SIZE);
        }
        memcpy(copy, data, sizeof copy);
        fec_encode(worker->code, LEN, (const uint8_t *const *)symbol, SIZE, 0, PARITY,
                   symbol + LEN);
        memset(present, 1, sizeof present);
        for (int lost = 0; lost < PARITY; lost++) {
            const size_t i = (size_t)cp_prng_below(&p, LEN);

            present[i] = 0;
            memset(data[i], 0, SIZE);
        }
        worker->right = fec_decode(worker->code, w, LEN, symbol, present, SIZE) == CP_OK &&
                        memcmp(data, copy, sizeof copy) == 0;
    }
    fec_workspace_free(w);
    return NULL;
}

static void threads_share_a_code(void **state)
{
    struct fec_code *c = make_code(20, 4);
    struct worker workers[3];
    pthread_t threads[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        workers[i] = (struct worker){.code = c, .seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(workers[i].right);
    }
    fec_code_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matrix_is_that_of_nrl),
        cmocka_unit_test(parity_is_that_of_nrl),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(erasures_are_rebuilt),
        cmocka_unit_test(every_pattern_of_a_small_code),
        cmocka_unit_test(too_few_symbols_are_refused),
        cmocka_unit_test(a_code_without_parity),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(threads_share_a_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
