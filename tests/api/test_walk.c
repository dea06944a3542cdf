/* SPDX-License-Identifier: Apache-2.0
 * A walk over every route of the table: without credentials, with wrong ones, with too small a
 * role and with just enough, and with parameters that it does not take. Nothing is open that is not
 * meant to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/router.h"
#include "tests/api/rig.h"
#include "tests/api/rig_audit.h"

#define NO_UUID "00000000-0000-4000-8000-000000000000"

static const struct api_pair examples[] = {
    {"package", "walk"},
    {"version", "1"},
    {"path...", "a.bin"},
    {"sha256", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}, /* "a" */
    {"dp", "local"},
    {"kind", "multicast"},
    {"account", "admin"},
    {"token", NO_UUID},
    {"certificate", NO_UUID},
    {"upload", NO_UUID},
    {"webhook", NO_UUID},
    {"session", NO_UUID},
    {"webhook", NO_UUID},
    {"task", NO_UUID},
    {"join", NO_UUID},
};

/* The pattern with its parameters filled. */
static void fill(const char *pattern, char *ret_path, size_t cap)
{
    size_t at = 0;

    while (*pattern != '\0') {
        size_t size = strcspn(pattern + 1, "}");
        const char *value = NULL;

        if (*pattern != '{') {
            assert_true(at + 1 < cap);
            ret_path[at++] = *pattern++;
            continue;
        }
        for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
            if (strlen(examples[i].name) == size &&
                memcmp(examples[i].name, pattern + 1, size) == 0) {
                value = examples[i].value;
            }
        }
        assert_non_null(value); /* a new parameter needs an example here */
        assert_true(at + strlen(value) < cap);
        memcpy(ret_path + at, value, strlen(value));
        at += strlen(value);
        pattern += size + 2;
    }
    ret_path[at] = '\0';
}

static enum api_role smallest(enum api_need need)
{
    switch (need) {
    case API_NEED_ACCOUNT:
    case API_NEED_LOGIN:
        return API_ROLE_CONTENT;
    case API_NEED_VIEWER:
        return API_ROLE_VIEWER;
    case API_NEED_OPERATOR:
        return API_ROLE_OPERATOR;
    case API_NEED_ADMIN:
        return API_ROLE_ADMIN;
    default:
        return API_ROLE_NONE;
    }
}

static struct rig_call call_of(const struct api_route *route, const char *path)
{
    struct rig_call call = {.method = route->method, .path = path};

    if (strcmp(route->operation, "createJoin") == 0) {
        call.body = "{\"package\": \"walk\", \"client_id\": \"c1\", \"client_name\": \"c1\", "
                    "\"client_version\": \"0.0.1\", \"multicast\": false}";
    }
    if (route->upload != NULL) {
        call.data = "x";
        call.size = 1;
    }
    return call;
}

static void check_roles(const struct api_route *route, const struct rig_call *call)
{
    enum api_role need = smallest(route->need);

    for (int who = RIG_NOBODY; who < RIG_WHO_COUNT; who++) {
        int status = rig_status(rig, (enum rig_who)who, call);
        int want = (enum api_role)who >= need ? 0 : who == RIG_NOBODY ? 401 : 403;
        /* the rig has no reader of events to stream from: the right role gets that far */
        bool entered = status < 500 || strcmp(route->operation, "streamEvents") == 0;
        bool fine = want != 0 ? status == want : status != 401 && entered;

        /* others' tokens are for admins; a token manages none */
        if (route->need == API_NEED_LOGIN && who != RIG_NOBODY && who != RIG_ADMIN) {
            rig_refused(rig, (enum rig_who)who, call, "access-denied", "password");
            fine = true;
        } else if (route->need == API_NEED_ACCOUNT && who != RIG_NOBODY && who != RIG_ADMIN) {
            fine = status == 403 || status == 404 || status == 400;
        } else if (want == 0) {
            fine = fine && status != 403;
        }
        if (!fine) {
            fail_msg("%s %s as %d: %d", route->operation, call->path, who, status);
        }
    }
}

/* Tokens of an administrator that were good once. */
#define SPOILED 4
static char spoiled[SPOILED][128];

static void make_token(const char *account, const char *name, char ret_bearer[128])
{
    char path[96];
    char body[128];
    struct rig_answer a;

    (void)snprintf(path, sizeof path, "/api/v1/accounts/%s/tokens", account);
    (void)snprintf(body, sizeof body, "{\"role\": \"admin\", \"name\": \"%s\"}", name);
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_POST, .path = path, .body = body}, 201);
    (void)snprintf(ret_bearer, 128, "Bearer %s", rig_text(&a, "secret"));
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_NOBODY,
                                &(struct rig_call){.method = API_GET,
                                                   .path = "/api/v1/accounts",
                                                   .authorization = ret_bearer}),
                     200);
}

