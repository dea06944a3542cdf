/* SPDX-License-Identifier: Apache-2.0
 * How resumable uploads end: deleted, expired, put in their place, refused there, cut off by a crash;
 * every step may be repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "content/sha256.h"
#include "tests/api/upload_rig.h"

#define MATCH_NONE "0000000000000000000000000000000000000000000000000000000000000000"

/* ---- the end of it ---- */

static void it_is_deleted(void **state)
{
    char path[128];
    struct rig_call call = {.method = API_DELETE, .path = path, .headers = {UPLOAD_TUS}};
    int files = upload_partial_files();

    (void)state;
    upload_begin("deleted.bin", "Upload-Length: 6", path);
    upload_send(path, "Upload-Offset: 0", "abc", "3");
    assert_int_equal(upload_partial_files(), files + 1);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    assert_int_equal(upload_partial_files(), files);
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL);
    assert_true(rig_events(rig, "upload-deleted") >= 1);
}

static void ask_to_expire(void)
{
    rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'expire-uploads' FROM nodes");
    rig_work(rig);
}

static void it_expires(void **state)
{
    char path[128];
    struct rig_call call = {.method = API_HEAD, .path = path, .headers = {UPLOAD_TUS}};
    int files = upload_partial_files();
    int told = rig_events(rig, "upload-expired");

    (void)state;
    upload_begin("expired.bin", "Upload-Length: 6", path);
    upload_send(path, "Upload-Offset: 0", "abc", "3");
    ask_to_expire();
    upload_expect_offset(path, "3"); /* it is young */
    rig_sql("UPDATE uploads SET expires_at = now() - interval '1 second' WHERE path = "
            "'expired.bin'");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 404); /* before the job comes by */
    ask_to_expire();
    assert_int_equal(upload_partial_files(), files);
    assert_int_equal(rig_events(rig, "upload-expired"), told + 1);
    rig_log_says("expire-uploads", "info",
                 "Removed the upload of 'expired.bin' to version 1 of package 'up' with 3 of 6 "
                 "bytes: it has expired.");
    rig_log_says("expire-uploads", "info", "Removed 1 upload that nobody finished and no files ");
}

/* Between the look at what has expired and the end of it a piece comes: the first one's end stands
 * for that moment. */
static void what_comes_back_to_life_is_kept(void **state)
{
    char first[128], second[128];
    int told = rig_events(rig, "upload-expired");
    int files = upload_partial_files();

    (void)state;
    upload_begin("first.bin", "Upload-Length: 6", first);
    upload_begin("second.bin", "Upload-Length: 6", second);
    upload_send(second, "Upload-Offset: 0", "abc", "3");
    rig_sql("CREATE FUNCTION revive() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN"
            " UPDATE uploads SET expires_at = now() + interval ''1 hour''"
            " WHERE path = ''second.bin''; RETURN OLD; END'");
    rig_sql("CREATE TRIGGER revive BEFORE DELETE ON uploads FOR EACH ROW"
            " WHEN (OLD.path = 'first.bin') EXECUTE FUNCTION revive()");
    rig_sql("UPDATE uploads SET expires_at = now() - interval '1 hour' WHERE path = 'first.bin'");
    rig_sql("UPDATE uploads SET expires_at = now() WHERE path = 'second.bin'");
    ask_to_expire();
    rig_sql("DROP FUNCTION revive() CASCADE");
    assert_int_equal(rig_events(rig, "upload-expired"), told + 1);
    assert_int_equal(upload_partial_files(), files + 1);
    upload_send(second, "Upload-Offset: 3", "def", "6");
    upload_expect_file("second.bin", "abcdef");
}

/* Each piece begins the time anew, by the setting. */
static void its_time_is_a_setting(void **state)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a;
    char before[64];

    (void)state;
    upload_begin("time.bin", "Upload-Length: 6", path);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    (void)snprintf(before, sizeof before, "%s", rig_text(&a, "expires_at"));
    rig_answer_done(&a);
    rig_settings(rig, "{\"upload_expiry_hours\": 4000}");
    upload_send(path, "Upload-Offset: 0", "abc", "3");
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_true(strcmp(rig_text(&a, "expires_at"), before) > 0);
    rig_answer_done(&a);
    rig_settings(rig, "{\"upload_expiry_hours\": 24}");
}

