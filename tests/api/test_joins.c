/* SPDX-License-Identifier: Apache-2.0
 * Joins, progress, results, sessions: who gets in, that every signature verifies, that a place is
 * given back, and that keys heal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "api/progress.h"
#include "api/ticket.h"
#include "common/base64.h"
#include "content/certificate.h"
#include "content/jws.h"
#include "db/session.h"
#include "tests/api/rig.h"

static struct rig *rig;

static const char sql_reset[] = "UPDATE sessions SET state = 'cancelled', ended_at = now() "
                                "WHERE ended_at IS NULL";

/* ---- helpers ---- */

static struct rig_call join_call(const char *body)
{
    return (struct rig_call){.method = API_POST, .path = "/api/v1/joins", .body = body};
}

#define JOIN(package, client)                                                                      \
    "{\"package\": \"" package "\", \"client_id\": \"" client "\", \"client_name\": \"pc\","       \
    " \"client_version\": \"0.1.0\", \"multicast\": true}"

/* A join whose answer was checked: signatures, forms; ticket is its payload. */
struct joined {
    struct rig_answer answer;
    json_t *ticket;
    char bearer[128]; /* value of an Authorization header */
    uint8_t key[JWS_KEY_SIZE];
};

static json_t *object_in(const struct joined *j, const char *name)
{
    json_t *value = json_object_get(j->ticket, name);

    assert_true(json_is_object(value));
    return value;
}

static const char *text_in(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (text == NULL) {
        fail_msg("no text '%s'", name);
    }
    return text;
}

static json_int_t number_in(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_integer(value)) {
        fail_msg("no number '%s'", name);
    }
    return json_integer_value(value);
}

static struct joined joined_as(enum rig_who who, const char *body, int status)
{
    struct rig_call call = join_call(body);
    struct joined j = {.answer = rig_expect(rig, who, &call, status)};
    uint8_t identity[JWS_KEY_SIZE];
    const char *text = rig_text(&j.answer, "identity_key");
    struct certificate certificate;
    struct cp_error err;
    char *payload;
    size_t size;

    assert_true(
        cp_base64_decode(CP_BASE64_URL, text, strlen(text), identity, sizeof identity, &size));
    assert_int_equal(
        certificate_verify(identity, rig_text(&j.answer, "certificate"), 0, &certificate, &err),
        CP_OK);
    assert_string_equal(certificate.node, rig->node_id);
    memcpy(j.key, certificate.public_key, sizeof j.key);
    assert_int_equal(jws_verify(j.key, rig_text(&j.answer, "ticket"), &payload, &size, &err),
                     CP_OK);
    j.ticket = json_loadb(payload, size, JSON_REJECT_DUPLICATES, NULL);
    free(payload);
    assert_non_null(j.ticket);
    assert_string_equal(text_in(j.ticket, "castpoint"), "ticket");
    assert_string_equal(text_in(j.ticket, "join"), rig_text(&j.answer, "id"));
    assert_true(strncmp(rig_text(&j.answer, "receiver_token"), "cpr_", 4) == 0);
    assert_null(strstr(rig_text(&j.answer, "ticket"), rig_text(&j.answer, "receiver_token")));
    (void)snprintf(j.bearer, sizeof j.bearer, "Bearer %s", rig_text(&j.answer, "receiver_token"));
    return j;
}

static void joined_done(struct joined *j)
{
    json_decref(j->ticket);
    rig_answer_done(&j->answer);
}

static void sealed_package(const char *name, const char *more_fields)
{
    rig_package(rig, name, more_fields);
    rig_put(rig, name, 1, "a.bin", "some content that is not empty");
    rig_seal(rig, name, 1);
}

/* Calls an address of the join with its token. */
static struct rig_answer own(const struct joined *j, enum api_method method, const char *tail,
                             const char *body, int status)
{
    char path[256];
    struct rig_call call = {
        .method = method, .path = path, .body = body, .authorization = j->bearer};

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s%s", text_in(j->ticket, "join"), tail);
    return rig_expect(rig, RIG_NOBODY, &call, status);
}

static int own_status(const struct joined *j, enum api_method method, const char *tail,
                      const char *body)
{
    char path[256];
    struct rig_call call = {
        .method = method, .path = path, .body = body, .authorization = j->bearer};

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s%s", text_in(j->ticket, "join"), tail);
    return rig_status(rig, RIG_NOBODY, &call);
}

