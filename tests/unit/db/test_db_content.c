/* SPDX-License-Identifier: Apache-2.0
 * Packages, versions, files, blobs: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/blob.h"

static void test_package(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_package p = {.name = "win11",
                           .description = "Windows “11”",
                           .policy = DB_POLICY_REQUIRE,
                           .encrypt = true,
                           .access = DB_ACCESS_ANONYMOUS};
    const struct db_package_list all = {.after = ""};
    const struct db_package_list behind = {.after = "debian"};
    struct db_package got, list[2];
    size_t count;

    OK(f, db_package_create(c, &p, &got, &f->err));
    assert_string_equal(got.description, "Windows “11”");
    assert_int_equal(got.policy, DB_POLICY_REQUIRE);
    assert_int_equal(got.access, DB_ACCESS_ANONYMOUS);
    assert_int_equal(got.current_version, 0);
    assert_true(got.revision > 0);
    REFUSED(f, CP_ERR_CONFLICT, db_package_create(c, &p, &got, &f->err));
    (void)snprintf(p.name, sizeof p.name, "Win 11");
    REFUSED(f, CP_ERR_INVALID, db_package_create(c, &p, &got, &f->err));
    (void)snprintf(p.name, sizeof p.name, "\xff\xfe");
    REFUSED(f, CP_ERR_INVALID, db_package_create(c, &p, &got, &f->err));
    REFUSED(f, CP_ERR_PACKAGE_NOT_FOUND, db_package_get(c, "none", &got, &f->err));

    OK(f, db_package_get(c, "win11", &got, &f->err));
    got.policy = DB_POLICY_OFF;
    got.encrypt = false;
    OK(f, db_package_update(c, &got, &p, &f->err));
    assert_int_equal(p.revision, got.revision + 1);
    assert_int_equal(p.policy, DB_POLICY_OFF);
    assert_false(p.encrypt);
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, db_package_update(c, &got, &p, &f->err));
    got.revision = DB_REVISION_ANY;
    OK(f, db_package_update(c, &got, &p, &f->err));
    (void)snprintf(got.id, sizeof got.id, "%s", f->node.id);
    REFUSED(f, CP_ERR_PACKAGE_NOT_FOUND, db_package_update(c, &got, &p, &f->err));

    (void)snprintf(got.name, sizeof got.name, "debian");
    OK(f, db_package_create(c, &got, &p, &f->err));
    OK(f, db_package_list(c, &all, 1, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].name, "debian");
    OK(f, db_package_list(c, &behind, 2, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].name, "win11");

    REFUSED(f, CP_ERR_PRECONDITION_FAILED, db_package_delete(c, "debian", 7, &f->err));
    OK(f, db_package_delete(c, "debian", DB_REVISION_ANY, &f->err));
    REFUSED(f, CP_ERR_PACKAGE_NOT_FOUND, db_package_delete(c, "debian", DB_REVISION_ANY, &f->err));
    fixture_commit(f);
}

static void test_drafts(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_draft(f, "win11");
    struct db_version second = fixture_draft(f, "win11");
    const struct db_version none = {.package = "none"};
    struct db_version got;
    struct db_conn *c;
    char *manifest;
    size_t size;

    assert_int_equal(v.number, 1);
    assert_int_equal(second.number, 2);
    assert_int_equal(v.state, DB_VERSION_DRAFT);
    assert_int_equal(v.policy, DB_POLICY_PREFER);
    c = fixture_begin(f);
    REFUSED(f, CP_ERR_PACKAGE_NOT_FOUND, db_version_create(c, &none, &got, &f->err));
    REFUSED(f, CP_ERR_VERSION_NOT_SEALED, db_version_get(c, "win11", 0, &got, &f->err));
    REFUSED(f, CP_ERR_VERSION_NOT_FOUND, db_version_get(c, "win11", 3, &got, &f->err));
    REFUSED(f, CP_ERR_VERSION_NOT_FOUND, db_version_get(c, "win11", UINT32_MAX, &got, &f->err));
    REFUSED(f, CP_ERR_PACKAGE_NOT_FOUND, db_version_get(c, "none", 0, &got, &f->err));
    REFUSED(f, CP_ERR_CONTENT_EMPTY, fixture_seal(f, v.id, 1, &got));
    REFUSED(f, CP_ERR_CONFLICT, db_version_retire(c, v.id, v.revision, &got, &f->err));
    REFUSED(f, CP_ERR_VERSION_NOT_SEALED, db_version_manifest(c, v.id, &manifest, &size, &f->err));
    REFUSED(f, CP_ERR_VERSION_NOT_FOUND, db_version_set_signature(c, v.id, "x..y", v.id, &f->err));
    fixture_commit(f);
}

static void test_seal(void **state)
{
    static const char key[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    struct fixture *f = *state;
    struct db_version v = fixture_draft(f, "win11");
    const int64_t first = v.revision;
    struct db_version got;
    struct db_package p;
    struct db_conn *c;
    char *manifest;
    size_t size;

    (void)fixture_draft(f, "win11");
    fixture_put(f, v.id, "a/empty", 0);
    c = fixture_begin(f);
    REFUSED(f, CP_ERR_CONTENT_EMPTY, fixture_seal(f, v.id, 2, &got));
    fixture_commit(f);
    fixture_put(f, v.id, "a/empty", 5);
    c = fixture_begin(f);
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, fixture_seal(f, v.id, 2, &got));
    v.revision = DB_REVISION_ANY;
    OK(f, db_version_update(c, &v, &got, &f->err)); /* no change of its files */
    assert_int_equal(got.files_revision, 3);
    assert_int_equal(got.revision, first + 3);
    OK(f, fixture_seal(f, v.id, 3, &got));
    assert_int_equal(got.state, DB_VERSION_SEALED);
    assert_int_equal(got.revision, first + 4);
    assert_int_equal(got.file_count, 1);
    assert_int_equal(got.file_bytes, 5);
    assert_int_equal(got.manifest_size, 13);
    assert_int_equal(got.content_size, 900);
    assert_true(got.sealed_at > 0);
    REFUSED(f, CP_ERR_VERSION_SEALED, fixture_seal(f, v.id, 4, &got));
    OK(f, db_version_manifest(c, v.id, &manifest, &size, &f->err));
    assert_int_equal(size, 13);
    assert_string_equal(manifest, "{\"format\": 1}");
    free(manifest);
    OK(f, db_version_get(c, "win11", 0, &got, &f->err));
    assert_int_equal(got.number, 1);
    OK(f, db_package_get(c, "win11", &p, &f->err));
    assert_int_equal(p.current_version, 1);
    assert_int_equal(p.version_count, 2);
    OK(f, db_version_set_signature(c, v.id, "other..signature", key, &f->err));
    OK(f, db_version_get(c, "win11", 1, &got, &f->err));
    assert_string_equal(got.manifest_signature, "other..signature");
    assert_int_equal(got.revision, first + 5); /* the signature is shown */
    fixture_commit(f);
}

