/* SPDX-License-Identifier: Apache-2.0
 * Sending to webhooks, to a real receiver that fails in every way: in order, signed, again later,
 * given up, switched off; what viewers see of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "jobs/webhook_send.h"
#include "jobs/webhooks.h"
#include "keys/care.h"
#include "keys/master.h"
#include "tests/api/hook_receiver.h"
#include "tests/api/hook_rig.h"

/* ---- sending ---- */

static void events_are_posted_in_order_and_signed(void **state)
{
    struct receiver *r = receiver_new();
    char url[64], secret[64], value[128], hex[65], text[9000];
    json_t *body;

    (void)state;
    receiver_url(r, url);
    hook_make("good", url, ", \"kinds\": [\"package-changed\"]", secret);
    rig_write_event("package-changed", "first");
    rig_write_event("package-changed", "second");
    rig_write_event("package-changed", "third");
    hook_send_due();
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
    hook_send_due(); /* nothing twice */
    assert_int_equal(receiver_count(r), 3);
    hook_expect_state("good", "good");
    hook_drop("good");
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
    hook_make("bad", url, ", \"kinds\": [\"package-changed\"]", NULL);
    rig_write_event("package-changed", "one");
    rig_write_event("package-changed", "two");
    for (size_t i = 0; i < count; i++) {
        receiver_set(r, failures[i].mode);
        hook_send_due();
        assert_int_equal(receiver_count(r), i + 1); /* the second one waits for the first */
        a = hook_get("bad");
        if (strstr(rig_text(&a, "last_error"), failures[i].word) == NULL) {
            fail_msg("no '%s' in %s", failures[i].word, rig_text(&a, "last_error"));
        }
        assert_string_equal(rig_text(&a, "state"), "failing");
        assert_int_equal(rig_number(&a, "failed_attempts"), i + 1);
        rig_answer_done(&a);
        hook_send_due(); /* it is not time yet */
        assert_int_equal(receiver_count(r), i + 1);
        hook_pass_pause("bad");
    }
    assert_int_equal(rig_events(rig, "webhook-failing"), 1);
    receiver_set(r, RECEIVER_TAKES);
    hook_send_due();
    assert_int_equal(receiver_count(r), count + 2);
    assert_non_null(strstr(receiver_body(r, count), "\"one\""));
    assert_non_null(strstr(receiver_body(r, count + 1), "\"two\""));
    receiver_header(r, 0, "X-Castpoint-Delivery", first);
    receiver_header(r, count, "X-Castpoint-Delivery", again);
    assert_string_equal(first, again);
    assert_int_equal(rig_events(rig, "webhook-recovered"), 1);
    hook_expect_state("bad", "good");
    items = hook_deliveries("bad", &a);
    assert_int_equal(json_array_size(items), count + 2);
    assert_int_equal(rig_number_in(json_array_get(items, count + 1), "attempt"), 1);
    assert_int_equal(rig_number_in(json_array_get(items, 2), "attempt"), count);
    rig_answer_done(&a);
    hook_drop("bad");
    receiver_free(r);
}

static void a_receiver_that_is_not_there(void **state)
{
    char url[64];
    struct rig_answer a;

    (void)state;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", receiver_dead_port());
    hook_make("dead", url, ", \"kinds\": [\"package-changed\"]", NULL);
    rig_write_event("package-changed", "lost");
    hook_send_due();
    a = hook_get("dead");
    assert_non_null(strstr(rig_text(&a, "last_error"), "onnect"));
    rig_answer_done(&a);
    hook_drop("dead");
}

static void an_endless_answer_counts_by_its_status(void **state)
{
    struct receiver *r = receiver_new();
    char url[64];

    (void)state;
    receiver_url(r, url);
    receiver_set(r, RECEIVER_FLOODS);
    hook_make("flood", url, ", \"kinds\": [\"package-changed\"]", NULL);
    rig_write_event("package-changed", "flooded");
    hook_send_due();
    assert_int_equal(receiver_count(r), 1);
    hook_expect_state("flood", "good");
    hook_drop("flood");
    receiver_free(r);
}

