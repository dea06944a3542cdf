/* SPDX-License-Identifier: Apache-2.0
 * Packages, their drafts and sealed versions: the good way, every refusal, and that nothing half-made
 * is ever visible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "content/sha256.h"
#include "tests/api/rig.h"

/* ---- packages ---- */

static void a_package_lives_and_dies(void **state)
{
    struct rig_call call = {
        .method = API_POST,
        .path = "/api/v1/packages",
        .body = "{\"name\": \"life\", \"description\": \"D\", \"multicast\": \"off\"}"};
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    char match[128];

    (void)state;
    assert_string_equal(rig_header(&a, "Location"), "/api/v1/packages/life");
    assert_string_equal(rig_text(&a, "multicast"), "off");
    assert_true(json_is_true(json_object_get(a.json, "encrypt")));
    assert_string_equal(rig_text(&a, "content_access"), "inherit");
    rig_answer_done(&a);
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "life");

    rig_if_match(rig, "/api/v1/packages/life", match);
    call = (struct rig_call){.method = API_PATCH,
                             .path = "/api/v1/packages/life",
                             .body = "{\"multicast\": \"require\"}"};
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-required", "If-Match");
    call.headers[0] = "If-Match: \"r999\"";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "r999");
    call.headers[0] = match;
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_string_equal(rig_text(&a, "multicast"), "require");
    assert_string_equal(rig_text(&a, "description"), "D");
    rig_answer_done(&a);
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", NULL); /* stale now */

    call = (struct rig_call){.method = API_DELETE, .path = "/api/v1/packages/life"};
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-required", NULL);
    rig_if_match(rig, "/api/v1/packages/life", match);
    call.headers[0] = match;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/packages/life"},
                "package-not-found", "life");
}

static void wrong_packages_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"name\": \"\"}",
        "{\"name\": \"Upper\"}",
        "{\"name\": \"-x\"}",
        "{\"name\": \"a b\"}",
        "{\"name\": \"a/b\"}",
        "{\"name\": \"ok\", \"multicast\": \"always\"}",
        "{\"name\": \"ok\", \"encrypt\": \"yes\"}",
        "{\"name\": \"ok\", \"content_access\": \"nobody\"}",
        "{\"name\": \"ok\", \"size\": 5}",
        "{\"name\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct rig_answer a = rig_expect(
            rig, RIG_OPERATOR,
            &(struct rig_call){.method = API_POST, .path = "/api/v1/packages", .body = bodies[i]},
            400);

        assert_true(json_array_size(json_object_get(a.json, "errors")) > 0);
        rig_answer_done(&a);
    }
}

static void lists_come_in_pages(void **state)
{
    char next[80] = "";
    int seen = 0;

    (void)state;
    for (int i = 0; i < 5; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "page-%d", i);
        rig_package(rig, name, "");
    }
    do {
        char path[160];
        struct rig_answer a;
        const json_t *items;

        (void)snprintf(path, sizeof path, "/api/v1/packages?limit=2&after=%s",
                       next[0] != '\0' ? next : "page-");
        a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
        items = json_object_get(a.json, "items");
        assert_true(json_array_size(items) <= 2);
        for (size_t i = 0; i < json_array_size(items); i++) {
            const char *name = json_string_value(json_object_get(json_array_get(items, i), "name"));
            char want[16];

            (void)snprintf(want, sizeof want, "page-%d", seen);
            if (strncmp(name, "page-", 5) == 0) {
                assert_string_equal(name, want);
                seen++;
            }
        }
        (void)snprintf(next, sizeof next, "%s",
                       json_is_null(json_object_get(a.json, "next")) ? "" : rig_text(&a, "next"));
        rig_answer_done(&a);
    } while (next[0] != '\0');
    assert_int_equal(seen, 5);
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/packages?limit=0"},
                "invalid-request", "limit");
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/packages?colour=red"},
                "invalid-request", "colour");
}

/* ---- seals ---- */

#define SEAL "/api/v1/packages/sealed/versions/1"

