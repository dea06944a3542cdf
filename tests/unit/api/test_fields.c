/* SPDX-License-Identifier: Apache-2.0
 * Tests of strict bodies and queries: every error is collected and names its field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/framework/fields.h"
#include "api/framework/respond.h"

static const struct api_pair content_type = {"Content-Type", "application/json; charset=utf-8"};
static const char *const words[] = {"off", "prefer", NULL};

static struct api_request request(const char *body)
{
    return (struct api_request){.method = API_POST,
                                .path = "/x",
                                .headers = &content_type,
                                .header_count = 1,
                                .body = body,
                                .body_size = body != NULL ? strlen(body) : 0,
                                .request_id = "rid-1"};
}

/* Reads the standard set of fields; returns the refusal as JSON, or NULL when all is well. */
static json_t *read_all(const struct api_request *rq)
{
    struct api_call call = {.rq = rq};
    struct api_response rs;
    struct api_fields f;
    int64_t number = -1;
    bool flag = false;
    json_t *problem;

    api_fields_body(&f, &call);
    (void)api_field_string(&f, "name", API_REQUIRED, 1, 8);
    (void)api_field_int(&f, "port", API_OPTIONAL, 1024, 65535, &number);
    (void)api_field_bool(&f, "encrypt", API_OPTIONAL, &flag);
    (void)api_field_word(&f, "policy", API_OPTIONAL, words);
    (void)api_field_string(&f, "password", API_OPTIONAL, 8, 64);
    if (api_fields_ok(&f)) {
        api_fields_done(&f);
        return NULL;
    }
    rs = api_fields_refuse(&f, &call);
    assert_string_equal(rs.content_type, "application/problem+json");
    problem = json_loadb(rs.body, rs.body_size, 0, NULL);
    assert_non_null(problem);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), rs.status);
    api_response_done(&rs);
    return problem;
}

static void expect_field(const char *body, size_t index, const char *field, const char *message)
{
    struct api_request rq = request(body);
    json_t *problem = read_all(&rq);
    json_t *error;

    assert_non_null(problem);
    error = json_array_get(json_object_get(problem, "errors"), index);
    assert_string_equal(json_string_value(json_object_get(error, "field")), field);
    assert_non_null(strstr(json_string_value(json_object_get(error, "message")), message));
    assert_non_null(json_object_get(error, "value"));
    json_decref(problem);
}

static void expect_code(const struct api_request *rq, const char *code, const char *detail)
{
    json_t *problem = read_all(rq);

    assert_non_null(problem);
    assert_string_equal(json_string_value(json_object_get(problem, "code")), code);
    assert_non_null(strstr(json_string_value(json_object_get(problem, "detail")), detail));
    assert_string_equal(json_string_value(json_object_get(problem, "request_id")), "rid-1");
    json_decref(problem);
}

static void good_body(void **state)
{
    struct api_request rq =
        request("{\"name\": \"win11\", \"port\": 1024, \"encrypt\": true, \"policy\": \"off\"}");

    (void)state;
    assert_null(read_all(&rq));
    rq = request("{\"name\": \"12345678\", \"port\": 65535}");
    assert_null(read_all(&rq));
}

static void every_wrong_field_is_named(void **state)
{
    (void)state;
    expect_field("{}", 0, "name", "required");
    expect_field("{\"name\": \"\"}", 0, "name", "1 to 8");
    expect_field("{\"name\": \"123456789\"}", 0, "name", "1 to 8");
    expect_field("{\"name\": \"a\\nb\"}", 0, "name", "control");
    expect_field("{\"name\": 5}", 0, "name", "text");
    expect_field("{\"name\": null}", 0, "name", "text");
    expect_field("{\"name\": \"x\", \"port\": 1023}", 0, "port", "1024 to 65535");
    expect_field("{\"name\": \"x\", \"port\": 65536}", 0, "port", "1024 to 65535");
    expect_field("{\"name\": \"x\", \"port\": 2000.5}", 0, "port", "whole number");
    expect_field("{\"name\": \"x\", \"port\": \"2000\"}", 0, "port", "whole number");
    expect_field("{\"name\": \"x\", \"encrypt\": 1}", 0, "encrypt", "true or false");
    expect_field("{\"name\": \"x\", \"policy\": \"on\"}", 0, "policy", "'off', 'prefer'");
    expect_field("{\"name\": \"x\", \"colour\": \"red\"}", 0, "colour", "remove it");
    expect_field("{\"port\": 1, \"policy\": [], \"z\": {}}", 1, "port", "whole number");
    expect_field("{\"port\": 1, \"policy\": [], \"z\": {}}", 2, "policy", "one of");
    expect_field("{\"port\": 1, \"policy\": [], \"z\": {}}", 3, "z", "remove it");
}

