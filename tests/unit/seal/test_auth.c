/* SPDX-License-Identifier: Apache-2.0
 * EXT_AUTH: signer, verifier, replay window. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/prng.h"
#include "multicast/seal/gmac.h"
#include "multicast/seal/seal.h"
#include "tests/support/failing_alloc.h"
#include "tests/unit/seal/seal_tests.h"

#define SENDER      1u
#define INSTANCE    0x1234u
#define AUTH_OFFSET 8u
#define PACKET_SIZE 100u
#define SN_MAX      ((UINT64_C(1) << 40) - 1)

/* The MAC under test: main() runs all with each. */
static enum seal_mac mac;

int use_hmac(void **state)
{
    (void)state;
    mac = SEAL_HMAC_SHA256;
    return 0;
}

int use_gmac(void **state)
{
    (void)state;
    mac = SEAL_AES256_GMAC;
    return 0;
}

static void assert_hex(const uint8_t *data, size_t size, const char *text)
{
    char got[256];

    assert_true(2 * size < sizeof got);
    cp_hex_encode(data, size, got);
    assert_string_equal(got, text);
}

static struct seal_signer *make_signer(uint32_t source_id, enum seal_direction direction)
{
    struct seal_signer *s = NULL;

    assert_int_equal(seal_signer_new(mac, test_secret, source_id, INSTANCE, direction, &s), CP_OK);
    return s;
}

static struct seal_verifier *make_verifier(size_t node_max)
{
    struct seal_verifier *v = NULL;

    assert_int_equal(seal_verifier_new(mac, test_secret, node_max, &v), CP_OK);
    return v;
}

