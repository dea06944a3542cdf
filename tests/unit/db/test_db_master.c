/* SPDX-License-Identifier: Apache-2.0
 * Changing the master key on a real database and real files: nothing is lost at whatever point it is
 * cut off, by hand and by kill -9, and while others seal. */
#include "tests/unit/db/fixture.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "db/sealed.h"
#include "keys/care.h"
#include "keys/master.h"
#include "keys/master_file.h"

static const struct keys_caller ann = {.actor = "ann", .request_id = "req-8"};

static char folder[64];

static int set_up(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/castpoint-master.XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : fixture_open(state);
}

static int tear_down(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0 ? -1 : fixture_close(state);
}

static struct keys_master_place place(void)
{
    struct keys_master_place p = {.credential = false};

    (void)snprintf(p.path, sizeof p.path, "%s/master.key", folder);
    return p;
}

/* "<folder>/master.key<suffix>" */
static const char *file(const char *suffix)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/master.key%s", folder, suffix);
    return path;
}

static bool there(const char *suffix)
{
    return access(file(suffix), F_OK) == 0;
}

static int files_in_folder(void)
{
    DIR *dir = opendir(folder);
    int count = 0;

    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        count += e->d_name[0] != '.';
    }
    (void)closedir(dir);
    return count;
}

static struct keys_ring *ring_open(struct fixture *f)
{
    struct keys_master_place p = place();
    struct keys_ring *k = NULL;

    OK(f, keys_ring_open(&p, f->pool, f->node.id, &k, &f->err));
    return k;
}

struct step {
    struct keys_ring *k;
    struct keys_multicast key;
    struct keys_care care;
    char session_id[DB_ID_SIZE];
    atomic_bool *stop;
    struct fixture *f;
    unsigned rounds;
};

static enum cp_err start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    CP_TRY(keys_ring_start(s->k, conn, &s->care, err));
    return keys_ring_multicast(s->k, conn, "req-7", &s->key, err);
}

/* As the service starts; nothing may need a repair. */
static struct keys_multicast start(struct fixture *f, struct keys_ring *k)
{
    struct step s = {.k = k};

    OK(f, db_run_tx_locking(f->pool, "start", start_body, &s, &f->err));
    assert_int_equal(s.care.damaged, 0);
    assert_int_equal(s.care.secrets_unusable, 0);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events WHERE kind IN"
                                       " ('identity-key-replaced', 'multicast-key-replaced',"
                                       " 'master-key-foreign')"),
                     0);
    return s.key;
}

static enum cp_err rekey_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *s = arg;

    return keys_ring_session_rekey(s->k, conn, s->session_id, "a test", "req-9", err);
}

static void make_session(struct fixture *f, struct keys_ring *k, char ret_id[DB_ID_SIZE])
{
    struct db_version v = fixture_sealed(f, "kept");
    struct step s = {.k = k};
    struct db_session session;

    (void)fixture_begin(f);
    session = fixture_session(f, &v);
    fixture_commit(f);
    memcpy(s.session_id, session.id, sizeof s.session_id);
    memcpy(ret_id, session.id, DB_ID_SIZE);
    OK(f, db_run_tx_locking(f->pool, "rekey", rekey_body, &s, &f->err));
}

static uint64_t change(struct fixture *f, struct keys_ring *k)
{
    uint64_t sealed = 0;

    OK(f, keys_ring_change_master(k, f->pool, NULL, &ann, &sealed, &f->err));
    return sealed;
}

/* ---- as it should go ---- */

static void test_change(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;
    char session_id[DB_ID_SIZE], before[DB_DIGEST_SIZE], after[DB_DIGEST_SIZE];
    struct stat st;

    make_session(f, k, session_id);
    OK(f, keys_ring_master_fingerprint(k, before, &f->err));
    assert_int_equal(change(f, k), 3); /* two keys and a session's secret */
    OK(f, keys_ring_master_fingerprint(k, after, &f->err));
    assert_string_not_equal(before, after);
    assert_true(there(".old"));
    assert_false(there(".next"));
    assert_int_equal(stat(file(""), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    assert_true(there(".old")); /* too early */
    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err));
    assert_false(there(".old"));
    b = start(f, k);
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);
    k = ring_open(f);
    b = start(f, k);
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    assert_int_equal(
        fixture_number(f, "SELECT count(*) FROM events WHERE kind = 'master-key-changed'"), 1);
    keys_ring_free(k);
}

/* ---- cut off ---- */

