/* SPDX-License-Identifier: Apache-2.0
 * Tokens, client certificates and Kerberos principals of accounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/api/rig.h"

#define DIGEST  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ANOTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static int status_as(const char *authorization, const struct api_certificate *certificate)
{
    return rig_status(rig, RIG_NOBODY,
                      &(struct rig_call){.method = API_GET,
                                         .path = "/api/v1/packages",
                                         .authorization = authorization,
                                         .certificate = certificate});
}

/* ---- tokens ---- */

struct token {
    char bearer[128], path[96], prefix[9];
};

static struct token token_of(enum rig_who who, const char *account, const char *body)
{
    struct token t;
    struct rig_answer a;
    char path[96];

    (void)snprintf(path, sizeof path, "/api/v1/accounts/%s/tokens", account);
    a = rig_expect(rig, who, &(struct rig_call){.method = API_POST, .path = path, .body = body},
                   201);
    (void)snprintf(t.bearer, sizeof t.bearer, "Bearer %s", rig_text(&a, "secret"));
    (void)snprintf(t.path, sizeof t.path, "/api/v1/tokens/%s", rig_text(&a, "id"));
    (void)snprintf(t.prefix, sizeof t.prefix, "%s", rig_text(&a, "prefix"));
    assert_memory_equal(rig_text(&a, "secret"), t.prefix, 8);
    assert_int_equal(strlen(rig_text(&a, "prefix")), 8);
    rig_answer_done(&a);
    return t;
}

/* Found in a list by what is left of it on a machine. */
static void a_token_is_recognised(void **state)
{
    struct token t = token_of(RIG_ADMIN, "viewer", "{\"role\": \"viewer\", \"name\": \"lab\"}");
    struct rig_answer a;
    const json_t *item;
    size_t i;
    int found = 0;

    (void)state;
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/tokens?limit=1000"}, 200);
    json_array_foreach(json_object_get(a.json, "items"), i, item)
    {
        const char *prefix = json_string_value(json_object_get(item, "prefix"));

        found += prefix != NULL && strcmp(prefix, t.prefix) == 0 &&
                 strcmp(rig_text_in(item, "account"), "viewer") == 0;
    }
    assert_int_equal(found, 1);
    assert_true(json_array_size(json_object_get(a.json, "items")) >= 5); /* of all accounts */
    assert_null(strstr(a.bytes, t.bearer + strlen("Bearer ")));
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_OPERATOR,
                                &(struct rig_call){.method = API_GET, .path = "/api/v1/tokens"}),
                     403);
}

static void a_token_is_switched_off_and_on(void **state)
{
    struct token t = token_of(RIG_ADMIN, "viewer", "{\"role\": \"viewer\"}");
    struct rig_call call = {.method = API_PATCH, .path = t.path, .body = "{\"enabled\": false}"};
    struct rig_answer a;
    char match[128];
    char own[256];
    char other[256];

    (void)state;
    assert_int_equal(status_as(t.bearer, NULL), 200);
    rig_basic("viewer", RIG_PASSWORD, own);
    rig_basic("operator", RIG_PASSWORD, other);
    call.authorization = own;
    rig_refused(rig, RIG_NOBODY, &call, "precondition-required", NULL);
    rig_if_match(rig, t.path, match);
    call.headers[0] = match;
    call.authorization = other;
    rig_refused(rig, RIG_NOBODY, &call, "not-found", NULL);
    call.authorization = own;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    rig_refused(rig, RIG_NOBODY, &call, "precondition-failed", NULL);
    assert_int_equal(status_as(t.bearer, NULL), 401);
    rig_change(rig, t.path, "{\"enabled\": true, \"name\": \"again\"}");
    assert_int_equal(status_as(t.bearer, NULL), 200);
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = t.path}, 200);
    assert_string_equal(rig_text(&a, "name"), "again");
    assert_non_null(rig_text(&a, "last_used_at"));
    assert_null(strstr(a.bytes, "secret"));
    rig_answer_done(&a);
    assert_true(rig_events(rig, "token-changed") >= 2);
    call.authorization = NULL;
    call.body = "{\"expires_at\": null}";
    rig_if_match(rig, t.path, match);
    rig_refused(rig, RIG_ADMIN, &call, "invalid-request", NULL);
}

/* With the account's own password: no door of the route's stops a person before the token is looked
 * at. */
