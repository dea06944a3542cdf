/* SPDX-License-Identifier: Apache-2.0
 * The audit log: every change with what was before and after, refused attempts, no secret; nobody
 * can change it; reading it by filters, pages and lines. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/events/audit.h"
#include "common/clock.h"
#include "tests/api/rig.h"

#define AUDIT "/api/v1/audit"

/* The clock goes on as usual, and by as much as a test says. */
static cp_time later;
cp_time __real_cp_clock_now(void);
cp_time __wrap_cp_clock_now(void);

cp_time __wrap_cp_clock_now(void)
{
    return __real_cp_clock_now() + later;
}

static struct rig_answer read_audit(const char *query)
{
    char path[512];

    (void)snprintf(path, sizeof path, AUDIT "?%s", query);
    return rig_expect(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = path}, 200);
}

static size_t size_of(const struct rig_answer *a)
{
    return json_array_size(json_object_get(a->json, "items"));
}

static const json_t *entry(const struct rig_answer *a, size_t i)
{
    const json_t *found = json_array_get(json_object_get(a->json, "items"), i);

    assert_non_null(found);
    return found;
}

static const char *text_in(const json_t *e, const char *part, const char *name)
{
    return rig_text_in(json_object_get(e, part), name);
}

/* ---- changes ---- */

static void a_change_has_before_and_after(void **state)
{
    static const char path[] = "/api/v1/packages/audited";
    struct rig_call patch = {
        .method = API_PATCH, .path = path, .body = "{\"description\": \"new\"}"};
    struct rig_call delete = {.method = API_DELETE, .path = path};
    struct rig_answer a;
    char match[128];
    const json_t *e;

    (void)state;
    rig_package(rig, "audited", ", \"description\": \"old\"");
    rig_if_match(rig, path, match);
    patch.headers[0] = match;
    a = rig_expect(rig, RIG_OPERATOR, &patch, 200);
    rig_answer_done(&a);
    rig_if_match(rig, path, match);
    delete.headers[0] = match;
    a = rig_expect(rig, RIG_ADMIN, &delete, 204);
    rig_answer_done(&a);

    a = read_audit("subject=package audited");
    assert_int_equal(size_of(&a), 3);
    e = entry(&a, 2); /* created */
    assert_string_equal(rig_text_in(e, "operation"), "createPackage");
    assert_true(json_is_null(json_object_get(e, "before")));
    assert_string_equal(text_in(e, "after", "description"), "old");
    e = entry(&a, 1); /* changed */
    assert_string_equal(rig_text_in(e, "operation"), "updatePackage");
    assert_string_equal(rig_text_in(e, "account"), "operator");
    assert_string_equal(rig_text_in(e, "role"), "operator");
    assert_string_equal(rig_text_in(e, "authentication"), "token");
    assert_string_equal(rig_text_in(e, "address"), "192.0.2.7");
    assert_string_equal(rig_text_in(e, "method"), "PATCH");
    assert_string_equal(rig_text_in(e, "path"), path);
    assert_string_equal(rig_text_in(e, "request_id"), "test-request");
    assert_string_equal(rig_text_in(e, "outcome"), "done");
    assert_string_equal(text_in(e, "before", "description"), "old");
    assert_string_equal(text_in(e, "after", "description"), "new");
    e = entry(&a, 0); /* deleted */
    assert_string_equal(rig_text_in(e, "operation"), "deletePackage");
    assert_string_equal(text_in(e, "before", "description"), "new");
    assert_true(json_is_null(json_object_get(e, "after")));
    rig_answer_done(&a);
}

/* A refusal by the database takes the entry along: nothing happened. */
static void what_was_rolled_back_is_not_there(void **state)
{
    struct rig_call again = {
        .method = API_POST, .path = "/api/v1/packages", .body = "{\"name\": \"twice\"}"};
    struct rig_answer a;

    (void)state;
    rig_package(rig, "twice", "");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &again), 409);
    a = read_audit("subject=package twice");
    assert_int_equal(size_of(&a), 1);
    rig_answer_done(&a);
}

