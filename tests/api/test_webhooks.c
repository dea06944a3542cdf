/* SPDX-License-Identifier: Apache-2.0
 * Webhooks: the resource, and the addresses that it may have: what is sent reaches no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/webhook_send.h"
#include "tests/api/hook_names.h"
#include "tests/api/hook_receiver.h"
#include "tests/api/hook_rig.h"

/* ---- the resource ---- */

static void a_webhook_is_made_changed_and_deleted(void **state)
{
    struct rig_call again = {.method = API_POST,
                             .path = HOOKS,
                             .body = "{\"name\": \"one\", \"url\": \"https://h.example/\"}"};
    struct rig_answer a;
    char secret[64];

    (void)state;
    hook_make("one", "https://h.example/x", ", \"kinds\": [\"session-failed\"]", secret);
    assert_int_equal(strncmp(secret, "cpw_", 4), 0);
    a = hook_get("one");
    assert_null(json_object_get(a.json, "secret"));
    assert_null(strstr(a.bytes, secret));
    assert_string_equal(rig_text(&a, "state"), "good");
    assert_int_equal(json_array_size(json_object_get(a.json, "kinds")), 1);
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &again), 409);
    a = hook_patch("one", "{\"enabled\": false, \"kinds\": []}");
    assert_null(json_object_get(a.json, "secret"));
    assert_string_equal(rig_text(&a, "state"), "disabled");
    assert_int_equal(json_array_size(json_object_get(a.json, "kinds")), 0);
    rig_answer_done(&a);
    a = hook_patch("one", "{\"new_secret\": true}");
    assert_string_not_equal(rig_text(&a, "secret"), secret);
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = HOOKS}, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
    hook_drop("one");
    rig_refused(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = HOOKS "/one"},
                "not-found", "one");
    assert_int_equal(rig_events(rig, "webhook-created"), 1);
    assert_int_equal(rig_events(rig, "webhook-changed"), 2);
    assert_int_equal(rig_events(rig, "webhook-deleted"), 1);
}

/* The origin of such a url is that. */
static void expect_origin(const char *url, const char *origin)
{
    struct db_webhook webhook = {.allow_http = false};
    char seen[DB_URL_SIZE];

    (void)snprintf(webhook.url, sizeof webhook.url, "%s", url);
    db_webhook_origin(&webhook, seen);
    assert_string_equal(seen, origin);
}

static void an_origin_has_no_more_than_scheme_host_and_port(void **state)
{
    char longest[DB_URL_SIZE + 8] = "https://";

    (void)state;
    expect_origin("https://h.example", "https://h.example");
    expect_origin("https://h.example:8443/x/y?z", "https://h.example:8443");
    expect_origin("HTTPS://h?key=https://x/", "HTTPS://h");
    expect_origin("http://[::1]:80/://x", "http://[::1]:80");
    memset(longest + 8, 'h', DB_URL_SIZE - 9);
    longest[DB_URL_SIZE - 1] = '\0';
    expect_origin(longest, longest);
}

static void another_nodes_secret_is_made_there(void **state)
{
    struct rig_call patch = {
        .method = API_PATCH, .path = HOOKS "/far", .body = "{\"new_secret\": true}"};
    char match[128];

    (void)state;
    hook_make("far", "https://h.example/", "", NULL);
    rig_sql("WITH other AS (INSERT INTO nodes (name) VALUES ('other') RETURNING id)"
            " UPDATE webhooks SET node_id = other.id FROM other WHERE webhooks.name = 'far'");
    rig_if_match(rig, HOOKS "/far", match);
    patch.headers[0] = match;
    rig_refused(rig, RIG_ADMIN, &patch, "conflict", "another distribution point");
    patch.body = "{\"enabled\": false}"; /* all else can be changed from here */
    assert_int_equal(rig_status(rig, RIG_ADMIN, &patch), 200);
    hook_drop("far");
}

