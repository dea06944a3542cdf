/* SPDX-License-Identifier: Apache-2.0
 * Sessions: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/listener.h"

static void test_find_or_create(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_version w = fixture_sealed(f, "debian");
    struct db_version draft = fixture_draft(f, "debian");
    char id[DB_ID_SIZE], other_id[DB_ID_SIZE];
    struct db_session_new in = fixture_session_new(f, &v, id);
    struct db_session_new other = fixture_session_new(f, &v, other_id);
    struct db_session s, again;
    struct db_conn *c = fixture_begin(f);
    bool created;

    OK(f, db_session_find_or_create(c, &in, &s, &created, &f->err));
    assert_true(created);
    assert_string_equal(s.id, id);
    assert_string_equal(s.group, "239.255.77.1");
    assert_int_equal(s.port, 7001);
    assert_int_equal(s.state, DB_SESSION_WAITING);
    assert_string_equal(s.package, "win11");
    assert_int_equal(s.version, 1);
    assert_int_equal(s.secret_sealed_size, 61);
    assert_int_equal(s.secret_sealed[2], 3);
    assert_int_equal(s.next_node_id, 2);
    assert_int_equal(s.fec_id, 129);
    assert_true(s.starts_at >= s.created_at + 59 * 1000000000ULL);
    OK(f, db_session_find_or_create(c, &other, &again, &created, &f->err));
    assert_false(created);
    assert_string_equal(again.id, id);

    /* Another version gets another group address. */
    other.version_id = w.id;
    OK(f, db_session_find_or_create(c, &other, &again, &created, &f->err));
    assert_true(created);
    assert_string_equal(again.group, "239.255.77.2");
    assert_int_equal(again.port, 7001);

    in.version_id = draft.id;
    REFUSED(f, CP_ERR_VERSION_NOT_SEALED, db_session_find_or_create(c, &in, &s, &created, &f->err));
    in.version_id = f->node.id;
    REFUSED(f, CP_ERR_VERSION_NOT_FOUND, db_session_find_or_create(c, &in, &s, &created, &f->err));
    fixture_sql(f, "UPDATE versions SET state = 'retired', retired_at = now()"
                   " WHERE state = 'sealed'");
    in.version_id = w.id;
    REFUSED(f, CP_ERR_VERSION_RETIRED, db_session_find_or_create(c, &in, &s, &created, &f->err));
    fixture_commit(f);
}

static void test_addresses_run_out(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct fixture *f = *state;
    struct db_version v[5];
    char id[5][DB_ID_SIZE];
    struct db_session s;
    struct db_conn *c;
    bool created;

    fixture_sql(f, "UPDATE settings SET address_last = address_first + 1, port_last = port_first"
                   " + 1");
    for (size_t i = 0; i < 5; i++) {
        v[i] = fixture_sealed(f, names[i]);
    }
    c = fixture_begin(f);
    for (size_t i = 0; i < 4; i++) {
        struct db_session_new in = fixture_session_new(f, &v[i], id[i]);

        OK(f, db_session_find_or_create(c, &in, &s, &created, &f->err));
        assert_string_equal(s.group, i % 2 == 0 ? "239.255.77.1" : "239.255.77.2");
        assert_int_equal(s.port, i < 2 ? 7001 : 7002);
    }
    {
        struct db_session_new in = fixture_session_new(f, &v[4], id[4]);

        REFUSED(f, CP_ERR_ADDRESS_IN_USE, db_session_find_or_create(c, &in, &s, &created, &f->err));
        OK(f, db_session_end(c, id[1], DB_SESSION_CANCELLED, "cancelled", "", &created, &f->err));
        OK(f, db_session_find_or_create(c, &in, &s, &created, &f->err));
        assert_string_equal(s.group, "239.255.77.2");
        assert_int_equal(s.port, 7001);
    }
    fixture_commit(f);
}

/* What one client's join does, as the API does it. */
struct joining {
    struct fixture *f;
    const struct db_version *version;
    char client[32];
    char session_id[DB_ID_SIZE];
    uint32_t norm_node_id;
    enum cp_err rc;
};

