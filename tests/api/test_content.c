/* SPDX-License-Identifier: Apache-2.0
 * Who gets content by HTTPS, and which bytes: every state of a version, both access modes,
 * overrides, policies, ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "content/sha256.h"
#include "db/receiver.h"
#include "keys/credentials.h"
#include "tests/api/rig.h"

/* The address of content by its digest. */
static const char *content_path(const char *data, char ret_path[128])
{
    uint8_t digest[CONTENT_DIGEST_SIZE];
    char hex[CONTENT_DIGEST_TEXT_SIZE];

    assert_int_equal(content_sha256(data, strlen(data), digest), CP_OK);
    cp_hex_encode(digest, sizeof digest, hex);
    (void)snprintf(ret_path, 128, "/api/v1/content/%s", hex);
    return ret_path;
}

static void expect_bytes(enum rig_who who, const char *path, const char *data)
{
    struct rig_answer a =
        rig_expect(rig, who, &(struct rig_call){.method = API_GET, .path = path}, 200);

    assert_string_equal(a.rs.content_type, "application/octet-stream");
    assert_string_equal(a.bytes, data);
    rig_answer_done(&a);
}

static void expect_code(enum rig_who who, const char *path, const char *code)
{
    rig_refused(rig, who, &(struct rig_call){.method = API_GET, .path = path}, code, NULL);
}

/* manifest, file and content of a package with one file, as one caller. */
static void expect_all(enum rig_who who, const char *package, const char *data, const char *code)
{
    char content[128];
    char manifest[128];
    char file[128];

    (void)content_path(data, content);
    (void)snprintf(manifest, sizeof manifest, "/api/v1/packages/%s/versions/1/manifest", package);
    (void)snprintf(file, sizeof file, "/api/v1/packages/%s/versions/1/files/a.bin", package);
    if (code == NULL) {
        expect_bytes(who, content, data);
        expect_bytes(who, file, data);
        assert_int_equal(
            rig_status(rig, who, &(struct rig_call){.method = API_GET, .path = manifest}), 200);
    } else {
        expect_code(who, content, code);
        expect_code(who, file, code);
        expect_code(who, manifest, code);
    }
}

static void publish(const char *package, const char *fields, const char *data)
{
    rig_package(rig, package, fields);
    rig_put(rig, package, 1, "a.bin", data);
    rig_seal(rig, package, 1);
}

/* ---- access ---- */

static void both_modes_and_their_overrides(void **state)
{
    (void)state;
    publish("plain", "", "plain bytes");
    publish("open", ", \"content_access\": \"anonymous\"", "open bytes");
    publish("closed", ", \"content_access\": \"authenticated\"", "closed bytes");

    rig_content_access(rig, "authenticated");
    expect_all(RIG_NOBODY, "plain", "plain bytes", "authentication-required");
    expect_all(RIG_NOBODY, "open", "open bytes", NULL);
    expect_all(RIG_NOBODY, "closed", "closed bytes", "authentication-required");
    expect_all(RIG_CONTENT, "plain", "plain bytes", NULL);
    expect_all(RIG_CONTENT, "closed", "closed bytes", NULL);

    rig_content_access(rig, "anonymous");
    expect_all(RIG_NOBODY, "plain", "plain bytes", NULL);
    expect_all(RIG_NOBODY, "open", "open bytes", NULL);
    expect_all(RIG_NOBODY, "closed", "closed bytes", "authentication-required");
    expect_all(RIG_VIEWER, "closed", "closed bytes", NULL);
}

/* Manifest and file of a version, as one caller. */
static void expect_version(enum rig_who who, const char *version, const char *code)
{
    static const char *const ends[] = {"manifest", "files/a.bin"};

    for (size_t i = 0; i < 2; i++) {
        char path[128];

        (void)snprintf(path, sizeof path, "/api/v1/packages/%s/%s", version, ends[i]);
        expect_code(who, path, code);
    }
}