static void spoil_tokens(void)
{
    assert_int_equal(rig_status(rig, RIG_ADMIN,
                                &(struct rig_call){.method = API_POST,
                                                   .path = "/api/v1/accounts",
                                                   .body = "{\"name\": \"former\","
                                                           " \"role\": \"admin\"}"}),
                     201);
    make_token("admin", "expired", spoiled[0]);
    make_token("admin", "disabled", spoiled[1]);
    make_token("admin", "deleted", spoiled[2]);
    make_token("former", "of a disabled account", spoiled[3]);
    rig_sql("UPDATE tokens SET expires_at = now() - interval '1 second' WHERE name = 'expired';"
            "UPDATE tokens SET enabled = false WHERE name = 'disabled';"
            "DELETE FROM tokens WHERE name = 'deleted';"
            "UPDATE accounts SET enabled = false WHERE name = 'former'");
}

/* No address looks at credentials that are public, and no other one takes these. */
static void check_refused(const struct api_route *route, const struct rig_call *call,
                          const char *code)
{
    if (route->need == API_NEED_PUBLIC) {
        assert_true(rig_status(rig, RIG_NOBODY, call) < 400);
    } else {
        rig_refused(rig, RIG_NOBODY, call, code, NULL);
    }
}

static void check_wrong_credentials(const struct api_route *route, struct rig_call call)
{
    /* well-formed, but of another service; not well-formed; a wrong password; a foreign scheme */
    static const char *const wrong[] = {"Bearer cpt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "Bearer cpr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                        "Bearer cpr_x",
                                        "Bearer x",
                                        "Basic YWRtaW46d3Jvbmc=", /* admin:wrong */
                                        "Negotiate YQ==",
                                        "Digest x"};
    static const struct api_certificate bad[] = {
        {.state = API_CERTIFICATE_FOREIGN, .sha256 = "00"},
        {.state = API_CERTIFICATE_EXPIRED, .sha256 = "00"},
        {.state = API_CERTIFICATE_REVOKED, .sha256 = "00"},
        {.state = API_CERTIFICATE_UNCHECKED, .sha256 = "00"}};
    static const struct api_certificate unknown = {.state = API_CERTIFICATE_VALID, .sha256 = "11"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        call.authorization = wrong[i];
        check_refused(route, &call, "authentication-failed");
    }
    for (size_t i = 0; i < SPOILED; i++) {
        call.authorization = spoiled[i];
        check_refused(route, &call, "authentication-failed");
    }
    call.authorization = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        call.certificate = &bad[i];
        check_refused(route, &call, "authentication-failed");
    }
    call.certificate = &unknown;
    check_refused(route, &call, "access-denied");
}

/* A real receiver token, of another join. */
static char other_join[128];

static void join_once(void)
{
    struct rig_answer a =
        rig_expect(rig, RIG_CONTENT,
                   &(struct rig_call){.method = API_POST,
                                      .path = "/api/v1/joins",
                                      .body = "{\"package\": \"walk\", \"client_id\": \"other\","
                                              " \"multicast\": false}"},
                   201);

    (void)snprintf(other_join, sizeof other_join, "Bearer %s", rig_text(&a, "receiver_token"));
    rig_answer_done(&a);
}

/* Good tokens of the administrator, each of a smaller role than his. */
static char smaller[API_ROLE_ADMIN][128];

static void make_smaller_tokens(void)
{
    static const char *const roles[API_ROLE_ADMIN] = {[API_ROLE_CONTENT] = "content",
                                                      [API_ROLE_VIEWER] = "viewer",
                                                      [API_ROLE_OPERATOR] = "operator"};

    for (size_t role = 0; role < sizeof roles / sizeof roles[0]; role++) {
        char body[64];
        struct rig_answer a;

        if (roles[role] == NULL) {
            continue;
        }
        (void)snprintf(body, sizeof body, "{\"role\": \"%s\"}", roles[role]);
        a = rig_expect(rig, RIG_ADMIN,
                       &(struct rig_call){.method = API_POST,
                                          .path = "/api/v1/accounts/admin/tokens",
                                          .body = body},
                       201);
        (void)snprintf(smaller[role], sizeof smaller[role], "Bearer %s", rig_text(&a, "secret"));
        rig_answer_done(&a);
    }
}

