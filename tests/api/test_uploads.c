/* SPDX-License-Identifier: Apache-2.0
 * Resumable uploads (tus 1.0.0): the way they go, what breaks, what is refused. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base64.h"
#include "content/sha256.h"
#include "tests/api/upload_rig.h"

/* ---- the way it goes ---- */

static void an_upload_comes_in_pieces(void **state)
{
    struct rig_call get = {.method = API_GET};
    struct rig_answer a;
    char path[128];

    (void)state;
    upload_begin("a/first.bin", "Upload-Length: 11", path);
    assert_int_equal(rig_events(rig, "upload-created"), 1);
    upload_send(path, "Upload-Offset: 0", "hello ", "6");
    upload_expect_offset(path, "6");
    upload_send(path, "Upload-Offset: 6", "", "6"); /* nothing is fine */
    get.path = UPLOAD_VERSION "/uploads";
    a = rig_expect(rig, RIG_VIEWER, &get, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
    upload_send(path, "Upload-Offset: 6", "world", "11");
    upload_expect_file("a/first.bin", "hello world");
    assert_int_equal(upload_partial_files(), 0);
    assert_int_equal(rig_events(rig, "file-stored"), 1);
    get.path = path;
    a = rig_expect(rig, RIG_VIEWER, &get, 200);
    assert_string_equal(rig_text(&a, "state"), "finished");
    assert_int_equal(strlen(rig_text(&a, "sha256")), 64);
    assert_non_null(strstr(rig_header(&a, "Upload-Metadata"), "path "));
    assert_string_equal(rig_header(&a, "Upload-Length"), "11");
    rig_answer_done(&a);
    upload_expect_offset(path, "11"); /* for a client that never saw the last answer */
    upload_send(path, "Upload-Offset: 11", "", "11");
    assert_int_equal(rig_events(rig, "file-stored"), 1);
}

static void the_first_bytes_come_with_the_creation(void **state)
{
    char metadata[512];
    struct rig_call call = upload_creation("with.bin", "Upload-Length: 4", metadata);
    struct rig_answer a;

    (void)state;
    upload_metadata("with.bin", ",mode MDc1NQ==,note",
                    metadata); /* 0755, and a key of the client's */
    call.headers[3] = UPLOAD_TYPE;
    call.data = "four";
    call.size = 4;
    call.piece = 1;
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_string_equal(rig_header(&a, "Upload-Offset"), "4");
    assert_string_equal(rig_text(&a, "state"), "finished");
    assert_int_equal(rig_number(&a, "mode"), 0755);
    rig_answer_done(&a);
    upload_expect_file("with.bin", "four");
    call.no_length = true; /* chunked, and only a part */
    upload_metadata("part.bin", "", metadata);
    call.headers[1] = "Upload-Length: 9";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_string_equal(rig_header(&a, "Upload-Offset"), "4");
    rig_answer_done(&a);
}

static void what_is_spoken_is_told(void **state)
{
    struct rig_call call = {.method = API_OPTIONS, .path = UPLOAD_VERSION "/uploads"};
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 204);

    (void)state;
    assert_string_equal(rig_header(&a, "Tus-Version"), "1.0.0");
    assert_non_null(strstr(rig_header(&a, "Tus-Extension"), "creation-with-upload"));
    assert_string_equal(rig_header(&a, "Tus-Checksum-Algorithm"), "sha256");
    assert_null(rig_header(&a, "Tus-Max-Size"));
    rig_answer_done(&a);
    rig_settings(rig, "{\"library_quota_bytes\": 2000000}");
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    assert_string_equal(rig_header(&a, "Tus-Max-Size"), "2000000");
    rig_answer_done(&a);
    rig_settings(rig, "{\"library_quota_bytes\": null}");
}

/* ---- what breaks ---- */

static void what_arrived_before_a_break_is_kept(void **state)
{
    char path[128];
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    upload_begin("broken.bin", "Upload-Length: 10", path);
    call = upload_piece(path, "Upload-Offset: 0", "01234567");
    call.break_early = true;
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "4 bytes of 10");
    upload_expect_offset(path, "4");
    upload_send(path, "Upload-Offset: 4", "456789", "10");
    upload_expect_file("broken.bin", "0123456789");

    upload_begin("whole.bin", "Upload-Length: 8", path);
    call = upload_piece(path, "Upload-Offset: 0",
                        "01234567 and more"); /* breaks behind the last byte */
    call.size = 16;
    call.break_early = true;
    call.no_length = true;
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    rig_answer_done(&a);
    upload_expect_file("whole.bin", "01234567");
}

