/* SPDX-License-Identifier: Apache-2.0
 * Tests of content/path: which paths are refused and which two cannot lie together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "content/path.h"

static void good_paths_pass(void **state)
{
    static const char *const good[] = {"a",
                                       "install.wim",
                                       "sources/install.wim",
                                       ".hidden/..x/x..",
                                       "with space/ümläut/日本",
                                       "\xf0\x9f\x92\xbe",
                                       "a/b/c/d/e/f",
                                       "..."};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(content_path_check(good[i], NULL), CP_OK);
    }
}

static void bad_paths_are_refused(void **state)
{
    static const struct {
        const char *path, *reason;
    } bad[] = {
        {"", "empty"},
        {"/etc/passwd", "absolute"},
        {"a//b", "empty part"},
        {"a/", "empty part"},
        {"../a", "'..'"},
        {"a/../b", "'..'"},
        {"a/..", "'..'"},
        {"./a", "'.'"},
        {"a/.", "'.'"},
        {"..", "'..'"},
        {"a\\b", "backslash"},
        {"a\nb", "control"},
        {"a\x7f", "control"},
        {"a\xc2\x85", "control"},
        {"\xff", "UTF-8"},
        {"a\xc0\xaf", "UTF-8"},
        {"a\xed\xa0\x80", "UTF-8"},
        {"a\xf4\x90\x80\x80", "UTF-8"},
        {"a\xe2\x82", "UTF-8"},
        {"\xe0\x80\xaf", "UTF-8"},
        {"//", "absolute"},
    };
    struct cp_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memset(&err, 0, sizeof err);
        assert_int_equal(content_path_check(bad[i].path, &err), CP_ERR_PATH_INVALID);
        assert_int_equal(err.code, CP_ERR_PATH_INVALID);
        assert_non_null(strstr(err.text, bad[i].reason));
    }
    assert_int_equal(content_path_check("/etc/passwd", &err), CP_ERR_PATH_INVALID);
    assert_non_null(strstr(err.text, "'/etc/passwd'"));
}

static void lengths_are_bounded(void **state)
{
    char path[CONTENT_PATH_MAX + 2];
    struct cp_error err;

    (void)state;
    memset(path, 'a', sizeof path);
    for (size_t i = 200; i < CONTENT_PATH_MAX; i += 201) {
        path[i] = '/';
    }
    path[CONTENT_PATH_MAX] = '\0';
    assert_int_equal(content_path_check(path, &err), CP_OK);
    path[CONTENT_PATH_MAX] = 'a';
    path[CONTENT_PATH_MAX + 1] = '\0';
    assert_int_equal(content_path_check(path, &err), CP_ERR_PATH_INVALID);

    memset(path, 'b', sizeof path);
    path[CONTENT_PATH_PART_MAX] = '\0';
    assert_int_equal(content_path_check(path, &err), CP_OK);
    path[CONTENT_PATH_PART_MAX] = 'b';
    path[CONTENT_PATH_PART_MAX + 1] = '\0';
    assert_int_equal(content_path_check(path, &err), CP_ERR_PATH_INVALID);
}

static void conflicts_are_found(void **state)
{
    struct cp_error err;

    (void)state;
    assert_true(content_path_conflicts("a", "a"));
    assert_true(content_path_conflicts("a/B", "A/b"));
    assert_true(content_path_conflicts("a", "a/b"));
    assert_true(content_path_conflicts("a/b/c", "A/B"));
    assert_false(content_path_conflicts("a", "ab"));
    assert_false(content_path_conflicts("a/b", "a/c"));
    assert_false(content_path_conflicts("a.b", "a/b"));
    assert_false(content_path_conflicts("\xc3\xa4", "\xc3\x84")); /* only ASCII is folded */
    assert_int_equal(content_path_check_pair("x/y", "X", &err), CP_ERR_PATH_DUPLICATE);
    assert_non_null(strstr(err.text, "'x/y'"));
    assert_non_null(strstr(err.text, "'X'"));
    assert_int_equal(content_path_check_pair("x", "y", &err), CP_OK);
}

static void a_whole_set_is_checked(void **state)
{
    /* "a.b" and "a-b" sort between "a" and "a/b" bytewise: the check must not be fooled. */
    const char *hidden[] = {"a/b", "a.b", "z", "a-b", "A"};
    const char *fine[] = {"a/b", "a.b", "z", "a-b", "a/c/d"};
    const char *bad[] = {"a", "../b"};

    (void)state;
    assert_int_equal(content_paths_check(hidden, 5, NULL), CP_ERR_PATH_DUPLICATE);
    assert_int_equal(content_paths_check(fine, 5, NULL), CP_OK);
    assert_int_equal(content_paths_check(bad, 2, NULL), CP_ERR_PATH_INVALID);
    assert_int_equal(content_paths_check(NULL, 0, NULL), CP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_paths_pass),        cmocka_unit_test(bad_paths_are_refused),
        cmocka_unit_test(lengths_are_bounded),    cmocka_unit_test(conflicts_are_found),
        cmocka_unit_test(a_whole_set_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
