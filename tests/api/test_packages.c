/* SPDX-License-Identifier: Apache-2.0
 * Packages beyond their life: finding them, the current version, deletions and what is in their way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/api/join_rig.h"

#define PACKAGES "/api/v1/packages"

static struct rig_answer post(const char *path, int status)
{
    return rig_expect(rig, RIG_OPERATOR, &(struct rig_call){.method = API_POST, .path = path},
                      status);
}

/* Only that it was answered as expected counts. */
static void forget(struct rig_answer a)
{
    rig_answer_done(&a);
}

/* ---- finding ---- */

/* Follows Link from page to page, two rows each; names in `expected` are one after the other. */
static void walk(const char *query, const char *field, const char *expected)
{
    char path[1024];
    char seen[512] = "";
    size_t at = 0;

    (void)snprintf(path, sizeof path, PACKAGES "%s%climit=2", query,
                   strchr(query, '?') != NULL ? '&' : '?');
    for (;;) {
        struct rig_answer a = rig_get(rig, RIG_VIEWER, path);
        json_t *items = json_object_get(a.json, "items");
        char *end;

        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *value = json_object_get(json_array_get(items, i), field);
            const char *text = json_string_value(value);

            if (text != NULL) {
                at += (size_t)snprintf(seen + at, sizeof seen - at, "%s ", text);
            } else {
                at += (size_t)snprintf(seen + at, sizeof seen - at, "%d ",
                                       (int)json_integer_value(value));
            }
        }
        assert_true((a.link != NULL) == json_is_string(json_object_get(a.json, "next")));
        if (a.link == NULL) {
            rig_answer_done(&a);
            break;
        }
        assert_int_equal(a.link[0], '<');
        end = strstr(a.link, ">; rel=\"next\"");
        assert_non_null(end);
        (void)snprintf(path, sizeof path, "%.*s", (int)(end - a.link) - 1, a.link + 1);
        rig_answer_done(&a);
    }
    assert_string_equal(seen, expected);
}

static void packages_are_found(void **state)
{
    (void)state;
    rig_package(rig, "find-c", ", \"labels\": {\"os\": \"linux\"}");
    rig_package(rig, "find-a", ", \"labels\": {\"os\": \"linux\"}, \"multicast\": \"require\"");
    rig_package(rig, "find-b", ", \"labels\": {\"os\": \"windows\"}");
    rig_package(rig, "find-d",
                ", \"labels\": {\"os\": \"linux\"},"
                " \"content_access\": \"anonymous\"");
    rig_package(rig, "find-e", ", \"labels\": {\"os\": \"linux\", \"x\": \"a:b\"}");
    rig_change(rig, PACKAGES "/find-c", "{\"encrypt\": false}");

    walk("?name_prefix=find-", "name", "find-a find-b find-c find-d find-e ");
    walk("?name_prefix=find-&sort=name", "name", "find-a find-b find-c find-d find-e ");
    walk("?name_prefix=find-&sort=-name", "name", "find-e find-d find-c find-b find-a ");
    walk("?name_prefix=find-&sort=created_at", "name", "find-c find-a find-b find-d find-e ");
    walk("?name_prefix=find-&sort=-created_at", "name", "find-e find-d find-b find-a find-c ");
    walk("?name_prefix=find-&sort=updated_at", "name", "find-a find-b find-d find-e find-c ");
    walk("?name_prefix=find-&sort=-updated_at", "name", "find-c find-e find-d find-b find-a ");
    walk("?name_prefix=find-&label=os:linux", "name", "find-a find-c find-d find-e ");
    walk("?name_prefix=find-&label=os:linux&sort=-name", "name", "find-e find-d find-c find-a ");
    walk("?label=os:linux&sort=created_at&name_prefix=find-", "name",
         "find-c find-a find-d find-e ");
    walk("?label=os:linux&sort=-updated_at&name_prefix=find-", "name",
         "find-c find-e find-d find-a ");
    walk("?label=x:a:b", "name", "find-e ");
    walk("?label=os:none", "name", "");
    walk("?name_prefix=find-&multicast=require", "name", "find-a ");
    walk("?name_prefix=find-&content_access=anonymous", "name", "find-d ");
    walk("?name_prefix=find-&label=os:linux&multicast=require&content_access=anonymous", "name",
         "");
    walk("?name_prefix=find-d", "name", "find-d ");
    walk("?name_prefix=zzz", "name", "");
}

