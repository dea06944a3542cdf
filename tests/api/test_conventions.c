/* SPDX-License-Identifier: Apache-2.0
 * What holds for the whole API: conditions on every change, content types, limits of
 * requests, pages of other sites. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "api/framework/router.h"
#include "api/point/live.h"
#include "tests/api/rig.h"

#define PACKAGES "/api/v1/packages"
#define SETTINGS "/api/v1/distribution-points/local/settings"

static struct rig_call post(const char *path, const char *body, const char *header)
{
    return (struct rig_call){.method = API_POST, .path = path, .body = body, .headers = {header}};
}

/* ---- lists ---- */

/* The names of a list, one after the other. */
static void names_are(const char *path, const char *expected)
{
    struct rig_answer a =
        rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
    const json_t *items = json_object_get(a.json, "items");
    char names[512] = "";
    size_t at = 0;

    for (size_t i = 0; i < json_array_size(items); i++) {
        at += (size_t)snprintf(names + at, sizeof names - at, "%s ",
                               rig_text_in(json_array_get(items, i), "name"));
    }
    assert_string_equal(names, expected);
    rig_answer_done(&a);
}

static void accounts_are_found(void **state)
{
    struct rig_call call =
        post("/api/v1/accounts",
             "{\"name\": \"off-1\", \"role\": \"operator\", \"enabled\": false}", NULL);

    (void)state;
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
    names_are("/api/v1/accounts?role=operator", "off-1 operator ");
    names_are("/api/v1/accounts?role=operator&sort=-name", "operator off-1 ");
    names_are("/api/v1/accounts?role=operator&enabled=true", "operator ");
    names_are("/api/v1/accounts?enabled=false", "off-1 ");
    names_are("/api/v1/accounts?limit=2&sort=-name&after=operator", "only off-1 ");
    rig_refused(rig, RIG_ADMIN,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/accounts?role=boss"},
                "invalid-request", "role");
}

/* ---- conditions ---- */

static void names_are_created_only(void **state)
{
    struct rig_call call = post(PACKAGES, "{\"name\": \"only\"}", "If-None-Match: *");

    (void)state;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "only");
    call.headers[0] = NULL;
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "only");
    call =
        post("/api/v1/accounts", "{\"name\": \"only\", \"role\": \"viewer\"}", "If-None-Match: *");
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
    rig_refused(rig, RIG_ADMIN, &call, "precondition-failed", "only");
    call.headers[0] = NULL;
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "only");
}

enum condition {
    REQUIRED, /* 428 without If-Match, 412 with a stale one */
    HONOURED, /* 412 with a stale one */
    NONE      /* makes something, changes something without an ETag, or must always be possible */
};

