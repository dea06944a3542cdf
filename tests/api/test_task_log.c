/* SPDX-License-Identifier: Apache-2.0
 * What tasks say in their logs: what they did, what they found, and why they failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/api/library_rig.h"

#define CONTENT "content of a log"

/* ---- sealing ---- */

static struct rig_call seal_of(const char *package, char path[128])
{
    (void)snprintf(path, 128, "/api/v1/packages/%s/versions/1/seal", package);
    return (struct rig_call){.method = API_POST, .path = path};
}

static void a_seal_says_what_it_reads_and_made(void **state)
{
    (void)state;
    rig_package(rig, "log", "");
    rig_put(rig, "log", 1, "a.bin", CONTENT);
    rig_put(rig, "log", 1, "b.bin", "b");
    rig_seal(rig, "log", 1);
    rig_log_says("seal-version", "info",
                 "Reading 2 files (17 bytes) of version 1 of package 'log'.");
    rig_log_says("seal-version", "info", "Reading 'a.bin' (16 bytes).");
    rig_log_says("seal-version", "info", "Reading 'b.bin' (1 bytes).");
    rig_log_says("seal-version", "info", "Sealed 2 files (17 bytes); the manifest is ");
}

/* However many files there are: each has less than a hundredth of it all. */
static void small_files_do_not_flood_the_log(void **state)
{
    (void)state;
    rig_package(rig, "many", "");
    rig_put(rig, "many", 1, "f", "x");
    rig_sql(
        "INSERT INTO files (version_id, path, sha256, size) SELECT version_id, 'f' || n, sha256,"
        " size FROM files f JOIN versions v ON v.id = f.version_id JOIN packages p ON"
        " p.id = v.package_id, generate_series(1, 200) n WHERE p.name = 'many';"
        " UPDATE versions SET file_bytes = 201, file_count = 201"
        " WHERE package_id = (SELECT id FROM packages WHERE name = 'many')");
    rig_seal(rig, "many", 1);
    assert_int_equal(rig_log_lines("seal-version"), 2);
}

static void a_seal_that_fails_names_the_file(void **state)
{
    char path[128];
    struct rig_call call = seal_of("gone", path);

    (void)state;
    rig_package(rig, "gone", "");
    rig_put(rig, "gone", 1, "folder/lost.bin", "lost");
    assert_int_equal(unlink(library_path("lost")), 0);
    rig_task_fails(rig, RIG_OPERATOR, &call, "blob-missing", "lost.bin");
    rig_log_says("seal-version", "info", "Reading 'folder/lost.bin' (4 bytes).");
    rig_log_says("seal-version", "error",
                 "The content of 'folder/lost.bin' is not in the library: upload the file again.");
}

/* The sentence ends within a character of the name. */
static void a_long_name_does_not_hide_the_failure(void **state)
{
    char path[128];
    struct rig_call call = seal_of("long", path);

    (void)state;
    rig_package(rig, "long", "");
    rig_put(rig, "long", 1, "f", "long");
    rig_sql("UPDATE files SET path = repeat('\xc3\xbc', 120) || '/' || repeat('\xc3\xbc', 120)"
            " WHERE path = 'f' AND size = 4");
    assert_int_equal(unlink(library_path("long")), 0);
    rig_task_fails(rig, RIG_OPERATOR, &call, "blob-missing", NULL);
    rig_log_says("seal-version", "error", "?' is not in the library: upload the file again.");
}

/* PostgreSQL's words are for the service's log. */
static void attempts_and_their_end_are_told(void **state)
{
    char path[128];
    struct rig_call call = seal_of("refused", path);

    (void)state;
    rig_package(rig, "refused", "");
    rig_put(rig, "refused", 1, "a.bin", "refused");
    rig_sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
            " RAISE EXCEPTION ''role secret'' USING ERRCODE = ''53100''; END';"
            "CREATE TRIGGER refuse BEFORE UPDATE OF state ON versions FOR EACH ROW EXECUTE FUNCTION"
            " refuse()");
    rig_task_fails(rig, RIG_OPERATOR, &call, "database-unavailable", NULL);
    rig_sql("DROP FUNCTION refuse CASCADE");
    rig_log_says("seal-version", "warning", "Attempt 1 of 5 failed, the next follows: ");
    rig_log_says("seal-version", "warning", "Attempt 4 of 5 failed, the next follows: ");
    rig_sql("SELECT 1 / (count(*) = 0)::int AS hidden FROM task_log WHERE text LIKE '%secret%'");
    rig_sql("SELECT 1 / (count(*) = 0)::int AS hidden FROM tasks WHERE detail LIKE '%secret%'");
    rig_sql("SELECT 1 / (count(*) = 1)::int AS told FROM task_log l JOIN tasks t ON t.id = task_id"
            " WHERE t.code = 'database-unavailable' AND l.level = 'error' AND l.text = t.detail");
}

/* ---- the library ---- */

static void remove_package(const char *package)
{
    char path[128];
    char match[128];
    struct rig_call call = {.method = API_DELETE, .path = path, .headers = {match}};

    (void)snprintf(path, sizeof path, "/api/v1/packages/%s", package);
    rig_if_match(rig, path, match);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
}