static void wrong_lists_are_refused(void **state)
{
    static const char *const wrong[][2] = {{"?sort=size", "sort"},
                                           {"?sort=--name", "sort"},
                                           {"?sort=", "sort"},
                                           {"?label=nocolon", "label"},
                                           {"?label=Upper:x", "label"},
                                           {"?label=:x", "label"},
                                           {"?name_prefix=", "name_prefix"},
                                           {"?multicast=always", "multicast"},
                                           {"?sort=created_at&after=find-a", "after"},
                                           {"?sort=created_at&after=_x", "after"},
                                           {"?sort=created_at&after=12_", "after"},
                                           {"?sort=created_at&after=99999999999999999_x", "after"},
                                           {"/find-a/versions?sort=name", "sort"},
                                           {"/find-a/versions?state=open", "state"}};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char path[256];

        (void)snprintf(path, sizeof path, PACKAGES "%s", wrong[i][0]);
        rig_refused(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path},
                    "invalid-request", wrong[i][1]);
    }
}

/* ---- the current version ---- */

static int current_of(const char *package)
{
    char path[128];
    struct rig_answer a;
    int version;

    (void)snprintf(path, sizeof path, PACKAGES "/%s/versions/current", package);
    a = rig_get(rig, RIG_VIEWER, path);
    version = (int)rig_number(&a, "version");
    rig_answer_done(&a);
    (void)snprintf(path, sizeof path, PACKAGES "/%s", package);
    a = rig_get(rig, RIG_VIEWER, path);
    assert_int_equal(rig_number(&a, "current_version"), version);
    rig_answer_done(&a);
    return version;
}

static void sealed_versions(const char *package, int count)
{
    char path[128];

    rig_package(rig, package, "");
    for (int v = 1; v <= count; v++) {
        if (v > 1) {
            struct rig_answer a;

            (void)snprintf(path, sizeof path, PACKAGES "/%s/versions", package);
            a = post(path, 201);
            rig_answer_done(&a);
        }
        rig_put(rig, package, v, "a.txt", "content");
        rig_seal(rig, package, v);
    }
}

static void change(const char *path, int expected)
{
    struct rig_answer a = post(path, 200);

    assert_int_equal(rig_number(&a, "current_version"), expected);
    assert_true(json_is_true(json_object_get(a.json, "current_pinned")));
    rig_answer_done(&a);
}

/* What was current before the promotion was retired since, or deleted: the one below is next. */
static void a_rollback_passes_over_what_is_gone(void **state)
{
    struct rig_call call = {.method = API_POST, .path = PACKAGES "/passes/rollback"};
    struct rig_answer a;
    char match[128];

    (void)state;
    sealed_versions("passes", 3);
    change(PACKAGES "/passes/versions/3/promote", 3);
    change(PACKAGES "/passes/versions/2/promote", 2);
    a = post(PACKAGES "/passes/versions/3/retire", 200);
    rig_answer_done(&a);
    change(PACKAGES "/passes/rollback", 1);
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "no sealed version before");

    sealed_versions("passes-2", 3);
    change(PACKAGES "/passes-2/versions/2/promote", 2);
    a = post(PACKAGES "/passes-2/versions/3/retire", 200);
    rig_answer_done(&a);
    rig_if_match(rig, PACKAGES "/passes-2/versions/3", match);
    call = (struct rig_call){
        .method = API_DELETE, .path = PACKAGES "/passes-2/versions/3", .headers = {match}};
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    change(PACKAGES "/passes-2/rollback", 1);
}