static void another_offset_is_refused(void **state)
{
    char path[128];
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    upload_begin("offset.bin", "Upload-Length: 9", path);
    upload_send(path, "Upload-Offset: 0", "abc", "3");
    call = upload_piece(path, "Upload-Offset: 0", "abc"); /* the same again */
    a = rig_expect(rig, RIG_OPERATOR, &call, 409);
    assert_string_equal(rig_text(&a, "code"), "upload-offset-mismatch");
    assert_string_equal(rig_header(&a, "Upload-Offset"), "3");
    assert_string_equal(rig_header(&a, "Tus-Resumable"), "1.0.0");
    rig_answer_done(&a);
    call = upload_piece(path, "Upload-Offset: 2", "cdef"); /* overlapping */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-offset-mismatch", "at 3");
    call = upload_piece(path, "Upload-Offset: 4", "efg"); /* with a gap */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-offset-mismatch", "at 3");
    call = upload_piece(path, "Upload-Offset: 3", "defghijk"); /* beyond the end */
    rig_refused(rig, RIG_OPERATOR, &call, "too-large", "9 bytes");
    call.no_length = true; /* found out on the way */
    call.piece = 4;
    rig_refused(rig, RIG_OPERATOR, &call, "too-large", "9 bytes");
    upload_expect_offset(path, "3");
    upload_send(path, "Upload-Offset: 3", "defghi", "9");
    upload_expect_file("offset.bin", "abcdefghi");
}

static void a_checksum_is_compared(void **state)
{
    char path[128], checksum[128], encoded[64];
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    assert_int_equal(content_sha256("right", 5, digest), CP_OK);
    (void)cp_base64_encode(CP_BASE64_STD, digest, sizeof digest, encoded);
    (void)snprintf(checksum, sizeof checksum, "Upload-Checksum: sha256 %s", encoded);
    upload_begin("sum.bin", "Upload-Length: 10", path);
    call = upload_piece(path, "Upload-Offset: 0", "wrong");
    call.headers[3] = checksum;
    rig_refused(rig, RIG_OPERATOR, &call, "upload-checksum-mismatch", NULL);
    upload_expect_offset(path, "0");
    call.data = "right";
    call.break_early = true; /* cannot be compared: nothing is kept */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "0 bytes");
    upload_expect_offset(path, "0");
    call.break_early = false;
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    rig_answer_done(&a);
    call = upload_piece(path, "Upload-Offset: 5", "right");
    call.headers[3] = checksum;
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    rig_answer_done(&a);
    upload_expect_file("sum.bin", "rightright");
    call.headers[3] = "Upload-Checksum: md5 1B2M2Y8AsgTpgAmY7PhCfg==";
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "sha256");
    call.headers[3] = "Upload-Checksum: sha256 AAAA";
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "32 bytes");
}

/* What a POST stands for is who may do it, what is done, and what the audit says. */
static void a_method_in_a_header(void **state)
{
    static const struct {
        enum api_method method;
        const char *path, *name;
    } refused[] = {{API_POST, "", "PUT"},      {API_POST, "", "GET"},
                   {API_POST, "", "POST"},     {API_POST, "", "patch"},
                   {API_POST, "", ""},         {API_POST, "", "PATCH, DELETE"},
                   {API_GET, "", "DELETE"},    {API_PATCH, "", "DELETE"},
                   {API_POST, "/x", "DELETE"}, {API_POST, NULL, "HEAD"}};
    char path[128], header[64], other[140];
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    upload_begin("posted.bin", "Upload-Length: 6", path);
    call = upload_piece(path, "Upload-Offset: 0", "abc");
    call.method = API_POST;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 405);
    call.headers[3] = "X-HTTP-Method-Override: PATCH";
    assert_int_equal(rig_status(rig, RIG_VIEWER, &call), 403);
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    assert_string_equal(rig_header(&a, "Upload-Offset"), "3");
    rig_answer_done(&a);
    call = (struct rig_call){
        .method = API_POST, .path = path, .headers = {UPLOAD_TUS, "X-HTTP-Method-Override: HEAD"}};
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(rig_header(&a, "Upload-Offset"), "3");
    rig_answer_done(&a);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        (void)snprintf(header, sizeof header, "X-HTTP-Method-Override: %s", refused[i].name);
        (void)snprintf(other, sizeof other, "%s%s", path,
                       refused[i].path != NULL ? refused[i].path : "");
        call.method = refused[i].method;
        call.path = refused[i].path != NULL ? other : UPLOAD_VERSION "/uploads";
        call.headers[1] = header;
        rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "X-HTTP-Method-Override");
    }
    call.method = API_POST;
    call.path = path;
    call.headers[1] = "X-HTTP-Method-Override: DELETE";
    assert_int_equal(rig_status(rig, RIG_VIEWER, &call), 403);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 404);
    call = rig_call_get("/api/v1/audit?operation=deleteUpload&limit=2");
    a = rig_expect(rig, RIG_ADMIN, &call, 200);
    for (size_t i = 0; i < 2; i++) {
        const json_t *e = json_array_get(json_object_get(a.json, "items"), i);

        assert_string_equal(rig_text_in(e, "method"), "DELETE");
        assert_string_equal(rig_text_in(e, "account"), i == 0 ? "operator" : "viewer");
        assert_string_equal(rig_text_in(e, "outcome"), i == 0 ? "done" : "refused");
    }
    rig_answer_done(&a);
}