static void a_deleted_draft_takes_its_uploads_along(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = upload_creation("gone.bin", "Upload-Length: 6", metadata);
    struct rig_answer a;
    char match[128];
    int files = upload_partial_files();

    (void)state;
    rig_package(rig, "gone", "");
    call.path = "/api/v1/packages/gone/versions/1/uploads";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    upload_send(path, "Upload-Offset: 0", "abc", "3");
    rig_if_match(rig, "/api/v1/packages/gone/versions/1", match);
    call = (struct rig_call){
        .method = API_DELETE, .path = "/api/v1/packages/gone/versions/1", .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call = upload_piece(path, "Upload-Offset: 3", "def");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL);
    assert_int_equal(upload_partial_files(), files + 1);
    ask_to_expire(); /* its file is one that no row knows: it waits for the library's grace */
    assert_int_equal(upload_partial_files(), files + 1);
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    ask_to_expire();
    assert_int_equal(upload_partial_files(), files);
    rig_settings(rig, "{\"library_grace_hours\": 24}");
}

/* What is refused at the end is told by HEAD too, and tried again by an empty piece. */
static void a_refused_end_can_be_tried_again(void **state)
{
    char path[128];
    struct rig_call call;
    struct rig_call head = {.method = API_HEAD, .path = path, .headers = {UPLOAD_TUS}};

    (void)state;
    upload_begin("late/clash.bin", "Upload-Length: 5", path);
    rig_put(rig, "up", 1, "late", "in the way");
    call = upload_piece(path, "Upload-Offset: 0", "clash");
    rig_refused(rig, RIG_OPERATOR, &call, "path-duplicate", "late");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &head), 409);
    call = upload_piece(path, "Upload-Offset: 5", "");
    rig_refused(rig, RIG_OPERATOR, &call, "path-duplicate", "late");
    call = (struct rig_call){.method = API_DELETE, .path = UPLOAD_VERSION "/files/late"};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    upload_expect_offset(path, "5"); /* this HEAD made it true */
    upload_expect_file("late/clash.bin", "clash");
}

static void conditions_hold_at_the_end(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = upload_creation("new.bin", "Upload-Length: 3", metadata);
    struct rig_answer a;

    (void)state;
    call.headers[3] = "If-None-Match: *";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    rig_put(rig, "up", 1, "new.bin", "came first");
    call = upload_piece(path, "Upload-Offset: 0", "new");
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");
    upload_expect_file("new.bin", "came first");
    call =
        upload_creation("new.bin", "Upload-Length: 3", metadata); /* told before anything is sent */
    call.headers[3] = "If-None-Match: *";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");
    call.headers[3] = "If-Match: \"" MATCH_NONE "\"";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");

    /* It is kept with the upload: the file must be there still. */
    call.headers[3] = "If-Match: *";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    call = (struct rig_call){.method = API_DELETE, .path = UPLOAD_VERSION "/files/new.bin"};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call = upload_piece(path, "Upload-Offset: 0", "new");
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");
    call = upload_creation("new.bin", "Upload-Length: 3", metadata);
    call.headers[3] = "If-Match: *";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");
}