static struct rig_answer as_person(const char *account, enum api_method method,
                                   const struct token *t, const char *match)
{
    char basic[256];

    rig_basic(account, RIG_PASSWORD, basic);
    return rig_send(
        rig, RIG_NOBODY,
        &(struct rig_call){
            .method = method, .path = t->path, .headers = {match}, .authorization = basic});
}

/* Nobody but an administrator learns even that it exists. */
static void anothers_token_is_out_of_reach(void **state)
{
    static const char *const others[] = {"content", "operator"};
    static const enum api_method methods[] = {API_GET, API_DELETE};
    struct token t = token_of(RIG_ADMIN, "viewer", "{\"role\": \"viewer\"}");
    char match[128];

    (void)state;
    rig_if_match(rig, t.path, match);
    for (size_t i = 0; i < 4; i++) {
        struct rig_answer a = as_person(others[i / 2], methods[i % 2], &t, match);

        assert_int_equal(a.status, 404);
        assert_string_equal(rig_text(&a, "code"), "not-found");
        rig_answer_done(&a);
    }
    rig_refused(rig, RIG_OPERATOR, &(struct rig_call){.method = API_GET, .path = t.path},
                "not-found", NULL); /* with a token, too */
    assert_int_equal(status_as(t.bearer, NULL), 200);
    for (size_t i = 0; i < 2; i++) { /* its own account reads and deletes it */
        struct rig_answer a = as_person("viewer", methods[i], &t, match);

        assert_int_equal(a.status, methods[i] == API_GET ? 200 : 204);
        rig_answer_done(&a);
    }
    assert_int_equal(status_as(t.bearer, NULL), 401);
}

/* How often that token is in the operator's list, read in pages of one. */
static int listed(const char *authorization, const struct token *t)
{
    char path[160] = "/api/v1/accounts/operator/tokens?limit=1";
    int found = 0;
    bool more = true;

    while (more) {
        struct rig_answer a = rig_expect(
            rig, RIG_NOBODY,
            &(struct rig_call){.method = API_GET, .path = path, .authorization = authorization},
            200);

        found += strstr(a.bytes, t->path + strlen("/api/v1/tokens/")) != NULL;
        more = !json_is_null(json_object_get(a.json, "next"));
        if (more) {
            assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
            (void)snprintf(path, sizeof path, "/api/v1/accounts/operator/tokens?limit=1&after=%s",
                           rig_text(&a, "next"));
        }
        rig_answer_done(&a);
    }
    return found;
}

/* A weaker token of the same account neither sees nor changes a stronger one. */
static void a_weak_token_does_not_touch_a_strong_one(void **state)
{
    struct token strong = token_of(RIG_ADMIN, "operator", "{\"role\": \"operator\"}");
    struct token weak = token_of(RIG_ADMIN, "operator", "{\"role\": \"content\"}");
    struct rig_call call = {.method = API_GET, .path = strong.path, .authorization = weak.bearer};

    (void)state;
    rig_refused(rig, RIG_NOBODY, &call, "not-found", NULL);
    call.path = weak.path;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
    assert_int_equal(listed(weak.bearer, &strong), 0);
    assert_int_equal(listed(weak.bearer, &weak), 1);
    assert_int_equal(listed(strong.bearer, &strong), 1);
    assert_int_equal(listed(strong.bearer, &weak), 1);
    /* it is as weak as its account */
    rig_change(rig, "/api/v1/accounts/operator", "{\"role\": \"content\"}");
    assert_int_equal(listed(weak.bearer, &strong), 1);
    rig_change(rig, "/api/v1/accounts/operator", "{\"role\": \"operator\"}");
    assert_int_equal(listed(weak.bearer, &strong), 0);
}