/* "ALGORITHM=:BASE64:" of the data. */
static void digest_header(const char *name, const char *data, char ret_header[128])
{
    char encoded[64];
    uint8_t digest[CONTENT_DIGEST_SIZE];

    assert_int_equal(content_sha256(data, strlen(data), digest), CP_OK);
    (void)cp_base64_encode(CP_BASE64_STD, digest, sizeof digest, encoded);
    (void)snprintf(ret_header, 128, "%s: sha-256=:%s:", name, encoded);
}

/* RFC 9530: of a PATCH both are digests of the piece. */
static void a_digest_of_a_piece_is_compared(void **state)
{
    static const char *const names[] = {"Content-Digest", "Repr-Digest"};
    char path[128], right[128], wrong[128];
    struct rig_call call;

    (void)state;
    upload_begin("piece.bin", "Upload-Length: 10", path);
    for (size_t i = 0; i < 2; i++) {
        const char *offset = i == 0 ? "Upload-Offset: 0" : "Upload-Offset: 5";

        digest_header(names[i], "right", right);
        digest_header(names[i], "wrong", wrong);
        call = upload_piece(path, offset, "right");
        call.headers[3] = wrong;
        rig_refused(rig, RIG_OPERATOR, &call, "upload-checksum-mismatch", NULL);
        call.headers[3] = i == 0 ? "Content-Digest: sha-256=AAAA" : "Repr-Digest: sha-256=AAAA";
        rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", names[i]);
        call.headers[3] = "Trailer: Upload-Checksum";
        rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Upload-Checksum");
        upload_expect_offset(path, i == 0 ? "0" : "5");
        call.headers[3] = right;
        assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    }
    upload_expect_file("piece.bin", "rightright");
}

/* Of a creation Repr-Digest is the file's, Content-Digest that of the bytes that come along. */
static void a_digest_of_a_creation_is_compared(void **state)
{
    char metadata[512], right[128], wrong[128];
    struct rig_call call = upload_creation("made.bin", "Upload-Length: 5", metadata);
    int blobs = rig_blob_count(rig);

    (void)state;
    digest_header("Content-Digest", "right", wrong);
    call.headers[3] = wrong; /* of no bytes */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-checksum-mismatch", NULL);
    digest_header("Content-Digest", "", right);
    call.headers[3] = right;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    call.data = "right";
    call.size = 5;
    call.headers[4] = "Content-Type: application/offset+octet-stream";
    digest_header("Repr-Digest", "wrong", wrong);
    call.headers[3] = wrong;
    rig_refused(rig, RIG_OPERATOR, &call, "digest-mismatch", "made.bin");
    call.headers[3] = "Repr-Digest: sha-256=:AAAA:";
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Repr-Digest");
    upload_metadata_of("made.bin", "right", metadata);
    call.headers[3] = wrong; /* says another thing than Upload-Metadata */
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Repr-Digest");
    assert_int_equal(rig_blob_count(rig), blobs);
    digest_header("Repr-Digest", "right", right);
    call.headers[3] = right;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    upload_expect_file("made.bin", "right");
}