static void a_task_is_accepted(void **state)
{
    struct rig_answer a;

    (void)state;
    rig_package(rig, "tasked", "");
    rig_put(rig, "tasked", 1, "a.bin", "a");
    rig_seal(rig, "tasked", 1);
    a = read_audit("operation=sealVersion&subject=package tasked version 1");
    assert_int_equal(size_of(&a), 1);
    assert_string_equal(rig_text_in(entry(&a, 0), "outcome"), "accepted");
    assert_string_equal(text_in(entry(&a, 0), "after", "package"), "tasked");
    rig_answer_done(&a);
}

/* ---- refusals ---- */

static size_t refusals(const char *operation)
{
    char query[128];
    struct rig_answer a;
    size_t count;

    (void)snprintf(query, sizeof query, "outcome=refused&operation=%s&limit=1000", operation);
    a = read_audit(query);
    count = size_of(&a);
    rig_answer_done(&a);
    return count;
}

static void refused_attempts_are_there(void **state)
{
    struct rig_call create = {.method = API_POST, .path = "/api/v1/packages", .body = "{}"};
    struct rig_call tokens = {.method = API_POST,
                              .path = "/api/v1/accounts/admin/tokens",
                              .body = "{\"role\": \"content\"}"};
    struct rig_call put = {
        .method = API_PUT, .path = "/api/v1/packages/x/versions/1/files/a", .data = "x", .size = 1};
    struct rig_answer a;

    (void)state;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &create), 401);
    assert_int_equal(rig_status(rig, RIG_VIEWER, &create), 403);
    create.authorization = "Bearer cpt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &create), 401);
    a = read_audit("outcome=refused&operation=createPackage");
    assert_int_equal(size_of(&a), 3);
    assert_string_equal(rig_text_in(entry(&a, 0), "code"), "authentication-failed");
    assert_string_equal(rig_text_in(entry(&a, 1), "code"), "access-denied");
    assert_string_equal(rig_text_in(entry(&a, 1), "account"), "viewer");
    assert_string_equal(rig_text_in(entry(&a, 2), "code"), "authentication-required");
    assert_string_equal(rig_text_in(entry(&a, 2), "authentication"), "none");
    assert_true(json_is_null(json_object_get(entry(&a, 2), "account")));
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_VIEWER, &tokens), 403); /* by the handler itself */
    assert_int_equal(refusals("createToken"), 1);
    assert_int_equal(rig_status(rig, RIG_CONTENT, &put), 403); /* before an upload's body */
    assert_int_equal(refusals("putFile"), 1);
    create.authorization = NULL; /* who sent nonsense is not */
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &create), 400);
    assert_int_equal(refusals("createPackage"), 3);
}

/* The newest refusal has that code, and there are so many of that operation. */
static void expect_refused(const char *operation, size_t count, const char *code)
{
    struct rig_answer a;

    assert_int_equal(refusals(operation), count);
    a = read_audit("outcome=refused&limit=1");
    assert_string_equal(rig_text_in(entry(&a, 0), "operation"), operation);
    assert_string_equal(rig_text_in(entry(&a, 0), "code"), code);
    rig_answer_done(&a);
}

static void who_wants_to_read_what_is_not_for_them_is_there(void **state)
{
    struct rig_call audit = {.method = API_GET, .path = AUDIT};
    struct rig_call list = {.method = API_GET, .path = "/api/v1/packages"};
    struct rig_call upload = {.method = API_GET, .path = "/api/v1/uploads/x"};
    struct rig_call content = {.method = API_GET, .path = "/api/v1/packages/x/versions/1/manifest"};
    struct api_certificate stranger = {.state = API_CERTIFICATE_VALID};
    char basic[256];
    struct rig_answer a;

    (void)state;
    (void)memset(stranger.sha256, 'a', sizeof stranger.sha256 - 1);
    /* Everybody's first request may be without credentials, and a viewer may look around. */
    assert_int_equal(rig_status(rig, RIG_NOBODY, &audit), 401);
    assert_int_equal(rig_status(rig, RIG_NOBODY, &list), 401);
    assert_int_equal(rig_status(rig, RIG_CONTENT, &list), 403);
    assert_int_equal(refusals("listAudit") + refusals("listPackages"), 0);

    assert_int_equal(rig_status(rig, RIG_VIEWER, &audit), 403);
    expect_refused("listAudit", 1, "access-denied");
    a = read_audit("outcome=refused&limit=1");
    assert_string_equal(rig_text_in(entry(&a, 0), "account"), "viewer");
    assert_string_equal(rig_text_in(entry(&a, 0), "method"), "GET");
    rig_answer_done(&a);
    audit.method = API_HEAD;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &audit), 403);
    expect_refused("listAudit", 2, "access-denied");

    rig_basic("admin", "a wrong password", basic);
    list.authorization = basic;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &list), 401);
    expect_refused("listPackages", 1, "authentication-failed");
    content.authorization = basic;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &content), 401);
    expect_refused("getManifest", 1, "authentication-failed");
    upload.authorization = "Bearer cpt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &upload), 401);
    expect_refused("getUpload", 1, "authentication-failed");

    /* A client certificate of no account. */
    list.authorization = NULL;
    list.certificate = &stranger;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &list), 403);
    expect_refused("listPackages", 2, "access-denied");

    /* A receiver's token is void when its join has ended. */
    content.authorization = "Bearer cpr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &content), 401);
    assert_int_equal(refusals("getManifest"), 1);
}

