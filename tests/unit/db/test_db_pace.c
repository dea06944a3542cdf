/* SPDX-License-Identifier: Apache-2.0
 * What a session's sender decides and knows, in the tables: run through
 * tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "db/decision.h"
#include "db/listener.h"

struct place {
    struct db_version version;
    struct db_session session;
    struct db_receiver a, b;
};

static struct db_receiver join(struct fixture *f, const struct place *p, const char *client)
{
    bool again;

    return fixture_join(f, &p->version, p->session.id, client, &again);
}

/* A running session with two receivers, in an open transaction. */
static struct place begin(struct fixture *f)
{
    struct place p = {.version = fixture_sealed(f, "win11")};
    char id[DB_ID_SIZE];
    struct db_session_new in = fixture_session_new(f, &p.version, id);
    struct db_conn *c = fixture_begin(f);
    bool created;

    in.mac = DB_MAC_AES256_GMAC;
    OK(f, db_session_find_or_create(c, &in, &p.session, &created, &f->err));
    p.a = join(f, &p, "a");
    p.b = join(f, &p, "b");
    OK(f, db_session_start(c, p.session.id, 0, &p.session, &f->err));
    return p;
}

/* It comes a moment after the commit. */
static void await_notification(struct fixture *f, struct db_listener *l, struct db_notification *n)
{
    bool any = false;

    while (!any) {
        struct pollfd fd = {.fd = db_listener_fd(l), .events = POLLIN};

        assert_int_equal(poll(&fd, 1, 30000), 1);
        OK(f, db_listener_next(l, &any, n, &f->err));
    }
}

static void test_control_is_taken_at_the_start(void **state)
{
    struct fixture *f = *state;
    struct db_conn *c = fixture_begin(f);
    struct db_settings s, changed, bad;
    struct place p;

    OK(f, db_settings_get(c, f->node.id, &s, &f->err));
    assert_int_equal(s.rate_control, DB_RATE_LAN);
    assert_int_equal(s.rate_start_percent, 50);
    assert_int_equal(s.slow_share_percent, 10);
    assert_false(s.jumbo_frames);
    s.rate_control = DB_RATE_TFMCC;
    s.rate_start_percent = 100;
    s.slow_share_percent = 0;
    s.jumbo_frames = true;
    OK(f, db_settings_update(c, &s, &changed, &f->err));
    assert_int_equal(changed.rate_control, DB_RATE_TFMCC);
    assert_true(changed.jumbo_frames);
    bad = changed;
    bad.rate_start_percent = 0;
    REFUSED(f, CP_ERR_INVALID, db_settings_update(c, &bad, &s, &f->err));
    bad = changed;
    bad.slow_share_percent = 51;
    REFUSED(f, CP_ERR_INVALID, db_settings_update(c, &bad, &s, &f->err));
    fixture_commit(f);

    p = begin(f);
    c = f->conn;
    assert_int_equal(p.session.mac, DB_MAC_AES256_GMAC);
    assert_int_equal(p.session.rate_control, DB_RATE_TFMCC);
    assert_int_equal(p.session.rate_start_percent, 100);
    assert_int_equal(p.session.slow_share_percent, 0);
    /* What changes later is for later sessions. */
    changed.rate_control = DB_RATE_FIXED;
    OK(f, db_settings_update(c, &changed, &s, &f->err));
    OK(f, db_session_resume(c, p.session.id, &p.session, &f->err));
    assert_int_equal(p.session.rate_control, DB_RATE_TFMCC);
    fixture_commit(f);
}

static void test_pace_of_a_session(void **state)
{
    struct fixture *f = *state;
    struct place p = begin(f);
    struct db_conn *c = f->conn;
    struct db_session_stats stats = {.rate_bps = 7,
                                     .rate_ceiling_bps = 8,
                                     .rate_reason = "congestion",
                                     .pace_setter = p.b.norm_node_id,
                                     .auto_parity = 3,
                                     .over_budget = 1};
    struct db_session s;
    bool changed;

    OK(f, db_session_set_stats(c, p.session.id, &stats, &f->err));
    OK(f, db_session_get(c, p.session.id, &s, &f->err));
    assert_int_equal(s.stats.rate_ceiling_bps, 8);
    assert_string_equal(s.stats.rate_reason, "congestion");
    assert_int_equal(s.stats.auto_parity, 3);
    assert_int_equal(s.stats.over_budget, 1);
    assert_string_equal(s.pace_setter_id, p.b.id);
    assert_string_equal(s.pace_setter_name, "lab-01");
    stats.pace_setter = 4711; /* nobody's */
    OK(f, db_session_set_stats(c, p.session.id, &stats, &f->err));
    OK(f, db_session_get(c, p.session.id, &s, &f->err));
    assert_string_equal(s.pace_setter_id, "");
    OK(f,
       db_session_end(c, p.session.id, DB_SESSION_CANCELLED, "cancelled", "", &changed, &f->err));
    OK(f, db_session_get(c, p.session.id, &s, &f->err));
    assert_int_equal(s.stats.rate_bps, 0);
    assert_string_equal(s.stats.rate_reason, "");
    fixture_commit(f);
}