static void expiring_tokens_are_told_of_once(void **state)
{
    struct rig_answer a;

    (void)state;
    (void)token_of(RIG_ADMIN, "viewer",
                   "{\"role\": \"viewer\", \"name\": \"soon\","
                   " \"expires_at\": \"2100-01-01T00:00:00Z\"}");
    (void)token_of(RIG_ADMIN, "viewer",
                   "{\"role\": \"viewer\", \"name\": \"late\","
                   " \"expires_at\": \"2100-01-01T00:00:00Z\"}");
    (void)token_of(RIG_ADMIN, "viewer",
                   "{\"role\": \"viewer\", \"name\": \"gone\","
                   " \"expires_at\": \"2100-01-01T00:00:00Z\"}");
    rig_sql("UPDATE tokens SET expires_at = now() + interval '13 days' WHERE name = 'soon';"
            "UPDATE tokens SET expires_at = now() + interval '15 days' WHERE name = 'late';"
            "UPDATE tokens SET expires_at = now() - interval '1 day' WHERE name = 'gone';"
            "INSERT INTO login_failures (name_hash, failures, since)"
            " VALUES (sha256('x'), 1, now() - interval '1 hour')");
    for (int i = 0; i < 2; i++) {
        rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'watch-access' FROM nodes");
        rig_work(rig);
        assert_int_equal(rig_events(rig, "token-expires-soon"), 1);
        rig_log_says("watch-access", "info",
                     i == 0 ? "Warned of 1 token that expires soon; forgot 1"
                            : "Warned of no tokens that expire soon; ");
    }
    a = rig_expect(
        rig, RIG_VIEWER,
        &(struct rig_call){.method = API_GET, .path = "/api/v1/events?kind=token-expires-soon"},
        200);
    assert_non_null(strstr(a.bytes, "\"soon\""));
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_VIEWER,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/tasks?limit=1"}, 200);
    rig_answer_done(&a);
}

/* ---- client certificates ---- */

static struct api_certificate certificate_of(enum api_certificate_state state, const char *sha256)
{
    struct api_certificate c = {
        .state = state, .subject = "CN=lab,O=Example", .issuer = "CN=CA,O=Example"};

    (void)snprintf(c.sha256, sizeof c.sha256, "%s", sha256);
    return c;
}

static struct rig_call add_call(const char *account, const char *body, char path[96])
{
    (void)snprintf(path, 96, "/api/v1/accounts/%s/certificates", account);
    return (struct rig_call){.method = API_POST, .path = path, .body = body};
}

static void add(const char *account, const char *body, char ret_path[96])
{
    char path[96];
    struct rig_call call = add_call(account, body, path);
    struct rig_answer a = rig_expect(rig, RIG_ADMIN, &call, 201);

    (void)snprintf(ret_path, 96, "/api/v1/certificates/%s", rig_text(&a, "id"));
    assert_string_equal(rig_text(&a, "account"), account);
    rig_answer_done(&a);
}

static void take_away(const char *path)
{
    struct rig_call call = {.method = API_DELETE, .path = path};
    char match[128];

    rig_refused(rig, RIG_ADMIN, &call, "precondition-required", NULL);
    rig_if_match(rig, path, match);
    call.headers[0] = match;
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 204);
}

/* Whoever reads a token on a boot medium must not outlive it, nor take the fleet's away. */
static void a_token_manages_no_tokens(void **state)
{
    struct token fleet = token_of(RIG_ADMIN, "operator", "{\"role\": \"content\"}");
    struct token found =
        token_of(RIG_ADMIN, "operator",
                 "{\"role\": \"operator\", \"expires_at\": \"2100-01-01T00:00:00Z\"}");
    struct api_certificate c = certificate_of(API_CERTIFICATE_VALID, ANOTHER);
    char match[128];
    struct rig_call calls[] = {
        {.method = API_POST,
         .path = "/api/v1/accounts/operator/tokens",
         .body = "{\"role\": \"content\"}"},
        {.method = API_PATCH,
         .path = fleet.path,
         .body = "{\"enabled\": false}",
         .headers = {match}},
        {.method = API_DELETE, .path = fleet.path, .headers = {"If-Match: *"}}};
    static const int done[] = {201, 200, 204};
    char path[96];

    (void)state;
    rig_if_match(rig, fleet.path, match);
    for (size_t i = 0; i < 3; i++) {
        calls[i].authorization = found.bearer;
        rig_refused(rig, RIG_NOBODY, &calls[i], "access-denied", "password");
    }
    assert_int_equal(rig_status(rig, RIG_NOBODY,
                                &(struct rig_call){.method = API_GET,
                                                   .path = fleet.path,
                                                   .authorization = found.bearer}),
                     200);
    add("operator", "{\"sha256\": \"" ANOTHER "\"}", path);
    for (size_t i = 0; i < 3; i++) { /* a certificate beside it does not make it a login */
        calls[i].certificate = &c;
        rig_refused(rig, RIG_NOBODY, &calls[i], "access-denied", "password");
    }
    for (size_t i = 0; i < 3; i++) {
        calls[i].authorization = NULL;
        assert_int_equal(rig_status(rig, RIG_NOBODY, &calls[i]), done[i]);
    }
    take_away(path);
}