static enum cp_err join_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct joining *j = arg;
    uint8_t hash[DB_HASH_SIZE];
    char id[DB_ID_SIZE];
    struct db_session s;
    struct db_receiver r;
    bool created;

    CP_TRY(db_uuid(conn, id, err));
    {
        struct db_session_new in = {.id = id,
                                    .node_id = j->f->node.id,
                                    .version_id = j->version->id,
                                    .secret_sealed = (const uint8_t *)"sealed",
                                    .secret_sealed_size = 6,
                                    .object_id = 1,
                                    .fec_id = 129,
                                    .segment_size = 1408,
                                    .max_block_len = 128,
                                    .num_parity = 32,
                                    .content_size = 900,
                                    .object_size = 1408};

        CP_TRY(db_session_find_or_create(conn, &in, &s, &created, err));
    }
    {
        struct db_receiver_new in = fixture_join_new(j->f, j->version, s.id, j->client, hash);

        CP_TRY(db_receiver_join(conn, &in, &r, &created, err));
    }
    memcpy(j->session_id, s.id, DB_ID_SIZE);
    j->norm_node_id = r.norm_node_id;
    return CP_OK;
}

static void *join_thread(void *arg)
{
    struct joining *j = arg;

    j->rc = db_run_tx_locking(j->f->pool, "join", join_body, j, NULL);
    return NULL;
}

/* Twenty clients of two versions at the same moment: two sessions, no node id twice. */
static void test_concurrent_joins(void **state)
{
    struct fixture *f = *state;
    struct db_version v[2] = {fixture_sealed(f, "win11"), fixture_sealed(f, "debian")};
    struct joining joins[20];
    pthread_t threads[20];
    uint64_t seen[2] = {0, 0};

    for (size_t i = 0; i < 20; i++) {
        joins[i] = (struct joining){.f = f, .version = &v[i % 2]};
        (void)snprintf(joins[i].client, sizeof joins[i].client, "client-%zu", i);
        assert_int_equal(pthread_create(&threads[i], NULL, join_thread, &joins[i]), 0);
    }
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(joins[i].rc, CP_OK);
        assert_string_equal(joins[i].session_id, joins[i % 2].session_id);
        assert_true(joins[i].norm_node_id >= 2 && joins[i].norm_node_id < 12);
        assert_int_equal(seen[i % 2] >> joins[i].norm_node_id & 1, 0);
        seen[i % 2] |= 1ULL << joins[i].norm_node_id;
    }
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM sessions"), 2);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM receivers"), 20);
}

/* A join and the end of the session meet: either it enters and the session goes on, or it starts a
 * new one. */
static enum cp_err finish_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct joining *j = arg;
    bool finished;

    CP_TRY(db_session_finish(conn, j->session_id, NULL, &finished, err));
    j->norm_node_id = finished;
    return CP_OK;
}

static void *finish_thread(void *arg)
{
    struct joining *j = arg;

    j->rc = db_run_tx_locking(j->f->pool, "finish", finish_body, j, NULL);
    return NULL;
}

static void test_join_meets_finish(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");

    for (int round = 0; round < 10; round++) {
        struct joining enter = {.f = f, .version = &v, .client = "late"};
        struct joining finish = {.f = f, .version = &v};
        struct db_session s;
        pthread_t a, b;

        (void)fixture_begin(f);
        s = fixture_session(f, &v);
        OK(f, db_session_start(f->conn, s.id, 0, &s, &f->err));
        fixture_commit(f);
        memcpy(finish.session_id, s.id, DB_ID_SIZE);
        assert_int_equal(pthread_create(&a, NULL, join_thread, &enter), 0);
        assert_int_equal(pthread_create(&b, NULL, finish_thread, &finish), 0);
        assert_int_equal(pthread_join(a, NULL), 0);
        assert_int_equal(pthread_join(b, NULL), 0);
        assert_int_equal(enter.rc, CP_OK);
        assert_int_equal(finish.rc, CP_OK);
        assert_int_equal(finish.norm_node_id == 1, strcmp(enter.session_id, s.id) != 0);
        fixture_sql(f, "UPDATE sessions SET state = 'cancelled', ended_at = now()"
                       " WHERE ended_at IS NULL; DELETE FROM receivers");
    }
}