static void a_collection_says_what_went_and_what_waits(void **state)
{
    char command[512];
    const char *path = library_path("stray");

    (void)state;
    json_decref(library_work("collect", NULL));
    rig_log_says("collect-garbage", "info", "Nothing was to be removed.");
    rig_package(rig, "old", "");
    rig_put(rig, "old", 1, "a.bin", "old");
    rig_put(rig, "old", 1, "b.bin", "young");
    remove_package("old");
    (void)snprintf(
        command, sizeof command,
        "UPDATE blobs SET unused_since = now() - interval '73 hours' WHERE sha256 = '%s'",
        library_digest("old"));
    rig_sql(command);
    path = library_path("stray");
    (void)snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\" && printf stray > '%s'",
                   path, path);
    assert_int_equal(system(command), 0);
    json_decref(library_work("collect?dry_run=true", NULL));
    rig_log_says("collect-garbage", "info", "Would remove 1 blob that no file has (3 bytes), ");
    rig_log_says("collect-garbage", "info",
                 ": 1 blob that no file has, and no files without a row");
    json_decref(library_work("collect", NULL));
    rig_log_says("collect-garbage", "info", "Removed 1 blob that no file has (3 bytes), no files ");
    rig_log_says("collect-garbage", "info",
                 ": 1 blob that no file has, and 1 file without a row (1 of them found now).");
    json_decref(library_work("collect", NULL));
    rig_log_says("collect-garbage", "info", "and 1 file without a row (0 of them found now).");
}

static void a_recount_says_what_was_wrong(void **state)
{
    char words[256];

    (void)state;
    (void)snprintf(words, sizeof words,
                   "UPDATE blobs SET reference_count = 7 WHERE sha256 = '%s';"
                   "UPDATE library_totals SET bytes = bytes + 5 WHERE part = 'a'",
                   library_digest(CONTENT));
    rig_sql(words);
    json_decref(library_work("recount", NULL));
    (void)snprintf(words, sizeof words, "Content %s has 1 reference, not 7: its ",
                   library_digest(CONTENT));
    rig_log_says("recount-references", "warning", words);
    rig_log_says("recount-references", "warning", "whose digest begins with 'a' has ");
    rig_log_says("recount-references", "info", ": 1 count was wrong, and 1 of the 16 ");
    json_decref(library_work("recount", NULL));
    rig_log_says("recount-references", "info", ": no counts were wrong, and 0 of the 16 ");
    assert_int_equal(rig_log_lines("recount-references"), 1);
}

/* Of a page of blobs a hundred are named. */
static void many_that_are_wrong_do_not_flood_the_log(void **state)
{
    json_t *result;

    (void)state;
    rig_sql("INSERT INTO blobs (sha256, size) SELECT encode(sha256(n::text::bytea), 'hex'), 1"
            " FROM generate_series(1, 120) n; UPDATE blobs SET reference_count = 3,"
            " unused_since = NULL WHERE size = 1");
    result = library_work("recount", NULL);
    assert_true(rig_number_in(result, "wrong") >= 120);
    json_decref(result);
    rig_log_says("recount-references", "warning", "has no references, not 3: its count is ");
    rig_log_says("recount-references", "warning", "So are the counts of 2");
    assert_int_equal(rig_log_lines("recount-references"), 102);
    rig_sql("DELETE FROM blobs b WHERE size = 1 AND NOT EXISTS (SELECT FROM files f WHERE"
            " f.sha256 = b.sha256)");
}

static void a_validation_names_the_files(void **state)
{
    (void)state;
    library_damage(CONTENT, "something else..");
    json_decref(library_work("validate", "{\"package\": \"log\"}"));
    rig_log_says("validate-library", "error",
                 " (16 bytes) is damaged: it is 'a.bin' in version 1 of package 'log', and in 1 "
                 "version altogether; no sessions");
    rig_log_says("validate-library", "warning", "Read 2 blobs (");
    rig_package(rig, "again", "");
    rig_put(rig, "again", 1, "a.bin", CONTENT);
    json_decref(library_work("validate", "{\"package\": \"again\"}"));
    rig_log_says("validate-library", "info", "Read ");
}

/* ---- all of them ---- */

/* What nobody asks for, with nothing to do, too. */
static void everything_ends_with_a_sentence(void **state)
{
    static const char *const kinds[] = {"expire-uploads",   "collect-garbage", "recount-references",
                                        "validate-library", "drop-history",    "check-keys",
                                        "watch-access"};

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char sql[256];

        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO tasks (node_id, kind) SELECT id, '%s' FROM nodes", kinds[i]);
        rig_sql(sql);
        rig_work(rig);
        assert_true(rig_log_lines(kinds[i]) > 0);
    }
    rig_log_says("expire-uploads", "info", "Nothing was to be removed.");
    rig_log_says("drop-history", "info", "Forgot what ended more than ");
    rig_log_says("check-keys", "info", ": no keys and no secrets cannot be used.");
    rig_log_says("watch-access", "info", "Warned of no tokens that expire soon; forgot no failed ");
    rig_sql(
        "SELECT 1 / (count(*) = 0)::int AS silent FROM tasks t WHERE attempts > 0 AND NOT EXISTS"
        " (SELECT FROM task_log l WHERE l.task_id = t.id)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seal_says_what_it_reads_and_made),
        cmocka_unit_test(small_files_do_not_flood_the_log),
        cmocka_unit_test(a_seal_that_fails_names_the_file),
        cmocka_unit_test(a_long_name_does_not_hide_the_failure),
        cmocka_unit_test(attempts_and_their_end_are_told),
        cmocka_unit_test(a_collection_says_what_went_and_what_waits),
        cmocka_unit_test(a_recount_says_what_was_wrong),
        cmocka_unit_test(many_that_are_wrong_do_not_flood_the_log),
        cmocka_unit_test(a_validation_names_the_files),
        cmocka_unit_test(everything_ends_with_a_sentence),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