static const struct {
    const char *operation;
    enum condition condition;
    const char *path; /* with a condition */
    const char *body;
} conditions[] = {
    {"updatePackage", REQUIRED, PACKAGES "/cond", "{}"},
    {"deletePackage", REQUIRED, PACKAGES "/cond", NULL},
    {"updateVersion", REQUIRED, PACKAGES "/cond/versions/1", "{}"},
    {"deleteVersion", REQUIRED, PACKAGES "/cond/versions/1", NULL},
    {"updateSettings", REQUIRED, SETTINGS, "{}"},
    {"updateAccount", REQUIRED, "/api/v1/accounts/cond", "{}"},
    {"deleteAccount", REQUIRED, "/api/v1/accounts/cond", NULL},
    {"updateToken", REQUIRED, "/api/v1/tokens/%TOKEN%", "{}"},
    {"deleteToken", REQUIRED, "/api/v1/tokens/%TOKEN%", NULL},
    {"removeCertificate", REQUIRED, "/api/v1/certificates/%CERTIFICATE%", NULL},
    {"updateWebhook", REQUIRED, "/api/v1/webhooks/cond", "{}"},
    {"deleteWebhook", REQUIRED, "/api/v1/webhooks/cond", NULL},
    {"rollBackPackage", HONOURED, PACKAGES "/cond/rollback", NULL},
    {"unpinPackage", HONOURED, PACKAGES "/cond/current-pin", NULL},
    {"promoteVersion", HONOURED, PACKAGES "/cond/versions/1/promote", NULL},
    {"sealVersion", HONOURED, PACKAGES "/cond/versions/1/seal", NULL},
    {"retireVersion", HONOURED, PACKAGES "/cond/versions/1/retire", NULL},
    {"unlockAccount", HONOURED, "/api/v1/accounts/cond/unlock", NULL},
    {"testWebhook", HONOURED, "/api/v1/webhooks/cond/test", NULL},
    {"putFile", HONOURED, PACKAGES "/cond/versions/1/files/a.txt", NULL},
    {"deleteFile", HONOURED, PACKAGES "/cond/versions/1/files/a.txt", NULL},
    {"putConfiguration", HONOURED, "/api/v1/configuration", "{\"format\": 1}"},
    {"createPackage", NONE, NULL, NULL},
    {"createVersion", NONE, NULL, NULL},
    {"createUpload", NONE, NULL, NULL},
    {"continueUpload", NONE, NULL, NULL},
    {"deleteUpload", NONE, NULL, NULL},
    {"collectLibrary", NONE, NULL, NULL},
    {"recountLibrary", NONE, NULL, NULL},
    {"validateLibrary", NONE, NULL, NULL},
    {"checkKeys", NONE, NULL, NULL},
    {"revokeKey", NONE, NULL, NULL},
    {"rotateKey", NONE, NULL, NULL},
    {"createAccount", NONE, NULL, NULL},
    {"addCertificate", NONE, NULL, NULL},
    {"createToken", NONE, NULL, NULL},
    {"cancelSession", NONE, NULL, NULL},
    {"createJoin", NONE, NULL, NULL},
    {"putProgress", NONE, NULL, NULL},
    {"putResult", NONE, NULL, NULL},
    {"cancelTask", NONE, NULL, NULL},
    {"createWebhook", NONE, NULL, NULL},
};
#define CONDITION_COUNT (sizeof conditions / sizeof conditions[0])

static const struct api_route *route_of(const char *operation)
{
    const struct api_route *routes;
    size_t count;

    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].operation, operation) == 0) {
            return &routes[i];
        }
    }
    fail_msg("no operation '%s'", operation);
    return NULL;
}

static void every_change_is_in_the_table(void **state)
{
    const struct api_route *routes;
    size_t count;

    (void)state;
    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        size_t rows = 0;

        for (size_t k = 0; k < CONDITION_COUNT; k++) {
            rows += strcmp(routes[i].operation, conditions[k].operation) == 0;
        }
        if (rows != (routes[i].method != API_GET && routes[i].method != API_OPTIONS)) {
            fail_msg("%s is %zu times in the table of conditions", routes[i].operation, rows);
        }
    }
}

static void make_what_is_changed(char ret_token[64], char ret_certificate[64])
{
    struct rig_call call =
        post("/api/v1/accounts", "{\"name\": \"cond\", \"role\": \"viewer\"}", NULL);
    struct rig_answer a;

    rig_package(rig, "cond", "");
    rig_put(rig, "cond", 1, "a.txt", "content");
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
    call = post("/api/v1/accounts/cond/tokens", "{\"role\": \"viewer\"}", NULL);
    a = rig_expect(rig, RIG_ADMIN, &call, 201);
    (void)snprintf(ret_token, 64, "%s", rig_text(&a, "id"));
    rig_answer_done(&a);
    call = post("/api/v1/accounts/cond/certificates",
                "{\"subject\": \"CN=cond\", \"issuer\": \"CN=CA\"}", NULL);
    a = rig_expect(rig, RIG_ADMIN, &call, 201);
    (void)snprintf(ret_certificate, 64, "%s", rig_text(&a, "id"));
    rig_answer_done(&a);
    call = post("/api/v1/webhooks", "{\"name\": \"cond\", \"url\": \"https://hooks.example/x\"}",
                NULL);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
}