static void wrong_urls_and_kinds_are_refused(void **state)
{
    static const char *const wrong_kinds[][2] = {
        {"\"session-failed\", \"version-seeled\"", "'version-seeled' (number 2) is no kind"},
        {"\"session-fäiled\"", "'session-fäiled' (number 1)"},
        {"\"äääääääääääääääääääääääääääääääääääääääääääääää\"", "'…' (number 1)"},
    };
    static const char *const wrong[] = {
        "\"url\": \"ftp://h.example/\"",
        "\"url\": \"http://h.example/\"",
        "\"url\": \"https://\"",
        "\"url\": \"https://u:p@h.example/\"",
        "\"url\": \"https://h.example/#x\"",
        "\"url\": \"https://h.example/a b\"",
        "\"url\": \"http://127.0.0.1.evil.com/\"",
        "\"url\": \"http://localhost.evil.com/\"",
        "\"url\": \"file:///etc/passwd\"",
        "\"allow_http\": true",
        "\"url\": \"https://h/\", \"kinds\": [\"none\"]",
        "\"url\": \"https://h/\", \"kinds\": [1]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char body[256];
        struct rig_call call = {.method = API_POST, .path = HOOKS, .body = body};

        (void)snprintf(body, sizeof body, "{\"name\": \"w\", %s}", wrong[i]);
        rig_refused(rig, RIG_ADMIN, &call, "invalid-request", NULL);
    }
    for (size_t i = 0; i < sizeof wrong_kinds / sizeof wrong_kinds[0]; i++) {
        char body[256];
        struct rig_call call = {.method = API_POST, .path = HOOKS, .body = body};
        struct rig_answer a;

        (void)snprintf(body, sizeof body,
                       "{\"name\": \"w\", \"url\": \"https://h/\", \"kinds\": [%s]}",
                       wrong_kinds[i][0]);
        a = rig_expect(rig, RIG_ADMIN, &call, 400);
        assert_non_null(
            strstr(rig_text_in(json_array_get(json_object_get(a.json, "errors"), 0), "message"),
                   wrong_kinds[i][1]));
        rig_answer_done(&a);
    }
    hook_make("w", "http://h.example/", ", \"allow_http\": true", NULL);
    hook_drop("w");
    hook_make("w", "http://[::1]:8080/", "", NULL);
    hook_drop("w");
    hook_make("w", "http://localhost:8080/", "", NULL);
    hook_drop("w");
}

/* ---- sending ---- */

static void addresses_of_the_neighbourhood_are_not_reached(void **state)
{
    static const char *const refused[] = {"0.0.0.0",
                                          "169.254.169.254",
                                          "169.254.0.1",
                                          "224.0.0.1",
                                          "255.255.255.255",
                                          "100.100.100.200",
                                          "168.63.129.16",
                                          "::",
                                          "fe80::1",
                                          "ff02::1",
                                          "fd00:ec2::254",
                                          "::ffff:169.254.1.1",
                                          "64:ff9b::a9fe:a9fe",
                                          "192.0.0.192",
                                          "fd20:ce::254",
                                          "2002:a9fe:a9fe::1",
                                          "::169.254.169.254",
                                          "nonsense"};
    static const char *const fine[] = {"127.0.0.1", "10.0.0.1", "192.168.1.1", "203.0.113.9",
                                       "::1",       "fd00::1",  "2001:db8::1", "::ffff:10.0.0.1"};
    struct rig_answer a;

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_false(hook_address_allowed(refused[i]));
    }
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        assert_true(hook_address_allowed(fine[i]));
    }
    hook_make("cloud", "http://169.254.169.254/latest/meta-data/",
              ", \"allow_http\": true, \"kinds\": [\"package-changed\"]", NULL);
    rig_write_event("package-changed", "not for the cloud");
    hook_send_due();
    a = hook_get("cloud");
    assert_non_null(strstr(rig_text(&a, "last_error"), "metadata"));
    rig_answer_done(&a);
    hook_drop("cloud");
}

/* curl goes through a name's addresses: one that is not allowed does not spoil the next. */
static void a_name_with_a_good_address_too(void **state)
{
    struct receiver *r = receiver_new();
    struct rig_answer a;
    char url[64], name[64];

    (void)state;
    receiver_url(r, url);
    (void)snprintf(name, sizeof name, "http://" HOOK_NAME "%s", strrchr(url, ':'));
    hook_make("both", name, ", \"allow_http\": true, \"kinds\": [\"package-changed\"]", NULL);
    rig_write_event("package-changed", "to the second");
    hook_send_due();
    assert_int_equal(receiver_count(r), 1);
    hook_expect_state("both", "good");
    receiver_set(r, RECEIVER_FAILS);
    rig_write_event("package-changed", "to the second, too");
    hook_send_due();
    a = hook_get("both");
    assert_non_null(strstr(rig_text(&a, "last_error"), "500"));
    rig_answer_done(&a);
    hook_drop("both");
    receiver_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_is_made_changed_and_deleted),
        cmocka_unit_test(an_origin_has_no_more_than_scheme_host_and_port),
        cmocka_unit_test(another_nodes_secret_is_made_there),
        cmocka_unit_test(wrong_urls_and_kinds_are_refused),
        cmocka_unit_test(addresses_of_the_neighbourhood_are_not_reached),
        cmocka_unit_test(a_name_with_a_good_address_too),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
