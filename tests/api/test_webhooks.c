/* SPDX-License-Identifier: Apache-2.0
 * Webhooks: the resource, and sending to a real receiver that fails in every way: in order, signed,
 * again later, given up, switched off, never to addresses that are not for it. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/webhook_send.h"
#include "jobs/webhooks.h"
#include "tests/api/hook_names.h"
#include "tests/api/hook_receiver.h"
#include "tests/api/rig.h"

#define HOOKS "/api/v1/webhooks"

/* ---- helpers ---- */

/* Such urls often have a secret: every webhook of these tests has one, which is looked for at the
 * end where viewers can read. */
#define URL_SECRET "very-secret"

/* A webhook to that url; its secret. */
static void make_hook(const char *name, const char *url, const char *more, char ret_secret[64])
{
    char body[512];
    struct rig_call call = {.method = API_POST, .path = HOOKS, .body = body};
    struct rig_answer a;

    (void)snprintf(body, sizeof body, "{\"name\": \"%s\", \"url\": \"%s/" URL_SECRET "\"%s}", name,
                   url, more);
    a = rig_expect(rig, RIG_ADMIN, &call, 201);
    if (ret_secret != NULL) {
        (void)snprintf(ret_secret, 64, "%s", rig_text(&a, "secret"));
    }
    rig_answer_done(&a);
}

static struct rig_answer get_hook(const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof path, HOOKS "/%s", name);
    return rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
}

static void expect_state(const char *name, const char *state)
{
    struct rig_answer a = get_hook(name);

    assert_string_equal(rig_text(&a, "state"), state);
    rig_answer_done(&a);
}

static void drop_hook(const char *name)
{
    struct rig_call call = {.method = API_DELETE};
    char path[128], match[128];
    struct rig_answer a;

    (void)snprintf(path, sizeof path, HOOKS "/%s", name);
    rig_if_match(rig, path, match);
    call.path = path;
    call.headers[0] = match;
    a = rig_expect(rig, RIG_ADMIN, &call, 204);
    rig_answer_done(&a);
}

static struct rig_answer patch_hook(const char *name, const char *body)
{
    struct rig_call call = {.method = API_PATCH, .body = body};
    char path[128], match[128];

    (void)snprintf(path, sizeof path, HOOKS "/%s", name);
    rig_if_match(rig, path, match);
    call.path = path;
    call.headers[0] = match;
    return rig_expect(rig, RIG_ADMIN, &call, 200);
}

static void write_event(const char *subject)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO events (kind, subject) VALUES ('package-changed', '%s')", subject);
    rig_sql(sql);
}

/* One look of who sends, with little patience. */
static void send_due(void)
{
    struct webhooks_config config = {.ctx = &rig->jobs, .timeout_ms = 500};
    struct cp_error err = {.code = CP_OK};

    rig_follow(rig);
    if (webhooks_do_due(&config, rig->settled, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
}

/* As if the pause were over. */
static void pass_pause(const char *name)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql,
                   "UPDATE webhooks SET next_attempt_at = now() - interval '1 second' WHERE name = "
                   "'%s'",
                   name);
    rig_sql(sql);
}

static json_t *deliveries(const char *name, struct rig_answer *ret_answer)
{
    char path[128];

    (void)snprintf(path, sizeof path, HOOKS "/%s/deliveries", name);
    *ret_answer =
        rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
    return json_object_get(ret_answer->json, "items");
}

/* ---- the resource ---- */