static void conditions_hold_on_every_change(void **state)
{
    char token[64], certificate[64];

    (void)state;
    make_what_is_changed(token, certificate);
    for (size_t i = 0; i < CONDITION_COUNT; i++) {
        const struct api_route *route = route_of(conditions[i].operation);
        struct rig_call call = {.method = route->method, .body = conditions[i].body};
        char path[256];

        if (conditions[i].condition == NONE) {
            continue;
        }
        (void)snprintf(path, sizeof path, "%s", conditions[i].path);
        if (strstr(path, "%TOKEN%") != NULL) {
            (void)snprintf(path, sizeof path, "/api/v1/tokens/%s", token);
        } else if (strstr(path, "%CERTIFICATE%") != NULL) {
            (void)snprintf(path, sizeof path, "/api/v1/certificates/%s", certificate);
        }
        call.path = path;
        if (route->upload != NULL) {
            call.data = "new";
            call.size = 3;
        }
        if (conditions[i].condition == REQUIRED) {
            rig_refused(rig, RIG_ADMIN, &call, "precondition-required", "If-Match");
        }
        call.headers[0] = "If-Match: \"r987654321\"";
        rig_refused(rig, RIG_ADMIN, &call, "precondition-failed", NULL);
        call.headers[0] = "If-Match: W/\"r1\", \"r987654321\""; /* weak ones never match */
        rig_refused(rig, RIG_ADMIN, &call, "precondition-failed", NULL);
    }
}

/* ---- content types ---- */

static void types_of_bodies(void **state)
{
    struct rig_call call = {.method = API_PATCH, .path = PACKAGES "/typed", .body = "{}"};
    char match[128];

    (void)state;
    rig_package(rig, "typed", "");
    rig_if_match(rig, PACKAGES "/typed", match);
    call.headers[0] = match;
    call.type = "";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "is missing");
    call.type = "text/plain";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "merge-patch");
    call.type = "application/jsonx";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "jsonx");
    call.type = "application/json-patch+json";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "json-patch");
    call.type = "Application/Merge-Patch+JSON; charset=utf-8";
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    call = post(PACKAGES, "{\"name\": \"typed2\"}", NULL);
    call.type = "application/merge-patch+json";
    rig_refused(rig, RIG_OPERATOR, &call, "unsupported-media-type", "application/json");
    call.type = "application/json;charset=utf-8";
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 201);
}

/* ---- limits, pages of other sites ---- */

static void live_on(void)
{
    assert_int_equal(api_live_new(&rig->ctx.live), CP_OK);
}

static void live_off(void)
{
    api_live_free(rig->ctx.live);
    rig->ctx.live = NULL;
}

/* Sends until it is refused; at most `most`. */
static int sent(enum rig_who who, struct rig_call call, int most)
{
    int count = 0;

    while (count < most && rig_status(rig, who, &call) != 429) {
        count++;
    }
    return count;
}

static void requests_are_limited(void **state)
{
    struct rig_call call = {.method = API_GET, .path = PACKAGES "/none", .remote = "198.51.100.1"};
    struct rig_answer a;

    (void)state;
    rig_settings(rig, "{\"requests_per_minute\": 60}");
    live_on();
    /* by address, whoever asks; a bucket may gain one in a second */
    assert_in_range(sent(RIG_NOBODY, call, 100), 20, 22);
    a = rig_expect(rig, RIG_NOBODY, &call, 429);
    assert_string_equal(rig_text(&a, "code"), "too-many-requests");
    assert_in_range(atoi(rig_header(&a, "Retry-After")), 1, 2);
    rig_answer_done(&a);
    rig_refused(rig, RIG_VIEWER, &call, "too-many-requests", "address");
    /* a machine has a /64 of addresses */
    call.remote = "2001:db8:1:2::1";
    assert_in_range(sent(RIG_NOBODY, call, 100), 20, 22);
    call.remote = "2001:db8:1:2:3:4:5:6";
    rig_refused(rig, RIG_NOBODY, &call, "too-many-requests", "address");
    call.remote = "2001:db8:1:3::1";
    rig_refused(rig, RIG_NOBODY, &call, "authentication-required", NULL);
    /* by account, from wherever */
    call.remote = "198.51.100.2";
    (void)sent(RIG_VIEWER, call, 100);
    call.remote = "198.51.100.3";
    rig_refused(rig, RIG_VIEWER, &call, "too-many-requests", "account");
    rig_refused(rig, RIG_OPERATOR, &call, "package-not-found", NULL);
    live_off();
    rig_settings(rig, "{\"requests_per_minute\": 0}");
    live_on();
    call.remote = "198.51.100.1";
    assert_int_equal(sent(RIG_NOBODY, call, 200), 200);
    live_off();
}