static void a_flood_of_refusals_is_bounded(void **state)
{
    struct rig_call create = {.method = API_POST, .path = "/api/v1/webhooks", .body = "{}"};
    struct rig_answer a;
    json_int_t told = 0;

    (void)state;
    api_audit_free(rig->ctx.audit);
    assert_int_equal(api_audit_new(&rig->ctx.audit), CP_OK);
    for (int i = 0; i < 400; i++) {
        assert_int_equal(rig_status(rig, RIG_VIEWER, &create), 403);
    }
    /* 300, and one a second that has passed */
    assert_in_range(refusals("createWebhook"), 300, 360);
    later += 3600 * CP_SEC;
    assert_int_equal(rig_status(rig, RIG_VIEWER, &create), 403);
    a = read_audit("operation=createWebhook&outcome=refused&limit=1000");
    for (size_t i = 0; i < size_of(&a); i++) {
        told += 1 + rig_number_in(entry(&a, i), "left_out");
    }
    assert_int_equal(told, 401); /* none is forgotten */
    rig_answer_done(&a);
}

/* ---- no secrets ---- */

static void no_secret_is_in_it(void **state)
{
    struct rig_call account = {.method = API_POST,
                               .path = "/api/v1/accounts",
                               .body = "{\"name\": \"audited\", \"role\": \"viewer\","
                                       " \"password\": \"very secret words\"}"};
    struct rig_call token = {.method = API_POST,
                             .path = "/api/v1/accounts/audited/tokens",
                             .body = "{\"role\": \"viewer\"}"};
    struct rig_call hook = {.method = API_POST,
                            .path = "/api/v1/webhooks",
                            .body = "{\"name\": \"audited\", \"url\": \"https://h.example/\"}"};
    struct rig_answer a, all;

    (void)state;
    a = rig_expect(rig, RIG_ADMIN, &account, 201);
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_ADMIN, &token, 201);
    all = read_audit("limit=1000");
    assert_null(strstr(all.bytes, rig_text(&a, "secret")));
    rig_answer_done(&a);
    rig_answer_done(&all);
    a = rig_expect(rig, RIG_ADMIN, &hook, 201);
    all = read_audit("limit=1000");
    assert_null(strstr(all.bytes, rig_text(&a, "secret")));
    assert_null(strstr(all.bytes, "very secret words"));
    assert_null(strstr(all.bytes, "scrypt$"));
    rig_answer_done(&a);
    rig_answer_done(&all);
}

static void what_looks_like_a_secret_is_blotted_out(void **state)
{
    json_t *value = json_pack("{s:s, s:{s:s, s:[s, s, {s:s}]}, s:i}", "password", "a", "in", "x",
                              "cpt_abc", "list", "cpw_def", "plain", "secret", "b", "token", 7);
    json_t *clean = api_audit_blot(value);
    char *text = json_dumps(clean, JSON_COMPACT | JSON_SORT_KEYS);

    (void)state;
    assert_string_equal(text, "{\"in\":{\"list\":[\"(not shown)\",\"plain\",{\"secret\":\"(not "
                              "shown)\"}],\"x\":\"(not shown)\"},\"password\":\"(not shown)\","
                              "\"token\":7}");
    assert_null(api_audit_blot(NULL));
    free(text);
    json_decref(clean);
    json_decref(value);
}

