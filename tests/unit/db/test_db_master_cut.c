/* SPDX-License-Identifier: Apache-2.0
 * A change of the master key that is cut off loses nothing: at whatever point of its files, by kill -9,
 * by a failure, and when nobody knows whether it was committed. */
#include "tests/unit/db/master_rig.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "keys/master_file.h"

/* ---- at some point ---- */

/* Leaves the files as a change does that is killed at that point of it. */
static void cut_off(const char *at, const uint8_t old[32], const uint8_t new[32])
{
    struct cp_error err;

    assert_int_equal(keys_master_remove(master_path(".old"), &err), CP_OK);
    if (strcmp(at, "renamed") == 0) {
        assert_int_equal(keys_master_write(master_path(".old"), old, &err), CP_OK);
        return;
    }
    assert_int_equal(keys_master_remove(master_path(""), &err), CP_OK);
    assert_int_equal(keys_master_write(master_path(""), old, &err), CP_OK);
    assert_int_equal(keys_master_write(master_path(".next"), new, &err), CP_OK);
    if (strcmp(at, "linked") == 0) {
        assert_int_equal(keys_master_write(master_path(".old"), old, &err), CP_OK);
    }
}

static void test_cut_off_after_the_commit(void **state)
{
    static const char *const points[] = {"committed", "linked", "renamed"};
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;
    uint8_t old[32], new[32];

    for (size_t i = 0; i < 3; i++) {
        OK(f, keys_master_read(master_path(""), false, old, &f->err));
        (void)master_change(f, k);
        OK(f, keys_master_read(master_path(""), false, new, &f->err));
        assert_memory_not_equal(old, new, 32);
        keys_ring_free(k);
        cut_off(points[i], old, new);
        k = master_ring_open(f);
        b = master_start(f, k);
        assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
        assert_false(master_there(".next"));
        assert_false(master_there(".old"));
        OK(f, keys_master_read(master_path(""), false, old, &f->err));
        assert_memory_equal(old, new, 32);
    }
    keys_ring_free(k);
}

/* Others seal under the new key before it is in the database. */
static void test_cut_off_before_the_commit(void **state)
{
    static const uint8_t new[32] = {42};
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f), *early = NULL;
    struct keys_multicast a = master_start(f, k), b;
    struct master_step s = {.k = NULL};
    uint8_t before[32], after[32];

    OK(f, keys_master_read(master_path(""), false, before, &f->err));
    OK(f, keys_master_write(master_path(".next"), new, &f->err));
    assert_int_equal(keys_ring_new(new, f->node.id, &early), CP_OK);
    master_make_session(f, early, s.session_id);
    keys_ring_free(early);
    keys_ring_free(k);
    k = master_ring_open(f);
    b = master_start(f, k); /* that session's secret opens */
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    assert_false(master_there(".next"));
    OK(f, keys_master_read(master_path(""), false, after, &f->err));
    assert_memory_equal(before, after, 32);
    keys_ring_free(k);
}

/* A real process, killed at a random point of a change of its own. */
static void change_in_child(const char *node_id, int tell)
{
    struct keys_master_place p = master_place();
    struct db_pool *pool = NULL;
    struct keys_ring *k = NULL;
    uint64_t sealed;

    (void)signal(SIGPIPE, SIG_IGN); /* until the SIGKILL */
    if (db_pool_open(fixture_conninfo(), 1, &pool, NULL) != CP_OK ||
        keys_ring_open(&p, pool, node_id, &k, NULL) != CP_OK) {
        _exit(2);
    }
    do {
        (void)!write(tell, "", 1);
    } while (keys_ring_change_master(k, pool, NULL, &master_caller, &sealed, NULL) == CP_OK);
    _exit(3);
}

static void test_killed(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;
    char session_id[DB_ID_SIZE];

    master_make_session(f, k, session_id);
    keys_ring_free(k);
    for (unsigned i = 0; i < 30; i++) {
        int told[2], status;
        pid_t pid;
        char byte;

        assert_int_equal(pipe(told), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            change_in_child(f->node.id, told[1]);
        }
        (void)close(told[1]);
        assert_int_equal(read(told[0], &byte, 1), 1); /* the first begins */
        if (i % 3 == 2) {
            assert_int_equal(read(told[0], &byte, 1), 1); /* the second one does */
        }
        (void)usleep(i * 1777); /* somewhere in it */
        (void)close(told[0]);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        k = master_ring_open(f);
        b = master_start(f, k);
        assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
        assert_memory_equal(a.seed, b.seed, 32);
        keys_ring_free(k);
    }
    assert_int_equal(master_files(), 1);
    assert_true(fixture_number(f, "SELECT count(*) FROM events WHERE kind ="
                                  " 'master-key-changed'") >= 10);
}

/* In its middle: a table that holds secrets is not to be found. */
static void change_fails(struct fixture *f, struct keys_ring *k)
{
    uint64_t sealed = 0;

    fixture_sql(f, "ALTER TABLE webhooks RENAME TO away");
    assert_int_not_equal(
        keys_ring_change_master(k, f->pool, NULL, &master_caller, &sealed, &f->err), CP_OK);
    fixture_sql(f, "ALTER TABLE away RENAME TO webhooks");
}

