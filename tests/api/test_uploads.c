/* SPDX-License-Identifier: Apache-2.0
 * Resumable uploads (tus 1.0.0) and the room that uploads have: what is kept, what is refused, and
 * that every step may be repeated. */
#include <fcntl.h>
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

#include "common/base64.h"
#include "common/hex.h"
#include "content/sha256.h"
#include "tests/api/rig.h"

#define VERSION    "/api/v1/packages/up/versions/1"
#define MATCH_NONE "0000000000000000000000000000000000000000000000000000000000000000"
#define TUS        "Tus-Resumable: 1.0.0"
#define TYPE       "Content-Type: application/offset+octet-stream"

struct upload {
    char path[128];
    char metadata[512];
};

static void base64(const char *text, char *ret_text)
{
    (void)cp_base64_encode(CP_BASE64_STD, text, strlen(text), ret_text);
}

/* "Upload-Metadata: path …" and what `more` adds to it. */
static void metadata_of(const char *path, const char *more, char ret_header[512])
{
    char encoded[256];

    base64(path, encoded);
    (void)snprintf(ret_header, 512, "Upload-Metadata: path %s%s", encoded, more);
}

static struct rig_call creation(const char *path, const char *length, char metadata[512])
{
    metadata_of(path, "", metadata);
    return (struct rig_call){
        .method = API_POST, .path = VERSION "/uploads", .headers = {TUS, length, metadata}};
}

/* An upload that was begun: its address. */
static void begin(const char *path, const char *length, char ret_path[128])
{
    char metadata[512];
    struct rig_call call = creation(path, length, metadata);
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 201);

    assert_string_equal(rig_text(&a, "state"), "receiving");
    assert_string_equal(rig_header(&a, "Upload-Offset"), "0");
    (void)snprintf(ret_path, 128, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
}

static struct rig_call piece(const char *path, const char *offset, const char *data)
{
    return (struct rig_call){.method = API_PATCH,
                             .path = path,
                             .headers = {TUS, TYPE, offset},
                             .data = data,
                             .size = strlen(data)};
}

static void send_piece(const char *path, const char *offset, const char *data, const char *then)
{
    struct rig_call call = piece(path, offset, data);
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 204);

    assert_string_equal(rig_header(&a, "Upload-Offset"), then);
    assert_string_equal(rig_header(&a, "Tus-Resumable"), "1.0.0");
    assert_non_null(strstr(rig_header(&a, "Upload-Expires"), "GMT"));
    rig_answer_done(&a);
}

static void expect_offset(const char *path, const char *offset)
{
    struct rig_call call = {.method = API_HEAD, .path = path, .headers = {TUS}};
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 200);

    assert_string_equal(rig_header(&a, "Upload-Offset"), offset);
    assert_string_equal(rig_header(&a, "Cache-Control"), "no-store");
    rig_answer_done(&a);
}

static void expect_file(const char *path, const char *content)
{
    char address[256];
    struct rig_call call = {.method = API_GET, .path = address};
    struct rig_answer a;

    (void)snprintf(address, sizeof address, VERSION "/files/%s", path);
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_string_equal(a.bytes, content);
    rig_answer_done(&a);
}

static void settings(const char *change)
{
    static const char path[] = "/api/v1/distribution-points/local/settings";
    char match[128];
    struct rig_call call = {.method = API_PATCH, .path = path, .body = change, .headers = {match}};

    rig_if_match(rig, path, match);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 200);
}

static int partial_files(void)
{
    char command[256];
    FILE *f;
    int count = -1;

    (void)snprintf(command, sizeof command, "ls %s/content/partial | wc -l", rig->folder);
    f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &count), 1);
    assert_int_equal(pclose(f), 0);
    return count;
}

/* ---- the way it goes ---- */

