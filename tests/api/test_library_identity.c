/* SPDX-License-Identifier: Apache-2.0
 * Whose content library it is, and how long what nobody knows is kept: another database, an empty
 * one, and one restored from an older dump remove nothing that they should not. Time goes by the
 * hours that the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "content/blob_care.h"
#include "jobs/library.h"
#include "tests/api/library_rig.h"

#define UPLOAD "01234567-89ab-4cde-8f01-23456789abcd" /* that no row knows */
#define OTHER  "11111111-2222-4333-8444-555555555555" /* another database's library */

static uint64_t hours; /* later than it is */

uint64_t __real_cp_clock_wall(void);
uint64_t __wrap_cp_clock_wall(void);
uint64_t __wrap_cp_clock_wall(void)
{
    return __real_cp_clock_wall() + hours * 3600 * CP_SEC;
}

/* ---- steps ---- */

static void write_file(const char *path, const char *text)
{
    char folder[256];
    FILE *f;

    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    (void)mkdir(folder, 0700);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fputs(text, f) >= 0, 1);
    assert_int_equal(fclose(f), 0);
}

static const char *in_library(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/content/%s", rig->folder, name);
    return path;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static bool is_marked(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return (st.st_mode & S_ISVTX) != 0;
}

/* A number of what a collection told. */
static json_int_t collected(const char *name)
{
    json_t *result = library_work("collect", NULL);
    json_int_t number = rig_number_in(result, name);

    json_decref(result);
    return number;
}

static void expire(const char *state)
{
    char sql[256];

    rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'expire-uploads' FROM nodes");
    rig_work(rig);
    (void)snprintf(sql, sizeof sql,
                   "DO 'BEGIN ASSERT (SELECT state FROM tasks WHERE kind = ''expire-uploads''"
                   " ORDER BY number DESC LIMIT 1) = ''%s''; END'",
                   state);
    rig_sql(sql);
}

/* The rows of a file, as an older dump does not have them. */
static void forget_rows(const char *text)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql, "DELETE FROM files WHERE sha256 = '%s'", library_digest(text));
    rig_sql(sql);
    (void)snprintf(sql, sizeof sql, "DELETE FROM blobs WHERE sha256 = '%s'", library_digest(text));
    rig_sql(sql);
}

static void make_row(const char *text)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql, "INSERT INTO blobs (sha256, size) VALUES ('%s', %zu)",
                   library_digest(text), strlen(text));
    rig_sql(sql);
}

static void node_says(const char *library_id)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql, "UPDATE nodes SET library_id = %s%s%s",
                   library_id == NULL ? "NULL" : "'", library_id == NULL ? "" : library_id,
                   library_id == NULL ? "" : "'");
    rig_sql(sql);
}

/* What the node, and its library, say; they agree. */
static void same_identity(char ret_id[BLOB_IDENTITY_SIZE])
{
    struct rig_answer a =
        rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = LIBRARY}, 200);
    const json_t *identity = json_object_get(a.json, "identity");

    assert_int_equal(blob_identity_get(rig->ctx.blobs, ret_id, NULL), CP_OK);
    assert_string_equal(rig_text_in(identity, "id"), ret_id);
    assert_true(json_is_false(json_object_get(identity, "foreign")));
    assert_true(json_is_null(json_object_get(identity, "foreign_since")));
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = "/readyz"}, 200);
    assert_string_equal(rig_text(&a, "library"), "own");
    rig_answer_done(&a);
}

static void shown_as_foreign(void)
{
    struct rig_answer a =
        rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = LIBRARY}, 200);
    const json_t *identity = json_object_get(a.json, "identity");

    assert_true(json_is_true(json_object_get(identity, "foreign")));
    assert_true(json_is_string(json_object_get(identity, "foreign_since")));
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = "/readyz"}, 200);
    assert_string_equal(rig_text(&a, "status"), "ready");
    assert_string_equal(rig_text(&a, "library"), "foreign");
    rig_answer_done(&a);
}

static void collect_is_refused(void)
{
    rig_task_fails(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_POST, .path = LIBRARY "/collect"},
                   "library-foreign", "another database");
}