/* Who may not have them does not learn which packages and versions there are. */
static void what_is_missing_is_guarded_like_the_rest(void **state)
{
    (void)state;
    rig_content_access(rig, "authenticated");
    rig_package(rig, "unsealed", "");
    expect_version(RIG_NOBODY, "plain/versions/1", "authentication-required");
    expect_version(RIG_NOBODY, "plain/versions/2", "authentication-required");
    expect_version(RIG_NOBODY, "plain/versions/latest", "authentication-required");
    expect_version(RIG_NOBODY, "unsealed/versions/current", "authentication-required");
    expect_version(RIG_NOBODY, "no-such/versions/1", "authentication-required");
    expect_version(RIG_NOBODY, "open/versions/2", "version-not-found");
    expect_version(RIG_CONTENT, "plain/versions/2", "version-not-found");
    expect_version(RIG_CONTENT, "unsealed/versions/current", "version-not-sealed");
    expect_version(RIG_CONTENT, "no-such/versions/1", "package-not-found");
    rig_content_access(rig, "anonymous");
    expect_version(RIG_NOBODY, "closed/versions/1", "authentication-required");
    expect_version(RIG_NOBODY, "closed/versions/2", "authentication-required");
    expect_version(RIG_NOBODY, "plain/versions/2", "version-not-found");
    expect_version(RIG_NOBODY, "no-such/versions/1", "package-not-found");
}

static void wrong_credentials_are_never_anonymous(void **state)
{
    char path[128];
    struct rig_call call = {.method = API_GET,
                            .path = content_path("open bytes", path),
                            .authorization = "Basic bm9ib2R5Om5vdGhpbmc="};

    (void)state;
    rig_refused(rig, RIG_NOBODY, &call, "authentication-failed", NULL);
}

static void the_same_bytes_in_an_open_package_are_open(void **state)
{
    char path[128];

    (void)state;
    rig_content_access(rig, "authenticated");
    publish("closed2", "", "shared bytes");
    expect_code(RIG_NOBODY, content_path("shared bytes", path), "authentication-required");
    publish("open2", ", \"content_access\": \"anonymous\"", "shared bytes");
    expect_bytes(RIG_NOBODY, content_path("shared bytes", path), "shared bytes");
}

static void drafts_are_for_operators(void **state)
{
    char path[128];

    (void)state;
    rig_content_access(rig, "anonymous");
    rig_package(rig, "draft", "");
    rig_put(rig, "draft", 1, "a.bin", "draft bytes");
    expect_code(RIG_NOBODY, content_path("draft bytes", path), "not-found");
    expect_code(RIG_VIEWER, path, "not-found");
    expect_bytes(RIG_OPERATOR, path, "draft bytes");
    expect_code(RIG_VIEWER, "/api/v1/packages/draft/versions/1/files/a.bin", "version-not-sealed");
    expect_bytes(RIG_OPERATOR, "/api/v1/packages/draft/versions/1/files/a.bin", "draft bytes");
}

static void policy_require_gives_nothing_by_https(void **state)
{
    char path[128];

    (void)state;
    publish("strict", ", \"multicast\": \"require\"", "strict bytes");
    expect_code(RIG_CONTENT, content_path("strict bytes", path), "multicast-only");
    expect_code(RIG_CONTENT, "/api/v1/packages/strict/versions/1/files/a.bin", "multicast-only");
    assert_int_equal(
        rig_status(rig, RIG_CONTENT,
                   &(struct rig_call){.method = API_GET,
                                      .path = "/api/v1/packages/strict/versions/1/manifest"}),
        200);
    expect_bytes(RIG_OPERATOR, path, "strict bytes");
}

static void what_is_no_content(void **state)
{
    char path[128];

    (void)state;
    expect_code(RIG_NOBODY, content_path("nobody has these", path), "not-found");
    expect_code(RIG_OPERATOR, path, "not-found");
    expect_code(RIG_NOBODY, "/api/v1/content/xyz", "not-found");
    expect_code(RIG_NOBODY, "/api/v1/content/..", "not-found");
    path[strlen(path) - 1] = 'G';
    expect_code(RIG_NOBODY, path, "not-found");
    rig_content_access(rig, "authenticated"); /* then nobody learns whether it is known */
    expect_code(RIG_NOBODY, content_path("nobody has these", path), "authentication-required");
}

/* ---- receiver tokens ---- */

struct join {
    char version_id[DB_ID_SIZE];
    uint8_t hash[KEYS_TOKEN_HASH_SIZE];
};