static void test_version_lists(void **state)
{
    struct fixture *f = *state;
    const struct db_version_list newest = {.package = "win11"};
    const struct db_version_list below = {.package = "win11", .after = 2};
    const struct db_version_list sealed = {
        .package = "win11", .state = "sealed", .ascending = true};
    const struct db_version_list of_none = {.package = "none"};
    struct db_version list[3];
    struct db_conn *c;
    size_t count;

    (void)fixture_sealed(f, "win11");
    (void)fixture_draft(f, "win11");
    c = fixture_begin(f);
    OK(f, db_version_list(c, &newest, 3, list, &count, &f->err));
    assert_int_equal(count, 2);
    assert_int_equal(list[0].number, 2);
    OK(f, db_version_list(c, &below, 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].number, 1);
    REFUSED(f, CP_ERR_PACKAGE_NOT_FOUND, db_version_list(c, &of_none, 3, list, &count, &f->err));
    OK(f, db_version_list(c, &sealed, 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].number, 1);
    fixture_commit(f);
}

static void test_version_ends(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_version second = fixture_draft(f, "win11");
    struct db_conn *c = fixture_begin(f);
    struct db_version got;

    REFUSED(f, CP_ERR_CONFLICT, db_version_delete(c, v.id, DB_REVISION_ANY, &f->err));
    OK(f, db_version_retire(c, v.id, v.revision, &got, &f->err));
    assert_int_equal(got.state, DB_VERSION_RETIRED);
    assert_int_equal(got.revision, v.revision + 1);
    OK(f, db_version_retire(c, v.id, got.revision, &got, &f->err)); /* again: no change */
    REFUSED(f, CP_ERR_VERSION_NOT_SEALED, db_version_get(c, "win11", 0, &got, &f->err));
    OK(f, db_version_delete(c, v.id, v.revision + 1, &f->err));
    REFUSED(f, CP_ERR_VERSION_NOT_FOUND, db_version_delete(c, v.id, v.revision + 1, &f->err));
    fixture_commit(f);

    /* A number is never used twice. */
    c = fixture_begin(f);
    OK(f, db_version_delete(c, second.id, DB_REVISION_ANY, &f->err));
    OK(f, db_version_create(c, &v, &got, &f->err));
    assert_int_equal(got.number, 3);
    fixture_commit(f);
}