static void an_upload_comes_in_pieces(void **state)
{
    struct rig_call get = {.method = API_GET};
    struct rig_answer a;
    char path[128];

    (void)state;
    rig_package(rig, "up", "");
    begin("a/first.bin", "Upload-Length: 11", path);
    assert_int_equal(rig_events(rig, "upload-created"), 1);
    send_piece(path, "Upload-Offset: 0", "hello ", "6");
    expect_offset(path, "6");
    send_piece(path, "Upload-Offset: 6", "", "6"); /* nothing is fine */
    get.path = VERSION "/uploads";
    a = rig_expect(rig, RIG_VIEWER, &get, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
    send_piece(path, "Upload-Offset: 6", "world", "11");
    expect_file("a/first.bin", "hello world");
    assert_int_equal(partial_files(), 0);
    assert_int_equal(rig_events(rig, "file-stored"), 1);
    get.path = path;
    a = rig_expect(rig, RIG_VIEWER, &get, 200);
    assert_string_equal(rig_text(&a, "state"), "finished");
    assert_int_equal(strlen(rig_text(&a, "sha256")), 64);
    assert_non_null(strstr(rig_header(&a, "Upload-Metadata"), "path "));
    assert_string_equal(rig_header(&a, "Upload-Length"), "11");
    rig_answer_done(&a);
    expect_offset(path, "11"); /* for a client that never saw the last answer */
    send_piece(path, "Upload-Offset: 11", "", "11");
    assert_int_equal(rig_events(rig, "file-stored"), 1);
}

static void the_first_bytes_come_with_the_creation(void **state)
{
    char metadata[512];
    struct rig_call call = creation("with.bin", "Upload-Length: 4", metadata);
    struct rig_answer a;

    (void)state;
    metadata_of("with.bin", ",mode MDc1NQ==,note", metadata); /* 0755, and a key of the client's */
    call.headers[3] = TYPE;
    call.data = "four";
    call.size = 4;
    call.piece = 1;
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_string_equal(rig_header(&a, "Upload-Offset"), "4");
    assert_string_equal(rig_text(&a, "state"), "finished");
    assert_int_equal(rig_number(&a, "mode"), 0755);
    rig_answer_done(&a);
    expect_file("with.bin", "four");
    call.no_length = true; /* chunked, and only a part */
    metadata_of("part.bin", "", metadata);
    call.headers[1] = "Upload-Length: 9";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_string_equal(rig_header(&a, "Upload-Offset"), "4");
    rig_answer_done(&a);
}

static void what_is_spoken_is_told(void **state)
{
    struct rig_call call = {.method = API_OPTIONS, .path = VERSION "/uploads"};
    struct rig_answer a = rig_expect(rig, RIG_OPERATOR, &call, 204);

    (void)state;
    assert_string_equal(rig_header(&a, "Tus-Version"), "1.0.0");
    assert_non_null(strstr(rig_header(&a, "Tus-Extension"), "creation-with-upload"));
    assert_string_equal(rig_header(&a, "Tus-Checksum-Algorithm"), "sha256");
    assert_null(rig_header(&a, "Tus-Max-Size"));
    rig_answer_done(&a);
    settings("{\"library_quota_bytes\": 2000000}");
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    assert_string_equal(rig_header(&a, "Tus-Max-Size"), "2000000");
    rig_answer_done(&a);
    settings("{\"library_quota_bytes\": null}");
}

/* ---- what breaks ---- */

static void what_arrived_before_a_break_is_kept(void **state)
{
    char path[128];
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    begin("broken.bin", "Upload-Length: 10", path);
    call = piece(path, "Upload-Offset: 0", "01234567");
    call.break_early = true;
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "4 bytes of 10");
    expect_offset(path, "4");
    send_piece(path, "Upload-Offset: 4", "456789", "10");
    expect_file("broken.bin", "0123456789");

    begin("whole.bin", "Upload-Length: 8", path);
    call = piece(path, "Upload-Offset: 0", "01234567 and more"); /* breaks behind the last byte */
    call.size = 16;
    call.break_early = true;
    call.no_length = true;
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    rig_answer_done(&a);
    expect_file("whole.bin", "01234567");
}