static void the_whole_must_be_what_was_announced(void **state)
{
    static const char sha256[] = "5d5766cf2d78701614200418ee1450690d9af12c84d52545e4802f001ad53099";
    char metadata[512], path[128];
    struct rig_call call = upload_creation("whole.bin", "Upload-Length: 5", metadata);
    struct rig_answer a;
    int blobs = rig_blob_count(rig);
    int files = upload_partial_files();

    (void)state;
    upload_metadata_of("whole.bin", "whole", metadata);
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_string_equal(rig_text(&a, "sha256"), sha256);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    call = upload_piece(path, "Upload-Offset: 0", "holes");
    rig_refused(rig, RIG_OPERATOR, &call, "digest-mismatch", "whole.bin");
    assert_int_equal(rig_blob_count(rig), blobs);
    assert_int_equal(upload_partial_files(), files);
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL); /* it can never end well */

    call = upload_creation("whole.bin", "Upload-Length: 5", metadata);
    upload_metadata_of("whole.bin", "whole", metadata);
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    upload_send(path, "Upload-Offset: 0", "whole", "5");
    upload_expect_file("whole.bin", "whole");
}

/* ---- what is refused ---- */

static void wrong_creations_are_refused(void **state)
{
    static const struct {
        const char *headers[4];
        const char *path, *code, *word;
    } cases[] = {
        {{NULL, "Upload-Length: 1"}, "x", "tus-version", "Tus-Resumable"},
        {{"Tus-Resumable: 0.2.2", "Upload-Length: 1"}, "x", "tus-version", "0.2.2"},
        {{UPLOAD_TUS}, "x", "invalid-request", "Upload-Length"},
        {{UPLOAD_TUS, "Upload-Length: -1"}, "x", "invalid-request", "Upload-Length"},
        {{UPLOAD_TUS, "Upload-Length: 9999999999999999999"},
         "x",
         "invalid-request",
         "Upload-Length"},
        {{UPLOAD_TUS, "Upload-Length: 0"}, "x", "content-empty", "'x'"},
        {{UPLOAD_TUS, "Upload-Defer-Length: 1"}, "x", "invalid-request", "Upload-Defer-Length"},
        {{UPLOAD_TUS, "Upload-Length: 1", "Upload-Concat: partial"},
         "x",
         "invalid-request",
         "Concat"},
        {{UPLOAD_TUS, "Upload-Length: 1"}, "../x", "path-invalid", "../x"},
        {{UPLOAD_TUS, "Upload-Length: 1"}, "", "path-invalid", NULL},
        {{UPLOAD_TUS, "Upload-Length: 1"}, "a/First.BIN", "path-duplicate", "a/first.bin"},
        {{UPLOAD_TUS, "Upload-Length: 1"}, "a", "path-duplicate", "a/first.bin"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char metadata[512];
        struct rig_call call = {.method = API_POST, .path = UPLOAD_VERSION "/uploads"};
        size_t count = 0;

        for (size_t k = 0; k < 4; k++) {
            if (cases[i].headers[k] != NULL) {
                call.headers[count++] = cases[i].headers[k];
            }
        }
        upload_metadata(cases[i].path, "", metadata);
        call.headers[count] = metadata;
        rig_refused(rig, RIG_OPERATOR, &call, cases[i].code, cases[i].word);
    }
}

static void wrong_metadata_is_refused(void **state)
{
    static const char *const wrong[] = {
        "path !!!!",                       /* not base64 */
        "path YQ==,path YQ==",             /* twice */
        "path YQ==, ,mode MDc1NQ==",       /* a pair without a key */
        "path YQBi",                       /* a NUL in it */
        "path YQ==,mode OTk5",             /* 999 */
        "path YQ==,note \xff",             /* not ASCII */
        "path YQ==,sha256 YQ==",           /* too short */
        "path YQ==,mode MDAwMDAwMDA3NTU=", /* too long */
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char metadata[512];
        struct rig_call call = upload_creation("x", "Upload-Length: 1", metadata);

        (void)snprintf(metadata, sizeof metadata, "Upload-Metadata: %s", wrong[i]);
        rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Upload-Metadata");
    }
}

static void wrong_pieces_are_refused(void **state)
{
    char path[128];
    struct rig_call call;

    (void)state;
    upload_begin("pieces.bin", "Upload-Length: 3", path);
    call = upload_piece(path, "Upload-Offset: x", "abc");
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Upload-Offset");
    call.headers[2] = NULL;
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Upload-Offset");
    call = upload_piece(path, "Upload-Offset: 0", "abc");
    call.headers[1] = "Content-Type: text/plain";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "text/plain");
    call = upload_piece(path, "Upload-Offset: 0", "abc");
    call.headers[3] = "Content-Encoding: gzip";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "gzip");
    call.headers[3] = NULL;
    call.headers[0] = "Tus-Resumable: 2.0.0";
    rig_refused(rig, RIG_OPERATOR, &call, "tus-version", "2.0.0");
    call = upload_piece("/api/v1/uploads/0f8fad5b-d9cb-469f-a165-70867728950e", "Upload-Offset: 0",
                        "abc");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", "0f8fad5b");
    call = upload_piece("/api/v1/uploads/..%2e", "Upload-Offset: 0", "abc");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL);
    call = (struct rig_call){.method = API_HEAD, .path = path, .headers = {"Tus-Resumable: 9"}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 412);
    call = upload_piece(path, "Upload-Offset: 0", "abc");
    rig_refused(rig, RIG_VIEWER, &call, "access-denied", NULL);
    upload_expect_offset(path, "0");
}

