/* SPDX-License-Identifier: Apache-2.0
 * What becomes of keys on a real database: rotation with overlap, revocation, repair on and off,
 * the calendar, secrets of sessions; the database guards each transition. */
#include "tests/unit/db/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "content/certificate.h"
#include "keys/care.h"

static const uint8_t master[32] = {1, 2, 3};
static const uint8_t other[32] = {9};
static const struct keys_caller ann = {.actor = "ann", .request_id = "req-8"};

/* What one transaction of the keyring does. */
struct step {
    struct keys_ring *k;
    enum db_key_kind kind;
    struct keys_revocation revocation;
    const char *session_id;
    struct keys_multicast key;
    struct keys_care care;
    size_t count;
};

static enum cp_err use_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_multicast(s->k, conn, "req-7", &s->key, err);
}

static enum cp_err rotate_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_rotate(s->k, conn, s->kind, &ann, err);
}

static enum cp_err revoke_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_revoke(s->k, conn, &s->revocation, &ann, err);
}

static enum cp_err care_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_care(s->k, conn, &ann, &s->care, err);
}

static enum cp_err start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_start(s->k, conn, &s->care, err);
}

static enum cp_err rekey_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_session_rekey(s->k, conn, s->session_id, "a test", "req-9", err);
}

static enum cp_err sign_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_sign_manifests(s->k, conn, &ann, 2, &s->count, err);
}

static struct keys_ring *ring_new(struct fixture *f, const uint8_t *key)
{
    struct keys_ring *k = NULL;

    assert_int_equal(keys_ring_new(key, f->node.id, &k), CP_OK);
    return k;
}

static enum cp_err try(struct fixture *f, db_tx_fn *body, struct step *s)
{
    return db_run_tx_locking(f->pool, "step", body, s, &f->err);
}

static void run(struct fixture *f, db_tx_fn *body, struct step *s)
{
    OK(f, try(f, body, s));
}

static struct keys_multicast use(struct fixture *f, struct keys_ring *k)
{
    struct step s = {.k = k};

    run(f, use_body, &s);
    return s.key;
}

static struct keys_care care(struct fixture *f, struct keys_ring *k)
{
    struct step s = {.k = k};

    run(f, care_body, &s);
    return s.care;
}

static int events(struct fixture *f, const char *kind)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM events WHERE kind = '%s'", kind);
    return (int)fixture_number(f, sql);
}

static int count(struct fixture *f, const char *kind, const char *state)
{
    char sql[160];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM keys WHERE kind = '%s' AND state = '%s'",
                   kind, state);
    return (int)fixture_number(f, sql);
}

/* A client that knows only that identity trusts the key. */
static bool trusts(const struct keys_multicast *key, const uint8_t identity[32])
{
    const char *certificate = NULL;
    struct certificate c;

    if (memcmp(key->identity_key, identity, 32) == 0) {
        certificate = key->certificate;
    }
    for (size_t i = 0; i < key->previous_count; i++) {
        if (memcmp(key->previous[i].identity_key, identity, 32) == 0) {
            certificate = key->previous[i].certificate;
        }
    }
    return certificate != NULL && certificate_verify(identity, certificate, 0, &c, NULL) == CP_OK &&
           memcmp(c.public_key, key->public_key, 32) == 0;
}

/* ---- rotation ---- */