/* A room of forty behind one address: each joins, reports each second, and ends. */
static void a_room_is_never_held_up(void **state)
{
    char bearers[40][128];
    char joins[40][64];

    (void)state;
    rig_settings(rig, "{\"requests_per_minute\": 60}");
    rig_content_access(rig, "anonymous");
    rig_package(rig, "room", "");
    rig_put(rig, "room", 1, "a.txt", "content");
    rig_seal(rig, "room", 1);
    live_on();
    for (int i = 0; i < 40; i++) {
        char body[256];
        struct rig_answer a;

        (void)snprintf(body, sizeof body,
                       "{\"package\": \"room\", \"client_id\": \"pc-%d\", \"client_name\": \"pc\","
                       " \"client_version\": \"0.1.0\", \"multicast\": true}",
                       i);
        a = rig_expect(
            rig, RIG_NOBODY,
            &(struct rig_call){
                .method = API_POST, .path = "/api/v1/joins", .body = body, .remote = "203.0.113.1"},
            201);
        (void)snprintf(bearers[i], sizeof bearers[i], "Bearer %s", rig_text(&a, "receiver_token"));
        (void)snprintf(joins[i], sizeof joins[i], "%s", rig_text(&a, "id"));
        rig_answer_done(&a);
    }
    for (int second = 0; second < 10; second++) { /* more than requests_per_minute allows */
        for (int i = 0; i < 40; i++) {
            struct rig_call call = {.method = API_GET,
                                    .path = PACKAGES "/room/versions/1/manifest",
                                    .authorization = bearers[i],
                                    .remote = "203.0.113.1"};

            assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
        }
    }
    assert_int_equal(sent(RIG_NOBODY,
                          (struct rig_call){.method = API_GET,
                                            .path = PACKAGES "/room/versions/1/manifest",
                                            .authorization = bearers[0],
                                            .remote = "203.0.113.1"},
                          500),
                     500); /* content is held back by bits per second, not by requests */
    /* reports are counted, 600 a minute at the least */
    {
        char path[128];
        struct rig_call call = {
            .method = API_GET, .path = path, .authorization = bearers[1], .remote = "203.0.113.1"};

        (void)snprintf(path, sizeof path, "/api/v1/joins/%s", joins[1]);
        assert_in_range(sent(RIG_NOBODY, call, 300), 100, 130);
    }
    live_off();
    rig_settings(rig, "{\"requests_per_minute\": 6000}");
}

