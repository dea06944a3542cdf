/* SPDX-License-Identifier: Apache-2.0
 * The keyring on a real database: made when needed, healed when damaged, one key for all. */
#include "tests/unit/db/keyring_rig.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content/certificate.h"
#include "db/event.h"
#include "db/key.h"
#include "keys/keyring.h"

struct use {
    struct fixture *f;
    struct keys_ring *k;
    struct keys_multicast key;
    enum cp_err rc;
};

static enum cp_err use_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct use *u = arg;

    return keys_ring_multicast(u->k, conn, "req-7", &u->key, err);
}

/* A use that must succeed with a key that is good by every outside measure. */
static struct keys_multicast use(struct fixture *f, struct keys_ring *k)
{
    static const char payload[] = "ticket";
    struct use u = {.f = f, .k = k};
    struct certificate certificate;
    char *jws = NULL;

    OK(f, db_run_tx_locking(f->pool, "use", use_body, &u, &f->err));
    OK(f, certificate_verify(u.key.identity_key, u.key.certificate, 0, &certificate, &f->err));
    assert_memory_equal(certificate.public_key, u.key.public_key, 32);
    assert_string_equal(certificate.node, f->node.id);
    OK(f, keys_ring_sign_detached(&u.key, payload, 6, &jws, &f->err));
    OK(f, jws_verify_detached(u.key.public_key, jws, payload, 6, &f->err));
    free(jws);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'active'"), 2);
    return u.key;
}

/* The newest event of that kind and what its detail says. */
static void expect_event(struct fixture *f, const char *kind, const char *reason)
{
    char kinds[DB_KINDS_SIZE] = "";
    struct db_event_filter filter = {.kinds = kinds};
    struct db_event event;
    size_t count = 0;
    struct db_conn *c = fixture_begin(f);

    assert_true(db_kinds_add(kinds, kind));

    OK(f, db_event_list(c, &filter, 0, 1, &event, &count, &f->err));
    fixture_commit(f);
    assert_int_equal(count, 1);
    if (strstr(event.detail, reason) == NULL) {
        print_error("%s\n", event.detail);
        fail();
    }
    assert_string_equal(event.node_id, f->node.id);
}

static void test_made_once(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct keys_multicast a = use(f, k), b = use(f, k);
    uint8_t public_key[32];
    char fingerprint[DB_DIGEST_SIZE];
    struct db_conn *c;
    char *jws = NULL, *payload = NULL;
    size_t size;

    assert_string_equal(a.id, b.id);
    assert_memory_equal(a.seed, b.seed, 32);
    expect_event(f, "identity-key-created", "there was no active identity key");
    expect_event(f, "multicast-key-created", "there was no active multicast key");
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events"), 2);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE last_used_at IS NOT NULL"),
                     2);
    c = fixture_begin(f);
    OK(f, keys_ring_identity(k, c, "r", public_key, fingerprint, &f->err));
    fixture_commit(f);
    assert_memory_equal(public_key, a.identity_key, 32);
    assert_string_equal(fingerprint, a.identity_fingerprint);
    OK(f, keys_ring_sign(&a, "{}", 2, &jws, &f->err));
    OK(f, jws_verify(a.public_key, jws, &payload, &size, &f->err));
    assert_string_equal(payload, "{}");
    free(jws);
    free(payload);
    keys_multicast_done(&a);
    assert_int_equal(a.seed[0] | a.seed[31], 0);
    keys_ring_free(k);
    keys_ring_free(NULL);
}