/* Its answer was lost, the client sends it again. */
static void a_step_is_done_once(void **state)
{
    struct rig_call call = {.method = API_POST, .path = PACKAGES "/step/rollback"};
    struct rig_answer a;

    (void)state;
    sealed_versions("step", 3);
    call.headers[0] = "Idempotency-Key: back";
    for (int i = 0; i < 2; i++) {
        a = rig_expect(rig, RIG_OPERATOR, &call, 200);
        assert_int_equal(rig_number(&a, "current_version"), 2);
        assert_true((rig_header(&a, "Idempotency-Replayed") != NULL) == (i == 1));
        rig_answer_done(&a);
    }
    assert_int_equal(current_of("step"), 2);
    call.path = PACKAGES "/step/versions/1/promote";
    rig_refused(rig, RIG_OPERATOR, &call, "idempotency-key-reused", "back");
    call.headers[0] = "Idempotency-Key: first";
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    change(PACKAGES "/step/versions/3/promote", 3);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200); /* not promoted again */
    assert_int_equal(current_of("step"), 3);
}

#define PROMO PACKAGES "/promo"

static void a_version_is_promoted_and_rolled_back(void **state)
{
    struct rig_call call = {.method = API_POST, .path = PROMO "/rollback"};
    struct rig_answer a;

    (void)state;
    sealed_versions("promo", 3);
    assert_int_equal(current_of("promo"), 3);
    change(PROMO "/versions/1/promote", 1);
    assert_int_equal(current_of("promo"), 1);
    change(PROMO "/versions/1/promote", 1); /* again: nothing happens */
    assert_int_equal(rig_events(rig, "version-promoted"), 1);
    a = post(PROMO "/versions", 201);
    rig_answer_done(&a);
    rig_put(rig, "promo", 4, "a.txt", "content");
    rig_seal(rig, "promo", 4);
    assert_int_equal(current_of("promo"), 1); /* whatever is sealed later */
    change(PROMO "/versions/2/promote", 2);
    change(PROMO "/rollback", 1);
    change(PROMO "/rollback", 3); /* what was current before the first promotion */
    change(PROMO "/rollback", 2); /* without a promotion: the one below */
    change(PROMO "/rollback", 1);
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "no sealed version before");
    assert_int_equal(rig_events(rig, "package-rolled-back"), 4);

    call = (struct rig_call){.method = API_DELETE, .path = PROMO "/current-pin"};
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_int_equal(rig_number(&a, "current_version"), 4);
    assert_true(json_is_false(json_object_get(a.json, "current_pinned")));
    rig_answer_done(&a);
    assert_int_equal(current_of("promo"), 4);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200); /* again: nothing happens */
    assert_int_equal(rig_events(rig, "package-unpinned"), 1);
    change(PROMO "/rollback", 3); /* of what is current now, not of what was long ago */
}

static void promotions_are_kept(void **state)
{
    static const char *const kinds[] = {"rollback", "unpin", "rollback", "rollback"};
    struct rig_answer a = rig_get(rig, RIG_VIEWER, PROMO "/promotions?limit=4");
    json_t *items = json_object_get(a.json, "items");

    (void)state;
    assert_int_equal(json_array_size(items), 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(rig_text_in(json_array_get(items, i), "kind"), kinds[i]);
        assert_string_equal(rig_text_in(json_array_get(items, i), "actor"), "operator");
    }
    assert_int_equal(rig_number_in(json_array_get(items, 0), "version"), 3);
    assert_int_equal(rig_number_in(json_array_get(items, 0), "previous"), 4);
    assert_true(json_is_null(json_object_get(json_array_get(items, 1), "version")));
    rig_answer_done(&a);
    walk("/promo/promotions", "previous", "4 1 2 3 1 2 1 3 ");
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = PACKAGES "/none/promotions"},
                "package-not-found", "none");
}