/* Leaves the files as a change does that is killed at that point of it. */
static void cut_off(const char *at, const uint8_t old[32], const uint8_t new[32])
{
    struct cp_error err;

    assert_int_equal(keys_master_remove(file(".old"), &err), CP_OK);
    if (strcmp(at, "renamed") == 0) {
        assert_int_equal(keys_master_write(file(".old"), old, &err), CP_OK);
        return;
    }
    assert_int_equal(keys_master_remove(file(""), &err), CP_OK);
    assert_int_equal(keys_master_write(file(""), old, &err), CP_OK);
    assert_int_equal(keys_master_write(file(".next"), new, &err), CP_OK);
    if (strcmp(at, "linked") == 0) {
        assert_int_equal(keys_master_write(file(".old"), old, &err), CP_OK);
    }
}

static void test_cut_off_after_the_commit(void **state)
{
    static const char *const points[] = {"committed", "linked", "renamed"};
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;
    uint8_t old[32], new[32];

    for (size_t i = 0; i < 3; i++) {
        OK(f, keys_master_read(file(""), false, old, &f->err));
        (void)change(f, k);
        OK(f, keys_master_read(file(""), false, new, &f->err));
        assert_memory_not_equal(old, new, 32);
        keys_ring_free(k);
        cut_off(points[i], old, new);
        k = ring_open(f);
        b = start(f, k);
        assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
        assert_false(there(".next"));
        assert_false(there(".old"));
        OK(f, keys_master_read(file(""), false, old, &f->err));
        assert_memory_equal(old, new, 32);
    }
    keys_ring_free(k);
}

/* Others seal under the new key before it is in the database. */
static void test_cut_off_before_the_commit(void **state)
{
    static const uint8_t new[32] = {42};
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f), *early = NULL;
    struct keys_multicast a = start(f, k), b;
    struct step s = {.k = NULL};
    uint8_t before[32], after[32];

    OK(f, keys_master_read(file(""), false, before, &f->err));
    OK(f, keys_master_write(file(".next"), new, &f->err));
    assert_int_equal(keys_ring_new(new, f->node.id, &early), CP_OK);
    make_session(f, early, s.session_id);
    keys_ring_free(early);
    keys_ring_free(k);
    k = ring_open(f);
    b = start(f, k); /* that session's secret opens */
    assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
    assert_false(there(".next"));
    OK(f, keys_master_read(file(""), false, after, &f->err));
    assert_memory_equal(before, after, 32);
    keys_ring_free(k);
}

/* A real process, killed at a random point of a change of its own. */
static void change_in_child(const char *node_id, int tell)
{
    struct keys_master_place p = place();
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
    } while (keys_ring_change_master(k, pool, NULL, &ann, &sealed, NULL) == CP_OK);
    _exit(3);
}

static void test_killed(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;
    char session_id[DB_ID_SIZE];

    make_session(f, k, session_id);
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
        k = ring_open(f);
        b = start(f, k);
        assert_string_equal(a.identity_fingerprint, b.identity_fingerprint);
        assert_memory_equal(a.seed, b.seed, 32);
        keys_ring_free(k);
    }
    assert_int_equal(files_in_folder(), 1);
    assert_true(fixture_number(f, "SELECT count(*) FROM events WHERE kind ="
                                  " 'master-key-changed'") >= 10);
}

/* A change that fails leaves everything as it was, also what was sealed in the middle of it. */
static void test_failed(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;
    uint64_t sealed = 0;

    fixture_sql(f, "ALTER TABLE webhooks RENAME TO away");
    assert_int_not_equal(keys_ring_change_master(k, f->pool, NULL, &ann, &sealed, &f->err), CP_OK);
    fixture_sql(f, "ALTER TABLE away RENAME TO webhooks");
    b = start(f, k);
    assert_string_equal(a.fingerprint, b.fingerprint);
    assert_true(there(".next"));
    (void)change(f, k); /* the next try takes it along */
    keys_ring_free(k);
    k = ring_open(f);
    b = start(f, k);
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
    OK(f, keys_ring_change_master(other, f->pool, new, &ann, &sealed, &f->err));
    assert_true(sealed > 0);
    keys_ring_free(other);
}