static void a_webhook_is_made_changed_and_deleted(void **state)
{
    struct rig_call again = {.method = API_POST,
                             .path = HOOKS,
                             .body = "{\"name\": \"one\", \"url\": \"https://h.example/\"}"};
    struct rig_answer a;
    char secret[64];

    (void)state;
    make_hook("one", "https://h.example/x", ", \"kinds\": [\"session-failed\"]", secret);
    assert_int_equal(strncmp(secret, "cpw_", 4), 0);
    a = get_hook("one");
    assert_null(json_object_get(a.json, "secret"));
    assert_null(strstr(a.bytes, secret));
    assert_string_equal(rig_text(&a, "state"), "good");
    assert_int_equal(json_array_size(json_object_get(a.json, "kinds")), 1);
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &again), 409);
    a = patch_hook("one", "{\"enabled\": false, \"kinds\": []}");
    assert_null(json_object_get(a.json, "secret"));
    assert_string_equal(rig_text(&a, "state"), "disabled");
    assert_int_equal(json_array_size(json_object_get(a.json, "kinds")), 0);
    rig_answer_done(&a);
    a = patch_hook("one", "{\"new_secret\": true}");
    assert_string_not_equal(rig_text(&a, "secret"), secret);
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = HOOKS}, 200);
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    rig_answer_done(&a);
    drop_hook("one");
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
    make_hook("far", "https://h.example/", "", NULL);
    rig_sql("WITH other AS (INSERT INTO nodes (name) VALUES ('other') RETURNING id)"
            " UPDATE webhooks SET node_id = other.id FROM other WHERE webhooks.name = 'far'");
    rig_if_match(rig, HOOKS "/far", match);
    patch.headers[0] = match;
    rig_refused(rig, RIG_ADMIN, &patch, "conflict", "another distribution point");
    patch.body = "{\"enabled\": false}"; /* all else can be changed from here */
    assert_int_equal(rig_status(rig, RIG_ADMIN, &patch), 200);
    drop_hook("far");
}

static void wrong_urls_and_kinds_are_refused(void **state)
{
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
    make_hook("w", "http://h.example/", ", \"allow_http\": true", NULL);
    drop_hook("w");
    make_hook("w", "http://[::1]:8080/", "", NULL);
    drop_hook("w");
    make_hook("w", "http://localhost:8080/", "", NULL);
    drop_hook("w");
}

/* ---- sending ---- */

static void events_are_posted_in_order_and_signed(void **state)
{
    struct receiver *r = receiver_new();
    char url[64], secret[64], value[128], hex[65], text[9000];
    json_t *body;

    (void)state;
    receiver_url(r, url);
    make_hook("good", url, ", \"kinds\": [\"package-changed\"]", secret);
    write_event("first");
    write_event("second");
    write_event("third");
    send_due();
    assert_int_equal(receiver_count(r), 3);
    for (size_t i = 0; i < 3; i++) {
        static const char *const subjects[] = {"first", "second", "third"};
        char stamp[128];

        body = json_loads(receiver_body(r, i), 0, NULL);
        assert_string_equal(rig_text_in(body, "subject"), subjects[i]);
        assert_string_equal(rig_text_in(body, "kind"), "package-changed");
        json_decref(body);
        receiver_header(r, i, "X-Castpoint-Event", value);
        assert_string_equal(value, "package-changed");
        receiver_header(r, i, "Content-Type", value);
        assert_string_equal(value, "application/json");
        receiver_header(r, i, "X-Castpoint-Timestamp", stamp);
        (void)snprintf(text, sizeof text, "%s.%s", stamp, receiver_body(r, i));
        assert_int_equal(keys_hmac_hex(secret, text, strlen(text), hex), CP_OK);
        (void)snprintf(text, sizeof text, "sha256=%s", hex);
        receiver_header(r, i, "X-Castpoint-Signature", value);
        assert_string_equal(value, text);
    }
    send_due(); /* nothing twice */
    assert_int_equal(receiver_count(r), 3);
    expect_state("good", "good");
    drop_hook("good");
    receiver_free(r);
}

struct failure {
    enum receiver_mode mode;
    const char *word; /* of the error */
};