/* ---- only added to ---- */

static int sql_status(const char *sql)
{
    char command[512];

    (void)snprintf(command, sizeof command,
                   "psql -qX -v ON_ERROR_STOP=1 \"$CASTPOINT_TEST_DB\" -c \"%s\" 2>/dev/null", sql);
    return system(command);
}

static void nobody_changes_it(void **state)
{
    struct rig_answer a, b;

    (void)state;
    a = read_audit("limit=1000");
    assert_true(size_of(&a) > 0);
    assert_int_not_equal(sql_status("UPDATE audit SET account = 'nobody'"), 0);
    assert_int_not_equal(sql_status("DELETE FROM audit"), 0);
    assert_int_not_equal(sql_status("TRUNCATE audit"), 0);
    b = read_audit("limit=1000");
    assert_true(json_equal(a.json, b.json));
    rig_answer_done(&a);
    rig_answer_done(&b);
}

static void readiness_is(const char *audit_log)
{
    struct rig_answer a =
        rig_expect(rig, RIG_NOBODY, &(struct rig_call){.method = API_GET, .path = "/readyz"}, 200);

    assert_string_equal(rig_text(&a, "status"), "ready");
    assert_string_equal(rig_text(&a, "audit_log"), audit_log);
    rig_answer_done(&a);
}

static void readiness_tells_whether_it_can_be_changed(void **state)
{
    (void)state;
    readiness_is("append-only");
    rig_sql("GRANT UPDATE ON audit TO castpoint_service");
    readiness_is("changeable");
    rig_sql("REVOKE UPDATE ON audit FROM castpoint_service");
    readiness_is("append-only");
}

/* ---- reading ---- */

static void pages_filters_and_lines(void **state)
{
    struct rig_call get = {.method = API_GET, .path = AUDIT};
    struct rig_answer a, lines;
    char query[128];
    size_t count;

    (void)state;
    a = read_audit("limit=1000&since=2020-01-01T00:00:00Z&until=2090-01-01T00:00:00Z");
    count = size_of(&a);
    rig_answer_done(&a);
    a = read_audit("limit=1000&since=2090-01-01T00:00:00Z");
    assert_int_equal(size_of(&a), 0);
    rig_answer_done(&a);
    a = read_audit("limit=1000&account=viewer&address=192.0.2.7&request_id=test-request");
    assert_in_range(size_of(&a), 1, count - 1);
    rig_answer_done(&a);
    a = read_audit("limit=2");
    assert_int_equal(size_of(&a), 2);
    (void)snprintf(query, sizeof query, "limit=2&after=%s", rig_text(&a, "next"));
    lines = read_audit(query);
    assert_true(rig_number_in(entry(&lines, 0), "id") < rig_number_in(entry(&a, 1), "id"));
    rig_answer_done(&lines);
    lines = read_audit("limit=2&format=jsonl");
    assert_string_equal(lines.rs.content_type, "application/jsonl");
    assert_non_null(strstr(lines.link, "format=jsonl"));
    rig_answer_done(&lines);
    rig_answer_done(&a);
    get.path = AUDIT "?outcome=maybe";
    rig_refused(rig, RIG_ADMIN, &get, "invalid-request", NULL);
    get.path = AUDIT "?until=soon";
    rig_refused(rig, RIG_ADMIN, &get, "invalid-request", NULL);
    get.path = AUDIT;
    rig_refused(rig, RIG_OPERATOR, &get, "access-denied", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_has_before_and_after),
        cmocka_unit_test(what_was_rolled_back_is_not_there),
        cmocka_unit_test(a_task_is_accepted),
        cmocka_unit_test(refused_attempts_are_there),
        cmocka_unit_test(who_wants_to_read_what_is_not_for_them_is_there),
        cmocka_unit_test(no_secret_is_in_it),
        cmocka_unit_test(what_looks_like_a_secret_is_blotted_out),
        cmocka_unit_test(nobody_changes_it),
        cmocka_unit_test(readiness_tells_whether_it_can_be_changed),
        cmocka_unit_test(pages_filters_and_lines),
        cmocka_unit_test(a_flood_of_refusals_is_bounded),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
