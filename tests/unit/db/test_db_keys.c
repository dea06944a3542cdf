/* SPDX-License-Identifier: Apache-2.0
 * What becomes of keys on a real database: rotation with overlap, the calendar, revocation, manifests
 * that are signed anew; the database guards each transition. */
#include "tests/unit/db/keyring_rig.h"

#include <stdio.h>

/* ---- rotation ---- */

static void test_identity_overlaps(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master), .kind = DB_KEY_IDENTITY};
    struct keys_multicast a = keyring_use(f, s.k), b, c;

    keyring_run(f, keyring_rotate_body, &s);
    b = keyring_use(f, s.k);
    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    /* The multicast key stays: what it signed needs no new signature. */
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_true(keyring_trusts(&b, b.identity_key));
    assert_true(keyring_trusts(&b, a.identity_key));
    assert_int_equal(b.previous_count, 1);
    assert_int_equal(keyring_events(f, "identity-key-rotated"), 1);
    assert_int_equal(keyring_events(f, "multicast-key-certified"), 1);
    /* A multicast key that comes later is certified by both, too. */
    s.kind = DB_KEY_MULTICAST;
    keyring_run(f, keyring_rotate_body, &s);
    c = keyring_use(f, s.k);
    assert_string_not_equal(b.fingerprint, c.fingerprint);
    assert_true(keyring_trusts(&c, a.identity_key));
    assert_int_equal(keyring_count(f, "multicast", "overlap"), 1);
    /* … until the overlap ends. */
    fixture_sql(f, "UPDATE keys SET overlap_until = now() - interval '1 second' WHERE"
                   " state = 'overlap'");
    c = keyring_use(f, s.k);
    assert_int_equal(c.previous_count, 0);
    assert_int_equal(keyring_care(f, s.k).retired, 2);
    assert_int_equal(
        keyring_count(f, "identity", "retired") + keyring_count(f, "multicast", "retired"), 2);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'retired'"
                                       " AND octet_length(private_sealed) > 0"),
                     0);
    assert_int_equal(keyring_events(f, "identity-key-retired"), 1);
    assert_int_equal(keyring_events(f, "multicast-key-retired"), 1);
    keys_ring_free(s.k);
}

static void test_no_overlap(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master), .kind = DB_KEY_IDENTITY};
    struct keys_multicast a = keyring_use(f, s.k), b;

    fixture_sql(f, "UPDATE settings SET key_overlap_hours = 0");
    keyring_run(f, keyring_rotate_body, &s);
    b = keyring_use(f, s.k);
    assert_false(keyring_trusts(&b, a.identity_key));
    assert_int_equal(keyring_count(f, "identity", "retired"), 1);
    keys_ring_free(s.k);
}

/* As many as the answer to a join has room for; then the oldest is retired, never the present. What is
 * shown as in overlap is what a join's answer has. */
static void test_many_rotations(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master), .kind = DB_KEY_IDENTITY};
    struct keys_multicast first = keyring_use(f, s.k), last = first;

    fixture_sql(f, "CREATE TABLE good (id uuid PRIMARY KEY, private_sealed bytea)");
    for (int i = 0; i < 12; i++) {
        first = last;
        fixture_sql(f, "INSERT INTO good SELECT id, private_sealed FROM keys WHERE"
                       " state = 'active' AND kind = 'identity'");
        keyring_run(f, keyring_rotate_body, &s);
        last = keyring_use(f, s.k);
        assert_int_equal(keyring_count(f, "identity", "overlap"), last.previous_count);
    }
    assert_int_equal(last.previous_count, KEYS_PREVIOUS_MAX);
    assert_int_equal(keyring_count(f, "identity", "retired"), 12 - KEYS_PREVIOUS_MAX);
    assert_int_equal(keyring_events(f, "identity-key-retired"), 12 - KEYS_PREVIOUS_MAX);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'retired' AND"
                                       " retired_reason LIKE '%too many rotations%'"),
                     12 - KEYS_PREVIOUS_MAX);
    /* Those of before this was so. */
    fixture_sql(f, "UPDATE keys k SET state = 'overlap', retired_at = NULL, overlap_until = now() +"
                   " interval '1 day', private_sealed = g.private_sealed FROM good g"
                   " WHERE g.id = k.id AND k.state = 'retired'");
    assert_int_equal(keyring_care(f, s.k).retired, 12 - KEYS_PREVIOUS_MAX);
    assert_int_equal(keyring_count(f, "identity", "overlap"), KEYS_PREVIOUS_MAX);
    assert_true(keyring_trusts(&last, first.identity_key));
    assert_int_equal(keyring_count(f, "identity", "active"), 1);
    assert_int_equal(keyring_count(f, "multicast", "active"), 1);
    keys_ring_free(s.k);
}

static void test_calendar(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct keys_multicast a = keyring_use(f, k), b;
    struct keys_care c = keyring_care(f, k);

    assert_int_equal(c.rotated + c.prepared, 0);
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '360 days'");
    c = keyring_care(f, k);
    assert_int_equal(c.prepared, 2);
    assert_int_equal(keyring_care(f, k).prepared, 0);
    assert_int_equal(keyring_events(f, "identity-key-prepared") +
                         keyring_events(f, "multicast-key-prepared"),
                     2);
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '366 days'"
                   " WHERE state = 'active'");
    fixture_sql(f, "CREATE TABLE prepared AS SELECT id FROM keys WHERE state = 'pending'");
    c = keyring_care(f, k);
    assert_int_equal(c.rotated, 2);
    /* What was prepared is what follows. */
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys JOIN prepared USING (id)"
                                       " WHERE state = 'active'"),
                     2);
    b = keyring_use(f, k);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    assert_true(keyring_trusts(&b, a.identity_key));
    assert_true(keyring_trusts(&b, b.identity_key));
    /* Never, when the calendar is off. */
    fixture_sql(f, "UPDATE settings SET key_rotation_days = 0");
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '3000 days'"
                   " WHERE state = 'active'");
    c = keyring_care(f, k);
    assert_int_equal(c.rotated + c.prepared, 0);
    keys_ring_free(k);
}