static int count_events(const char *kind)
{
    char path[128];
    struct rig_answer a;
    struct rig_call call = {.method = API_GET, .path = path};
    int count;

    (void)snprintf(path, sizeof path, "/api/v1/events?kind=%s&limit=1000", kind);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    count = (int)json_array_size(json_object_get(a.json, "items"));
    rig_answer_done(&a);
    return count;
}

/* The manifest that the ticket names has its size, and its signature is by the ticket's key. */
static void check_manifest(const struct joined *j)
{
    const json_t *manifest = object_in(j, "manifest");
    struct rig_call call = {
        .method = API_GET, .path = text_in(manifest, "url"), .authorization = j->bearer};
    struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 200);
    struct cp_error err;

    assert_int_equal(a.size, number_in(manifest, "size"));
    assert_int_equal(
        jws_verify_detached(j->key, text_in(manifest, "signature"), a.bytes, a.size, &err), CP_OK);
    rig_answer_done(&a);
}

/* ---- tickets ---- */

static void ticket_is_complete_and_signed(void **state)
{
    struct joined j;
    json_t *session;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("full", "");
    j = joined_as(RIG_NOBODY, JOIN("full", "c1"), 201);
    assert_string_equal(text_in(j.ticket, "package"), "full");
    assert_int_equal(number_in(j.ticket, "version"), 1);
    assert_string_equal(text_in(j.ticket, "policy"), "prefer");
    assert_string_equal(text_in(j.ticket, "correlation_id"), "test-request");
    session = object_in(&j, "session");
    assert_string_equal(text_in(session, "state"), "waiting");
    assert_string_equal(text_in(session, "source"), "192.0.2.1");
    assert_int_equal(number_in(session, "segment_size"), 1408);
    assert_int_equal(number_in(session, "sender_id"), 1);
    assert_int_equal(number_in(session, "node_id"), 2);
    assert_int_equal(number_in(session, "object_id"), 1);
    assert_int_equal(number_in(session, "fec_id"), 129);
    assert_int_equal(number_in(session, "content_size"), 30);
    assert_int_equal(number_in(session, "object_size"), 1408);
    assert_string_equal(text_in(session, "auth"), "aes-256-gmac");
    assert_true(json_is_true(json_object_get(session, "encrypt")));
    assert_int_equal(strlen(text_in(session, "secret")), 43);
    assert_true(json_is_true(json_object_get(object_in(&j, "content"), "https")));
    assert_int_equal(number_in(object_in(&j, "progress"), "interval_ms"), 1000);
    assert_int_equal(number_in(object_in(&j, "fallback"), "silence_ms"), 5000);

    check_manifest(&j);
    joined_done(&j);
}

static void narrow_links_get_small_segments(void **state)
{
    (void)state;
    assert_int_equal(api_segment_size(0, false, false), 1408);
    assert_int_equal(api_segment_size(1500, false, false), 1408);
    assert_int_equal(api_segment_size(65536, false, false), 1408);
    assert_int_equal(api_segment_size(1499, false, false), 1376);
    assert_int_equal(api_segment_size(1400, false, false), 1280);
    assert_int_equal(api_segment_size(540, false, false), 448);
    assert_int_equal(api_segment_size(539, false, false), 1408);
}

static void ipv6_headers_are_larger(void **state)
{
    (void)state;
    assert_int_equal(api_segment_size(0, false, true), 1344);
    assert_int_equal(api_segment_size(1500, false, true), 1344);
    assert_int_equal(api_segment_size(1455, false, true), 1312);
    assert_int_equal(api_segment_size(9000, true, true), 8832);
}

static void jumbo_frames_are_asked_for(void **state)
{
    (void)state;
    assert_int_equal(api_segment_size(9000, false, false), 1408);
    assert_int_equal(api_segment_size(9000, true, false), 8896);
    assert_int_equal(api_segment_size(65536, true, false), 8896);
    assert_int_equal(api_segment_size(8999, true, false), 1408); /* the link does not have it */
    assert_int_equal(api_segment_size(1499, true, false), 1376);
    assert_int_equal(api_segment_size(0, true, false), 1408);
}

