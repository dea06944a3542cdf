/* SPDX-License-Identifier: Apache-2.0
 * The configuration as one document: out, into an empty database, out again; all or nothing; what it
 * is made of. Beside what others do: test_configuration_beside.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/api/configuration_rig.h"
#include "tests/api/join_rig.h"

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

/* Some of all that a document has; the webhook's secret. */
static void make_all(char ret_secret[128])
{
    struct rig_answer a;

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
    (void)snprintf(ret_secret, 128, "%s", rig_text(&a, "secret"));
    rig_answer_done(&a);
    rig_settings(rig, "{\"ttl\": 9, \"cors_origins\": [\"https://console.example\"]}");
}

static void out_and_in_and_out(void **state)
{
    struct rig_answer first;
    struct rig_answer second;
    struct rig_answer a;
    char change[128];
    char secret[128];
    int imported = rig_events(rig, "configuration-imported");

    (void)state;
    make_all(secret);
    first = rig_get(rig, RIG_ADMIN, CONFIGURATION);
    assert_null(strstr(first.bytes, "scrypt"));
    assert_null(strstr(first.bytes, "secret word"));
    assert_null(strstr(first.bytes, secret));
    a = conf_put("?prune=true", first.bytes); /* what is there: nothing to do */
    assert_int_equal(conf_changes(&a, change), 0);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "configuration-imported"), imported);

    empty_the_database();
    a = conf_put("?dry_run=true", first.bytes);
    assert_true(json_is_true(json_object_get(a.json, "dry_run")));
    assert_int_equal(conf_changes(&a, change), 7); /* settings, 2 packages, 3 accounts, webhook */
    assert_string_equal(change, "distribution_points testnode change");
    rig_answer_done(&a);
    assert_false(exists("/api/v1/packages/conf-a"));
    a = conf_put("", first.bytes);
    assert_int_equal(conf_changes(&a, change), 7);
    rig_answer_done(&a);
    second = rig_get(rig, RIG_ADMIN, CONFIGURATION);
    assert_string_equal(first.bytes, second.bytes);
    a = conf_put("", second.bytes); /* again */
    assert_int_equal(conf_changes(&a, change), 0);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "configuration-imported"), imported + 1);
    a = rig_get(rig, RIG_ADMIN, "/api/v1/accounts/conf");
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
    a = conf_put("", body);
    assert_int_equal(conf_changes(&a, change), 1);
    assert_string_equal(change, "packages conf-c create");
    rig_answer_done(&a);
    assert_true(exists("/api/v1/packages/conf-b"));
    a = rig_get(rig, RIG_ADMIN, "/api/v1/packages/conf-a");
    assert_string_equal(rig_text(&a, "multicast"), "require"); /* fields, too */
    rig_answer_done(&a);
    a = conf_put("?prune=true&dry_run=true", body);
    assert_int_equal(conf_changes(&a, change), 1);
    assert_string_equal(change, "packages conf-b delete");
    rig_answer_done(&a);
    assert_true(exists("/api/v1/packages/conf-b"));
    a = conf_put("?prune=true", body);
    assert_int_equal(conf_changes(&a, change), 1);
    rig_answer_done(&a);
    assert_false(exists("/api/v1/packages/conf-b"));
    assert_true(exists("/api/v1/accounts/conf")); /* a section that is missing is not looked at */
    conf_refused("?prune=true", "{\"format\": 1, \"accounts\": []}", "conflict",
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
        conf_refused("", wrong[i].body, wrong[i].code, wrong[i].word);
        conf_refused("?dry_run=true", wrong[i].body, wrong[i].code, wrong[i].word);
        assert_false(exists("/api/v1/packages/new-1"));
    }
    conf_refused("?prune=perhaps", "{\"format\": 1}", "invalid-request", "prune");
    conf_refused("?colour=red", "{\"format\": 1}", "invalid-request", "colour");
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
    a = conf_put(
        "", "{\"format\": 1, \"packages\": [{\"name\": \"conf-a\", \"labels\": {\"a\": \"1\"}}]}");
    rig_answer_done(&a);
    a = conf_put(
        "", "{\"format\": 1, \"packages\": [{\"name\": \"conf-a\", \"labels\": {\"b\": \"2\"}}]}");
    rig_answer_done(&a);
    a = rig_get(rig, RIG_ADMIN, "/api/v1/packages/conf-a");
    assert_null(json_object_get(json_object_get(a.json, "labels"), "a"));
    assert_string_equal(rig_text_in(json_object_get(a.json, "labels"), "b"), "2");
    rig_answer_done(&a);
    packages = rig_events(rig, "package-changed");
    a = conf_put("",
                 "{\"format\": 1, \"packages\": [{\"name\": \"conf-a\", \"multicast\": \"off\"}],"
                 " \"distribution_points\": [{\"name\": \"local\", \"settings\": {\"ttl\": 3}}]}");
    assert_int_equal(conf_changes(&a, change), 2);
    rig_answer_done(&a);
    assert_int_equal(rig_events(rig, "package-changed"), packages + 1);
    assert_int_equal(rig_events(rig, "settings-changed"), settings + 1);
}

