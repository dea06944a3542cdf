/* SPDX-License-Identifier: Apache-2.0
 * Tests of responses and of the one shape of problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "api/framework/etag.h"
#include "api/framework/respond.h"
#include "common/log.h"

static const struct api_request plain = {.method = API_GET, .path = "/x", .request_id = "rid-9"};

static void a_problem_has_the_whole_shape(void **state)
{
    static const char *const members[] = {"type",  "title",  "detail",    "code",
                                          "cause", "remedy", "request_id"};
    struct cp_error err = {.code = CP_ERR_PATH_INVALID, .text = "'../x' leaves the version"};
    struct api_response rs = api_problem(&plain, &err);
    json_t *body = json_loadb(rs.body, rs.body_size, 0, NULL);

    (void)state;
    assert_int_equal(rs.status, 422);
    assert_string_equal(rs.content_type, "application/problem+json");
    assert_string_equal(api_header_get(&rs, "x-request-id"), "rid-9");
    assert_string_equal(api_header_get(&rs, "Cache-Control"), "no-store");
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        assert_true(json_string_length(json_object_get(body, members[i])) > 0);
    }
    assert_string_equal(json_string_value(json_object_get(body, "type")),
                        "https://castpoint.dev/problems/path-invalid");
    assert_string_equal(json_string_value(json_object_get(body, "detail")), err.text);
    assert_null(json_object_get(body, "errors"));
    json_decref(body);
    api_response_done(&rs);
}

static void every_error_of_the_catalogue_makes_a_problem(void **state)
{
    (void)state;
    for (size_t i = 1; cp_err_info_at(i) != NULL; i++) {
        const struct cp_err_info *info = cp_err_info_at(i);
        struct cp_error err = {.code = cp_err_from_code(info->code)};
        struct api_response rs = api_problem(&plain, &err);

        assert_int_equal(rs.status, info->http_status);
        assert_non_null(strstr(rs.body, info->title));
        assert_int_equal(info->http_status == 503 || info->http_status == 429,
                         api_header_get(&rs, "Retry-After") != NULL);
        assert_int_equal(info->http_status == 401, api_header_get(&rs, "WWW-Authenticate") != NULL);
        api_response_done(&rs);
    }
}

/* What libpq or the system says is for the log; what we say is for the caller. */
static void foreign_words_go_to_the_log_only(void **state)
{
    static const struct {
        enum cp_err code;
        bool shown;
    } cases[] = {{CP_ERR_DATABASE, false}, {CP_ERR_DB_RETRY, false},   {CP_ERR_INTERNAL, false},
                 {CP_ERR_STORAGE, false},  {CP_ERR_NETWORK, false},    {CP_ERR_UNAVAILABLE, true},
                 {CP_ERR_CONFLICT, true},  {CP_ERR_STORAGE_FULL, true}};
    static const char words[] = "connection to server at db1.example, port 5433, user operator";

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cp_error err;
        struct api_response rs;
        char line[2048];
        ssize_t size;
        int fds[2];

        (void)cp_error_set(&err, cases[i].code, "%s", words);
        assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
        cp_log_init("test", CP_LOG_JSON, CP_LOG_WARN, fds[1]);
        rs = api_problem(&plain, &err);
        cp_log_init("test", CP_LOG_TEXT, CP_LOG_INFO, STDERR_FILENO);
        size = read(fds[0], line, sizeof line - 1);
        line[size > 0 ? size : 0] = '\0';
        assert_int_equal(strstr(rs.body, words) != NULL, cases[i].shown);
        assert_int_equal(strstr(line, words) != NULL, !cases[i].shown);
        assert_int_equal(strstr(line, cp_err_info(cases[i].code)->code) != NULL, !cases[i].shown);
        assert_int_equal(close(fds[0]) + close(fds[1]), 0);
        api_response_done(&rs);
    }
}

static void a_401_offers_basic_and_bearer(void **state)
{
    struct cp_error err = {.code = CP_ERR_AUTH_REQUIRED};
    struct api_response rs = api_problem(&plain, &err);
    bool basic = false;
    bool bearer = false;

    (void)state;
    for (size_t i = 0; i < rs.header_count; i++) {
        if (strcmp(rs.headers[i].name, "WWW-Authenticate") == 0) {
            basic |= strncmp(rs.headers[i].value, "Basic realm=", 12) == 0;
            bearer |= strncmp(rs.headers[i].value, "Bearer", 6) == 0;
        }
    }
    assert_true(basic && bearer);
    api_response_done(&rs);
}

static void bytes_that_are_not_utf8_do_not_break_a_problem(void **state)
{
    struct cp_error err = {.code = CP_ERR_NOT_FOUND, .text = "There is nothing at '\xff\xfe/x'."};
    struct api_response rs = api_problem(&plain, &err);

    (void)state;
    assert_non_null(rs.body);
    assert_non_null(strstr(rs.body, "'?\?/x'"));
    api_response_done(&rs);
}

static void a_resource_answers_304_to_its_own_tag(void **state)
{
    struct api_pair header = {"If-None-Match", "W/\"r3\""};
    struct api_request rq = {
        .method = API_GET, .headers = &header, .header_count = 1, .request_id = "r"};
    struct api_response rs = api_response_resource(&rq, 3, json_object());

    (void)state;
    assert_int_equal(rs.status, 304);
    assert_null(rs.content_type);
    assert_int_equal(api_response_size(&rs), 2); /* of the 200's body, which tells the length */
    assert_string_equal(api_header_get(&rs, "ETag"), "\"r3\"");
    api_response_done(&rs);
    rs = api_response_resource(&rq, 4, json_object());
    assert_int_equal(rs.status, 200);
    assert_string_equal(rs.body, "{}");
    assert_string_equal(api_header_get(&rs, "ETag"), "\"r4\"");
    api_response_done(&rs);
}

static void lists_have_items_and_next(void **state)
{
    struct api_response rs = api_response_list(json_array(), "");

    (void)state;
    assert_string_equal(rs.body, "{\"items\":[],\"next\":null}");
    api_response_done(&rs);
    rs = api_response_list(json_array(), "c1");
    assert_string_equal(rs.body, "{\"items\":[],\"next\":\"c1\"}");
    api_response_done(&rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_has_the_whole_shape),
        cmocka_unit_test(every_error_of_the_catalogue_makes_a_problem),
        cmocka_unit_test(foreign_words_go_to_the_log_only),
        cmocka_unit_test(a_401_offers_basic_and_bearer),
        cmocka_unit_test(bytes_that_are_not_utf8_do_not_break_a_problem),
        cmocka_unit_test(a_resource_answers_304_to_its_own_tag),
        cmocka_unit_test(lists_have_items_and_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
