/* SPDX-License-Identifier: Apache-2.0
 * Events: the list's filters, and what it does not tell viewers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/event.h"
#include "tests/api/rig.h"

static size_t listed(const char *query)
{
    char path[256];
    struct rig_call call = {.method = API_GET, .path = path};
    struct rig_answer a;
    size_t count;

    (void)snprintf(path, sizeof path, "/api/v1/events?limit=1000&%s", query);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    count = json_array_size(json_object_get(a.json, "items"));
    rig_answer_done(&a);
    return count;
}

static void the_list_has_filters(void **state)
{
    struct rig_call get = {.method = API_GET, .path = "/api/v1/events?limit=1"};
    struct rig_answer a;
    const json_t *first;

    (void)state;
    rig_package(rig, "listed", "");
    rig_write_event("session-failed", "session x");
    rig_write_event("multicast-key-replaced", "key y");
    a = rig_expect(rig, RIG_VIEWER, &get, 200);
    first = json_array_get(json_object_get(a.json, "items"), 0);
    assert_string_equal(rig_text_in(first, "kind"), "multicast-key-replaced");
    assert_string_equal(rig_text_in(first, "severity"), "warning");
    assert_string_equal(rig_text_in(first, "summary"),
                        cp_event_info("multicast-key-replaced")->sentence);
    rig_answer_done(&a);
    assert_int_equal(listed("kind=session-failed"), 1);
    assert_int_equal(listed("kind=session-failed,multicast-key-replaced"), 2);
    assert_int_equal(listed("severity=error"), 1);
    assert_int_equal(listed("severity=warning"), 2);
    assert_int_equal(listed("severity=error&kind=package-created"), 0);
    assert_int_equal(listed("subject=session x"), 1);
    assert_int_equal(listed("subject=session x&kind=package-created"), 0);
    assert_int_equal(listed("since=2020-01-01T00:00:00Z&kind=session-failed"), 1);
    assert_int_equal(listed("since=2090-01-01T00:00:00Z"), 0);
    get.path = "/api/v1/events?kind=no-such-kind";
    rig_refused(rig, RIG_VIEWER, &get, "invalid-request", NULL);
    get.path = "/api/v1/events?severity=loud";
    rig_refused(rig, RIG_VIEWER, &get, "invalid-request", NULL);
    get.path = "/api/v1/events?since=yesterday";
    rig_refused(rig, RIG_VIEWER, &get, "invalid-request", NULL);
}

/* The detail of the newest event of a subject, as viewers see it, is that. */
static void expect_detail(const char *subject, const char *text)
{
    char path[256];
    struct rig_call call = {.method = API_GET, .path = path};
    const json_t *detail;
    struct rig_answer a;
    char *seen;

    (void)snprintf(path, sizeof path, "/api/v1/events?limit=1&subject=%s", subject);
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    detail = json_object_get(json_array_get(json_object_get(a.json, "items"), 0), "detail");
    seen = json_dumps(detail, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(seen);
    assert_string_equal(seen, text);
    free(seen);
    rig_answer_done(&a);
}

/* Viewers may not read accounts, so they do not read them here either; the audit log has it all. */
static void accounts_are_not_told_to_viewers(void **state)
{
    static const char path[] = "/api/v1/accounts/told";
    struct rig_call call = {.method = API_POST,
                            .path = "/api/v1/accounts",
                            .body = "{\"name\": \"told\", \"role\": \"viewer\","
                                    " \"description\": \"of the vault\"}"};
    struct rig_call patch = {.method = API_PATCH,
                             .path = path,
                             .body = "{\"role\": \"operator\", \"password\": \"words of told\"}"};
    struct rig_call audit = {.method = API_GET, .path = "/api/v1/audit?subject=account told"};
    struct rig_answer a;
    const json_t *items;
    char match[128];

    (void)state;
    a = rig_expect(rig, RIG_ADMIN, &call, 201);
    rig_answer_done(&a);
    expect_detail("account told", "{\"name\":\"told\"}");
    rig_if_match(rig, path, match);
    patch.headers[0] = match;
    a = rig_expect(rig, RIG_ADMIN, &patch, 200);
    rig_answer_done(&a);
    expect_detail("account told", "{\"changed\":[\"role\",\"password\"],\"name\":\"told\"}");
    a = rig_expect(rig, RIG_ADMIN, &audit, 200);
    items = json_object_get(a.json, "items");
    assert_int_equal(json_array_size(items), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *after = json_object_get(json_array_get(items, i), "after");

        assert_string_equal(rig_text_in(after, "description"), "of the vault");
        assert_string_equal(rig_text_in(after, "role"), i == 0 ? "operator" : "viewer");
    }
    rig_answer_done(&a);
}

/* Nor their tokens and certificates. */
static void credentials_are_not_told_to_viewers(void **state)
{
    struct rig_call token = {.method = API_POST,
                             .path = "/api/v1/accounts/told/tokens",
                             .body = "{\"name\": \"of a room\", \"role\": \"content\"}"};
    struct rig_call certificate = {.method = API_POST,
                                   .path = "/api/v1/accounts/told/certificates",
                                   .body = "{\"subject\": \"CN=room\", \"issuer\": \"CN=CA\"}"};
    struct rig_call patch = {.method = API_PATCH, .body = "{\"enabled\": false}"};
    char path[128], subject[128], match[128];
    struct rig_answer a;

    (void)state;
    a = rig_expect(rig, RIG_ADMIN, &token, 201);
    (void)snprintf(path, sizeof path, "/api/v1/tokens/%s", rig_text(&a, "id"));
    (void)snprintf(subject, sizeof subject, "token %s of account told", rig_text(&a, "id"));
    rig_answer_done(&a);
    expect_detail(subject, "{\"name\":\"of a room\"}");
    rig_if_match(rig, path, match);
    patch.path = path;
    patch.headers[0] = match;
    a = rig_expect(rig, RIG_ADMIN, &patch, 200);
    rig_answer_done(&a);
    expect_detail(subject, "{\"changed\":[\"enabled\"],\"name\":\"of a room\"}");
    a = rig_expect(rig, RIG_ADMIN, &certificate, 201);
    (void)snprintf(subject, sizeof subject, "certificate %s of account told", rig_text(&a, "id"));
    rig_answer_done(&a);
    expect_detail(subject, "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_list_has_filters),
        cmocka_unit_test(accounts_are_not_told_to_viewers),
        cmocka_unit_test(credentials_are_not_told_to_viewers),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
