/* SPDX-License-Identifier: Apache-2.0
 * Tasks in the tables: asked for once, claimed once, ended once; run through
 * tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "db/task.h"

static struct db_task asked(const struct fixture *f, const char *kind, const char *subject)
{
    struct db_task t = {.unit = DB_TASK_BYTES};

    (void)snprintf(t.node_id, sizeof t.node_id, "%s", f->node.id);
    (void)snprintf(t.kind, sizeof t.kind, "%s", kind);
    (void)snprintf(t.subject, sizeof t.subject, "%s", subject);
    (void)snprintf(t.actor, sizeof t.actor, "anna");
    (void)snprintf(t.params, sizeof t.params, "{\"version\": 3}");
    return t;
}

static struct db_task ask(struct fixture *f, const char *kind, const char *subject, bool expected)
{
    struct db_task in = asked(f, kind, subject);
    struct db_task out;
    bool made;

    OK(f, db_task_create(f->conn, &in, &out, &made, &f->err));
    assert_int_equal(made, expected);
    return out;
}

static struct db_task claim(struct fixture *f)
{
    struct db_task t;

    OK(f, db_task_claim(f->conn, f->node.id, "", "", &t, &f->err));
    return t;
}

static struct db_task get(struct fixture *f, const char *id)
{
    struct db_task t;

    OK(f, db_task_get(f->conn, id, &t, &f->err));
    return t;
}

static void test_the_same_work_is_asked_for_once(void **state)
{
    struct fixture *f = *state;
    struct db_task_end end = {.state = DB_TASK_DONE, .code = "", .detail = "", .result = "{}"};
    struct db_task first, again, other;
    bool made;

    (void)fixture_begin(f);
    first = ask(f, "seal-version", "package a version 1", true);
    assert_int_equal(first.state, DB_TASK_WAITING);
    assert_int_equal(first.unit, DB_TASK_BYTES);
    assert_string_equal(first.params, "{\"version\": 3}");
    assert_string_equal(first.result, "");
    again = ask(f, "seal-version", "package a version 1", false);
    assert_string_equal(again.id, first.id);
    other = asked(f, "seal-version", "package a version 1"); /* by that name now */
    (void)snprintf(other.params, sizeof other.params, "{\"version\": 4}");
    OK(f, db_task_create(f->conn, &other, &again, &made, &f->err));
    assert_true(made);
    assert_string_not_equal(again.id, first.id);
    (void)ask(f, "seal-version", "package a version 2", true);
    (void)ask(f, "collect-garbage", "package a version 1", true);
    (void)claim(f);
    OK(f, db_task_finish(f->conn, first.id, &end, &f->err));
    again = ask(f, "seal-version", "package a version 1", true);
    assert_string_not_equal(again.id, first.id);
    fixture_commit(f);
}

static void test_oldest_first_and_each_once(void **state)
{
    struct fixture *f = *state;
    struct db_task a, b, t;

    (void)fixture_begin(f);
    a = ask(f, "seal-version", "a", true);
    b = ask(f, "seal-version", "b", true);
    t = claim(f);
    assert_string_equal(t.id, a.id);
    assert_int_equal(t.state, DB_TASK_RUNNING);
    assert_int_equal(t.attempts, 1);
    assert_true(t.started_at != 0);
    t = claim(f);
    assert_string_equal(t.id, b.id);
    assert_int_equal(db_task_claim(f->conn, f->node.id, "", "", &t, &f->err), CP_ERR_NOT_FOUND);
    fixture_commit(f);
}