static void another_offset_is_refused(void **state)
{
    char path[128];
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    begin("offset.bin", "Upload-Length: 9", path);
    send_piece(path, "Upload-Offset: 0", "abc", "3");
    call = piece(path, "Upload-Offset: 0", "abc"); /* the same again */
    a = rig_expect(rig, RIG_OPERATOR, &call, 409);
    assert_string_equal(rig_text(&a, "code"), "upload-offset-mismatch");
    assert_string_equal(rig_header(&a, "Upload-Offset"), "3");
    assert_string_equal(rig_header(&a, "Tus-Resumable"), "1.0.0");
    rig_answer_done(&a);
    call = piece(path, "Upload-Offset: 2", "cdef"); /* overlapping */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-offset-mismatch", "at 3");
    call = piece(path, "Upload-Offset: 4", "efg"); /* with a gap */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-offset-mismatch", "at 3");
    call = piece(path, "Upload-Offset: 3", "defghijk"); /* beyond the end */
    rig_refused(rig, RIG_OPERATOR, &call, "too-large", "9 bytes");
    call.no_length = true; /* found out on the way */
    call.piece = 4;
    rig_refused(rig, RIG_OPERATOR, &call, "too-large", "9 bytes");
    expect_offset(path, "3");
    send_piece(path, "Upload-Offset: 3", "defghi", "9");
    expect_file("offset.bin", "abcdefghi");
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
    begin("sum.bin", "Upload-Length: 10", path);
    call = piece(path, "Upload-Offset: 0", "wrong");
    call.headers[3] = checksum;
    rig_refused(rig, RIG_OPERATOR, &call, "upload-checksum-mismatch", NULL);
    expect_offset(path, "0");
    call.data = "right";
    call.break_early = true; /* cannot be compared: nothing is kept */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "0 bytes");
    expect_offset(path, "0");
    call.break_early = false;
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    rig_answer_done(&a);
    call = piece(path, "Upload-Offset: 5", "right");
    call.headers[3] = checksum;
    a = rig_expect(rig, RIG_OPERATOR, &call, 204);
    rig_answer_done(&a);
    expect_file("sum.bin", "rightright");
    call.headers[3] = "Upload-Checksum: md5 1B2M2Y8AsgTpgAmY7PhCfg==";
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "sha256");
    call.headers[3] = "Upload-Checksum: sha256 AAAA";
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "32 bytes");
}

static void the_whole_must_be_what_was_announced(void **state)
{
    char metadata[512], more[160], hex[CONTENT_DIGEST_TEXT_SIZE], encoded[128], path[128];
    uint8_t digest[CONTENT_DIGEST_SIZE];
    struct rig_call call = creation("whole.bin", "Upload-Length: 5", metadata);
    struct rig_answer a;
    int blobs = rig_blob_count(rig);
    int files = partial_files();

    (void)state;
    assert_int_equal(content_sha256("whole", 5, digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, hex);
    base64(hex, encoded);
    (void)snprintf(more, sizeof more, ",sha256 %s", encoded);
    metadata_of("whole.bin", more, metadata);
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_string_equal(rig_text(&a, "sha256"), hex);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    call = piece(path, "Upload-Offset: 0", "holes");
    rig_refused(rig, RIG_OPERATOR, &call, "digest-mismatch", "whole.bin");
    assert_int_equal(rig_blob_count(rig), blobs);
    assert_int_equal(partial_files(), files);
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL); /* it can never end well */

    call = creation("whole.bin", "Upload-Length: 5", metadata);
    metadata_of("whole.bin", more, metadata);
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    send_piece(path, "Upload-Offset: 0", "whole", "5");
    expect_file("whole.bin", "whole");
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
        {{TUS}, "x", "invalid-request", "Upload-Length"},
        {{TUS, "Upload-Length: -1"}, "x", "invalid-request", "Upload-Length"},
        {{TUS, "Upload-Length: 9999999999999999999"}, "x", "invalid-request", "Upload-Length"},
        {{TUS, "Upload-Length: 0"}, "x", "content-empty", "'x'"},
        {{TUS, "Upload-Defer-Length: 1"}, "x", "invalid-request", "Upload-Defer-Length"},
        {{TUS, "Upload-Length: 1", "Upload-Concat: partial"}, "x", "invalid-request", "Concat"},
        {{TUS, "Upload-Length: 1"}, "../x", "path-invalid", "../x"},
        {{TUS, "Upload-Length: 1"}, "", "path-invalid", NULL},
        {{TUS, "Upload-Length: 1"}, "a/First.BIN", "path-duplicate", "a/first.bin"},
        {{TUS, "Upload-Length: 1"}, "a", "path-duplicate", "a/first.bin"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char metadata[512];
        struct rig_call call = {.method = API_POST, .path = VERSION "/uploads"};
        size_t count = 0;

        for (size_t k = 0; k < 4; k++) {
            if (cases[i].headers[k] != NULL) {
                call.headers[count++] = cases[i].headers[k];
            }
        }
        metadata_of(cases[i].path, "", metadata);
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
        struct rig_call call = creation("x", "Upload-Length: 1", metadata);

        (void)snprintf(metadata, sizeof metadata, "Upload-Metadata: %s", wrong[i]);
        rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Upload-Metadata");
    }
}