static void test_transitions(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_session_stats stats = {.bytes_sent = 5,
                                     .packets_sent = 4,
                                     .bytes_repair = 3,
                                     .nacks = 2,
                                     .rate_bps = 1,
                                     .bytes_position = 6,
                                     .forged = 7};
    struct db_receiver_result result = {.done = true, .bytes_total = 1000};
    struct db_receiver r;
    struct db_session s;
    struct db_conn *c = fixture_begin(f);
    bool finished = true, changed;

    s = fixture_session(f, &v);
    r = fixture_join(f, &v, s.id, "a", &changed);
    REFUSED(f, CP_ERR_CONFLICT, db_session_drain(c, s.id, &f->err));
    REFUSED(f, CP_ERR_CONFLICT, db_session_finish(c, s.id, NULL, &finished, &f->err));
    OK(f, db_session_start(c, s.id, 99, &s, &f->err));
    assert_int_equal(s.state, DB_SESSION_RUNNING);
    assert_int_equal(s.instance_id, 99);
    assert_int_equal(s.receivers, 1);
    assert_int_equal(s.receivers_active, 1);
    REFUSED(f, CP_ERR_CONFLICT, db_session_start(c, s.id, 0, &s, &f->err));
    OK(f, db_session_set_stats(c, s.id, &stats, &f->err));
    OK(f, db_session_drain(c, s.id, &f->err));
    OK(f, db_session_finish(c, s.id, NULL, &finished, &f->err));
    assert_false(finished);
    OK(f, db_receiver_result(c, r.id, &result, &changed, &f->err));
    stats.bytes_sent = 50;
    OK(f, db_session_finish(c, s.id, &stats, &finished, &f->err));
    assert_true(finished);
    OK(f, db_session_get(c, s.id, &s, &f->err));
    assert_int_equal(s.state, DB_SESSION_FINISHED);
    assert_int_equal(s.stats.bytes_sent, 50);
    assert_int_equal(s.stats.forged, 7);
    assert_int_equal(s.stats.rate_bps, 0);
    assert_int_equal(s.receivers_done, 1);
    assert_true(s.ended_at >= s.started_at);
    OK(f, db_session_end(c, s.id, DB_SESSION_CANCELLED, "cancelled", "x", &changed, &f->err));
    assert_false(changed);

    s = fixture_session(f, &v);
    OK(f, db_session_end(c, s.id, DB_SESSION_CANCELLED, "cancelled", "by ann", &changed, &f->err));
    assert_true(changed);
    OK(f, db_session_get(c, s.id, &s, &f->err));
    assert_int_equal(s.state, DB_SESSION_CANCELLED);
    assert_string_equal(s.end_code, "cancelled");
    assert_string_equal(s.end_detail, "by ann");
    REFUSED(f, CP_ERR_NOT_FOUND, db_session_get(c, "none", &s, &f->err));
    REFUSED(f, CP_ERR_NOT_FOUND,
            db_session_end(c, f->node.id, DB_SESSION_FAILED, "", "", &changed, &f->err));
    fixture_commit(f);
}