static void every_failure_is_tried_again(void **state)
{
    static const struct failure failures[] = {
        {RECEIVER_FAILS, "500"},        {RECEIVER_REDIRECTS, "redirects are not followed"},
        {RECEIVER_HANGS, "timed out"},  {RECEIVER_CLOSES, "Empty reply"},
        {RECEIVER_BABBLES, "HTTP/0.9"},
    };
    struct receiver *r = receiver_new();
    char url[64], first[128], again[128];
    size_t count = sizeof failures / sizeof failures[0];
    const json_t *items;
    struct rig_answer a;

    (void)state;
    receiver_url(r, url);
    make_hook("bad", url, ", \"kinds\": [\"package-changed\"]", NULL);
    write_event("one");
    write_event("two");
    for (size_t i = 0; i < count; i++) {
        receiver_set(r, failures[i].mode);
        send_due();
        assert_int_equal(receiver_count(r), i + 1); /* the second one waits for the first */
        a = get_hook("bad");
        if (strstr(rig_text(&a, "last_error"), failures[i].word) == NULL) {
            fail_msg("no '%s' in %s", failures[i].word, rig_text(&a, "last_error"));
        }
        assert_string_equal(rig_text(&a, "state"), "failing");
        assert_int_equal(rig_number(&a, "failed_attempts"), i + 1);
        rig_answer_done(&a);
        send_due(); /* it is not time yet */
        assert_int_equal(receiver_count(r), i + 1);
        pass_pause("bad");
    }
    assert_int_equal(rig_events(rig, "webhook-failing"), 1);
    receiver_set(r, RECEIVER_TAKES);
    send_due();
    assert_int_equal(receiver_count(r), count + 2);
    assert_non_null(strstr(receiver_body(r, count), "\"one\""));
    assert_non_null(strstr(receiver_body(r, count + 1), "\"two\""));
    receiver_header(r, 0, "X-Castpoint-Delivery", first);
    receiver_header(r, count, "X-Castpoint-Delivery", again);
    assert_string_equal(first, again);
    assert_int_equal(rig_events(rig, "webhook-recovered"), 1);
    expect_state("bad", "good");
    items = deliveries("bad", &a);
    assert_int_equal(json_array_size(items), count + 2);
    assert_int_equal(rig_number_in(json_array_get(items, count + 1), "attempt"), 1);
    assert_int_equal(rig_number_in(json_array_get(items, 2), "attempt"), count);
    rig_answer_done(&a);
    drop_hook("bad");
    receiver_free(r);
}

static void a_receiver_that_is_not_there(void **state)
{
    char url[64];
    struct rig_answer a;

    (void)state;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", receiver_dead_port());
    make_hook("dead", url, ", \"kinds\": [\"package-changed\"]", NULL);
    write_event("lost");
    send_due();
    a = get_hook("dead");
    assert_non_null(strstr(rig_text(&a, "last_error"), "onnect"));
    rig_answer_done(&a);
    drop_hook("dead");
}

static void an_endless_answer_counts_by_its_status(void **state)
{
    struct receiver *r = receiver_new();
    char url[64];

    (void)state;
    receiver_url(r, url);
    receiver_set(r, RECEIVER_FLOODS);
    make_hook("flood", url, ", \"kinds\": [\"package-changed\"]", NULL);
    write_event("flooded");
    send_due();
    assert_int_equal(receiver_count(r), 1);
    expect_state("flood", "good");
    drop_hook("flood");
    receiver_free(r);
}

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
    make_hook("cloud", "http://169.254.169.254/latest/meta-data/",
              ", \"allow_http\": true, \"kinds\": [\"package-changed\"]", NULL);
    write_event("not for the cloud");
    send_due();
    a = get_hook("cloud");
    assert_non_null(strstr(rig_text(&a, "last_error"), "metadata"));
    rig_answer_done(&a);
    drop_hook("cloud");
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
    make_hook("both", name, ", \"allow_http\": true, \"kinds\": [\"package-changed\"]", NULL);
    write_event("to the second");
    send_due();
    assert_int_equal(receiver_count(r), 1);
    expect_state("both", "good");
    receiver_set(r, RECEIVER_FAILS);
    write_event("to the second, too");
    send_due();
    a = get_hook("both");
    assert_non_null(strstr(rig_text(&a, "last_error"), "500"));
    rig_answer_done(&a);
    drop_hook("both");
    receiver_free(r);
}

static void an_event_is_given_up_after_a_day(void **state)
{
    struct receiver *r = receiver_new();
    char url[64];

    (void)state;
    receiver_url(r, url);
    receiver_set(r, RECEIVER_FAILS);
    make_hook("day", url, ", \"kinds\": [\"package-changed\"]", NULL);
    write_event("too old");
    write_event("next");
    send_due();
    rig_sql("UPDATE webhooks SET first_attempt_at = now() - interval '25 hours' WHERE name='day'");
    pass_pause("day");
    send_due();
    assert_int_equal(receiver_count(r), 2);
    assert_int_equal(rig_events(rig, "webhook-gave-up"), 1);
    expect_state("day", "failing");
    receiver_set(r, RECEIVER_TAKES);
    pass_pause("day");
    send_due();
    assert_int_equal(receiver_count(r), 3);
    assert_non_null(strstr(receiver_body(r, 2), "\"next\""));
    drop_hook("day");
    receiver_free(r);
}