static void test_decisions_are_a_ring(void **state)
{
    struct fixture *f = *state;
    struct place p = begin(f);
    struct db_conn *c = f->conn;
    struct db_decision d = {.time = UINT64_C(1700000000000000000),
                            .what = "rate",
                            .reason = "congestion",
                            .norm_node_id = p.a.norm_node_id,
                            .before = 10,
                            .after = UINT64_MAX,
                            .loss_ppm = 5};
    struct db_decision list[DB_DECISIONS_KEPT + 1];
    size_t count;

    OK(f, db_decision_list(c, &(struct db_decision_list){.session_id = p.session.id}, 65, list,
                           &count, &f->err));
    assert_int_equal(count, 0);
    for (uint64_t i = 1; i <= DB_DECISIONS_KEPT + 6; i++) {
        d.rate_bps = i;
        OK(f, db_decision_add(c, p.session.id, &d, &f->err));
    }
    OK(f, db_decision_list(c, &(struct db_decision_list){.session_id = p.session.id}, 65, list,
                           &count, &f->err));
    assert_int_equal(count, DB_DECISIONS_KEPT);
    assert_int_equal(list[0].number, DB_DECISIONS_KEPT + 6);
    assert_int_equal(list[0].rate_bps, DB_DECISIONS_KEPT + 6);
    assert_int_equal(list[0].time, d.time);
    assert_int_equal(list[0].loss_ppm, 5);
    assert_true(list[0].after == INT64_MAX);
    assert_string_equal(list[0].receiver_id, p.a.id);
    assert_string_equal(list[0].client_name, "lab-01");
    assert_int_equal(list[63].number, 7);
    OK(f, db_decision_list(c, &(struct db_decision_list){.session_id = p.session.id, .before = 10},
                           2, list, &count, &f->err));
    assert_int_equal(count, 2);
    assert_int_equal(list[0].number, 9);
    d.what[0] = '\0';
    REFUSED(f, CP_ERR_INVALID, db_decision_add(c, p.session.id, &d, &f->err));
    fixture_commit(f);
}

static void test_seen(void **state)
{
    struct fixture *f = *state;
    struct place p = begin(f);
    struct db_conn *c = f->conn;
    struct db_seen_report reports[] = {
        {.norm_node_id = p.a.norm_node_id,
         .seen = {.loss_ppm = 1000000,
                  .rate_bps = UINT64_MAX,
                  .asked = UINT64_MAX,
                  .slow = true,
                  .over_budget = true}},
        {.norm_node_id = UINT32_MAX},
        {.norm_node_id = p.b.norm_node_id, .seen = {.rate_bps = 5, .outlier = true}},
    };
    struct db_receiver r;

    OK(f, db_receiver_get(c, p.a.id, &r, &f->err));
    assert_int_equal(r.seen.at, 0);
    OK(f, db_receiver_seen(c, p.session.id, reports, 0, &f->err));
    OK(f, db_receiver_seen(c, p.session.id, reports, 3, &f->err));
    OK(f, db_receiver_get(c, p.a.id, &r, &f->err));
    assert_true(r.seen.at > 0);
    assert_int_equal(r.seen.loss_ppm, 1000000);
    assert_true(r.seen.rate_bps == INT64_MAX && r.seen.asked == INT64_MAX);
    assert_true(r.seen.slow && !r.seen.outlier && r.seen.over_budget);
    OK(f, db_receiver_get(c, p.b.id, &r, &f->err));
    assert_int_equal(r.seen.rate_bps, 5);
    assert_true(!r.seen.slow && r.seen.outlier && !r.seen.over_budget);
    r = join(f, &p, "a"); /* a new life, of which the sender knows nothing */
    assert_string_equal(r.id, p.a.id);
    assert_int_equal(r.seen.at, 0);
    assert_false(r.seen.over_budget);
    fixture_commit(f);
}

