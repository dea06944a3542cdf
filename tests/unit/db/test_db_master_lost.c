/* SPDX-License-Identifier: Apache-2.0
 * A master key that is not where it should be, on a real database and real files: nothing is made in
 * its place or thrown away, it is found again, given up, or comes back too late. */
#include "tests/unit/db/master_rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keys/care.h"
#include "keys/master_file.h"

struct step {
    struct keys_ring *k;
    bool start;
    enum db_key_kind kind;
    struct keys_multicast key;
    struct keys_care care;
};

static enum cp_err care_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return s->start ? keys_ring_start(s->k, conn, &s->care, err)
                    : keys_ring_care(s->k, conn, &master_caller, &s->care, err);
}

static enum cp_err use_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_multicast(s->k, conn, "req-7", &s->key, err);
}

static enum cp_err rotate_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_rotate(s->k, conn, s->kind, &master_caller, err);
}

static struct keys_care care(struct fixture *f, struct keys_ring *k, bool start)
{
    struct step s = {.k = k, .start = start};

    OK(f, db_run_tx_locking(f->pool, "care", care_body, &s, &f->err));
    return s.care;
}

static struct keys_multicast use(struct fixture *f, struct keys_ring *k)
{
    struct step s = {.k = k};

    OK(f, db_run_tx_locking(f->pool, "use", use_body, &s, &f->err));
    return s.key;
}

static void expect_refused(struct fixture *f, db_tx_fn *body, struct step *s)
{
    assert_int_equal(db_run_tx_locking(f->pool, "step", body, s, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, "master key is missing"));
}

static int64_t events(struct fixture *f, const char *kind)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM events WHERE kind = '%s'", kind);
    return fixture_number(f, sql);
}

static void move(const char *from, const char *to)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s", master_path(from));
    assert_int_equal(rename(path, master_path(to)), 0);
}

/* A node with keys and a session; its master key's file is away, as after a start without its volume.
 * ret_key: what it had. */
static struct keys_ring *start_without(struct fixture *f, struct keys_multicast *ret_key)
{
    struct keys_ring *k = master_ring_open(f);
    char session_id[DB_ID_SIZE];

    *ret_key = master_start(f, k);
    master_make_session(f, k, session_id);
    keys_ring_free(k);
    move("", ".away");
    return master_ring_open(f);
}

static void expect_same(const struct keys_multicast *a, const struct keys_multicast *b)
{
    assert_string_equal(a->identity_fingerprint, b->identity_fingerprint);
    assert_string_equal(a->fingerprint, b->fingerprint);
    assert_memory_equal(a->seed, b->seed, 32);
}

/* ---- away, and back ---- */

static void nothing_works(struct fixture *f, struct keys_ring *k)
{
    struct step s = {.k = k};
    uint8_t sealed[64], secret[32];
    char name[DB_DIGEST_SIZE];
    uint64_t count;
    size_t size;

    expect_refused(f, use_body, &s);
    for (int kind = 0; kind < DB_KEY_KIND_COUNT; kind++) {
        s.kind = (enum db_key_kind)kind;
        expect_refused(f, rotate_body, &s);
    }
    assert_false(keys_ring_has_master(k));
    assert_int_equal(keys_ring_master_fingerprint(k, name, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_int_equal(keys_ring_check_master(k, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, master_path("")));
    assert_non_null(strstr(f->err.text, "--new-master-key"));
    assert_int_equal(keys_ring_seal(k, "p", "secret", 6, sealed, &size), CP_ERR_KEY_UNUSABLE);
    assert_int_equal(keys_ring_secret_open(k, f->node.id, sealed, 61, secret, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &master_caller, &count, &f->err),
                     CP_ERR_KEY_UNUSABLE);
}

static void test_away_and_back(void **state)
{
    struct fixture *f = *state;
    struct keys_multicast a, b;
    struct keys_ring *k = start_without(f, &a);
    struct keys_care c = care(f, k, true);

    assert_false(master_there("")); /* none is made */
    assert_int_equal(c.damaged, 2);
    assert_int_equal(c.secrets_unusable, 1);
    assert_int_equal(c.repaired + c.cancelled, 0);
    assert_int_equal(events(f, "master-key-lost"), 1);
    nothing_works(f, k);
    (void)care(f, k, false);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys"), 2);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE check_result ="
                                       " 'the master key is missing' AND state = 'damaged'"),
                     2);
    move(".away", ""); /* while it runs */
    b = use(f, k);
    expect_same(&a, &b);
    assert_int_equal(care(f, k, false).damaged, 0);
    assert_int_equal(events(f, "identity-key-healed"), 1);
    assert_int_equal(events(f, "identity-key-replaced") + events(f, "master-key-foreign"), 0);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM sessions WHERE state = 'waiting'"), 1);
    assert_int_equal(master_change(f, k), 3);
    keys_ring_free(k);
}

/* The next start finds it, without anything in between. */
static void test_back_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    struct keys_multicast a, b;
    struct keys_ring *k = start_without(f, &a);

    (void)care(f, k, true);
    keys_ring_free(k);
    move(".away", "");
    k = master_ring_open(f);
    b = master_start(f, k);
    expect_same(&a, &b);
    keys_ring_free(k);
}

