/* SPDX-License-Identifier: Apache-2.0
 * Joins, progress, results, sessions and receivers through the API: their answers are the
 * described ones, a join is idempotent, its token is for it alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "tests/api/rig.h"

#define JOIN "{\"package\": \"image\", \"client_id\": \"c1\", \"client_name\": \"lab-01\"}"

static char bearer[100];
static char join_id[40];

static struct rig_call call_join(enum api_method method, const char *rest, const char *body)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "/api/v1/joins/%s%s", join_id, rest);
    return (struct rig_call){.method = method, .path = path, .body = body, .authorization = bearer};
}

static void join(int status)
{
    struct rig_call call = {.method = API_POST, .path = "/api/v1/joins", .body = JOIN};
    struct rig_answer a = rig_expect(rig, RIG_CONTENT, &call, status);

    (void)snprintf(bearer, sizeof bearer, "Bearer %s", rig_text(&a, "receiver_token"));
    (void)snprintf(join_id, sizeof join_id, "%s", rig_text(&a, "id"));
    rig_answer_done(&a);
}

static void a_join_gives_its_place_back(void **state)
{
    struct rig_call old;
    struct rig_answer a;
    char first[40];
    char token[100];

    (void)state;
    rig_package(rig, "image", "");
    rig_put(rig, "image", 1, "image.wim", "some bytes of an image");
    rig_seal(rig, "image", 1);
    join(201);
    (void)snprintf(first, sizeof first, "%s", join_id);
    (void)snprintf(token, sizeof token, "%s", bearer);
    join(200);
    assert_string_equal(join_id, first);
    old = call_join(API_GET, "", NULL);
    a = rig_expect(rig, RIG_NOBODY, &old, 200);
    assert_string_equal(rig_text(&a, "session_state"), "waiting");
    assert_true(json_is_null(json_object_get(a.json, "command")));
    rig_answer_done(&a);
    old.authorization = token; /* the former token ended */
    rig_refused(rig, RIG_NOBODY, &old, "authentication-failed", NULL);
}

static void progress_is_strict(void **state)
{
    struct rig_call call =
        call_join(API_PUT, "/progress",
                  "{\"state\": \"receiving\", \"bytes_done\": 5, \"bytes_total\": 22,"
                  " \"bytes_multicast\": 5, \"bytes_repair\": 0, \"bytes_https\": 0,"
                  " \"rate_bps\": 8000, \"loss_ppm\": 0, \"nacks\": 0}");

    (void)state;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 204);
    call.body = "{\"state\": \"sleeping\"}";
    rig_refused(rig, RIG_NOBODY, &call, "invalid-request", "state");
    call.body = "{\"state\": \"receiving\", \"percent\": 5}";
    rig_refused(rig, RIG_NOBODY, &call, "invalid-request", "percent");
    call.body = "{\"state\": \"receiving\"}";
    call.path = "/api/v1/joins/00000000-0000-4000-8000-000000000000/progress";
    rig_refused(rig, RIG_NOBODY, &call, "access-denied", "another join");
}

static void a_cancelled_session_tells_its_receivers(void **state)
{
    struct rig_call list = {.method = API_GET, .path = "/api/v1/sessions?live=true&package=image"};
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &list, 200);
    const json_t *session = json_array_get(json_object_get(a.json, "items"), 0);
    struct rig_call call;
    char path[128];

    (void)state;
    assert_int_equal(json_array_size(json_object_get(a.json, "items")), 1);
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/receivers",
                   json_string_value(json_object_get(session, "id")));
    rig_answer_done(&a);
    call = (struct rig_call){.method = API_GET, .path = path};
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    session = json_array_get(json_object_get(a.json, "items"), 0);
    assert_int_equal(json_integer_value(json_object_get(session, "bytes_done")), 5);
    rig_answer_done(&a);
    (void)strcpy(strstr(path, "/receivers"), "/cancel");
    call.method = API_POST;
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &call), 200); /* again: no change */
    *strstr(path, "/cancel") = '\0';
    call.method = API_GET;
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(rig_text(&a, "state"), "cancelled");
    rig_answer_done(&a);

    call = call_join(API_PUT, "/progress", "{\"state\": \"receiving\"}");
    a = rig_expect(rig, RIG_NOBODY, &call, 200);
    assert_string_equal(rig_text(&a, "command"), "leave");
    rig_answer_done(&a);
    call = call_join(API_GET, "", NULL);
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 200);
}