static void wrong_pieces_are_refused(void **state)
{
    char path[128];
    struct rig_call call;

    (void)state;
    begin("pieces.bin", "Upload-Length: 3", path);
    call = piece(path, "Upload-Offset: x", "abc");
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Upload-Offset");
    call.headers[2] = NULL;
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "Upload-Offset");
    call = piece(path, "Upload-Offset: 0", "abc");
    call.headers[1] = "Content-Type: text/plain";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "text/plain");
    call = piece(path, "Upload-Offset: 0", "abc");
    call.headers[3] = "Content-Encoding: gzip";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "gzip");
    call.headers[3] = NULL;
    call.headers[0] = "Tus-Resumable: 2.0.0";
    rig_refused(rig, RIG_OPERATOR, &call, "tus-version", "2.0.0");
    call = piece("/api/v1/uploads/0f8fad5b-d9cb-469f-a165-70867728950e", "Upload-Offset: 0", "abc");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", "0f8fad5b");
    call = piece("/api/v1/uploads/..%2e", "Upload-Offset: 0", "abc");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL);
    call = (struct rig_call){.method = API_HEAD, .path = path, .headers = {"Tus-Resumable: 9"}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 412);
    call = piece(path, "Upload-Offset: 0", "abc");
    rig_refused(rig, RIG_VIEWER, &call, "access-denied", NULL);
    expect_offset(path, "0");
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
    begin("two.bin", "Upload-Length: 6", path);
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", rig->tokens[RIG_OPERATOR]);
    assert_true(api_upload_start(&rig->ctx, &rq, &u, &rs));
    assert_non_null(u);
    api_upload_data(u, "abc", 3);
    call = piece(path, "Upload-Offset: 0", "xyzxyz");
    a = rig_expect(rig, RIG_OPERATOR, &call, 423);
    assert_string_equal(rig_text(&a, "code"), "upload-locked");
    assert_non_null(rig_header(&a, "Retry-After"));
    rig_answer_done(&a);
    call = (struct rig_call){.method = API_DELETE, .path = path, .headers = {TUS}};
    rig_refused(rig, RIG_OPERATOR, &call, "upload-locked", NULL);
    expect_offset(path, "0"); /* may be looked at */
    api_upload_data(u, "def", 3);
    rs = api_upload_finish(u, true);
    assert_int_equal(rs.status, 204);
    api_response_done(&rs);
    expect_file("two.bin", "abcdef");
}

/* ---- the end of it ---- */

static void it_is_deleted(void **state)
{
    char path[128];
    struct rig_call call = {.method = API_DELETE, .path = path, .headers = {TUS}};
    int files = partial_files();

    (void)state;
    begin("deleted.bin", "Upload-Length: 6", path);
    send_piece(path, "Upload-Offset: 0", "abc", "3");
    assert_int_equal(partial_files(), files + 1);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    assert_int_equal(partial_files(), files);
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
    struct rig_call call = {.method = API_HEAD, .path = path, .headers = {TUS}};
    int files = partial_files();
    int told = rig_events(rig, "upload-expired");

    (void)state;
    begin("expired.bin", "Upload-Length: 6", path);
    send_piece(path, "Upload-Offset: 0", "abc", "3");
    ask_to_expire();
    expect_offset(path, "3"); /* it is young */
    rig_sql("UPDATE uploads SET expires_at = now() - interval '1 second' WHERE path = "
            "'expired.bin'");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 404); /* before the job comes by */
    ask_to_expire();
    assert_int_equal(partial_files(), files);
    assert_int_equal(rig_events(rig, "upload-expired"), told + 1);
}

