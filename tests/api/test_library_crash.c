/* SPDX-License-Identifier: Apache-2.0
 * kill -9 among the library's work, again and again: a process stores and deletes files, collects,
 * counts, validates and forgets, until it is killed at some moment. After each time no content that
 * a file refers to is missing, counts are right, damage is found, and collection finds exactly what
 * nobody refers to. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/hex.h"
#include "common/prng.h"
#include "content/blob.h"
#include "content/blob_care.h"
#include "db/blob.h"
#include "db/file.h"
#include "db/node.h"
#include "db/package.h"
#include "db/task.h"
#include "db/version.h"
#include "jobs/jobs.h"
#include "jobs/library.h"

#define ROUNDS   24
#define FILES    12 /* of the draft */
#define CONTENTS 7  /* that they have in turn */
#define SEED     20261123u

struct world {
    char root[64];
    struct db_pool *db;
    struct blob_store *blobs;
    struct jobs_context jobs;
    char node_id[DB_ID_SIZE];
    char version_id[DB_ID_SIZE];
};

static void must(enum cp_err code, const struct cp_error *err)
{
    if (code != CP_OK) {
        (void)fprintf(stderr, "%s: %s\n", cp_err_info(code)->code, err->text);
        abort(); /* in the child too, where cmocka cannot help */
    }
}

/* A process's own connections and store; the other one has none open meanwhile. */
static void enter(struct world *w)
{
    struct jobs_library library;
    struct cp_error err = {.code = CP_OK};

    must(db_pool_open(getenv("CASTPOINT_TEST_DB"), 2, &w->db, &err), &err);
    must(blob_store_open(w->root, &w->blobs, &err), &err);
    w->jobs = (struct jobs_context){.db = w->db, .blobs = w->blobs, .node_id = w->node_id};
    must(jobs_library_look(&w->jobs, false, &library, &err), &err);
    must(library.own ? CP_OK : CP_ERR_LIBRARY_FOREIGN, &err);
}

static void leave(struct world *w)
{
    blob_store_close(w->blobs);
    db_pool_close(w->db);
}

/* ---- changes ---- */

/* Content number i: 200,000 bytes and some, so that reading and writing take a moment. */
static size_t content(unsigned number, char ret_bytes[262144])
{
    size_t size = 200000 + number * 1000;

    for (size_t i = 0; i < size; i++) {
        ret_bytes[i] = (char)(number + i * i % 251);
    }
    return size;
}

struct put_arg {
    const struct world *w;
    struct db_file file;
};

static enum cp_err put_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct put_arg *a = arg;
    bool created;

    return db_file_put(conn, a->w->version_id, &a->file, NULL, &created, err);
}

/* As an upload does it. */
static void put(const struct world *w, unsigned file, unsigned number)
{
    static char bytes[262144];
    struct put_arg a = {.w = w, .file = {.mode = 0644}};
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct cp_error err = {.code = CP_OK};
    struct blob_writer *writer;

    must(blob_writer_open(w->blobs, BLOB_SIZE_UNKNOWN, &writer, &err), &err);
    must(blob_writer_add(writer, bytes, content(number, bytes), &err), &err);
    must(blob_writer_commit(writer, digest, &a.file.size, &err), &err);
    (void)snprintf(a.file.path, sizeof a.file.path, "%u.bin", file);
    cp_hex_encode(digest, sizeof digest, a.file.sha256);
    must(db_run_tx_locking(w->db, "put-file", put_body, &a, &err), &err);
    blob_release(w->blobs, digest);
}

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct put_arg *a = arg;
    enum cp_err rc = db_file_delete(conn, a->w->version_id, a->file.path, NULL, err);

    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

static void remove_file(const struct world *w, unsigned file)
{
    struct put_arg a = {.w = w};
    struct cp_error err = {.code = CP_OK};

    (void)snprintf(a.file.path, sizeof a.file.path, "%u.bin", file);
    must(db_run_tx_locking(w->db, "delete-file", delete_body, &a, &err), &err);
}

static enum cp_err ask_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct db_task made;
    bool fresh;

    return db_task_create(conn, arg, &made, &fresh, err);
}

/* Asks for work and does what waits. */
static void work(const struct world *w, const char *kind)
{
    struct cp_error err = {.code = CP_OK};
    struct db_task task = {.unit = DB_TASK_ITEMS};
    enum cp_err rc;

    memcpy(task.node_id, w->node_id, sizeof task.node_id);
    (void)snprintf(task.kind, sizeof task.kind, "%s", kind);
    must(db_run_tx_locking(w->db, "ask", ask_body, &task, &err), &err);
    do {
        rc = jobs_do_one(&w->jobs, NULL, &err);
    } while (rc == CP_OK);
    if (rc != CP_ERR_NOT_FOUND) {
        must(rc, &err);
    }
}