static enum cp_err find_version(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct join *j = arg;
    struct db_version version;

    CP_TRY(db_version_get(conn, "plain", 1, &version, err));
    (void)snprintf(j->version_id, sizeof j->version_id, "%s", version.id);
    return CP_OK;
}

static enum cp_err insert_join(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct join *j = arg;
    struct db_receiver_new in = {.node_id = rig->node_id,
                                 .version_id = j->version_id,
                                 .client_id = "c1",
                                 .client_name = "lab-01",
                                 .client_version = "0.1.0",
                                 .address = "192.0.2.9",
                                 .correlation_id = "c",
                                 .token_hash = j->hash,
                                 .lifetime_ms = 3600000};
    struct db_receiver receiver;
    bool rejoined;

    return db_receiver_join(conn, &in, &receiver, &rejoined, err);
}

static void a_receiver_token_opens_its_version_only(void **state)
{
    char secret[KEYS_TOKEN_SIZE];
    char bearer[100];
    char path[128];
    struct rig_call call = {
        .method = API_GET, .path = content_path("plain bytes", path), .authorization = bearer};
    struct cp_error err;
    struct join j;
    char match[128];

    (void)state;
    assert_int_equal(keys_token_new(KEYS_TOKEN_RECEIVER, secret, j.hash), CP_OK);
    assert_int_equal(db_run_read(rig->ctx.db, "test", find_version, &j, &err), CP_OK);
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "test", insert_join, &j, &err), CP_OK);
    rig_sql("UPDATE receivers SET account_id = (SELECT id FROM accounts WHERE name = 'content')");
    (void)snprintf(bearer, sizeof bearer, "Bearer %s", secret);
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    call.path = "/api/v1/packages/plain/versions/1/manifest";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    call.path = "/api/v1/packages/closed/versions/1/manifest";
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", "another version");
    call.path = "/api/v1/packages";
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", "viewer");

    /* a version that is retired while it travels is finished by those who joined */
    rig_if_match(rig, "/api/v1/packages/plain/versions/1", match);
    assert_int_equal(
        rig_status(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_POST,
                                      .path = "/api/v1/packages/plain/versions/1/retire",
                                      .headers = {match}}),
        200);
    call.path = content_path("plain bytes", path);
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    expect_code(RIG_CONTENT, path, "version-retired");
    expect_bytes(RIG_OPERATOR, path, "plain bytes");

    rig_sql("UPDATE receivers SET expires_at = now() - interval '1 second'");
    rig_refused(rig, RIG_NOBODY, &call, "authentication-failed", NULL);
}

/* ---- without TLS ---- */

/* What was published with open access, and nothing else; credentials are never asked for. */
static void plain_http_is_for_content_only(void **state)
{
    static const struct {
        enum api_method method;
        const char *path, *code;
    } cases[] = {
        {API_GET, "/healthz", "tls-required"},
        {API_GET, "/api/v1/packages", "tls-required"},
        {API_GET, "/api/v1/packages/open/versions/1", "tls-required"},
        {API_POST, "/api/v1/joins", "tls-required"},
        {API_PUT, "/api/v1/packages/open/versions/1/files/b.bin", "tls-required"},
        {API_DELETE, "/api/v1/packages/open", "tls-required"},
        {API_GET, "/api/v1/packages/closed/versions/1/manifest", "tls-required"},
        {API_GET, "/api/v1/packages/closed/versions/1/files/a.bin", "tls-required"},
        {API_GET, "/api/v1/nothing", "not-found"},
    };
    char path[128];
    struct rig_call call = {
        .method = API_GET, .path = content_path("open bytes", path), .plain = true};
    struct rig_answer a;

    (void)state;
    rig_content_access(rig, "authenticated");
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    call.path = "/api/v1/packages/open/versions/1/manifest";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    call.path = "/api/v1/packages/open/versions/1/files/a.bin";
    call.method = API_HEAD;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    call.method = API_GET;
    rig_refused(rig, RIG_ADMIN, &call, "tls-required", "Authorization");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        call.method = cases[i].method;
        call.path = cases[i].path;
        a = rig_send(rig, RIG_NOBODY, &call);
        assert_string_equal(rig_text(&a, "code"), cases[i].code);
        assert_null(rig_header(&a, "WWW-Authenticate"));
        rig_answer_done(&a);
    }
}

