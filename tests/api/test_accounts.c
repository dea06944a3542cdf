/* SPDX-License-Identifier: Apache-2.0
 * Accounts, tokens, passwords, settings, distribution points and events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/api/rig.h"

#define SETTINGS "/api/v1/distribution-points/local/settings"

static int status_as(const char *authorization, const char *path)
{
    return rig_status(
        rig, RIG_NOBODY,
        &(struct rig_call){.method = API_GET, .path = path, .authorization = authorization});
}

/* ---- accounts and Basic ---- */

static void an_account_lives_and_dies(void **state)
{
    static const char path[] = "/api/v1/accounts/robot";
    struct rig_call call = {
        .method = API_POST,
        .path = "/api/v1/accounts",
        .body = "{\"name\": \"robot\", \"role\": \"viewer\", \"password\": \"secret of robot\"}"};
    struct rig_answer a = rig_expect(rig, RIG_ADMIN, &call, 201);
    char right[256];
    char wrong[256];
    char match[128];

    (void)state;
    assert_null(strstr(a.bytes, "secret"));
    assert_null(strstr(a.bytes, "scrypt"));
    assert_true(json_is_true(json_object_get(a.json, "has_password")));
    rig_answer_done(&a);
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "robot");

    rig_basic("robot", "secret of robot", right);
    rig_basic("robot", "secret of robos", wrong);
    assert_int_equal(status_as(right, "/api/v1/packages"), 200);
    assert_int_equal(status_as(right, "/api/v1/packages"), 200); /* from memory */
    assert_int_equal(status_as(wrong, "/api/v1/packages"), 401);
    assert_int_equal(status_as(right, "/api/v1/accounts"), 403);

    rig_change(rig, path, "{\"enabled\": false}"); /* memory must not help */
    assert_int_equal(status_as(right, "/api/v1/packages"), 401);
    rig_change(rig, path, "{\"enabled\": true, \"password\": \"another secret\"}");
    assert_int_equal(status_as(right, "/api/v1/packages"), 401);
    rig_basic("robot", "another secret", right);
    assert_int_equal(status_as(right, "/api/v1/packages"), 200);
    rig_change(rig, path, "{\"password\": null}");
    assert_int_equal(status_as(right, "/api/v1/packages"), 401);

    rig_if_match(rig, path, match);
    call = (struct rig_call){.method = API_DELETE, .path = path, .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 204);
    rig_refused(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, "not-found",
                "robot");
}

static void wrong_accounts_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{\"name\": \"x\"}",
        "{\"role\": \"viewer\"}",
        "{\"name\": \"x\", \"role\": \"none\"}",
        "{\"name\": \"x y\", \"role\": \"viewer\"}",
        "{\"name\": \"x\", \"role\": \"viewer\", \"password\": \"short\"}",
        "{\"name\": \"0b0ef5a8-4d8e-4a35-8a0c-8f0f6a3a9d10\", \"role\": \"viewer\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct rig_answer a = rig_expect(
            rig, RIG_ADMIN,
            &(struct rig_call){.method = API_POST, .path = "/api/v1/accounts", .body = bodies[i]},
            400);

        assert_null(strstr(a.bytes, "short\""));
        assert_int_equal(json_array_size(json_object_get(a.json, "errors")), 1);
        rig_answer_done(&a);
    }
}

static void strange_basic_headers(void **state)
{
    static const char *const headers[] = {
        "Basic",          "Basic ",         "Basic !!!!", "Basic bm9jb2xvbg==",
        "Basic YQBiOmM=", "basic YWRtaW46", "Bearer",     "Bearer "};
    char text[2200] = "Basic ";

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        assert_int_equal(status_as(headers[i], "/api/v1/packages"), 401);
    }
    memset(text + 6, 'A', 200);
    assert_int_equal(status_as(text, "/api/v1/packages"), 401);
}

static void the_last_admin_stays(void **state)
{
    struct rig_call call = {
        .method = API_PATCH, .path = "/api/v1/accounts/admin", .body = "{\"role\": \"viewer\"}"};
    char match[128];

    (void)state;
    rig_if_match(rig, call.path, match);
    call.headers[0] = match;
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "last enabled administrator");
    call.body = "{\"enabled\": false}";
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "last enabled administrator");
    call.method = API_DELETE;
    call.body = NULL;
    rig_refused(rig, RIG_ADMIN, &call, "conflict", "last enabled administrator");
}

/* ---- tokens ---- */

static void token_of(const char *account, const char *body, char ret_bearer[128], char ret_id[40])
{
    struct rig_answer a;
    char path[96];

    (void)snprintf(path, sizeof path, "/api/v1/accounts/%s/tokens", account);
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_POST, .path = path, .body = body}, 201);
    assert_true(strncmp(rig_text(&a, "secret"), "cpt_", 4) == 0);
    assert_int_equal(strlen(rig_text(&a, "secret")), 47);
    (void)snprintf(ret_bearer, 128, "Bearer %s", rig_text(&a, "secret"));
    (void)snprintf(ret_id, 40, "%s", rig_text(&a, "id"));
    rig_answer_done(&a);
}

