/* SPDX-License-Identifier: Apache-2.0
 * Receivers: their places, progress and results. Run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <string.h>

#include "db/listener.h"

static void test_rejoin(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_receiver a, b, again, found;
    uint8_t hash[DB_HASH_SIZE] = "a";
    struct db_receiver_report report = {
        .progress = {.state = DB_RECEIVER_RECEIVING, .bytes_done = 77}};
    struct db_session s;
    bool rejoined = true;

    (void)fixture_begin(f);
    s = fixture_session(f, &v);
    a = fixture_join(f, &v, s.id, "a", &rejoined);
    assert_false(rejoined);
    assert_int_equal(a.norm_node_id, 2);
    assert_int_equal(a.progress.state, DB_RECEIVER_JOINED);
    assert_string_equal(a.package, "win11");
    assert_int_equal(a.session_state, DB_SESSION_WAITING);
    assert_false(a.expired);
    b = fixture_join(f, &v, s.id, "b", &rejoined);
    assert_int_equal(b.norm_node_id, 3);
    memcpy(report.id, a.id, DB_ID_SIZE);
    OK(f, db_receiver_progress(f->conn, &report, 1, &f->err));
    again = fixture_join(f, &v, s.id, "a", &rejoined);
    assert_true(rejoined);
    assert_string_equal(again.id, a.id);
    assert_int_equal(again.norm_node_id, 4);
    assert_int_equal(again.progress.bytes_done, 77);
    assert_int_equal(again.progress.state, DB_RECEIVER_JOINED);
    OK(f, db_receiver_find(f->conn, hash, &found, &f->err));
    assert_string_equal(found.id, a.id);
    hash[0] = 'x';
    REFUSED(f, CP_ERR_NOT_FOUND, db_receiver_find(f->conn, hash, &found, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND, db_receiver_get(f->conn, "none", &found, &f->err));

    /* HTTPS only: no node id, its own row, given back too. */
    a = fixture_join(f, &v, NULL, "h", &rejoined);
    assert_false(rejoined);
    assert_int_equal(a.norm_node_id, 0);
    assert_string_equal(a.session_id, "");
    again = fixture_join(f, &v, NULL, "h", &rejoined);
    assert_true(rejoined);
    assert_string_equal(again.id, a.id);
    fixture_commit(f);
}

static void test_join_refused(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    uint8_t hash[DB_HASH_SIZE];
    struct db_receiver_new in = fixture_join_new(f, &v, NULL, "bad client", hash);
    struct db_receiver r;
    bool again;

    (void)fixture_begin(f);
    REFUSED(f, CP_ERR_INVALID, db_receiver_join(f->conn, &in, &r, &again, &f->err));
    in.client_id = "good";
    in.session_id = v.id;
    REFUSED(f, CP_ERR_NOT_FOUND, db_receiver_join(f->conn, &in, &r, &again, &f->err));
    in.session_id = NULL;
    in.account_id = v.id;
    REFUSED(f, CP_ERR_AUTH_FAILED, db_receiver_join(f->conn, &in, &r, &again, &f->err));
    fixture_commit(f);
}

/* A session with three receivers, and what each of them reports. */
struct three {
    struct db_session s;
    struct db_receiver r[3];
    struct db_receiver_report reports[3];
};

static struct three join_three(struct fixture *f)
{
    static const char *const clients[] = {"a", "b", "c"};
    struct db_version v = fixture_sealed(f, "win11");
    struct three t = {
        .reports = {{.progress = {.state = DB_RECEIVER_RECEIVING,
                                  .bytes_done = 1,
                                  .bytes_total = 2,
                                  .bytes_multicast = 3,
                                  .bytes_repair = 4,
                                  .bytes_https = 5,
                                  .rate_bps = 6,
                                  .loss_ppm = 7,
                                  .nacks = 8}},
                    {.progress = {.state = DB_RECEIVER_MOVED, .reason = "it's \"odd\" \\ {,}"}},
                    {.progress = {.state = DB_RECEIVER_REPAIRING,
                                  .loss_ppm = 2000000,
                                  .bytes_done = UINT64_MAX}}}};
    bool again;

    (void)fixture_begin(f);
    t.s = fixture_session(f, &v);
    for (size_t i = 0; i < 3; i++) {
        t.r[i] = fixture_join(f, &v, t.s.id, clients[i], &again);
        memcpy(t.reports[i].id, t.r[i].id, DB_ID_SIZE);
    }
    fixture_commit(f);
    return t;
}