/* A change that fails leaves everything as it was, also what was sealed in the middle of it. */
static void test_failed(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;

    change_fails(f, k);
    b = master_start(f, k);
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_true(master_there(".next"));
    (void)master_change(f, k); /* the next try takes it along */
    keys_ring_free(k);
    k = master_ring_open(f);
    b = master_start(f, k);
    assert_string_equal(a.fingerprint, b.fingerprint);
    keys_ring_free(k);
}

/* ---- the outcome of the COMMIT is not known ---- */

/* As if that other process' change had been ours: sealed in the database, nothing on the disk. */
static void seal_under(struct fixture *f, const uint8_t old[32], const uint8_t new[32])
{
    struct keys_ring *other = NULL;
    uint64_t sealed = 0;

    assert_int_equal(keys_ring_new(old, f->node.id, &other), CP_OK);
    OK(f, keys_ring_change_master(other, f->pool, new, &master_caller, &sealed, &f->err));
    assert_true(sealed > 0);
    keys_ring_free(other);
}

/* A change that failed for us, and yet is in the database. */
static void lose_the_answer(struct fixture *f, struct keys_ring *k)
{
    uint8_t old[32], new[32];

    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err)); /* of the one before */
    change_fails(f, k);
    OK(f, keys_master_read(master_path(""), false, old, &f->err));
    OK(f, keys_master_read(master_path(".next"), false, new, &f->err));
    seal_under(f, old, new);
}

static void test_unknown_commit(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;
    uint8_t next[32], now[32];

    /* the upkeep finds it */
    lose_the_answer(f, k);
    OK(f, keys_master_read(master_path(".next"), false, next, &f->err));
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    OK(f, keys_master_read(master_path(""), false, now, &f->err));
    assert_memory_equal(next, now, 32);
    assert_true(master_there(".old")); /* too early */
    b = master_start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);

    /* the next change finds it */
    lose_the_answer(f, k);
    (void)master_change(f, k);
    b = master_start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);

    /* the next start finds it */
    k = master_ring_open(f);
    lose_the_answer(f, k);
    keys_ring_free(k);
    k = master_ring_open(f);
    b = master_start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    assert_int_equal(master_files(), 1);
    keys_ring_free(k);
}

/* The only copy of a key in use is not removed for a new one's sake. */
static void test_next_in_use(void **state)
{
    static const uint8_t new[32] = {43};
    struct fixture *f = *state;
    struct keys_ring *k = master_ring_open(f);
    struct keys_multicast a = master_start(f, k), b;
    uint64_t sealed = 0;
    uint8_t old[32];

    OK(f, keys_master_read(master_path(""), false, old, &f->err));
    seal_under(f, old, new);
    OK(f, keys_master_write(master_path(".next"), new, &f->err));
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &master_caller, &sealed, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    assert_true(master_there(".next"));
    keys_ring_free(k);
    k = master_ring_open(f);
    b = master_start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);
}

static void *settle_thread(void *arg)
{
    struct master_step *s = arg;

    enum cp_err rc = keys_ring_settle_master(s->k, s->f->pool, 0, NULL);

    atomic_store(s->stop, true);
    return rc == CP_OK ? s : NULL;
}

/* Whose COMMIT may still happen is waited for before anything is decided. */
static void test_waits_for_the_other_transaction(void **state)
{
    struct fixture *f = *state;
    atomic_bool ended = false;
    struct master_step s = {.k = master_ring_open(f), .f = f, .stop = &ended};
    char fingerprint[DB_DIGEST_SIZE];
    pthread_t thread;
    uint8_t next[32], now[32];
    void *good = NULL;

    (void)master_start(f, s.k);
    change_fails(f, s.k);
    OK(f, keys_master_read(master_path(".next"), false, next, &f->err));
    assert_int_equal(keys_master_fingerprint(next, fingerprint), CP_OK);
    OK(f, db_master_key_set(fixture_begin(f), f->node.id, fingerprint, &f->err));
    assert_int_equal(pthread_create(&thread, NULL, settle_thread, &s), 0);
    while (!atomic_load(&ended) &&
           fixture_number(f, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0) {
    }
    fixture_commit(f);
    assert_int_equal(pthread_join(thread, &good), 0);
    assert_non_null(good);
    OK(f, keys_master_read(master_path(""), false, now, &f->err));
    assert_memory_equal(next, now, 32);
    assert_int_equal(master_files(), 1);
    (void)master_start(f, s.k);
    keys_ring_free(s.k);
}

/* ---- where it is ---- */

#define TEST(name) cmocka_unit_test_setup_teardown(name, master_set_up, master_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cut_off_after_the_commit),
        TEST(test_cut_off_before_the_commit),
        TEST(test_killed),
        TEST(test_failed),
        TEST(test_unknown_commit),
        TEST(test_next_in_use),
        TEST(test_waits_for_the_other_transaction),
    };

    return cmocka_run_group_tests_name("master key, cut off", tests, NULL, NULL);
}