static void a_draft_without_content_is_not_sealed(void **state)
{
    struct rig_call call = {.method = API_POST, .path = SEAL "/seal"};

    (void)state;
    rig_package(rig, "sealed", "");
    rig_refused(rig, RIG_OPERATOR, &call, "content-empty", "no file");
    rig_put(rig, "sealed", 1, "b.txt", "beta");
    rig_put(rig, "sealed", 1, "a/z.txt", "alpha");
    /* an empty file that came into the database by another way */
    rig_sql("INSERT INTO blobs VALUES "
            "('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0); "
            "INSERT INTO files (version_id, path, sha256, size) SELECT v.id, 'void.txt', "
            "'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0 FROM versions v "
            "JOIN packages p ON p.id = package_id WHERE name = 'sealed'");
    rig_task_fails(rig, RIG_OPERATOR, &call, "content-empty", "void.txt");
    call = (struct rig_call){.method = API_DELETE, .path = SEAL "/files/void.txt"};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call = (struct rig_call){.method = API_GET, .path = "/api/v1/packages/sealed/versions/current"};
    rig_refused(rig, RIG_VIEWER, &call, "version-not-sealed", NULL);
}

static void a_seal_makes_the_manifest(void **state)
{
    struct rig_call call = {.method = API_GET, .path = SEAL "/manifest"};
    struct rig_answer a;
    const json_t *files;
    const json_t *event;

    (void)state;
    rig_refused(rig, RIG_VIEWER, &call, "version-not-sealed", NULL);
    rig_seal(rig, "sealed", 1);
    a = rig_expect(rig, RIG_CONTENT, &call, 200);
    files = json_object_get(a.json, "files");
    assert_int_equal(json_array_size(files), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(files, 0), "path")),
                        "a/z.txt");
    assert_int_equal(rig_number(&a, "stream_size"), 9);
    assert_int_equal(json_array_size(json_object_get(a.json, "chunks")), 1);
    assert_non_null(strstr(rig_header(&a, "X-Castpoint-Signature"), ".."));
    rig_answer_done(&a);
    call.path = "/api/v1/packages/sealed/versions/current";
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_int_equal(rig_number(&a, "version"), 1);
    assert_int_equal(rig_number(&a, "content_size"), 9);
    rig_answer_done(&a);
    call.path = "/api/v1/events?kind=version-sealed&limit=1";
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    event = json_array_get(json_object_get(a.json, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(event, "subject")),
                        "package sealed version 1");
    assert_string_equal(json_string_value(json_object_get(event, "actor")), "operator");
    rig_answer_done(&a);
}

/* While its task waits: the new draft of that name is not what was meant. */
static void a_seal_is_of_the_version_that_was_meant(void **state)
{
    struct rig_call seal = {.method = API_POST, .path = "/api/v1/packages/twice/versions/1/seal"};
    struct rig_call drop = {.method = API_DELETE, .path = "/api/v1/packages/twice"};
    struct rig_answer a;
    char match[128], old[128];

    (void)state;
    rig_package(rig, "twice", "");
    rig_put(rig, "twice", 1, "a.bin", "a");
    a = rig_expect(rig, RIG_OPERATOR, &seal, 202);
    (void)snprintf(old, sizeof old, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    rig_if_match(rig, drop.path, match);
    drop.headers[0] = match;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &drop), 204);
    rig_package(rig, "twice", "");
    rig_put(rig, "twice", 1, "half.bin", "h");
    rig_work(rig);
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = old}, 200);
    assert_string_equal(rig_text(&a, "state"), "failed");
    assert_string_equal(rig_text_in(json_object_get(a.json, "error"), "code"), "version-not-found");
    assert_non_null(strstr(rig_text_in(json_object_get(a.json, "error"), "detail"), "deleted"));
    rig_answer_done(&a);
    a = rig_expect(
        rig, RIG_VIEWER,
        &(struct rig_call){.method = API_GET, .path = "/api/v1/packages/twice/versions/1"}, 200);
    assert_string_equal(rig_text(&a, "state"), "draft");
    rig_answer_done(&a);

    /* and who asks for the new one does not get the old one's task */
    rig_sql("UPDATE tasks SET state = 'waiting', ended_at = NULL, code = '', detail = ''"
            " WHERE state = 'failed' AND subject = 'package twice version 1'");
    a = rig_expect(rig, RIG_OPERATOR, &seal, 202);
    assert_string_not_equal(rig_header(&a, "Location"), old);
    rig_answer_done(&a);
    rig_work(rig);
    rig_refused(rig, RIG_OPERATOR, &seal, "version-sealed", NULL);
}

/* Asks for a seal; before the task begins the SQL is done, or a file comes. */
static void seal_late(const char *package, const char *match, const char *sql)
{
    char path[128];
    struct rig_call seal = {.method = API_POST, .path = path, .headers = {match}};
    struct rig_answer a;

    (void)snprintf(path, sizeof path, "/api/v1/packages/%s/versions/1/seal", package);
    a = rig_expect(rig, RIG_OPERATOR, &seal, 202);
    rig_answer_done(&a);
    if (sql != NULL) {
        rig_sql(sql);
    } else {
        rig_put(rig, package, 1, "late", "beta");
    }
    rig_work(rig);
}

