/* SPDX-License-Identifier: Apache-2.0
 * Tests of Range, If-Range and ETag conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/etag.h"
#include "api/range.h"

struct range_case {
    const char *header;
    uint64_t size;
    enum api_range_kind kind;
    uint64_t offset, length;
};

static void range_matrix(void **state)
{
    static const struct range_case cases[] = {
        {NULL, 10, API_RANGE_WHOLE, 0, 0},
        {"", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=0-0", 10, API_RANGE_PART, 0, 1},
        {"bytes=0-9", 10, API_RANGE_PART, 0, 10},
        {"bytes=0-10", 10, API_RANGE_PART, 0, 10},
        {"bytes=3-", 10, API_RANGE_PART, 3, 7},
        {"bytes=9-", 10, API_RANGE_PART, 9, 1},
        {"bytes=10-", 10, API_RANGE_OUTSIDE, 0, 0},
        {"bytes=10-20", 10, API_RANGE_OUTSIDE, 0, 0},
        {"bytes=-1", 10, API_RANGE_PART, 9, 1},
        {"bytes=-10", 10, API_RANGE_PART, 0, 10},
        {"bytes=-11", 10, API_RANGE_PART, 0, 10},
        {"bytes=-0", 10, API_RANGE_OUTSIDE, 0, 0},
        {"bytes=-5", 0, API_RANGE_OUTSIDE, 0, 0},
        {"bytes=0-", 0, API_RANGE_OUTSIDE, 0, 0},
        {"BYTES=1-2 ", 10, API_RANGE_PART, 1, 2},
        {"bytes= 1-2", 10, API_RANGE_PART, 1, 2},
        {"bytes=5-4", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=0-1,3-4", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=a-b", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=--1", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=1", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=1-2x", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, API_RANGE_WHOLE, 0, 0},
        {"items=0-1", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=0-18446744073709551615", 10, API_RANGE_PART, 0, 10},
        {"bytes=0-99999999999999999999999", 10, API_RANGE_PART, 0, 10},
        {"bytes=99999999999999999999999-", 10, API_RANGE_OUTSIDE, 0, 0},
        {"bytes=-99999999999999999999999", 10, API_RANGE_PART, 0, 10},
        {"bytes=18446744073709551613-18446744073709551614", UINT64_MAX, API_RANGE_PART,
         UINT64_MAX - 2, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t offset = 0;
        uint64_t length = 0;

        assert_int_equal(api_range_parse(cases[i].header, cases[i].size, &offset, &length),
                         cases[i].kind);
        assert_true(offset == cases[i].offset);
        assert_true(length == cases[i].length);
    }
}

static void if_range_must_be_the_strong_tag(void **state)
{
    struct api_pair headers[] = {{"range", "bytes=1-2"}, {"If-Range", "\"a\""}};
    struct api_request rq = {.method = API_GET, .headers = headers, .header_count = 2};
    uint64_t offset;
    uint64_t size;

    (void)state;
    assert_int_equal(api_range_request(&rq, "\"a\"", 10, &offset, &size), API_RANGE_PART);
    assert_int_equal(api_range_request(&rq, "\"b\"", 10, &offset, &size), API_RANGE_WHOLE);
    headers[1].value = "W/\"a\"";
    assert_int_equal(api_range_request(&rq, "\"a\"", 10, &offset, &size), API_RANGE_WHOLE);
    headers[1].value = "Wed, 21 Oct 2015 07:28:00 GMT";
    assert_int_equal(api_range_request(&rq, "\"a\"", 10, &offset, &size), API_RANGE_WHOLE);
}

static void etag_lists(void **state)
{
    (void)state;
    assert_true(api_etag_listed("\"r1\"", "\"r1\"", true));
    assert_true(api_etag_listed("\"x\", \"r1\"", "\"r1\"", true));
    assert_true(api_etag_listed(" * ", "\"r1\"", true));
    assert_false(api_etag_listed("W/\"r1\"", "\"r1\"", true));
    assert_true(api_etag_listed("W/\"r1\"", "\"r1\"", false));
    assert_false(api_etag_listed("\"r11\"", "\"r1\"", true));
    assert_false(api_etag_listed("r1", "\"r1\"", true));
    assert_false(api_etag_listed("\"r1", "\"r1\"", true));
    assert_false(api_etag_listed("", "\"r1\"", true));
    assert_false(api_etag_listed(",,,", "\"r1\"", true));
}

static void a_change_needs_if_match(void **state)
{
    struct api_pair header = {"If-Match", "\"r7\""};
    struct api_request rq = {.method = API_PATCH};
    struct cp_error err;

    (void)state;
    assert_int_equal(api_etag_require(&rq, 7, &err), CP_ERR_PRECONDITION_REQUIRED);
    rq.headers = &header;
    rq.header_count = 1;
    assert_int_equal(api_etag_require(&rq, 7, &err), CP_OK);
    assert_int_equal(api_etag_require(&rq, 8, &err), CP_ERR_PRECONDITION_FAILED);
    assert_non_null(strstr(err.text, "\"r7\""));
    assert_non_null(strstr(err.text, "\"r8\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_matrix),
        cmocka_unit_test(if_range_must_be_the_strong_tag),
        cmocka_unit_test(etag_lists),
        cmocka_unit_test(a_change_needs_if_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