static void a_certificate_is_an_account(void **state)
{
    struct api_certificate c = certificate_of(API_CERTIFICATE_VALID, DIGEST);
    struct rig_call call = {.method = API_GET, .path = "/api/v1/packages", .certificate = &c};
    struct rig_answer a;
    char path[96];

    (void)state;
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", DIGEST); /* nobody's */
    add("viewer", "{\"name\": \"lab\", \"sha256\": \"" DIGEST "\"}", path);
    assert_int_equal(status_as(NULL, &c), 200);
    call.path = "/api/v1/accounts";
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", "admin"); /* its account's role */
    a = rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
    assert_non_null(rig_text(&a, "last_used_at"));
    rig_answer_done(&a);
    rig_change(rig, "/api/v1/accounts/viewer", "{\"enabled\": false}");
    assert_int_equal(status_as(NULL, &c), 401);
    rig_change(rig, "/api/v1/accounts/viewer", "{\"enabled\": true}");
    take_away(path);
    assert_int_equal(status_as(NULL, &c), 403);
    rig_refused(rig, RIG_ADMIN, &(struct rig_call){.method = API_DELETE, .path = path}, "not-found",
                NULL);
    assert_int_equal(rig_events(rig, "certificate-added"), 1);
    assert_int_equal(rig_events(rig, "certificate-removed"), 1);
}

static void a_bad_certificate_is_refused_whoever_it_is(void **state)
{
    static const struct {
        enum api_certificate_state state;
        const char *word;
    } cases[] = {{API_CERTIFICATE_EXPIRED, "expired"},
                 {API_CERTIFICATE_REVOKED, "revoked"},
                 {API_CERTIFICATE_FOREIGN, "authority"},
                 {API_CERTIFICATE_UNCHECKED, "out of date"}};
    char path[96];

    (void)state;
    add("viewer", "{\"sha256\": \"" DIGEST "\"}", path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_certificate c = certificate_of(cases[i].state, DIGEST);
        struct rig_call call = {.method = API_GET, .path = "/api/v1/packages", .certificate = &c};

        rig_refused(rig, RIG_NOBODY, &call, "authentication-failed", cases[i].word);
        /* a good token does not make up for it */
        rig_refused(rig, RIG_VIEWER, &call, "authentication-failed", cases[i].word);
    }
    take_away(path);
}

static void certificate_and_token_must_agree(void **state)
{
    struct api_certificate c = certificate_of(API_CERTIFICATE_VALID, DIGEST);
    struct rig_call call = {.method = API_GET, .path = "/api/v1/packages", .certificate = &c};
    char path[96];

    (void)state;
    rig_refused(rig, RIG_VIEWER, &call, "access-denied", DIGEST); /* nobody's agrees with none */
    add("viewer", "{\"sha256\": \"" DIGEST "\"}", path);
    assert_int_equal(rig_status(rig, RIG_VIEWER, &call), 200);
    rig_refused(rig, RIG_OPERATOR, &call, "access-denied", "viewer");
    rig_refused(rig, RIG_ADMIN, &call, "access-denied", "viewer");
    take_away(path);
}

/* Of a subject and issuer; the one certificate goes before. */
static void names_stand_for_all_certificates_of_them(void **state)
{
    struct api_certificate c = certificate_of(API_CERTIFICATE_VALID, ANOTHER);
    char by_name[96];
    char by_digest[96];

    (void)state;
    add("content", "{\"subject\": \"CN=lab,O=Example\", \"issuer\": \"CN=CA,O=Example\"}", by_name);
    assert_int_equal(status_as(NULL, &c), 403); /* content reads no packages */
    add("viewer", "{\"sha256\": \"" ANOTHER "\"}", by_digest);
    assert_int_equal(status_as(NULL, &c), 200);
    (void)snprintf(c.issuer, sizeof c.issuer, "CN=Another CA");
    (void)snprintf(c.sha256, sizeof c.sha256, "%s", DIGEST);
    assert_int_equal(status_as(NULL, &c), 403);
    c.subject[0] = '\0'; /* too long to be kept */
    c.issuer[0] = '\0';
    assert_int_equal(status_as(NULL, &c), 403);
    take_away(by_name);
    take_away(by_digest);
}

