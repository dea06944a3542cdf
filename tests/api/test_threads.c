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

/* ---- one upload by many at once ---- */

#define PIECES     60
#define PIECE_SIZE 1000

struct pusher {
    pthread_t thread;
    const char *path; /* of the upload */
    char bearer[100];
    int kept;
    bool done, wrong;
};

static struct api_response tus_request(struct pusher *p, enum api_method method, const char *offset)
{
    struct api_pair headers[] = {{"Authorization", p->bearer},
                                 {"Tus-Resumable", "1.0.0"},
                                 {"Content-Type", "application/offset+octet-stream"},
                                 {"Upload-Offset", offset}};
    struct api_request rq = {.method = method,
                             .path = p->path,
                             .headers = headers,
                             .header_count = 4,
                             .content_length = method == API_PATCH ? PIECE_SIZE : 0,
                             .request_id = "threads"};
    struct api_upload *upload = NULL;
    char piece[PIECE_SIZE];
    struct api_response rs;

    if (!api_upload_start(&rig->ctx, &rq, &upload, &rs)) {
        return api_handle(&rig->ctx, &rq);
    }
    if (upload != NULL) {
        memset(piece, 'a' + atoi(offset) / PIECE_SIZE % 26, sizeof piece);
        (void)api_upload_data(upload, piece, sizeof piece);
        rs = api_upload_finish(upload, true);
    }
    return rs;
}

static void push_one(struct pusher *p)
{
    struct api_response rs = tus_request(p, API_HEAD, "0");
    char offset[32] = "";

    for (size_t i = 0; i < rs.header_count; i++) {
        if (strcmp(rs.headers[i].name, "Upload-Offset") == 0) {
            (void)snprintf(offset, sizeof offset, "%.30s", rs.headers[i].value);
        }
    }
    p->wrong = rs.status != 200 && rs.status != 423;
    p->done = atoi(offset) == PIECES * PIECE_SIZE;
    api_response_done(&rs);
    if (offset[0] == '\0' || p->wrong || p->done) {
        return;
    }
    rs = tus_request(p, API_PATCH, offset);
    p->kept += rs.status == 204;
    p->wrong = rs.status != 204 && rs.status != 409 && rs.status != 423;
    api_response_done(&rs);
}

static void *push(void *arg)
{
    struct pusher *p = arg;

    while (!p->done && !p->wrong) {
        push_one(p);
    }
    return NULL;
}

static void each_piece_of_an_upload_is_kept_once(void **state)
{
    struct rig_call begin = {
        .method = API_POST,
        .path = "/api/v1/packages/pieces/versions/1/uploads",
        .headers = {"Tus-Resumable: 1.0.0", "Upload-Length: 60000", "Upload-Metadata: path YQ=="}};
    struct rig_call get = {.method = API_GET, .path = "/api/v1/packages/pieces/versions/1/files/a"};
    struct pusher pushers[UPLOADERS] = {{.kept = 0}};
    struct rig_answer a;
    int kept = 0;

    (void)state;
    rig_package(rig, "pieces", "");
    a = rig_expect(rig, RIG_OPERATOR, &begin, 201);
    for (int i = 0; i < UPLOADERS; i++) {
        pushers[i].path = rig_header(&a, "Location");
        (void)snprintf(pushers[i].bearer, sizeof pushers[i].bearer, "Bearer %s",
                       rig->tokens[RIG_OPERATOR]);
        assert_int_equal(pthread_create(&pushers[i].thread, NULL, push, &pushers[i]), 0);
    }
    for (int i = 0; i < UPLOADERS; i++) {
        assert_int_equal(pthread_join(pushers[i].thread, NULL), 0);
        assert_false(pushers[i].wrong);
        kept += pushers[i].kept;
    }
    rig_answer_done(&a);
    assert_int_equal(kept, PIECES);
    a = rig_expect(rig, RIG_OPERATOR, &get, 200);
    assert_int_equal(a.size, PIECES * PIECE_SIZE);
    for (int i = 0; i < PIECES * PIECE_SIZE; i++) {
        assert_int_equal(a.bytes[i], 'a' + i / PIECE_SIZE % 26);
    }
    rig_answer_done(&a);
}

