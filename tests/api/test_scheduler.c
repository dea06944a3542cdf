/* SPDX-License-Identifier: Apache-2.0
 * The scheduler with a real database, real blobs and real packets on the loopback link: sessions
 * start, deliver, are cancelled, fail, are interrupted and taken up again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <poll.h>

#include "common/clock.h"
#include "db/listener.h"
#include "tests/api/sched_rig.h"

#define DONE   "{\"outcome\": \"done\", \"bytes_total\": 3145805}"
#define FAILED "{\"outcome\": \"failed\", \"code\": \"output-full\"}"

/* ---- the good way ---- */

static void a_session_delivers(void **state)
{
    struct sched_receiving one, two;
    struct sched_place p, q;
    json_t *session;
    int started = rig_events(sched.rig, "session-started");
    int finished = rig_events(sched.rig, "session-finished");

    (void)state;
    rig_sql("UPDATE settings SET gathering_delay_ms = 300");
    sched_rate("200000000");
    sched_package("delivered");
    sched_start();
    p = sched_join("delivered", "c1");
    q = sched_join("delivered", "c2");
    assert_string_equal(p.session, q.session);
    sched_receive(&one, &p);
    sched_receive(&two, &q);
    assert_int_equal(sched_receive_end(&one), CP_OK);
    assert_int_equal(sched_receive_end(&two), CP_OK);
    sched_assert_content(&one);
    sched_assert_content(&two);
    assert_int_equal(sched_report(&p, "progress", "{\"state\": \"verifying\", \"bytes_done\": 9}"),
                     204);
    assert_int_equal(sched_report(&p, "result", DONE), 204);
    sched_expect(&p, "running"); /* the other one is still waited for */
    assert_int_equal(sched_report(&q, "result", DONE), 204);
    session = sched_await(&p, "finished");
    assert_int_equal(sched_number(json_object_get(session, "receivers"), "done"), 2);
    assert_true(sched_number(json_object_get(session, "stats"), "bytes_sent") > SCHED_CONTENT_SIZE);
    json_decref(session);
    assert_int_equal(rig_events(sched.rig, "session-started"), started + 1);
    assert_int_equal(rig_events(sched.rig, "session-finished"), finished + 1);
    sched_stop();
    rig_sql("UPDATE settings SET gathering_delay_ms = 0");
}

/* Switched off while it waits, it never sends, and its receivers hear why. */
static void a_session_does_not_start_when_multicast_is_off(void **state)
{
    char path[256];
    struct rig_call call = {.method = API_PUT, .path = path, .body = "{\"state\": \"joined\"}"};
    struct rig_answer a;
    struct sched_place p;

    (void)state;
    sched_package("switched-off");
    p = sched_join("switched-off", "c1");
    rig_sql("UPDATE settings SET multicast_enabled = false");
    sched_start();
    sched_expect_end(&p, "cancelled", "multicast-disabled");
    (void)snprintf(path, sizeof path, "/api/v1/joins/%s/progress", p.join);
    call.authorization = p.bearer;
    a = rig_expect(sched.rig, RIG_NOBODY, &call, 200);
    assert_string_equal(rig_text(&a, "command"), "leave");
    assert_string_equal(rig_text(&a, "code"), "multicast-disabled");
    rig_answer_done(&a);
    sched_stop();
    rig_sql("UPDATE settings SET multicast_enabled = true");
}

/* The row says that it runs, but nobody sends: what a database that goes away at the wrong moment
 * can leave behind. */
static void a_session_that_nobody_sends_is_taken_up(void **state)
{
    struct sched_receiving one;
    struct sched_place p, other;

    (void)state;
    sched_rate("200000000");
    sched_package("orphan");
    sched_package("awakener");
    sched_start();
    rig_sql("UPDATE settings SET gathering_delay_ms = 600000");
    p = sched_join("orphan", "c1");
    sched_receive(&one, &p);
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE state = 'waiting'");
    other = sched_join("awakener", "c1"); /* wakes the scheduler */
    assert_int_equal(sched_receive_end(&one), CP_OK);
    sched_assert_content(&one);
    assert_int_equal(sched_report(&p, "result", DONE), 204);
    sched_expect(&p, "finished");
    rig_sql("UPDATE sessions SET state = 'cancelled', ended_at = now() WHERE state = 'waiting'");
    sched_expect(&other, "cancelled");
    sched_stop();
    rig_sql("UPDATE settings SET gathering_delay_ms = 0");
}