static void a_password_is_never_repeated(void **state)
{
    struct api_request rq = request("{\"name\": \"x\", \"password\": \"secret\"}");
    json_t *problem = read_all(&rq);
    char *text;

    (void)state;
    assert_non_null(problem);
    text = json_dumps(problem, 0);
    assert_null(strstr(text, "secret\""));
    free(text);
    json_decref(problem);
}

static void hostile_bodies(void **state)
{
    struct api_request rq = request("{\"name\": \"x\", \"name\": \"y\"}");
    char deep[400];

    (void)state;
    expect_code(&rq, "invalid-request", "duplicate");
    rq = request("{\"name\": ");
    expect_code(&rq, "invalid-request", "line 1");
    rq = request("[1]");
    expect_code(&rq, "invalid-request", "one JSON object");
    rq = request("{\"name\": \"a\\u0000b\"}");
    expect_code(&rq, "invalid-request", "JSON");
    rq = request("{\"name\": \"\xff\"}");
    expect_code(&rq, "invalid-request", "JSON");
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    rq = request(deep);
    expect_code(&rq, "invalid-request", "nested");
    rq = request("{\"name\": \"[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[\"}");
    expect_code(&rq, "invalid-request", "name");
    rq = request("{\"name\": \"x\"}");
    rq.body_size = api_body_max(&rq) + 1;
    expect_code(&rq, "too-large", "at most");
    rq = request("name=x");
    rq.header_count = 0;
    expect_code(&rq, "unsupported-media-type", "application/json");
}

/* What is no whole number of 64 bits names its field, also where the parser itself gives up. */
static void numbers_that_are_none(void **state)
{
    static const char *const wrong[] = {"1e400",
                                        "-1e400",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "99999999999999999999999999999",
                                        "-0",
                                        "-0.0",
                                        "1.0",
                                        "2000.0",
                                        "2e3",
                                        "[2000]",
                                        "{\"port\": 2000}",
                                        "9223372036854775807",
                                        "-9223372036854775808"};
    static const char *const forms[] = {
        "{\"name\": \"x\", \"port\": %s}",
        "{\"port\" \n : %s, \"name\": \"x\"}",
        "{\"name\": \"{\\\"a\\\": [\", \"port\":%s}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
            char body[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(body, sizeof body, forms[k], wrong[i]);
#pragma GCC diagnostic pop
            expect_field(body, 0, "port", "number");
        }
    }
    expect_field("{\"name\": \"x\", \"port\": [{\"a\": 1}, {\"b\": [1e999]}]}", 0, "port",
                 "too large");
    expect_field("{\"a\": {\"b\": 1}, \"port\": 1e999}", 0, "port", "too large");
}

/* Long and strange names before a number that the parser gives up on. */
static void too_large_for_any_name(void **state)
{
    char body[400];
    struct api_request rq;

    (void)state;
    (void)snprintf(body, sizeof body, "{\"%0*d\": 1e400}", 300, 0);
    rq = request(body);
    expect_code(&rq, "invalid-request", "too large");
    rq = request("{\"\\u00e4\\\"\": 1e400}");
    expect_code(&rq, "invalid-request", "too large");
    rq = request("[1e400");
    expect_code(&rq, "invalid-request", "too large");
    rq = request("{\"\xc3\xa4\": 1e400");
    expect_code(&rq, "invalid-request", "'\xc3\xa4'");
}