/* Who was done before the sender's knowledge came to the database was there all the same. */
static void test_result_implies_seen(void **state)
{
    struct fixture *f = *state;
    struct place p = begin(f);
    struct db_conn *c = f->conn;
    struct db_receiver_result result = {.done = true,
                                        .bytes_total = 900,
                                        .bytes_repair = 900,
                                        .rate_bps = 77,
                                        .loss_ppm = 5,
                                        .nacks = 6};
    struct db_seen_report late = {.norm_node_id = p.a.norm_node_id,
                                  .seen = {.rate_bps = 80, .asked = 3}};
    struct db_receiver r;
    bool changed;

    OK(f, db_receiver_result(c, p.a.id, &result, &changed, &f->err));
    OK(f, db_receiver_get(c, p.a.id, &r, &f->err));
    assert_true(r.seen.at > 0);
    assert_int_equal(r.seen.rate_bps, 77);
    assert_int_equal(r.seen.loss_ppm, 5);
    assert_int_equal(r.progress.nacks, 6);
    /* What the sender knows is more, whenever it comes. */
    OK(f, db_receiver_seen(c, p.session.id, &late, 1, &f->err));
    OK(f, db_receiver_get(c, p.a.id, &r, &f->err));
    assert_int_equal(r.seen.rate_bps, 80);
    assert_int_equal(r.seen.asked, 3);
    r = join(f, &p, "c");
    late.norm_node_id = r.norm_node_id;
    OK(f, db_receiver_seen(c, p.session.id, &late, 1, &f->err));
    OK(f, db_receiver_result(c, r.id, &result, &changed, &f->err));
    OK(f, db_receiver_get(c, r.id, &r, &f->err));
    assert_int_equal(r.seen.rate_bps, 80);
    /* All of it by HTTPS: nobody heard it. */
    result.bytes_repair = 0;
    OK(f, db_receiver_result(c, p.b.id, &result, &changed, &f->err));
    OK(f, db_receiver_get(c, p.b.id, &r, &f->err));
    assert_int_equal(r.seen.at, 0);
    assert_int_equal(r.seen.rate_bps, 0);
    fixture_commit(f);
}

static void test_drop(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_RECEIVERS};
    struct fixture *f = *state;
    struct place p = begin(f);
    struct db_receiver_dropped drop = {.session_id = p.session.id,
                                       .norm_node_id = p.a.norm_node_id,
                                       .code = "receiver-too-slow",
                                       .detail = "asked for 9 symbols"};
    struct db_receiver_report late = {.progress = {.state = DB_RECEIVER_RECEIVING}};
    struct db_receiver_result good = {.done = true};
    struct db_listener *l = NULL;
    struct db_notification n;
    struct db_receiver r;
    struct db_conn *c;
    bool changed;

    fixture_commit(f);
    OK(f, db_listener_open(fixture_conninfo(), channels, 1, &l, &f->err));
    c = fixture_begin(f);
    OK(f, db_receiver_drop(c, &drop, &r, &changed, &f->err));
    assert_true(changed);
    assert_string_equal(r.id, p.a.id);
    assert_int_equal(r.progress.state, DB_RECEIVER_MOVED);
    assert_string_equal(r.progress.reason, "receiver-too-slow");
    assert_string_equal(r.detail, "asked for 9 symbols");
    OK(f, db_receiver_drop(c, &drop, &r, &changed, &f->err)); /* once */
    assert_false(changed);
    memcpy(late.id, p.a.id, DB_ID_SIZE); /* what it reported before it was told */
    OK(f, db_receiver_progress(c, &late, 1, &f->err));
    OK(f, db_receiver_get(c, p.a.id, &r, &f->err));
    assert_int_equal(r.progress.state, DB_RECEIVER_MOVED);
    assert_string_equal(r.progress.reason, "receiver-too-slow");
    late.progress.state = DB_RECEIVER_MOVED; /* it heard the end of the session first */
    memcpy(late.progress.reason, "sender-silent", sizeof "sender-silent");
    OK(f, db_receiver_progress(c, &late, 1, &f->err));
    OK(f, db_receiver_get(c, p.a.id, &r, &f->err));
    assert_string_equal(r.progress.reason, "receiver-too-slow");
    OK(f, db_receiver_result(c, p.b.id, &good, &changed, &f->err));
    drop.norm_node_id = p.b.norm_node_id; /* it has all */
    OK(f, db_receiver_drop(c, &drop, &r, &changed, &f->err));
    assert_false(changed);
    drop.norm_node_id = 4711;
    OK(f, db_receiver_drop(c, &drop, &r, &changed, &f->err));
    assert_false(changed);
    fixture_commit(f);
    await_notification(f, l, &n);
    assert_non_null(strstr(n.payload, p.session.id));
    db_listener_close(l);
}

static void test_changed_settings_are_told(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_SETTINGS};
    struct fixture *f = *state;
    struct db_listener *l = NULL;
    struct db_notification n;
    struct db_settings s;
    struct db_conn *c;

    OK(f, db_listener_open(fixture_conninfo(), channels, 1, &l, &f->err));
    c = fixture_begin(f);
    OK(f, db_settings_get(c, f->node.id, &s, &f->err));
    OK(f, db_settings_update(c, &s, &s, &f->err));
    fixture_commit(f);
    await_notification(f, l, &n);
    assert_memory_equal(n.payload, f->node.id, strlen(f->node.id));
    assert_string_equal(n.payload + strlen(f->node.id), " settings");
    db_listener_close(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_control_is_taken_at_the_start), TEST(test_pace_of_a_session),
        TEST(test_decisions_are_a_ring),          TEST(test_seen),
        TEST(test_result_implies_seen),           TEST(test_drop),
        TEST(test_changed_settings_are_told),
    };

    return cmocka_run_group_tests_name("db pace", tests, NULL, NULL);
}