/* As the next start does it. */
static bool look(bool adopt)
{
    struct jobs_library library;
    struct cp_error err = {.code = CP_OK};

    if (jobs_library_look(&rig->jobs, adopt, &library, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
    return library.own;
}

/* ---- a first start ---- */

static void an_empty_library_becomes_the_nodes_own(void **state)
{
    char first[BLOB_IDENTITY_SIZE], then[BLOB_IDENTITY_SIZE];
    struct stat st;

    (void)state;
    same_identity(first);
    assert_int_equal(strlen(first), BLOB_IDENTITY_SIZE - 1);
    assert_int_equal(stat(in_library("identity"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true(look(false));
    same_identity(then);
    assert_string_equal(first, then);
    assert_int_equal(rig_events(rig, "library-foreign") + rig_events(rig, "library-accepted"), 0);
}

/* ---- the grace of what nobody knows ---- */

/* However old its file is, it waits from when it was seen. */
static void a_stray_waits_from_when_it_was_seen(void **state)
{
    (void)state;
    rig_package(rig, "image", "");
    rig_put(rig, "image", 1, "a.bin", "known");
    write_file(library_path("stray"), "stray");
    hours = 48;
    assert_int_equal(collected("stray_files"), 0);
    assert_true(is_marked(library_path("stray")));
    assert_false(is_marked(library_path("known")));
    hours = 0;
    assert_int_equal(collected("stray_files"), 0);
    hours = 23;
    assert_int_equal(collected("stray_files"), 0);
    assert_true(is_there(library_path("stray")));
    hours = 25;
    assert_int_equal(collected("stray_files"), 1);
    assert_false(is_there(library_path("stray")));
    assert_true(is_there(library_path("known")));
    hours = 0;
}

/* What was uploaded after the dump has no row, or one that says that nobody has had it for long. */
static void an_older_dump_removes_nothing_at_once(void **state)
{
    char sql[256];

    (void)state;
    rig_put(rig, "image", 1, "b.bin", "newer than the dump");
    rig_put(rig, "image", 1, "c.bin", "used again after the dump");
    forget_rows("newer than the dump");
    (void)snprintf(sql, sizeof sql, "DELETE FROM files WHERE sha256 = '%s'",
                   library_digest("used again after the dump"));
    rig_sql(sql);
    rig_sql("UPDATE blobs SET created_at = now() - interval '10 days',"
            " unused_since = now() - interval '9 days' WHERE reference_count = 0");
    hours = 48;
    assert_int_equal(collected("blobs"), 0);
    hours = 0;
    assert_int_equal(collected("stray_files"), 0);
    assert_true(is_marked(library_path("newer than the dump")));
    assert_true(is_marked(library_path("used again after the dump")));

    /* The right dump comes after all, and by an upload: they are nobody's strays any more. */
    make_row("newer than the dump");
    rig_put(rig, "image", 1, "c.bin", "used again after the dump");
    assert_false(is_marked(library_path("used again after the dump")));
    hours = 25;
    assert_int_equal(collected("stray_files"), 0);
    hours = 0;
    assert_false(is_marked(library_path("newer than the dump")));
    forget_rows("newer than the dump");
    hours = 25;
    assert_int_equal(collected("stray_files"), 0); /* its time begins anew */
    assert_int_equal(collected("stray_files"), 0 + 1);
    hours = 0;
}

static void what_is_left_of_an_upload_waits_too(void **state)
{
    char path[256];

    (void)state;
    (void)snprintf(path, sizeof path, "%s", in_library("partial/" UPLOAD));
    write_file(path, "half");
    hours = 48;
    expire("done");
    assert_true(is_marked(path));
    hours = 23;
    expire("done");
    assert_true(is_there(path));
    hours = 25;
    expire("done");
    assert_false(is_there(path));
    hours = 0;
}

/* ---- another database ---- */

static void nothing_is_removed_from_a_foreign_library(void **state)
{
    static const char file[] = "/api/v1/packages/image/versions/1/files/d.bin";
    struct rig_call call;
    struct rig_answer a;
    char path[256];
    json_t *result;

    (void)state;
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    write_file(library_path("theirs"), "theirs");
    (void)snprintf(path, sizeof path, "%s", in_library("partial/" UPLOAD));
    write_file(path, "half");
    node_says(OTHER);
    collect_is_refused();
    expire("failed");
    assert_false(look(false)); /* a start */
    collect_is_refused();
    assert_true(is_there(library_path("theirs")));
    assert_true(is_there(path));
    assert_false(is_marked(library_path("theirs")));
    shown_as_foreign();
    assert_int_equal(rig_events(rig, "library-foreign"), 1);

    /* Content goes in and out; damage is told, and left where it is. */
    rig_put(rig, "image", 1, "d.bin", "put into it");
    library_damage("put into it", "put into i!");
    result = library_work("validate", "{\"package\": \"image\"}");
    assert_int_equal(rig_number_in(result, "damaged"), 1);
    json_decref(result);
    assert_true(is_there(library_path("put into it")));
    call = rig_call_put(file, "put into it");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    call = rig_call_get(file);
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_string_equal(a.bytes, "put into it");
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "content-quarantined"), 0);
}

static void it_is_adopted_by_name_only(void **state)
{
    char before[BLOB_IDENTITY_SIZE], after[BLOB_IDENTITY_SIZE];
    int told = rig_events(rig, "library-accepted");

    (void)state;
    assert_int_equal(blob_identity_get(rig->ctx.blobs, before, NULL), CP_OK);
    assert_int_equal(
        blob_stray_mark(rig->ctx.blobs, BLOB_IN_STORE, library_digest("theirs"), true, NULL),
        CP_OK);
    assert_true(look(true));
    same_identity(after);
    assert_string_not_equal(before, after); /* the database that filled it sees a foreign one now */
    assert_string_not_equal(after, OTHER);
    assert_int_equal(rig_events(rig, "library-accepted"), told + 1);
    assert_false(is_marked(library_path("theirs"))); /* it waits for this database */
    assert_true(look(true));                         /* nothing to do */
    same_identity(before);
    assert_string_equal(before, after);
    assert_int_equal(rig_events(rig, "library-accepted"), told + 1);
    assert_int_equal(collected("stray_files"), 1);
    assert_false(is_there(library_path("theirs")));
    expire("done");
    assert_false(is_there(in_library("partial/" UPLOAD)));
    rig_settings(rig, "{\"library_grace_hours\": 24}");
}

/* Another disk was mounted there, and then the right one again. */
static void it_is_own_again_when_it_is_back(void **state)
{
    char own[BLOB_IDENTITY_SIZE];
    int told = rig_events(rig, "library-accepted");

    (void)state;
    same_identity(own);
    assert_int_equal(blob_identity_set(rig->ctx.blobs, OTHER, NULL), CP_OK);
    collect_is_refused();
    shown_as_foreign();
    assert_int_equal(blob_identity_set(rig->ctx.blobs, own, NULL), CP_OK);
    (void)collected("blobs");
    same_identity(own);
    assert_int_equal(rig_events(rig, "library-accepted"), told + 1);
}

/* ---- what is missing on one side ---- */

/* A kill between the row and the file; an upgrade; a dump from before the upgrade. */
static void a_known_library_is_own_without_an_identity(void **state)
{
    char own[BLOB_IDENTITY_SIZE], then[BLOB_IDENTITY_SIZE];

    (void)state;
    same_identity(own);
    assert_int_equal(unlink(in_library("identity")), 0);
    assert_true(look(false));
    same_identity(then);
    assert_string_equal(own, then);

    node_says(NULL);
    assert_true(look(false));
    same_identity(then);
    assert_string_equal(own, then);

    node_says(NULL);
    assert_int_equal(unlink(in_library("identity")), 0);
    assert_true(look(false));
    same_identity(then);
    assert_string_not_equal(own, then);
}

/* Two of three files are strangers; and a file that says nothing sensible. */
static void an_unknown_library_is_foreign_without_an_identity(void **state)
{
    int told = rig_events(rig, "library-foreign");
    char id[BLOB_IDENTITY_SIZE];

    (void)state;
    rig_sql("DELETE FROM files");
    rig_sql("DELETE FROM blobs");
    node_says(NULL);
    assert_false(look(false)); /* a new node, and a library of somebody */
    assert_int_equal(unlink(in_library("identity")), 0);
    assert_false(look(false)); /* whoever it was */
    assert_false(is_there(in_library("identity")));
    collect_is_refused();
    for (int i = 0; i < 8; i++) { /* it is foreign still when most of it came from this database */
        char name[16];

        (void)snprintf(name, sizeof name, "%d.bin", i);
        rig_put(rig, "image", 1, name, name);
    }
    assert_false(look(false));
    rig_sql("DELETE FROM files");
    rig_sql("DELETE FROM blobs");
    node_says(OTHER); /* killed while it was adopted */
    assert_false(look(false));
    write_file(in_library("identity"), "");
    assert_false(look(false));
    write_file(in_library("identity"), "not one\nof ours");
    assert_false(look(false));
    write_file(in_library("identity"), OTHER " and more");
    assert_false(look(false));
    assert_int_equal(rig_events(rig, "library-foreign"), told + 1);
    assert_true(look(true));
    same_identity(id);
}

/* With nothing in it there is nothing to lose. */
static void an_emptied_library_is_taken(void **state)
{
    char id[BLOB_IDENTITY_SIZE];

    (void)state;
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    (void)collected("stray_files");
    assert_int_equal(rig_blob_count(rig), 0);
    assert_int_equal(blob_identity_set(rig->ctx.blobs, OTHER, NULL), CP_OK);
    assert_true(look(false));
    same_identity(id);
    assert_string_not_equal(id, OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_library_becomes_the_nodes_own),
        cmocka_unit_test(a_stray_waits_from_when_it_was_seen),
        cmocka_unit_test(an_older_dump_removes_nothing_at_once),
        cmocka_unit_test(what_is_left_of_an_upload_waits_too),
        cmocka_unit_test(nothing_is_removed_from_a_foreign_library),
        cmocka_unit_test(it_is_adopted_by_name_only),
        cmocka_unit_test(it_is_own_again_when_it_is_back),
        cmocka_unit_test(a_known_library_is_own_without_an_identity),
        cmocka_unit_test(an_unknown_library_is_foreign_without_an_identity),
        cmocka_unit_test(an_emptied_library_is_taken),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