static void test_identity_overlaps(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master), .kind = DB_KEY_IDENTITY};
    struct keys_multicast a = use(f, s.k), b, c;

    run(f, rotate_body, &s);
    b = use(f, s.k);
    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    /* The multicast key stays: what it signed needs no new signature. */
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_true(trusts(&b, b.identity_key));
    assert_true(trusts(&b, a.identity_key));
    assert_int_equal(b.previous_count, 1);
    assert_int_equal(events(f, "identity-key-rotated"), 1);
    assert_int_equal(events(f, "multicast-key-certified"), 1);
    /* A multicast key that comes later is certified by both, too. */
    s.kind = DB_KEY_MULTICAST;
    run(f, rotate_body, &s);
    c = use(f, s.k);
    assert_string_not_equal(b.fingerprint, c.fingerprint);
    assert_true(trusts(&c, a.identity_key));
    assert_int_equal(count(f, "multicast", "overlap"), 1);
    /* … until the overlap ends. */
    fixture_sql(f, "UPDATE keys SET overlap_until = now() - interval '1 second' WHERE"
                   " state = 'overlap'");
    c = use(f, s.k);
    assert_int_equal(c.previous_count, 0);
    assert_int_equal(care(f, s.k).retired, 2);
    assert_int_equal(count(f, "identity", "retired") + count(f, "multicast", "retired"), 2);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'retired'"
                                       " AND octet_length(private_sealed) > 0"),
                     0);
    assert_int_equal(events(f, "identity-key-retired"), 1);
    assert_int_equal(events(f, "multicast-key-retired"), 1);
    keys_ring_free(s.k);
}

static void test_no_overlap(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master), .kind = DB_KEY_IDENTITY};
    struct keys_multicast a = use(f, s.k), b;

    fixture_sql(f, "UPDATE settings SET key_overlap_hours = 0");
    run(f, rotate_body, &s);
    b = use(f, s.k);
    assert_false(trusts(&b, a.identity_key));
    assert_int_equal(count(f, "identity", "retired"), 1);
    keys_ring_free(s.k);
}

/* As many as the answer to a join has room for; then the oldest is left out, never the present. */
static void test_many_rotations(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master), .kind = DB_KEY_IDENTITY};
    struct keys_multicast first = use(f, s.k), last = first;

    for (int i = 0; i < 12; i++) {
        first = last;
        run(f, rotate_body, &s);
        last = use(f, s.k);
    }
    assert_int_equal(last.previous_count, KEYS_PREVIOUS_MAX);
    assert_true(trusts(&last, first.identity_key));
    assert_int_equal(count(f, "identity", "active"), 1);
    assert_int_equal(count(f, "multicast", "active"), 1);
    keys_ring_free(s.k);
}

static void test_calendar(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_new(f, master);
    struct keys_multicast a = use(f, k), b;
    struct keys_care c = care(f, k);

    assert_int_equal(c.rotated + c.prepared, 0);
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '360 days'");
    c = care(f, k);
    assert_int_equal(c.prepared, 2);
    assert_int_equal(care(f, k).prepared, 0);
    assert_int_equal(events(f, "identity-key-prepared") + events(f, "multicast-key-prepared"), 2);
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '366 days'"
                   " WHERE state = 'active'");
    fixture_sql(f, "CREATE TABLE prepared AS SELECT id FROM keys WHERE state = 'pending'");
    c = care(f, k);
    assert_int_equal(c.rotated, 2);
    /* What was prepared is what follows. */
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys JOIN prepared USING (id)"
                                       " WHERE state = 'active'"),
                     2);
    b = use(f, k);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    assert_true(trusts(&b, a.identity_key));
    assert_true(trusts(&b, b.identity_key));
    /* Never, when the calendar is off. */
    fixture_sql(f, "UPDATE settings SET key_rotation_days = 0");
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '3000 days'"
                   " WHERE state = 'active'");
    c = care(f, k);
    assert_int_equal(c.rotated + c.prepared, 0);
    keys_ring_free(k);
}

/* A prepared key that came to harm is not used. */
static void test_pending_damaged(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master), .kind = DB_KEY_MULTICAST};

    (void)use(f, s.k);
    fixture_sql(f, "UPDATE keys SET activated_at = now() - interval '360 days'");
    assert_int_equal(care(f, s.k).prepared, 2);
    fixture_sql(f, "UPDATE keys SET private_sealed = 'x' WHERE state = 'pending'");
    run(f, rotate_body, &s);
    (void)use(f, s.k);
    assert_int_equal(count(f, "multicast", "damaged"), 1);
    assert_int_equal(care(f, s.k).repaired, 1); /* the identity's */
    assert_int_equal(events(f, "identity-key-damaged"), 1);
    assert_int_equal(count(f, "identity", "pending"), 1); /* made anew at once */
    keys_ring_free(s.k);
}

/* ---- revocation ---- */