static void object_is_padded(void **state)
{
    (void)state;
    assert_int_equal(api_object_size(1, 1408, 128), 1408);
    assert_int_equal(api_object_size(1408, 1408, 128), 1408);
    assert_int_equal(api_object_size(1409, 1408, 128), 2816);
    assert_int_equal(api_object_size(1408 * 128, 1408, 128), 1408 * 128);
    assert_int_equal(api_object_size(1408 * 128 + 1, 1408, 128), 2 * 1408 * 128);
}

static void place_is_given_back(void **state)
{
    struct joined a, b, c;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("again", "");
    a = joined_as(RIG_NOBODY, JOIN("again", "c1"), 201);
    b = joined_as(RIG_NOBODY, JOIN("again", "c1"), 200);
    c = joined_as(RIG_NOBODY, JOIN("again", "c2"), 201);
    assert_string_equal(text_in(a.ticket, "join"), text_in(b.ticket, "join"));
    assert_string_not_equal(text_in(a.ticket, "join"), text_in(c.ticket, "join"));
    assert_string_equal(text_in(object_in(&a, "session"), "id"),
                        text_in(object_in(&c, "session"), "id"));
    assert_string_equal(text_in(object_in(&a, "session"), "secret"),
                        text_in(object_in(&b, "session"), "secret"));
    /* A node id is never given out twice: packet sequence numbers begin anew with it. */
    assert_int_equal(number_in(object_in(&a, "session"), "node_id"), 2);
    assert_int_equal(number_in(object_in(&b, "session"), "node_id"), 3);
    assert_int_equal(number_in(object_in(&c, "session"), "node_id"), 4);
    /* The former token is worth nothing any more. */
    assert_int_equal(own_status(&a, API_GET, "", NULL), 401);
    assert_int_equal(own_status(&b, API_GET, "", NULL), 200);
    joined_done(&a);
    joined_done(&b);
    joined_done(&c);
}

/* ---- who gets in ---- */

static void access_is_decided_at_each_join(void **state)
{
    struct rig_call call = join_call(JOIN("guarded", "c1"));
    struct rig_call wrong = join_call(JOIN("guarded", "c1"));
    struct rig_call missing = join_call(JOIN("no-such", "c1"));
    struct joined j;

    (void)state;
    sealed_package("guarded", "");
    rig_content_access(rig, "authenticated");
    rig_refused(rig, RIG_NOBODY, &call, "authentication-required", NULL);
    wrong.authorization = "Bearer cpt_nonsense";
    rig_refused(rig, RIG_NOBODY, &wrong, "authentication-failed", NULL);
    wrong.authorization = "Basic Y29udGVudDp3cm9uZw=="; /* content:wrong */
    rig_refused(rig, RIG_NOBODY, &wrong, "authentication-failed", NULL);
    /* A stranger does not learn which packages there are. */
    rig_refused(rig, RIG_NOBODY, &missing, "authentication-required", NULL);
    rig_refused(rig, RIG_CONTENT, &missing, "package-not-found", "no-such");
    j = joined_as(RIG_CONTENT, JOIN("guarded", "c1"), 201);
    joined_done(&j);
    rig_content_access(rig, "anonymous");
    j = joined_as(RIG_NOBODY, JOIN("guarded", "c2"), 201);
    joined_done(&j);
    rig_content_access(rig, "authenticated");
    rig_refused(rig, RIG_NOBODY, &call, "authentication-required", NULL);
}

static void package_overrides_access(void **state)
{
    struct rig_call closed = join_call(JOIN("closed", "c1"));
    struct joined j;

    (void)state;
    sealed_package("opened", ", \"content_access\": \"anonymous\"");
    sealed_package("closed", ", \"content_access\": \"authenticated\"");
    rig_content_access(rig, "authenticated");
    j = joined_as(RIG_NOBODY, JOIN("opened", "c1"), 201);
    joined_done(&j);
    rig_content_access(rig, "anonymous");
    rig_refused(rig, RIG_NOBODY, &closed, "authentication-required", NULL);
}