static void who_fails_for_three_days_is_switched_off(void **state)
{
    struct receiver *r = receiver_new();
    struct rig_answer a;
    char url[64];

    (void)state;
    receiver_url(r, url);
    receiver_set(r, RECEIVER_FAILS);
    make_hook("days", url, ", \"kinds\": [\"package-changed\"]", NULL);
    write_event("never taken");
    send_due();
    rig_sql("UPDATE webhooks SET failing_since = now() - interval '73 hours' WHERE name = 'days'");
    pass_pause("days");
    send_due();
    a = get_hook("days");
    assert_string_equal(rig_text(&a, "state"), "disabled");
    assert_non_null(strstr(rig_text(&a, "disabled_reason"), "500"));
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "webhook-disabled"), 1);
    receiver_set(r, RECEIVER_TAKES);
    write_event("meanwhile");
    send_due();
    assert_int_equal(receiver_count(r), 2); /* it is off */
    a = patch_hook("days", "{\"enabled\": true}");
    assert_true(json_is_null(json_object_get(a.json, "disabled_reason")));
    rig_answer_done(&a);
    send_due();
    assert_int_equal(receiver_count(r), 4);
    assert_non_null(strstr(receiver_body(r, 2), "never taken"));
    assert_non_null(strstr(receiver_body(r, 3), "meanwhile"));
    drop_hook("days");
    receiver_free(r);
}

static void a_secret_that_does_not_open_is_told(void **state)
{
    struct rig_answer a;

    (void)state;
    make_hook("sealed", "https://h.example/", ", \"kinds\": [\"package-changed\"]", NULL);
    rig_sql("UPDATE webhooks SET secret_sealed = '\\\\x00' WHERE name = 'sealed'");
    write_event("unsigned");
    send_due();
    a = get_hook("sealed");
    assert_non_null(strstr(rig_text(&a, "last_error"), "new_secret"));
    rig_answer_done(&a);
    drop_hook("sealed");
}

static void pauses_grow_and_vary(void **state)
{
    uint64_t before = 0;

    (void)state;
    for (uint32_t failed = 0; failed < 40; failed++) {
        uint64_t least = hook_pause_ms(failed, 0);
        uint64_t most = hook_pause_ms(failed, UINT32_MAX);

        assert_true(least >= before && most > least && most * 3 <= least * 5 + 5);
        before = least;
    }
    assert_int_equal(hook_pause_ms(0, UINT32_MAX / 2), 4999);
    assert_int_equal(hook_pause_ms(39, UINT32_MAX), 4500000); /* an hour and a quarter */
}

/* ---- the test button ---- */

static void the_test_button(void **state)
{
    struct receiver *r = receiver_new();
    struct rig_call test = {.method = API_POST, .path = HOOKS "/button/test"};
    struct rig_answer a;
    char url[64], value[128];

    (void)state;
    receiver_url(r, url);
    make_hook("button", url, ", \"enabled\": false", NULL);
    a = rig_task(rig, RIG_ADMIN, &test, "done");
    assert_int_equal(rig_number_in(json_object_get(a.json, "result"), "status"), 204);
    rig_answer_done(&a);
    receiver_header(r, 0, "X-Castpoint-Event", value);
    assert_string_equal(value, "webhook-test");
    receiver_set(r, RECEIVER_FAILS);
    rig_task_fails(rig, RIG_ADMIN, &test, "webhook-failed", "500");
    rig_task_fails(rig, RIG_ADMIN, &test, "webhook-failed", "http://127.0.0.1:");
    assert_int_equal(json_array_size(deliveries("button", &a)), 3);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(a.json, "items"), 0), "event")));
    rig_answer_done(&a);
    expect_state("button", "disabled"); /* a test changes nothing */
    drop_hook("button");
    receiver_free(r);
}

/* ---- the thread ---- */

