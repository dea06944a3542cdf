/* SPDX-License-Identifier: Apache-2.0
 * Long work through the API: asked for, done, failed, cancelled, interrupted, and by the workers'
 * own threads. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "db/conn.h"
#include "db/listener.h"
#include "tests/api/rig.h"

#define SEAL "/api/v1/packages/%s/versions/1/seal"

static struct rig_call seal_of(const char *package, char path[128])
{
    (void)snprintf(path, 128, SEAL, package);
    return (struct rig_call){.method = API_POST, .path = path};
}

/* A task that waits: its address. */
static void asked(const char *package, char ret_path[128])
{
    char path[128];
    struct rig_call call = seal_of(package, path);
    struct rig_answer a;

    rig_package(rig, package, "");
    rig_put(rig, package, 1, "a.bin", package);
    a = rig_expect(rig, RIG_OPERATOR, &call, 202);
    (void)snprintf(ret_path, 128, "%s", rig_header(&a, "Location"));
    rig_answer_done(&a);
}

static struct rig_answer look(const char *path)
{
    return rig_expect(rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
}

static const char *part(const struct rig_answer *a, const char *object, const char *field)
{
    return json_string_value(json_object_get(json_object_get(a->json, object), field));
}

static void work_is_asked_for_and_done(void **state)
{
    char task[128], path[128];
    struct rig_call again = seal_of("plain", path);
    struct rig_answer a;

    (void)state;
    asked("plain", task);
    a = look(task);
    assert_string_equal(rig_text(&a, "state"), "waiting");
    assert_string_equal(rig_text(&a, "subject"), "package plain version 1");
    assert_string_equal(rig_text(&a, "actor"), "operator");
    assert_string_equal(part(&a, "progress", "unit"), "bytes");
    rig_answer_done(&a);
    a = rig_expect(rig, RIG_OPERATOR, &again, 202); /* the same one */
    assert_string_equal(rig_header(&a, "Location"), task);
    rig_answer_done(&a);
    rig_work(rig);
    a = look(task);
    assert_string_equal(rig_text(&a, "state"), "done");
    assert_int_equal(strlen(part(&a, "result", "manifest_sha256")), 64);
    assert_true(json_is_null(json_object_get(a.json, "error")));
    rig_answer_done(&a);
    rig_refused(rig, RIG_OPERATOR, &again, "version-sealed", NULL);
    a = look("/api/v1/packages/plain/versions/1");
    assert_string_equal(rig_text(&a, "state"), "sealed");
    rig_answer_done(&a);
}

static void a_waiting_task_is_cancelled(void **state)
{
    char task[128], path[160];
    struct rig_call cancel = {.method = API_POST, .path = path};
    struct rig_answer a;

    (void)state;
    asked("dropped", task);
    (void)snprintf(path, sizeof path, "%s/cancel", task);
    a = rig_expect(rig, RIG_OPERATOR, &cancel, 200);
    assert_string_equal(rig_text(&a, "state"), "cancelled");
    assert_string_equal(part(&a, "error", "code"), "cancelled");
    assert_non_null(strstr(part(&a, "error", "detail"), "operator"));
    rig_answer_done(&a);
    rig_refused(rig, RIG_OPERATOR, &cancel, "conflict", "cancelled");
    rig_work(rig);
    a = look("/api/v1/packages/dropped/versions/1");
    assert_string_equal(rig_text(&a, "state"), "draft");
    rig_answer_done(&a);
}

/* What an operator asks for while it runs: as if another process had claimed it. */
static void a_running_task_ends_at_a_safe_place(void **state)
{
    char task[128];
    struct rig_answer a;

    (void)state;
    asked("stopped", task);
    rig_sql("UPDATE tasks SET cancel_requested = true WHERE state = 'waiting'");
    rig_work(rig);
    a = look(task);
    assert_string_equal(rig_text(&a, "state"), "cancelled");
    rig_answer_done(&a);
    rig_log_says("seal-version", "info", "An operator cancelled the task.");
    a = look("/api/v1/packages/stopped/versions/1");
    assert_string_equal(rig_text(&a, "state"), "draft");
    rig_answer_done(&a);
}

static void what_is_asked_for_again_is_done(void **state)
{
    char task[128], path[128];
    struct rig_call again = seal_of("wanted", path);
    struct rig_answer a;

    (void)state;
    asked("wanted", task);
    rig_sql("UPDATE tasks SET cancel_requested = true WHERE state = 'waiting'");
    a = rig_expect(rig, RIG_OPERATOR, &again, 202);
    assert_string_equal(rig_header(&a, "Location"), task);
    assert_true(json_is_false(json_object_get(a.json, "cancel_requested")));
    rig_answer_done(&a);
    rig_work(rig);
    a = look(task);
    assert_string_equal(rig_text(&a, "state"), "done");
    rig_answer_done(&a);
}

static void a_stopping_service_leaves_it_for_the_next_start(void **state)
{
    const atomic_bool stop = true;
    struct cp_error err = {.code = CP_OK};
    char task[128];
    struct rig_answer a;

    (void)state;
    asked("later", task);
    assert_int_equal(jobs_do_one(&rig->jobs, &stop, &err), CP_OK);
    a = look(task);
    assert_string_equal(rig_text(&a, "state"), "waiting");
    assert_int_equal(rig_number(&a, "attempts"), 0); /* it is not to blame */
    rig_answer_done(&a);
    rig_log_says("seal-version", "info", "The service stops: the work is begun again ");
    rig_work(rig);
    a = look(task);
    assert_string_equal(rig_text(&a, "state"), "done");
    rig_answer_done(&a);
}

static void work_of_another_program_fails_with_a_sentence(void **state)
{
    struct rig_answer a;

    (void)state;
    rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'paint-house' FROM nodes");
    rig_work(rig);
    a = look("/api/v1/tasks?kind=paint-house");
    assert_string_equal(
        part(&(struct rig_answer){.json = json_array_get(json_object_get(a.json, "items"), 0)},
             "error", "code"),
        "internal-error");
    rig_answer_done(&a);
    rig_log_says("paint-house", "error", "This castpointd knows no work 'paint-house'.");
}

static void lists_are_filtered_and_paged(void **state)
{
    struct rig_answer a;
    const json_t *items;

    (void)state;
    a = look("/api/v1/tasks?state=cancelled&limit=1");
    items = json_object_get(a.json, "items");
    assert_int_equal(json_array_size(items), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(items, 0), "subject")),
                        "package stopped version 1");
    assert_non_null(rig_text(&a, "next"));
    rig_answer_done(&a);
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/tasks?state=busy"},
                "invalid-request", NULL);
    rig_refused(rig, RIG_VIEWER,
                &(struct rig_call){.method = API_GET, .path = "/api/v1/tasks/none"}, "not-found",
                "none");
}