/* A receiver token never makes another one: it would outlive every decision about access. */
static void receiver_token_joins_nothing(void **state)
{
    struct rig_call call = join_call(JOIN("other", "c1"));
    struct rig_call same = join_call(JOIN("mine", "c1"));
    struct rig_call missing = join_call(JOIN("no-such", "c1"));
    struct joined j;

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("mine", "");
    sealed_package("other", "");
    j = joined_as(RIG_CONTENT, JOIN("mine", "c1"), 201);
    call.authorization = j.bearer;
    same.authorization = j.bearer;
    missing.authorization = j.bearer;
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", "join");
    rig_refused(rig, RIG_NOBODY, &same, "access-denied", "join");
    rig_refused(rig, RIG_NOBODY, &missing, "access-denied", "join");
    joined_done(&j);
    rig_content_access(rig, "anonymous");
    j = joined_as(RIG_NOBODY, JOIN("mine", "c2"), 201);
    rig_content_access(rig, "authenticated");
    same.authorization = j.bearer;
    rig_refused(rig, RIG_NOBODY, &same, "access-denied", "join");
    joined_done(&j);
}

static void delete_leaver(void)
{
    char match[128];

    rig_if_match(rig, "/api/v1/accounts/leaver", match);
    assert_int_equal(rig_status(rig, RIG_ADMIN,
                                &(struct rig_call){.method = API_DELETE,
                                                   .path = "/api/v1/accounts/leaver",
                                                   .headers = {match}}),
                     204);
}

static struct joined join_as_leaver(int status)
{
    struct rig_call call = join_call(JOIN("left", "c1"));
    struct joined j = {.ticket = NULL};

    assert_int_equal(rig_status(rig, RIG_ADMIN,
                                &(struct rig_call){.method = API_POST,
                                                   .path = "/api/v1/accounts",
                                                   .body = "{\"name\": \"leaver\", \"role\": "
                                                           "\"content\", \"password\": "
                                                           "\"a password\"}"}),
                     201);
    call.authorization = "Basic bGVhdmVyOmEgcGFzc3dvcmQ="; /* leaver:a password */
    j.answer = rig_expect(rig, RIG_NOBODY, &call, status);
    (void)snprintf(j.bearer, sizeof j.bearer, "Bearer %s", rig_text(&j.answer, "receiver_token"));
    return j;
}

/* Not only a disabled account: a deleted one takes its receiver tokens along, too. */
static void receiver_token_ends_with_its_account(void **state)
{
    struct rig_call manifest = {.method = API_GET,
                                .path = "/api/v1/packages/left/versions/1/manifest"};
    struct joined j;

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("left", "");
    j = join_as_leaver(201);
    manifest.authorization = j.bearer;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &manifest), 200);
    delete_leaver();
    rig_refused(rig, RIG_NOBODY, &manifest, "authentication-failed", NULL);
    joined_done(&j);
    /* The name comes back, with it the place, and the new account's token counts. */
    j = join_as_leaver(200);
    manifest.authorization = j.bearer;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &manifest), 200);
    joined_done(&j);
    delete_leaver();
}

/* The result may be sent again for a while; then the token has done its work. */
static void receiver_token_ends_after_the_result(void **state)
{
    static const char result[] = "{\"outcome\": \"done\", \"bytes_total\": 30}";
    struct rig_call manifest = {.method = API_GET,
                                .path = "/api/v1/packages/finished/versions/1/manifest"};
    struct joined j;

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("finished", "");
    j = joined_as(RIG_CONTENT, JOIN("finished", "c1"), 201);
    manifest.authorization = j.bearer;
    assert_int_equal(own_status(&j, API_PUT, "/result", result), 204);
    assert_int_equal(own_status(&j, API_PUT, "/result", result), 204);
    rig_sql("UPDATE receivers SET expires_at = expires_at - interval '11 minutes'"
            " WHERE version_id IN (SELECT v.id FROM versions v JOIN packages p"
            " ON p.id = v.package_id WHERE p.name = 'finished')");
    rig_refused(rig, RIG_NOBODY, &manifest, "authentication-failed", NULL);
    joined_done(&j);
}

