/* SPDX-License-Identifier: Apache-2.0
 * Pace through the API and the scheduler, with real engines on the loopback link: the ceiling is
 * shared and reaches running sessions, control settings take effect, what the sender knows and
 * decides is shown, and a receiver that it does not serve any more is told to leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "tests/api/sched_rig.h"

#define DONE "{\"outcome\": \"done\", \"bytes_total\": 3145805}"

/* A ceiling on the wire as UDP payload: 1472 of 1538 bytes. */
#define PAYLOAD(wire) ((json_int_t)((double)(wire)*1472 / 1538))

static json_int_t pace_number(const struct sched_place *p, const char *name)
{
    json_t *session = sched_session(p);
    json_int_t number = sched_number(json_object_get(session, "pace"), name);

    json_decref(session);
    return number;
}

static bool near(json_int_t a, json_int_t b)
{
    return a - b <= 1 && b - a <= 1;
}

static void await_ceiling(const struct sched_place *p, json_int_t payload_bps)
{
    cp_time end = cp_clock_now() + SCHED_PATIENCE;

    while (!near(pace_number(p, "ceiling_bps"), payload_bps)) {
        if (cp_clock_now() > end) {
            fail_msg("the ceiling is %lld, not %lld", (long long)pace_number(p, "ceiling_bps"),
                     (long long)payload_bps);
        }
        sched_pause();
    }
}

static void cancel(const struct sched_place *p)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/cancel", p->session);
    assert_int_equal(
        rig_status(sched.rig, RIG_OPERATOR, &(struct rig_call){.method = API_POST, .path = path}),
        200);
    sched_expect(p, "cancelled");
}

/* 3 MiB at 1 Mbit/s would take 25 seconds. */
static void a_new_ceiling_reaches_a_running_session(void **state)
{
    struct sched_receiving one;
    struct sched_place p;
    cp_time began;

    (void)state;
    rig_settings(sched.rig, "{\"rate_ceiling_bps\": 1000000, \"rate_control\": \"fixed\"}");
    sched_package("raised");
    sched_start();
    p = sched_join("raised", "c1");
    sched_receive(&one, &p);
    await_ceiling(&p, PAYLOAD(1000000));
    began = cp_clock_now();
    rig_settings(sched.rig, "{\"rate_ceiling_bps\": 200000000}");
    assert_int_equal(sched_receive_end(&one), CP_OK);
    assert_true(cp_clock_now() - began < 12 * CP_SEC);
    sched_assert_content(&one);
    await_ceiling(&p, PAYLOAD(200000000));
    assert_int_equal(sched_report(&p, "result", DONE), 204);
    sched_expect(&p, "finished");
    sched_stop();
}

static void sessions_share_the_ceiling(void **state)
{
    struct sched_receiving one, two;
    struct sched_place p, q;

    (void)state;
    rig_settings(sched.rig, "{\"rate_ceiling_bps\": 4000000, \"rate_control\": \"fixed\"}");
    sched_package("shared-a");
    sched_package("shared-b");
    sched_start();
    p = sched_join("shared-a", "c1");
    sched_receive(&one, &p);
    await_ceiling(&p, PAYLOAD(4000000)); /* alone, all is its own */
    q = sched_join("shared-b", "c1");
    sched_receive(&two, &q);
    await_ceiling(&q, PAYLOAD(2000000));
    await_ceiling(&p, PAYLOAD(2000000));
    cancel(&q);
    await_ceiling(&p, PAYLOAD(4000000)); /* what the other one had is free again */
    cancel(&p);
    assert_int_equal(sched_receive_end(&one), CP_ERR_CANCELLED);
    assert_int_equal(sched_receive_end(&two), CP_ERR_CANCELLED);
    assert_int_equal(close(one.extent.fd) | close(two.extent.fd), 0);
    sched_stop();
}

/* Control is the settings' at the start; a later change is for later sessions. */
static void control_is_that_of_the_start(void **state)
{
    static const struct {
        const char *settings, *control;
        json_int_t start, slow;
    } cases[] = {
        {"{\"rate_control\": \"tfmcc\", \"rate_start_percent\": 5, \"slow_share_percent\": 0}",
         "tfmcc", 5, 0},
        {"{\"rate_control\": \"lan\", \"rate_start_percent\": 40, \"slow_share_percent\": 30}",
         "lan", 40, 30},
    };
    char name[32];

    (void)state;
    rig_settings(sched.rig, "{\"rate_ceiling_bps\": 20000000}");
    sched_start();
    for (size_t i = 0; i < 2; i++) {
        struct sched_receiving one;
        struct sched_place p;
        json_t *session;

        rig_settings(sched.rig, cases[i].settings);
        (void)snprintf(name, sizeof name, "control-%zu", i);
        sched_package(name);
        p = sched_join(name, "c1");
        sched_receive(&one, &p);
        sched_expect(&p, "running");
        rig_settings(sched.rig, "{\"rate_control\": \"fixed\", \"rate_start_percent\": 100,"
                                " \"slow_share_percent\": 10}");
        session = sched_session(&p);
        assert_string_equal(rig_text_in(json_object_get(session, "pace"), "control"),
                            cases[i].control);
        json_decref(session);
        assert_int_equal(pace_number(&p, "start_percent"), cases[i].start);
        assert_int_equal(pace_number(&p, "slow_share_percent"), cases[i].slow);
        cancel(&p);
        assert_int_equal(sched_receive_end(&one), CP_ERR_CANCELLED);
        assert_int_equal(close(one.extent.fd), 0);
    }
    sched_stop();
}