/* What takes days leaves a worker for the rest. */
static void test_one_of_a_kind_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct db_task_end done = {.state = DB_TASK_DONE, .code = "", .detail = ""};
    struct db_task long_one, second, other, t;

    (void)fixture_begin(f);
    long_one = ask(f, "validate-library", "", true);
    second = ask(f, "validate-library", "package a", true);
    other = ask(f, "seal-version", "package b version 1", true);
    OK(f, db_task_claim(f->conn, f->node.id, "validate-library", "", &t, &f->err));
    assert_string_equal(t.id, long_one.id);
    OK(f, db_task_claim(f->conn, f->node.id, "validate-library", "", &t, &f->err));
    assert_string_equal(t.id, other.id);
    assert_int_equal(db_task_claim(f->conn, f->node.id, "validate-library", "", &t, &f->err),
                     CP_ERR_NOT_FOUND);
    OK(f, db_task_finish(f->conn, long_one.id, &done, &f->err));
    OK(f, db_task_claim(f->conn, f->node.id, "validate-library", "", &t, &f->err));
    assert_string_equal(t.id, second.id);
    fixture_commit(f);
}

struct rival {
    struct fixture *f;
    struct db_task task;
    enum cp_err rc;
    atomic_bool over;
};

static enum cp_err claim_alone(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct rival *r = arg;

    return db_task_claim(conn, r->f->node.id, "validate-library", "", &r->task, err);
}

static void *claim_beside(void *arg)
{
    struct rival *r = arg;
    struct cp_error err;

    r->rc = db_run_tx_locking(r->f->pool, "claim", claim_alone, r, &err);
    atomic_store(&r->over, true);
    return NULL;
}