static void test_progress(void **state)
{
    struct fixture *f = *state;
    struct three t = join_three(f);
    struct db_conn *c = fixture_begin(f);
    struct db_receiver got, list[3];
    size_t count;

    OK(f, db_receiver_progress(c, t.reports, 0, &f->err));
    OK(f, db_receiver_progress(c, t.reports, 3, &f->err));
    OK(f, db_receiver_get(c, t.r[0].id, &got, &f->err));
    assert_int_equal(got.progress.state, DB_RECEIVER_RECEIVING);
    assert_string_equal(got.progress.reason, "");
    assert_int_equal(got.progress.bytes_done, 1);
    assert_int_equal(got.progress.bytes_total, 2);
    assert_int_equal(got.progress.bytes_multicast, 3);
    assert_int_equal(got.progress.bytes_repair, 4);
    assert_int_equal(got.progress.bytes_https, 5);
    assert_int_equal(got.progress.rate_bps, 6);
    assert_int_equal(got.progress.loss_ppm, 7);
    assert_int_equal(got.progress.nacks, 8);
    OK(f, db_receiver_get(c, t.r[1].id, &got, &f->err));
    assert_int_equal(got.progress.state, DB_RECEIVER_MOVED);
    assert_string_equal(got.progress.reason, t.reports[1].progress.reason);
    OK(f, db_receiver_get(c, t.r[2].id, &got, &f->err));
    assert_int_equal(got.progress.loss_ppm, 1000000);
    assert_true(got.progress.bytes_done == INT64_MAX);
    /* Who moved stays so, its figures go on. */
    t.reports[1].progress.state = DB_RECEIVER_RECEIVING;
    t.reports[1].progress.bytes_https = 9;
    OK(f, db_receiver_progress(c, &t.reports[1], 1, &f->err));
    OK(f, db_receiver_get(c, t.r[1].id, &got, &f->err));
    assert_int_equal(got.progress.state, DB_RECEIVER_MOVED);
    assert_int_equal(got.progress.bytes_https, 9);
    OK(f, db_receiver_list(c, t.s.id, "", 3, list, &count, &f->err));
    assert_int_equal(count, 3);
    OK(f, db_receiver_list(c, t.s.id, list[0].id, 3, list, &count, &f->err));
    assert_int_equal(count, 2);
    fixture_commit(f);
}

/* One notification of the session: somebody is not waited for any more. The commit's notifications
 * are on the wire when COMMIT answers, but the listener is another connection. */
static void test_moving_is_notified(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_RECEIVERS};
    struct fixture *f = *state;
    struct three t = join_three(f);
    struct db_listener *l = NULL;
    struct db_notification n;
    bool any = false;

    OK(f, db_listener_open(fixture_conninfo(), channels, 1, &l, &f->err));
    (void)fixture_begin(f);
    OK(f, db_receiver_progress(f->conn, t.reports, 3, &f->err));
    fixture_commit(f);
    for (int i = 0; i < 100 && !any; i++) {
        OK(f, db_ping(f->pool, &f->err));
        OK(f, db_listener_next(l, &any, &n, &f->err));
    }
    assert_true(any);
    assert_non_null(strstr(n.payload, t.s.id));
    assert_non_null(strstr(n.payload, f->node.id));
    db_listener_close(l);
}

static void test_result_and_sweep(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_receiver_result bad = {.code = "output-full", .detail = "no room", .bytes_total = 9};
    struct db_receiver_result good = {.done = true,
                                      .bytes_total = 1000,
                                      .bytes_multicast = 990,
                                      .bytes_repair = 20,
                                      .bytes_https = 10,
                                      .duration_ms = 1234,
                                      .rate_bps = 8,
                                      .loss_ppm = 100};
    struct db_receiver_report late = {.progress = {.state = DB_RECEIVER_RECEIVING}};
    struct db_receiver a, b, h, got;
    struct db_session s;
    struct db_conn *c = fixture_begin(f);
    uint64_t lost;
    bool again, changed;

    s = fixture_session(f, &v);
    a = fixture_join(f, &v, s.id, "a", &again);
    b = fixture_join(f, &v, s.id, "b", &again);
    h = fixture_join(f, &v, NULL, "h", &again);
    OK(f, db_receiver_result(c, a.id, &good, &changed, &f->err));
    assert_true(changed);
    OK(f, db_receiver_result(c, a.id, &bad, &changed, &f->err));
    assert_false(changed);
    memcpy(late.id, a.id, DB_ID_SIZE);
    OK(f, db_receiver_progress(c, &late, 1, &f->err));
    OK(f, db_receiver_get(c, a.id, &got, &f->err));
    assert_int_equal(got.progress.state, DB_RECEIVER_DONE);
    assert_int_equal(got.progress.bytes_done, 1000);
    assert_int_equal(got.duration_ms, 1234);
    assert_true(got.result_at > 0);
    OK(f, db_receiver_result(c, h.id, &bad, &changed, &f->err));
    OK(f, db_receiver_get(c, h.id, &got, &f->err));
    assert_int_equal(got.progress.state, DB_RECEIVER_FAILED);
    assert_string_equal(got.progress.reason, "output-full");
    assert_string_equal(got.detail, "no room");
    REFUSED(f, CP_ERR_NOT_FOUND, db_receiver_result(c, v.id, &bad, &changed, &f->err));

    /* Silent for an hour, but its session still waits. */
    fixture_sql(f, "UPDATE receivers SET updated_at = now() - interval '1 hour'");
    OK(f, db_receiver_sweep(c, f->node.id, 10000, "sender-silent", &lost, &f->err));
    assert_int_equal(lost, 0);
    OK(f, db_session_start(c, s.id, 0, &s, &f->err));
    OK(f, db_receiver_sweep(c, f->node.id, 10000, "service-unreachable", &lost, &f->err));
    assert_int_equal(lost, 1);
    OK(f, db_receiver_get(c, b.id, &got, &f->err));
    assert_int_equal(got.progress.state, DB_RECEIVER_LOST);
    assert_string_equal(got.progress.reason, "service-unreachable");
    /* It was only slow. */
    memcpy(late.id, b.id, DB_ID_SIZE);
    OK(f, db_receiver_progress(c, &late, 1, &f->err));
    OK(f, db_receiver_get(c, b.id, &got, &f->err));
    assert_int_equal(got.progress.state, DB_RECEIVER_RECEIVING);
    fixture_commit(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rejoin),           TEST(test_join_refused),
        TEST(test_progress),         TEST(test_moving_is_notified),
        TEST(test_result_and_sweep),
    };

    return cmocka_run_group_tests_name("db receiver", tests, NULL, NULL);
}