/* Between the look at what has expired and the end of it a piece comes: the first one's end stands
 * for that moment. */
static void what_comes_back_to_life_is_kept(void **state)
{
    char first[128], second[128];
    int told = rig_events(rig, "upload-expired");
    int files = partial_files();

    (void)state;
    begin("first.bin", "Upload-Length: 6", first);
    begin("second.bin", "Upload-Length: 6", second);
    send_piece(second, "Upload-Offset: 0", "abc", "3");
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
    assert_int_equal(partial_files(), files + 1);
    send_piece(second, "Upload-Offset: 3", "def", "6");
    expect_file("second.bin", "abcdef");
}

/* Each piece begins the time anew, by the setting. */
static void its_time_is_a_setting(void **state)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a;
    char before[64];

    (void)state;
    begin("time.bin", "Upload-Length: 6", path);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    (void)snprintf(before, sizeof before, "%s", rig_text(&a, "expires_at"));
    rig_answer_done(&a);
    settings("{\"upload_expiry_hours\": 4000}");
    send_piece(path, "Upload-Offset: 0", "abc", "3");
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_true(strcmp(rig_text(&a, "expires_at"), before) > 0);
    rig_answer_done(&a);
    settings("{\"upload_expiry_hours\": 24}");
}

static void a_deleted_draft_takes_its_uploads_along(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = creation("gone.bin", "Upload-Length: 6", metadata);
    struct rig_answer a;
    char match[128];
    int files = partial_files();

    (void)state;
    rig_package(rig, "gone", "");
    call.path = "/api/v1/packages/gone/versions/1/uploads";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    send_piece(path, "Upload-Offset: 0", "abc", "3");
    rig_if_match(rig, "/api/v1/packages/gone/versions/1", match);
    call = (struct rig_call){
        .method = API_DELETE, .path = "/api/v1/packages/gone/versions/1", .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call = piece(path, "Upload-Offset: 3", "def");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", NULL);
    assert_int_equal(partial_files(), files + 1);
    ask_to_expire(); /* its file is one that no row knows */
    assert_int_equal(partial_files(), files);
}

/* What is refused at the end is told by HEAD too, and tried again by an empty piece. */
static void a_refused_end_can_be_tried_again(void **state)
{
    char path[128];
    struct rig_call call;
    struct rig_call head = {.method = API_HEAD, .path = path, .headers = {TUS}};

    (void)state;
    begin("late/clash.bin", "Upload-Length: 5", path);
    rig_put(rig, "up", 1, "late", "in the way");
    call = piece(path, "Upload-Offset: 0", "clash");
    rig_refused(rig, RIG_OPERATOR, &call, "path-duplicate", "late");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &head), 409);
    call = piece(path, "Upload-Offset: 5", "");
    rig_refused(rig, RIG_OPERATOR, &call, "path-duplicate", "late");
    call = (struct rig_call){.method = API_DELETE, .path = VERSION "/files/late"};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    expect_offset(path, "5"); /* this HEAD made it true */
    expect_file("late/clash.bin", "clash");
}