/* ---- the calendar ---- */

static int tasks_of(const char *kind, const char *state)
{
    char path[128];
    struct rig_answer a;
    int count;

    (void)snprintf(path, sizeof path, "/api/v1/tasks?kind=%s&state=%s&limit=100", kind, state);
    a = look(path);
    count = (int)json_array_size(json_object_get(a.json, "items"));
    rig_answer_done(&a);
    return count;
}

/* The state of the calendar: what there was, and whether it asks for another. */
static void calendar(const char *tasks, bool due)
{
    struct cp_error err = {.code = CP_OK};
    char sql[700];

    (void)snprintf(
        sql, sizeof sql,
        "DELETE FROM tasks WHERE kind = 'validate-library';"
        "INSERT INTO tasks (node_id, kind, state, created_at, ended_at, code)"
        " SELECT n.id, 'validate-library', t.state, now() - t.created * interval '1 hour',"
        " now() - t.ended * interval '1 hour',"
        " CASE WHEN t.state IN ('failed', 'cancelled') THEN 'cancelled' ELSE '' END"
        " FROM nodes n, (VALUES %s) AS t(state, created, ended)",
        tasks);
    rig_sql(sql);
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    assert_int_equal(tasks_of("validate-library", "waiting"), due);
}

#define LONG_AGO "('done', 24 * 31, 24 * 31 - 1.0)" /* the setting is 30 days */
#define RECENT   "('done', 24 * 29, 24 * 29 - 1.0)"

static void the_calendar_goes_by_what_was_done(void **state)
{
    (void)state;
    calendar(LONG_AGO, true);
    calendar(RECENT, false);
    calendar("('running', 24 * 50, NULL::numeric)", false);
    calendar(LONG_AGO ", ('failed', 72, 0.9)", false); /* it took days to fail */
    calendar(LONG_AGO ", ('failed', 72, 1.1)", true);
    calendar("('failed', 72, 1.1)", true);
    calendar(RECENT ", ('failed', 72, 1.1)", false);
    calendar(LONG_AGO ", ('cancelled', 24, 23.9)", false);
    calendar(LONG_AGO ", ('cancelled', 25, 24.1)", true);
    calendar(RECENT ", ('cancelled', 25, 24.1)", false);
    rig_sql("DELETE FROM tasks WHERE kind = 'validate-library'");
}

/* What the calendar finds open it leaves alone: an operator may be ending it. */
static void the_calendar_takes_no_cancellation_back(void **state)
{
    struct cp_error err = {.code = CP_OK};

    (void)state;
    rig_sql("INSERT INTO tasks (node_id, kind, state, created_at, cancel_requested) SELECT id,"
            " 'validate-library', 'running', now() - interval '31 days', true FROM nodes");
    assert_int_equal(jobs_ask_due(&rig->jobs, &err), CP_OK);
    rig_sql("SELECT 1 / count(*) FROM tasks WHERE kind = 'validate-library' AND cancel_requested");
    rig_sql("DELETE FROM tasks WHERE kind = 'validate-library'");
    rig_work(rig); /* the other kinds */
}

