/* SPDX-License-Identifier: Apache-2.0
 * Strong ETags: none comes again for a thing that was made anew, and none stays while what is shown
 * changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/api/hook_rig.h"
#include "tests/api/key_rig.h"
#include "tests/api/rig_audit.h"

#define PACKAGES "/api/v1/packages"
#define ACCOUNTS "/api/v1/accounts"

/* Asks with the tag of before; the headers as a client sends them. */
static void expect_with(enum api_method method, const char *path, const char *header,
                        const char *etag, int status)
{
    char line[160];
    struct rig_call call = {.method = method,
                            .path = path,
                            .body = method == API_PATCH ? "{}" : NULL,
                            .headers = {line}};
    struct rig_answer a;

    (void)snprintf(line, sizeof line, "%s: %s", header, etag);
    a = rig_expect(rig, RIG_ADMIN, &call, status);
    rig_answer_done(&a);
}

static void get_tag(const char *path, char ret_etag[128])
{
    struct rig_answer a = rig_get(rig, RIG_ADMIN, path);

    (void)snprintf(ret_etag, 128, "%s", rig_header(&a, "ETag"));
    rig_answer_done(&a);
}

/* ---- made anew ---- */

static void make_package(void)
{
    rig_package(rig, "again", "");
}

static void make_account(void)
{
    struct rig_call call = {.method = API_POST,
                            .path = ACCOUNTS,
                            .body = "{\"name\": \"again\", \"role\": \"viewer\"}"};

    assert_int_equal(rig_status(rig, RIG_ADMIN, &call), 201);
}

static void make_webhook(void)
{
    hook_make("again", "https://hooks.example", "", NULL);
}

static void a_tag_never_comes_again(void **state)
{
    static const struct {
        void (*make)(void);
        const char *made, *path;
    } things[] = {
        {make_package, PACKAGES "/again", PACKAGES "/again"},
        {make_package, PACKAGES "/again", PACKAGES "/again/versions/1"},
        {make_account, ACCOUNTS "/again", ACCOUNTS "/again"},
        {make_webhook, HOOKS "/again", HOOKS "/again"},
    };

    (void)state;
    rig_audit_same("updateVersion"); /* by "{}" */
    rig_audit_same("updateWebhook");
    rig_audit_same("updateToken");
    for (size_t i = 0; i < sizeof things / sizeof things[0]; i++) {
        char made[128], etag[128];

        things[i].make();
        rig_change(rig, things[i].path, "{}");
        get_tag(things[i].made, made);
        get_tag(things[i].path, etag);
        expect_with(API_DELETE, things[i].made, "If-Match", made, 204);
        things[i].make();
        rig_change(rig, things[i].path, "{}"); /* as often as the first one */
        expect_with(API_GET, things[i].path, "If-None-Match", etag, 200);
        expect_with(API_PATCH, things[i].path, "If-Match", etag, 412);
        get_tag(things[i].made, made);
        expect_with(API_DELETE, things[i].made, "If-Match", made, 204);
    }
}

/* ---- changed ---- */

static void a_new_signature_changes_the_tag(void **state)
{
    const char *path = PACKAGES "/kept/versions/1";
    struct rig_call rotate = key_post(KEY_MULTICAST "/rotate", NULL);
    char etag[128];

    (void)state;
    get_tag(path, etag);
    expect_with(API_GET, path, "If-None-Match", etag, 304);
    assert_int_equal(rig_status(rig, RIG_ADMIN, &rotate), 200);
    key_joins("signs", 201); /* before the task that signs anew has run */
    expect_with(API_GET, path, "If-None-Match", etag, 200);
    get_tag(path, etag);
    rig_work(rig);
    expect_with(API_GET, path, "If-None-Match", etag, 304); /* nothing was left to sign */
}

static void what_moves_by_itself_is_never_304(void **state)
{
    struct rig_call call = {
        .method = API_POST, .path = ACCOUNTS "/again/tokens", .body = "{\"role\": \"viewer\"}"};
    char token[96], etag[128];
    const char *const paths[] = {ACCOUNTS "/again", HOOKS "/again", token,
                                 "/api/v1/distribution-points/local/settings"};
    struct rig_answer a;

    (void)state;
    make_account();
    make_webhook();
    a = rig_expect(rig, RIG_ADMIN, &call, 201);
    (void)snprintf(token, sizeof token, "/api/v1/tokens/%s", rig_text(&a, "id"));
    rig_answer_done(&a);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        get_tag(paths[i], etag);
        expect_with(API_GET, paths[i], "If-None-Match", etag, 200);
        expect_with(API_PATCH, paths[i], "If-Match", etag, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_never_comes_again),
        cmocka_unit_test(a_new_signature_changes_the_tag),
        cmocka_unit_test(what_moves_by_itself_is_never_304),
    };

    return cmocka_run_group_tests(tests, key_set_up, rig_tear_down);
}
