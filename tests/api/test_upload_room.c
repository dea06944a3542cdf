/* SPDX-License-Identifier: Apache-2.0
 * The room that uploads have: a quota of the library and a reserve of the disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64.h"
#include "content/sha256.h"
#include "tests/api/upload_rig.h"

/* ---- room ---- */

static void a_quota_counts_what_was_promised(void **state)
{
    char metadata[512], path[128], other[128];
    struct rig_call call = upload_creation("q1.bin", "Upload-Length: 1500000", metadata);
    struct rig_call put = {.method = API_PUT, .path = UPLOAD_VERSION "/files/q.bin"};
    struct rig_answer a;
    char *data = calloc(1, 2000000);

    (void)state;
    assert_non_null(data);
    rig_sql("DELETE FROM uploads");
    rig_settings(rig, "{\"library_quota_bytes\": 2000000}");
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    call.headers[1] = "Upload-Length: 600000";
    upload_metadata("q2.bin", "", metadata);
    rig_refused(rig, RIG_OPERATOR, &call, "storage-full", "library_quota_bytes is 2000000");
    call.headers[1] = "Upload-Length: 2000001"; /* more than will ever fit */
    rig_refused(rig, RIG_OPERATOR, &call, "too-large", "2000000");
    put.data = data;
    put.size = 600000;
    rig_refused(rig, RIG_OPERATOR, &put, "storage-full", "needs 600000 bytes");
    put.no_length = true; /* not announced: found out before it is kept */
    rig_refused(rig, RIG_OPERATOR, &put, "storage-full", "library_quota_bytes");
    put.no_length = false;
    put.size = 400000;
    a = rig_expect(rig, RIG_OPERATOR, &put, 201);
    rig_answer_done(&a);
    call = (struct rig_call){.method = API_DELETE, .path = path, .headers = {UPLOAD_TUS}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204); /* its promise ends */
    upload_begin("q2.bin", "Upload-Length: 600000", other);
    rig_settings(rig, "{\"library_quota_bytes\": null}");
    put.size = 2000000;
    a = rig_expect(rig, RIG_OPERATOR, &put, 200);
    rig_answer_done(&a);
    free(data);
}

/* A sealed version gets no file any more, so that what its uploads had promised is free. */
static void a_seal_ends_promises(void **state)
{
    char metadata[512];
    struct rig_call shut = upload_creation("p1.bin", "Upload-Length: 1500000", metadata);
    struct rig_call call = upload_creation("p1.bin", "Upload-Length: 600000", metadata);

    (void)state;
    rig_sql("DELETE FROM uploads");
    rig_package(rig, "shut", "");
    rig_put(rig, "shut", 1, "a.bin", "a");
    rig_sql("UPDATE settings SET library_quota_bytes = (SELECT sum(size) FROM blobs) + 2000000");
    shut.path = "/api/v1/packages/shut/versions/1/uploads";
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &shut), 201);
    rig_refused(rig, RIG_OPERATOR, &call, "storage-full", "library_quota_bytes");
    rig_seal(rig, "shut", 1);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    rig_settings(rig, "{\"library_quota_bytes\": null}");
    rig_sql("DELETE FROM uploads");
}

/* The library has these bytes already, and counts them once. */
static void what_is_stored_is_not_charged_again(void **state)
{
    static const char text[] = "these bytes are there already";
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char metadata[512], header[128], encoded[CP_BASE64_SIZE(CONTENT_DIGEST_SIZE)];
    struct rig_call put = {.method = API_PUT,
                           .path = UPLOAD_VERSION "/files/b.bin",
                           .data = text,
                           .size = sizeof text - 1};
    struct rig_call call = upload_creation("c.bin", "Upload-Length: 29", metadata);

    (void)state;
    rig_put(rig, "up", 1, "a.bin", text);
    rig_sql("DELETE FROM uploads");
    rig_sql("UPDATE settings SET library_quota_bytes = (SELECT sum(size) FROM blobs)");
    rig_refused(rig, RIG_OPERATOR, &put, "storage-full", NULL); /* nothing was announced */
    rig_refused(rig, RIG_OPERATOR, &call, "storage-full", NULL);
    assert_int_equal(content_sha256(text, sizeof text - 1, digest), CP_OK);
    (void)cp_base64_encode(CP_BASE64_STD, digest, sizeof digest, encoded);
    (void)snprintf(header, sizeof header, "Repr-Digest: sha-256=:%s:", encoded);
    put.headers[0] = header;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &put), 201);
    put.no_length = true;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &put), 200);
    upload_metadata_of("c.bin", text, metadata);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    rig_settings(rig, "{\"library_quota_bytes\": null}");
    rig_sql("DELETE FROM uploads");
}

static void a_reserve_is_left_alone(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = upload_creation("r1.bin", "Upload-Length: 100", metadata);
    struct rig_call put = {
        .method = API_PUT, .path = UPLOAD_VERSION "/files/r.bin", .data = "0123456789", .size = 10};

    (void)state;
    upload_begin("r0.bin", "Upload-Length: 100", path);
    rig_settings(rig, "{\"library_reserve_bytes\": 1125899906842624}");
    rig_refused(rig, RIG_OPERATOR, &call, "storage-full", "1125899906842624 are the reserve");
    rig_refused(rig, RIG_OPERATOR, &put, "storage-full", "needs 10 bytes");
    call = upload_piece(path, "Upload-Offset: 0", "more"); /* one that was begun before */
    rig_refused(rig, RIG_OPERATOR, &call, "storage-full", "reserve");
    rig_settings(rig, "{\"library_reserve_bytes\": 0}");
    upload_send(path, "Upload-Offset: 0", "more", "4");
}

/* What did not announce its size is looked at every 8 MiB, and given up there. */
static void room_is_looked_at_on_the_way(void **state)
{
    static const size_t size = (size_t)1 << 20;
    char bearer[128];
    struct api_pair header = {"Authorization", bearer};
    struct api_request rq = {.method = API_PUT,
                             .path = UPLOAD_VERSION "/files/way.bin",
                             .headers = &header,
                             .header_count = 1,
                             .content_length = UINT64_MAX,
                             .request_id = "way"};
    struct api_upload *u = NULL;
    struct api_response rs;
    char *data = malloc(size);
    int taken = 0;

    (void)state;
    assert_non_null(data);
    memset(data, 'w', size);
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", rig->tokens[RIG_OPERATOR]);
    assert_true(api_upload_start(&rig->ctx, &rq, &u, &rs));
    assert_non_null(u);
    rig_settings(rig, "{\"library_quota_bytes\": 9000000}");
    while (taken < 64 && api_upload_data(u, data, size)) {
        taken++;
    }
    assert_int_equal(taken, 7);
    rs = api_upload_finish(u, false);
    assert_int_equal(rs.status, 507);
    assert_non_null(strstr(rs.body, "storage-full"));
    api_response_done(&rs);
    rig_settings(rig, "{\"library_quota_bytes\": null}");
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quota_counts_what_was_promised),
        cmocka_unit_test(a_seal_ends_promises),
        cmocka_unit_test(what_is_stored_is_not_charged_again),
        cmocka_unit_test(a_reserve_is_left_alone),
        cmocka_unit_test(room_is_looked_at_on_the_way),
    };

    return cmocka_run_group_tests(tests, upload_set_up, rig_tear_down);
}