static enum cp_err put(struct fixture *f, const char *version_id, const char *path, char digit,
                       const char *expected, bool *ret_created)
{
    struct db_file file = {.size = 10, .mode = 493};
    struct db_file_condition c = {.match = ""};
    bool must_be_new = expected != NULL && expected[0] == '\0';

    (void)snprintf(c.match, sizeof c.match, "%s", expected != NULL ? expected : "");
    (void)snprintf(c.none_match, sizeof c.none_match, "%s", must_be_new ? "*" : "");
    (void)snprintf(file.path, sizeof file.path, "%s", path);
    memset(file.sha256, digit, 64);
    return db_file_put(f->conn, version_id, &file, &c, ret_created, &f->err);
}

static void test_files(void **state)
{
    struct fixture *f = *state;
    const struct db_file_condition never = {.match = DB_FILE_MATCH_NEVER};
    struct db_version v = fixture_draft(f, "win11");
    struct db_conn *c = fixture_begin(f);
    struct db_file got, list[4];
    struct db_version after;
    size_t count;
    bool created = false;

    OK(f, put(f, v.id, "sources/install.wim", 'a', NULL, &created));
    assert_true(created);
    OK(f, put(f, v.id, "sources/install.wim", 'b', NULL, &created));
    assert_false(created);
    OK(f, db_file_get(c, v.id, "sources/install.wim", &got, &f->err));
    assert_int_equal(got.sha256[0], 'b');
    assert_int_equal(got.mode, 493);
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, put(f, v.id, "sources/install.wim", 'c', "", &created));
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, put(f, v.id, "new", 'c', got.sha256, &created));
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, put(f, v.id, "new", 'c', "*", &created));
    OK(f, put(f, v.id, "sources/install.wim", 'c', got.sha256, &created));
    OK(f, put(f, v.id, "setup.exe", 'c', "", &created));

    /* The same path but for case, a folder where a file is, a file where a folder is. */
    REFUSED(f, CP_ERR_PATH_DUPLICATE, put(f, v.id, "SETUP.exe", 'c', NULL, &created));
    assert_non_null(strstr(f->err.text, "setup.exe"));
    REFUSED(f, CP_ERR_PATH_DUPLICATE, put(f, v.id, "Setup.EXE/below", 'c', NULL, &created));
    REFUSED(f, CP_ERR_PATH_DUPLICATE, put(f, v.id, "Sources", 'c', NULL, &created));
    OK(f, put(f, v.id, "sources.txt", 'c', NULL, &created));
    OK(f, put(f, v.id, "source", 'c', NULL, &created));

    OK(f, db_file_list(c, v.id, "", 4, list, &count, &f->err));
    assert_int_equal(count, 4);
    assert_string_equal(list[0].path, "setup.exe");
    assert_string_equal(list[1].path, "source");
    assert_string_equal(list[2].path, "sources.txt"); /* '.' sorts before '/' */
    assert_string_equal(list[3].path, "sources/install.wim");
    OK(f, db_file_list(c, v.id, "source", 1, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].path, "sources.txt");

    OK(f, db_version_get(c, "win11", 1, &after, &f->err));
    assert_int_equal(after.file_count, 4);
    assert_int_equal(after.file_bytes, 40);
    assert_int_equal(after.revision, v.revision + 6);
    REFUSED(f, CP_ERR_NOT_FOUND, db_file_delete(c, v.id, "none", NULL, &f->err));
    REFUSED(f, CP_ERR_PRECONDITION_FAILED, db_file_delete(c, v.id, "source", &never, &f->err));
    OK(f, db_file_delete(c, v.id, "source", NULL, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_file_get(c, v.id, "source", &got, &f->err));
    OK(f, db_version_get(c, "win11", 1, &after, &f->err));
    assert_int_equal(after.file_count, 3);
    assert_int_equal(after.file_bytes, 30);
    OK(f, db_version_delete(c, v.id, after.revision, &f->err));
    fixture_commit(f);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM files"), 0);
}