static void test_revoke(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master),
                     .revocation = {.kind = DB_KEY_MULTICAST, .reason = "a disk was stolen"}};
    struct keys_multicast a = use(f, s.k), b, c;

    run(f, revoke_body, &s);
    b = use(f, s.k);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'revoked' AND"
                                       " retired_reason LIKE 'revoked by ann: a disk%'"
                                       " AND private_sealed = ''"),
                     1);
    assert_int_equal(events(f, "multicast-key-revoked"), 1);
    assert_int_equal(events(f, "multicast-key-replaced"), 1);
    s.revocation.fingerprint = a.fingerprint;
    assert_int_equal(try(f, revoke_body, &s), CP_ERR_CONFLICT);
    s.revocation.fingerprint = a.identity_fingerprint;
    assert_int_equal(try(f, revoke_body, &s), CP_ERR_NOT_FOUND);
    /* A revoked identity vouches no more, in overlap or in use. */
    s.kind = DB_KEY_IDENTITY;
    run(f, rotate_body, &s);
    s.revocation.kind = DB_KEY_IDENTITY;
    run(f, revoke_body, &s);
    c = use(f, s.k);
    assert_false(trusts(&c, a.identity_key));
    assert_int_equal(events(f, "identity-key-revoked"), 1);
    s.revocation.fingerprint = NULL;
    run(f, revoke_body, &s);
    b = use(f, s.k);
    assert_false(trusts(&b, c.identity_key));
    assert_int_equal(b.previous_count, 0);
    assert_string_equal(b.fingerprint, c.fingerprint);
    keys_ring_free(s.k);
}

/* Even where nothing is repaired by itself: an operator asked for it. */
static void test_revoke_without_repair(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master),
                     .revocation = {.kind = DB_KEY_MULTICAST, .reason = "leaked"}};

    (void)use(f, s.k);
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    run(f, revoke_body, &s);
    (void)use(f, s.k);
    fixture_sql(f, "DELETE FROM keys WHERE kind = 'multicast'");
    assert_int_equal(try(f, revoke_body, &s), CP_ERR_NOT_FOUND);
    keys_ring_free(s.k);
}

/* ---- repair ---- */

static void test_repair_off(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master), .kind = DB_KEY_MULTICAST};
    struct keys_multicast a;
    struct keys_care c;

    fixture_sql(f, "UPDATE settings SET key_repair = false");
    a = use(f, s.k); /* the first ones are no repair */
    fixture_sql(f, "CREATE TABLE good AS SELECT id, private_sealed FROM keys");
    fixture_sql(f, "UPDATE keys SET private_sealed = 'x' WHERE kind = 'multicast'");
    assert_int_equal(try(f, use_body, &s), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, "its private key is damaged"));
    assert_non_null(strstr(f->err.text, "rotates it"));
    for (int i = 0; i < 2; i++) {
        c = care(f, s.k);
        assert_int_equal(c.damaged, 1);
        assert_int_equal(c.repaired, 0);
        assert_int_equal(count(f, "multicast", "damaged"), 1);
        assert_int_equal(events(f, "multicast-key-damaged"), 1); /* told once */
    }
    assert_int_equal(try(f, use_body, &s), CP_ERR_KEY_UNUSABLE);
    /* What comes back is as if nothing had happened. */
    fixture_sql(f, "UPDATE keys k SET private_sealed = g.private_sealed FROM good g"
                   " WHERE g.id = k.id");
    assert_string_equal(use(f, s.k).fingerprint, a.fingerprint);
    assert_int_equal(events(f, "multicast-key-healed"), 1);
    /* An operator's rotation mends. */
    fixture_sql(f, "UPDATE keys SET private_sealed = 'x' WHERE kind = 'identity'");
    assert_int_equal(care(f, s.k).damaged, 2); /* the multicast key has nobody who certifies */
    assert_int_equal(events(f, "identity-key-damaged"), 1);
    assert_int_equal(try(f, rotate_body, &s), CP_ERR_KEY_UNUSABLE); /* of the multicast key */
    assert_non_null(strstr(f->err.text, "The identity key cannot be used"));
    s.kind = DB_KEY_IDENTITY;
    run(f, rotate_body, &s);
    assert_string_equal(use(f, s.k).fingerprint, a.fingerprint);
    assert_int_equal(care(f, s.k).damaged, 0);
    /* Emptied rows are no first start. */
    fixture_sql(f, "DELETE FROM keys");
    assert_int_equal(try(f, use_body, &s), CP_ERR_KEY_UNUSABLE);
    assert_int_equal(care(f, s.k).damaged, 2);
    run(f, rotate_body, &s);
    (void)use(f, s.k);
    keys_ring_free(s.k);
}

