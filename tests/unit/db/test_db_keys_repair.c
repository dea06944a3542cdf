/* SPDX-License-Identifier: Apache-2.0
 * What came to harm on a real database: keys with repair on and off, secrets of sessions, and another
 * master key. */
#include "tests/unit/db/keyring_rig.h"

#include <stdio.h>
#include <string.h>

static const uint8_t other[32] = {9};

/* ---- repair ---- */

/* A prepared key that came to harm is not used. */
static void test_pending_damaged(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master), .kind = DB_KEY_MULTICAST};

    (void)keyring_use(f, s.k);
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '360 days'");
    assert_int_equal(keyring_care(f, s.k).prepared, 2);
    fixture_sql(f, "UPDATE keys SET private_sealed = 'x' WHERE state = 'pending'");
    keyring_run(f, keyring_rotate_body, &s);
    (void)keyring_use(f, s.k);
    assert_int_equal(keyring_count(f, "multicast", "damaged"), 1);
    assert_int_equal(keyring_care(f, s.k).repaired, 1); /* the identity's */
    assert_int_equal(keyring_events(f, "identity-key-damaged"), 1);
    assert_int_equal(keyring_count(f, "identity", "pending"), 1); /* made anew at once */
    keys_ring_free(s.k);
}

static void test_repair_off(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master), .kind = DB_KEY_MULTICAST};
    struct keys_multicast a;
    struct keys_care c;

    fixture_sql(f, "UPDATE settings SET key_repair = false");
    a = keyring_use(f, s.k); /* the first ones are no repair */
    fixture_sql(f, "CREATE TABLE good AS SELECT id, private_sealed FROM keys");
    fixture_sql(f, "UPDATE keys SET private_sealed = 'x' WHERE kind = 'multicast'");
    assert_int_equal(keyring_try(f, keyring_use_body, &s), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, "its private key is damaged"));
    assert_non_null(strstr(f->err.text, "rotates it"));
    for (int i = 0; i < 2; i++) {
        c = keyring_care(f, s.k);
        assert_int_equal(c.damaged, 1);
        assert_int_equal(c.repaired, 0);
        assert_int_equal(keyring_count(f, "multicast", "damaged"), 1);
        assert_int_equal(keyring_events(f, "multicast-key-damaged"), 1); /* told once */
    }
    assert_int_equal(keyring_try(f, keyring_use_body, &s), CP_ERR_KEY_UNUSABLE);
    /* What comes back is as if nothing had happened. */
    fixture_sql(f, "UPDATE keys k SET private_sealed = g.private_sealed FROM good g"
                   " WHERE g.id = k.id");
    assert_string_equal(keyring_use(f, s.k).fingerprint, a.fingerprint);
    assert_int_equal(keyring_events(f, "multicast-key-healed"), 1);
    /* An operator's rotation mends. */
    fixture_sql(f, "UPDATE keys SET private_sealed = 'x' WHERE kind = 'identity'");
    assert_int_equal(keyring_care(f, s.k).damaged,
                     2); /* the multicast key has nobody who certifies */
    assert_int_equal(keyring_events(f, "identity-key-damaged"), 1);
    assert_int_equal(keyring_try(f, keyring_rotate_body, &s),
                     CP_ERR_KEY_UNUSABLE); /* of the multicast key */
    assert_non_null(strstr(f->err.text, "The identity key cannot be used"));
    s.kind = DB_KEY_IDENTITY;
    keyring_run(f, keyring_rotate_body, &s);
    assert_string_equal(keyring_use(f, s.k).fingerprint, a.fingerprint);
    assert_int_equal(keyring_care(f, s.k).damaged, 0);
    /* Emptied rows are no first start. */
    fixture_sql(f, "DELETE FROM keys");
    assert_int_equal(keyring_try(f, keyring_use_body, &s), CP_ERR_KEY_UNUSABLE);
    assert_int_equal(keyring_care(f, s.k).damaged, 2);
    keyring_run(f, keyring_rotate_body, &s);
    (void)keyring_use(f, s.k);
    keys_ring_free(s.k);
}

/* Nor are rows that were emptied after the events of their making were forgotten. */
static void test_emptied_long_after(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master)};

    fixture_sql(f, "UPDATE settings SET key_repair = false");
    keyring_run(f, keyring_start_body, &s); /* the very first one */
    assert_int_equal(s.care.damaged, 0);
    fixture_sql(f, "DELETE FROM keys");
    fixture_sql(f, "DELETE FROM events");
    assert_int_equal(keyring_try(f, keyring_use_body, &s), CP_ERR_KEY_UNUSABLE);
    keys_ring_free(s.k);
}

static void test_certificate_without_repair(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master), .kind = DB_KEY_MULTICAST};

    (void)keyring_use(f, s.k);
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    fixture_sql(f, "UPDATE keys SET certificate = 'nonsense' WHERE kind = 'multicast'");
    assert_int_equal(keyring_try(f, keyring_use_body, &s), CP_ERR_KEY_UNUSABLE);
    assert_int_equal(keyring_care(f, s.k).damaged, 1);
    assert_int_equal(keyring_care(f, s.k).damaged, 1);
    assert_int_equal(keyring_events(f, "multicast-key-damaged"), 1);
    fixture_sql(f, "UPDATE settings SET key_repair = true");
    assert_int_equal(keyring_care(f, s.k).repaired, 1);
    assert_int_equal(keyring_events(f, "multicast-key-certified"), 1);
    assert_int_equal(keyring_events(f, "multicast-key-replaced"), 0);
    keys_ring_free(s.k);
}