static void a_token_ends_in_every_way(void **state)
{
    struct rig_call call;
    struct rig_answer a;
    char bearer[128];
    char match[128];
    char path[96];
    char id[40];

    (void)state;
    token_of("viewer", "{\"role\": \"viewer\", \"name\": \"t1\"}", bearer, id);
    assert_int_equal(status_as(bearer, "/api/v1/packages"), 200);
    a = rig_expect(rig, RIG_VIEWER,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/accounts/viewer/tokens"},
                   200);
    assert_null(strstr(a.bytes, bearer + strlen("Bearer "))); /* the secret was shown once */
    rig_answer_done(&a);
    /* deleted */
    (void)snprintf(path, sizeof path, "/api/v1/tokens/%s", id);
    rig_if_match(rig, path, match);
    call = (struct rig_call){.method = API_DELETE, .path = path, .headers = {match}};
    rig_change(rig, path, "{\"name\": \"t2\"}"); /* meanwhile */
    rig_refused(rig, RIG_ADMIN, &call, "precondition-failed", NULL);
    rig_if_match(rig, path, match);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 204);
    assert_int_equal(status_as(bearer, "/api/v1/packages"), 401);
    /* expired */
    token_of("viewer", "{\"role\": \"viewer\", \"expires_at\": \"2100-01-01T00:00:00Z\"}", bearer,
             id);
    assert_int_equal(status_as(bearer, "/api/v1/packages"), 200);
    rig_sql("UPDATE tokens SET expires_at = now() - interval '1 second' "
            "WHERE expires_at IS NOT NULL");
    assert_int_equal(status_as(bearer, "/api/v1/packages"), 401);
    /* its account disabled */
    token_of("viewer", "{\"role\": \"viewer\", \"expires_at\": null}", bearer, id);
    rig_change(rig, "/api/v1/accounts/viewer", "{\"enabled\": false}");
    assert_int_equal(status_as(bearer, "/api/v1/packages"), 401);
    rig_change(rig, "/api/v1/accounts/viewer", "{\"enabled\": true}");
    assert_int_equal(status_as(bearer, "/api/v1/packages"), 200);
    /* its account's role made smaller */
    rig_change(rig, "/api/v1/accounts/viewer", "{\"role\": \"content\"}");
    assert_int_equal(status_as(bearer, "/api/v1/packages"), 403);
    rig_change(rig, "/api/v1/accounts/viewer", "{\"role\": \"viewer\"}");
}

static void a_token_is_never_stronger_than_who_makes_it(void **state)
{
    static const char path[] = "/api/v1/accounts/viewer/tokens";
    char basic[256];
    struct rig_call call = {.method = API_POST,
                            .path = path,
                            .body = "{\"role\": \"operator\"}",
                            .authorization = basic};

    (void)state;
    rig_basic("viewer", RIG_PASSWORD, basic);
    rig_refused(rig, RIG_NOBODY, &call, "invalid-request", "role");
    call.body = "{\"role\": \"viewer\"}";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 201);
    /* not above the account either */
    call = (struct rig_call){.method = API_POST, .path = path, .body = "{\"role\": \"admin\"}"};
    rig_refused(rig, RIG_ADMIN, &call, "invalid-request", "viewer");
    call.body = "{\"role\": \"viewer\", \"expires_at\": \"2001-01-01T00:00:00Z\"}";
    rig_refused(rig, RIG_ADMIN, &call, "invalid-request", "expires_at");
    call.body = "{\"role\": \"viewer\", \"expires_at\": \"tomorrow\"}";
    rig_refused(rig, RIG_ADMIN, &call, "invalid-request", "expires_at");
}

/* ---- settings ---- */

static void settings_have_two_values(void **state)
{
    struct rig_answer a =
        rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = SETTINGS}, 200);
    const json_t *configured = json_object_get(a.json, "configured");
    const json_t *effective = json_object_get(a.json, "effective");

    (void)state;
    assert_true(json_is_null(json_object_get(configured, "rate_ceiling_bps")));
    assert_int_equal(json_integer_value(json_object_get(effective, "rate_ceiling_bps")),
                     1000000000);
    assert_string_equal(json_string_value(json_object_get(effective, "rate_control")), "lan");
    assert_int_equal(json_integer_value(json_object_get(effective, "rate_start_percent")), 50);
    assert_int_equal(json_integer_value(json_object_get(effective, "slow_share_percent")), 10);
    rig_answer_done(&a);
}