static void only_what_is_sealed_is_current(void **state)
{
    struct rig_call call = {.method = API_POST, .path = PACKAGES "/pin/versions/2/promote"};
    struct rig_answer a;

    (void)state;
    sealed_versions("pin", 1);
    a = post(PACKAGES "/pin/versions", 201);
    rig_answer_done(&a);
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "draft");
    call.path = PACKAGES "/pin/versions/9/promote";
    rig_refused(rig, RIG_OPERATOR, &call, "version-not-found", "9");
    call.path = PACKAGES "/none/versions/1/promote";
    rig_refused(rig, RIG_OPERATOR, &call, "package-not-found", "none");
    call.path = PACKAGES "/pin/versions/1/promote";
    call.headers[0] = "If-Match: \"r1\"";
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-failed", "\"r1\"");
    call.headers[0] = NULL;
    change(call.path, 1);
    /* it stays: neither retired nor deleted */
    call.path = PACKAGES "/pin/versions/1/retire";
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "current-pin");
    a = rig_expect(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_DELETE, .path = PACKAGES "/pin/current-pin"},
                   200);
    rig_answer_done(&a);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    call.path = PACKAGES "/pin/versions/1/promote";
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "retired");
    call.path = PACKAGES "/pin/rollback";
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", NULL);
}

static void a_pinned_package_can_go(void **state)
{
    struct rig_call call = {.method = API_DELETE, .path = PACKAGES "/pingone"};
    char match[128];

    (void)state;
    sealed_versions("pingone", 2);
    change(PACKAGES "/pingone/versions/1/promote", 1);
    rig_if_match(rig, PACKAGES "/pingone", match);
    call.headers[0] = match;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
}

/* What a package shows of its versions is under its ETag. */
static void the_etag_follows_the_versions(void **state)
{
    char before[128];
    char after[128];
    struct rig_answer a;

    (void)state;
    rig_package(rig, "tagged", "");
    rig_if_match(rig, PACKAGES "/tagged", before);
    a = post(PACKAGES "/tagged/versions", 201);
    rig_answer_done(&a);
    rig_if_match(rig, PACKAGES "/tagged", after);
    assert_string_not_equal(before, after);
    rig_put(rig, "tagged", 1, "a.txt", "content");
    rig_if_match(rig, PACKAGES "/tagged", before);
    assert_string_equal(before, after); /* files are the version's */
    rig_seal(rig, "tagged", 1);
    rig_if_match(rig, PACKAGES "/tagged", after);
    assert_string_not_equal(before, after);
}

static void versions_are_found(void **state)
{
    (void)state;
    sealed_versions("vlist", 3);
    forget(post(PACKAGES "/vlist/versions/2/retire", 200));
    forget(post(PACKAGES "/vlist/versions", 201));
    forget(post(PACKAGES "/vlist/versions", 201));
    walk("/vlist/versions", "version", "5 4 3 2 1 ");
    walk("/vlist/versions?sort=version", "version", "1 2 3 4 5 ");
    walk("/vlist/versions?sort=-version", "version", "5 4 3 2 1 ");
    walk("/vlist/versions?state=sealed", "version", "3 1 ");
    walk("/vlist/versions?state=draft&sort=version", "version", "4 5 ");
    walk("/vlist/versions?state=retired", "version", "2 ");
}

/* ---- deletions ---- */

static void a_dry_run_deletes_nothing(void **state)
{
    struct rig_call call = {.method = API_DELETE, .path = PACKAGES "/dry?dry_run=true"};
    int deleted = rig_events(rig, "package-deleted");
    char match[128];
    struct rig_answer a;

    (void)state;
    sealed_versions("dry", 2);
    rig_refused(rig, RIG_OPERATOR, &call, "precondition-required", NULL);
    rig_if_match(rig, PACKAGES "/dry", match);
    call.headers[0] = match;
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_true(json_is_true(json_object_get(a.json, "dry_run")));
    assert_int_equal(rig_number(&a, "versions"), 2);
    assert_int_equal(rig_number(&a, "files"), 2);
    assert_int_equal(rig_number(&a, "bytes"), 14);
    assert_int_equal(rig_number(&a, "sessions"), 0);
    rig_answer_done(&a);
    assert_int_equal(current_of("dry"), 2);

    call.path = PACKAGES "/dry/versions/1?dry_run=true";
    rig_if_match(rig, PACKAGES "/dry/versions/1", match);
    rig_refused(rig, RIG_OPERATOR, &call, "conflict", "retire"); /* as the deletion itself */
    forget(post(PACKAGES "/dry/versions/1/retire", 200));
    rig_if_match(rig, PACKAGES "/dry/versions/1", match);
    a = rig_expect(rig, RIG_OPERATOR, &call, 200);
    assert_int_equal(rig_number(&a, "versions"), 1);
    assert_int_equal(rig_number(&a, "files"), 1);
    rig_answer_done(&a);
    call.path = PACKAGES "/dry/versions/1?dry_run=perhaps";
    rig_refused(rig, RIG_OPERATOR, &call, "invalid-request", "dry_run");
    call.path = PACKAGES "/dry/versions/1?dry_run=false";
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 204);
    assert_int_equal(rig_events(rig, "package-deleted"), deleted);
}

