/* SPDX-License-Identifier: Apache-2.0
 * Files of a draft: put, replaced, deleted, under conditions; what is refused leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64.h"
#include "common/hex.h"
#include "content/sha256.h"
#include "db/file.h"
#include "tests/api/rig.h"

#define UP "/api/v1/packages/uploads/versions/1/files/"

static void an_upload_arrives_in_pieces(void **state)
{
    struct rig_call call = {
        .method = API_PUT, .path = UP "sources/boot.wim", .data = "0123456789", .size = 10};
    struct rig_answer a;

    (void)state;
    rig_package(rig, "uploads", "");
    call.piece = 3;
    call.headers[0] = "X-Castpoint-Mode: 0755";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_int_equal(rig_number(&a, "size"), 10);
    assert_int_equal(rig_number(&a, "mode"), 0755);
    assert_string_equal(rig_text(&a, "path"), "sources/boot.wim");
    assert_non_null(rig_header(&a, "ETag"));
    rig_answer_done(&a);

    call.headers[0] = NULL; /* again: replaced, mode back to the default, chunked */
    call.no_length = true;
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_int_equal(rig_number(&a, "mode"), 0644);
    rig_answer_done(&a);
    call = rig_call_get(UP "sources/boot.wim");
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_string_equal(a.bytes, "0123456789");
    rig_answer_done(&a);
}

/* Of one byte, '2'. */
#define SHA "1HNeOiZeFu7gP1lxi5tdAwGcB9i2xR+Q2jpmbuwTqzU="

static void refused_uploads_leave_nothing(void **state)
{
    static const struct {
        const char *path, *data, *header, *code, *word;
    } cases[] = {
        {"empty.bin", "", NULL, "content-empty", "empty.bin"},
        {"../x", "1", NULL, "path-invalid", "../x"},
        {"a/%2e%2e/b", "1", NULL, "path-invalid", "a/../b"},
        {"/etc/passwd", "1", NULL, "path-invalid", "/etc/passwd"},
        {"%2fetc", "1", NULL, "path-invalid", "/etc"},
        {"a//b", "1", NULL, "path-invalid", "a//b"},
        {"a\\b", "1", NULL, "path-invalid", "a\\b"},
        {"a%0ab", "1", NULL, "path-invalid", NULL},
        {"%ff", "1", NULL, "path-invalid", NULL},
        {"SOURCES/BOOT.WIM", "1", NULL, "path-duplicate", "sources/boot.wim"},
        {"sources", "1", NULL, "path-duplicate", "sources/boot.wim"},
        {"sources/boot.wim/x", "1", NULL, "path-duplicate", "sources/boot.wim"},
        {"mode", "1", "X-Castpoint-Mode: 999", "invalid-request", "X-Castpoint-Mode"},
        {"mode", "1", "X-Castpoint-Mode: 10000", "invalid-request", "X-Castpoint-Mode"},
        {"digest", "1", "Repr-Digest: sha-256=:AAAA:", "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: sha-256=" SHA, "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: sha-256=:" SHA, "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: sha-256=\"" SHA "\"", "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: sha-256 =:" SHA ":", "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: sha-256", "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: :" SHA ":", "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: sha-512=\",sha-256=:\"", "invalid-request", "Repr-Digest"},
        {"digest", "1", "Repr-Digest: md5=:AA==:,sha-256=:" SHA ": x", "invalid-request", NULL},
        {"digest", "1", "Content-Digest: sha-256=0123456789abcdef", "invalid-request",
         "Content-Digest"},
        {"digest", "1", "Trailer: X-A, repr-digest", "invalid-request", "Repr-Digest"},
        {"digest", "1", "Trailer: Content-Digest", "invalid-request", "Content-Digest"},
        {"gzip", "1", "Content-Encoding: gzip", "unsupported-media-type", "gzip"},
        {"part", "1", "Content-Range: bytes 0-0/2", "invalid-request", "Content-Range"},
        {"sources/boot.wim", "1", "If-None-Match: *", "precondition-failed", "boot.wim"},
        {"sources/boot.wim", "1", "If-Match: \"r1\"", "precondition-failed", "SHA-256"},
    };
    struct rig_answer a;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig_call call;
        char path[200];

        (void)snprintf(path, sizeof path, UP "%s", cases[i].path);
        call = rig_call_put(path, cases[i].data);
        call.headers[0] = cases[i].header;
        rig_refused(rig, RIG_OPERATOR, &call, cases[i].code, cases[i].word);
    }
    a = rig_expect(
        rig, RIG_VIEWER,
        &(struct rig_call){.method = API_GET, .path = "/api/v1/packages/uploads/versions/1/files"},
        200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
}

static void a_broken_upload_leaves_nothing(void **state)
{
    struct rig_call call = rig_call_put(UP "broken.bin", "0123456789 is not all");
    int blobs = rig_blob_count(rig);

    (void)state;
    call.break_early = true;
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "broken.bin");
    call.no_length = true; /* chunked and broken */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "broken.bin");
    call = (struct rig_call){
        .method = API_PUT, .path = UP "broken.bin", .data = "", .no_length = true};
    rig_refused(rig, RIG_OPERATOR, &call, "content-empty", "broken.bin");
    call = rig_call_get(UP "broken.bin");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", "broken.bin");
    assert_int_equal(rig_blob_count(rig), blobs);
}