static void progress_is_flushed(void **state)
{
    char path[256];
    struct rig_call call = {.method = API_GET, .path = path};
    cp_time end = cp_clock_now() + SCHED_PATIENCE;
    struct sched_place p;
    json_int_t done = 0;

    (void)state;
    sched_rate("1000000");
    sched_package("flushed");
    sched_start();
    p = sched_join("flushed", "c1");
    call.authorization = p.bearer;
    (void)snprintf(path, sizeof path, "/api/v1/joins/%s", p.join);
    assert_int_equal(
        sched_report(&p, "progress", "{\"state\": \"receiving\", \"bytes_done\": 4711}"), 204);
    while (done != 4711) {
        struct rig_answer a = rig_expect(sched.rig, RIG_NOBODY, &call, 200);

        done = rig_number(&a, "bytes_done");
        rig_answer_done(&a);
        assert_true(cp_clock_now() < end);
        (void)poll(NULL, 0, 20);
    }
    assert_int_equal(
        sched_report(&p, "progress", "{\"state\": \"moved\", \"reason\": \"no-multicast-heard\"}"),
        204);
    sched_expect(&p, "finished"); /* nobody is left to wait for */
    sched_stop();
}

/* ---- other ends ---- */

static void cancelled_session_is_withdrawn(void **state)
{
    char path[128];
    struct rig_call cancel = {.method = API_POST, .path = path};
    struct sched_receiving r;
    struct sched_place p;

    (void)state;
    sched_rate("4000000");
    sched_package("withdrawn");
    sched_start();
    p = sched_join("withdrawn", "c1");
    sched_receive(&r, &p);
    sched_expect(&p, "running");
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/cancel", p.session);
    assert_int_equal(rig_status(sched.rig, RIG_OPERATOR, &cancel), 200);
    assert_int_equal(sched_receive_end(&r), CP_ERR_CANCELLED); /* at once, not after the silence */
    assert_int_equal(close(r.extent.fd), 0);
    sched_expect_end(&p, "cancelled", "cancelled");
    sched_stop();
}

static void failures_name_their_cause(void **state)
{
    int before = rig_events(sched.rig, "session-failed");
    struct sched_place p;

    (void)state;
    sched_package("broken");
    sched_start();
    rig_sql("UPDATE settings SET interface = 'nolink0'");
    p = sched_join("broken", "c1");
    sched_expect_end(&p, "failed", "interface-not-found");
    assert_int_equal(sched_report(&p, "progress", "{\"state\": \"receiving\"}"), 200); /* "leave" */
    rig_sql("UPDATE settings SET interface = 'lo'");
    assert_int_equal(rig_blob_count(sched.rig), 1); /* all packages hold the same bytes */
    p = sched_join("broken", "c2");
    sched_stop(); /* between the join and the start, or just after */
    rig_sql("UPDATE sessions SET state = 'cancelled', ended_at = now() WHERE ended_at IS NULL");
    assert_int_equal(rig_events(sched.rig, "session-failed"), before + 1);
}

static void missing_blob_fails_the_session(void **state)
{
    char command[320];
    char back[320];
    struct sched_place p;

    (void)state;
    sched_package("missing");
    /* The store keeps its folder open: only what is in it can be taken away. */
    (void)snprintf(command, sizeof command, "mkdir %s/hidden && mv %s/content/sha256/* %s/hidden/",
                   sched.rig->folder, sched.rig->folder, sched.rig->folder);
    (void)snprintf(back, sizeof back, "mv %s/hidden/* %s/content/sha256/", sched.rig->folder,
                   sched.rig->folder);
    sched_start();
    assert_int_equal(system(command), 0);
    p = sched_join("missing", "c1");
    sched_expect_end(&p, "failed", "blob-missing");
    assert_int_equal(system(back), 0);
    sched_stop();
}

static void nobody_left_nothing_sent(void **state)
{
    json_t *session;
    struct sched_place p;

    (void)state;
    sched_package("deserted");
    p = sched_join("deserted", "c1");
    assert_int_equal(sched_report(&p, "result", FAILED), 204);
    sched_start();
    session = sched_await(&p, "finished");
    assert_int_equal(sched_number(json_object_get(session, "stats"), "bytes_sent"), 0);
    json_decref(session);
    sched_stop();
}

/* ---- one service a node ---- */