/* ---- room for some of many at once ---- */

#define ASKERS 8
#define ASKED  600000 /* bytes: three fit into the quota */
#define QUOTA  "1900000"

struct asker {
    pthread_t thread;
    bool by_put; /* or by tus */
    char bearer[100], path[128];
    struct api_upload *upload; /* begun, and kept so */
    int status;
};

static void *ask_for_room(void *arg)
{
    struct asker *k = arg;
    struct api_pair headers[] = {{"Authorization", k->bearer},
                                 {"Tus-Resumable", "1.0.0"},
                                 {"Upload-Length", "600000"},
                                 {"Upload-Metadata", "path YQ=="}};
    struct api_request rq = {.method = k->by_put ? API_PUT : API_POST,
                             .path = k->path,
                             .headers = headers,
                             .header_count = 4,
                             .content_length = k->by_put ? ASKED : 0,
                             .request_id = "threads"};
    struct api_response rs = {.status = 0, .fd = -1};

    if (api_upload_start(&rig->ctx, &rq, &k->upload, &rs) && k->upload != NULL) {
        if (k->by_put) {
            k->status = 201;
            return NULL; /* its bytes are promised until it ends */
        }
        rs = api_upload_finish(k->upload, true);
        k->upload = NULL;
    }
    k->status = rs.status;
    api_response_done(&rs);
    return NULL;
}

static void set_quota(const char *value)
{
    static const char path[] = "/api/v1/distribution-points/local/settings";
    char match[128], body[64];
    struct rig_call call = {.method = API_PATCH, .path = path, .body = body, .headers = {match}};

    rig_if_match(rig, path, match);
    (void)snprintf(body, sizeof body, "{\"library_quota_bytes\": %s}", value);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 200);
}

static int ask_all_at_once(struct asker askers[ASKERS])
{
    int accepted = 0;

    for (int i = 0; i < ASKERS; i++) {
        struct asker *k = &askers[i];

        memset(k, 0, sizeof *k);
        k->by_put = i % 2 == 0;
        (void)snprintf(k->bearer, sizeof k->bearer, "Bearer %s", rig->tokens[RIG_OPERATOR]);
        (void)snprintf(k->path, sizeof k->path, "/api/v1/packages/room/versions/1/%s%d",
                       k->by_put ? "files/" : "uploads", i);
        if (!k->by_put) {
            k->path[strlen(k->path) - 1] = '\0';
        }
        assert_int_equal(pthread_create(&k->thread, NULL, ask_for_room, k), 0);
    }
    for (int i = 0; i < ASKERS; i++) {
        assert_int_equal(pthread_join(askers[i].thread, NULL), 0);
        assert_true(askers[i].status == 201 || askers[i].status == 507);
        accepted += askers[i].status == 201;
    }
    return accepted;
}

/* Each sees the others that ask at the same time: never more are let in than fit. */
static void a_quota_holds_for_many_at_once(void **state)
{
    struct asker askers[ASKERS];

    (void)state;
    rig_package(rig, "room", "");
    rig_sql("DELETE FROM uploads");
    set_quota(QUOTA);
    for (int round = 0; round < 10; round++) {
        int accepted = ask_all_at_once(askers);

        assert_true(accepted <= 3);
        for (int i = 0; i < ASKERS; i++) {
            if (askers[i].upload != NULL) {
                struct api_response rs = api_upload_finish(askers[i].upload, false);

                assert_int_equal(rs.status, 400);
                api_response_done(&rs);
            }
        }
        rig_sql("DELETE FROM uploads");
    }
    for (int i = 0; i < 4; i++) { /* one by one: as many as fit */
        struct rig_call call = {.method = API_POST,
                                .path = "/api/v1/packages/room/versions/1/uploads",
                                .headers = {"Tus-Resumable: 1.0.0", "Upload-Length: 600000",
                                            "Upload-Metadata: path YQ=="}};

        assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), i < 3 ? 201 : 507);
    }
    set_quota("null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seal_among_uploads_is_atomic),
        cmocka_unit_test(many_passwords_at_once_are_bounded),
        cmocka_unit_test(each_piece_of_an_upload_is_kept_once),
        cmocka_unit_test(a_quota_holds_for_many_at_once),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
