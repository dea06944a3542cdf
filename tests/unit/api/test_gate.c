/* SPDX-License-Identifier: Apache-2.0
 * While the database is away: every address but /healthz says so, and touches nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/access/gate.h"
#include "api/api.h"
#include "api/framework/respond.h"
#include "api/framework/router.h"

/* A context with nothing in it: a handler that ran would crash. */
struct fixture {
    struct api_gate gate;
    struct api_context ctx;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    api_gate_init(&f->gate);
    f->ctx.gate = &f->gate;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    api_gate_done(&f->gate);
    free(f);
    return 0;
}

static struct api_response send(const struct fixture *f, enum api_method method, const char *path)
{
    struct api_request rq = {.method = method, .path = path, .request_id = "r1"};
    struct api_upload *upload = NULL;
    struct api_response rs;

    if (api_upload_start(&f->ctx, &rq, &upload, &rs)) {
        assert_null(upload);
        return rs;
    }
    return api_handle(&f->ctx, &rq);
}

static void refused(const struct fixture *f, enum api_method method, const char *path,
                    const char *code, const char *word)
{
    struct api_response rs = send(f, method, path);
    const char *retry = api_header_get(&rs, "Retry-After");

    if (rs.status != 503 || retry == NULL || atoi(retry) < 1 || strstr(rs.body, code) == NULL ||
        strstr(rs.body, word) == NULL) {
        fail_msg("%s: %d, Retry-After %s: %s", path, rs.status, retry, rs.body);
    }
    assert_string_equal(api_header_get(&rs, "X-Request-Id"), "r1");
    api_response_done(&rs);
}

static void only_health_is_answered(void **state)
{
    const struct fixture *f = *state;
    struct api_response rs = send(f, API_GET, "/healthz");

    assert_int_equal(rs.status, 200);
    api_response_done(&rs);
    rs = send(f, API_HEAD, "/healthz");
    assert_int_equal(rs.status, 200);
    api_response_done(&rs);
}

static void every_route_says_why(void **state)
{
    struct fixture *f = *state;
    struct cp_error why;
    size_t count;
    const struct api_route *routes = api_routes(&count);

    (void)cp_error_set(&why, CP_ERR_DATABASE, "no server on that socket"); /* the log's */
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].pattern, "/healthz") != 0) {
            refused(f, routes[i].method, routes[i].pattern, "\"unavailable\"", "starting");
        }
    }
    api_gate_tell(&f->gate, &why);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(routes[i].pattern, "/healthz") != 0) {
            refused(f, routes[i].method, routes[i].pattern, "\"database-unavailable\"",
                    "does not answer");
        }
    }
    refused(f, API_GET, "/nowhere", "\"database-unavailable\"", "does not answer");
}

static void it_opens_once(void **state)
{
    struct fixture *f = *state;
    struct cp_error err = {.code = CP_OK};
    struct api_response rs;

    assert_int_equal(api_gate_pass(NULL, &err), CP_OK);
    assert_int_equal(api_gate_pass(&f->gate, &err), CP_ERR_UNAVAILABLE);
    api_gate_open(&f->gate);
    assert_int_equal(api_gate_pass(&f->gate, &err), CP_OK);
    rs = send(f, API_GET, "/nowhere");
    assert_int_equal(rs.status, 404);
    api_response_done(&rs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_health_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_route_says_why, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_opens_once, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