/* ---- ranges ---- */

static void ranges_of_content(void **state)
{
    static const struct {
        const char *range, *more, *bytes, *content_range;
        int status;
    } cases[] = {
        {"Range: bytes=0-3", NULL, "0123", "bytes 0-3/10", 206},
        {"Range: bytes=4-", NULL, "456789", "bytes 4-9/10", 206},
        {"Range: bytes=-3", NULL, "789", "bytes 7-9/10", 206},
        {"Range: bytes=-99", NULL, "0123456789", "bytes 0-9/10", 206},
        {"Range: bytes=9-99", NULL, "9", "bytes 9-9/10", 206},
        {"Range: bytes=10-", NULL, NULL, "bytes */10", 416},
        {"Range: bytes=-0", NULL, NULL, "bytes */10", 416},
        {"Range: bytes=0-1,1-4", NULL, "0123456789", NULL, 200},
        {"Range: bytes=0-1,20-", NULL, "01", "bytes 0-1/10", 206},
        {"Range: bytes=x", NULL, "0123456789", NULL, 200},
        {"Range: bytes=0-3", "If-Range: \"other\"", "0123456789", NULL, 200},
    };
    char path[128];
    char etag[128];
    struct rig_answer a;

    (void)state;
    publish("ranges", ", \"content_access\": \"anonymous\"", "0123456789");
    (void)content_path("0123456789", path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig_call call = {
            .method = API_GET, .path = path, .headers = {cases[i].range, cases[i].more}};

        a = rig_expect(rig, RIG_NOBODY, &call, cases[i].status);
        if (cases[i].bytes != NULL) {
            assert_string_equal(a.bytes, cases[i].bytes);
            assert_string_equal(rig_header(&a, "Accept-Ranges"), "bytes");
        }
        if (cases[i].content_range != NULL) {
            assert_string_equal(rig_header(&a, "Content-Range"), cases[i].content_range);
        } else {
            assert_null(rig_header(&a, "Content-Range"));
        }
        rig_answer_done(&a);
    }
    a = rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = path}, 200);
    (void)snprintf(etag, sizeof etag, "If-Range: %s", rig_header(&a, "ETag"));
    assert_non_null(strstr(rig_header(&a, "Cache-Control"), "immutable"));
    /* SHA-256 of the ten digits in base64 */
    assert_string_equal(rig_header(&a, "Repr-Digest"),
                        "sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=:");
    rig_answer_done(&a);
    a = rig_expect(
        rig, RIG_NOBODY,
        &(struct rig_call){.method = API_GET, .path = path, .headers = {"Range: bytes=1-1", etag}},
        206);
    assert_string_equal(a.bytes, "1");
    rig_answer_done(&a);
}

/* RFC 9110 14.6: parts of one body, each with its own Content-Range. */
static void several_ranges_are_one_multipart_body(void **state)
{
    char path[128];
    char expected[512];
    struct rig_call call = {.method = API_GET,
                            .path = content_path("0123456789", path),
                            .headers = {"Range: bytes=0-1, 4-4, -2"}};
    struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 206);
    const char *b = a.rs.boundary;

    (void)state;
#define PART "\r\n--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes "
    (void)snprintf(expected, sizeof expected,
                   PART "0-1/10\r\n\r\n01" PART "4-4/10\r\n\r\n4" PART "8-9/10\r\n\r\n89"
                        "\r\n--%s--\r\n",
                   b, b, b, b);
    assert_string_equal(a.rs.content_type, "multipart/byteranges");
    assert_int_equal(strlen(b), 32);
    assert_string_equal(a.bytes, expected);
    assert_null(rig_header(&a, "Content-Range"));
    assert_non_null(rig_header(&a, "Repr-Digest"));
    rig_answer_done(&a);
}