/* Two requests at one upload: the second is told so, and the first goes on. */
static void a_second_request_is_told_to_wait(void **state)
{
    char path[128], bearer[128];
    struct api_pair headers[4] = {{"Authorization", bearer},
                                  {"Tus-Resumable", "1.0.0"},
                                  {"Content-Type", "application/offset+octet-stream"},
                                  {"Upload-Offset", "0"}};
    struct api_request rq = {.method = API_PATCH,
                             .path = path,
                             .headers = headers,
                             .header_count = 4,
                             .content_length = 6,
                             .request_id = "first"};
    struct api_upload *u = NULL;
    struct api_response rs;
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    upload_begin("two.bin", "Upload-Length: 6", path);
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", rig->tokens[RIG_OPERATOR]);
    assert_true(api_upload_start(&rig->ctx, &rq, &u, &rs));
    assert_non_null(u);
    api_upload_data(u, "abc", 3);
    call = upload_piece(path, "Upload-Offset: 0", "xyzxyz");
    a = rig_expect(rig, RIG_OPERATOR, &call, 423);
    assert_string_equal(rig_text(&a, "code"), "upload-locked");
    assert_non_null(rig_header(&a, "Retry-After"));
    rig_answer_done(&a);
    call = (struct rig_call){.method = API_DELETE, .path = path, .headers = {UPLOAD_TUS}};
    rig_refused(rig, RIG_OPERATOR, &call, "upload-locked", NULL);
    upload_expect_offset(path, "0"); /* may be looked at */
    api_upload_data(u, "def", 3);
    rs = api_upload_finish(u, true);
    assert_int_equal(rs.status, 204);
    api_response_done(&rs);
    upload_expect_file("two.bin", "abcdef");
}

/* ---- beyond 32 bits ---- */

static void offsets_beyond_32_bits(void **state)
{
    static const struct {
        const char *offset, *then;
    } steps[] = {{"Upload-Offset: 4294967295", "4294967296"},
                 {"Upload-Offset: 4294967296", "4294967297"},
                 {"Upload-Offset: 4294967297", "4294967298"}};
    char path[128], file[256];
    char found[4] = "";
    int fd;

    (void)state;
    upload_begin("large.bin", "Upload-Length: 6442450944", path);
    upload_send(path, "Upload-Offset: 0", "x", "1");
    (void)snprintf(file, sizeof file, "%s/content/partial/%s", rig->folder, strrchr(path, '/') + 1);
    assert_int_equal(truncate(file, (off_t)4294967295), 0); /* a hole of nearly 4 GiB */
    rig_sql("UPDATE uploads SET received = 4294967295 WHERE path = 'large.bin'");
    for (size_t i = 0; i < 3; i++) {
        upload_expect_offset(path, strchr(steps[i].offset, ' ') + 1);
        upload_send(path, steps[i].offset, i == 0 ? "a" : i == 1 ? "b" : "c", steps[i].then);
    }
    fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, found, 3, (off_t)4294967295), 3);
    assert_string_equal(found, "abc");
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_comes_in_pieces),
        cmocka_unit_test(the_first_bytes_come_with_the_creation),
        cmocka_unit_test(what_is_spoken_is_told),
        cmocka_unit_test(what_arrived_before_a_break_is_kept),
        cmocka_unit_test(another_offset_is_refused),
        cmocka_unit_test(a_checksum_is_compared),
        cmocka_unit_test(a_method_in_a_header),
        cmocka_unit_test(a_digest_of_a_piece_is_compared),
        cmocka_unit_test(a_digest_of_a_creation_is_compared),
        cmocka_unit_test(the_whole_must_be_what_was_announced),
        cmocka_unit_test(wrong_creations_are_refused),
        cmocka_unit_test(wrong_metadata_is_refused),
        cmocka_unit_test(wrong_pieces_are_refused),
        cmocka_unit_test(a_second_request_is_told_to_wait),
        cmocka_unit_test(offsets_beyond_32_bits),
    };

    return cmocka_run_group_tests(tests, upload_set_up, rig_tear_down);
}
