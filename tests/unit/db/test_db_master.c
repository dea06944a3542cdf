/* SPDX-License-Identifier: Apache-2.0
 * Changing the master key on a real database and real files: as it should go, when its file cannot be
 * put in its place, while others seal. What is cut off: test_db_master_cut.c. */
#include "tests/unit/db/master_rig.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/time.h"
#include "db/sealed.h"
#include "keys/master_file.h"

/* ---- as it should go ---- */

static void test_change(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;
    char session_id[DB_ID_SIZE], before[DB_DIGEST_SIZE], after[DB_DIGEST_SIZE];
    struct stat st;

    master_make_session(f, k, session_id);
    OK(f, keys_ring_master_fingerprint(k, before, &f->err));
    assert_int_equal(master_change(f, k), 3); /* two keys and a session's secret */
    OK(f, keys_ring_master_fingerprint(k, after, &f->err));
    assert_string_not_equal(before, after);
    assert_true(master_there(".old"));
    assert_false(master_there(".next"));
    assert_int_equal(stat(master_path(""), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    assert_true(master_there(".old")); /* too early */
    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err));
    assert_false(master_there(".old"));
    b = master_start(f, k);
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);
    k = master_ring_open(f);
    b = master_start(f, k);
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    assert_int_equal(
        fixture_number(f, "SELECT count(*) FROM events WHERE kind = 'master-key-changed'"), 1);
    keys_ring_free(k);
}

/* ---- the file cannot be put in its place ---- */

static void expect_file(struct fixture *f, struct keys_ring *k, const char *words)
{
    if (words == NULL) {
        OK(f, keys_ring_check_master(k, &f->err));
        return;
    }
    assert_int_equal(keys_ring_check_master(k, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, words));
}

static void test_replace_fails(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;
    uint8_t next[32], now[32];
    uint64_t sealed = 0;
    char in_the_way[128];

    expect_file(f, k, NULL);
    (void)snprintf(in_the_way, sizeof in_the_way, "%s", master_path(".old"));
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &master_caller, &sealed, &f->err),
                     CP_ERR_MASTER_KEY);
    expect_file(f, k, "another key");
    OK(f, keys_master_read(master_path(".next"), false, next, &f->err));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(keys_ring_settle_master(k, f->pool, 0, &f->err), CP_ERR_MASTER_KEY);
        assert_true(master_there(".next"));
    }
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &master_caller, &sealed, &f->err),
                     CP_ERR_MASTER_KEY);
    assert_true(master_there(".next"));
    assert_int_equal(rmdir(in_the_way), 0);
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    expect_file(f, k, NULL);
    OK(f, keys_master_read(master_path(""), false, now, &f->err));
    assert_memory_equal(next, now, 32);
    keys_ring_free(k);
    k = master_ring_open(f);
    b = master_start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    assert_int_equal(master_files(), 1);
    keys_ring_free(k);
}

/* Whatever became of the file: a change writes it anew, and nothing but memory has the key. */
static void test_file_gone(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;

    OK(f, keys_master_remove(master_path(""), &f->err));
    expect_file(f, k, "there is none");
    (void)master_change(f, k);
    expect_file(f, k, NULL);
    OK(f, keys_master_remove(master_path(""), &f->err)); /* before it is settled */
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    expect_file(f, k, NULL);
    OK(f, keys_master_remove(master_path(""), &f->err));
    OK(f, keys_master_write(master_path(""), (const uint8_t[32]){44}, &f->err));
    OK(f, keys_master_write(master_path(".next"), (const uint8_t[32]){45}, &f->err));
    assert_int_equal(keys_ring_settle_master(k, f->pool, 0, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, "move the second one away"));
    OK(f, keys_master_remove(master_path(".next"), &f->err));
    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err));
    keys_ring_free(k);
    k = master_ring_open(f);
    b = master_start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);
}

/* ---- while others seal ---- */

