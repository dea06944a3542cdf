/* SPDX-License-Identifier: Apache-2.0
 * The strict front door with the real API behind it: bodies that are no good JSON, paths that hide
 * something, each over a socket, byte by byte as written here; and content without TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/http.h"
#include "tests/api/rig.h"
#include "tests/unit/server/raw_client.h"

#define DEEP 60

/* of "abc" */
#define SHA256_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct srv_http *http;
static struct raw_answer answer;

static int set_up(void **state)
{
    struct srv_http_config c = {
        .listen_host = "127.0.0.1", .plain_host = "127.0.0.1", .threads = 2, .timeout_s = 10};
    struct cp_error err;
    int rc = rig_set_up(state);

    c.api = &rig->ctx;
    return rc == 0 && srv_http_start(&c, &http, &err) == CP_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    srv_http_stop(http);
    return rig_tear_down(state);
}

/* One request of the administrator; body may hold NULs. */
static void ask(uint16_t port, const char *line, const char *headers, const char *body, size_t size)
{
    char head[1024];
    int fd = raw_connect(port);

    (void)snprintf(head, sizeof head,
                   "%s HTTP/1.1\r\nHost: x\r\n%sConnection: close\r\nContent-Length: %zu\r\n\r\n",
                   line, headers, size);
    assert_true(raw_send(fd, head, strlen(head)));
    (void)raw_send(fd, body, size);
    raw_read(fd, 0, &answer);
    assert_int_equal(close(fd), 0);
}

static void expect(int status, const char *code, const char *word)
{
    char member[100];

    (void)snprintf(member, sizeof member, "\"code\":\"%s\"", code);
    if (answer.status != status || strstr(answer.body, member) == NULL ||
        strstr(answer.body, word) == NULL) {
        fail_msg("%d '%s', wanted %d '%s' '%s'", answer.status, answer.body, status, code, word);
    }
}

static const char *admin(const char *type)
{
    static char headers[300];

    (void)snprintf(headers, sizeof headers, "Authorization: Bearer %s\r\nContent-Type: %s\r\n",
                   rig->tokens[RIG_ADMIN], type);
    return headers;
}