/* ---- what takes effect ---- */

static void find_slow_link(const char *interface, const char *group, struct api_link *ret_link)
{
    (void)interface;
    (void)group;
    *ret_link = (struct api_link){.interface = "slow0", .mtu = 1500, .rate_mbps = 10};
}

/* It is told as it is, whatever the client has: the link is no part of the revision. */
static void effective_settings_are_never_old(void **state)
{
    static const char path[] = "/api/v1/distribution-points/local/settings";
    api_find_link *usual = rig->ctx.find_link;
    struct rig_answer a = rig_get(rig, RIG_ADMIN, path);
    const json_t *effective = json_object_get(a.json, "effective");
    char none[128];

    (void)state;
    assert_int_equal(rig_number_in(effective, "rate_ceiling_bps"), 1000000000);
    (void)snprintf(none, sizeof none, "If-None-Match: %s", rig_header(&a, "ETag"));
    rig_answer_done(&a);
    rig->ctx.find_link = find_slow_link;
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_GET, .path = path, .headers = {none}}, 200);
    rig->ctx.find_link = usual;
    effective = json_object_get(a.json, "effective");
    assert_int_equal(rig_number_in(effective, "rate_ceiling_bps"), 10000000);
    assert_string_equal(rig_text_in(effective, "interface"), "slow0");
    rig_answer_done(&a);
}

/* ---- the current version ---- */

#define PIN(current)                                                                               \
    "{\"format\": 1, \"packages\": [{\"name\": \"pinned\", \"current\": " current "}]}"

static void expect_pin(bool pinned, int version)
{
    struct rig_answer a = rig_get(rig, RIG_ADMIN, "/api/v1/packages/pinned");

    assert_int_equal(json_is_true(json_object_get(a.json, "current_pinned")), pinned);
    assert_int_equal(rig_number(&a, "current_version"), version);
    rig_answer_done(&a);
}

/* Puts it; the number of changes and of what was left. */
static void put_pin(const char *body, size_t changed, size_t left)
{
    struct rig_answer a = conf_put("", body);
    const json_t *list = json_object_get(a.json, "left");
    char change[128];

    assert_int_equal(conf_changes(&a, change), changed);
    assert_int_equal(json_array_size(list), left);
    if (left > 0) {
        assert_string_equal(rig_text_in(json_array_get(list, 0), "name"), "pinned");
        assert_string_equal(rig_text_in(json_array_get(list, 0), "field"), "current");
    }
    rig_answer_done(&a);
}

/* A pin is configuration; it needs the version, which is content. */
static void a_pin_goes_out_and_in(void **state)
{
    static const char promote[] = "/api/v1/packages/pinned/versions/1/promote";
    struct rig_answer document;
    int changed;
    struct rig_answer a;

    (void)state;
    sealed_package("pinned", ", \"content_access\": \"anonymous\"");
    for (int v = 2; v <= 3; v++) { /* the third one stays a draft */
        a = rig_expect(
            rig, RIG_OPERATOR,
            &(struct rig_call){.method = API_POST, .path = "/api/v1/packages/pinned/versions"},
            201);
        rig_answer_done(&a);
        rig_put(rig, "pinned", v, "a.bin", "content");
    }
    rig_seal(rig, "pinned", 2);
    a = rig_expect(rig, RIG_OPERATOR, &(struct rig_call){.method = API_POST, .path = promote}, 200);
    rig_answer_done(&a);
    document = rig_get(rig, RIG_ADMIN, CONFIGURATION);
    assert_non_null(strstr(document.bytes, "\"current\":1"));
    put_pin(PIN("null"), 1, 0);
    expect_pin(false, 2);
    changed = rig_events(rig, "package-changed");
    put_pin(document.bytes, 1, 0);
    expect_pin(true, 1);
    put_pin(document.bytes, 0, 0);
    assert_int_equal(rig_events(rig, "package-changed"), changed);
    put_pin(PIN("3"), 0, 1);
    put_pin(PIN("7"), 0, 1);
    put_pin(PIN("7, \"multicast\": \"off\""), 1, 1);
    expect_pin(true, 1);
    conf_refused("", PIN("0"), "invalid-request", "current");
    put_pin(PIN("2, \"multicast\": \"prefer\""), 1, 0);
    expect_pin(true, 2);
    rig_sql("DELETE FROM packages");
    put_pin(document.bytes, 1, 1); /* into an empty database */
    rig_sql("DELETE FROM packages");
    rig_answer_done(&document);
}