static void *rekey_thread(void *arg)
{
    struct master_step *s = arg;

    while (!atomic_load(s->stop)) {
        if (db_run_tx_locking(s->f->pool, "rekey", master_rekey_body, s, NULL) != CP_OK) {
            return NULL;
        }
        s->rounds++;
    }
    return s;
}

static void test_while_others_seal(void **state)
{
    struct fixture *f = *state;
    atomic_bool stop = false;
    struct master_step s = {.k = master_ring_open(f), .f = f, .stop = &stop};
    pthread_t thread;
    void *good = NULL;

    (void)master_start(f, s.k);
    master_make_session(f, s.k, s.session_id);
    assert_int_equal(pthread_create(&thread, NULL, rekey_thread, &s), 0);
    for (int i = 0; i < 10; i++) {
        (void)master_change(f, s.k);
        (void)master_start(f, s.k);
    }
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, &good), 0);
    assert_non_null(good);
    assert_true(s.rounds > 0);
    OK(f, keys_ring_settle_master(s.k, f->pool, 0, &f->err));
    (void)master_start(f, s.k);
    keys_ring_free(s.k);
}

/* ---- where it is ---- */

static void test_places(void **state)
{
    struct fixture *f = *state;
    struct keys_master_place p;
    char long_path[KEYS_PATH_SIZE + 10];
    uint64_t sealed;
    struct keys_ring *k = NULL;

    OK(f, keys_master_find("", master_folder, &p, &f->err));
    assert_string_equal(p.path, master_path(""));
    assert_false(p.credential);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", master_folder, 1), 0);
    OK(f, keys_master_find("", "/nowhere", &p, &f->err)); /* no such credential */
    assert_string_equal(p.path, "/nowhere/master.key");
    assert_int_equal(keys_master_write(master_path(""), (const uint8_t[32]){1}, &f->err), CP_OK);
    assert_int_equal(chmod(master_path(""), 0440), 0);
    OK(f, keys_master_find("", "/nowhere", &p, &f->err));
    assert_true(p.credential);
    OK(f, keys_ring_open(&p, f->pool, f->node.id, &k, &f->err));
    assert_string_equal(keys_ring_master_source(k), "credential");
    (void)master_start(f, k);
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &master_caller, &sealed, &f->err),
                     CP_ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "--rotate-master-key"));
    OK(f, keys_ring_change_master(k, f->pool, (const uint8_t[32]){2}, &master_caller, &sealed,
                                  &f->err));
    assert_int_equal(sealed, 2);
    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err));
    assert_false(master_there(".next"));
    keys_ring_free(k);
    assert_int_equal(chmod(master_path(""), 0444), 0);
    assert_int_equal(keys_ring_open(&p, f->pool, f->node.id, &k, &f->err), CP_ERR_MASTER_KEY);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    OK(f, keys_master_find("/etc/other.key", master_folder, &p, &f->err));
    assert_string_equal(p.path, "/etc/other.key");
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(keys_master_find(long_path, master_folder, &p, &f->err), CP_ERR_USAGE);
}

/* Every column of sealed bytes is known to the change. */
static void test_every_sealed_column_is_known(void **state)
{
    struct fixture *f = *state;
    char sql[256];

    assert_int_equal(fixture_number(f, "SELECT count(*) FROM information_schema.columns WHERE"
                                       " table_schema = 'public' AND column_name LIKE '%sealed%'"
                                       " AND data_type = 'bytea'"),
                     db_sealed_places());
    for (size_t i = 0; i < db_sealed_places(); i++) {
        (void)snprintf(sql, sizeof sql,
                       "SELECT count(*) FROM information_schema.columns WHERE table_name = '%s'"
                       " AND column_name LIKE '%%sealed%%' AND data_type = 'bytea'",
                       db_sealed_place(i));
        assert_int_equal(fixture_number(f, sql), 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, master_set_up, master_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_change),    TEST(test_replace_fails),
        TEST(test_file_gone), TEST(test_while_others_seal),
        TEST(test_places),    TEST(test_every_sealed_column_is_known),
    };

    return cmocka_run_group_tests_name("master key", tests, NULL, NULL);
}