/* ---- the process that is killed ---- */

static const char *const kinds[] = {"collect-garbage", "validate-library", "recount-references",
                                    "drop-history"};

static unsigned below(struct cp_prng *prng, unsigned bound)
{
    return (unsigned)cp_prng_below(prng, bound);
}

/* born: written to after the first thing was done. */
static void live(struct world *w, uint64_t seed, int born)
{
    struct cp_prng prng;

    cp_prng_seed(&prng, seed);
    enter(w);
    put(w, 0, 0);
    if (write(born, "", 1) != 1) {
        abort();
    }
    for (;;) {
        put(w, below(&prng, FILES), below(&prng, CONTENTS));
        remove_file(w, below(&prng, FILES));
        work(w, kinds[below(&prng, 4)]);
    }
}

static void live_and_die(struct world *w, uint64_t seed, unsigned after_ms)
{
    int pipe_fds[2];
    char byte;
    int status;
    pid_t pid;

    assert_int_equal(pipe(pipe_fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL) {
            abort();
        }
        live(w, seed, pipe_fds[1]);
    }
    assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
    (void)usleep(after_ms * 1000); /* any moment is as good as another */
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* no abort before */
    assert_int_equal(close(pipe_fds[0]) + close(pipe_fds[1]), 0);
}

/* ---- what must hold ---- */

struct rows_arg {
    struct db_blob blobs[64];
    size_t count;
    struct db_blob_recount recount;
    uint64_t recovered;
    const struct world *w;
};

static enum cp_err rows_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct rows_arg *a = arg;
    const struct db_blob_filter all = {.state = NULL};

    CP_TRY(db_task_recover(conn, a->w->node_id, "interrupted", &a->recovered, err));
    CP_TRY(db_blob_recount(conn, "", 1000, &a->recount, err));
    return db_blob_list(conn, &all, "", 64, a->blobs, &a->count, err);
}

static struct rows_arg look(const struct world *w)
{
    struct rows_arg a = {.w = w};
    struct cp_error err = {.code = CP_OK};

    must(db_run_tx_locking(w->db, "look", rows_body, &a, &err), &err);
    return a;
}

static enum cp_err no_pace(void *arg, uint64_t bytes, struct cp_error *err)
{
    (void)arg;
    (void)bytes;
    (void)err;
    return CP_OK;
}

static enum blob_condition condition_of(const struct world *w, const struct db_blob *b)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct blob_check check = {.digest = digest, .size = b->size, .pace = no_pace};
    enum blob_condition found;
    int fd;

    assert_true(cp_hex_decode(b->sha256, digest, sizeof digest));
    assert_int_equal(blob_verify(w->blobs, &check, &found, &fd, NULL), CP_OK);
    if (fd >= 0) {
        assert_int_equal(close(fd), 0);
    }
    return found;
}

static enum cp_err count_file(void *arg, const struct blob_found *found, struct cp_error *err)
{
    (void)found;
    (void)err;
    ++*(size_t *)arg;
    return CP_OK;
}

static size_t files_in(const struct world *w, enum blob_place place)
{
    size_t count = 0;

    assert_int_equal(blob_store_walk(w->blobs, place, count_file, &count, NULL), CP_OK);
    return count;
}

/* hurt: digest of a blob whose file the test has damaged, "" none. */
static void check(const struct world *w, const char *hurt)
{
    struct rows_arg rows = look(w);

    assert_int_equal(rows.recount.wrong, 0);
    for (size_t i = 0; i < rows.count; i++) {
        const struct db_blob *b = &rows.blobs[i];
        bool is_hurt = strcmp(b->sha256, hurt) == 0;

        if (b->references > 0 && !is_hurt) {
            assert_int_equal(b->state, DB_BLOB_GOOD);
            assert_int_equal(condition_of(w, b), BLOB_GOOD);
        }
    }
    /* Left to itself it comes to order. */
    work(w, "collect-garbage");
    work(w, "validate-library");
    rows = look(w);
    assert_int_equal(files_in(w, BLOB_INCOMING), 0);
    for (size_t i = 0; i < rows.count; i++) {
        const struct db_blob *b = &rows.blobs[i];
        bool is_whole = condition_of(w, b) == BLOB_GOOD;

        assert_true(b->references > 0);
        assert_int_equal(b->state == DB_BLOB_GOOD, is_whole);
        assert_true(is_whole || strcmp(b->sha256, hurt) == 0);
    }
}

