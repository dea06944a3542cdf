/* SPDX-License-Identifier: Apache-2.0
 * Tests of Range, If-Range and ETag conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/framework/etag.h"
#include "api/framework/http_date.h"
#include "api/framework/range.h"

struct range_case {
    const char *header;
    uint64_t size;
    enum api_range_kind kind;
    uint64_t offset, length;
};

static void one_range(void **state)
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
        {"bytes=a-b", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=--1", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=1", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=1-2x", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=1-2 3-4", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=-", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=,", 10, API_RANGE_WHOLE, 0, 0},
        {"items=0-1", 10, API_RANGE_WHOLE, 0, 0},
        {"bytes=0-18446744073709551615", 10, API_RANGE_PART, 0, 10},
        {"bytes=0-99999999999999999999999", 10, API_RANGE_PART, 0, 10},
        {"bytes=99999999999999999999999-", 10, API_RANGE_OUTSIDE, 0, 0},
        {"bytes=-99999999999999999999999", 10, API_RANGE_PART, 0, 10},
        {"bytes=18446744073709551613-18446744073709551614", UINT64_MAX, API_RANGE_PART,
         UINT64_MAX - 2, 2},
        {"bytes=4294967295-4294967296", UINT64_C(6442450944), API_RANGE_PART, 4294967295, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_ranges r;

        api_range_parse(cases[i].header, cases[i].size, &r);
        assert_int_equal(r.kind, cases[i].kind);
        assert_int_equal(r.count, cases[i].kind == API_RANGE_PART ? 1 : 0);
        if (r.count == 1) {
            assert_true(r.items[0].offset == cases[i].offset);
            assert_true(r.items[0].size == cases[i].length);
        }
    }
}

/* Content of 100 bytes. */
static void several_ranges(void **state)
{
    static const struct {
        const char *header;
        enum api_range_kind kind;
        const char *ranges; /* offset+size … */
    } cases[] = {
        {"bytes=0-1,3-4", API_RANGE_PART, "0+2 3+2 "},
        {"bytes=50-59, -5 ,0-0", API_RANGE_PART, "50+10 95+5 0+1 "},
        {"bytes=0-49,50-99", API_RANGE_PART, "0+50 50+50 "},
        {"bytes=,0-1,,3-4,", API_RANGE_PART, "0+2 3+2 "},
        {"bytes=0-1,100-", API_RANGE_PART, "0+2 "},
        {"bytes=100-,-0", API_RANGE_OUTSIDE, ""},
        {"bytes=0-10,10-20", API_RANGE_WHOLE, ""},
        {"bytes=10-20,0-99", API_RANGE_WHOLE, ""},
        {"bytes=90-,-20", API_RANGE_WHOLE, ""},
        {"bytes=0-1,3-x", API_RANGE_WHOLE, ""},
        {"bytes=0-1;3-4", API_RANGE_WHOLE, ""},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
         "30-30",
         API_RANGE_PART,
         "0+1 2+1 4+1 6+1 8+1 10+1 12+1 14+1 16+1 18+1 20+1 22+1 24+1 26+1 28+1 30+1 "},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,"
         "30-30,32-32",
         API_RANGE_WHOLE, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256] = "";
        struct api_ranges r;

        api_range_parse(cases[i].header, 100, &r);
        for (size_t k = 0; k < r.count; k++) {
            size_t at = strlen(text);

            (void)snprintf(text + at, sizeof text - at, "%d+%d ", (int)r.items[k].offset,
                           (int)r.items[k].size);
        }
        assert_int_equal(r.kind, cases[i].kind);
        assert_string_equal(text, cases[i].ranges);
    }
}

static void if_range_must_be_what_there_is(void **state)
{
    static const char date[] = "Wed, 21 Oct 2015 07:28:00 GMT";
    static const struct {
        const char *if_range, *modified;
        enum api_range_kind kind;
    } cases[] = {
        {"\"a\"", "", API_RANGE_PART},    {"\"b\"", "", API_RANGE_WHOLE},
        {"W/\"a\"", "", API_RANGE_WHOLE}, {"a", "", API_RANGE_WHOLE},
        {"", "", API_RANGE_WHOLE},        {date, date, API_RANGE_PART},
        {date, "", API_RANGE_WHOLE},      {date, "Wed, 21 Oct 2015 07:28:01 GMT", API_RANGE_WHOLE},
    };
    struct api_pair headers[] = {{"range", "bytes=1-2"}, {"If-Range", NULL}};
    struct api_request rq = {.method = API_GET, .headers = headers, .header_count = 2};
    struct api_ranges r;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        headers[1].value = cases[i].if_range;
        api_range_request(&rq, "\"a\"", cases[i].modified, 10, &r);
        assert_int_equal(r.kind, cases[i].kind);
    }
    rq.header_count = 1;
    rq.method = API_HEAD;
    api_range_request(&rq, "\"a\"", "", 10, &r);
    assert_int_equal(r.kind, API_RANGE_WHOLE);
}

static void http_dates(void **state)
{
    static const char *const same[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
                                       "Sunday, 06-Nov-94 08:49:37 GMT",
                                       "Sun Nov  6 08:49:37 1994"};
    static const char *const bad[] = {"", "yesterday", "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sun, 32 Nov 1994 08:49:37 GMT"};
    char text[API_HTTP_DATE_SIZE];
    int64_t seconds = 0;

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_true(api_http_date_parse(same[i], &seconds));
        assert_int_equal(seconds, 784111777);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(api_http_date_parse(bad[i], &seconds));
    }
    api_http_date(784111777, text);
    assert_string_equal(text, same[0]);
    api_http_date(INT64_MAX, text);
    assert_string_equal(text, "");
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
        cmocka_unit_test(one_range),
        cmocka_unit_test(several_ranges),
        cmocka_unit_test(if_range_must_be_what_there_is),
        cmocka_unit_test(http_dates),
        cmocka_unit_test(etag_lists),
        cmocka_unit_test(a_change_needs_if_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