/* A change that failed for us, and yet is in the database. */
static void lose_the_answer(struct fixture *f, struct keys_ring *k)
{
    uint8_t old[32], new[32];
    uint64_t sealed = 0;

    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err)); /* of the one before */
    fixture_sql(f, "ALTER TABLE webhooks RENAME TO away");
    assert_int_not_equal(keys_ring_change_master(k, f->pool, NULL, &ann, &sealed, &f->err), CP_OK);
    fixture_sql(f, "ALTER TABLE away RENAME TO webhooks");
    OK(f, keys_master_read(file(""), false, old, &f->err));
    OK(f, keys_master_read(file(".next"), false, new, &f->err));
    seal_under(f, old, new);
}

static void test_unknown_commit(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;
    uint8_t next[32], now[32];

    /* the upkeep finds it */
    lose_the_answer(f, k);
    OK(f, keys_master_read(file(".next"), false, next, &f->err));
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    OK(f, keys_master_read(file(""), false, now, &f->err));
    assert_memory_equal(next, now, 32);
    assert_true(there(".old")); /* too early */
    b = start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);

    /* the next change finds it */
    lose_the_answer(f, k);
    (void)change(f, k);
    b = start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);

    /* the next start finds it */
    k = ring_open(f);
    lose_the_answer(f, k);
    keys_ring_free(k);
    k = ring_open(f);
    b = start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    assert_int_equal(files_in_folder(), 1);
    keys_ring_free(k);
}

/* The only copy of a key in use is not removed for a new one's sake. */
static void test_next_in_use(void **state)
{
    static const uint8_t new[32] = {43};
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;
    uint64_t sealed = 0;
    uint8_t old[32];

    OK(f, keys_master_read(file(""), false, old, &f->err));
    seal_under(f, old, new);
    OK(f, keys_master_write(file(".next"), new, &f->err));
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &ann, &sealed, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    assert_true(there(".next"));
    keys_ring_free(k);
    k = ring_open(f);
    b = start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);
}

static void *settle_thread(void *arg)
{
    struct step *s = arg;

    enum cp_err rc = keys_ring_settle_master(s->k, s->f->pool, 0, NULL);

    atomic_store(s->stop, true);
    return rc == CP_OK ? s : NULL;
}

/* Whose COMMIT may still happen is waited for before anything is decided. */
static void test_waits_for_the_other_transaction(void **state)
{
    struct fixture *f = *state;
    atomic_bool ended = false;
    struct step s = {.k = ring_open(f), .f = f, .stop = &ended};
    char fingerprint[DB_DIGEST_SIZE];
    uint64_t sealed = 0;
    pthread_t thread;
    uint8_t next[32], now[32];
    void *good = NULL;

    (void)start(f, s.k);
    fixture_sql(f, "ALTER TABLE webhooks RENAME TO away");
    assert_int_not_equal(keys_ring_change_master(s.k, f->pool, NULL, &ann, &sealed, &f->err),
                         CP_OK);
    fixture_sql(f, "ALTER TABLE away RENAME TO webhooks");
    OK(f, keys_master_read(file(".next"), false, next, &f->err));
    assert_int_equal(keys_master_fingerprint(next, fingerprint), CP_OK);
    OK(f, db_master_key_set(fixture_begin(f), f->node.id, fingerprint, &f->err));
    assert_int_equal(pthread_create(&thread, NULL, settle_thread, &s), 0);
    while (!atomic_load(&ended) &&
           fixture_number(f, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0) {
    }
    fixture_commit(f);
    assert_int_equal(pthread_join(thread, &good), 0);
    assert_non_null(good);
    OK(f, keys_master_read(file(""), false, now, &f->err));
    assert_memory_equal(next, now, 32);
    assert_int_equal(files_in_folder(), 1);
    (void)start(f, s.k);
    keys_ring_free(s.k);
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
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;
    uint8_t next[32], now[32];
    uint64_t sealed = 0;
    char in_the_way[128];

    expect_file(f, k, NULL);
    (void)snprintf(in_the_way, sizeof in_the_way, "%s", file(".old"));
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &ann, &sealed, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    expect_file(f, k, "another key");
    OK(f, keys_master_read(file(".next"), false, next, &f->err));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(keys_ring_settle_master(k, f->pool, 0, &f->err), CP_ERR_KEY_UNUSABLE);
        assert_true(there(".next"));
    }
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &ann, &sealed, &f->err),
                     CP_ERR_KEY_UNUSABLE);
    assert_true(there(".next"));
    assert_int_equal(rmdir(in_the_way), 0);
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    expect_file(f, k, NULL);
    OK(f, keys_master_read(file(""), false, now, &f->err));
    assert_memory_equal(next, now, 32);
    keys_ring_free(k);
    k = ring_open(f);
    b = start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    assert_int_equal(files_in_folder(), 1);
    keys_ring_free(k);
}

