/* SPDX-License-Identifier: Apache-2.0
 * The API from several threads: uploads into one draft while it is being sealed. What was accepted
 * is in the manifest, what came too late was refused, and nothing else can be. Under TSan this is
 * also the test that handlers share nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api/rig.h"

#define UPLOADERS 4
#define FILES     40 /* each; they end earlier when the seal wins */

struct uploader {
    pthread_t thread;
    int number;
    char bearer[100];
    int accepted;
    bool sealed; /* the last one was refused by version-sealed */
    bool wrong;  /* anything else happened */
};

/* cmocka's assertions are for the main thread only: this one just counts. */
static void upload_one(struct uploader *u, int file)
{
    struct api_pair header = {"Authorization", u->bearer};
    char path[128];
    struct api_request rq = {.method = API_PUT,
                             .path = path,
                             .headers = &header,
                             .header_count = 1,
                             .request_id = "threads"};
    struct api_upload *upload = NULL;
    struct api_response rs;

    (void)snprintf(path, sizeof path, "/api/v1/packages/threads/versions/1/files/%d/%d.bin",
                   u->number, file);
    rq.content_length = strlen(path);
    if (!api_upload_start(&rig->ctx, &rq, &upload, &rs)) {
        u->wrong = true;
        return;
    }
    if (upload != NULL) {
        api_upload_data(upload, path, strlen(path));
        rs = api_upload_finish(upload, true);
    }
    if (rs.status == 201) {
        u->accepted++;
    } else {
        u->sealed = rs.body != NULL && strstr(rs.body, "version-sealed") != NULL;
        u->wrong = !u->sealed;
    }
    api_response_done(&rs);
}

static void *upload(void *arg)
{
    struct uploader *u = arg;

    for (int i = 0; i < FILES && !u->sealed && !u->wrong; i++) {
        upload_one(u, i);
    }
    return NULL;
}

static void a_seal_among_uploads_is_atomic(void **state)
{
    struct rig_call seal = {.method = API_POST, .path = "/api/v1/packages/threads/versions/1/seal"};
    struct rig_call get = {.method = API_GET,
                           .path = "/api/v1/packages/threads/versions/1/manifest"};
    struct uploader uploaders[UPLOADERS] = {{.number = 0}};
    struct rig_answer a;
    int accepted = 0;
    int status;

    (void)state;
    rig_package(rig, "threads", "");
    for (int i = 0; i < UPLOADERS; i++) {
        uploaders[i].number = i;
        (void)snprintf(uploaders[i].bearer, sizeof uploaders[i].bearer, "Bearer %s",
                       rig->tokens[RIG_OPERATOR]);
        assert_int_equal(pthread_create(&uploaders[i].thread, NULL, upload, &uploaders[i]), 0);
    }
    do { /* 422: no file is there yet; a failed task: one came in between */
        status = rig_status(rig, RIG_OPERATOR, &seal);
        rig_work(rig);
    } while (status == 202 || status == 422);
    for (int i = 0; i < UPLOADERS; i++) {
        assert_int_equal(pthread_join(uploaders[i].thread, NULL), 0);
        assert_false(uploaders[i].wrong);
        accepted += uploaders[i].accepted;
    }
    assert_int_equal(status, 409); /* sealed already */
    a = rig_expect(rig, RIG_OPERATOR, &get, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "files")), accepted);
    rig_answer_done(&a);
    get.path = "/api/v1/packages/threads/versions/1/files?limit=1000";
    a = rig_expect(rig, RIG_VIEWER, &get, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), accepted);
    rig_answer_done(&a);
}

/* ---- passwords by many at once ---- */

static void *ask_by_password(void *arg)
{
    struct api_pair header = {"Authorization", "Basic dmlld2VyOmEgcGFzc3dvcmQgb2YgdGVu"};
    struct api_request rq = {.method = API_GET,
                             .path = "/api/v1/packages",
                             .headers = &header,
                             .header_count = 1,
                             .request_id = "threads"};
    struct api_response rs = api_handle(&rig->ctx, &rq);
    int *status = arg;

    *status = rs.status;
    api_response_done(&rs);
    return NULL;
}

static void many_passwords_at_once_are_bounded(void **state)
{
    pthread_t threads[24];
    int statuses[24];
    int good = 0;

    (void)state;
    for (int i = 0; i < 24; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_by_password, &statuses[i]), 0);
    }
    for (int i = 0; i < 24; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(statuses[i] == 200 || statuses[i] == 429);
        good += statuses[i] == 200;
    }
    assert_true(good >= 1);
    (void)ask_by_password(&statuses[0]); /* from memory now */
    assert_int_equal(statuses[0], 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seal_among_uploads_is_atomic),
        cmocka_unit_test(many_passwords_at_once_are_bounded),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