static void versions_that_cannot_be_joined(void **state)
{
    struct rig_call current = join_call(JOIN("states", "c1"));
    struct rig_call second =
        join_call("{\"package\": \"states\", \"version\": 2, \"client_id\": \"c1\"}");
    struct rig_call third =
        join_call("{\"package\": \"states\", \"version\": 3, \"client_id\": \"c1\"}");
    struct rig_call call = {.method = API_POST, .path = "/api/v1/packages/states/versions"};
    struct rig_answer a;
    struct joined j;
    char match[128];

    (void)state;
    rig_content_access(rig, "anonymous");
    rig_package(rig, "states", "");
    rig_put(rig, "states", 1, "a.bin", "x");
    rig_refused(rig, RIG_NOBODY, &current, "version-not-sealed", NULL);
    rig_seal(rig, "states", 1);
    a = rig_expect(rig, RIG_OPERATOR, &call, 201);
    rig_answer_done(&a);
    rig_refused(rig, RIG_NOBODY, &second, "version-not-sealed", "2");
    rig_refused(rig, RIG_NOBODY, &third, "version-not-found", "3");
    j = joined_as(RIG_NOBODY, JOIN("states", "c1"), 201);
    assert_int_equal(number_in(j.ticket, "version"), 1);
    joined_done(&j);
    rig_put(rig, "states", 2, "a.bin", "y");
    rig_seal(rig, "states", 2);
    rig_if_match(rig, "/api/v1/packages/states/versions/2", match);
    call = (struct rig_call){.method = API_POST,
                             .path = "/api/v1/packages/states/versions/2/retire",
                             .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    rig_refused(rig, RIG_NOBODY, &second, "version-retired", "2");
}

static void wishes_are_checked(void **state)
{
    static const struct {
        const char *body, *word;
    } cases[] = {
        {"{}", "package"},
        {"{\"package\": \"p\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"a b\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"a/b\"}", "client_id"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"version\": 0}", "version"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"version\": \"1\"}", "version"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"multicast\": 1}", "multicast"},
        {"{\"package\": \"p\", \"client_id\": \"c\", \"extra\": 1}", "extra"},
        {"[]", NULL},
        {"{\"package\": \"p\", \"package\": \"q\", \"client_id\": \"c\"}", NULL},
    };

    (void)state;
    rig_content_access(rig, "anonymous");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig_call call = join_call(cases[i].body);
        struct rig_answer a = rig_expect(rig, RIG_NOBODY, &call, 400);

        if (cases[i].word != NULL && strstr(a.bytes, cases[i].word) == NULL) {
            fail_msg("%s: %s", cases[i].body, a.bytes);
        }
        rig_answer_done(&a);
    }
}

/* ---- by which way ---- */

static void no_session_has_a_reason(void **state)
{
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("unicast", ", \"multicast\": \"off\"");
    sealed_package("either", "");
    j = joined_as(RIG_NOBODY, JOIN("unicast", "c1"), 201);
    assert_true(json_is_null(json_object_get(j.ticket, "session")));
    assert_string_equal(text_in(object_in(&j, "no_session"), "code"), "multicast-disabled");
    joined_done(&j);
    j = joined_as(RIG_NOBODY,
                  "{\"package\": \"either\", \"client_id\": \"c1\", \"multicast\": false}", 201);
    assert_true(json_is_null(json_object_get(j.ticket, "session")));
    assert_non_null(strstr(text_in(object_in(&j, "no_session"), "detail"), "HTTPS only"));
    joined_done(&j);
    rig_sql("UPDATE settings SET multicast_enabled = false");
    j = joined_as(RIG_NOBODY, JOIN("either", "c2"), 201);
    assert_non_null(strstr(text_in(object_in(&j, "no_session"), "detail"), "settings"));
    joined_done(&j);
    rig_sql("UPDATE settings SET multicast_enabled = true");
}

static void multicast_only_is_never_empty_handed(void **state)
{
    struct rig_call call =
        join_call("{\"package\": \"strict\", \"client_id\": \"c1\", \"multicast\": false}");
    struct rig_call wish = join_call(JOIN("strict", "c2"));
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("strict", ", \"multicast\": \"require\"");
    rig_refused(rig, RIG_NOBODY, &call, "multicast-only", "strict");
    j = joined_as(RIG_NOBODY, JOIN("strict", "c1"), 201);
    assert_true(json_is_false(json_object_get(object_in(&j, "content"), "https")));
    assert_string_equal(text_in(object_in(&j, "content"), "code"), "multicast-only");
    joined_done(&j);
    rig_sql("UPDATE settings SET multicast_enabled = false");
    rig_refused(rig, RIG_NOBODY, &wish, "multicast-disabled", "strict");
    rig_sql("UPDATE settings SET multicast_enabled = true");
}