static void query_parameters(void **state)
{
    struct api_pair query[] = {{"limit", "7"}, {"after", "abc"}};
    struct api_request rq = {.method = API_GET, .query = query, .query_count = 2};
    struct api_call call = {.rq = &rq};
    struct api_fields f;
    const char *after;
    int limit;

    (void)state;
    api_fields_query(&f, &call);
    api_fields_page(&f, &limit, &after);
    assert_true(api_fields_ok(&f));
    assert_int_equal(limit, 7);
    assert_string_equal(after, "abc");
    api_fields_done(&f);

    rq.query_count = 1;
    for (int i = 0; i < 6; i++) {
        static const char *const wrong[] = {"0", "1001", "", "7x", "99999999999999999999", "-1"};
        struct api_response rs;

        query[0].value = wrong[i];
        api_fields_query(&f, &call);
        api_fields_page(&f, &limit, &after);
        assert_int_equal(limit, API_LIMIT_DEFAULT);
        assert_false(api_fields_ok(&f));
        rs = api_fields_refuse(&f, &call);
        assert_int_equal(rs.status, 400);
        assert_non_null(strstr(rs.body, "Parameter 'limit'"));
        api_response_done(&rs);
    }
}

static void only_what_an_address_takes(void **state)
{
    static const char *const names[] = {"limit", "after", NULL};
    static const char *const none[] = {NULL};
    struct api_pair query[] = {{"limit", "7"}, {"after", "x"}, {"after", "x"}, {"lmit", "9"}};
    struct api_request rq = {.method = API_GET, .query = query};
    struct api_call call = {.rq = &rq};
    struct api_response rs;
    json_t *problem;

    (void)state;
    assert_true(api_query_takes(&call, none, &rs));
    rq.query_count = 2;
    assert_true(api_query_takes(&call, names, &rs));
    assert_false(api_query_takes(&call, none, &rs));
    assert_non_null(strstr(rs.body, "Parameter 'limit' is not a parameter of this address"));
    api_response_done(&rs);
    rq.query_count = 4;
    assert_false(api_query_takes(&call, names, &rs));
    assert_int_equal(rs.status, 400);
    problem = json_loads(rs.body, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(problem, "errors")), 2);
    assert_non_null(strstr(rs.body, "{\"field\":\"after\",\"value\":\"x\",\"message\":\"is given "
                                    "twice: give it once\"}"));
    assert_non_null(strstr(rs.body, "{\"field\":\"lmit\",\"value\":\"9\",\"message\":\"is not a "
                                    "parameter of this address: remove it\"}"));
    json_decref(problem);
    api_response_done(&rs);
}

/* The answer to a hostile body does not outgrow it. */
static void errors_are_bounded(void **state)
{
    size_t count = 80000;
    char *body = malloc(count * 16 + 2);
    struct api_request rq;
    json_t *problem;
    size_t at = 1;

    (void)state;
    assert_non_null(body);
    body[0] = '{';
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(body + at, 16, "\"f%zu\":1,", i);
    }
    body[at - 1] = '}';
    body[at] = '\0';
    rq = request(body);
    if (rq.body_size > api_body_max(&rq)) {
        fail_msg("the body has %zu bytes", rq.body_size);
    }
    problem = read_all(&rq);
    assert_int_equal(json_array_size(json_object_get(problem, "errors")), 20);
    json_decref(problem);
    free(body);
}

/* A parameter whose name JSON cannot carry is refused like any other. */
static void a_strange_name_is_refused(void **state)
{
    static const char *const none[] = {NULL};
    struct api_pair query[] = {{"\xff", "7"}};
    struct api_request rq = {.method = API_GET, .query = query, .query_count = 1};
    struct api_call call = {.rq = &rq};
    struct api_response rs;

    (void)state;
    assert_false(api_query_takes(&call, none, &rs));
    assert_int_equal(rs.status, 400);
    assert_non_null(strstr(rs.body, "not UTF-8"));
    api_response_done(&rs);
}

static void null_is_told_from_absent(void **state)
{
    struct api_request rq = request("{\"name\": null}");
    struct api_call call = {.rq = &rq};
    struct api_fields f;

    (void)state;
    api_fields_body(&f, &call);
    assert_true(api_field_null(&f, "name"));
    assert_false(api_field_null(&f, "other"));
    assert_true(api_fields_ok(&f));
    api_fields_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_body),
        cmocka_unit_test(every_wrong_field_is_named),
        cmocka_unit_test(a_password_is_never_repeated),
        cmocka_unit_test(hostile_bodies),
        cmocka_unit_test(numbers_that_are_none),
        cmocka_unit_test(too_large_for_any_name),
        cmocka_unit_test(query_parameters),
        cmocka_unit_test(only_what_an_address_takes),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(a_strange_name_is_refused),
        cmocka_unit_test(null_is_told_from_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
