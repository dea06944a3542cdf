/* SPDX-License-Identifier: Apache-2.0
 * History: what ended long ago is forgotten, what has not, is young, or is still needed stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/api/join_rig.h"
#include "tests/api/library_rig.h"

/* What the last run of drop-history dropped of a sort; drops now. */
static json_t *drop(void)
{
    struct rig_answer a;
    json_t *result;

    rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'drop-history' FROM nodes");
    rig_work(rig);
    a = rig_expect(
        rig, RIG_VIEWER,
        &(struct rig_call){.method = API_GET, .path = "/api/v1/tasks?kind=drop-history&limit=1"},
        200);
    result =
        json_incref(json_object_get(json_array_get(json_object_get(a.json, "items"), 0), "result"));
    rig_answer_done(&a);
    assert_true(json_is_object(result));
    return result;
}

static void dropped(json_int_t sessions, json_int_t receivers, json_int_t tasks)
{
    json_t *result = drop();

    assert_int_equal(rig_number_in(result, "sessions"), sessions);
    assert_int_equal(rig_number_in(result, "receivers"), receivers);
    assert_int_equal(rig_number_in(result, "tasks"), tasks);
    json_decref(result);
}

static int items_of(const char *path)
{
    struct rig_answer a =
        rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
    int count = (int)json_array_size(json_object_get(a.json, "items"));

    rig_answer_done(&a);
    return count;
}

static void what_has_not_ended_stays_however_old(void **state)
{
    struct joined j;

    (void)state;
    sealed_package("win11", "");
    j = joined_as(RIG_CONTENT, JOIN("win11", "pc1"), 201);
    joined_done(&j);
    rig_sql("UPDATE sessions SET created_at = created_at - interval '900 days'");
    rig_sql("UPDATE receivers SET updated_at = updated_at - interval '900 days'");
    rig_sql("INSERT INTO tasks (node_id, kind, state, created_at) SELECT id, 'seal-version',"
            " 'running', now() - interval '900 days' FROM nodes");
    dropped(0, 0, 0);
    assert_int_equal(items_of("/api/v1/sessions"), 1);
}

static void ended_sessions_go_with_their_receivers(void **state)
{
    (void)state;
    end_sessions();
    dropped(0, 0, 0); /* ended just now */
    rig_sql("UPDATE sessions SET ended_at = ended_at - interval '91 days'");
    dropped(1, 0, 0);
    assert_int_equal(items_of("/api/v1/sessions"), 0);
    assert_int_equal(rig_events(rig, "history-dropped"), 1);
}

static void receivers_of_no_session_go_by_their_last_sign_of_life(void **state)
{
    struct joined j;

    (void)state;
    j = joined_as(RIG_CONTENT,
                  "{\"package\": \"win11\", \"client_id\": \"pc2\", \"multicast\": false}", 201);
    dropped(0, 0, 0);
    rig_sql("UPDATE receivers SET updated_at = updated_at - interval '91 days'");
    dropped(0, 1, 0);
    assert_int_equal(joined_status(&j, API_GET, "", NULL), 401);
    joined_done(&j);
}

/* By the newest of periodic work the calendar knows when it was last done. Of others nothing stays. */
static void the_newest_task_of_a_kind_stays(void **state)
{
    (void)state;
    json_decref(library_work("recount", NULL));
    json_decref(library_work("recount", NULL));
    json_decref(library_work("collect?dry_run=true", NULL));
    json_decref(library_work("collect", NULL));
    rig_sql("UPDATE tasks SET ended_at = ended_at - interval '91 days'"
            " WHERE kind IN ('recount-references', 'collect-garbage')");
    dropped(0, 0, 2); /* the first count, and the dry run */
    assert_int_equal(items_of("/api/v1/tasks?kind=recount-references"), 1);
    assert_int_equal(items_of("/api/v1/tasks?kind=collect-garbage"), 1);
    assert_int_equal(items_of("/api/v1/tasks?kind=seal-version&state=done"), 1);
    rig_sql("UPDATE tasks SET ended_at = ended_at - interval '91 days'"
            " WHERE kind = 'seal-version' AND state = 'done'");
    dropped(0, 0, 1);
    assert_int_equal(items_of("/api/v1/tasks?kind=seal-version&state=done"), 0);
}

static void the_newest_that_is_done_stays_too(void **state)
{
    (void)state;
    json_decref(library_work("recount", NULL));
    rig_sql("INSERT INTO tasks (node_id, kind, state, ended_at, code) SELECT id,"
            " 'recount-references', 'failed', now(), 'storage' FROM nodes, generate_series(1, 2)");
    rig_sql("UPDATE tasks SET ended_at = ended_at - interval '91 days'"
            " WHERE kind = 'recount-references'");
    dropped(0, 0, 2); /* the older one that is done, the older one that failed */
    assert_int_equal(items_of("/api/v1/tasks?kind=recount-references&state=done"), 1);
    assert_int_equal(items_of("/api/v1/tasks?kind=recount-references&state=failed"), 1);
}

static void old_events_go_but_for_the_first_keys(void **state)
{
    json_t *result;
    int keys;

    (void)state;
    keys = rig_events(rig, "multicast-key-created");
    assert_true(keys > 0);
    assert_true(rig_events(rig, "package-created") > 0);
    rig_sql("UPDATE events SET time = time - interval '91 days'");
    result = drop();
    assert_true(rig_number_in(result, "events") > 0);
    json_decref(result);
    assert_int_equal(rig_events(rig, "package-created"), 0);
    assert_int_equal(rig_events(rig, "multicast-key-created"), keys);
}

static void nothing_goes_when_all_is_to_be_kept(void **state)
{
    (void)state;
    sealed_package("debian", "");
    rig_sql("UPDATE events SET time = time - interval '3000 days'");
    rig_settings(rig, "{\"history_days\": 0}");
    dropped(0, 0, 0);
    assert_true(rig_events(rig, "package-created") > 0);
    rig_settings(rig, "{\"history_days\": 3001}");
    dropped(0, 0, 0);
    assert_true(rig_events(rig, "package-created") > 0);
    rig_settings(rig, "{\"history_days\": 2999}");
    json_decref(drop());
    assert_int_equal(rig_events(rig, "package-created"), 0);
}

/* Answers to requests with an Idempotency-Key are kept for a day, whatever the settings say. */
static void answers_go_after_a_day(void **state)
{
    struct rig_call create = {.method = API_POST,
                              .path = "/api/v1/packages",
                              .body = "{\"name\": \"once\"}",
                              .headers = {"Idempotency-Key: once"}};
    json_t *result;

    (void)state;
    rig_settings(rig, "{\"history_days\": 0}");
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &create), 201);
    result = drop();
    assert_int_equal(rig_number_in(result, "answers"), 0);
    json_decref(result);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &create), 201); /* replayed */
    rig_sql("UPDATE idempotency SET created_at = created_at - interval '25 hours'");
    result = drop();
    assert_int_equal(rig_number_in(result, "answers"), 1);
    json_decref(result);
    assert_int_equal(rig_status(rig, RIG_OPERATOR, &create), 409);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_not_ended_stays_however_old),
        cmocka_unit_test(ended_sessions_go_with_their_receivers),
        cmocka_unit_test(receivers_of_no_session_go_by_their_last_sign_of_life),
        cmocka_unit_test(the_newest_task_of_a_kind_stays),
        cmocka_unit_test(the_newest_that_is_done_stays_too),
        cmocka_unit_test(old_events_go_but_for_the_first_keys),
        cmocka_unit_test(nothing_goes_when_all_is_to_be_kept),
        cmocka_unit_test(answers_go_after_a_day),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