static void a_result_counts_once(void **state)
{
    struct rig_call call =
        call_join(API_PUT, "/result",
                  "{\"outcome\": \"failed\", \"code\": \"output-full\", \"detail\": \"No room.\"}");
    struct rig_answer a;

    (void)state;
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 204);
    call.body = "{\"outcome\": \"done\", \"bytes_total\": 22}";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 204);
    call.body = "{\"outcome\": \"failed\"}";
    rig_refused(rig, RIG_NOBODY, &call, "invalid-request", "code");
    call = call_join(API_GET, "", NULL);
    a = rig_expect(rig, RIG_NOBODY, &call, 200);
    assert_string_equal(rig_text(&a, "state"), "failed");
    assert_string_equal(rig_text(&a, "reason"), "output-full");
    rig_answer_done(&a);
}

static void joins_that_cannot_be(void **state)
{
    struct rig_call call = {.method = API_POST,
                            .path = "/api/v1/joins",
                            .body = "{\"package\": \"none\", \"client_id\": \"c1\"}"};

    (void)state;
    rig_refused(rig, RIG_CONTENT, &call, "package-not-found", NULL);
    call.body = "{\"package\": \"image\", \"version\": 9, \"client_id\": \"c1\"}";
    rig_refused(rig, RIG_CONTENT, &call, "version-not-found", NULL);
    call.body = "{\"package\": \"image\", \"client_id\": \"a b\"}";
    rig_refused(rig, RIG_CONTENT, &call, "invalid-request", "client_id");
    rig_package(rig, "unsealed", "");
    call.body = "{\"package\": \"unsealed\", \"client_id\": \"c1\"}";
    rig_refused(rig, RIG_CONTENT, &call, "version-not-sealed", NULL);
    call.body = "{\"package\": \"unsealed\", \"version\": 1, \"client_id\": \"c1\"}";
    rig_refused(rig, RIG_CONTENT, &call, "version-not-sealed", NULL);
}

/* What the scheduler writes down when the engine does not serve a receiver any more. */
static void a_receiver_left_behind_is_told(void **state)
{
    struct rig_call call;
    struct rig_answer a;

    (void)state;
    join(201); /* a new session: the one before was cancelled */
    call = call_join(API_PUT, "/progress", "{\"state\": \"receiving\", \"bytes_done\": 5}");
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 204);
    rig_sql("UPDATE receivers SET state = 'moved', reason = 'receiver-too-slow', detail = 'asked "
            "for 99 symbols', seen_at = now(), seen_asked = 99, seen_over_budget = true"
            " WHERE result_at IS NULL");
    for (int i = 0; i < 2; i++) { /* as long as it has not understood */
        a = rig_expect(rig, RIG_NOBODY, &call, 200);
        assert_string_equal(rig_text(&a, "command"), "leave");
        assert_string_equal(rig_text(&a, "code"), "receiver-too-slow");
        assert_string_equal(rig_text(&a, "detail"), "asked for 99 symbols");
        rig_answer_done(&a);
    }
    call.body = "{\"state\": \"moved\", \"reason\": \"receiver-too-slow\"}";
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 204);
    call = call_join(API_GET, "", NULL);
    a = rig_expect(rig, RIG_NOBODY, &call, 200);
    assert_string_equal(rig_text(&a, "state"), "moved");
    assert_string_equal(rig_text(&a, "reason"), "receiver-too-slow");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(a.json, "seen"), "asked_symbols")), 99);
    rig_answer_done(&a);
    join(200); /* and may try again: a new life */
    call = call_join(API_PUT, "/progress", "{\"state\": \"joined\"}");
    assert_int_equal(rig_status(rig, RIG_NOBODY, &call), 204);
}