/* Also when two workers claim at the same moment. */
static void test_one_of_a_kind_for_two_workers(void **state)
{
    struct fixture *f = *state;
    struct rival rival = {.f = f};
    pthread_t thread;
    struct db_task t;

    (void)fixture_begin(f);
    (void)ask(f, "validate-library", "", true);
    (void)ask(f, "validate-library", "package a", true);
    fixture_commit(f);
    (void)fixture_begin(f);
    OK(f, db_task_claim(f->conn, f->node.id, "validate-library", "", &t, &f->err));
    assert_int_equal(pthread_create(&thread, NULL, claim_beside, &rival), 0);
    while (!atomic_load(&rival.over) &&
           fixture_number(f, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0) {
    }
    fixture_commit(f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(rival.rc, CP_ERR_NOT_FOUND);
}

/* And so does what takes hours, however much of it waits. */
static void test_without_some_kinds(void **state)
{
    static const char slow[] = "seal-version validate-library";
    struct fixture *f = *state;
    struct db_task quick, seal, t;

    (void)fixture_begin(f);
    seal = ask(f, "seal-version", "a", true);
    (void)ask(f, "validate-library", "", true);
    REFUSED(f, CP_ERR_NOT_FOUND, db_task_claim(f->conn, f->node.id, "", slow, &t, &f->err));
    quick = ask(f, "check-keys", "", true);
    OK(f, db_task_claim(f->conn, f->node.id, "", slow, &t, &f->err));
    assert_string_equal(t.id, quick.id);
    OK(f, db_task_claim(f->conn, f->node.id, "", "seal", &t, &f->err)); /* no kind */
    assert_string_equal(t.id, seal.id);
    fixture_commit(f);
}

static void test_progress_and_end(void **state)
{
    struct fixture *f = *state;
    struct db_task_end failed = {
        .state = DB_TASK_FAILED, .code = "storage-full", .detail = "No room."};
    struct db_task t;
    bool cancel = true;

    (void)fixture_begin(f);
    t = ask(f, "seal-version", "a", true);
    REFUSED(f, CP_ERR_NOT_FOUND, db_task_progress(f->conn, t.id, 1, 2, &cancel, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_task_finish(f->conn, t.id, &failed, &f->err));
    (void)claim(f);
    OK(f, db_task_progress(f->conn, t.id, 5, 1ull << 40, &cancel, &f->err));
    assert_false(cancel);
    t = get(f, t.id);
    assert_int_equal(t.done, 5);
    assert_int_equal(t.total, 1ull << 40);
    OK(f, db_task_finish(f->conn, t.id, &failed, &f->err));
    t = get(f, t.id);
    assert_int_equal(t.state, DB_TASK_FAILED);
    assert_string_equal(t.code, "storage-full");
    assert_true(t.ended_at != 0);
    REFUSED(f, CP_ERR_NOT_FOUND, db_task_finish(f->conn, t.id, &failed, &f->err));
    fixture_commit(f);
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    struct db_task waiting, running, t;
    bool cancel = false;

    (void)fixture_begin(f);
    running = ask(f, "seal-version", "a", true);
    waiting = ask(f, "seal-version", "b", true);
    (void)claim(f);
    OK(f, db_task_cancel(f->conn, waiting.id, "cancelled", "By anna.", &t, &f->err));
    assert_int_equal(t.state, DB_TASK_CANCELLED);
    assert_string_equal(t.detail, "By anna.");
    OK(f, db_task_cancel(f->conn, running.id, "cancelled", "By anna.", &t, &f->err));
    assert_int_equal(t.state, DB_TASK_RUNNING);
    assert_true(t.cancel_requested);
    OK(f, db_task_progress(f->conn, running.id, 1, 2, &cancel, &f->err));
    assert_true(cancel);
    REFUSED(f, CP_ERR_CONFLICT, db_task_cancel(f->conn, waiting.id, "cancelled", "", &t, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND,
            db_task_cancel(f->conn, "not-an-id", "cancelled", "", &t, &f->err));
    fixture_commit(f);
}

/* Cancelled, then wanted after all: whether its worker has heard of it already or not. */
static void test_what_is_asked_for_again_is_done(void **state)
{
    struct fixture *f = *state;
    struct db_task_end cancelled = {
        .state = DB_TASK_CANCELLED, .code = "cancelled", .detail = "By anna."};
    struct db_task t, again;
    bool cancel = true;

    (void)fixture_begin(f);
    t = ask(f, "seal-version", "a", true);
    (void)claim(f);
    OK(f, db_task_cancel(f->conn, t.id, "cancelled", "", &again, &f->err));
    again = ask(f, "seal-version", "a", false);
    assert_string_equal(again.id, t.id);
    assert_false(again.cancel_requested);
    OK(f, db_task_progress(f->conn, t.id, 1, 2, &cancel, &f->err));
    assert_false(cancel);

    OK(f, db_task_cancel(f->conn, t.id, "cancelled", "", &again, &f->err));
    OK(f, db_task_progress(f->conn, t.id, 1, 2, &cancel, &f->err));
    assert_true(cancel); /* its worker stops */
    (void)ask(f, "seal-version", "a", false);
    OK(f, db_task_finish(f->conn, t.id, &cancelled, &f->err));
    t = get(f, t.id);
    assert_int_equal(t.state, DB_TASK_WAITING);
    assert_string_equal(t.code, "");
    assert_string_equal(t.detail, "");
    assert_int_equal(t.ended_at, 0);
    again = claim(f);
    assert_string_equal(again.id, t.id);
    assert_int_equal(again.attempts, 1);

    OK(f, db_task_cancel(f->conn, t.id, "cancelled", "", &again, &f->err));
    OK(f, db_task_finish(f->conn, t.id, &cancelled, &f->err));
    t = get(f, t.id);
    assert_int_equal(t.state, DB_TASK_CANCELLED);
    assert_string_equal(t.detail, "By anna.");
    (void)ask(f, "seal-version", "a", true);
    fixture_commit(f);
}

static void test_a_killed_service_begins_again_but_not_for_ever(void **state)
{
    struct fixture *f = *state;
    struct db_task_line lines[DB_TASK_ATTEMPTS_MAX];
    struct db_task t;
    uint64_t waiting;
    size_t count;

    (void)fixture_begin(f);
    t = ask(f, "seal-version", "a", true);
    for (int i = 1; i <= DB_TASK_ATTEMPTS_MAX; i++) {
        assert_int_equal(claim(f).attempts, i);
        OK(f, db_task_recover(f->conn, f->node.id, "interrupted", &waiting, &f->err));
        assert_int_equal(waiting, i < DB_TASK_ATTEMPTS_MAX);
    }
    t = get(f, t.id);
    assert_int_equal(t.state, DB_TASK_FAILED);
    assert_string_equal(t.code, "interrupted");
    OK(f, db_task_log_list(f->conn, t.id, 0, DB_TASK_ATTEMPTS_MAX, lines, &count, &f->err));
    assert_int_equal(count, DB_TASK_ATTEMPTS_MAX);
    assert_int_equal(lines[0].level, DB_TASK_WARNING);
    assert_int_equal(lines[DB_TASK_ATTEMPTS_MAX - 1].level, DB_TASK_ERROR);
    assert_string_equal(lines[DB_TASK_ATTEMPTS_MAX - 1].text, t.detail);
    fixture_commit(f);
}

/* However often: only what may have brought the service down counts. */
static void test_a_stopped_service_begins_again_for_ever(void **state)
{
    struct fixture *f = *state;
    struct db_task_end stopped = {
        .state = DB_TASK_WAITING, .code = "", .detail = "", .uncounted = true};
    struct db_task t;
    uint64_t count;

    (void)fixture_begin(f);
    t = ask(f, "validate-library", "", true);
    for (int i = 0; i < DB_TASK_ATTEMPTS_MAX; i++) {
        (void)claim(f);
        OK(f, db_task_finish(f->conn, t.id, &stopped, &f->err));
    }
    (void)claim(f);
    OK(f, db_task_recover(f->conn, f->node.id, "interrupted", &count, &f->err));
    assert_int_equal(count, 1);
    t = get(f, t.id);
    assert_int_equal(t.state, DB_TASK_WAITING);
    assert_int_equal(t.attempts, 1);
    fixture_commit(f);
}

static void test_list_and_log(void **state)
{
    struct fixture *f = *state;
    const enum db_task_state running = DB_TASK_RUNNING;
    struct db_task_filter filter = {.kind = NULL};
    struct db_task_line lines[4];
    struct db_task items[4], t;
    char longer[2 * DB_TASK_LINE_SIZE];
    size_t count;

    (void)fixture_begin(f);
    t = ask(f, "seal-version", "a", true);
    (void)ask(f, "seal-version", "b", true);
    (void)ask(f, "collect-garbage", "", true);
    OK(f, db_task_list(f->conn, &filter, 0, 4, items, &count, &f->err));
    assert_int_equal(count, 3);
    assert_string_equal(items[0].kind, "collect-garbage");
    OK(f, db_task_list(f->conn, &filter, items[1].number, 4, items, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(items[0].id, t.id);
    (void)claim(f);
    filter = (struct db_task_filter){.kind = "seal-version", .state = &running};
    OK(f, db_task_list(f->conn, &filter, 0, 4, items, &count, &f->err));
    assert_int_equal(count, 1);
    OK(f, db_task_newest(f->conn, f->node.id, "seal-version", "b", &t, &f->err));
    assert_string_equal(t.subject, "b");
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    OK(f, db_task_log(f->conn, t.id, DB_TASK_INFO, "begun", &f->err));
    OK(f, db_task_log(f->conn, t.id, DB_TASK_WARNING, longer, &f->err));
    OK(f, db_task_log_list(f->conn, t.id, 0, 4, lines, &count, &f->err));
    assert_int_equal(count, 2);
    assert_string_equal(lines[0].text, "begun");
    assert_int_equal(strlen(lines[1].text), DB_TASK_LINE_SIZE - 1);
    OK(f, db_task_log_list(f->conn, t.id, lines[0].id, 4, lines, &count, &f->err));
    assert_int_equal(lines[0].level, DB_TASK_WARNING);
    fixture_commit(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_work_is_asked_for_once, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_oldest_first_and_each_once, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_one_of_a_kind_at_a_time, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_one_of_a_kind_for_two_workers, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_without_some_kinds, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_progress_and_end, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_cancel, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_what_is_asked_for_again_is_done, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_killed_service_begins_again_but_not_for_ever,
                                        fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_a_stopped_service_begins_again_for_ever, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_list_and_log, fixture_open, fixture_close),
    };

    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