/* It is the token's role that counts, not its account's; and what lets a machine receive opens
 * nothing else. */
static void check_small_tokens(const struct api_route *route, struct rig_call call)
{
    enum api_role need = smallest(route->need);

    for (size_t role = 0; role < need; role++) {
        if (smaller[role][0] != '\0') {
            call.authorization = smaller[role];
            rig_refused(rig, RIG_NOBODY, &call, "access-denied", NULL);
        }
    }
    call.authorization = other_join;
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", NULL);
}

/* HEAD is as closed as GET. */
static void check_head(const struct api_route *route, struct rig_call call)
{
    if (route->method != API_GET || route->need == API_NEED_PUBLIC) {
        return;
    }
    call.method = API_HEAD;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 401);
    for (size_t i = 0; i < SPOILED; i++) {
        call.authorization = spoiled[i];
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 401);
    }
    if (smallest(route->need) > API_ROLE_VIEWER) {
        call.authorization = smaller[API_ROLE_VIEWER];
        assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 403);
    }
}

/* Whoever may have content gets past the door, whatever the request is then worth. */
static void check_entered(const struct api_route *route, const struct rig_call *call)
{
    int status = rig_status(rig, RIG_CONTENT, call);

    if (status == 401 || status == 403 || status >= 500) {
        fail_msg("%s %s: %d", route->operation, call->path, status);
    }
}

static void every_route(void **state)
{
    const struct api_route *routes;
    size_t count;

    (void)state;
    rig_package(rig, "walk", ", \"content_access\": \"authenticated\"");
    rig_put(rig, "walk", 1, "a.bin", "a");
    rig_seal(rig, "walk", 1);
    spoil_tokens();
    join_once();
    make_smaller_tokens();
    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        struct rig_call call;
        char path[256];

        fill(routes[i].pattern, path, sizeof path);
        call = call_of(&routes[i], path);
        check_wrong_credentials(&routes[i], call);
        check_head(&routes[i], call);
        switch (routes[i].need) {
        case API_NEED_PUBLIC:
            assert_true(rig_status(rig, RIG_NOBODY, &call) < 400);
            break;
        case API_NEED_CONTENT:
            rig_refused(rig, RIG_NOBODY, &call, "authentication-required", NULL);
            check_entered(&routes[i], &call);
            break;
        case API_NEED_RECEIVER:
            rig_refused(rig, RIG_NOBODY, &call, "authentication-required", NULL);
            rig_refused(rig, RIG_ADMIN, &call, "access-denied", "receiver token");
            call.authorization = other_join;
            rig_refused(rig, RIG_NOBODY, &call, "access-denied", "another join");
            break;
        default:
            check_small_tokens(&routes[i], call);
            check_roles(&routes[i], &call);
        }
    }
    rig_audit_forget("unpinPackage"); /* nothing was pinned */
}

static void other_methods_are_405(void **state)
{
    const struct api_route *routes;
    size_t count;

    (void)state;
    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        struct rig_call call;
        char path[256];

        fill(routes[i].pattern, path, sizeof path);
        for (int m = 0; m < API_METHOD_COUNT; m++) {
            struct api_match match = {.route = NULL};
            struct rig_answer a;

            call = (struct rig_call){.method = (enum api_method)m, .path = path};
            if (api_route_find(routes, count, call.method, path, &match, NULL) == CP_OK) {
                api_match_done(&match);
                continue;
            }
            a = rig_expect(rig, RIG_ADMIN, &call, 405);
            assert_string_equal(rig_text(&a, "code"), "method-not-allowed");
            assert_non_null(strstr(rig_header(&a, "Allow"), api_method_name(routes[i].method)));
            rig_answer_done(&a);
        }
    }
}

/* With that query: refused before anything is done, and the parameter is named. */
static void check_parameter(const struct api_route *route, const char *path, const char *query,
                            const char *name)
{
    char whole[512];
    struct rig_call call = call_of(route, whole);
    enum rig_who who = route->need == API_NEED_PUBLIC ? RIG_NOBODY : RIG_ADMIN;
    struct rig_answer a;
    const json_t *error;

    (void)snprintf(whole, sizeof whole, "%s?%s", path, query);
    if (route->need == API_NEED_RECEIVER) {
        call.authorization = other_join;
        who = RIG_NOBODY;
    }
    a = rig_send(rig, who, &call);
    if (a.status != 400) {
        fail_msg("%s %s: %d", route->operation, whole, a.status);
    }
    error = json_array_get(json_object_get(a.json, "errors"), 0);
    assert_string_equal(rig_text_in(error, "field"), name);
    assert_non_null(json_object_get(error, "value"));
    assert_non_null(rig_text_in(error, "message"));
    rig_answer_done(&a);
}