/* A change that was cut off left it beside its place. */
static void test_left_beside(void **state)
{
    static const char *const suffixes[] = {".next", ".old"};
    struct fixture *f = *state;
    struct keys_multicast a, b;
    struct keys_ring *k;

    keys_ring_free(start_without(f, &a));
    for (size_t i = 0; i < 2; i++) {
        move(i == 0 ? ".away" : "", suffixes[i]);
        if (i == 1) { /* and another change had just begun */
            OK(f, keys_master_write(master_path(".next"), (const uint8_t[32]){5}, &f->err));
        }
        k = master_ring_open(f);
        b = master_start(f, k);
        expect_same(&a, &b);
        assert_int_equal(master_files(), 1);
        keys_ring_free(k);
    }
}

/* ---- given up ---- */

static void test_given_up(void **state)
{
    struct fixture *f = *state;
    struct keys_multicast a, b;
    struct keys_ring *k = start_without(f, &a);
    struct step s = {.k = k};
    struct keys_care c;

    (void)care(f, k, true);
    OK(f, keys_master_write(master_path(""), (const uint8_t[32]){7}, &f->err));
    expect_refused(f, use_body, &s); /* a join does not decide that */
    assert_int_equal(keys_ring_check_master(k, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, "holds another one"));
    c = care(f, k, false);
    assert_int_equal(c.repaired, 2);
    assert_int_equal(c.cancelled, 1);
    assert_int_equal(events(f, "master-key-foreign"), 1);
    OK(f, keys_ring_check_master(k, &f->err));
    (void)care(f, k, false);
    assert_int_equal(events(f, "master-key-foreign"), 1);
    b = use(f, k);
    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    keys_ring_free(k);
    k = master_ring_open(f);
    assert_int_equal(care(f, k, true).repaired, 0);
    assert_int_equal(events(f, "master-key-foreign"), 1);
    keys_ring_free(k);
}

/* Where nothing is repaired by itself, rotations make another master key the one that counts. */
static void test_given_up_without_repair(void **state)
{
    struct fixture *f = *state;
    struct keys_multicast a, b;
    struct keys_ring *k = start_without(f, &a);
    struct step s = {.k = k};

    fixture_sql(f, "UPDATE settings SET key_repair = false");
    fixture_sql(f, "UPDATE sessions SET state = 'cancelled', ended_at = now()");
    (void)care(f, k, true);
    OK(f, keys_master_write(master_path(""), (const uint8_t[32]){7}, &f->err));
    assert_int_equal(care(f, k, false).damaged, 2);
    for (int kind = 0; kind < DB_KEY_KIND_COUNT; kind++) {
        s.kind = (enum db_key_kind)kind;
        OK(f, db_run_tx_locking(f->pool, "rotate", rotate_body, &s, &f->err));
    }
    assert_int_equal(care(f, k, false).damaged, 0);
    keys_ring_free(k);
    k = master_ring_open(f);
    assert_int_equal(care(f, k, true).damaged, 0);
    assert_int_equal(events(f, "master-key-foreign"), 0);
    b = use(f, k);
    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    keys_ring_free(k);
}

/* ---- back too late ---- */

static bool knows(const struct keys_multicast *key, const struct keys_multicast *former)
{
    for (size_t i = 0; i < key->previous_count; i++) {
        if (memcmp(key->previous[i].identity_key, former->identity_key, 32) == 0) {
            return true;
        }
    }
    return false;
}

/* Another master key took its place, and then it is back: clients that know the first identity go
 * on, for as long as after a rotation. */
static void test_back_too_late(void **state)
{
    struct fixture *f = *state;
    struct keys_multicast a, b;
    struct keys_ring *k = start_without(f, &a);

    OK(f, keys_master_write(master_path(""), (const uint8_t[32]){7}, &f->err));
    (void)care(f, k, true);
    b = use(f, k);
    assert_string_not_equal(a.identity_fingerprint, b.identity_fingerprint);
    assert_false(knows(&b, &a));
    keys_ring_free(k);
    move(".away", "");
    k = master_ring_open(f);
    (void)care(f, k, true);
    b = use(f, k);
    assert_true(knows(&b, &a));
    assert_int_equal(events(f, "identity-key-restored"), 1);
    (void)care(f, k, false);
    assert_int_equal(events(f, "identity-key-restored"), 1);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM keys WHERE state = 'overlap' AND"
                                       " retired_at IS NULL AND overlap_until > now() +"
                                       " interval '167 hours'"),
                     1);
    fixture_sql(f, "UPDATE keys SET overlap_until = now() WHERE state = 'overlap'");
    assert_int_equal(care(f, k, false).retired, 1);
    keys_ring_free(k);
}

static void test_without_overlap_nothing_comes_back(void **state)
{
    struct fixture *f = *state;
    struct keys_multicast a, b;
    struct keys_ring *k = start_without(f, &a);

    OK(f, keys_master_write(master_path(""), (const uint8_t[32]){7}, &f->err));
    (void)care(f, k, true);
    keys_ring_free(k);
    move(".away", "");
    fixture_sql(f, "UPDATE settings SET key_overlap_hours = 0");
    k = master_ring_open(f);
    (void)care(f, k, true);
    b = use(f, k);
    assert_false(knows(&b, &a));
    keys_ring_free(k);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, master_set_up, master_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_away_and_back),
        TEST(test_back_at_the_next_start),
        TEST(test_left_beside),
        TEST(test_given_up),
        TEST(test_given_up_without_repair),
        TEST(test_back_too_late),
        TEST(test_without_overlap_nothing_comes_back),
    };

    return cmocka_run_group_tests_name("master key, lost", tests, NULL, NULL);
}
