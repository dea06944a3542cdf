/* SPDX-License-Identifier: Apache-2.0
 * The configuration as one document: out, into an empty database, out again; all or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/api/rig.h"

#define CONFIGURATION "/api/v1/configuration"

static struct rig_answer get(const char *path)
{
    return rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
}

static struct rig_answer put(const char *query, const char *body)
{
    char path[128];

    (void)snprintf(path, sizeof path, CONFIGURATION "%s", query);
    return rig_expect(rig, RIG_ADMIN,
                      &(struct rig_call){.method = API_PUT, .path = path, .body = body}, 200);
}

static void put_refused(const char *query, const char *body, const char *code, const char *word)
{
    char path[128];

    (void)snprintf(path, sizeof path, CONFIGURATION "%s", query);
    rig_refused(rig, RIG_ADMIN, &(struct rig_call){.method = API_PUT, .path = path, .body = body},
                code, word);
}

/* How many changes an answer lists; the first one's section, name and action as one text. */
static size_t changes(const struct rig_answer *a, char ret_first[128])
{
    const json_t *list = json_object_get(a->json, "changes");
    const json_t *first = json_array_get(list, 0);

    ret_first[0] = '\0';
    if (first != NULL) {
        (void)snprintf(ret_first, 128, "%s %s %s", rig_text_in(first, "section"),
                       rig_text_in(first, "name"), rig_text_in(first, "action"));
    }
    return json_array_size(list);
}

static bool exists(const char *path)
{
    return rig_status(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}) == 200;
}

/* A database as it is after the first start, but for the accounts that the test asks by. */
static void empty_the_database(void)
{
    rig_sql("DELETE FROM packages");
    rig_sql("DELETE FROM webhooks");
    rig_sql("DELETE FROM accounts WHERE name NOT IN ('admin', 'viewer')");
    rig_sql("UPDATE settings SET ttl = 1, cors_origins = '', requests_per_minute = 6000,"
            " interface = ''");
}

static void out_and_in_and_out(void **state)
{
    struct rig_answer first;
    struct rig_answer second;
    struct rig_answer a;
    char match[128];
    char change[128];
    char secret[128];

    (void)state;
    rig_package(rig, "conf-b",
                ", \"description\": \"\\u00fc\", \"labels\": {\"z\": \"1\", \"a/b\": \"\"}");
    rig_package(rig, "conf-a",
                ", \"multicast\": \"require\", \"encrypt\": false,"
                " \"content_access\": \"anonymous\"");
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_POST,
                                      .path = "/api/v1/accounts",
                                      .body = "{\"name\": \"conf\", \"role\": \"content\","
                                              " \"enabled\": false, \"password\": \"secret word\","
                                              " \"description\": \"room 7\"}"},
                   201);
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_POST,
                                      .path = "/api/v1/webhooks",
                                      .body =
                                          "{\"name\": \"hook\", \"enabled\": false,"
                                          " \"url\": \"https://hooks.example/x\","
                                          " \"kinds\": [\"session-failed\", \"content-damaged\"]}"},
                   201);
    (void)snprintf(secret, sizeof secret, "%s", rig_text(&a, "secret"));
    rig_answer_done(&a);
    rig_if_match(rig, "/api/v1/distribution-points/local/settings", match);
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_PATCH,
                                      .path = "/api/v1/distribution-points/local/settings",
                                      .body = "{\"ttl\": 9, \"cors_origins\":"
                                              " [\"https://console.example\"]}",
                                      .headers = {match}},
                   200);
    rig_answer_done(&a);

    first = get(CONFIGURATION);
    assert_null(strstr(first.bytes, "scrypt"));
    assert_null(strstr(first.bytes, "secret word"));
    assert_null(strstr(first.bytes, secret));
    a = put("?prune=true", first.bytes); /* what is there: nothing to do */
    assert_int_equal(changes(&a, change), 0);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "configuration-imported"), 0);

    empty_the_database();
    a = put("?dry_run=true", first.bytes);
    assert_true(json_is_true(json_object_get(a.json, "dry_run")));
    assert_int_equal(changes(&a, change), 7); /* settings, 2 packages, 3 accounts, webhook */
    assert_string_equal(change, "distribution_points testnode change");
    rig_answer_done(&a);
    assert_false(exists("/api/v1/packages/conf-a"));
    a = put("", first.bytes);
    assert_int_equal(changes(&a, change), 7);
    rig_answer_done(&a);
    second = get(CONFIGURATION);
    assert_string_equal(first.bytes, second.bytes);
    a = put("", second.bytes); /* again */
    assert_int_equal(changes(&a, change), 0);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "configuration-imported"), 1);
    a = get("/api/v1/accounts/conf");
    assert_true(json_is_false(json_object_get(a.json, "has_password")));
    rig_answer_done(&a);
    rig_answer_done(&first);
    rig_answer_done(&second);
}

