/* SPDX-License-Identifier: Apache-2.0
 * The content library: references, recounting, garbage collection, figures. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/api/library_rig.h"

static void remove_file(const char *package, const char *path)
{
    char address[256];
    struct rig_call call = {.method = API_DELETE, .path = address};

    (void)snprintf(address, sizeof address, "/api/v1/packages/%s/versions/1/files/%s", package,
                   path);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
}

static void remove_package(const char *package)
{
    char path[128];
    char match[128];
    struct rig_call call = {.method = API_DELETE, .path = path, .headers = {match}};

    (void)snprintf(path, sizeof path, "/api/v1/packages/%s", package);
    rig_if_match(rig, path, match);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
}

static void replace_file(const char *package, const char *path, const char *data)
{
    char address[256];
    struct rig_call call = {.method = API_PUT, .path = address, .data = data, .size = strlen(data)};

    (void)snprintf(address, sizeof address, "/api/v1/packages/%s/versions/1/files/%s", package,
                   path);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
}

/* A number of the last result, which is given back. */
static json_int_t take_number(json_t *result, const char *name)
{
    json_int_t number = rig_number_in(result, name);

    json_decref(result);
    return number;
}

/* ---- references ---- */

static void references_follow_the_files(void **state)
{
    (void)state;
    rig_package(rig, "first", "");
    rig_package(rig, "second", "");
    rig_put(rig, "first", 1, "a.bin", "shared");
    assert_int_equal(library_references("shared"), 1);
    rig_put(rig, "first", 1, "b.bin", "shared");
    rig_put(rig, "second", 1, "a.bin", "shared");
    assert_int_equal(library_references("shared"), 3);
    replace_file("first", "a.bin", "shared"); /* the same again */
    assert_int_equal(library_references("shared"), 3);
    replace_file("first", "a.bin", "another");
    assert_int_equal(library_references("shared"), 2);
    assert_int_equal(library_references("another"), 1);
    remove_file("second", "a.bin");
    assert_int_equal(library_references("shared"), 1);
    remove_package("first"); /* with all its files in one statement */
    assert_int_equal(library_references("shared"), 0);
    assert_int_equal(library_references("another"), 0);
    rig_put(rig, "second", 1, "a.bin", "shared");
    assert_int_equal(library_references("shared"), 1);
}

static void counts_that_are_wrong_are_corrected_and_told(void **state)
{
    char sql[512];
    json_t *result;

    (void)state;
    assert_int_equal(take_number(library_work("recount", NULL), "wrong"), 0);
    assert_int_equal(rig_events(rig, "library-references-corrected"), 0);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE blobs SET reference_count = 7, unused_since = NULL WHERE sha256 = '%s'",
                   library_digest("another"));
    rig_sql(sql);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE blobs SET reference_count = 0, unused_since = now() - interval '9 days'"
                   " WHERE sha256 = '%s'",
                   library_digest("shared"));
    rig_sql(sql);
    /* A count that says "nobody" does not lose content that somebody has. */
    assert_int_equal(take_number(library_work("collect", NULL), "blobs"), 0);
    assert_true(library_has("shared"));
    assert_int_equal(access(library_path("shared"), F_OK), 0);
    result = library_work("recount", NULL);
    assert_int_equal(rig_number_in(result, "wrong"), 2);
    assert_true(rig_number_in(result, "blobs") >= 2);
    json_decref(result);
    assert_int_equal(library_references("another"), 0);
    assert_int_equal(library_references("shared"), 1);
    assert_int_equal(rig_events(rig, "library-references-corrected"), 1);
    assert_int_equal(take_number(library_work("recount", NULL), "wrong"), 0);
}

static void a_total_that_is_wrong_is_corrected_and_told(void **state)
{
    (void)state;
    assert_int_equal(rig_events(rig, "library-total-corrected"), 0);
    rig_sql("UPDATE library_totals SET bytes = 123456789 WHERE part = 'a'");
    json_decref(library_work("recount", NULL));
    assert_int_equal(rig_events(rig, "library-total-corrected"), 1);
    json_decref(library_work("recount", NULL));
    assert_int_equal(rig_events(rig, "library-total-corrected"), 1);
}