/* The rig's link has an MTU of 1500: what was asked for does not take effect. */
static void jumbo_frames_need_a_link_that_has_them(void **state)
{
    struct rig_call call = {
        .method = API_PATCH, .path = SETTINGS, .body = "{\"jumbo_frames\": true}"};
    struct rig_answer a;
    char match[128];

    (void)state;
    rig_if_match(rig, SETTINGS, match);
    call.headers[0] = match;
    a = rig_expect(rig, RIG_ADMIN, &call, 200);
    assert_true(
        json_is_true(json_object_get(json_object_get(a.json, "configured"), "jumbo_frames")));
    assert_true(
        json_is_false(json_object_get(json_object_get(a.json, "effective"), "jumbo_frames")));
    rig_answer_done(&a);
}

static void settings_are_changed_with_their_etag(void **state)
{
    struct rig_call call = {
        .method = API_PATCH,
        .path = SETTINGS,
        .body =
            "{\"address_first\": \"239.1.0.1\", \"address_last\": \"239.1.0.9\", \"port_first\": "
            "7000,"
            " \"port_last\": 7009, \"interface\": \"lo\", \"ttl\": 3, \"rate_ceiling_bps\": 64000,"
            " \"rate_control\": \"tfmcc\", \"rate_start_percent\": 1, \"slow_share_percent\": 0,"
            " \"gathering_delay_ms\": 0, \"multicast_enabled\": false}"};
    const json_t *configured;
    struct rig_answer a;
    char match[128];

    (void)state;
    rig_refused(rig, RIG_ADMIN, &call, "precondition-required", NULL);
    rig_if_match(rig, SETTINGS, match);
    call.headers[0] = match;
    rig_refused(rig, RIG_OPERATOR, &call, "access-denied", "admin");
    a = rig_expect(rig, RIG_ADMIN, &call, 200);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(a.json, "effective"), "interface")),
        "lo");
    configured = json_object_get(a.json, "configured");
    assert_string_equal(json_string_value(json_object_get(configured, "rate_control")), "tfmcc");
    assert_int_equal(json_integer_value(json_object_get(configured, "rate_start_percent")), 1);
    assert_int_equal(json_integer_value(json_object_get(configured, "slow_share_percent")), 0);
    rig_answer_done(&a);
    rig_refused(rig, RIG_ADMIN, &call, "precondition-failed", NULL);
    a = rig_expect(rig, RIG_VIEWER,
                   &(struct rig_call){.method = API_GET,
                                      .path = "/api/v1/events?kind=settings-changed&limit=1"},
                   200);
    assert_non_null(strstr(a.bytes, "239.1.0.9"));
    assert_non_null(strstr(a.bytes, "\"actor\":\"admin\""));
    rig_answer_done(&a);
}

static const struct {
    const char *body, *field;
} wrong_settings[] = {
    {"{\"address_first\": \"10.0.0.1\"}", "address_first"},
    {"{\"address_first\": \"224.0.0.251\"}", "address_first"},
    {"{\"address_first\": \"239.1.0.10\"}", "address_last"},
    {"{\"address_last\": \"240.0.0.0\"}", "address_last"},
    {"{\"address_last\": \"239.1.0\"}", "address_last"},
    {"{\"address_last\": \"239.1.0.1x\"}", "address_last"},
    {"{\"address_last\": \"239.1.0.010\"}", "address_last"},
    {"{\"address_last\": \"ff3e::1\"}", "address_last"},
    {"{\"address_first\": \"ff11::1\", \"address_last\": \"ff11::2\"}", "address_first"},
    {"{\"address_first\": \"ff02::1\", \"address_last\": \"ff02::2\"}", "address_first"},
    {"{\"address_first\": \"ff02::1:2\", \"address_last\": \"ff02::1:2\"}", "address_first"},
    {"{\"address_first\": \"ff01::1234\", \"address_last\": \"ff01::1234\"}", "address_first"},
    {"{\"address_first\": \"ff05::ff\", \"address_last\": \"ff05::100\"}", "address_first"},
    {"{\"address_first\": \"ff0e::2\", \"address_last\": \"ff0e::100\"}", "address_first"},
    {"{\"address_first\": \"2001:db8::1\"}", "address_first"},
    {"{\"address_first\": \"ff15::1::2\"}", "address_first"},
    {"{\"address_first\": \"ff15::12345\"}", "address_first"},
    {"{\"address_first\": \"ff15::1%eth0\"}", "address_first"},
    {"{\"address_first\": \"ff15::2\", \"address_last\": \"ff15::1\"}", "address_last"},
    {"{\"address_first\": \"ff15::\", \"address_last\": \"ff15::1:0\"}", "address_last"},
    {"{\"port_first\": 1023}", "port_first"},
    {"{\"port_last\": 65536}", "port_last"},
    {"{\"port_first\": 7010}", "port_last"},
    {"{\"interface\": \"nosuch0\"}", "interface"},
    {"{\"interface\": \"name-that-is-too-long\"}", "interface"},
    {"{\"ttl\": 0}", "ttl"},
    {"{\"ttl\": 256}", "ttl"},
    {"{\"rate_ceiling_bps\": 63999}", "rate_ceiling_bps"},
    {"{\"https_rate_ceiling_bps\": 63999}", "https_rate_ceiling_bps"},
    {"{\"rate_control\": \"fast\"}", "rate_control"},
    {"{\"rate_control\": null}", "rate_control"},
    {"{\"rate_start_percent\": 0}", "rate_start_percent"},
    {"{\"rate_start_percent\": 101}", "rate_start_percent"},
    {"{\"slow_share_percent\": -1}", "slow_share_percent"},
    {"{\"slow_share_percent\": 51}", "slow_share_percent"},
    {"{\"jumbo_frames\": 1}", "jumbo_frames"},
    {"{\"gathering_delay_ms\": 600001}", "gathering_delay_ms"},
    {"{\"gathering_delay_ms\": -1}", "gathering_delay_ms"},
    {"{\"content_access\": \"inherit\"}", "content_access"},
    {"{\"multicast_enabled\": null}", "multicast_enabled"},
    {"{\"dscp\": 8}", "dscp"},
};