static void what_is_not_named_stays_unless_pruned(void **state)
{
    static const char body[] = "{\"format\": 1, \"packages\": [{\"name\": \"conf-a\"},"
                               " {\"name\": \"conf-c\"}]}";
    struct rig_answer a;
    char change[128];

    (void)state;
    a = put("", body);
    assert_int_equal(changes(&a, change), 1);
    assert_string_equal(change, "packages conf-c create");
    rig_answer_done(&a);
    assert_true(exists("/api/v1/packages/conf-b"));
    a = get("/api/v1/packages/conf-a");
    assert_string_equal(rig_text(&a, "multicast"), "require"); /* fields, too */
    rig_answer_done(&a);
    a = put("?prune=true&dry_run=true", body);
    assert_int_equal(changes(&a, change), 1);
    assert_string_equal(change, "packages conf-b delete");
    rig_answer_done(&a);
    assert_true(exists("/api/v1/packages/conf-b"));
    a = put("?prune=true", body);
    assert_int_equal(changes(&a, change), 1);
    rig_answer_done(&a);
    assert_false(exists("/api/v1/packages/conf-b"));
    assert_true(exists("/api/v1/accounts/conf")); /* a section that is missing is not looked at */
    put_refused("?prune=true", "{\"format\": 1, \"accounts\": []}", "conflict",
                "the one that asks");
}

static void all_or_nothing(void **state)
{
    static const struct {
        const char *body, *code, *word;
    } wrong[] = {
        {"{}", "invalid-request", "format"},
        {"{\"format\": 2}", "invalid-request", "format"},
        {"{\"format\": 1, \"webhooks\": {}}", "invalid-request", "webhooks"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}],"
         " \"webhooks\": [{\"name\": \"w\", \"url\": \"http://hooks.example/\"}]}",
         "invalid-request", "webhooks[0].url"},
        {"{\"format\": 1, \"packages\": {}}", "invalid-request", "packages"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}, 5]}", "invalid-request",
         "packages[1]"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}, {}]}", "invalid-request",
         "packages[1].name"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}, {\"name\": \"new-1\"}]}",
         "invalid-request", "twice"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\", \"colour\": \"red\"}]}",
         "invalid-request", "packages[0].colour"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\", \"labels\": {\"A\": \"\"}}]}",
         "invalid-request", "packages[0].labels"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}],"
         " \"accounts\": [{\"name\": \"norole\"}]}",
         "invalid-request", "accounts[0].role"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}],"
         " \"accounts\": [{\"name\": \"x\", \"role\": \"viewer\", \"password\": \"long enough\"}]}",
         "invalid-request", "accounts[0].password"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}],"
         " \"accounts\": [{\"name\": \"admin\", \"enabled\": false}]}",
         "conflict", "last enabled administrator"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}], \"distribution_points\":"
         " [{\"name\": \"elsewhere\", \"settings\": {}}]}",
         "invalid-request", "distribution_points[0].name"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}], \"distribution_points\":"
         " [{\"name\": \"local\", \"settings\": {\"ttl\": 0}}]}",
         "invalid-request", "distribution_points[0].settings.ttl"},
        {"{\"format\": 1, \"packages\": [{\"name\": \"new-1\"}], \"distribution_points\":"
         " [{\"name\": \"local\", \"settings\": {\"colour\": 0}}]}",
         "invalid-request", "distribution_points[0].settings.colour"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_refused("", wrong[i].body, wrong[i].code, wrong[i].word);
        put_refused("?dry_run=true", wrong[i].body, wrong[i].code, wrong[i].word);
        assert_false(exists("/api/v1/packages/new-1"));
    }
    put_refused("?prune=perhaps", "{\"format\": 1}", "invalid-request", "prune");
    put_refused("?colour=red", "{\"format\": 1}", "invalid-request", "colour");
}

/* The import counts as what it does: the same events, and settings that hold at once. */
static void an_import_is_its_changes(void **state)
{
    int packages = rig_events(rig, "package-changed");
    int settings = rig_events(rig, "settings-changed");
    struct rig_answer a;
    char change[128];

    (void)state;
    /* labels that are given are all that there are */
    a = put("",
            "{\"format\": 1, \"packages\": [{\"name\": \"conf-a\", \"labels\": {\"a\": \"1\"}}]}");
    rig_answer_done(&a);
    a = put("",
            "{\"format\": 1, \"packages\": [{\"name\": \"conf-a\", \"labels\": {\"b\": \"2\"}}]}");
    rig_answer_done(&a);
    a = get("/api/v1/packages/conf-a");
    assert_null(json_object_get(json_object_get(a.json, "labels"), "a"));
    assert_string_equal(rig_text_in(json_object_get(a.json, "labels"), "b"), "2");
    rig_answer_done(&a);
    packages = rig_events(rig, "package-changed");
    a = put("", "{\"format\": 1, \"packages\": [{\"name\": \"conf-a\", \"multicast\": \"off\"}],"
                " \"distribution_points\": [{\"name\": \"local\", \"settings\": {\"ttl\": 3}}]}");
    assert_int_equal(changes(&a, change), 2);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "package-changed"), packages + 1);
    assert_int_equal(rig_events(rig, "settings-changed"), settings + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(out_and_in_and_out),
        cmocka_unit_test(what_is_not_named_stays_unless_pruned),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(an_import_is_its_changes),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