static void test_wrong_paths(void **state)
{
    static const char *const wrong[] = {"/etc/passwd", "a/../b", "a//b", "a\\b", ""};
    struct fixture *f = *state;
    struct db_version v = fixture_draft(f, "win11");
    bool created;

    (void)fixture_begin(f);
    for (size_t i = 0; i < DB_COUNT(wrong); i++) {
        REFUSED(f, CP_ERR_INVALID, put(f, v.id, wrong[i], 'c', NULL, &created));
    }
    REFUSED(f, CP_ERR_VERSION_NOT_FOUND, put(f, f->node.id, "x", 'c', NULL, &created));
    fixture_commit(f);
}

struct putting {
    struct fixture *f;
    const char *version_id;
    char digit;
    enum cp_err rc;
};

static enum cp_err putting_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    const struct putting *p = arg;
    struct db_file file = {.path = "x", .size = 10};
    bool created;

    memset(file.sha256, p->digit, 64);
    return db_file_put(conn, p->version_id, &file, NULL, &created, err);
}

static void *putting_thread(void *arg)
{
    struct putting *p = arg;

    p->rc = db_run_tx(p->f->pool, "put", putting_body, p, NULL);
    return NULL;
}

/* While the first of the two contents is busy, the second one is not taken: so nobody who goes the
 * other way can have the one and wait for the other. */