/* The decisions of a session, newest first, to be released. */
static json_t *decisions_of(const struct sched_place *p)
{
    char path[128];
    struct rig_answer a;
    json_t *items;

    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/decisions?limit=100", p->session);
    a = rig_expect(sched.rig, RIG_VIEWER, &(struct rig_call){.method = API_GET, .path = path}, 200);
    items = json_incref(json_object_get(a.json, "items"));
    rig_answer_done(&a);
    return items;
}

/* The pace that the first decision about it leaves behind is what the session began with. */
static json_int_t first_pace(const struct sched_place *p)
{
    json_t *items = decisions_of(p);
    json_int_t before = 0;

    for (size_t i = json_array_size(items); i > 0 && before == 0; i--) {
        const json_t *d = json_array_get(items, i - 1);

        if (strcmp(rig_text_in(d, "what"), "rate") == 0) {
            before = sched_number(d, "before");
        }
    }
    json_decref(items);
    return before;
}

static void pace_starts_where_it_is_set(void **state)
{
    static const int percents[] = {10, 50};

    (void)state;
    sched_start();
    for (size_t i = 0; i < 2; i++) {
        struct sched_receiving one;
        struct sched_place p;
        json_int_t pace;
        char text[128];

        (void)snprintf(text, sizeof text,
                       "{\"rate_control\": \"lan\", \"rate_ceiling_bps\": 50000000,"
                       " \"rate_start_percent\": %d}",
                       percents[i]);
        rig_settings(sched.rig, text);
        (void)snprintf(text, sizeof text, "start-%d", percents[i]);
        sched_package(text);
        p = sched_join(text, "c1");
        sched_receive(&one, &p);
        assert_int_equal(sched_receive_end(&one), CP_OK);
        sched_assert_content(&one);
        assert_int_equal(sched_report(&p, "result", DONE), 204);
        sched_expect(&p, "finished");
        /* The session before may still be ending: a tenth of half the ceiling is its share then. */
        pace = first_pace(&p);
        assert_true(pace <= PAYLOAD(50000000) * percents[i] / 100);
        assert_true(pace >= PAYLOAD(50000000) * percents[i] / 100 * 94 / 100);
    }
    sched_stop();
}

/* What the sender knows of a receiver is with that receiver. */
static void receivers_are_seen(void **state)
{
    cp_time end = cp_clock_now() + SCHED_PATIENCE;
    struct sched_receiving one;
    struct sched_place p;
    json_int_t rate = 0;
    char path[128];

    (void)state;
    rig_settings(sched.rig, "{\"rate_control\": \"lan\", \"rate_ceiling_bps\": 8000000}");
    sched_package("seen");
    sched_start();
    p = sched_join("seen", "c1");
    sched_receive(&one, &p);
    (void)snprintf(path, sizeof path, "/api/v1/sessions/%s/receivers", p.session);
    while (rate == 0) {
        struct rig_answer a = rig_expect(sched.rig, RIG_VIEWER,
                                         &(struct rig_call){.method = API_GET, .path = path}, 200);
        const json_t *r = json_array_get(json_object_get(a.json, "items"), 0);

        rate = sched_number(json_object_get(r, "seen"), "rate_bps");
        rig_answer_done(&a);
        assert_true(cp_clock_now() < end);
        sched_pause();
    }
    assert_true(rate <= 16000000); /* a short first interval may hold a burst */
    cancel(&p);
    assert_int_equal(sched_receive_end(&one), CP_ERR_CANCELLED);
    assert_int_equal(close(one.extent.fd), 0);
    sched_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_ceiling_reaches_a_running_session),
        cmocka_unit_test(sessions_share_the_ceiling),
        cmocka_unit_test(control_is_that_of_the_start),
        cmocka_unit_test(pace_starts_where_it_is_set),
        cmocka_unit_test(receivers_are_seen),
    };

    return cmocka_run_group_tests(tests, sched_set_up, sched_tear_down);
}