/* ---- garbage collection ---- */

static void make_stray(const char *text)
{
    char command[512];
    const char *path = library_path(text);

    (void)snprintf(command, sizeof command, "mkdir -p \"$(dirname '%s')\" && printf %s > '%s'",
                   path, text, path);
    assert_int_equal(system(command), 0);
}

static void what_nobody_has_goes_after_the_grace(void **state)
{
    json_t *result;
    int before;

    (void)state;
    make_stray("stray");
    before = rig_blob_count(rig);
    result = library_work("collect", NULL); /* "another" is unused, but not for a day */
    assert_int_equal(rig_number_in(result, "blobs"), 0);
    assert_int_equal(rig_number_in(result, "stray_files"), 0);
    assert_true(rig_number_in(result, "disk_bytes") > 0);
    json_decref(result);
    assert_int_equal(rig_blob_count(rig), before);
    assert_int_equal(rig_events(rig, "library-collected"), 0);

    rig_sql("UPDATE blobs SET unused_since = now() - interval '25 hours' WHERE unused_since IS NOT "
            "NULL");
    result = library_work("collect?dry_run=true", NULL);
    assert_int_equal(rig_number_in(result, "blobs"), 1);
    assert_int_equal(rig_number_in(result, "bytes"), 7);
    assert_int_equal(rig_number_in(result, "stray_files"), 0);
    assert_true(json_is_true(json_object_get(result, "dry_run")));
    json_decref(result);
    assert_int_equal(rig_blob_count(rig), before);
    assert_true(library_has("another"));

    result = library_work("collect", NULL);
    assert_int_equal(rig_number_in(result, "blobs"), 1);
    assert_int_equal(rig_number_in(result, "stray_files"), 0);
    json_decref(result);
    assert_int_equal(rig_blob_count(rig), before - 1);
    assert_false(library_has("another"));
    assert_true(access(library_path("another"), F_OK) != 0);
    assert_int_equal(rig_events(rig, "library-collected"), 1);
}

static void files_without_a_row_go_too(void **state)
{
    json_t *result;

    (void)state;
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    result = library_work("collect?dry_run=true", NULL);
    assert_int_equal(rig_number_in(result, "stray_files"), 1);
    json_decref(result);
    result = library_work("collect", NULL);
    assert_int_equal(rig_number_in(result, "stray_files"), 1);
    assert_int_equal(rig_number_in(result, "stray_bytes"), 5);
    json_decref(result);
    assert_true(access(library_path("stray"), F_OK) != 0);
    assert_int_equal(access(library_path("shared"), F_OK), 0);
    assert_int_equal(rig_events(rig, "library-collected"), 2);
    rig_settings(rig, "{\"library_grace_hours\": 24}");
}

/* Killed between its blob and the row of its file, an upload goes on from the blob. */
static void what_an_upload_will_finish_with_stays(void **state)
{
    char sql[512];
    json_t *result;

    (void)state;
    rig_package(rig, "half", "");
    make_stray("nearly finished");
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO uploads (node_id, version_id, path, mode, size, received, digest,"
                   " expires_at) SELECT n.id, v.id, 'a.bin', 420, 15, 15, '%s', now() + interval"
                   " '1 day' FROM nodes n, versions v JOIN packages p ON p.id = v.package_id"
                   " WHERE p.name = 'half'",
                   library_digest("nearly finished"));
    rig_sql(sql);
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    json_decref(library_work("collect", NULL));
    assert_int_equal(access(library_path("nearly finished"), F_OK), 0);
    (void)snprintf(sql, sizeof sql, "INSERT INTO blobs (sha256, size) VALUES ('%s', 15)",
                   library_digest("nearly finished"));
    rig_sql(sql);
    json_decref(library_work("collect", NULL));
    assert_true(library_has("nearly finished"));
    rig_sql("DELETE FROM uploads");
    result = library_work("collect", NULL);
    assert_int_equal(rig_number_in(result, "blobs"), 1);
    json_decref(result);
    assert_true(access(library_path("nearly finished"), F_OK) != 0);
    rig_settings(rig, "{\"library_grace_hours\": 24}");
}

/* ---- what others need at this moment ---- */

#define UPLOADERS 3
#define ROUNDS    60

