/* SPDX-License-Identifier: Apache-2.0
 * Tests of routing: matching, strict decoding, HEAD, 404 and 405. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/framework/router.h"

static struct api_response nothing(const struct api_context *ctx, const struct api_call *call)
{
    (void)ctx;
    (void)call;
    return (struct api_response){.status = 204, .fd = -1};
}

static const struct api_route table[] = {
    {API_GET, "/a", API_NEED_PUBLIC, "a", NULL, nothing, NULL},
    {API_GET, "/a/{x}", API_NEED_VIEWER, "ax", NULL, nothing, NULL},
    {API_DELETE, "/a/{x}", API_NEED_OPERATOR, "dx", NULL, nothing, NULL},
    {API_GET, "/a/{x}/f", API_NEED_VIEWER, "axf", NULL, nothing, NULL},
    {API_PUT, "/a/{x}/f/{rest...}", API_NEED_OPERATOR, "put", NULL, nothing, NULL},
};
#define TABLE_SIZE (sizeof table / sizeof table[0])

static enum cp_err find(enum api_method method, const char *path, struct api_match *m)
{
    memset(m, 0, sizeof *m);
    return api_route_find(table, TABLE_SIZE, method, path, m, NULL);
}

static void finds_literal_parameter_and_greedy(void **state)
{
    struct api_match m;

    (void)state;
    assert_int_equal(find(API_GET, "/a", &m), CP_OK);
    assert_string_equal(m.route->operation, "a");
    assert_int_equal(m.param_count, 0);
    api_match_done(&m);

    assert_int_equal(find(API_GET, "/a/win%2011", &m), CP_OK);
    assert_string_equal(m.route->operation, "ax");
    assert_string_equal(m.params[0], "win 11");
    api_match_done(&m);

    assert_int_equal(find(API_PUT, "/a/p/f/sources/boot.wim", &m), CP_OK);
    assert_int_equal(m.param_count, 2);
    assert_string_equal(m.params[0], "p");
    assert_string_equal(m.params[1], "sources/boot.wim");
    api_match_done(&m);
}

static void greedy_keeps_dots_and_slashes_for_the_path_rules(void **state)
{
    struct api_match m;

    (void)state;
    assert_int_equal(find(API_PUT, "/a/p/f//etc/passwd", &m), CP_OK);
    assert_string_equal(m.params[1], "/etc/passwd");
    api_match_done(&m);
    assert_int_equal(find(API_PUT, "/a/p/f/%2e%2E%2fx", &m), CP_OK);
    assert_string_equal(m.params[1], "../x");
    api_match_done(&m);
    assert_int_equal(find(API_PUT, "/a/p/f/", &m), CP_ERR_NOT_FOUND);
}

static void head_is_answered_by_get(void **state)
{
    struct api_match m;

    (void)state;
    assert_int_equal(find(API_HEAD, "/a/x", &m), CP_OK);
    assert_string_equal(m.route->operation, "ax");
    api_match_done(&m);
    assert_int_equal(find(API_HEAD, "/a/p/f/x", &m), CP_ERR_METHOD_NOT_ALLOWED);
}

static void unknown_addresses_are_404(void **state)
{
    static const char *const paths[] = {"", "a", "/", "/b", "/a/", "/A", "/a/x/", "/a/x/g", "//a"};
    struct api_match m;

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(find(API_GET, paths[i], &m), CP_ERR_NOT_FOUND);
    }
}

static void wrong_method_is_405_with_allow(void **state)
{
    struct api_match m;
    char allow[64];

    (void)state;
    assert_int_equal(find(API_POST, "/a/x", &m), CP_ERR_METHOD_NOT_ALLOWED);
    api_allow_text(m.allowed, allow, sizeof allow);
    assert_string_equal(allow, "GET, HEAD, DELETE");
    assert_int_equal(find(API_GET, "/a/x/f/y", &m), CP_ERR_METHOD_NOT_ALLOWED);
    api_allow_text(m.allowed, allow, sizeof allow);
    assert_string_equal(allow, "PUT");
}

static void bad_escapes_are_refused(void **state)
{
    static const char *const paths[] = {"/a/%",     "/a/x%2", "/a/%zz", "/a/%00",
                                        "/a/a%2fb", "/a/%2F", "/a/%2 ", "/a/%-1"};
    struct api_match m;
    struct cp_error err;

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        memset(&m, 0, sizeof m);
        assert_int_equal(api_route_find(table, TABLE_SIZE, API_GET, paths[i], &m, &err),
                         CP_ERR_INVALID);
        assert_null(m.storage);
        assert_non_null(strstr(err.text, paths[i] + 3));
    }
    assert_int_equal(find(API_PUT, "/a/p/f/x%00y", &m), CP_ERR_INVALID);
    assert_int_equal(find(API_PUT, "/a/p%2fq/f/x", &m), CP_ERR_INVALID);
}

static void long_addresses_are_handled(void **state)
{
    static char path[70000];
    struct api_match m;

    (void)state;
    memset(path, 'x', sizeof path - 1);
    memcpy(path, "/a/", 3);
    assert_int_equal(find(API_GET, path, &m), CP_OK);
    assert_int_equal(strlen(m.params[0]), sizeof path - 4);
    api_match_done(&m);
    memcpy(path, "/b/", 3);
    assert_int_equal(find(API_GET, path, &m), CP_ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_literal_parameter_and_greedy),
        cmocka_unit_test(greedy_keeps_dots_and_slashes_for_the_path_rules),
        cmocka_unit_test(head_is_answered_by_get),
        cmocka_unit_test(unknown_addresses_are_404),
        cmocka_unit_test(wrong_method_is_405_with_allow),
        cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(long_addresses_are_handled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