/* Whatever became of the file: a change writes it anew, and nothing but memory has the key. */
static void test_file_gone(void **state)
{
    struct fixture *f = *state;
    struct keys_ring *k = ring_open(f);
    struct keys_multicast a = start(f, k), b;

    OK(f, keys_master_remove(file(""), &f->err));
    expect_file(f, k, "there is none");
    (void)change(f, k);
    expect_file(f, k, NULL);
    OK(f, keys_master_remove(file(""), &f->err)); /* before it is settled */
    OK(f, keys_ring_settle_master(k, f->pool, 600 * CP_SEC, &f->err));
    expect_file(f, k, NULL);
    OK(f, keys_master_remove(file(""), &f->err));
    OK(f, keys_master_write(file(""), (const uint8_t[32]){44}, &f->err));
    OK(f, keys_master_write(file(".next"), (const uint8_t[32]){45}, &f->err));
    assert_int_equal(keys_ring_settle_master(k, f->pool, 0, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_non_null(strstr(f->err.text, "move the second one away"));
    OK(f, keys_master_remove(file(".next"), &f->err));
    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err));
    keys_ring_free(k);
    k = ring_open(f);
    b = start(f, k);
    assert_memory_equal(a.seed, b.seed, 32);
    keys_ring_free(k);
}

/* ---- while others seal ---- */

static void *rekey_thread(void *arg)
{
    struct step *s = arg;

    while (!atomic_load(s->stop)) {
        if (db_run_tx_locking(s->f->pool, "rekey", rekey_body, s, NULL) != CP_OK) {
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
    struct step s = {.k = ring_open(f), .f = f, .stop = &stop};
    pthread_t thread;
    void *good = NULL;

    (void)start(f, s.k);
    make_session(f, s.k, s.session_id);
    assert_int_equal(pthread_create(&thread, NULL, rekey_thread, &s), 0);
    for (int i = 0; i < 10; i++) {
        (void)change(f, s.k);
        (void)start(f, s.k);
    }
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, &good), 0);
    assert_non_null(good);
    assert_true(s.rounds > 0);
    OK(f, keys_ring_settle_master(s.k, f->pool, 0, &f->err));
    (void)start(f, s.k);
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

    OK(f, keys_master_find("", folder, &p, &f->err));
    assert_string_equal(p.path, file(""));
    assert_false(p.credential);
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    OK(f, keys_master_find("", "/nowhere", &p, &f->err)); /* no such credential */
    assert_string_equal(p.path, "/nowhere/master.key");
    assert_int_equal(keys_master_write(file(""), (const uint8_t[32]){1}, &f->err), CP_OK);
    assert_int_equal(chmod(file(""), 0440), 0);
    OK(f, keys_master_find("", "/nowhere", &p, &f->err));
    assert_true(p.credential);
    OK(f, keys_ring_open(&p, f->pool, f->node.id, &k, &f->err));
    assert_string_equal(keys_ring_master_source(k), "credential");
    (void)start(f, k);
    assert_int_equal(keys_ring_change_master(k, f->pool, NULL, &ann, &sealed, &f->err),
                     CP_ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "--rotate-master-key"));
    OK(f, keys_ring_change_master(k, f->pool, (const uint8_t[32]){2}, &ann, &sealed, &f->err));
    assert_int_equal(sealed, 2);
    OK(f, keys_ring_settle_master(k, f->pool, 0, &f->err));
    assert_false(there(".next"));
    keys_ring_free(k);
    assert_int_equal(chmod(file(""), 0444), 0);
    assert_int_equal(keys_ring_open(&p, f->pool, f->node.id, &k, &f->err), CP_ERR_KEY_UNUSABLE);
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    OK(f, keys_master_find("/etc/other.key", folder, &p, &f->err));
    assert_string_equal(p.path, "/etc/other.key");
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(keys_master_find(long_path, folder, &p, &f->err), CP_ERR_USAGE);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_change),
        TEST(test_cut_off_after_the_commit),
        TEST(test_cut_off_before_the_commit),
        TEST(test_killed),
        TEST(test_failed),
        TEST(test_unknown_commit),
        TEST(test_next_in_use),
        TEST(test_waits_for_the_other_transaction),
        TEST(test_replace_fails),
        TEST(test_file_gone),
        TEST(test_while_others_seal),
        TEST(test_places),
        TEST(test_every_sealed_column_is_known),
    };

    return cmocka_run_group_tests_name("master key", tests, NULL, NULL);
}