/* The process died between any two steps of the end. */
static void a_crash_in_the_end_is_made_good(void **state)
{
    static const char upload[] = "crash in the end";
    char path[128], command[512], hex[CONTENT_DIGEST_TEXT_SIZE];
    uint8_t digest[CONTENT_DIGEST_SIZE];

    (void)state;
    assert_int_equal(content_sha256(upload, strlen(upload), digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, hex);
    upload_begin("crash.bin", "Upload-Length: 16", path);
    upload_send(path, "Upload-Offset: 0", "crash in the en", "15");
    /* all bytes and the digest are there, the file is no blob yet */
    (void)snprintf(command, sizeof command, "printf d >> %s/content/partial/%s", rig->folder,
                   strrchr(path, '/') + 1);
    assert_int_equal(system(command), 0);
    (void)snprintf(command, sizeof command,
                   "UPDATE uploads SET received = 16, digest = '%s' WHERE path = 'crash.bin'", hex);
    rig_sql(command);
    upload_expect_offset(path, "16");
    upload_expect_file("crash.bin", upload);
    /* it is a blob, the draft has not got it */
    rig_sql("UPDATE uploads SET finished_at = NULL WHERE path = 'crash.bin'");
    assert_int_equal(rig_status(rig, RIG_OPERATOR,
                                &(struct rig_call){.method = API_DELETE,
                                                   .path = UPLOAD_VERSION "/files/crash.bin"}),
                     204);
    upload_send(path, "Upload-Offset: 16", "", "16");
    upload_expect_file("crash.bin", upload);
    /* the blob is gone too */
    rig_sql("UPDATE uploads SET finished_at = NULL WHERE path = 'crash.bin'");
    assert_int_equal(blob_remove(rig->ctx.blobs, digest, NULL), CP_OK);
    rig_refused(rig, RIG_OPERATOR,
                &(struct rig_call){.method = API_PATCH,
                                   .path = path,
                                   .headers = {UPLOAD_TUS, UPLOAD_TYPE, "Upload-Offset: 16"},
                                   .data = ""},
                "blob-missing", "begin anew");
    rig_put(rig, "up", 1, "crash-again.bin", upload); /* heals */
}

static void a_sealed_version_takes_no_more(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = upload_creation("late.bin", "Upload-Length: 6", metadata);
    struct rig_answer a;
    char other[128];
    int told, files;

    (void)state;
    upload_begin("open.bin", "Upload-Length: 6", other);
    upload_send(other, "Upload-Offset: 0", "abc", "3");
    ask_to_expire();
    told = rig_events(rig, "upload-expired");
    files = upload_partial_files();
    (void)upload_creation("late.bin", "Upload-Length: 6", metadata);
    rig_package(rig, "shut", "");
    rig_put(rig, "shut", 1, "a.bin", "a");
    call.path = "/api/v1/packages/shut/versions/1/uploads";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    upload_send(path, "Upload-Offset: 0", "abc", "3");
    rig_seal(rig, "shut", 1);
    call = upload_piece(path, "Upload-Offset: 3", "def");
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", "no draft");
    call = upload_creation("new.bin", "Upload-Length: 6", metadata);
    call.path = "/api/v1/packages/shut/versions/1/uploads";
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", "shut");
    /* nobody can go on with it: it does not wait for its time */
    ask_to_expire();
    assert_int_equal(rig_events(rig, "upload-expired"), told + 1);
    assert_int_equal(upload_partial_files(), files);
    rig_log_says("expire-uploads", "info", "bytes: its version is no draft any more.");
    call = upload_piece(path, "Upload-Offset: 3", "def");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", "sealed");
    upload_expect_offset(other, "3"); /* a draft's goes on */
}

static bool blob_is_there(const char *content)
{
    uint8_t digest[CONTENT_DIGEST_SIZE];

    assert_int_equal(content_sha256(content, strlen(content), digest), CP_OK);
    return blob_exists(rig->ctx.blobs, digest, strlen(content));
}

static void collect(void)
{
    rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'collect-garbage' FROM nodes");
    rig_work(rig);
}

/* It was all there when the process died before the draft had the file. While it may be finished its
 * content stays; then it does not wait for the upload's row to go. */
static void content_of_a_stranded_one_goes(void **state)
{
    static const char upload[] = "nobody finishes";
    char metadata[512], path[128];
    struct rig_call call = upload_creation("stranded.bin", "Upload-Length: 15", metadata);
    struct rig_answer a;

    (void)state;
    rig_package(rig, "stranded", "");
    rig_put(rig, "stranded", 1, "a.bin", "a");
    call.path = "/api/v1/packages/stranded/versions/1/uploads";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    upload_send(path, "Upload-Offset: 0", upload, "15");
    rig_sql("UPDATE uploads SET finished_at = NULL WHERE path = 'stranded.bin'");
    call = (struct rig_call){.method = API_DELETE,
                             .path = "/api/v1/packages/stranded/versions/1/files/stranded.bin"};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    collect();
    assert_true(blob_is_there(upload));
    rig_log_says("collect-garbage", "info", "Kept 1 blob that no file has: ");
    rig_seal(rig, "stranded", 1);
    collect();
    assert_false(blob_is_there(upload));
    rig_settings(rig, "{\"library_grace_hours\": 24}");
    ask_to_expire();
}

/* What has finished is remembered as long as ever. */
static void a_finished_one_outlives_the_seal(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = upload_creation("done.bin", "Upload-Length: 3", metadata);
    struct rig_answer a;

    (void)state;
    rig_package(rig, "done", "");
    call.path = "/api/v1/packages/done/versions/1/uploads";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    upload_send(path, "Upload-Offset: 0", "abc", "3");
    rig_seal(rig, "done", 1);
    ask_to_expire();
    upload_expect_offset(path, "3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_deleted),
        cmocka_unit_test(it_expires),
        cmocka_unit_test(what_comes_back_to_life_is_kept),
        cmocka_unit_test(its_time_is_a_setting),
        cmocka_unit_test(a_deleted_draft_takes_its_uploads_along),
        cmocka_unit_test(a_refused_end_can_be_tried_again),
        cmocka_unit_test(conditions_hold_at_the_end),
        cmocka_unit_test(a_crash_in_the_end_is_made_good),
        cmocka_unit_test(a_sealed_version_takes_no_more),
        cmocka_unit_test(content_of_a_stranded_one_goes),
        cmocka_unit_test(a_finished_one_outlives_the_seal),
    };

    return cmocka_run_group_tests(tests, upload_set_up, rig_tear_down);
}