static void what_is_in_the_way_is_named(void **state)
{
    static const char *const paths[] = {PACKAGES "/busy", PACKAGES "/busy?dry_run=true"};
    char match[128];
    struct joined j;
    struct rig_answer a;

    (void)state;
    rig_content_access(rig, "authenticated");
    sealed_package("busy", "");
    j = joined_as(RIG_CONTENT, JOIN("busy", "pc"), 201);
    rig_if_match(rig, PACKAGES "/busy", match);
    for (size_t i = 0; i < 2; i++) {
        struct rig_call call = {.method = API_DELETE, .path = paths[i], .headers = {match}};
        const json_t *error;

        a = rig_expect(rig, RIG_OPERATOR, &call, 409);
        error = json_array_get(json_object_get(a.json, "errors"), 0);
        assert_string_equal(rig_text_in(error, "field"), "session");
        assert_string_equal(rig_text_in(error, "value"),
                            rig_text_in(joined_object(&j, "session"), "id"));
        rig_answer_done(&a);
    }
    joined_done(&j);
    end_sessions();
    a = rig_expect(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_DELETE, .path = paths[1], .headers = {match}},
                   200);
    assert_int_equal(rig_number(&a, "sessions"), 1);
    rig_answer_done(&a);
    assert_int_equal(
        rig_status(rig, RIG_OPERATOR,
                   &(struct rig_call){.method = API_DELETE, .path = paths[0], .headers = {match}}),
        204);
}

/* ---- what the database says ---- */

/* A conflict that no handler foresaw: its answer tells nothing of tables, indexes and statements. */
static void a_conflict_tells_no_inner_names(void **state)
{
    static const char *const inner[] = {"tests_inner", "duplicate", "constraint", "version"};
    struct rig_call create = {
        .method = API_POST, .path = PACKAGES, .body = "{\"name\": \"inner\"}"};
    struct rig_answer a;
    const char *detail;

    (void)state;
    rig_sql("CREATE UNIQUE INDEX tests_inner ON versions (description)"
            " WHERE description = 'same'");
    forget(rig_expect(rig, RIG_OPERATOR, &create, 201));
    create.path = PACKAGES "/inner/versions";
    create.body = "{\"description\": \"same\"}";
    forget(rig_expect(rig, RIG_OPERATOR, &create, 201));
    a = rig_expect(rig, RIG_OPERATOR, &create, 409);
    detail = rig_text(&a, "detail");
    assert_string_equal(rig_text(&a, "code"), "conflict");
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        if (strstr(detail, inner[i]) != NULL) {
            fail_msg("it tells of %s: %s", inner[i], detail);
        }
    }
    assert_non_null(strstr(detail, "only one may have it"));
    rig_answer_done(&a);
    rig_sql("DROP INDEX tests_inner");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packages_are_found),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(a_version_is_promoted_and_rolled_back),
        cmocka_unit_test(promotions_are_kept),
        cmocka_unit_test(a_rollback_passes_over_what_is_gone),
        cmocka_unit_test(a_step_is_done_once),
        cmocka_unit_test(only_what_is_sealed_is_current),
        cmocka_unit_test(a_pinned_package_can_go),
        cmocka_unit_test(the_etag_follows_the_versions),
        cmocka_unit_test(versions_are_found),
        cmocka_unit_test(a_dry_run_deletes_nothing),
        cmocka_unit_test(what_is_in_the_way_is_named),
        cmocka_unit_test(a_conflict_tells_no_inner_names),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