static const struct {
    const char *sql;
    const char *event;
    const char *reason;
    bool same_identity;
} damages[] = {
    {"DELETE FROM keys WHERE kind = 'multicast'", "multicast-key-replaced",
     "there was no active multicast key", true},
    {"DELETE FROM keys", "multicast-key-replaced", "there was no active multicast key", false},
    {"DELETE FROM keys", "identity-key-replaced", "there was no active identity key", false},
    {"DELETE FROM keys WHERE kind = 'identity'", "multicast-key-certified",
     "the identity key cannot be used: there was no", false},
    {"UPDATE keys SET private_sealed = set_byte(private_sealed, 20,"
     " get_byte(private_sealed, 20) # 1) WHERE kind = 'multicast' AND state = 'active'",
     "multicast-key-replaced", "private key is damaged", true},
    {"UPDATE keys SET private_sealed = '' WHERE kind = 'multicast' AND state = 'active'",
     "multicast-key-replaced", "private key is damaged", true},
    {"UPDATE keys SET private_sealed = repeat('x', 9999)::bytea WHERE state = 'active'",
     "identity-key-replaced", "private key is damaged", false},
    {"UPDATE keys SET public_key = set_byte(public_key, 3, get_byte(public_key, 3) # 1)"
     " WHERE kind = 'multicast' AND state = 'active'",
     "multicast-key-replaced", "public key or its fingerprint is damaged", true},
    {"UPDATE keys SET public_key = '\\x00' WHERE state = 'active'", "identity-key-replaced",
     "public key or its fingerprint is damaged", false},
    {"UPDATE keys SET fingerprint = 'Ä' || repeat('x', 500) WHERE state = 'active'"
     " AND kind = 'multicast'",
     "multicast-key-replaced", "public key or its fingerprint is damaged", true},
    {"UPDATE keys SET certificate = overlay(certificate placing 'AAAA' from 150)"
     " WHERE kind = 'multicast' AND state = 'active'",
     "multicast-key-certified", "certificate is damaged", true},
    {"UPDATE keys SET certificate = '' WHERE kind = 'multicast' AND state = 'active'",
     "multicast-key-certified", "certificate is damaged", true},
    {"UPDATE keys a SET certificate = b.certificate FROM keys b WHERE a.kind = 'multicast'"
     " AND a.state = 'active' AND b.state = 'damaged' AND b.certificate LIKE 'e%.%.%'"
     " AND b.retired_reason LIKE 'its private key is damaged%' AND a.id <> b.id",
     "multicast-key-certified", "certificate is", true},
    {"UPDATE keys SET kind = 'multicast' WHERE kind = 'none'", NULL, NULL, true},
};

/* Whatever somebody did to the rows, the next use works and says what it found. */
static void test_damage_heals(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct keys_multicast before = use(f, k);

    for (size_t i = 0; i < DB_COUNT(damages); i++) {
        struct keys_multicast after;

        fixture_sql(f, damages[i].sql);
        after = use(f, k);
        if (damages[i].event != NULL) {
            expect_event(f, damages[i].event, damages[i].reason);
        }
        /* A certificate is made anew, the key stays; all else takes another key. */
        assert_int_equal(strcmp(before.fingerprint, after.fingerprint) == 0,
                         damages[i].event == NULL || strstr(damages[i].event, "certified") != NULL);
        assert_int_equal(memcmp(before.identity_key, after.identity_key, 32) == 0,
                         damages[i].same_identity);
        before = after;
    }
    keys_ring_free(k);
}

static void test_other_master_key(void **state)
{
    static const uint8_t other[32] = {9};
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct keys_ring *l = keyring_new(f, other);
    struct keys_multicast a = use(f, k);
    struct keys_multicast b = use(f, l);

    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    expect_event(f, "identity-key-replaced", "sealed under another master key");
    expect_event(f, "multicast-key-replaced", "sealed under another master key");
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'damaged'"
                                       " AND retired_reason <> '' AND check_result <> 'ok'"),
                     2);
    keys_ring_free(k);
    keys_ring_free(l);
}

static void test_validity_is_what_was_signed(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct keys_multicast a = use(f, k), b;

    (void)a;
    /* What the column says does not matter; what was signed does. */
    fixture_sql(f, "UPDATE keys SET not_after = now() - interval '1 day'");
    b = use(f, k);
    assert_string_equal(a.id, b.id);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events WHERE kind LIKE '%-key-%'"
                                       " AND kind NOT LIKE '%-created'"),
                     0);
    keys_ring_free(k);
}