/* Nor are rows that were emptied after the events of their making were forgotten. */
static void test_emptied_long_after(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master)};

    fixture_sql(f, "UPDATE settings SET key_repair = false");
    run(f, start_body, &s); /* the very first one */
    assert_int_equal(s.care.damaged, 0);
    fixture_sql(f, "DELETE FROM keys");
    fixture_sql(f, "DELETE FROM events");
    assert_int_equal(try(f, use_body, &s), CP_ERR_KEY_UNUSABLE);
    keys_ring_free(s.k);
}

static void test_certificate_without_repair(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master), .kind = DB_KEY_MULTICAST};

    (void)use(f, s.k);
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    fixture_sql(f, "UPDATE keys SET certificate = 'nonsense' WHERE kind = 'multicast'");
    assert_int_equal(try(f, use_body, &s), CP_ERR_KEY_UNUSABLE);
    assert_int_equal(care(f, s.k).damaged, 1);
    assert_int_equal(care(f, s.k).damaged, 1);
    assert_int_equal(events(f, "multicast-key-damaged"), 1);
    fixture_sql(f, "UPDATE settings SET key_repair = true");
    assert_int_equal(care(f, s.k).repaired, 1);
    assert_int_equal(events(f, "multicast-key-certified"), 1);
    assert_int_equal(events(f, "multicast-key-replaced"), 0);
    keys_ring_free(s.k);
}

/* The database itself refuses to leave a state that the key is not in. */
static void test_transitions_are_guarded(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_new(f, master);
    struct db_key_move move = {.from = DB_KEY_PENDING, .to = DB_KEY_ACTIVE};
    struct db_key key;
    struct db_conn *c;

    (void)use(f, k);
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

/* ---- secrets of sessions ---- */

static struct db_session session(struct fixture *f, struct keys_ring *k, const char *package)
{
    struct db_version v = fixture_sealed(f, package);
    uint8_t sealed[DB_SEALED_SIZE];
    struct db_session s;
    struct step step = {.k = k};

    (void)sealed;
    (void)fixture_begin(f);
    s = fixture_session(f, &v);
    fixture_commit(f);
    step.session_id = s.id;
    run(f, rekey_body, &step); /* a secret that this keyring can open */
    return s;
}

static void test_rekey(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master)};
    struct db_session before, after;
    uint8_t a[32], b[32];

    before = session(f, s.k, "p1");
    (void)fixture_begin(f);
    OK(f, db_session_get(f->conn, before.id, &before, &f->err));
    fixture_commit(f);
    s.session_id = before.id;
    run(f, rekey_body, &s);
    (void)fixture_begin(f);
    OK(f, db_session_get(f->conn, before.id, &after, &f->err));
    fixture_commit(f);
    OK(f, keys_ring_secret_open(s.k, before.id, before.secret_sealed, before.secret_sealed_size, a,
                                &f->err));
    OK(f, keys_ring_secret_open(s.k, after.id, after.secret_sealed, after.secret_sealed_size, b,
                                &f->err));
    assert_memory_not_equal(a, b, 32);
    assert_int_equal(events(f, "session-rekeyed"), 2);
    fixture_sql(f, "UPDATE sessions SET state = 'running', started_at = now()");
    assert_int_equal(try(f, rekey_body, &s), CP_ERR_CONFLICT);
    assert_int_equal(events(f, "session-rekeyed"), 2);
    keys_ring_free(s.k);
}