static void conditions_hold_at_the_end(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = creation("new.bin", "Upload-Length: 3", metadata);
    struct rig_answer a;

    (void)state;
    call.headers[3] = "If-None-Match: *";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    rig_put(rig, "up", 1, "new.bin", "came first");
    call = piece(path, "Upload-Offset: 0", "new");
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");
    expect_file("new.bin", "came first");
    call = creation("new.bin", "Upload-Length: 3", metadata); /* told before anything is sent */
    call.headers[3] = "If-None-Match: *";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");
    call.headers[3] = "If-Match: \"" MATCH_NONE "\"";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");

    /* It is kept with the upload: the file must be there still. */
    call.headers[3] = "If-Match: *";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    call = (struct rig_call){.method = API_DELETE, .path = VERSION "/files/new.bin"};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call = piece(path, "Upload-Offset: 0", "new");
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "new.bin");
    call = creation("new.bin", "Upload-Length: 3", metadata);
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
    begin("crash.bin", "Upload-Length: 16", path);
    send_piece(path, "Upload-Offset: 0", "crash in the en", "15");
    /* all bytes and the digest are there, the file is no blob yet */
    (void)snprintf(command, sizeof command, "printf d >> %s/content/partial/%s", rig->folder,
                   strrchr(path, '/') + 1);
    assert_int_equal(system(command), 0);
    (void)snprintf(command, sizeof command,
                   "UPDATE uploads SET received = 16, digest = '%s' WHERE path = 'crash.bin'", hex);
    rig_sql(command);
    expect_offset(path, "16");
    expect_file("crash.bin", upload);
    /* it is a blob, the draft has not got it */
    rig_sql("UPDATE uploads SET finished_at = NULL WHERE path = 'crash.bin'");
    assert_int_equal(
        rig_status(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_DELETE, .path = VERSION "/files/crash.bin"}),
        204);
    send_piece(path, "Upload-Offset: 16", "", "16");
    expect_file("crash.bin", upload);
    /* the blob is gone too */
    rig_sql("UPDATE uploads SET finished_at = NULL WHERE path = 'crash.bin'");
    assert_int_equal(blob_remove(rig->ctx.blobs, digest, NULL), CP_OK);
    rig_refused(rig, RIG_OPERATOR,
                &(struct rig_call){.method = API_PATCH,
                                   .path = path,
                                   .headers = {TUS, TYPE, "Upload-Offset: 16"},
                                   .data = ""},
                "blob-missing", "begin anew");
    rig_put(rig, "up", 1, "crash-again.bin", upload); /* heals */
}

static void a_sealed_version_takes_no_more(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = creation("late.bin", "Upload-Length: 6", metadata);
    struct rig_answer a;

    (void)state;
    rig_package(rig, "shut", "");
    rig_put(rig, "shut", 1, "a.bin", "a");
    call.path = "/api/v1/packages/shut/versions/1/uploads";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    send_piece(path, "Upload-Offset: 0", "abc", "3");
    rig_seal(rig, "shut", 1);
    call = piece(path, "Upload-Offset: 3", "def");
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", "no draft");
    call = creation("new.bin", "Upload-Length: 6", metadata);
    call.path = "/api/v1/packages/shut/versions/1/uploads";
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", "shut");
}

/* ---- room ---- */