/* Nobody who asks for a dry run, or for anything else, gets the real thing without it. */
static void parameters_that_are_none_are_refused(void **state)
{
    const struct api_route *routes;
    size_t count;

    (void)state;
    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        char path[256];
        char query[256];

        fill(routes[i].pattern, path, sizeof path);
        check_parameter(&routes[i], path, "zzz=1", "zzz");
        for (const char *const *name = routes[i].query; *name != NULL; name++) {
            (void)snprintf(query, sizeof query, "%s=true&%s=true", *name, *name);
            check_parameter(&routes[i], path, query, *name);
            /* its handler reads it: no parameter may have a control character */
            (void)snprintf(query, sizeof query, "%s=\x01", *name);
            check_parameter(&routes[i], path, query, *name);
        }
    }
}

static void check_body(const struct rig_call *call, enum rig_who who, const char *operation,
                       int want)
{
    bool reads = call->method == API_POST || call->method == API_PATCH;
    int status = rig_status(rig, who, call);

    if (reads && status != want && status != 404) {
        fail_msg("%s: %d, wanted %d", operation, status, want);
    }
}

/* Every answer is held against openapi.yaml by answers.py: this makes each address give those of a
 * body that is of another type or too large, whether it takes one or not. */
static void bodies_that_are_wrong(void **state)
{
    size_t size = api_body_max(&(struct api_request){.method = API_POST, .path = "/"}) + 1;
    char *large = malloc(size + 1);
    const struct api_route *routes;
    size_t count;

    (void)state;
    assert_non_null(large);
    memset(large, ' ', size);
    large[size] = '\0';
    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        enum rig_who who = routes[i].need == API_NEED_PUBLIC ? RIG_NOBODY : RIG_ADMIN;
        char path[256];
        struct rig_call call = call_of(&routes[i], path);

        if (routes[i].upload != NULL || strcmp(routes[i].operation, "streamEvents") == 0) {
            continue; /* test_uploads; the rig has no reader of events */
        }
        fill(routes[i].pattern, path, sizeof path);
        if (call.method == API_PATCH) {
            call.headers[0] = "If-Match: *";
        }
        call.body = "<xml/>";
        call.type = "text/xml";
        check_body(&call, who, routes[i].operation, 415);
        call.body = large;
        call.type = NULL;
        check_body(&call, who, routes[i].operation, 413);
    }
    free(large);
}

static void a_page_of_another_site_changes_nothing(void **state)
{
    struct rig_call call = {.method = API_POST,
                            .path = "/api/v1/packages",
                            .body = "{\"name\": \"csrf\"}",
                            .headers = {"Sec-Fetch-Site: cross-site"}};

    (void)state;
    rig_refused(rig, RIG_ADMIN, &call, "access-denied", "Sec-Fetch-Site");
    call.headers[0] = "Sec-Fetch-Site: same-origin";
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
}

static void the_service_tells_who_it_is(void **state)
{
    struct rig_answer a =
        rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = "/api/v1"}, 200);
    struct rig_answer again =
        rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = "/api/v1"}, 200);

    (void)state;
    assert_int_equal(strlen(rig_text(&a, "identity_key")), 64);
    assert_string_equal(rig_text(&a, "identity_key"), rig_text(&again, "identity_key"));
    rig_answer_done(&a);
    rig_answer_done(&again);
    a = rig_expect(rig, RIG_NOBODY,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/openapi.yaml"}, 200);
    assert_non_null(strstr(a.bytes, "openapi: 3.1"));
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = "/api/docs"},
                   200);
    assert_non_null(strstr(a.bytes, "createPackage"));
    rig_answer_done(&a);
    rig_refused(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = "/nothing"},
                "not-found", "/nothing");
    rig_refused(rig, RIG_NOBODY,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/packages/%zz"},
                "invalid-request", "%zz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route),
        cmocka_unit_test(other_methods_are_405),
        cmocka_unit_test(parameters_that_are_none_are_refused),
        cmocka_unit_test(bodies_that_are_wrong),
        cmocka_unit_test(a_page_of_another_site_changes_nothing),
        cmocka_unit_test(the_service_tells_who_it_is),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