struct tasks_arg {
    struct db_task newest;
    size_t count, failed;
};

static enum cp_err tasks_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const enum db_task_state failed = DB_TASK_FAILED;
    struct tasks_arg *a = arg;
    struct db_task_filter filter = {.state = &failed};

    CP_TRY(db_task_list(conn, &filter, 0, 1, &a->newest, &a->failed, err));
    filter.state = NULL;
    return db_task_list(conn, &filter, 0, 1, &a->newest, &a->count, err);
}

/* The number of the newest. */
static uint64_t no_task_failed(const struct world *w)
{
    struct tasks_arg a = {.failed = 1};
    struct cp_error err = {.code = CP_OK};

    must(db_run_read(w->db, "tasks", tasks_body, &a, &err), &err);
    assert_int_equal(a.failed, 0);
    return a.newest.number;
}

static size_t whole_rows(const struct world *w)
{
    struct rows_arg rows = look(w);
    size_t count = 0;

    for (size_t i = 0; i < rows.count; i++) {
        count += rows.blobs[i].state == DB_BLOB_GOOD;
    }
    return count;
}

/* Overwrites the first blob that is whole. */
static void hurt_one(const struct world *w, char ret_digest[DB_DIGEST_SIZE])
{
    struct rows_arg rows = look(w);
    char path[192];
    int fd;

    ret_digest[0] = '\0';
    for (size_t i = 0; i < rows.count && ret_digest[0] == '\0'; i++) {
        if (rows.blobs[i].state == DB_BLOB_GOOD) {
            memcpy(ret_digest, rows.blobs[i].sha256, DB_DIGEST_SIZE);
        }
    }
    if (ret_digest[0] != '\0') {
        (void)snprintf(path, sizeof path, "%s/sha256/%.2s/%s", w->root, ret_digest, ret_digest);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "damaged", 7, 1000), 7);
        assert_int_equal(close(fd), 0);
    }
}

/* ---- the test ---- */

static enum cp_err make_rows(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct world *w = arg;
    struct db_version in = {.package = "crash"};
    struct db_package package = {.name = "crash"};
    struct db_package made;
    struct db_version version;
    struct db_node node;

    CP_TRY(db_node_register(conn, "testnode", "0.0.1", &node, err));
    CP_TRY(db_package_create(conn, &package, &made, err));
    CP_TRY(db_version_create(conn, &in, &version, err));
    memcpy(w->node_id, node.id, sizeof w->node_id);
    memcpy(w->version_id, version.id, sizeof w->version_id);
    return CP_OK;
}

static void no_kill_loses_content(void **state)
{
    struct world w = {.root = "/tmp/castpoint-crash.XXXXXX"};
    struct cp_error err = {.code = CP_OK};
    char hurt[DB_DIGEST_SIZE] = "";
    char command[128];
    unsigned died_at_work = 0;
    uint64_t tasks = 0;
    struct cp_prng prng;

    (void)state;
    assert_non_null(mkdtemp(w.root));
    must(db_pool_open(getenv("CASTPOINT_TEST_DB"), 2, &w.db, &err), &err);
    must(db_migrate(w.db, &err), &err);
    must(db_run_tx(w.db, "rows", make_rows, &w, &err), &err);
    db_pool_close(w.db);
    (void)snprintf(command, sizeof command,
                   "psql -qX \"$CASTPOINT_TEST_DB\" -c 'UPDATE settings SET library_grace_hours = "
                   "0, library_validate_rate_bps = NULL'");
    assert_int_equal(system(command), 0);
    cp_prng_seed(&prng, SEED);
    for (unsigned i = 0; i < ROUNDS; i++) {
        print_message("round %u\n", i);
        live_and_die(&w, SEED + i, below(&prng, 200));
        enter(&w);
        check(&w, hurt);
        assert_int_equal(files_in(&w, BLOB_IN_STORE), whole_rows(&w));
        for (unsigned n = 0; n < CONTENTS; n++) {
            put(&w, n, n); /* heals whatever was hurt */
        }
        check(&w, "");
        /* Four are ours; those that died did some too. */
        died_at_work += no_task_failed(&w) - tasks > 4;
        tasks = no_task_failed(&w);
        hurt_one(&w, hurt);
        leave(&w);
    }
    assert_true(died_at_work > ROUNDS / 2);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", w.root);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_kill_loses_content)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