static void a_quota_counts_what_was_promised(void **state)
{
    char metadata[512], path[128], other[128];
    struct rig_call call = creation("q1.bin", "Upload-Length: 1500000", metadata);
    struct rig_call put = {.method = API_PUT, .path = VERSION "/files/q.bin"};
    struct rig_answer a;
    char *data = calloc(1, 2000000);

    (void)state;
    assert_non_null(data);
    rig_sql("DELETE FROM uploads");
    settings("{\"library_quota_bytes\": 2000000}");
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    (void)snprintf(path, sizeof path, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
    call.headers[1] = "Upload-Length: 600000";
    metadata_of("q2.bin", "", metadata);
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
    call = (struct rig_call){.method = API_DELETE, .path = path, .headers = {TUS}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204); /* its promise ends */
    begin("q2.bin", "Upload-Length: 600000", other);
    settings("{\"library_quota_bytes\": null}");
    put.size = 2000000;
    a = rig_expect(rig, RIG_OPERATOR, &put, 200);
    rig_answer_done(&a);
    free(data);
}

/* The library has these bytes already, and counts them once. */
static void what_is_stored_is_not_charged_again(void **state)
{
    static const char text[] = "these bytes are there already";
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char metadata[512], header[128], encoded[CP_BASE64_SIZE(CONTENT_DIGEST_SIZE)];
    char hex[CONTENT_DIGEST_TEXT_SIZE], hex64[128], more[160];
    struct rig_call put = {
        .method = API_PUT, .path = VERSION "/files/b.bin", .data = text, .size = sizeof text - 1};
    struct rig_call call = creation("c.bin", "Upload-Length: 29", metadata);

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
    cp_hex_encode(digest, sizeof digest, hex);
    base64(hex, hex64);
    (void)snprintf(more, sizeof more, ",sha256 %s", hex64);
    metadata_of("c.bin", more, metadata);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    settings("{\"library_quota_bytes\": null}");
    rig_sql("DELETE FROM uploads");
}

static void a_reserve_is_left_alone(void **state)
{
    char metadata[512], path[128];
    struct rig_call call = creation("r1.bin", "Upload-Length: 100", metadata);
    struct rig_call put = {
        .method = API_PUT, .path = VERSION "/files/r.bin", .data = "0123456789", .size = 10};

    (void)state;
    begin("r0.bin", "Upload-Length: 100", path);
    settings("{\"library_reserve_bytes\": 1125899906842624}");
    rig_refused(rig, RIG_OPERATOR, &call, "storage-full", "1125899906842624 are the reserve");
    rig_refused(rig, RIG_OPERATOR, &put, "storage-full", "needs 10 bytes");
    call = piece(path, "Upload-Offset: 0", "more"); /* one that was begun before */
    rig_refused(rig, RIG_OPERATOR, &call, "storage-full", "reserve");
    settings("{\"library_reserve_bytes\": 0}");
    send_piece(path, "Upload-Offset: 0", "more", "4");
}

/* What did not announce its size is looked at every 8 MiB, and given up there. */
static void room_is_looked_at_on_the_way(void **state)
{
    static const size_t size = (size_t)1 << 20;
    char bearer[128];
    struct api_pair header = {"Authorization", bearer};
    struct api_request rq = {.method = API_PUT,
                             .path = VERSION "/files/way.bin",
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
    settings("{\"library_quota_bytes\": 9000000}");
    while (taken < 64 && api_upload_data(u, data, size)) {
        taken++;
    }
    assert_int_equal(taken, 7);
    rs = api_upload_finish(u, false);
    assert_int_equal(rs.status, 507);
    assert_non_null(strstr(rs.body, "storage-full"));
    api_response_done(&rs);
    settings("{\"library_quota_bytes\": null}");
    free(data);
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
    begin("large.bin", "Upload-Length: 6442450944", path);
    send_piece(path, "Upload-Offset: 0", "x", "1");
    (void)snprintf(file, sizeof file, "%s/content/partial/%s", rig->folder, strrchr(path, '/') + 1);
    assert_int_equal(truncate(file, (off_t)4294967295), 0); /* a hole of nearly 4 GiB */
    rig_sql("UPDATE uploads SET received = 4294967295 WHERE path = 'large.bin'");
    for (size_t i = 0; i < 3; i++) {
        expect_offset(path, strchr(steps[i].offset, ' ') + 1);
        send_piece(path, steps[i].offset, i == 0 ? "a" : i == 1 ? "b" : "c", steps[i].then);
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
        cmocka_unit_test(the_whole_must_be_what_was_announced),
        cmocka_unit_test(wrong_creations_are_refused),
        cmocka_unit_test(wrong_metadata_is_refused),
        cmocka_unit_test(wrong_pieces_are_refused),
        cmocka_unit_test(a_second_request_is_told_to_wait),
        cmocka_unit_test(it_is_deleted),
        cmocka_unit_test(it_expires),
        cmocka_unit_test(what_comes_back_to_life_is_kept),
        cmocka_unit_test(its_time_is_a_setting),
        cmocka_unit_test(a_deleted_draft_takes_its_uploads_along),
        cmocka_unit_test(a_refused_end_can_be_tried_again),
        cmocka_unit_test(conditions_hold_at_the_end),
        cmocka_unit_test(a_crash_in_the_end_is_made_good),
        cmocka_unit_test(a_sealed_version_takes_no_more),
        cmocka_unit_test(a_quota_counts_what_was_promised),
        cmocka_unit_test(what_is_stored_is_not_charged_again),
        cmocka_unit_test(a_reserve_is_left_alone),
        cmocka_unit_test(room_is_looked_at_on_the_way),
        cmocka_unit_test(offsets_beyond_32_bits),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