/* ---- revocation ---- */

static void test_revoke(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {
        .k = keyring_new(f, keyring_master),
        .revocation = {.kind = DB_KEY_MULTICAST, .reason = "a disk was stolen"}};
    struct keys_multicast a = keyring_use(f, s.k), b, c;

    keyring_run(f, keyring_revoke_body, &s);
    b = keyring_use(f, s.k);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'revoked' AND"
                                       " retired_reason LIKE 'revoked by ann: a disk%'"
                                       " AND private_sealed = ''"),
                     1);
    assert_int_equal(keyring_events(f, "multicast-key-revoked"), 1);
    assert_int_equal(keyring_events(f, "multicast-key-replaced"), 1);
    s.revocation.fingerprint = a.fingerprint;
    assert_int_equal(keyring_try(f, keyring_revoke_body, &s), CP_ERR_CONFLICT);
    s.revocation.fingerprint = a.identity_fingerprint;
    assert_int_equal(keyring_try(f, keyring_revoke_body, &s), CP_ERR_NOT_FOUND);
    /* A revoked identity vouches no more, in overlap or in use. */
    s.kind = DB_KEY_IDENTITY;
    keyring_run(f, keyring_rotate_body, &s);
    s.revocation.kind = DB_KEY_IDENTITY;
    keyring_run(f, keyring_revoke_body, &s);
    c = keyring_use(f, s.k);
    assert_false(keyring_trusts(&c, a.identity_key));
    assert_int_equal(keyring_events(f, "identity-key-revoked"), 1);
    s.revocation.fingerprint = NULL;
    keyring_run(f, keyring_revoke_body, &s);
    b = keyring_use(f, s.k);
    assert_false(keyring_trusts(&b, c.identity_key));
    assert_int_equal(b.previous_count, 0);
    assert_string_equal(b.fingerprint, c.fingerprint);
    keys_ring_free(s.k);
}

/* Even where nothing is repaired by itself: an operator asked for it. */
static void test_revoke_without_repair(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master),
                             .revocation = {.kind = DB_KEY_MULTICAST, .reason = "leaked"}};

    (void)keyring_use(f, s.k);
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    keyring_run(f, keyring_revoke_body, &s);
    (void)keyring_use(f, s.k);
    fixture_sql(f, "DELETE FROM keys WHERE kind = 'multicast'");
    assert_int_equal(keyring_try(f, keyring_revoke_body, &s), CP_ERR_NOT_FOUND);
    keys_ring_free(s.k);
}

/* ---- repair ---- */

/* The database itself refuses to leave a state that the key is not in. */
static void test_transitions_are_guarded(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = keyring_new(f, keyring_master);
    struct db_key_move move = {.from = DB_KEY_PENDING, .to = DB_KEY_ACTIVE};
    struct db_key key;
    struct db_conn *c;

    (void)keyring_use(f, k);
    c = fixture_begin(f);
    OK(f, db_key_active(c, f->node.id, DB_KEY_MULTICAST, &key, &f->err));
    move.id = key.id;
    REFUSED(f, CP_ERR_CONFLICT, db_key_move(c, &move, &f->err));
    move.from = DB_KEY_ACTIVE;
    move.to = DB_KEY_RETIRED;
    OK(f, db_key_move(c, &move, &f->err));
    REFUSED(f, CP_ERR_CONFLICT, db_key_move(c, &move, &f->err));
    fixture_commit(f);
    keys_ring_free(k);
}

/* ---- manifests ---- */

static void test_manifests_are_signed_anew(void **state)
{
    struct fixture *f = *state;
    struct keyring_step s = {.k = keyring_new(f, keyring_master), .kind = DB_KEY_MULTICAST};
    struct keys_multicast a = keyring_use(f, s.k), b;
    char sql[256];

    (void)fixture_sealed(f, "p1");
    (void)fixture_sealed(f, "p2");
    (void)fixture_sealed(f, "p3");
    (void)snprintf(sql, sizeof sql, "UPDATE versions SET manifest_key = '%s'", a.fingerprint);
    fixture_sql(f, sql);
    keyring_run(f, keyring_sign_body, &s);
    assert_int_equal(s.count, 0);
    keyring_run(f, keyring_rotate_body, &s);
    keyring_run(f, keyring_sign_body, &s);
    assert_int_equal(s.count, 2);
    keyring_run(f, keyring_sign_body, &s);
    assert_int_equal(s.count, 1);
    keyring_run(f, keyring_sign_body, &s);
    assert_int_equal(s.count, 0);
    b = keyring_use(f, s.k);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM versions WHERE manifest_key = '%s'",
                   b.fingerprint);
    assert_int_equal(fixture_number(f, sql), 3);
    assert_int_equal(keyring_events(f, "manifests-signed"), 2);
    keys_ring_free(s.k);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_identity_overlaps),
        TEST(test_no_overlap),
        TEST(test_many_rotations),
        TEST(test_calendar),
        TEST(test_revoke),
        TEST(test_revoke_without_repair),
        TEST(test_transitions_are_guarded),
        TEST(test_manifests_are_signed_anew),
    };

    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