static void test_secrets_are_cared_for(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_new(f, master);
    struct db_session a = session(f, k, "p1"), b = session(f, k, "p2");
    struct keys_secrets s;
    struct keys_care c;
    char sql[256];

    c = care(f, k);
    assert_int_equal(c.secrets, 2);
    assert_int_equal(c.secrets_unusable, 0);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE sessions SET state = 'running', started_at = now() WHERE id = '%s'",
                   b.id);
    fixture_sql(f, sql);
    fixture_sql(f, "UPDATE sessions SET secret_sealed = 'x'");
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    c = care(f, k);
    assert_int_equal(c.secrets_unusable, 2);
    assert_int_equal(c.cancelled, 0);
    fixture_sql(f, "UPDATE settings SET key_repair = true");
    c = care(f, k);
    assert_int_equal(c.cancelled, 1);
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM sessions WHERE id = '%s' AND state = 'cancelled' AND"
                   " end_code = 'multicast-key-unusable' AND end_detail LIKE '%%master key%%'",
                   a.id);
    assert_int_equal(fixture_number(f, sql), 1);
    assert_int_equal(events(f, "session-cancelled"), 1);
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
    struct step s = {.k = ring_new(f, master)}, t = {.k = ring_new(f, other)};
    struct keys_multicast a, b;

    run(f, start_body, &s);
    a = use(f, s.k);
    (void)session(f, s.k, "p1");
    assert_int_equal(events(f, "master-key-foreign"), 0);
    fixture_sql(f, "UPDATE settings SET key_repair = false");
    run(f, start_body, &t);
    assert_int_equal(events(f, "master-key-foreign"), 1);
    assert_int_equal(t.care.damaged, 2);
    assert_int_equal(try(f, use_body, &t), CP_ERR_KEY_UNUSABLE);
    /* The right one comes back: nothing has changed. */
    run(f, start_body, &s);
    assert_int_equal(s.care.damaged, 0);
    b = use(f, s.k);
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    /* With repair the other one counts from now on. */
    fixture_sql(f, "UPDATE settings SET key_repair = true");
    run(f, start_body, &t);
    assert_int_equal(events(f, "master-key-foreign"), 2);
    assert_int_equal(t.care.repaired, 2);
    assert_int_equal(t.care.cancelled, 1);
    b = use(f, t.k);
    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    run(f, start_body, &t);
    assert_int_equal(events(f, "master-key-foreign"), 2);
    keys_ring_free(s.k);
    keys_ring_free(t.k);
}

/* ---- manifests ---- */

static void test_manifests_are_signed_anew(void **state)
{
    struct fixture *f = *state;
    struct step s = {.k = ring_new(f, master), .kind = DB_KEY_MULTICAST};
    struct keys_multicast a = use(f, s.k), b;
    char sql[256];

    (void)fixture_sealed(f, "p1");
    (void)fixture_sealed(f, "p2");
    (void)fixture_sealed(f, "p3");
    (void)snprintf(sql, sizeof sql, "UPDATE versions SET manifest_key = '%s'", a.fingerprint);
    fixture_sql(f, sql);
    run(f, sign_body, &s);
    assert_int_equal(s.count, 0);
    run(f, rotate_body, &s);
    run(f, sign_body, &s);
    assert_int_equal(s.count, 2);
    run(f, sign_body, &s);
    assert_int_equal(s.count, 1);
    run(f, sign_body, &s);
    assert_int_equal(s.count, 0);
    b = use(f, s.k);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM versions WHERE manifest_key = '%s'",
                   b.fingerprint);
    assert_int_equal(fixture_number(f, sql), 3);
    assert_int_equal(events(f, "manifests-signed"), 2);
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
        TEST(test_pending_damaged),
        TEST(test_revoke),
        TEST(test_revoke_without_repair),
        TEST(test_repair_off),
        TEST(test_emptied_long_after),
        TEST(test_certificate_without_repair),
        TEST(test_transitions_are_guarded),
        TEST(test_rekey),
        TEST(test_secrets_are_cared_for),
        TEST(test_foreign_master_key),
        TEST(test_manifests_are_signed_anew),
    };

    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