static void is_version(const char *package, const char *state, int files)
{
    char path[128];
    struct rig_answer a;

    (void)snprintf(path, sizeof path, "/api/v1/packages/%s/versions/1", package);
    a = rig_expect(rig, RIG_OPERATOR, &(struct rig_call){.method = API_GET, .path = path}, 200);
    assert_string_equal(rig_text(&a, "state"), state);
    assert_int_equal(rig_number(&a, "file_count"), files);
    rig_answer_done(&a);
}

/* Until the task begins files come and go: with If-Match it seals those that the caller has seen. */
static void a_seal_is_of_the_files_that_were_seen(void **state)
{
    static const char version[] = "/api/v1/packages/seen/versions/1";
    static const char tasks[] = "/api/v1/tasks?kind=seal-version&limit=1";
    struct rig_answer a;
    const json_t *task;
    char match[128];

    (void)state;
    rig_package(rig, "seen", "");
    rig_put(rig, "seen", 1, "a", "alpha");
    rig_if_match(rig, version, match);
    seal_late("seen", match, NULL);
    is_version("seen", "draft", 2);
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = tasks}, 200);
    task = json_array_get(json_object_get(a.json, "items"), 0);
    assert_string_equal(rig_text_in(json_object_get(task, "error"), "code"), "precondition-failed");
    rig_answer_done(&a);
    rig_if_match(rig, version, match);
    seal_late("seen", match, "UPDATE versions SET revision = revision + 1 WHERE sealed_at IS NULL");
    is_version("seen", "sealed", 2);
}

static void a_seal_without_if_match_is_of_what_there_is(void **state)
{
    (void)state;
    rig_package(rig, "unseen", "");
    rig_put(rig, "unseen", 1, "a", "alpha");
    seal_late("unseen", NULL, NULL);
    is_version("unseen", "sealed", 2);
    rig_package(rig, "any-seen", "");
    rig_put(rig, "any-seen", 1, "a", "alpha");
    seal_late("any-seen", "If-Match: *", NULL);
    is_version("any-seen", "sealed", 2);
}

/* Makes `change` happen to a version while it is being sealed: between its files' list and its
 * seal the task says how far it is. Without quotes. */
static void meanwhile(const char *change)
{
    char sql[512];

    (void)snprintf(sql, sizeof sql,
                   "CREATE FUNCTION meanwhile() RETURNS trigger LANGUAGE plpgsql AS"
                   " 'BEGIN %s; RETURN NULL; END';"
                   "CREATE TRIGGER meanwhile AFTER UPDATE OF total ON tasks"
                   " FOR EACH ROW EXECUTE FUNCTION meanwhile()",
                   change);
    rig_sql(sql);
}

static void a_seal_minds_nothing_but_files(void **state)
{
    struct rig_call seal = {.method = API_POST, .path = "/api/v1/packages/busy/versions/1/seal"};
    struct rig_answer a;

    (void)state;
    rig_package(rig, "busy", "");
    rig_put(rig, "busy", 1, "a.bin", "a");
    meanwhile("UPDATE versions SET revision = revision + 1, files_revision = files_revision + 1"
              " WHERE sealed_at IS NULL"); /* as db/file.c does */
    rig_task_fails(rig, RIG_OPERATOR, &seal, "conflict", "changed while it was being sealed");
    rig_sql("DROP FUNCTION meanwhile CASCADE");
    meanwhile("UPDATE versions SET revision = revision + 1, description = number::text"
              " WHERE sealed_at IS NULL");
    rig_seal(rig, "busy", 1);
    rig_sql("DROP FUNCTION meanwhile CASCADE");
    a = rig_expect(
        rig, RIG_VIEWER,
        &(struct rig_call){.method = API_GET, .path = "/api/v1/packages/busy/versions/1"}, 200);
    assert_string_equal(rig_text(&a, "description"), "1");
    rig_answer_done(&a);
}

static void a_sealed_version_never_changes(void **state)
{
    struct rig_call call = rig_call_put(SEAL "/files/c.txt", "gamma");
    char match[128];

    (void)state;
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", NULL);
    call = rig_call_put(SEAL "/files/b.txt", "other");
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", NULL);
    call = (struct rig_call){.method = API_DELETE, .path = SEAL "/files/b.txt"};
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", NULL);
    call = (struct rig_call){.method = API_POST, .path = SEAL "/seal"};
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", NULL);
    rig_if_match(rig, SEAL, match);
    call = (struct rig_call){.method = API_DELETE, .path = SEAL, .headers = {match}};
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", NULL);
}