static void the_thread_sends_and_stops(void **state)
{
    struct webhooks_config config = {.ctx = &rig->jobs};
    struct receiver *good = receiver_new();
    struct receiver *hangs = receiver_new();
    struct webhooks *w = NULL;
    struct cp_error err;
    char url[64];

    (void)state;
    receiver_set(hangs, RECEIVER_HANGS);
    receiver_url(hangs, url);
    make_hook("hangs", url, ", \"kinds\": [\"package-changed\"]", NULL);
    receiver_url(good, url);
    make_hook("takes", url, ", \"kinds\": [\"package-changed\"]", NULL);
    assert_int_equal(webhooks_start(&config, &w, &err), CP_OK);
    for (size_t i = 1; i <= 5; i++) { /* one receiver that hangs holds up no other */
        write_event("threaded");
        rig_follow(rig);
        webhooks_news(w, rig->settled);
        receiver_await(good, i);
    }
    receiver_await(hangs, 1);
    webhooks_stop(w); /* at once, in the middle of an attempt */
    assert_int_equal(receiver_count(hangs), 1);
    drop_hook("hangs");
    drop_hook("takes");
    receiver_free(good);
    receiver_free(hangs);
}

/* ---- what others than admins see ---- */

static void lacks_secrets(const char *path)
{
    struct rig_answer a =
        rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);

    assert_true(json_array_size(json_object_get(a.json, "items")) > 0);
    assert_true(json_is_null(json_object_get(a.json, "next"))); /* that is all */
    assert_null(strstr(a.bytes, URL_SECRET));
    rig_answer_done(&a);
}

/* After all that has happened to webhooks above. */
static void viewers_see_no_urls(void **state)
{
    static const char *const kinds[] = {"webhook-created", "webhook-changed",   "webhook-deleted",
                                        "webhook-failing", "webhook-recovered", "webhook-gave-up",
                                        "webhook-disabled"};
    struct rig_call changed = {.method = API_GET,
                               .path = "/api/v1/events?kind=webhook-changed&subject=webhook told"};
    struct rig_call audit = {.method = API_GET, .path = "/api/v1/audit?subject=webhook told"};
    const json_t *item;
    struct rig_answer a;
    char *detail;

    (void)state;
    make_hook("told", "https://h.example:444/x", "", NULL);
    a = patch_hook("told", "{\"url\": \"https://g.example/" URL_SECRET "\", \"new_secret\": true}");
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_VIEWER, &changed, 200);
    item = json_array_get(json_object_get(a.json, "items"), 0);
    detail = json_dumps(json_object_get(item, "detail"), JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(detail, "{\"changed\":[\"url\",\"secret\"],\"name\":\"told\","
                                "\"origin\":\"https://g.example\"}");
    free(detail);
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_ADMIN, &audit, 200);
    item = json_array_get(json_object_get(a.json, "items"), 0);
    assert_string_equal(rig_text_in(json_object_get(item, "before"), "url"),
                        "https://h.example:444/x/" URL_SECRET);
    assert_string_equal(rig_text_in(json_object_get(item, "after"), "url"),
                        "https://g.example/" URL_SECRET);
    rig_answer_done(&a);
    drop_hook("told");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_true(rig_events(rig, kinds[i]) > 0);
    }
    lacks_secrets("/api/v1/events?limit=1000");
    lacks_secrets("/api/v1/tasks?limit=1000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_webhook_is_made_changed_and_deleted),
        cmocka_unit_test(an_origin_has_no_more_than_scheme_host_and_port),
        cmocka_unit_test(another_nodes_secret_is_made_there),
        cmocka_unit_test(wrong_urls_and_kinds_are_refused),
        cmocka_unit_test(events_are_posted_in_order_and_signed),
        cmocka_unit_test(every_failure_is_tried_again),
        cmocka_unit_test(a_receiver_that_is_not_there),
        cmocka_unit_test(an_endless_answer_counts_by_its_status),
        cmocka_unit_test(addresses_of_the_neighbourhood_are_not_reached),
        cmocka_unit_test(a_name_with_a_good_address_too),
        cmocka_unit_test(an_event_is_given_up_after_a_day),
        cmocka_unit_test(who_fails_for_three_days_is_switched_off),
        cmocka_unit_test(a_secret_that_does_not_open_is_told),
        cmocka_unit_test(pauses_grow_and_vary),
        cmocka_unit_test(the_test_button),
        cmocka_unit_test(the_thread_sends_and_stops),
        cmocka_unit_test(viewers_see_no_urls),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