struct uploader {
    pthread_t thread;
    int number;
    char bearer[100];
    int wrong;
};

static int call(const struct uploader *u, enum api_method method, const char *path,
                const char *data)
{
    struct api_pair header = {"Authorization", u->bearer};
    struct api_request rq = {.method = method,
                             .path = path,
                             .headers = &header,
                             .header_count = 1,
                             .remote = "192.0.2.9",
                             .request_id = "uploaders"};
    struct api_upload *upload = NULL;
    struct api_response rs;
    int status;

    rq.content_length = data != NULL ? strlen(data) : 0;
    if (!api_upload_start(&rig->ctx, &rq, &upload, &rs)) {
        rs = api_handle(&rig->ctx, &rq);
    } else if (upload != NULL) {
        api_upload_data(upload, data, rq.content_length);
        rs = api_upload_finish(upload, true);
    }
    status = rs.status;
    api_response_done(&rs);
    return status;
}

/* All of them store the same few contents, look at them, and let them go again: by the rules the
 * blob is there whenever the file is. */
static void *upload(void *arg)
{
    static const char *const contents[] = {"first content", "second content"};
    struct uploader *u = arg;

    for (int i = 0; i < ROUNDS; i++) {
        char path[128];
        int status;

        (void)snprintf(path, sizeof path, "/api/v1/packages/busy/versions/1/files/%d.bin",
                       u->number);
        status = call(u, API_PUT, path, contents[(i + u->number) % 2]);
        u->wrong += status != 201 && status != 200;
        u->wrong += call(u, API_GET, path, NULL) != 200;
        if (i % 2 == 1) {
            u->wrong += call(u, API_DELETE, path, NULL) != 204;
        }
    }
    return NULL;
}

static atomic_bool collecting;

struct collector {
    pthread_t thread;
    struct uploader caller;
    int runs, wrong;
};

/* One collection after another, as fast as they go, and counting in between. */
static void *collect(void *arg)
{
    static const char *const paths[] = {LIBRARY "/collect", LIBRARY "/collect", LIBRARY "/recount"};
    struct collector *c = arg;

    while (atomic_load(&collecting)) {
        struct cp_error err = {.code = CP_OK};

        c->wrong += call(&c->caller, API_POST, paths[c->runs % 3], NULL) != 202;
        c->wrong += jobs_do_one(&rig->jobs, NULL, &err) != CP_OK;
        c->runs++;
    }
    return NULL;
}

static void sign_in(struct uploader *u, int number)
{
    u->number = number;
    (void)snprintf(u->bearer, sizeof u->bearer, "Bearer %s", rig->tokens[RIG_OPERATOR]);
}

static void an_upload_and_a_collection_do_not_meet(void **state)
{
    struct uploader uploaders[UPLOADERS] = {{.number = 0}};
    struct collector collector = {.runs = 0};
    int corrected = rig_events(rig, "library-references-corrected");

    (void)state;
    rig_package(rig, "busy", "");
    rig_settings(rig, "{\"library_grace_hours\": 0}");
    atomic_store(&collecting, true);
    sign_in(&collector.caller, 0);
    assert_int_equal(pthread_create(&collector.thread, NULL, collect, &collector), 0);
    for (int i = 0; i < UPLOADERS; i++) {
        sign_in(&uploaders[i], i);
        assert_int_equal(pthread_create(&uploaders[i].thread, NULL, upload, &uploaders[i]), 0);
    }
    for (int i = 0; i < UPLOADERS; i++) {
        assert_int_equal(pthread_join(uploaders[i].thread, NULL), 0);
        assert_int_equal(uploaders[i].wrong, 0);
    }
    atomic_store(&collecting, false);
    assert_int_equal(pthread_join(collector.thread, NULL), 0);
    assert_int_equal(collector.wrong, 0);
    assert_true(collector.runs > 10);
    assert_int_equal(rig_events(rig, "library-references-corrected"), corrected);
    rig_settings(rig, "{\"library_grace_hours\": 24}");
    assert_int_equal(take_number(library_work("recount", NULL), "wrong"), 0);
}

/* ---- figures and lists ---- */