static void test_two_contents_are_locked_in_order(void **state)
{
    struct fixture *f = *state;
    struct db_version one = fixture_draft(f, "one");
    struct db_version two = fixture_draft(f, "two");
    struct putting p = {.f = f, .version_id = one.id, .digit = 'b'};
    pthread_t thread;
    bool created;

    (void)fixture_begin(f);
    OK(f, put(f, one.id, "x", 'a', NULL, &created));
    OK(f, put(f, two.id, "x", 'b', NULL, &created));
    fixture_commit(f);
    (void)fixture_begin(f);
    fixture_sql(f, "SELECT 1 FROM blobs WHERE sha256 = repeat('a', 64) FOR UPDATE");
    assert_int_equal(pthread_create(&thread, NULL, putting_thread, &p), 0);
    while (fixture_number(f, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0) {
        (void)sched_yield();
    }
    fixture_sql(f, "SELECT 1 FROM blobs WHERE sha256 = repeat('b', 64) FOR UPDATE NOWAIT");
    fixture_commit(f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(p.rc, CP_OK);
}

static void test_blob_size_must_agree(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_draft(f, "win11");
    struct db_file file = {.path = "x", .size = 10};
    bool created;

    memset(file.sha256, 'e', 64);
    (void)fixture_begin(f);
    OK(f, db_file_put(f->conn, v.id, &file, NULL, &created, &f->err));
    file.size = 11;
    REFUSED(f, CP_ERR_STORAGE, db_file_put(f->conn, v.id, &file, NULL, &created, &f->err));
    fixture_commit(f);
}

/* Everything that could change sealed content is refused by the database itself. */
static void test_sealed_is_immutable(void **state)
{
    static const char *const attempts[] = {
        "UPDATE files SET sha256 = sha256, mode = 0",
        "DELETE FROM files",
        "INSERT INTO files (version_id, path, sha256, size)"
        " SELECT id, 'more', repeat('0', 61) || '3e8', 1 FROM versions",
        "UPDATE versions SET manifest = 'x'",
        "UPDATE versions SET manifest_sha256 = repeat('0', 64)",
        "UPDATE versions SET stream_size = 1001",
        "UPDATE versions SET content_size = 1",
        "UPDATE versions SET sealed_at = now() + interval '1 s'",
        "UPDATE versions SET state = 'draft', manifest = NULL, manifest_sha256 = NULL,"
        " manifest_signature = NULL, manifest_key = NULL, stream_size = NULL,"
        " content_size = NULL, sealed_at = NULL",
        "UPDATE versions SET number = 9",
        "UPDATE versions SET file_count = 2",
    };
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_file file = {.path = "x", .size = 1000};
    struct db_conn *c = fixture_begin(f);
    bool created;

    for (size_t i = 0; i < DB_COUNT(attempts); i++) {
        REFUSED(f, CP_ERR_VERSION_SEALED, db_conn_text(c, attempts[i], &f->err));
    }
    (void)snprintf(file.sha256, sizeof file.sha256, "%064x", 1000);
    REFUSED(f, CP_ERR_VERSION_SEALED, db_file_put(c, v.id, &file, NULL, &created, &f->err));
    REFUSED(f, CP_ERR_VERSION_SEALED, db_file_delete(c, v.id, "install.wim", NULL, &f->err));
    fixture_sql(f, "UPDATE versions SET state = 'retired', retired_at = now()");
    REFUSED(f, CP_ERR_VERSION_SEALED,
            db_conn_text(c, "UPDATE versions SET state = 'sealed', retired_at = NULL", &f->err));
    REFUSED(f, CP_ERR_VERSION_SEALED, db_conn_text(c, "DELETE FROM files", &f->err));
    /* Going as a whole is another matter. */
    OK(f, db_package_delete(c, "win11", DB_REVISION_ANY, &f->err));
    fixture_commit(f);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM files"), 0);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM blobs"), 1);
}

struct race {
    struct fixture *f;
    const char *version_id;
    enum cp_err rc;
};

static enum cp_err seal_race_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const char digest[] = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
    const struct race *r = arg;
    const struct db_seal seal = {.manifest = "{}",
                                 .manifest_size = 2,
                                 .manifest_sha256 = digest,
                                 .manifest_signature = "a..b",
                                 .manifest_key = digest,
                                 .stream_size = 10,
                                 .content_size = 0};
    struct db_version v;

    return db_version_seal(conn, r->version_id, DB_REVISION_ANY, &seal, &v, err);
}

static void *seal_thread(void *arg)
{
    struct race *r = arg;

    r->rc = db_run_tx(r->f->pool, "seal", seal_race_body, r, NULL);
    return NULL;
}

