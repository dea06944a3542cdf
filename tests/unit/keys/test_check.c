/* SPDX-License-Identifier: Apache-2.0
 * Making and checking single keys, with times far from now. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/time.h"
#include "keys/check.h"
#include "keys/credentials.h"

#define NODE "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
#define DAY  (86400 * CP_SEC)
#define NOW  ((uint64_t)1800000000 * CP_SEC)

static const uint8_t master[KEYS_MASTER_SIZE] = {1, 2, 3};

struct keys {
    struct db_key identity, multicast;
    struct jws_key identity_pair, multicast_pair;
};

static void make(struct keys *k)
{
    struct keys_spec identity = {
        .kind = DB_KEY_IDENTITY, .node_id = NODE, .master_key = master, .now_ns = NOW};
    struct keys_spec multicast = identity;

    multicast.kind = DB_KEY_MULTICAST;
    multicast.identity = &k->identity_pair;
    assert_int_equal(keys_make(&identity, &k->identity, &k->identity_pair), CP_OK);
    assert_int_equal(keys_make(&multicast, &k->multicast, &k->multicast_pair), CP_OK);
}

static void test_good(void **state)
{
    struct keys k;
    struct jws_key pair;
    char reason[DB_TEXT_SIZE];

    (void)state;
    make(&k);
    assert_string_equal(k.identity.certificate, "");
    assert_true(keys_check(&k.identity, master, &pair, reason));
    assert_memory_equal(pair.secret, k.identity_pair.secret, JWS_KEY_SIZE);
    assert_true(keys_check(&k.multicast, master, &pair, reason));
    assert_int_equal(keys_check_certificate(&k.multicast, k.identity.public_key, NOW, reason),
                     KEYS_CERTIFICATE_GOOD);
}

static enum keys_certificate at(const struct keys *k, uint64_t now, char reason[DB_TEXT_SIZE])
{
    return keys_check_certificate(&k->multicast, k->identity.public_key, now, reason);
}

static void test_certificate_times(void **state)
{
    struct keys k;
    char reason[DB_TEXT_SIZE];

    (void)state;
    make(&k);
    assert_int_equal(at(&k, NOW + 334 * DAY, reason), KEYS_CERTIFICATE_GOOD);
    assert_int_equal(at(&k, NOW + 336 * DAY, reason), KEYS_CERTIFICATE_ENDING);
    assert_non_null(strstr(reason, "ends soon"));
    assert_int_equal(at(&k, NOW + 400 * DAY, reason), KEYS_CERTIFICATE_ENDING);
    assert_int_equal(at(&k, NOW - DAY, reason), KEYS_CERTIFICATE_ENDING);
    /* for a client that knows a former identity only: no longer than its overlap */
    assert_int_equal(keys_certify(&k.identity_pair, NOW, NOW + 2 * DAY, &k.multicast), CP_OK);
    assert_int_equal(k.multicast.not_after, NOW + 2 * DAY);
    assert_int_equal(at(&k, NOW, reason), KEYS_CERTIFICATE_ENDING);
}

static void test_certificate_of_another(void **state)
{
    struct keys_spec same = {
        .kind = DB_KEY_MULTICAST, .node_id = NODE, .master_key = master, .now_ns = NOW};
    struct keys k, other;
    char reason[DB_TEXT_SIZE];

    (void)state;
    make(&k);
    make(&other);
    assert_int_equal(keys_check_certificate(&k.multicast, other.identity.public_key, NOW, reason),
                     KEYS_CERTIFICATE_WRONG);
    assert_non_null(strstr(reason, "not by the present identity key"));
    /* the right identity, another key's certificate */
    same.identity = &k.identity_pair;
    assert_int_equal(keys_make(&same, &other.multicast, &other.multicast_pair), CP_OK);
    memcpy(k.multicast.certificate, other.multicast.certificate, sizeof k.multicast.certificate);
    assert_int_equal(keys_check_certificate(&k.multicast, k.identity.public_key, NOW, reason),
                     KEYS_CERTIFICATE_WRONG);
    assert_non_null(strstr(reason, "for another key"));
    /* another node's */
    make(&k);
    k.multicast.node_id[0] = '7';
    assert_int_equal(keys_check_certificate(&k.multicast, k.identity.public_key, NOW, reason),
                     KEYS_CERTIFICATE_WRONG);
}

static void test_parts_do_not_mix(void **state)
{
    struct keys k, other;
    struct jws_key pair;
    char reason[DB_TEXT_SIZE];
    struct db_key mixed;

    (void)state;
    make(&k);
    make(&other);
    mixed = k.multicast;
    memcpy(mixed.private_sealed, other.multicast.private_sealed, sizeof mixed.private_sealed);
    assert_false(keys_check(&mixed, master, &pair, reason));
    mixed = k.multicast;
    mixed.kind = DB_KEY_IDENTITY;
    assert_false(keys_check(&mixed, master, &pair, reason));
    mixed = k.multicast;
    memcpy(mixed.public_key, other.multicast.public_key, JWS_KEY_SIZE);
    assert_false(keys_check(&mixed, master, &pair, reason));
    mixed.public_key_size = 0;
    assert_false(keys_check(&mixed, master, &pair, reason));
}

/* A key of 32 bytes sealed in the right way that is another key's: what no accident makes. */
static void test_foreign_private_key(void **state)
{
    struct keys k, other;
    struct jws_key pair;
    char reason[DB_TEXT_SIZE], purpose[192];

    (void)state;
    make(&k);
    make(&other);
    (void)snprintf(purpose, sizeof purpose, "key %s multicast %s", NODE, k.multicast.fingerprint);
    assert_int_equal(keys_seal(master, purpose, other.multicast_pair.secret, JWS_KEY_SIZE,
                               k.multicast.private_sealed, &k.multicast.private_sealed_size),
                     CP_OK);
    assert_false(keys_check(&k.multicast, master, &pair, reason));
    assert_non_null(strstr(reason, "do not belong together"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_certificate_times),
        cmocka_unit_test(test_certificate_of_another),
        cmocka_unit_test(test_parts_do_not_mix),
        cmocka_unit_test(test_foreign_private_key),
    };

    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
