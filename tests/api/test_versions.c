/* SPDX-License-Identifier: Apache-2.0
 * Packages, drafts, uploads, seals: the good way, every refusal, and that nothing half-made is
 * ever visible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/hex.h"
#include "content/sha256.h"
#include "db/file.h"
#include "keys/credentials.h"
#include "tests/api/rig.h"

static struct rig_call get(const char *path)
{
    return (struct rig_call){.method = API_GET, .path = path};
}

static struct rig_call put(const char *path, const char *data)
{
    return (struct rig_call){.method = API_PUT, .path = path, .data = data, .size = strlen(data)};
}

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

/* ---- uploads ---- */

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
    call = get(UP "sources/boot.wim");
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_string_equal(a.bytes, "0123456789");
    rig_answer_done(&a);
}

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
        call = put(path, cases[i].data);
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
    struct rig_call call = put(UP "broken.bin", "0123456789 is not all");
    int blobs = rig_blob_count(rig);

    (void)state;
    call.break_early = true;
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "broken.bin");
    call.no_length = true; /* chunked and broken */
    rig_refused(rig, RIG_OPERATOR, &call, "upload-incomplete", "broken.bin");
    call = (struct rig_call){
        .method = API_PUT, .path = UP "broken.bin", .data = "", .no_length = true};
    rig_refused(rig, RIG_OPERATOR, &call, "content-empty", "broken.bin");
    call = get(UP "broken.bin");
    rig_refused(rig, RIG_OPERATOR, &call, "not-found", "broken.bin");
    assert_int_equal(rig_blob_count(rig), blobs);
}

static void an_announced_digest_is_checked(void **state)
{
    struct rig_call call = put(UP "digest.bin", "the very bytes");
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
        call = put(path, "conditions");
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
    struct rig_call call = put(UP "tags.bin", "tags");
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
    struct rig_call call = put(SEAL "/files/c.txt", "gamma");
    char match[128];

    (void)state;
    rig_refused(rig, RIG_OPERATOR, &call, "version-sealed", NULL);
    call = put(SEAL "/files/b.txt", "other");
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
    struct rig_call again = put("/api/v1/packages/heal/versions/1/files/x.bin", "unique x");
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
    call = get("/api/v1/packages/race/versions/1/manifest");
    rig_refused(rig, RIG_VIEWER, &call, "version-retired", "race");
    rig_if_match(rig, "/api/v1/packages/race/versions/1", match);
    call = (struct rig_call){
        .method = API_DELETE, .path = "/api/v1/packages/race/versions/1", .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    call = get("/api/v1/packages/race/versions/1");
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
    call = get("/api/v1/packages/race/versions?limit=1");
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
        cmocka_unit_test(an_upload_arrives_in_pieces),
        cmocka_unit_test(refused_uploads_leave_nothing),
        cmocka_unit_test(a_broken_upload_leaves_nothing),
        cmocka_unit_test(an_announced_digest_is_checked),
        cmocka_unit_test(conditions_of_files),
        cmocka_unit_test(a_list_of_tags_has_an_end),
        cmocka_unit_test(a_file_is_deleted),
        cmocka_unit_test(a_draft_without_content_is_not_sealed),
        cmocka_unit_test(a_seal_makes_the_manifest),
        cmocka_unit_test(a_seal_is_of_the_version_that_was_meant),
        cmocka_unit_test(a_seal_minds_nothing_but_files),
        cmocka_unit_test(a_sealed_version_never_changes),
        cmocka_unit_test(an_upload_that_ends_after_the_seal_is_refused),
        cmocka_unit_test(missing_content_is_told_and_healed),
        cmocka_unit_test(a_version_is_retired_and_deleted),
        cmocka_unit_test(words_that_are_no_version),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