/* What only looks like a receiver token is counted for its address, before anybody looks it up. */
static void a_false_receiver_token_hides_nothing(void **state)
{
    struct rig_call join = {.method = API_POST,
                            .path = "/api/v1/joins",
                            .body = "{\"package\": \"room\", \"client_id\": \"false-1\"}",
                            .remote = "203.0.113.2"};
    struct rig_call call = {.method = API_GET,
                            .path = PACKAGES "/room/versions/1/manifest",
                            .authorization = "Bearer cpr_made-up",
                            .remote = "203.0.113.2"};
    struct rig_answer a;
    char bearer[128];

    (void)state;
    rig_settings(rig, "{\"requests_per_minute\": 60}");
    live_on();
    a = rig_expect(rig, RIG_NOBODY, &join, 201);
    (void)snprintf(bearer, sizeof bearer, "bearer  %s", rig_text(&a, "receiver_token"));
    rig_answer_done(&a);
    assert_in_range(sent(RIG_NOBODY, call, 300), 100, 130);
    rig_refused(rig, RIG_NOBODY, &call, "too-many-requests", "false receiver tokens");
    call.authorization = bearer; /* nobody has looked yet */
    rig_refused(rig, RIG_NOBODY, &call, "too-many-requests", "address");
    call.remote = "203.0.113.3";
    assert_int_equal(sent(RIG_NOBODY, call, 300), 300); /* right ones use nothing up */
    call.authorization = "Bearer cpr_made-up";
    assert_in_range(sent(RIG_NOBODY, call, 300), 100, 130);
    call.path = "/api/v1"; /* no address that looks at credentials */
    assert_in_range(sent(RIG_NOBODY, call, 100), 20, 22);
    call.remote = "203.0.113.4";
    call.path = "/nothing"; /* the same bucket */
    assert_int_equal(sent(RIG_NOBODY, call, 20), 20);
    call.path = "/api/v1";
    assert_in_range(sent(RIG_NOBODY, call, 100), 0, 2);
    live_off();
    rig_settings(rig, "{\"requests_per_minute\": 6000}");
}

#define CONSOLE "https://console.example:8443"

static struct rig_answer preflight(const char *origin)
{
    struct rig_call call = {
        .method = API_OPTIONS,
        .path = PACKAGES,
        .headers = {origin, "Access-Control-Request-Method: POST",
                    "Access-Control-Request-Headers: authorization, content-type"}};

    return rig_send(rig, RIG_NOBODY, &call);
}

/* What a client of tus in a browser sends, and what it reads. */
static const char *const tus_asks[] = {"Tus-Resumable",         "Upload-Length",   "Upload-Offset",
                                       "Upload-Metadata",       "Upload-Checksum", "Content-Type",
                                       "X-HTTP-Method-Override"};
static const char *const tus_reads[] = {
    "Location",      "Upload-Offset", "Upload-Length", "Upload-Expires", "Upload-Metadata",
    "Tus-Resumable", "Tus-Version",   "Tus-Extension", "Tus-Max-Size",   "Tus-Checksum-Algorithm"};

/* Each of the names is one of the list's. */
static void expect_names(const char *list, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *at = strstr(list, names[i]);

        if (at == NULL || strchr(", ", at[strlen(names[i])]) == NULL) {
            fail_msg("'%s' is not in '%s'", names[i], list);
        }
    }
}

static void pages_of_other_sites(void **state)
{
    struct rig_call call = {
        .method = API_GET, .path = PACKAGES "?limit=1", .headers = {"Origin: " CONSOLE}};
    struct rig_answer a;

    (void)state;
    /* off: not even a Vary */
    live_on();
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_null(rig_header(&a, "Access-Control-Allow-Origin"));
    assert_null(rig_header(&a, "Vary"));
    rig_answer_done(&a);
    a = preflight("Origin: " CONSOLE);
    assert_int_equal(a.status, 405);
    rig_answer_done(&a);

    rig_settings(rig, "{\"cors_origins\": [\"https://other.example\", \"" CONSOLE "\"]}");
    a = preflight("Origin: " CONSOLE);
    assert_int_equal(a.status, 204);
    assert_string_equal(rig_header(&a, "Access-Control-Allow-Origin"), CONSOLE);
    assert_non_null(strstr(rig_header(&a, "Access-Control-Allow-Methods"), "PATCH"));
    assert_non_null(strstr(rig_header(&a, "Access-Control-Allow-Headers"), "Authorization"));
    expect_names(rig_header(&a, "Access-Control-Allow-Headers"), tus_asks,
                 sizeof tus_asks / sizeof tus_asks[0]);
    assert_null(rig_header(&a, "Access-Control-Allow-Credentials"));
    assert_string_equal(rig_header(&a, "Vary"), "Origin");
    rig_answer_done(&a);
    a = preflight("Origin: https://console.example");
    assert_int_equal(a.status, 405);
    assert_null(rig_header(&a, "Access-Control-Allow-Origin"));
    assert_string_equal(rig_header(&a, "Vary"), "Origin");
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(rig_header(&a, "Access-Control-Allow-Origin"), CONSOLE);
    assert_non_null(strstr(rig_header(&a, "Access-Control-Expose-Headers"), "ETag"));
    expect_names(rig_header(&a, "Access-Control-Expose-Headers"), tus_reads,
                 sizeof tus_reads / sizeof tus_reads[0]);
    rig_answer_done(&a);
    call.headers[0] = "Origin: https://evil.example";
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_null(rig_header(&a, "Access-Control-Allow-Origin"));
    rig_answer_done(&a);
    live_off();
}