static void make_packet(struct seal_signer *s, uint8_t pkt[PACKET_SIZE])
{
    for (unsigned i = 0; i < PACKET_SIZE; i++) {
        pkt[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(seal_sign(s, pkt, PACKET_SIZE, AUTH_OFFSET), CP_OK);
}

static enum seal_verdict verify(struct seal_verifier *v, const uint8_t pkt[PACKET_SIZE])
{
    return seal_verify(v, SENDER, INSTANCE, SEAL_FROM_SENDER, pkt, PACKET_SIZE, AUTH_OFFSET);
}

/* docs/protocol.md section 6, made with Python's hmac, hashlib and cryptography. */
void packet_keys_are_fixed(void **state)
{
    uint8_t key[32];

    (void)state;
    assert_int_equal(
        seal_derive_packet_key(SEAL_HMAC_SHA256, test_secret, 1, 0x1234, SEAL_FROM_SENDER, key),
        CP_OK);
    assert_hex(key, 32, "bfe12111076ce761c45b984e3e022ddb1580aa19483907547d29e0701ced3945");
    assert_int_equal(
        seal_derive_packet_key(SEAL_HMAC_SHA256, test_secret, 2, 0x1234, SEAL_FROM_RECEIVER, key),
        CP_OK);
    assert_hex(key, 32, "22432ee2a4df8f351720eb43e611b0da8ed6a49c1a12047eb6ab9f7bc324e912");
    assert_int_equal(
        seal_derive_packet_key(SEAL_AES256_GMAC, test_secret, 1, 0x1234, SEAL_FROM_SENDER, key),
        CP_OK);
    assert_hex(key, 32, "1b44e4b9cce76e0163b0c474ed2dc4c6297ad49f75aee03fca758101749841fb");
    assert_int_equal(
        seal_derive_packet_key(SEAL_AES256_GMAC, test_secret, 2, 0x1234, SEAL_FROM_RECEIVER, key),
        CP_OK);
    assert_hex(key, 32, "f6e98cb8f4574477fbef87fa35a704b7f18dcc9ea5e8acc53b10bf24a285596c");
}

/* Checks RFC6584 5.1, 5.3.1. */
void signed_packet_is_fixed(void **state)
{
    uint8_t pkt[36];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(1);

    (void)state;
    /* Whatever lies in the EXT_AUTH before does not matter. */
    memset(pkt, 0x5a, sizeof pkt);
    assert_true(cp_hex_decode("1208000100000001", pkt, 8));
    assert_true(cp_hex_decode("deadbeef", pkt + 32, 4));
    assert_int_equal(seal_sign(s, pkt, sizeof pkt, 8), CP_OK);
    assert_hex(pkt, sizeof pkt,
               mac == SEAL_HMAC_SHA256
                   ? "12080001000000010106110000000001055918921b0431b81ef234f8f362c69edeadbeef"
                   : "120800010000000101061100000000014dc6d9fce3554280ad036e104be8b405deadbeef");
    assert_int_equal(seal_verify(v, SENDER, INSTANCE, SEAL_FROM_SENDER, pkt, sizeof pkt, 8),
                     SEAL_GOOD);
    assert_int_equal(seal_sign(s, pkt, sizeof pkt, 8), CP_OK);
    assert_int_equal(pkt[15], 2); /* the next sequence number */
    assert_int_equal(seal_verify(v, SENDER, INSTANCE, SEAL_FROM_SENDER, pkt, sizeof pkt, 8),
                     SEAL_GOOD);
    seal_signer_free(s);
    seal_verifier_free(v);
    seal_signer_free(NULL);
    seal_verifier_free(NULL);
}

/* Header, extension header, SN, MAC, payload: a flip of any bit is told, and changes nothing.
 * Checks RFC6584 5.3.1. */
void every_bit_counts(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(4);

    (void)state;
    make_packet(s, pkt);
    for (unsigned bit = 0; bit < PACKET_SIZE * 8; bit++) {
        const bool form = bit / 8 >= AUTH_OFFSET && bit / 8 < AUTH_OFFSET + 3;

        pkt[bit / 8] = (uint8_t)(pkt[bit / 8] ^ (1u << bit % 8));
        assert_int_equal(verify(v, pkt), form ? SEAL_BAD_FORM : SEAL_FORGED);
        pkt[bit / 8] = (uint8_t)(pkt[bit / 8] ^ (1u << bit % 8));
    }
    /* One byte less, one more. */
    assert_int_equal(
        seal_verify(v, SENDER, INSTANCE, SEAL_FROM_SENDER, pkt, PACKET_SIZE - 1, AUTH_OFFSET),
        SEAL_FORGED);
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    seal_signer_free(s);
    seal_verifier_free(v);
}

void wrong_identity_is_forged(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    uint8_t other_secret[32];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(4);
    struct seal_verifier *stranger = NULL;

    (void)state;
    memcpy(other_secret, test_secret, sizeof other_secret);
    other_secret[31] ^= 1;
    assert_int_equal(seal_verifier_new(mac, other_secret, 4, &stranger), CP_OK);
    make_packet(s, pkt);
    assert_int_equal(verify(stranger, pkt), SEAL_FORGED);
    assert_int_equal(
        seal_verify(v, SENDER + 1, INSTANCE, SEAL_FROM_SENDER, pkt, PACKET_SIZE, AUTH_OFFSET),
        SEAL_FORGED);
    assert_int_equal(
        seal_verify(v, SENDER, INSTANCE + 1, SEAL_FROM_SENDER, pkt, PACKET_SIZE, AUTH_OFFSET),
        SEAL_FORGED);
    assert_int_equal(
        seal_verify(v, SENDER, INSTANCE, SEAL_FROM_RECEIVER, pkt, PACKET_SIZE, AUTH_OFFSET),
        SEAL_FORGED);
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    seal_signer_free(s);
    seal_verifier_free(v);
    seal_verifier_free(stranger);
}

void replayed_packets_are_told(void **state)
{
    uint8_t first[PACKET_SIZE];
    uint8_t second[PACKET_SIZE];
    uint8_t far[PACKET_SIZE];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(4);

    (void)state;
    make_packet(s, first);
    make_packet(s, second);
    seal_signer_skip(s, SEAL_REPLAY_WINDOW);
    seal_signer_skip(s, 1); /* never back */
    make_packet(s, far);    /* SN 4097: 1 falls out of the window, 2 is its last */
    assert_int_equal(verify(v, far), SEAL_GOOD);
    assert_int_equal(verify(v, first), SEAL_REPLAYED);
    assert_int_equal(verify(v, second), SEAL_GOOD);
    assert_int_equal(verify(v, second), SEAL_REPLAYED);
    assert_int_equal(verify(v, far), SEAL_REPLAYED);
    seal_signer_free(s);
    seal_verifier_free(v);
}

void forged_packets_do_not_move_the_window(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    uint8_t forged[PACKET_SIZE];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(1);

    (void)state;
    make_packet(s, pkt);
    memcpy(forged, pkt, sizeof forged);
    memset(forged + AUTH_OFFSET + 3, 0xff, 5); /* the largest SN */
    assert_int_equal(verify(v, forged), SEAL_FORGED);
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    assert_int_equal(verify(v, forged), SEAL_FORGED);
    make_packet(s, pkt);
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    seal_signer_free(s);
    seal_verifier_free(v);
}

void bad_form_is_told(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(4);
    static const struct {
        size_t size, offset;
    } places[] = {{PACKET_SIZE, PACKET_SIZE - 23},
                  {PACKET_SIZE, PACKET_SIZE},
                  {PACKET_SIZE, SIZE_MAX},
                  {PACKET_SIZE, SIZE_MAX - 20},
                  {23, 0},
                  {0, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        assert_int_equal(seal_sign(s, pkt, places[i].size, places[i].offset), CP_ERR_INVALID);
        assert_int_equal(seal_verify(v, SENDER, INSTANCE, SEAL_FROM_SENDER, pkt, places[i].size,
                                     places[i].offset),
                         SEAL_BAD_FORM);
    }
    make_packet(s, pkt);
    assert_int_equal(pkt[AUTH_OFFSET + 7], 1); /* refused ones took no sequence number */
    pkt[AUTH_OFFSET + 2] = 0x10;               /* AR 0 */
    assert_int_equal(verify(v, pkt), SEAL_BAD_FORM);
    pkt[AUTH_OFFSET + 2] = 0x21; /* another ASID */
    assert_int_equal(verify(v, pkt), SEAL_BAD_FORM);
    pkt[AUTH_OFFSET + 2] = 0x13; /* reserved bit */
    assert_int_equal(verify(v, pkt), SEAL_BAD_FORM);
    pkt[AUTH_OFFSET + 2] = 0x11;
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    /* Exactly the extension and nothing else. */
    assert_int_equal(seal_sign(s, pkt, SEAL_AUTH_SIZE, 0), CP_OK);
    assert_int_equal(seal_verify(v, SENDER, INSTANCE, SEAL_FROM_SENDER, pkt, SEAL_AUTH_SIZE, 0),
                     SEAL_GOOD);
    seal_signer_free(s);
    seal_verifier_free(v);
    v = NULL;
    assert_int_equal(seal_verifier_new(mac, test_secret, 0, &v), CP_ERR_INVALID);
    assert_int_equal(seal_verifier_new(mac, test_secret, SIZE_MAX, &v), CP_ERR_INVALID);
    assert_null(v);
}

void sequence_number_never_wraps(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    uint8_t before[PACKET_SIZE];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(1);

    (void)state;
    seal_signer_skip(s, SN_MAX - 2);
    make_packet(s, pkt);
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    make_packet(s, pkt);
    assert_hex(pkt + AUTH_OFFSET + 3, 5, "ffffffffff");
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    memcpy(before, pkt, sizeof before);
    assert_int_equal(seal_sign(s, pkt, PACKET_SIZE, AUTH_OFFSET), CP_ERR_INTERNAL);
    assert_memory_equal(pkt, before, sizeof before);
    seal_signer_free(s);
    seal_verifier_free(v);
}

void least_recently_used_source_goes_first(void **state)
{
    struct seal_verifier *v = make_verifier(3);
    struct seal_signer *s[4];
    uint8_t old[4][PACKET_SIZE];
    uint8_t pkt[PACKET_SIZE];

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        s[i] = make_signer(10 + i, SEAL_FROM_RECEIVER);
        make_packet(s[i], old[i]);
    }
#define VERIFY(i, p)                                                                               \
    seal_verify(v, 10 + (i), INSTANCE, SEAL_FROM_RECEIVER, (p), PACKET_SIZE, AUTH_OFFSET)
    assert_int_equal(VERIFY(0, old[0]), SEAL_GOOD);
    assert_int_equal(VERIFY(1, old[1]), SEAL_GOOD);
    assert_int_equal(VERIFY(2, old[2]), SEAL_GOOD);
    make_packet(s[0], pkt);
    assert_int_equal(VERIFY(0, pkt), SEAL_GOOD); /* 1 is the least recently used now */
    memcpy(pkt, old[3], sizeof pkt);
    pkt[PACKET_SIZE - 1] ^= 1;
    assert_int_equal(VERIFY(3, pkt), SEAL_FORGED);      /* takes no place … */
    assert_int_equal(VERIFY(1, old[1]), SEAL_REPLAYED); /* … so all three are known */
    assert_int_equal(VERIFY(3, old[3]), SEAL_GOOD);     /* 1 goes: a replay is no use */
    assert_int_equal(VERIFY(3, old[3]), SEAL_REPLAYED);
    assert_int_equal(VERIFY(0, old[0]), SEAL_REPLAYED);
    assert_int_equal(VERIFY(2, old[2]), SEAL_REPLAYED);
    assert_int_equal(VERIFY(1, old[1]),
                     SEAL_GOOD); /* forgotten; 2 goes, being the oldest good one */
    assert_int_equal(VERIFY(0, old[0]), SEAL_REPLAYED);
    assert_int_equal(VERIFY(3, old[3]), SEAL_REPLAYED);
    assert_int_equal(VERIFY(2, old[2]), SEAL_GOOD);
#undef VERIFY
    for (unsigned i = 0; i < 4; i++) {
        seal_signer_free(s[i]);
    }
    seal_verifier_free(v);
}

/* More sources than places, in random order, against a list. */
void verifier_keeps_many_sources(void **state)
{
    enum { SOURCES = 60, PLACES = 40 };
    struct seal_verifier *v = make_verifier(PLACES);
    struct seal_signer *s[SOURCES];
    uint8_t last[SOURCES][PACKET_SIZE];
    unsigned used_at[SOURCES] = {0};
    struct cp_prng p;

    (void)state;
    cp_prng_seed(&p, 42);
    for (uint32_t i = 0; i < SOURCES; i++) {
        s[i] = make_signer(i * 65536 + 7, SEAL_FROM_RECEIVER);
        make_packet(s[i], last[i]);
    }
    for (unsigned round = 1; round <= 3000; round++) {
        const uint32_t i = (uint32_t)cp_prng_below(&p, SOURCES);
        unsigned newer = 0;
        bool known;
        enum seal_verdict verdict;

        for (unsigned j = 0; j < SOURCES; j++) {
            newer += used_at[j] > used_at[i];
        }
        known = used_at[i] != 0 && newer < PLACES;
        if (cp_prng_below(&p, 2) == 0) { /* replay, or fresh to a verifier that forgot it */
            verdict = known ? SEAL_REPLAYED : SEAL_GOOD;
        } else {
            make_packet(s[i], last[i]);
            verdict = SEAL_GOOD;
        }
        assert_int_equal(seal_verify(v, i * 65536 + 7, INSTANCE, SEAL_FROM_RECEIVER, last[i],
                                     PACKET_SIZE, AUTH_OFFSET),
                         verdict);
        if (verdict == SEAL_GOOD) {
            used_at[i] = round;
        }
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        seal_signer_free(s[i]);
    }
    seal_verifier_free(v);
}

void without_memory_it_says_so(void **state)
{
    struct seal_signer *s = NULL;
    struct seal_verifier *v = NULL;
    const struct seal_content_key key = {.nonce = {1}};
    struct seal_cipher *c = NULL;
    const int wanted = mac == SEAL_HMAC_SHA256 ? 1 : 2;
    int count = 0;

    (void)state;
    for (int i = 0; i < wanted; i++) {
        failing_alloc_after(i);
        assert_int_equal(seal_signer_new(mac, test_secret, 1, 2, SEAL_FROM_SENDER, &s),
                         CP_ERR_NO_MEMORY);
    }
    failing_alloc_after(0);
    assert_int_equal(seal_cipher_new(&key, &c), CP_ERR_NO_MEMORY);
    for (;; count++) {
        failing_alloc_after(count);
        if (seal_verifier_new(mac, test_secret, 10, &v) == CP_OK) {
            break;
        }
        assert_true(failing_alloc_happened());
    }
    assert_int_equal(count,
                     mac == SEAL_HMAC_SHA256 ? 3 : 3 + 11); /* a context per node, one more */
    failing_alloc_after(-1);
    assert_null(s);
    assert_null(c);
    seal_verifier_free(v);
}

/* Checks RFC6584 5.3.2. */
void replay_window_edges(void **state)
{
    struct seal_replay r = {0};

    (void)state;
    assert_true(seal_replay_seen(&r, 0));
    seal_replay_mark(&r, 0);
    assert_int_equal(r.highest, 0);
    assert_false(seal_replay_seen(&r, 1));
    assert_false(seal_replay_seen(&r, SN_MAX));
    seal_replay_mark(&r, 1);
    assert_true(seal_replay_seen(&r, 1));
    seal_replay_mark(&r, SEAL_REPLAY_WINDOW);
    assert_true(seal_replay_seen(&r, 1)); /* the oldest bit of the window */
    assert_false(seal_replay_seen(&r, 2));
    seal_replay_mark(&r, SEAL_REPLAY_WINDOW + 1); /* takes the bit of 1 */
    assert_true(seal_replay_seen(&r, 1));         /* too old */
    seal_replay_mark(&r, 1);                      /* must not touch its successor's bit */
    assert_true(seal_replay_seen(&r, SEAL_REPLAY_WINDOW + 1));
    assert_false(seal_replay_seen(&r, 2));
    /* A jump by a window less one, by a window, by more: nothing old stays marked. */
    seal_replay_mark(&r, 2 * SEAL_REPLAY_WINDOW);
    assert_true(seal_replay_seen(&r, SEAL_REPLAY_WINDOW + 1));
    assert_false(seal_replay_seen(&r, SEAL_REPLAY_WINDOW + 2));
    seal_replay_mark(&r, 3 * SEAL_REPLAY_WINDOW);
    assert_true(seal_replay_seen(&r, 2 * SEAL_REPLAY_WINDOW));
    assert_false(seal_replay_seen(&r, 2 * SEAL_REPLAY_WINDOW + 1));
    seal_replay_mark(&r, SN_MAX);
    assert_true(seal_replay_seen(&r, SN_MAX));
    assert_false(seal_replay_seen(&r, SN_MAX - 1));
    assert_false(seal_replay_seen(&r, SN_MAX - SEAL_REPLAY_WINDOW + 1));
    assert_true(seal_replay_seen(&r, SN_MAX - SEAL_REPLAY_WINDOW));
}

void replay_window_against_a_model(void **state)
{
    enum { NUMBERS = 60000 };
    uint8_t *seen = calloc(1, NUMBERS);
    struct seal_replay r = {0};
    struct cp_prng p;
    uint64_t highest = 0;

    (void)state;
    assert_non_null(seen);
    cp_prng_seed(&p, 3);
    for (int i = 0; i < 40000; i++) {
        const uint64_t spread = cp_prng_below(&p, 500) == 0 ? 5000 : 3;
        const uint64_t up = highest + 1 + cp_prng_below(&p, spread);
        const uint64_t back = cp_prng_below(&p, 4500);
        const uint64_t sn =
            cp_prng_below(&p, 2) == 0 && up < NUMBERS ? up : (highest > back ? highest - back : 0);
        const bool want =
            sn == 0 || (sn <= highest && (highest - sn >= SEAL_REPLAY_WINDOW || seen[sn] != 0));

        assert_int_equal(seal_replay_seen(&r, sn), want);
        if (!want) {
            seal_replay_mark(&r, sn);
            seen[sn] = 1;
            highest = sn > highest ? sn : highest;
        }
    }
    assert_true(highest > 30000);
    free(seen);
}

/* More sources than contexts of GMAC that are kept ready: each has its own key all the same, and a
 * forged packet of a stranger disturbs nobody. */
void many_sources_share_the_contexts(void **state)
{
    enum { SOURCES = 200 };
    struct seal_verifier *v = make_verifier(SOURCES);
    struct seal_signer *s[SOURCES];
    uint8_t pkt[PACKET_SIZE];

    (void)state;
    for (uint32_t i = 0; i < SOURCES; i++) {
        s[i] = make_signer(i + 1, SEAL_FROM_RECEIVER);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < SOURCES; i++) {
            make_packet(s[i], pkt);
            assert_int_equal(
                seal_verify(v, i + 2, INSTANCE, SEAL_FROM_RECEIVER, pkt, PACKET_SIZE, AUTH_OFFSET),
                SEAL_FORGED);
            assert_int_equal(
                seal_verify(v, i + 1, INSTANCE, SEAL_FROM_RECEIVER, pkt, PACKET_SIZE, AUTH_OFFSET),
                SEAL_GOOD);
        }
    }
    for (unsigned i = 0; i < SOURCES; i++) {
        seal_signer_free(s[i]);
    }
    seal_verifier_free(v);
}

/* libcrypto as it might fail: -Wl,--wrap. */
static bool keys_fail;

enum cp_err __real_seal_gmac_set_key(struct seal_gmac *g, const uint8_t key[SEAL_GMAC_KEY_SIZE],
                                     const uint8_t prefix[SEAL_GMAC_PREFIX_SIZE]);
enum cp_err __wrap_seal_gmac_set_key(struct seal_gmac *g, const uint8_t key[SEAL_GMAC_KEY_SIZE],
                                     const uint8_t prefix[SEAL_GMAC_PREFIX_SIZE]);

enum cp_err __wrap_seal_gmac_set_key(struct seal_gmac *g, const uint8_t key[SEAL_GMAC_KEY_SIZE],
                                     const uint8_t prefix[SEAL_GMAC_PREFIX_SIZE])
{
    return keys_fail ? CP_ERR_INTERNAL : __real_seal_gmac_set_key(g, key, prefix);
}

void a_key_that_failed_is_set_again(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(1);

    (void)state;
    make_packet(s, pkt);
    assert_int_equal(verify(v, pkt), SEAL_GOOD); /* has a place now, but no context yet */
    make_packet(s, pkt);
    keys_fail = true;
    assert_int_equal(verify(v, pkt), mac == SEAL_AES256_GMAC ? SEAL_FORGED : SEAL_GOOD);
    keys_fail = false;
    make_packet(s, pkt);
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    seal_signer_free(s);
    seal_verifier_free(v);
}

/* The keys of the two MACs differ, and so do their codes. */
void one_mac_is_not_the_other(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    struct seal_signer *s = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = NULL;

    (void)state;
    make_packet(s, pkt);
    assert_int_equal(
        seal_verifier_new(mac == SEAL_HMAC_SHA256 ? SEAL_AES256_GMAC : SEAL_HMAC_SHA256,
                          test_secret, 4, &v),
        CP_OK);
    assert_int_equal(verify(v, pkt), SEAL_FORGED);
    seal_signer_free(s);
    seal_verifier_free(v);
}

/* A second signer of one key goes on behind the first: GMAC's nonce is never used twice. */
void signer_goes_on_behind_another(void **state)
{
    uint8_t pkt[PACKET_SIZE];
    struct seal_signer *first = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_signer *second = make_signer(SENDER, SEAL_FROM_SENDER);
    struct seal_verifier *v = make_verifier(1);

    (void)state;
    assert_int_equal(seal_signer_sn(first), 0);
    for (unsigned i = 0; i < 5; i++) {
        make_packet(first, pkt);
        assert_int_equal(verify(v, pkt), SEAL_GOOD);
    }
    assert_int_equal(seal_signer_sn(first), 5);
    seal_signer_skip(second, seal_signer_sn(first));
    make_packet(second, pkt);
    assert_int_equal(pkt[AUTH_OFFSET + 7], 6);
    assert_int_equal(verify(v, pkt), SEAL_GOOD);
    seal_signer_free(first);
    seal_signer_free(second);
    seal_verifier_free(v);
}