static void *use_thread(void *arg)
{
    struct use *u = arg;

    u->rc = db_run_tx_locking(u->f->pool, "use", use_body, u, NULL);
    return NULL;
}

static void test_concurrent_uses_get_one_key(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);

    for (int round = 0; round < 5; round++) {
        struct use uses[8];
        pthread_t threads[8];

        fixture_sql(f, round % 2 == 0 ? "DELETE FROM keys"
                                      : "UPDATE keys SET private_sealed = 'x' WHERE"
                                        " kind = 'multicast' AND state = 'active'");
        for (size_t i = 0; i < 8; i++) {
            uses[i] = (struct use){.f = f, .k = k};
            assert_int_equal(pthread_create(&threads[i], NULL, use_thread, &uses[i]), 0);
        }
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(uses[i].rc, CP_OK);
            assert_string_equal(uses[i].key.id, uses[0].key.id);
        }
        assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'active'"), 2);
    }
    keys_ring_free(k);
}

struct rotation {
    struct keys_ring *k;
    enum db_key_kind kind;
};

static enum cp_err rotate_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct rotation *r = arg;

    static const struct keys_caller ann = {.actor = "ann", .request_id = "req-8"};

    return keys_ring_rotate(r->k, conn, r->kind, &ann, err);
}

static void test_rotate(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct rotation r = {.k = k, .kind = DB_KEY_MULTICAST};
    struct keys_multicast a = use(f, k), b, c;

    OK(f, db_run_tx_locking(f->pool, "rotate", rotate_body, &r, &f->err));
    b = use(f, k);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    expect_event(f, "multicast-key-rotated", "rotated by ann");
    r.kind = DB_KEY_IDENTITY;
    OK(f, db_run_tx_locking(f->pool, "rotate", rotate_body, &r, &f->err));
    c = use(f, k);
    assert_string_equal(b.fingerprint, c.fingerprint);
    assert_string_not_equal(b.identity_fingerprint, c.identity_fingerprint);
    expect_event(f, "identity-key-rotated", "rotated by ann");
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'overlap'"
                                       " AND check_result = 'ok'"),
                     2);
    keys_ring_free(k);
}

/* Nothing stays when the transaction that needed the key does not commit. */
static enum cp_err use_and_fail_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    CP_TRY(use_body(conn, arg, err));
    return CP_ERR_INVALID;
}

static void test_rolled_back_with_its_need(void **state)
{
    struct fixture *f = *state;
    struct use u = {.f = f, .k = keyring_new(f, keyring_master)};

    assert_int_equal(db_run_tx_locking(f->pool, "fail", use_and_fail_body, &u, &f->err),
                     CP_ERR_INVALID);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys"), 0);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events"), 0);
    keys_ring_free(u.k);
}

static void test_session_secret(void **state)
{
    static const uint8_t other[32] = {9};
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master), *l = keyring_new(f, other);
    uint8_t sealed[DB_SEALED_SIZE], secret[32] = {0}, again[32] = {0}, zero[32] = {0};
    size_t size = 0;

    OK(f, keys_ring_secret_new(k, f->node.id, sealed, &size, &f->err));
    OK(f, keys_ring_secret_open(k, f->node.id, sealed, size, secret, &f->err));
    OK(f, keys_ring_secret_open(k, f->node.id, sealed, size, again, &f->err));
    assert_memory_equal(secret, again, 32);
    assert_memory_not_equal(secret, zero, 32);
    assert_int_equal(keys_ring_secret_open(k, "another session", sealed, size, zero, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    assert_int_equal(keys_ring_secret_open(l, f->node.id, sealed, size, zero, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    assert_int_equal(keys_ring_secret_open(k, f->node.id, sealed, 0, zero, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    keys_ring_free(k);
    keys_ring_free(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_made_once),
        TEST(test_damage_heals),
        TEST(test_other_master_key),
        TEST(test_validity_is_what_was_signed),
        TEST(test_concurrent_uses_get_one_key),
        TEST(test_rotate),
        TEST(test_rolled_back_with_its_need),
        TEST(test_session_secret),
    };

    return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