/* An upload that began while the version was a draft ends after the seal: it must not get in. */
static void an_upload_that_ends_after_the_seal_is_refused(void **state)
{
    struct api_pair header = {"Authorization", NULL};
    char bearer[100];
    struct api_request rq = {.method = API_PUT,
                             .path = "/api/v1/packages/race/versions/1/files/late.bin",
                             .headers = &header,
                             .header_count = 1,
                             .content_length = 4,
                             .request_id = "r"};
    struct api_upload *u = NULL;
    struct api_response rs;

    (void)state;
    rig_package(rig, "race", "");
    rig_put(rig, "race", 1, "a.bin", "a");
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", rig->tokens[RIG_OPERATOR]);
    header.value = bearer;
    assert_true(api_upload_start(&rig->ctx, &rq, &u, &rs));
    assert_non_null(u);
    api_upload_data(u, "la", 2);
    rig_seal(rig, "race", 1);
    api_upload_data(u, "te", 2);
    rs = api_upload_finish(u, true);
    assert_int_equal(rs.status, 409);
    assert_non_null(strstr(rs.body, "version-sealed"));
    api_response_done(&rs);
}

static void missing_content_is_told_and_healed(void **state)
{
    struct rig_call seal = {.method = API_POST, .path = "/api/v1/packages/heal/versions/1/seal"};
    struct rig_call again =
        rig_call_put("/api/v1/packages/heal/versions/1/files/x.bin", "unique x");
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct cp_error err;

    (void)state;
    rig_package(rig, "heal", "");
    rig_put(rig, "heal", 1, "x.bin", "unique x");
    assert_int_equal(content_sha256("unique x", 8, digest), CP_OK);
    assert_int_equal(blob_remove(rig->ctx.blobs, digest, &err), CP_OK);
    rig_task_fails(rig, RIG_OPERATOR, &seal, "blob-missing", "x.bin");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &again), 200);
    rig_seal(rig, "heal", 1);
}

static void a_version_is_retired_and_deleted(void **state)
{
    struct rig_call call = {.method = API_POST, .path = "/api/v1/packages/race/versions/1/retire"};
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    char match[128];

    (void)state;
    assert_string_equal(rig_text(&a, "state"), "retired");
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200); /* again: no change */
    call = rig_call_get("/api/v1/packages/race/versions/1/manifest");
    rig_refused(rig, RIG_VIEWER, &call, "version-retired", "race");
    rig_if_match(rig, "/api/v1/packages/race/versions/1", match);
    call = (struct rig_call){
        .method = API_DELETE, .path = "/api/v1/packages/race/versions/1", .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call = rig_call_get("/api/v1/packages/race/versions/1");
    rig_refused(rig, RIG_VIEWER, &call, "version-not-found", NULL);
    /* numbers are never used twice */
    call = (struct rig_call){
        .method = API_POST, .path = "/api/v1/packages/race/versions", .body = "{}"};
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_int_equal(rig_number(&a, "version"), 2);
    rig_answer_done(&a);
    call.path = "/api/v1/packages/race/versions/2/retire";
    call.body = NULL;
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", NULL); /* a draft */
    call = rig_call_get("/api/v1/packages/race/versions?limit=1");
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    rig_answer_done(&a);
}

static void words_that_are_no_version(void **state)
{
    static const char *const words[] = {"0", "01x", "-1", "latest", "9999999999", "1.0"};

    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        char path[128];

        (void)snprintf(path, sizeof path, "/api/v1/packages/sealed/versions/%s", words[i]);
        rig_refused(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path},
                    "version-not-found", words[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_package_lives_and_dies),
        cmocka_unit_test(wrong_packages_are_refused),
        cmocka_unit_test(lists_come_in_pages),
        cmocka_unit_test(a_draft_without_content_is_not_sealed),
        cmocka_unit_test(a_seal_makes_the_manifest),
        cmocka_unit_test(a_seal_is_of_the_version_that_was_meant),
        cmocka_unit_test(a_seal_is_of_the_files_that_were_seen),
        cmocka_unit_test(a_seal_without_if_match_is_of_what_there_is),
        cmocka_unit_test(a_seal_minds_nothing_but_files),
        cmocka_unit_test(a_sealed_version_never_changes),
        cmocka_unit_test(an_upload_that_ends_after_the_seal_is_refused),
        cmocka_unit_test(missing_content_is_told_and_healed),
        cmocka_unit_test(a_version_is_retired_and_deleted),
        cmocka_unit_test(words_that_are_no_version),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