static void an_announced_digest_is_checked(void **state)
{
    struct rig_call call = rig_call_put(UP "digest.bin", "the very bytes");
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char text[CP_BASE64_SIZE(CONTENT_DIGEST_SIZE)];
    char header[128];
    int blobs = rig_blob_count(rig);

    (void)state;
    assert_int_equal(content_sha256("the very byteS", 14, digest), CP_OK);
    (void)cp_base64_encode(CP_BASE64_STD, digest, sizeof digest, text);
    (void)snprintf(header, sizeof header, "Repr-Digest: md5=:AA==:, sha-256=:%s:", text);
    call.headers[0] = header;
    rig_refused(rig, RIG_OPERATOR, &call, "digest-mismatch", "digest.bin");
    assert_int_equal(rig_blob_count(rig), blobs); /* not even an orphan */

    assert_int_equal(content_sha256("the very bytes", 14, digest), CP_OK);
    (void)cp_base64_encode(CP_BASE64_STD, digest, sizeof digest, text);
    (void)snprintf(header, sizeof header, "Content-Digest: sha-256=:%s:", text);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
}

/* RFC 9110 13.1: what is held against the file as it is now. */
static void conditions_of_files(void **state)
{
#define ONE   "a5fe0d42cec4c8e62a32d4e7e4d4d5a4c0d9c3ee4ae1ef7a0c2e0d7b6f3b1a55"
#define OTHER "If-Match: \"" ONE "\""
    char one[DB_DIGEST_SIZE], match[128], list[400], none[128], weak[128], both[400];
    uint8_t digest[CONTENT_DIGEST_SIZE];
    const struct {
        const char *path, *headers[2];
        int status;
    } cases[] = {
        {"if.bin", {match}, 412}, /* not there */
        {"if.bin", {"If-Match: *"}, 412},
        {"if.bin", {list}, 412},
        {"if.bin", {none}, 201},
        {"if.bin", {none}, 412}, /* it is there */
        {"if.bin", {weak}, 412}, /* If-None-Match compares weakly */
        {"if.bin", {both}, 412},
        {"if.bin", {"If-None-Match: *"}, 412},
        {"if.bin", {"If-None-Match: \"" ONE "\", \"r1\""}, 200},
        {"if.bin", {"If-Match: *"}, 200},
        {"if.bin", {match}, 200},
        {"if.bin", {list}, 200},
        {"if.bin", {OTHER}, 412},
        {"if.bin", {OTHER ", nonsense"}, 412},
        {"if.bin", {match, none}, 412},
        {"if.bin", {match, "If-None-Match: \"" ONE "\""}, 200},
    };
    struct rig_call call;

    (void)state;
    assert_int_equal(content_sha256("conditions", 10, digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, one);
    (void)snprintf(match, sizeof match, "If-Match: \"%s\"", one);
    (void)snprintf(list, sizeof list, OTHER ", W/\"%s\" ,\"r1\",, \"%s\"", one, one);
    (void)snprintf(none, sizeof none, "If-None-Match: \"%s\"", one);
    (void)snprintf(weak, sizeof weak, "If-None-Match: W/\"%s\"", one);
    (void)snprintf(both, sizeof both, "If-None-Match: \"" ONE "\", \"%s\"", one);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[200];

        (void)snprintf(path, sizeof path, UP "%s", cases[i].path);
        call = rig_call_put(path, "conditions");
        call.headers[0] = cases[i].headers[0];
        call.headers[1] = cases[i].headers[1];
        if (rig_status(rig, RIG_OPERATOR, &call) != cases[i].status) {
            fail_msg("case %zu", i);
        }
    }
    call = (struct rig_call){.method = API_GET, .path = UP "if.bin", .headers = {OTHER}};
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", one);
    call.headers[0] = list;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    call.method = API_DELETE;
    call.headers[0] = none;
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", NULL);
    call.headers[0] = list;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
}

/* One that would be cut off would be a condition that was not looked at. */
static void a_list_of_tags_has_an_end(void **state)
{
    char header[2000] = "If-Match: ";
    struct rig_call call = rig_call_put(UP "tags.bin", "tags");
    size_t size = strlen(header);

    (void)state;
    call.headers[0] = header;
    for (int i = 0; i < DB_FILE_DIGESTS_MAX + 1; i++) {
        if (i == DB_FILE_DIGESTS_MAX) {
            rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", NULL);
        }
        size += (size_t)snprintf(header + size, sizeof header - size, "\"%064d\", ", i);
    }
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "If-Match");
}

static void a_file_is_deleted(void **state)
{
    struct rig_call call = {.method = API_DELETE, .path = UP "digest.bin"};
    char match[128];

    (void)state;
    call.headers[0] =
        "If-Match: \"0000000000000000000000000000000000000000000000000000000000000000\"";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", NULL);
    rig_if_match(rig, UP "digest.bin", match);
    call.headers[0] = match;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call.headers[0] = NULL;
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_arrives_in_pieces),
        cmocka_unit_test(refused_uploads_leave_nothing),
        cmocka_unit_test(a_broken_upload_leaves_nothing),
        cmocka_unit_test(an_announced_digest_is_checked),
        cmocka_unit_test(conditions_of_files),
        cmocka_unit_test(a_list_of_tags_has_an_end),
        cmocka_unit_test(a_file_is_deleted),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