static void addresses_run_out(void **state)
{
    struct rig_call call = join_call(JOIN("crowd2", "c1"));
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    rig_sql(sql_reset);
    sealed_package("crowd1", "");
    sealed_package("crowd2", "");
    rig_sql("UPDATE settings SET address_first = '239.255.9.9', address_last = '239.255.9.9', "
            "port_first = 7009, port_last = 7009");
    j = joined_as(RIG_NOBODY, JOIN("crowd1", "c1"), 201);
    assert_string_equal(text_in(object_in(&j, "session"), "group"), "239.255.9.9");
    assert_int_equal(number_in(object_in(&j, "session"), "port"), 7009);
    joined_done(&j);
    rig_refused(rig, RIG_NOBODY, &call, "address-in-use", NULL);
    rig_sql("UPDATE settings SET address_last = '239.255.9.99', port_last = 7099");
    j = joined_as(RIG_NOBODY, JOIN("crowd2", "c1"), 201);
    joined_done(&j);
}

/* ---- keys heal ---- */

static void harmed_keys_heal_at_the_next_join(void **state)
{
    static const char *const harm[] = {
        "DELETE FROM keys WHERE kind = 'multicast'",
        "DELETE FROM keys",
        "UPDATE keys SET private_sealed = '\\\\x00' WHERE state = 'active'",
        "UPDATE keys SET certificate = 'nonsense' WHERE kind = 'multicast' AND state = 'active'",
    };
    struct joined j;
    int before;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("healed", "");
    for (size_t i = 0; i < sizeof harm / sizeof harm[0]; i++) {
        before = count_events("multicast-key-replaced");
        rig_sql(harm[i]);
        j = joined_as(RIG_NOBODY, JOIN("healed", "c1"), i == 0 ? 201 : 200);
        assert_int_equal(count_events("multicast-key-replaced"), before + 1);
        check_manifest(&j);
        joined_done(&j);
    }
}

/* A session whose secret cannot be opened is replaced, not repeated for ever. */
static void unreadable_session_is_replaced(void **state)
{
    struct joined a, b;
    int before = count_events("session-failed");

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("lost-secret", "");
    a = joined_as(RIG_NOBODY, JOIN("lost-secret", "c1"), 201);
    rig_sql("UPDATE sessions SET secret_sealed = '\\\\x0011' WHERE ended_at IS NULL");
    b = joined_as(RIG_NOBODY, JOIN("lost-secret", "c2"), 201);
    assert_string_not_equal(text_in(object_in(&a, "session"), "id"),
                            text_in(object_in(&b, "session"), "id"));
    assert_int_equal(count_events("session-failed"), before + 1);
    joined_done(&a);
    joined_done(&b);
    rig_sql(sql_reset);
}

/* ---- progress, result, sessions ---- */

static struct rig_answer get_session(const struct joined *j)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s",
                   text_in(json_object_get(j->ticket, "session"), "id"));
    return rig_expect(rig, RIG_VIEWER, &call, 200);
}

static struct rig_answer get_receivers(const struct joined *j)
{
    char path[128];
    struct rig_call call = {.method = API_GET, .path = path};

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/receivers",
                   text_in(json_object_get(j->ticket, "session"), "id"));
    return rig_expect(rig, RIG_VIEWER, &call, 200);
}

#define PROGRESS(state, bytes)                                                                     \
    "{\"state\": \"" state "\", \"bytes_done\": " bytes ", \"bytes_total\": 30,"                   \
    " \"bytes_multicast\": " bytes ", \"bytes_repair\": 0, \"bytes_https\": 0, \"rate_bps\": 8,"   \
    " \"loss_ppm\": 20, \"nacks\": 1}"
#define RESULT_DONE                                                                                \
    "{\"outcome\": \"done\", \"bytes_total\": 30, \"bytes_multicast\": 30, \"bytes_repair\": 0,"   \
    " \"bytes_https\": 0, \"duration_ms\": 5, \"rate_bps\": 8, \"loss_ppm\": 20}"