static void wrong_settings_name_their_field(void **state)
{
    char match[128];
    char after[128];

    (void)state;
    rig_if_match(rig, SETTINGS, match);
    for (size_t i = 0; i < sizeof wrong_settings / sizeof wrong_settings[0]; i++) {
        struct rig_call call = {.method = API_PATCH,
                                .path = SETTINGS,
                                .body = wrong_settings[i].body,
                                .headers = {match}};
        struct rig_answer a = rig_expect(rig, RIG_ADMIN, &call, 400);
        const json_t *first = json_array_get(json_object_get(a.json, "errors"), 0);

        assert_string_equal(json_string_value(json_object_get(first, "field")),
                            wrong_settings[i].field);
        rig_answer_done(&a);
    }
    rig_if_match(rig, SETTINGS, after);
    assert_string_equal(match, after); /* still the same revision */
}

/* ---- nodes, events ---- */

static void distribution_points_have_three_names(void **state)
{
    struct rig_answer a;
    char path[96];

    (void)state;
    a = rig_expect(rig, RIG_VIEWER,
                   &(struct rig_call){.method = API_GET, .path = "/api/v1/distribution-points"},
                   200);
    rig_answer_done(&a);
    (void)snprintf(path, sizeof path, "/api/v1/distribution-points/%s", rig->node_id);
    a = rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
    assert_string_equal(rig_text(&a, "name"), "testnode");
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_VIEWER,
                                &(struct rig_call){.method = API_GET,
                                                   .path = "/api/v1/distribution-points/testnode"}),
                     200);
    rig_refused(
        rig, RIG_VIEWER,
        &(struct rig_call){.method = API_GET, .path = "/api/v1/distribution-points/elsewhere"},
        "not-found", "elsewhere");
}

static void events_come_newest_first_in_pages(void **state)
{
    char path[96] = "/api/v1/events?limit=3";
    json_int_t last = INT64_MAX;
    int pages = 0;
    bool more = true;

    (void)state;
    while (more) {
        struct rig_answer a =
            rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
        const json_t *items = json_object_get(a.json, "items");

        for (size_t i = 0; i < json_array_size(items); i++) {
            json_int_t id = json_integer_value(json_object_get(json_array_get(items, i), "id"));

            assert_true(id < last);
            last = id;
        }
        more = !json_is_null(json_object_get(a.json, "next"));
        if (more) {
            (void)snprintf(path, sizeof path, "/api/v1/events?limit=3&after=%s",
                           rig_text(&a, "next"));
        }
        pages++;
        rig_answer_done(&a);
    }
    assert_true(pages > 2);
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/events?after=x"},
                "invalid-request", "after");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_account_lives_and_dies),
        cmocka_unit_test(wrong_accounts_are_refused),
        cmocka_unit_test(strange_basic_headers),
        cmocka_unit_test(the_last_admin_stays),
        cmocka_unit_test(a_token_ends_in_every_way),
        cmocka_unit_test(a_token_is_never_stronger_than_who_makes_it),
        cmocka_unit_test(settings_have_two_values),
        cmocka_unit_test(jumbo_frames_need_a_link_that_has_them),
        cmocka_unit_test(settings_are_changed_with_their_etag),
        cmocka_unit_test(wrong_settings_name_their_field),
        cmocka_unit_test(distribution_points_have_three_names),
        cmocka_unit_test(events_come_newest_first_in_pages),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