/* ---- conditions ---- */

static void put_if(const char *match, int status)
{
    struct rig_call call = {
        .method = API_PUT,
        .path = CONFIGURATION,
        .body = "{\"format\": 1, \"packages\": [{\"name\": \"if\", \"multicast\": \"off\"}]}",
        .headers = {match}};

    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), status);
}

static void if_match_is_honoured(void **state)
{
    struct rig_answer a = rig_get(rig, RIG_ADMIN, CONFIGURATION);
    char match[128];
    char none[128];

    (void)state;
    (void)snprintf(match, sizeof match, "If-Match: %s", rig_header(&a, "ETag"));
    (void)snprintf(none, sizeof none, "If-None-Match: %s", rig_header(&a, "ETag"));
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_GET, .path = CONFIGURATION, .headers = {none}},
                   304);
    rig_answer_done(&a);
    rig_package(rig, "if", "");
    put_if(match, 412);
    a = rig_expect(rig, RIG_ADMIN,
                   &(struct rig_call){.method = API_GET, .path = CONFIGURATION, .headers = {none}},
                   200);
    (void)snprintf(match, sizeof match, "If-Match: %s", rig_header(&a, "ETag"));
    rig_answer_done(&a);
    put_if(match, 200);
    put_if(match, 412);
    put_if("If-Match: *", 200);
    rig_sql("DELETE FROM packages");
}

/* ---- a large one ---- */

#define MANY 1100

static json_int_t count_of(const struct rig_answer *a, const char *action)
{
    return rig_number_in(json_object_get(a->json, "counts"), action);
}

/* More than another body may have; the answer has the first changes only, and the number of all. */
static void a_large_document_is_one(void **state)
{
    json_t *list = json_array();
    json_t *document = json_pack("{s:i, s:o}", "format", 1, "packages", list);
    char value[241];
    char change[128];
    struct rig_answer a;
    char *body;

    (void)state;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (int i = 0; i < MANY; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "large-%04d", i);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "name",
                                                    name, "description", value, "labels", "a",
                                                    value, "b", value, "c", value, "d", value));
    }
    body = json_dumps(document, JSON_COMPACT);
    assert_true(strlen(body) > (size_t)1024 * 1024);
    a = conf_put("", body);
    assert_int_equal(conf_changes(&a, change), 1000);
    assert_string_equal(change, "packages large-0000 create");
    assert_int_equal(count_of(&a, "create"), MANY);
    assert_int_equal(count_of(&a, "change") + count_of(&a, "delete"), 0);
    rig_answer_done(&a);
    assert_true(exists("/api/v1/packages/large-1099"));
    a = conf_put("?prune=true&dry_run=true", "{\"format\": 1, \"packages\": []}");
    assert_int_equal(count_of(&a, "delete"), MANY);
    rig_answer_done(&a);
    a = conf_put("?prune=true", body); /* nothing to do */
    assert_int_equal(conf_changes(&a, change), 0);
    rig_answer_done(&a);
    rig_sql("DELETE FROM packages");
    free(body);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(effective_settings_are_never_old),
        cmocka_unit_test(a_pin_goes_out_and_in),
        cmocka_unit_test(if_match_is_honoured),
        cmocka_unit_test(a_large_document_is_one),
        cmocka_unit_test(out_and_in_and_out), /* takes the other accounts' tokens away */
        cmocka_unit_test(what_is_not_named_stays_unless_pruned),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(an_import_is_its_changes),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