static void receivers_report(void **state)
{
    struct joined j, other;
    struct rig_answer a;
    const json_t *item;
    char path[128];
    struct rig_call foreign = {.method = API_PUT, .path = path, .body = PROGRESS("receiving", "1")};

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("reported", "");
    j = joined_as(RIG_NOBODY, JOIN("reported", "c1"), 201);
    other = joined_as(RIG_NOBODY, JOIN("reported", "c2"), 201);
    assert_int_equal(own_status(&j, API_PUT, "/progress", PROGRESS("receiving", "10")), 204);
    a = get_receivers(&j);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 2);
    for (size_t i = 0; i < 2; i++) {
        item = json_array_get(json_object_get(a.json, "items"), i);
        if (strcmp(text_in(item, "client_id"), "c1") == 0) {
            assert_string_equal(text_in(item, "state"), "receiving");
            assert_int_equal(number_in(item, "bytes_done"), 10);
            assert_int_equal(number_in(item, "loss_ppm"), 20);
            assert_string_equal(text_in(item, "address"), "192.0.2.7");
        }
    }
    assert_null(strstr(a.bytes, "cpr_"));
    rig_answer_done(&a);

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s/progress", text_in(j.ticket, "join"));
    foreign.authorization = other.bearer;
    rig_refused(rig, RIG_NOBODY, &foreign, "access-denied", NULL);
    foreign.authorization = NULL;
    rig_refused(rig, RIG_NOBODY, &foreign, "authentication-required", NULL);
    rig_refused(rig, RIG_ADMIN, &foreign, "access-denied", NULL);

    assert_int_equal(own_status(&j, API_PUT, "/progress", PROGRESS("dancing", "10")), 400);
    assert_int_equal(
        own_status(&j, API_PUT, "/progress", "{\"state\": \"moved\", \"reason\": \"x\"}"), 400);
    assert_int_equal(own_status(&j, API_PUT, "/result", "{\"outcome\": \"failed\"}"), 400);
    assert_int_equal(
        own_status(&j, API_PUT, "/result", "{\"outcome\": \"failed\", \"code\": \"no-such\"}"),
        400);

    assert_int_equal(own_status(&j, API_PUT, "/result", RESULT_DONE), 204);
    assert_int_equal(
        own_status(&j, API_PUT, "/result", "{\"outcome\": \"failed\", \"code\": \"output-full\"}"),
        204); /* the first one counts */
    assert_int_equal(own_status(&j, API_PUT, "/progress", PROGRESS("receiving", "11")), 204);
    a = own(&j, API_GET, "", NULL, 200);
    assert_string_equal(rig_text(&a, "state"), "done");
    assert_int_equal(rig_number(&a, "duration_ms"), 5);
    rig_answer_done(&a);
    a = get_session(&j);
    assert_int_equal(number_in(json_object_get(a.json, "receivers"), "done"), 1);
    assert_int_equal(number_in(json_object_get(a.json, "receivers"), "active"), 1);
    assert_null(strstr(a.bytes, "secret"));
    rig_answer_done(&a);
    joined_done(&j);
    joined_done(&other);
    rig_sql(sql_reset);
}

static void progress_waits_in_the_table(void **state)
{
    struct api_progress *table;
    struct db_receiver_report reports[2];
    struct joined j;

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("batched", "");
    assert_int_equal(api_progress_new(&table), CP_OK);
    rig->ctx.progress = table;
    j = joined_as(RIG_NOBODY, JOIN("batched", "c1"), 201);
    assert_int_equal(own_status(&j, API_PUT, "/progress", PROGRESS("receiving", "7")), 204);
    assert_int_equal(own_status(&j, API_PUT, "/progress", PROGRESS("receiving", "8")), 204);
    assert_int_equal(api_progress_take(table, reports, 2), 1);
    assert_string_equal(reports[0].id, text_in(j.ticket, "join"));
    assert_int_equal(reports[0].progress.bytes_done, 8);
    /* A result overtakes what waits in the table. */
    assert_int_equal(own_status(&j, API_PUT, "/progress", PROGRESS("receiving", "9")), 204);
    assert_int_equal(own_status(&j, API_PUT, "/result", RESULT_DONE), 204);
    assert_int_equal(api_progress_take(table, reports, 2), 0);
    rig->ctx.progress = NULL;
    api_progress_free(table);
    joined_done(&j);
    rig_sql(sql_reset);
}