static void an_event_is_given_up_after_a_day(void **state)
{
    struct receiver *r = receiver_new();
    char url[64];

    (void)state;
    receiver_url(r, url);
    receiver_set(r, RECEIVER_FAILS);
    hook_make("day", url, ", \"kinds\": [\"package-changed\"]", NULL);
    rig_write_event("package-changed", "too old");
    rig_write_event("package-changed", "next");
    hook_send_due();
    rig_sql("UPDATE webhooks SET first_attempt_at = now() - interval '25 hours' WHERE name='day'");
    hook_pass_pause("day");
    hook_send_due();
    assert_int_equal(receiver_count(r), 2);
    assert_int_equal(rig_events(rig, "webhook-gave-up"), 1);
    hook_expect_state("day", "failing");
    receiver_set(r, RECEIVER_TAKES);
    hook_pass_pause("day");
    hook_send_due();
    assert_int_equal(receiver_count(r), 3);
    assert_non_null(strstr(receiver_body(r, 2), "\"next\""));
    hook_drop("day");
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
    hook_make("days", url, ", \"kinds\": [\"package-changed\"]", NULL);
    rig_write_event("package-changed", "never taken");
    hook_send_due();
    rig_sql("UPDATE webhooks SET failing_since = now() - interval '73 hours' WHERE name = 'days'");
    hook_pass_pause("days");
    hook_send_due();
    a = hook_get("days");
    assert_string_equal(rig_text(&a, "state"), "disabled");
    assert_non_null(strstr(rig_text(&a, "disabled_reason"), "500"));
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "webhook-disabled"), 1);
    receiver_set(r, RECEIVER_TAKES);
    rig_write_event("package-changed", "meanwhile");
    hook_send_due();
    assert_int_equal(receiver_count(r), 2); /* it is off */
    a = hook_patch("days", "{\"enabled\": true}");
    assert_true(json_is_null(json_object_get(a.json, "disabled_reason")));
    rig_answer_done(&a);
    hook_send_due();
    assert_int_equal(receiver_count(r), 4);
    assert_non_null(strstr(receiver_body(r, 2), "never taken"));
    assert_non_null(strstr(receiver_body(r, 3), "meanwhile"));
    hook_drop("days");
    receiver_free(r);
}

static void a_secret_that_does_not_open_is_told(void **state)
{
    struct rig_answer a;

    (void)state;
    hook_make("sealed", "https://h.example/", ", \"kinds\": [\"package-changed\"]", NULL);
    rig_sql("UPDATE webhooks SET secret_sealed = '\\\\x00' WHERE name = 'sealed'");
    rig_write_event("package-changed", "unsigned");
    hook_send_due();
    a = hook_get("sealed");
    assert_non_null(strstr(rig_text(&a, "last_error"), "new_secret"));
    rig_answer_done(&a);
    hook_drop("sealed");
}

struct start {
    struct keys_ring *ring;
    struct keys_care care;
};

static enum cp_err start_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct start *s = arg;

    return keys_ring_start(s->ring, conn, &s->care, err);
}

/* As a start of the service opens it; the former one is given back. */
static struct keys_ring *take_ring(struct keys_ring *ring)
{
    struct keys_ring *before = rig->ctx.keyring;

    rig->ctx.keyring = ring;
    rig->jobs.keyring = ring;
    return before;
}

static struct keys_ring *start_ring(const struct keys_master_place *place)
{
    struct cp_error err = {.code = CP_OK};
    struct start s = {.ring = NULL};

    assert_int_equal(keys_ring_open(place, rig->ctx.db, rig->node_id, &s.ring, &err), CP_OK);
    assert_int_equal(db_run_tx_locking(rig->ctx.db, "start", start_body, &s, &err), CP_OK);
    return s.ring;
}