/* The server ends a claim a moment after its connection: only that conflict may be waited out. */
static void claim_when_free(struct db_listener *l, const char *node_id)
{
    cp_time end = cp_clock_now() + SCHED_PATIENCE;
    struct cp_error err;
    enum cp_err rc;

    do {
        rc = db_listener_claim(l, node_id, &err);
        assert_true(cp_clock_now() < end);
    } while (rc == CP_ERR_CONFLICT);
    assert_int_equal(rc, CP_OK);
}

static void a_node_is_claimed_once(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_SESSIONS};
    struct db_listener *other = NULL;
    struct cp_error err;

    (void)state;
    assert_int_equal(db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 1, &other, &err),
                     CP_OK);
    assert_int_equal(db_listener_claim(other, sched.rig->node_id, &err), CP_OK);
    assert_int_equal(db_listener_claim(sched.ears, sched.rig->node_id, &err), CP_ERR_CONFLICT);
    assert_int_equal(db_listener_claim(sched.ears, "another node", &err), CP_OK);
    db_listener_close(other);
    claim_when_free(sched.ears, sched.rig->node_id);
    /* A reconnect takes it again, so that a third one finds it taken. */
    while (db_listener_reconnect(sched.ears, &err) != CP_OK) {
        assert_int_equal(err.code, CP_ERR_CONFLICT);
    }
    assert_int_equal(db_listener_open(getenv("CASTPOINT_TEST_DB"), channels, 1, &other, &err),
                     CP_OK);
    assert_int_equal(db_listener_claim(other, sched.rig->node_id, &err), CP_ERR_CONFLICT);
    db_listener_close(other);
}

/* ---- stop and crash ---- */

static void stopping_interrupts(void **state)
{
    struct sched_receiving r;
    struct sched_place p;

    (void)state;
    sched_rate("4000000");
    sched_package("stopped");
    sched_start();
    p = sched_join("stopped", "c1");
    sched_receive(&r, &p);
    sched_expect(&p, "running");
    sched_stop();
    assert_int_equal(sched_receive_end(&r), CP_ERR_CANCELLED);
    assert_int_equal(close(r.extent.fd), 0);
    sched_expect_end(&p, "interrupted", "cancelled");
}

/* As a killed process leaves it: running in the database, without an engine. */
static void killed_session_goes_on(void **state)
{
    int before = rig_events(sched.rig, "session-resumed");
    struct sched_receiving r;
    struct sched_place p;

    (void)state;
    sched_rate("200000000");
    sched_package("killed");
    p = sched_join("killed", "c1");
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE state = 'waiting'");
    sched_receive(&r, &p);
    sched_start();
    assert_int_equal(sched_receive_end(&r), CP_OK);
    sched_assert_content(&r);
    assert_int_equal(rig_events(sched.rig, "session-resumed"), before + 1);
    assert_int_equal(sched_report(&p, "result", DONE), 204);
    sched_expect(&p, "finished");
    sched_stop();
}

static void stale_session_is_ended(void **state)
{
    struct sched_place p, q;

    (void)state;
    sched_package("stale");
    p = sched_join("stale", "c1");
    rig_sql("UPDATE sessions SET state = 'running', started_at = now() WHERE state = 'waiting'");
    rig_sql("UPDATE receivers SET updated_at = now() - interval '5 minutes', "
            "joined_at = now() - interval '5 minutes'");
    sched_start();
    sched_expect_end(&p, "interrupted", "cancelled");
    q = sched_join("stale", "c1"); /* and the next join finds a fresh one */
    assert_string_not_equal(p.session, q.session);
    assert_int_equal(sched_report(&q, "result", FAILED), 204);
    sched_expect(&q, "finished");
    sched_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_delivers),
        cmocka_unit_test(a_session_does_not_start_when_multicast_is_off),
        cmocka_unit_test(a_session_that_nobody_sends_is_taken_up),
        cmocka_unit_test(progress_is_flushed),
        cmocka_unit_test(cancelled_session_is_withdrawn),
        cmocka_unit_test(failures_name_their_cause),
        cmocka_unit_test(missing_blob_fails_the_session),
        cmocka_unit_test(nobody_left_nothing_sent),
        cmocka_unit_test(a_node_is_claimed_once),
        cmocka_unit_test(stopping_interrupts),
        cmocka_unit_test(killed_session_goes_on),
        cmocka_unit_test(stale_session_is_ended),
    };

    return cmocka_run_group_tests(tests, sched_set_up, sched_tear_down);
}