static void test_one_of_many_seals(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_draft(f, "win11");
    pthread_t threads[4];
    struct race races[4];
    int sealed = 0;

    fixture_put(f, v.id, "x", 10);
    for (size_t i = 0; i < 4; i++) {
        races[i] = (struct race){.f = f, .version_id = v.id};
        assert_int_equal(pthread_create(&threads[i], NULL, seal_thread, &races[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        sealed += races[i].rc == CP_OK;
        assert_true(races[i].rc == CP_OK || races[i].rc == CP_ERR_VERSION_SEALED);
    }
    assert_int_equal(sealed, 1);
}

static void test_blobs(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_version d = fixture_draft(f, "debian");
    struct db_blob_user users[DB_BLOB_USERS_MAX];
    struct db_blob blob, unused[3];
    char sha256[DB_DIGEST_SIZE];
    struct db_conn *c;
    size_t count;
    bool deleted = true;

    fixture_put(f, d.id, "copy", 1000);
    fixture_put(f, d.id, "other", 7);
    (void)snprintf(sha256, sizeof sha256, "%064x", 1000);
    c = fixture_begin(f);
    OK(f, db_blob_get(c, sha256, &blob, &f->err));
    assert_int_equal(blob.size, 1000);
    OK(f, db_blob_users(c, sha256, "", users, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(users[0].version_id, v.id);
    assert_int_equal(users[0].state, DB_VERSION_SEALED);
    assert_string_equal(users[1].package, "debian");
    OK(f, db_blob_delete(c, sha256, 0, &deleted, &f->err));
    assert_false(deleted);
    OK(f, db_file_delete(c, d.id, "other", NULL, &f->err));
    fixture_commit(f);

    fixture_sql(f, "UPDATE blobs SET unused_since = now() - interval '1 minute'"
                   " WHERE unused_since IS NOT NULL");
    c = fixture_begin(f);
    OK(f, db_blob_unused(c, 3600, "", 3, unused, &count, &f->err));
    assert_int_equal(count, 0);
    OK(f, db_blob_unused(c, 1, "", 3, unused, &count, &f->err));
    assert_int_equal(count, 1);
    assert_int_equal(unused[0].size, 7);
    assert_int_equal(unused[0].references, 0);
    OK(f, db_blob_delete(c, unused[0].sha256, 3600, &deleted, &f->err));
    assert_false(deleted); /* not for an hour */
    OK(f, db_blob_delete(c, unused[0].sha256, 1, &deleted, &f->err));
    assert_true(deleted);
    REFUSED(f, CP_ERR_NOT_FOUND, db_blob_get(c, unused[0].sha256, &blob, &f->err));
    fixture_commit(f);
}

/* Who may fetch by digest is decided over all versions, though few are looked at. */
static void test_many_versions_share_a_blob(void **state)
{
    struct fixture *f = *state;
    struct db_version old = fixture_draft(f, "old");
    struct db_version many = fixture_draft(f, "many");
    struct db_blob_user users[DB_BLOB_USERS_MAX];
    struct db_version v = {.number = 0};
    bool created, found_old = false, found_joined = false;
    struct db_conn *c;
    char sha256[DB_DIGEST_SIZE] = "";
    size_t count;

    memset(sha256, 'a', 64);
    fixture_sql(f, "UPDATE packages SET access = 'anonymous' WHERE name = 'old'");
    c = fixture_begin(f);
    OK(f, put(f, old.id, "x", 'a', NULL, &created));
    fixture_commit(f);
    c = fixture_begin(f);
    for (int i = 0; i < 2 * DB_BLOB_USERS_MAX; i++) {
        OK(f, db_version_create(c, &many, &v, &f->err));
        OK(f, put(f, v.id, "x", 'a', NULL, &created));
    }
    OK(f, put(f, many.id, "x", 'a', NULL, &created));
    OK(f, db_blob_users(c, sha256, "", users, &count, &f->err));
    assert_int_equal(count, 2); /* one closed package, one open one */
    OK(f, db_blob_users(c, sha256, many.id, users, &count, &f->err));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        found_old = found_old || strcmp(users[i].package, "old") == 0;
        found_joined = found_joined || strcmp(users[i].version_id, many.id) == 0;
    }
    assert_true(found_old && found_joined);
    fixture_commit(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_package),
        TEST(test_drafts),
        TEST(test_seal),
        TEST(test_version_lists),
        TEST(test_version_ends),
        TEST(test_files),
        TEST(test_wrong_paths),
        TEST(test_two_contents_are_locked_in_order),
        TEST(test_blob_size_must_agree),
        TEST(test_sealed_is_immutable),
        TEST(test_one_of_many_seals),
        TEST(test_blobs),
        TEST(test_many_versions_share_a_blob),
    };

    return cmocka_run_group_tests_name("db content", tests, NULL, NULL);
}