static void cancelled_session_tells_its_receivers(void **state)
{
    struct joined j, next;
    struct rig_answer a;
    char path[128];
    struct rig_call cancel = {.method = API_POST, .path = path};

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("cancelled", "");
    j = joined_as(RIG_NOBODY, JOIN("cancelled", "c1"), 201);
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/cancel",
                   text_in(object_in(&j, "session"), "id"));
    rig_refused(rig, RIG_VIEWER, &cancel, "access-denied", NULL);
    a = rig_expect(rig, RIG_OPERATOR, &cancel, 200);
    assert_string_equal(rig_text(&a, "state"), "cancelled");
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &cancel), 200);
    assert_true(count_events("session-cancelled") >= 1);
    a = own(&j, API_PUT, "/progress", PROGRESS("receiving", "3"), 200);
    assert_string_equal(rig_text(&a, "command"), "leave");
    assert_string_equal(rig_text(&a, "code"), "cancelled");
    rig_answer_done(&a);
    /* Once it has left, nothing is commanded any more. */
    assert_int_equal(
        own_status(&j, API_PUT, "/progress", "{\"state\": \"moved\", \"reason\": \"cancelled\"}"),
        204);
    next = joined_as(RIG_NOBODY, JOIN("cancelled", "c1"), 201);
    assert_string_not_equal(text_in(object_in(&j, "session"), "id"),
                            text_in(object_in(&next, "session"), "id"));
    joined_done(&j);
    joined_done(&next);
    rig_sql(sql_reset);
    rig_sql("UPDATE sessions SET state = 'finished', started_at = now() "
            "WHERE state = 'cancelled'");
    rig_refused(rig, RIG_OPERATOR, &cancel, "conflict", "finished");
}

static void sessions_are_listed(void **state)
{
    struct rig_call call = {.method = API_GET, .path = "/api/v1/sessions?limit=1"};
    struct rig_answer a;
    struct joined j;
    const char *next;
    char path[160];

    (void)state;
    rig_content_access(rig, "anonymous");
    sealed_package("listed1", "");
    sealed_package("listed2", "");
    j = joined_as(RIG_NOBODY, JOIN("listed1", "c1"), 201);
    joined_done(&j);
    j = joined_as(RIG_NOBODY, JOIN("listed2", "c1"), 201);
    joined_done(&j);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(text_in(json_array_get(json_object_get(a.json, "items"), 0), "package"),
                        "listed2");
    next = rig_text(&a, "next");
    (void)snprintf(path, sizeof path, "/api/v1/sessions?limit=1&after=%s", next);
    rig_answer_done(&a);
    call.path = path;
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(text_in(json_array_get(json_object_get(a.json, "items"), 0), "package"),
                        "listed1");
    rig_answer_done(&a);
    call.path = "/api/v1/sessions?package=listed1&state=waiting";
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
    call.path = "/api/v1/sessions?state=asleep";
    assert_int_equal(rig_status(rig, RIG_VIEWER, &call), 400);
    call.path = "/api/v1/sessions?after=x";
    assert_int_equal(rig_status(rig, RIG_VIEWER, &call), 400);
    call.path = "/api/v1/sessions/00000000-0000-4000-8000-000000000000";
    rig_refused(rig, RIG_VIEWER, &call, "not-found", NULL);
    call.path = "/api/v1/sessions/nonsense/receivers";
    rig_refused(rig, RIG_VIEWER, &call, "not-found", NULL);
    rig_sql(sql_reset);
}

static int set_up(void **state)
{
    (void)state;
    rig = rig_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_free(rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticket_is_complete_and_signed),
        cmocka_unit_test(object_is_padded),
        cmocka_unit_test(narrow_links_get_small_segments),
        cmocka_unit_test(jumbo_frames_are_asked_for),
        cmocka_unit_test(ipv6_headers_are_larger),
        cmocka_unit_test(place_is_given_back),
        cmocka_unit_test(access_is_decided_at_each_join),
        cmocka_unit_test(package_overrides_access),
        cmocka_unit_test(receiver_token_joins_nothing),
        cmocka_unit_test(receiver_token_ends_with_its_account),
        cmocka_unit_test(receiver_token_ends_after_the_result),
        cmocka_unit_test(versions_that_cannot_be_joined),
        cmocka_unit_test(wishes_are_checked),
        cmocka_unit_test(no_session_has_a_reason),
        cmocka_unit_test(multicast_only_is_never_empty_handed),
        cmocka_unit_test(addresses_run_out),
        cmocka_unit_test(harmed_keys_heal_at_the_next_join),
        cmocka_unit_test(unreadable_session_is_replaced),
        cmocka_unit_test(receivers_report),
        cmocka_unit_test(progress_waits_in_the_table),
        cmocka_unit_test(cancelled_session_tells_its_receivers),
        cmocka_unit_test(sessions_are_listed),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