static void hostile_bodies(void **state)
{
#define CASE(body, word)                                                                           \
    {                                                                                              \
        body, sizeof(body) - 1, word                                                               \
    }
    static const struct {
        const char *body;
        size_t size;
        const char *word;
    } cases[] = {
        CASE("", "name"),
        CASE("{", "JSON"),
        CASE("[]", "object"),
        CASE("null", "JSON"),
        CASE("{\"name\": \"a\"} {}", "JSON"),
        CASE("{\"name\": \"a\", \"name\": \"b\"}", "JSON"),
        CASE("{\"name\": 7}", "name"),
        CASE("{\"name\": [\"a\"]}", "name"),
        CASE("{\"name\": \"a\", \"nam\": \"b\"}", "nam"),
        CASE("{\"name\": \"a\0b\"}", "JSON"),
        CASE("{\"name\": \"a\\u0000b\"}", "JSON"),
        CASE("{\"name\": \"a\"}\0", "JSON"),
        CASE("{\"name\": \"\xff\"}", "JSON"),
        CASE("{\"name\": \"\\ud800\"}", "JSON"),
        CASE("{\"name\": \"a\", \"encrypt\": 1}", "encrypt"),
        CASE("{\"name\": \"a\", \"encrypt\": \"true\"}", "encrypt"),
        CASE("\xef\xbb\xbf{\"name\": \"a\"}", "JSON"),
        CASE("{\"name\": \"a\", \"encrypt\": 1e400}", "Field 'encrypt' has a number"),
        CASE("{\"name\": \"a\", \"labels\": {\"b\": 9223372036854775808}}",
             "Field 'labels' has a number"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(srv_http_port(http), "POST /api/v1/packages", admin("application/json"), cases[i].body,
            cases[i].size);
        expect(400, "invalid-request", cases[i].word);
    }
    ask(srv_http_port(http), "POST /api/v1/packages", admin("text/plain"), "{\"name\": \"a\"}", 13);
    expect(415, "unsupported-media-type", "application/json");
}

static void deep_and_large_bodies(void **state)
{
    static char body[(1 << 20) + 1];
    size_t at = (size_t)snprintf(body, sizeof body, "{\"labels\": ");

    (void)state;
    memset(body + at, '[', DEEP);
    memset(body + at + DEEP, ']', DEEP);
    body[at + 2 * DEEP] = '}';
    ask(srv_http_port(http), "POST /api/v1/packages", admin("application/json"), body,
        at + 2 * DEEP + 1);
    expect(400, "invalid-request", "deep");
    memset(body, ' ', sizeof body);
    ask(srv_http_port(http), "POST /api/v1/packages", admin("application/json"), body, 1 << 20);
    expect(400, "invalid-request", "");
    ask(srv_http_port(http), "POST /api/v1/packages", admin("application/json"), body, sizeof body);
    expect(413, "too-large", "");
    /* a configuration may have more, of its address only */
    ask(srv_http_port(http), "PUT /api/v1/configuration", admin("application/json"), body,
        sizeof body);
    expect(400, "invalid-request", "JSON");
    ask(srv_http_port(http), "POST /api/v1/configuration", admin("application/json"), body,
        sizeof body);
    expect(413, "too-large", "");
}

static void hostile_paths(void **state)
{
    static const struct {
        const char *line;
        int status;
        const char *code;
    } cases[] = {
        {"GET /api/v1/packages/%zz", 400, "invalid-request"},
        {"GET /api/v1/packages/%", 400, "invalid-request"},
        {"GET /api/v1/packages/a%00b", 400, "invalid-request"},
        {"GET /api/v1/packages/a%0ab", 404, "package-not-found"},
        {"GET /api/v1/packages/..", 404, "not-found"},
        {"GET /api/v1//packages", 404, "not-found"},
        {"GET /api/v1/packages?limit=0", 400, "invalid-request"},
        {"GET /api/v1/packages?limit=1&limit=2", 400, "invalid-request"},
        {"GET /api/v1/packages?wrong=1", 400, "invalid-request"},
        {"GET /API/v1/packages", 404, "not-found"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ask(srv_http_port(http), cases[i].line, admin("application/json"), "", 0);
        if (answer.status != cases[i].status || strstr(answer.body, cases[i].code) == NULL) {
            fail_msg("'%s' gave %d '%s'", cases[i].line, answer.status, answer.body);
        }
    }
}

/* Two lines of a header are one list, or a mistake; never is only the first of them looked at. */
static void headers_in_two_lines(void **state)
{
    static const struct {
        const char *line, *headers;
        int status;
        const char *word;
    } cases[] = {
        {"PUT /api/v1/packages/lines/versions/1/files/a.bin",
         "If-None-Match: \"0\"\r\nIf-None-Match: *\r\n", 412, "If-None-Match"},
        {"PUT /api/v1/packages/lines/versions/1/files/a.bin",
         "If-Match: \"0\"\r\nIf-Match: \"" SHA256_ABC "\"\r\n", 200, "a.bin"},
        {"PUT /api/v1/packages/lines/versions/1/files/b.bin",
         "Repr-Digest: sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:\r\n"
         "Repr-Digest: sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\r\n",
         400, "the same wherever"},
        {"PUT /api/v1/packages/lines/versions/1/files/b.bin",
         "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", 415, "as they are"},
        {"PUT /api/v1/packages/lines/versions/1/files/b.bin",
         "X-Castpoint-Mode: 0644\r\nX-Castpoint-Mode: 0600\r\n", 400, "X-Castpoint-Mode"},
        {"PATCH /api/v1/uploads/x", "Upload-Offset: 0\r\nUpload-Offset: 1\r\n", 400,
         "Upload-Offset"},
        {"POST /api/v1/packages", "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", 400,
         "Idempotency-Key"},
        {"POST /api/v1/packages", "Content-Type: application/json\r\n", 400, "Content-Type"},
        {"GET /api/v1/packages", "Authorization: Bearer x\r\n", 400, "Authorization"},
        {"PUT /api/v1/packages/lines/versions/1/files/b.bin", "", 201, "b.bin"},
    };
    char headers[600];

    (void)state;
    rig_package(rig, "lines", "");
    rig_put(rig, "lines", 1, "a.bin", "abc");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(headers, sizeof headers, "%s%s", admin("application/json"),
                       cases[i].headers);
        ask(srv_http_port(http), cases[i].line, headers, "abc", 3);
        if (answer.status != cases[i].status || strstr(answer.body, cases[i].word) == NULL) {
            fail_msg("'%s' gave %d '%s'", cases[i].headers, answer.status, answer.body);
        }
    }
}

static void content_without_tls(void **state)
{
    uint16_t port = srv_http_plain_port(http);

    (void)state;
    rig_package(rig, "plain", ", \"content_access\": \"anonymous\"");
    rig_put(rig, "plain", 1, "a.bin", "0123456789");
    rig_seal(rig, "plain", 1);
    ask(port, "GET /api/v1/packages/plain/versions/1/files/a.bin", "Range: bytes=1-2,5-5\r\n", "",
        0);
    assert_int_equal(answer.status, 206);
    assert_non_null(strstr(answer.text, "Content-Type: multipart/byteranges; boundary="));
    assert_non_null(strstr(answer.body, "bytes 1-2/10\r\n\r\n12\r\n--"));
    assert_non_null(strstr(answer.body, "bytes 5-5/10\r\n\r\n5\r\n--"));
    ask(port, "GET /api/v1/packages/plain/versions/1/manifest", "", "", 0);
    assert_int_equal(answer.status, 200);
    ask(port, "GET /api/v1/packages/plain/versions/1/manifest", admin("application/json"), "", 0);
    expect(403, "tls-required", "Authorization");
    ask(port, "POST /api/v1/joins", "Content-Type: application/json\r\n", "{}", 2);
    expect(403, "tls-required", "HTTPS");
    ask(port, "PUT /api/v1/packages/plain/versions/1/files/b.bin", "", "abc", 3);
    expect(403, "tls-required", "HTTPS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_bodies),      cmocka_unit_test(deep_and_large_bodies),
        cmocka_unit_test(hostile_paths),       cmocka_unit_test(headers_in_two_lines),
        cmocka_unit_test(content_without_tls),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