static void dates_of_content(void **state)
{
    static const char path[] = "/api/v1/packages/ranges/versions/1/files/a.bin";
    char digest_path[128];
    char since[64];
    char if_range[64];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 200);

    (void)state;
    assert_non_null(strstr(rig_header(&a, "Cache-Control"), "no-cache"));
    (void)snprintf(since, sizeof since, "If-Modified-Since: %s", rig_header(&a, "Last-Modified"));
    rig_answer_done(&a);
    call.headers[0] = since;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 304);
    call.headers[0] = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    call.headers[0] = "If-Modified-Since: some day";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    call.headers[0] = since; /* a tag is the better witness */
    call.headers[1] = "If-None-Match: \"other\"";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);

    /* by digest a date names the bytes; by path it may be that of others */
    call = (struct rig_call){.method = API_GET,
                             .path = content_path("0123456789", digest_path),
                             .headers = {"Range: bytes=0-1", if_range}};
    a = rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = call.path}, 200);
    (void)snprintf(if_range, sizeof if_range, "If-Range: %s", rig_header(&a, "Last-Modified"));
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 206);
    call.path = path;
    (void)snprintf(if_range, sizeof if_range, "If-Range: %s",
                   since + strlen("If-Modified-Since: "));
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
}

/* RFC 9110 13.1.4, in the order of 13.2.2. */
static void unmodified_since(void **state)
{
    static const char old[] = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
    char digest_path[128], since[64], tag[128];
    struct rig_call call = {.method = API_GET, .path = content_path("0123456789", digest_path)};
    struct rig_answer a;

    (void)state;
    for (int i = 0; i < 4; i++) {
        call.method = i % 2 == 0 ? API_GET : API_HEAD;
        call.path = i < 2 ? digest_path : "/api/v1/packages/ranges/versions/1/files/a.bin";
        call.headers[0] = call.headers[1] = NULL;
        a = rig_expect(rig, RIG_NOBODY, &call, 200);
        (void)snprintf(since, sizeof since, "If-Unmodified-Since: %s",
                       rig_header(&a, "Last-Modified"));
        (void)snprintf(tag, sizeof tag, "If-Match: %s", rig_header(&a, "ETag"));
        rig_answer_done(&a);
        call.headers[0] = since;
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
        call.headers[0] = old;
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 412);
        call.headers[1] = "Range: bytes=0-1";
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 412);
        call.headers[1] = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT";
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 412);
        call.headers[1] = tag; /* the better witness */
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
        call.headers[0] = "If-Unmodified-Since: some day";
        call.headers[1] = NULL;
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    }
    call.method = API_GET;
    call.headers[0] = old;
    rig_refused(rig, RIG_NOBODY, &call, "precondition-failed", "modified on");
}

static void head_and_conditions(void **state)
{
    char path[128];
    char none[128];
    struct rig_call call = {.method = API_HEAD, .path = content_path("0123456789", path)};
    struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 200);

    (void)state;
    assert_int_equal(a.size, 10);
    assert_null(a.bytes);
    (void)snprintf(none, sizeof none, "If-None-Match: %s", rig_header(&a, "ETag"));
    rig_answer_done(&a);
    call.headers[0] = "Range: bytes=0-1"; /* RFC 9110 14.2: ranges are GET's */
    a = rig_expect(rig, RIG_NOBODY, &call, 200);
    assert_int_equal(a.size, 10);
    rig_answer_done(&a);
    call =
        (struct rig_call){.method = API_GET, .path = path, .headers = {none, "Range: bytes=0-1"}};
    a = rig_expect(rig, RIG_NOBODY, &call, 304);
    assert_null(a.bytes);
    assert_int_equal(a.size, 10);
    assert_non_null(rig_header(&a, "ETag"));
    rig_answer_done(&a);
    call.path = "/api/v1/packages/ranges/versions/1/manifest";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_modes_and_their_overrides),
        cmocka_unit_test(what_is_missing_is_guarded_like_the_rest),
        cmocka_unit_test(wrong_credentials_are_never_anonymous),
        cmocka_unit_test(the_same_bytes_in_an_open_package_are_open),
        cmocka_unit_test(drafts_are_for_operators),
        cmocka_unit_test(policy_require_gives_nothing_by_https),
        cmocka_unit_test(what_is_no_content),
        cmocka_unit_test(a_receiver_token_opens_its_version_only),
        cmocka_unit_test(plain_http_is_for_content_only),
        cmocka_unit_test(ranges_of_content),
        cmocka_unit_test(several_ranges_are_one_multipart_body),
        cmocka_unit_test(dates_of_content),
        cmocka_unit_test(unmodified_since),
        cmocka_unit_test(head_and_conditions),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