static void decisions_are_listed(void **state)
{
    struct rig_call call = {.method = API_GET, .path = "/api/v1/sessions?live=true"};
    struct rig_answer a = rig_expect(rig, RIG_VIEWER, &call, 200);
    const json_t *item = json_array_get(json_object_get(a.json, "items"), 0);
    char path[128];

    (void)state;
    assert_true(json_is_null(json_object_get(json_object_get(item, "pace"), "set_by")));
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/decisions?limit=1",
                   json_string_value(json_object_get(item, "id")));
    rig_answer_done(&a);
    rig_sql("INSERT INTO session_decisions SELECT id, n % 64, n, now(), 'rate', 'congestion',"
            " next_node_id - 1, 10, 5, 7, 1000 FROM sessions, generate_series(1, 2) n"
            " WHERE ended_at IS NULL");
    rig_sql("UPDATE sessions SET pace_setter = next_node_id - 1, rate_reason = 'congestion'"
            " WHERE ended_at IS NULL");
    call.path = path;
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    assert_string_equal(rig_text(&a, "next"), "2");
    item = json_array_get(json_object_get(a.json, "items"), 0);
    assert_string_equal(json_string_value(json_object_get(item, "what")), "rate");
    assert_string_equal(json_string_value(json_object_get(item, "client_name")), "lab-01");
    assert_int_equal(json_integer_value(json_object_get(item, "number")), 2);
    rig_answer_done(&a);
    *strstr(path, "/decisions") = '\0';
    a = rig_expect(rig, RIG_VIEWER, &call, 200);
    item = json_object_get(a.json, "pace");
    assert_string_equal(json_string_value(json_object_get(item, "reason")), "congestion");
    item = json_object_get(item, "set_by");
    assert_string_equal(json_string_value(json_object_get(item, "client_name")), "lab-01");
    rig_answer_done(&a);
    (void)strcat(path, "/decisions?after=x");
    rig_refused(rig, RIG_VIEWER, &call, "invalid-request", "after");
}

/* How many items the list has; *ret_first, *ret_next: id of the first, cursor ("" none). */
static size_t listed(const char *path, char ret_first[64], char ret_next[128])
{
    struct rig_answer a =
        rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
    const json_t *items = json_object_get(a.json, "items");
    size_t count = json_array_size(items);

    ret_first[0] = ret_next[0] = '\0';
    if (count > 0) {
        (void)snprintf(ret_first, 64, "%s", rig_text_in(json_array_get(items, 0), "id"));
    }
    if (json_is_string(json_object_get(a.json, "next"))) {
        (void)snprintf(ret_next, 128, "%s", rig_text(&a, "next"));
    }
    rig_answer_done(&a);
    return count;
}

static void sessions_and_receivers_are_found(void **state)
{
    char newest[64], oldest[64], other[64], next[128], none[128], path[256];

    (void)state;
    assert_int_equal(listed("/api/v1/sessions?package=image", newest, none), 2);
    assert_int_equal(listed("/api/v1/sessions?package=image&sort=created_at", oldest, none), 2);
    assert_string_not_equal(newest, oldest);
    /* page by page, in both directions */
    assert_int_equal(listed("/api/v1/sessions?limit=1", other, next), 1);
    assert_string_equal(other, newest);
    (void)snprintf(path, sizeof path, "/api/v1/sessions?limit=1&after=%s", next);
    assert_int_equal(listed(path, other, none), 1);
    assert_string_equal(other, oldest);
    assert_string_equal(none, "");
    assert_int_equal(listed("/api/v1/sessions?limit=1&sort=created_at", other, next), 1);
    (void)snprintf(path, sizeof path, "/api/v1/sessions?limit=1&sort=created_at&after=%s", next);
    assert_int_equal(listed(path, other, none), 1);
    assert_string_equal(other, newest);
    assert_int_equal(listed("/api/v1/sessions?state=cancelled", other, none), 1);
    assert_string_equal(other, oldest);

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/receivers?state=failed", oldest);
    assert_int_equal(listed(path, other, none), 1);
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/receivers?state=done", oldest);
    assert_int_equal(listed(path, other, none), 0);
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/receivers?state=idle", oldest);
    rig_refused(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path},
                "invalid-request", "state");
}

static void ids_and_cursors_that_are_none(void **state)
{
    static const char *const paths[] = {"/api/v1/sessions/x", "/api/v1/sessions/x/receivers",
                                        "/api/v1/sessions/x/decisions"};
    static const char *const lists[] = {
        "/api/v1/sessions?after=x", "/api/v1/accounts/admin/tokens?after=x",
        "/api/v1/distribution-points/local/keys?after=x", "/api/v1/sessions?state=asleep",
        "/api/v1/sessions?live=maybe"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        rig_refused(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = paths[i]},
                    "not-found", NULL);
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        rig_refused(rig, RIG_ADMIN, &(struct rig_call){.method = API_GET, .path = lists[i]},
                    "invalid-request", NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_gives_its_place_back),
        cmocka_unit_test(progress_is_strict),
        cmocka_unit_test(a_cancelled_session_tells_its_receivers),
        cmocka_unit_test(a_result_counts_once),
        cmocka_unit_test(joins_that_cannot_be),
        cmocka_unit_test(a_receiver_left_behind_is_told),
        cmocka_unit_test(decisions_are_listed),
        cmocka_unit_test(sessions_and_receivers_are_found),
        cmocka_unit_test(ids_and_cursors_that_are_none),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