/* ---- the workers' own threads ---- */

struct workers {
    struct db_listener *listener;
    struct jobs *jobs;
};

static struct workers start_workers(void)
{
    static const char *const channels[] = {DB_CHANNEL_TASKS};
    const char *conninfo = getenv("CASTPOINT_TEST_DB");
    struct cp_error err = {.code = CP_OK};
    struct workers w;

    assert_int_equal(db_listener_open(conninfo, channels, 1, &w.listener, &err), CP_OK);
    assert_int_equal(jobs_start(&rig->jobs, w.listener, &w.jobs, &err), CP_OK);
    return w;
}

static void stop_workers(const struct workers *w)
{
    jobs_stop(w->jobs);
    db_listener_close(w->listener);
}

/* Waits until there are so many, at most 30 seconds. */
static bool there_are(int count, const char *kind, const char *state)
{
    for (int i = 0; i < 3000; i++) {
        if (tasks_of(kind, state) == count) {
            return true;
        }
        (void)poll(NULL, 0, 10);
    }
    return false;
}

static void workers_hear_of_new_tasks(void **state)
{
    int before = tasks_of("seal-version", "done");
    struct workers w = start_workers();
    char task[128];
    bool ended;

    (void)state;
    asked("heard", task);
    ended = there_are(before + 1, "seal-version", "done");
    stop_workers(&w);
    assert_true(ended);
}

static void slow_work_leaves_the_rest_a_worker(void **state)
{
    int before = tasks_of("expire-uploads", "done");
    struct cp_error err;

    (void)state;
    asked("slow", (char[128]){""});
    assert_int_equal(jobs_do_quick(&rig->jobs, NULL, &err), CP_ERR_NOT_FOUND);
    rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'expire-uploads' FROM nodes");
    assert_int_equal(jobs_do_quick(&rig->jobs, NULL, &err), CP_OK);
    assert_int_equal(tasks_of("expire-uploads", "done"), before + 1);
    assert_int_equal(tasks_of("seal-version", "waiting"), 1);
    rig_work(rig);
    assert_int_equal(tasks_of("seal-version", "waiting"), 0);
}

/* Holds up all seals, more than there are workers. */
static enum cp_err hold_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const char hold[] = "LOCK TABLE versions IN ACCESS EXCLUSIVE MODE";
    struct workers *w = arg;

    CP_TRY(db_conn_text(conn, hold, err));
    *w = start_workers();
    assert_true(there_are(JOBS_WORKERS - JOBS_QUICK_WORKERS, "seal-version", "running"));
    rig_sql("INSERT INTO tasks (node_id, kind) SELECT id, 'build-house' FROM nodes;"
            " NOTIFY " DB_CHANNEL_TASKS);
    assert_true(there_are(1, "build-house", "failed"));
    assert_int_equal(tasks_of("seal-version", "running"), JOBS_WORKERS - JOBS_QUICK_WORKERS);
    return CP_OK;
}

static void workers_keep_free_of_slow_work(void **state)
{
    struct cp_error err = {.code = CP_OK};
    struct workers w;
    bool ended;

    (void)state;
    for (int i = 0; i <= JOBS_WORKERS; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "many-%d", i);
        asked(name, (char[128]){""});
    }
    assert_int_equal(db_run_tx(rig->ctx.db, "hold", hold_body, &w, &err), CP_OK);
    ended = there_are(0, "seal-version", "waiting") && there_are(0, "seal-version", "running");
    stop_workers(&w);
    assert_true(ended);
    assert_int_equal(tasks_of("seal-version", "failed"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_is_asked_for_and_done),
        cmocka_unit_test(a_waiting_task_is_cancelled),
        cmocka_unit_test(a_running_task_ends_at_a_safe_place),
        cmocka_unit_test(what_is_asked_for_again_is_done),
        cmocka_unit_test(a_stopping_service_leaves_it_for_the_next_start),
        cmocka_unit_test(work_of_another_program_fails_with_a_sentence),
        cmocka_unit_test(lists_are_filtered_and_paged),
        cmocka_unit_test(the_calendar_goes_by_what_was_done),
        cmocka_unit_test(the_calendar_takes_no_cancellation_back),
        cmocka_unit_test(workers_hear_of_new_tasks),
        cmocka_unit_test(slow_work_leaves_the_rest_a_worker),
        cmocka_unit_test(workers_keep_free_of_slow_work),
    };

    return cmocka_run_group_tests(tests, rig_set_up, rig_tear_down);
}