static void wrong_certificates_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"sha256\": \"00\"}",
        "{\"sha256\": \"zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}",
        "{\"sha256\": \"" DIGEST "00\"}",
        "{\"subject\": \"CN=a\"}",
        "{\"issuer\": \"CN=a\"}",
        "{\"sha256\": \"" DIGEST "\", \"subject\": \"CN=a\", \"issuer\": \"CN=b\"}",
        "{\"sha256\": \"" DIGEST "\", \"issuer\": \"CN=b\"}"};
    char path[96];
    char made[96];
    struct rig_call call = add_call("viewer", NULL, path);

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        call.body = bodies[i];
        rig_refused(rig, RIG_ADMIN, &call, "invalid-request", NULL);
    }
    add("viewer",
        "{\"sha256\": \"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:"
        "99:AA:BB:CC:DD:EE:FF\"}",
        made); /* as openssl shows it */
    call = add_call("operator", "{\"sha256\": \"" DIGEST "\"}", path);
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "already");
    call = add_call("nobody", "{\"sha256\": \"" ANOTHER "\"}", path);
    rig_refused(rig, RIG_ADMIN, &call, "not-found", "nobody");
    call.method = API_GET;
    call.path = "/api/v1/accounts/viewer/certificates";
    call.body = NULL;
    {
        struct rig_answer a = rig_expect(rig, RIG_ADMIN, &call, 200);

        assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
        rig_answer_done(&a);
    }
}

/* ---- Kerberos ---- */

static void principals_are_unique(void **state)
{
    static const char *const wrong[] = {"{\"principal\": \"alice\"}", "{\"principal\": \"@R\"}",
                                        "{\"principal\": \"a@\"}", "{\"principal\": \"a@b@c\"}",
                                        "{\"principal\": 1}"};
    char match[128];
    struct rig_call call = {
        .method = API_PATCH, .path = "/api/v1/accounts/operator", .headers = {match}};
    struct rig_answer a;

    (void)state;
    rig_change(rig, "/api/v1/accounts/viewer", "{\"principal\": \"alice@EXAMPLE.ORG\"}");
    rig_if_match(rig, call.path, match);
    call.body = "{\"principal\": \"alice@EXAMPLE.ORG\"}";
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "principal");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        call.body = wrong[i];
        rig_refused(rig, RIG_ADMIN, &call, "invalid-request", NULL);
    }
    call = (struct rig_call){.method = API_POST,
                             .path = "/api/v1/accounts",
                             .body = "{\"name\": \"second\", \"role\": \"content\","
                                     " \"principal\": \"alice@EXAMPLE.ORG\"}"};
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "principal");
    rig_change(rig, "/api/v1/accounts/viewer", "{\"principal\": null}");
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/accounts/second"}, 200);
    assert_string_equal(rig_text(&a, "principal"), "alice@EXAMPLE.ORG");
    rig_answer_done(&a);
}

/* What is not configured is neither taken nor offered. */
static void there_is_no_kerberos_without_keytab(void **state)
{
    struct rig_call call = {
        .method = API_GET, .path = "/api/v1/packages", .authorization = "Negotiate YQ=="};
    struct rig_answer a;

    (void)state;
    rig_refused(rig, RIG_NOBODY, &call, "authentication-failed", "keytab");
    call.authorization = NULL;
    a = rig_expect(rig, RIG_NOBODY, &call, 401);
    assert_null(strstr(rig_text(&a, "detail"), "Kerberos"));
    assert_null(strstr(rig_text(&a, "detail"), "certificate"));
    for (size_t i = 0; i < a.rs.header_count; i++) {
        assert_null(strstr(a.rs.headers[i].value, "Negotiate"));
    }
    rig_answer_done(&a);
    rig->ctx.client_certificates = true;
    rig_refused(rig, RIG_NOBODY, &call, "authentication-required", "client certificate");
    rig->ctx.client_certificates = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_recognised),
        cmocka_unit_test(a_token_is_switched_off_and_on),
        cmocka_unit_test(anothers_token_is_out_of_reach),
        cmocka_unit_test(a_weak_token_does_not_touch_a_strong_one),
        cmocka_unit_test(expiring_tokens_are_told_of_once),
        cmocka_unit_test(a_certificate_is_an_account),
        cmocka_unit_test(a_bad_certificate_is_refused_whoever_it_is),
        cmocka_unit_test(certificate_and_token_must_agree),
        cmocka_unit_test(names_stand_for_all_certificates_of_them),
        cmocka_unit_test(wrong_certificates_are_refused),
        cmocka_unit_test(principals_are_unique),
        cmocka_unit_test(there_is_no_kerberos_without_keytab),
        cmocka_unit_test(a_token_manages_no_tokens),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