static void the_figures_add_up(void **state)
{
    struct rig_answer a;
    const json_t *blobs, *disk;

    (void)state;
    rig_package(rig, "twice", "");
    rig_put(rig, "twice", 1, "a.bin", "0123456789");
    rig_put(rig, "twice", 1, "b.bin", "0123456789");
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = LIBRARY}, 200);
    assert_string_equal(rig_text(&a, "distribution_point"), "testnode");
    blobs = json_object_get(a.json, "blobs");
    assert_int_equal(rig_number_in(json_object_get(blobs, "damaged"), "count"), 0);
    assert_true(rig_number_in(json_object_get(blobs, "referenced"), "count") >= 2);
    assert_int_equal(rig_number(&a, "stored_bytes"),
                     rig_number_in(json_object_get(blobs, "referenced"), "bytes"));
    assert_int_equal(rig_number(&a, "logical_bytes"), rig_number(&a, "stored_bytes") + 10);
    assert_true(json_real_value(json_object_get(a.json, "deduplication")) > 1.0);
    assert_int_equal(rig_number_in(json_object_get(a.json, "quarantine"), "count"), 0);
    assert_int_equal(rig_number_in(json_object_get(a.json, "partial_uploads"), "count"), 0);
    disk = json_object_get(a.json, "disk");
    assert_true(rig_number_in(disk, "bytes") > 0);
    assert_true(rig_number_in(json_object_get(a.json, "file_system"), "size") >=
                rig_number_in(json_object_get(a.json, "file_system"), "free"));
    assert_int_equal(json_array_size(json_object_get(a.json, "runs")), 2);
    rig_answer_done(&a);
}

static void blobs_are_listed_page_by_page(void **state)
{
    struct rig_answer a;
    size_t all, seen = 0;
    char path[256] = LIBRARY "/blobs?limit=1";

    (void)state;
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = LIBRARY "/blobs"},
                   200);
    all = json_array_size(json_object_get(a.json, "items"));
    rig_answer_done(&a);
    for (bool more = true; more;) {
        const char *next;

        a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
        seen += json_array_size(json_object_get(a.json, "items"));
        next = json_string_value(json_object_get(a.json, "next"));
        more = next != NULL;
        (void)snprintf(path, sizeof path, LIBRARY "/blobs?limit=1&after=%s", more ? next : "");
        rig_answer_done(&a);
    }
    assert_int_equal(seen, all);
    a = rig_expect(rig, RIG_VIEWER,
                   &(struct rig_call){.method = API_GET, .path = LIBRARY "/blobs?state=damaged"},
                   200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 0);
    rig_answer_done(&a);
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = LIBRARY "/blobs?state=ill"},
                "invalid-request", NULL);
    rig_refused(
        rig, RIG_VIEWER,
        &(struct rig_call){.method = API_GET, .path = "/api/v1/distribution-points/none/library"},
        "not-found", "none");
}

static void settings_of_the_library_have_limits(void **state)
{
    static const char *const refused[] = {
        "{\"library_grace_hours\": -1}",      "{\"library_grace_hours\": 8761}",
        "{\"library_validate_days\": null}",  "{\"library_validate_rate_bps\": 0}",
        "{\"library_validate_rate_bps\": 1}", "{\"history_days\": 3651}"};
    static const char path[] = "/api/v1/distribution-points/local/settings";
    char match[128];

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        rig_if_match(rig, path, match);
        rig_refused(rig, RIG_ADMIN,
                    &(struct rig_call){
                        .method = API_PATCH, .path = path, .body = refused[i], .headers = {match}},
                    "invalid-request", NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_follow_the_files),
        cmocka_unit_test(counts_that_are_wrong_are_corrected_and_told),
        cmocka_unit_test(a_total_that_is_wrong_is_corrected_and_told),
        cmocka_unit_test(what_nobody_has_goes_after_the_grace),
        cmocka_unit_test(files_without_a_row_go_too),
        cmocka_unit_test(what_an_upload_will_finish_with_stays),
        cmocka_unit_test(the_figures_add_up),
        cmocka_unit_test(blobs_are_listed_page_by_page),
        cmocka_unit_test(settings_of_the_library_have_limits),
        cmocka_unit_test(an_upload_and_a_collection_do_not_meet),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