/* ---- secrets of sessions ---- */

static struct db_session session(struct fixture *f, struct keys_ring *k, const char *package)
{
    struct db_version v = fixture_sealed(f, package);
    struct db_session s;
    struct keyring_step step = {.k = k};

    (void)fixture_begin(f);
    s = fixture_session(f, &v);
    fixture_commit(f);
    step.session_id = s.id;
    keyring_run(f, keyring_rekey_body, &step); /* a secret that this keyring can open */
    return s;
}

static void test_rekey(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master)};
    struct db_session before, after;
    uint8_t a[32], b[32];

    before = session(f, s.k, "p1");
    (void)fixture_begin(f);
    OK(f, db_session_get(f->conn, before.id, &before, &f->err));
    fixture_commit(f);
    s.session_id = before.id;
    keyring_run(f, keyring_rekey_body, &s);
    (void)fixture_begin(f);
    OK(f, db_session_get(f->conn, before.id, &after, &f->err));
    fixture_commit(f);
    OK(f, keys_ring_secret_open(s.k, before.id, before.secret_sealed, before.secret_sealed_size, a,
                                &f->err));
    OK(f, keys_ring_secret_open(s.k, after.id, after.secret_sealed, after.secret_sealed_size, b,
                                &f->err));
    assert_memory_not_equal(a, b, 32);
    assert_int_equal(keyring_events(f, "session-rekeyed"), 2);
    fixture_sql(f, "UPDATE sessions SET state = 'running', started_at = now()");
    assert_int_equal(keyring_try(f, keyring_rekey_body, &s), CP_ERR_CONFLICT);
    assert_int_equal(keyring_events(f, "session-rekeyed"), 2);
    keys_ring_free(s.k);
}

static void test_secrets_are_cared_for(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct db_session a = session(f, k, "p1"), b = session(f, k, "p2");
    struct keys_secrets s;
    struct keys_care c;
    char sql[256];

    c = keyring_care(f, k);
    assert_int_equal(c.secrets, 2);
    assert_int_equal(c.secrets_unusable, 0);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE sessions SET state = 'running', started_at = now() WHERE id = '%s'",
                   b.id);
    fixture_sql(f, sql);
    fixture_sql(f, "UPDATE sessions SET secret_sealed = 'x'");
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    c = keyring_care(f, k);
    assert_int_equal(c.secrets_unusable, 2);
    assert_int_equal(c.cancelled, 0);
    fixture_sql(f, "UPDATE settings SET key_repair = true");
    c = keyring_care(f, k);
    assert_int_equal(c.cancelled, 1);
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM sessions WHERE id = '%s' AND state = 'cancelled' AND"
                   " end_code = 'multicast-key-unusable' AND end_detail LIKE '%%master key%%'",
                   a.id);
    assert_int_equal(fixture_number(f, sql), 1);
    assert_int_equal(keyring_events(f, "session-cancelled"), 1);
    (void)fixture_begin(f);
    OK(f, keys_ring_secrets(k, f->conn, f->node.id, &s, &f->err));
    fixture_commit(f);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.running, 1);
    assert_int_equal(s.unusable, 1);
    keys_ring_free(k);
}

/* ---- another master key ---- */

static void test_foreign_master_key(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master)}, t = {.k = keyring_new(f, other)};
    struct keys_multicast a, b;

    keyring_run(f, keyring_start_body, &s);
    a = keyring_use(f, s.k);
    (void)session(f, s.k, "p1");
    assert_int_equal(keyring_events(f, "master-key-foreign"), 0);
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    keyring_run(f, keyring_start_body, &t);
    assert_int_equal(keyring_events(f, "master-key-foreign"), 1);
    assert_int_equal(t.care.damaged, 2);
    assert_int_equal(keyring_try(f, keyring_use_body, &t), CP_ERR_KEY_UNUSABLE);
    /* The right one comes back: nothing has changed. */
    keyring_run(f, keyring_start_body, &s);
    assert_int_equal(s.care.damaged, 0);
    b = keyring_use(f, s.k);
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    /* With repair the other one counts from now on. */
    fixture_sql(f, "UPDATE settings SET key_repair = true");
    keyring_run(f, keyring_start_body, &t);
    assert_int_equal(keyring_events(f, "master-key-foreign"), 2);
    assert_int_equal(t.care.repaired, 2);
    assert_int_equal(t.care.cancelled, 1);
    b = keyring_use(f, t.k);
    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    keyring_run(f, keyring_start_body, &t);
    assert_int_equal(keyring_events(f, "master-key-foreign"), 2);
    keys_ring_free(s.k);
    keys_ring_free(t.k);
}

/* ---- manifests ---- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pending_damaged),
        TEST(test_repair_off),
        TEST(test_emptied_long_after),
        TEST(test_certificate_without_repair),
        TEST(test_rekey),
        TEST(test_secrets_are_cared_for),
        TEST(test_foreign_master_key),
    };

    return cmocka_run_group_tests_name("keys, repair", tests, NULL, NULL);
}