/* Changes, too, and uploads; a refusal can be read by the page. */
static void changes_by_pages_of_other_sites(void **state)
{
    struct rig_call call = post(PACKAGES, "{\"name\": \"crossed\"}", "Origin: " CONSOLE);
    struct rig_answer a;

    (void)state;
    live_on();
    call.headers[1] = "Sec-Fetch-Site: cross-site";
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    assert_string_equal(rig_header(&a, "Access-Control-Allow-Origin"), CONSOLE);
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_NOBODY, &call, 401);
    assert_string_equal(rig_header(&a, "Access-Control-Allow-Origin"), CONSOLE);
    rig_answer_done(&a);
    call.headers[0] = "Origin: https://evil.example";
    rig_refused(rig, RIG_OPERATOR, &call, "access-denied", "Sec-Fetch-Site");
    a = rig_expect(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_POST, .path = PACKAGES "/crossed/versions"},
                   201);
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_PUT,
                                      .path = PACKAGES "/crossed/versions/1/files/a",
                                      .data = "x",
                                      .size = 1,
                                      .headers = {"Origin: " CONSOLE}},
                   201);
    assert_string_equal(rig_header(&a, "Access-Control-Allow-Origin"), CONSOLE);
    rig_answer_done(&a);
    live_off();
}

static void only_origins_are_origins(void **state)
{
    static const char *const bodies[] = {
        "{\"cors_origins\": \"https://a.example\"}", "{\"cors_origins\": [\"*\"]}",
        "{\"cors_origins\": [\"https://a.example/\"]}", "{\"cors_origins\": [5]}",
        "{\"cors_origins\": [\"https://a1\", \"https://a2\", \"https://a3\", \"https://a4\","
        " \"https://a5\", \"https://a6\", \"https://a7\", \"https://a8\", \"https://a9\","
        " \"https://b1\", \"https://b2\", \"https://b3\", \"https://b4\", \"https://b5\","
        " \"https://b6\", \"https://b7\", \"https://b8\"]}"};
    char match[128];
    struct rig_answer a;

    (void)state;
    rig_if_match(rig, SETTINGS, match);
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        rig_refused(
            rig, RIG_ADMIN,
            &(struct rig_call){
                .method = API_PATCH, .path = SETTINGS, .body = bodies[i], .headers = {match}},
            "invalid-request", "cors_origins");
    }
    rig_settings(rig, "{\"cors_origins\": []}");
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = SETTINGS}, 200);
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(a.json, "configured"), "cors_origins")), 0);
    rig_answer_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_created_only),
        cmocka_unit_test(accounts_are_found),
        cmocka_unit_test(every_change_is_in_the_table),
        cmocka_unit_test(conditions_hold_on_every_change),
        cmocka_unit_test(types_of_bodies),
        cmocka_unit_test(requests_are_limited),
        cmocka_unit_test(a_room_is_never_held_up),
        cmocka_unit_test(a_false_receiver_token_hides_nothing),
        cmocka_unit_test(pages_of_other_sites),
        cmocka_unit_test(changes_by_pages_of_other_sites),
        cmocka_unit_test(only_origins_are_origins),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