/* For longer than what would switch it off: it waits, has not failed, and goes on with the key. */
static void without_the_master_key_it_waits(void **state)
{
    struct rig_call test = {.method = API_POST, .path = HOOKS "/locked/test"};
    struct keys_master_place place = {.credential = false};
    char away[KEYS_PATH_SIZE + 8], url[64];
    struct receiver *r = receiver_new();
    struct keys_ring *usual;
    struct rig_answer a;

    (void)state;
    (void)snprintf(place.path, sizeof place.path, "%s/locked.key", rig->folder);
    (void)snprintf(away, sizeof away, "%s.away", place.path);
    usual = take_ring(start_ring(&place));
    receiver_url(r, url);
    hook_make("locked", url, ", \"kinds\": [\"package-changed\"]", NULL);
    assert_int_equal(rename(place.path, away), 0);
    keys_ring_free(take_ring(start_ring(&place)));
    rig_write_event("package-changed", "waits");
    for (int i = 0; i < 3; i++) {
        hook_send_due();
        rig_sql("UPDATE webhooks SET first_attempt_at = first_attempt_at - interval '73 hours',"
                " failing_since = failing_since - interval '73 hours' WHERE name = 'locked'");
        hook_pass_pause("locked");
    }
    a = hook_get("locked");
    assert_string_equal(rig_text(&a, "state"), "good");
    assert_int_equal(rig_number(&a, "failed_attempts"), 0);
    assert_true(json_is_null(json_object_get(a.json, "last_error")));
    rig_answer_done(&a);
    assert_int_equal(json_array_size(hook_deliveries("locked", &a)), 0);
    rig_answer_done(&a);
    assert_int_equal(receiver_count(r), 0);
    rig_task_fails(rig, RIG_ADMIN, &test, "multicast-key-unusable", "master key is missing");
    assert_int_equal(rename(away, place.path), 0);
    hook_send_due();
    assert_int_equal(receiver_count(r), 1);
    assert_non_null(strstr(receiver_body(r, 0), "\"waits\""));
    hook_drop("locked");
    receiver_free(r);
    keys_ring_free(take_ring(usual));
    assert_int_equal(unlink(place.path), 0);
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
    hook_make("button", url, ", \"enabled\": false", NULL);
    a = rig_task(rig, RIG_ADMIN, &test, "done");
    assert_int_equal(rig_number_in(json_object_get(a.json, "result"), "status"), 204);
    rig_answer_done(&a);
    rig_log_says("test-webhook", "info", " took it: it answered 204 after ");
    receiver_header(r, 0, "X-Castpoint-Event", value);
    assert_string_equal(value, "webhook-test");
    receiver_set(r, RECEIVER_FAILS);
    rig_task_fails(rig, RIG_ADMIN, &test, "webhook-failed", "500");
    rig_task_fails(rig, RIG_ADMIN, &test, "webhook-failed", "http://127.0.0.1:");
    rig_log_says("test-webhook", "error", "http://127.0.0.1:");
    assert_int_equal(json_array_size(hook_deliveries("button", &a)), 3);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(a.json, "items"), 0), "event")));
    rig_answer_done(&a);
    hook_expect_state("button", "disabled"); /* a test changes nothing */
    hook_drop("button");
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
    hook_make("hangs", url, ", \"kinds\": [\"package-changed\"]", NULL);
    receiver_url(good, url);
    hook_make("takes", url, ", \"kinds\": [\"package-changed\"]", NULL);
    assert_int_equal(webhooks_start(&config, &w, &err), CP_OK);
    for (size_t i = 1; i <= 5; i++) { /* one receiver that hangs holds up no other */
        rig_write_event("package-changed", "threaded");
        rig_follow(rig);
        webhooks_news(w, rig->settled);
        receiver_await(good, i);
    }
    receiver_await(hangs, 1);
    webhooks_stop(w); /* at once, in the middle of an attempt */
    assert_int_equal(receiver_count(hangs), 1);
    hook_drop("hangs");
    hook_drop("takes");
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
    assert_null(strstr(a.bytes, HOOK_SECRET));
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
    hook_make("told", "https://h.example:444/x", "", NULL);
    a = hook_patch("told",
                   "{\"url\": \"https://g.example/" HOOK_SECRET "\", \"new_secret\": true}");
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
                        "https://h.example:444/x/" HOOK_SECRET);
    assert_string_equal(rig_text_in(json_object_get(item, "after"), "url"),
                        "https://g.example/" HOOK_SECRET);
    rig_answer_done(&a);
    hook_drop("told");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_true(rig_events(rig, kinds[i]) > 0);
    }
    lacks_secrets("/api/v1/events?limit=1000");
    lacks_secrets("/api/v1/tasks?limit=1000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_posted_in_order_and_signed),
        cmocka_unit_test(every_failure_is_tried_again),
        cmocka_unit_test(a_receiver_that_is_not_there),
        cmocka_unit_test(an_endless_answer_counts_by_its_status),
        cmocka_unit_test(an_event_is_given_up_after_a_day),
        cmocka_unit_test(who_fails_for_three_days_is_switched_off),
        cmocka_unit_test(a_secret_that_does_not_open_is_told),
        cmocka_unit_test(without_the_master_key_it_waits),
        cmocka_unit_test(pauses_grow_and_vary),
        cmocka_unit_test(the_test_button),
        cmocka_unit_test(the_thread_sends_and_stops),
        cmocka_unit_test(viewers_see_no_urls),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