static void test_due_interrupt_list(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_version w = fixture_sealed(f, "debian");
    struct db_session_filter filter = {.package = "debian"};
    struct db_session s, t, list[3];
    struct db_conn *c = fixture_begin(f);
    uint64_t wait_ms;
    bool changed;
    size_t count;

    OK(f, db_session_due(c, f->node.id, 3, list, &count, &wait_ms, &f->err));
    assert_int_equal(count, 0);
    assert_true(wait_ms == UINT64_MAX);
    s = fixture_session(f, &v);
    OK(f, db_session_due(c, f->node.id, 3, list, &count, &wait_ms, &f->err));
    assert_int_equal(count, 0);
    assert_true(wait_ms > 50000 && wait_ms <= 60000);
    fixture_sql(f, "UPDATE sessions SET starts_at = now() - interval '1 s'");
    t = fixture_session(f, &w);
    OK(f, db_session_due(c, f->node.id, 3, list, &count, &wait_ms, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].id, s.id);
    assert_true(wait_ms > 50000);
    fixture_commit(f);

    c = fixture_begin(f);
    OK(f, db_session_start(c, s.id, 0, &s, &f->err));
    OK(f, db_session_end(c, s.id, DB_SESSION_INTERRUPTED, "interrupted", "", &changed, &f->err));
    assert_true(changed);
    OK(f, db_session_get(c, s.id, &s, &f->err));
    assert_int_equal(s.state, DB_SESSION_INTERRUPTED);
    assert_string_equal(s.end_code, "interrupted");
    fixture_commit(f);
    c = fixture_begin(f);
    s = fixture_session(f, &v);
    OK(f, db_session_list(c, NULL, "", 3, list, &count, &f->err));
    assert_int_equal(count, 3);
    assert_string_equal(list[0].id, s.id);
    OK(f, db_session_list(c, NULL, list[0].id, 1, list, &count, &f->err));
    assert_int_equal(count, 1);
    OK(f, db_session_list(c, &filter, "", 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].id, t.id);
    filter = (struct db_session_filter){.only_live = true, .node_id = f->node.id};
    OK(f, db_session_list(c, &filter, "", 3, list, &count, &f->err));
    assert_int_equal(count, 2);
    filter = (struct db_session_filter){.by_state = true, .state = DB_SESSION_INTERRUPTED};
    OK(f, db_session_list(c, &filter, "", 3, list, &count, &f->err));
    assert_int_equal(count, 1);
    /* Planned for the filters given: never prepared, or it would soon be planned for any. */
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM pg_prepared_statements"
                                       " WHERE name IN ('session_list', 'session_create')"),
                     1);
    fixture_commit(f);
}

static void test_live_sessions_hold_their_package(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct db_session s;
    struct db_conn *c = fixture_begin(f);
    bool changed;

    s = fixture_session(f, &v);
    (void)fixture_join(f, &v, s.id, "a", &changed);
    REFUSED(f, CP_ERR_CONFLICT, db_package_delete(c, "win11", DB_REVISION_ANY, &f->err));
    assert_non_null(strstr(f->err.text, s.id));
    OK(f, db_version_retire(c, v.id, DB_REVISION_ANY, &v, &f->err));
    REFUSED(f, CP_ERR_CONFLICT, db_version_delete(c, v.id, DB_REVISION_ANY, &f->err));
    REFUSED(f, CP_ERR_CONFLICT, db_conn_text(c, "DELETE FROM packages", &f->err));
    OK(f, db_session_end(c, s.id, DB_SESSION_CANCELLED, "cancelled", "", &changed, &f->err));
    OK(f, db_version_delete(c, v.id, DB_REVISION_ANY, &f->err));
    OK(f, db_package_delete(c, "win11", DB_REVISION_ANY, &f->err));
    fixture_commit(f);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM receivers"), 0);
}

/* A join comes in between, after the deletion took its view of the tables: the deletion finds out
 * and is refused, in either kind of transaction. */
struct deletion {
    struct fixture *f;
    const struct db_version *version;
    int runs;
};

static enum cp_err delete_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct deletion *d = arg;
    struct db_package package;

    CP_TRY(db_package_get(conn, "win11", &package, err));
    if (d->runs++ == 0) {
        (void)fixture_begin(d->f);
        (void)fixture_session(d->f, d->version);
        fixture_commit(d->f);
    }
    return db_package_delete(conn, "win11", package.revision, err);
}

static void test_deletion_meets_join(void **state)
{
    struct fixture *f = *state;
    struct db_version v = fixture_sealed(f, "win11");
    struct deletion a = {.f = f, .version = &v}, b = {.f = f, .version = &v};

    assert_int_equal(db_run_tx(f->pool, "delete", delete_body, &a, &f->err), CP_ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "not ended")); /* by the trigger, or after a retry */
    fixture_sql(f, "UPDATE sessions SET state = 'cancelled', ended_at = now()");
    assert_int_equal(db_run_tx_locking(f->pool, "delete", delete_body, &b, &f->err),
                     CP_ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "sessions that have not ended"));
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM packages"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find_or_create),
        TEST(test_addresses_run_out),
        TEST(test_concurrent_joins),
        TEST(test_join_meets_finish),
        TEST(test_transitions),
        TEST(test_due_interrupt_list),
        TEST(test_live_sessions_hold_their_package),
        TEST(test_deletion_meets_join),
    };

    return cmocka_run_group_tests_name("db session", tests, NULL, NULL);
}
