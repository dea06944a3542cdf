/* SPDX-License-Identifier: Apache-2.0
 * Following events: a reader that goes by numbers misses none, whatever order transactions commit
 * in. Lists by kind, subject and time. Run through tests/support/with-postgres. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/event.h"
#include "common/prng.h"
#include "db/event.h"
#include "tests/unit/db/fixture.h"

#define WRITERS 6
#define ROUNDS  80

static struct db_event package_event(const char *kind, const char *subject)
{
    struct db_event e = {.id = 0};

    (void)snprintf(e.kind, sizeof e.kind, "%s", kind);
    (void)snprintf(e.subject, sizeof e.subject, "%s", subject);
    return e;
}

static enum cp_err add_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct db_event e = package_event("package-created", arg);

    return db_event_add(conn, &e, err);
}

/* ---- reading as the service's reader does ---- */

struct reading {
    uint64_t after, upto;
    bool pending;
    size_t count;
    struct db_event rows[64];
};

static enum cp_err read_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct reading *r = arg;
    struct db_event_range range = {.after = r->after};

    CP_TRY(db_event_settled(conn, &r->upto, &r->pending, err));
    range.upto = r->upto;
    return db_event_follow(conn, &range, 64, r->rows, &r->count, err);
}

static struct reading read_after(struct fixture *f, uint64_t after)
{
    struct reading r = {.after = after};

    OK(f, db_run_tx_locking(f->pool, "read", read_body, &r, &f->err));
    return r;
}

/* ---- one at a time ---- */

static void a_late_commit_holds_back_what_is_behind_it(void **state)
{
    struct fixture *f = *state;
    struct db_event slow = package_event("package-created", "slow");
    struct db_conn *conn = fixture_begin(f);
    struct reading r;

    OK(f, db_event_add(conn, &slow, &f->err)); /* number 1, not committed */
    OK(f, db_run_tx_locking(f->pool, "quick", add_body, "quick", &f->err)); /* number 2 */
    r = read_after(f, 0);
    assert_int_equal(r.upto, 0);
    assert_int_equal(r.count, 0);
    assert_true(r.pending);
    fixture_commit(f);
    r = read_after(f, r.upto);
    assert_false(r.pending);
    assert_int_equal(r.count, 2);
    assert_string_equal(r.rows[0].subject, "slow");
    assert_string_equal(r.rows[1].subject, "quick");
    assert_int_equal(r.upto, r.rows[1].id);
}

static void what_is_rolled_back_holds_nothing_back(void **state)
{
    struct fixture *f = *state;
    struct db_event never = package_event("package-created", "never");
    struct db_conn *conn;
    struct reading r;

    OK(f, db_run_tx_locking(f->pool, "first", add_body, "first", &f->err));
    conn = fixture_begin(f);
    OK(f, db_event_add(conn, &never, &f->err));
    OK(f, db_run_tx_locking(f->pool, "second", add_body, "second", &f->err));
    r = read_after(f, 0);
    assert_int_equal(r.count, 1); /* the first is settled */
    fixture_sql(f, "ROLLBACK; BEGIN");
    fixture_commit(f);
    r = read_after(f, r.upto);
    assert_int_equal(r.count, 1);
    assert_string_equal(r.rows[0].subject, "second");
    assert_int_equal(r.upto, 3); /* the number of what never was is passed over */
}

/* As many as an import of a large configuration writes: they need no more room in the server's table
 * of locks than one. */
static void one_transaction_writes_very_many(void **state)
{
    static const char held[] = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
    struct fixture *f = *state;
    struct reading r;

    (void)fixture_begin(f);
    fixture_sql(f, "INSERT INTO events (kind, subject) SELECT 'package-created', 'package ' || n"
                   " FROM generate_series(1, 50000) n");
    assert_int_equal(fixture_number(f, held), 1);
    r = read_after(f, 0);
    assert_int_equal(r.upto, 0);
    assert_true(r.pending);
    fixture_commit(f);
    r = read_after(f, 0);
    assert_int_equal(r.upto, 50000);
    assert_false(r.pending);
    assert_int_equal(fixture_number(f, held), 0);
}

/* What a savepoint takes back is taken for the next event again. */
static void a_savepoints_rollback_lets_nothing_through(void **state)
{
    struct fixture *f = *state;
    struct db_event e = package_event("package-created", "slow");
    struct db_conn *conn = fixture_begin(f);
    struct reading r;

    for (int i = 0; i < 3; i++) {
        fixture_sql(f, "SAVEPOINT s");
        OK(f, db_event_add(conn, &e, &f->err));
        fixture_sql(f, i < 2 ? "ROLLBACK TO s" : "RELEASE s");
    }
    OK(f, db_run_tx_locking(f->pool, "quick", add_body, "quick", &f->err));
    fixture_sql(f, "SAVEPOINT s");
    OK(f, db_event_add(conn, &e, &f->err));
    fixture_sql(f, "ROLLBACK TO s");
    r = read_after(f, 0);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.upto, 2);
    assert_true(r.pending);
    fixture_commit(f);
    r = read_after(f, r.upto);
    assert_int_equal(r.count, 2);
    assert_string_equal(r.rows[0].subject, "slow");
    assert_string_equal(r.rows[1].subject, "quick");
    assert_false(r.pending);
    /* The next transaction of the same connection begins anew. */
    conn = fixture_begin(f);
    OK(f, db_event_add(conn, &e, &f->err));
    OK(f, db_run_tx_locking(f->pool, "quick", add_body, "quick", &f->err));
    assert_int_equal(read_after(f, r.upto).count, 0);
    fixture_commit(f);
    assert_int_equal(read_after(f, r.upto).count, 2);
}

/* ---- many at once ---- */

struct writer {
    pthread_t thread;
    struct db_pool *pool;
    struct cp_prng prng;
    atomic_int *left;
    bool failed;
};

struct round {
    struct writer *writer;
    uint64_t events;
    bool commit;
};

static enum cp_err round_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct round *r = arg;

    for (uint64_t i = 0; i < r->events; i++) {
        struct db_event e = package_event("package-created", "many");
        uint64_t now;

        CP_TRY(db_event_add(conn, &e, err));
        for (uint64_t wait = cp_prng_below(&r->writer->prng, 4); wait > 0; wait--) {
            CP_TRY(db_now(conn, &now, err)); /* a round trip */
        }
    }
    return r->commit ? CP_OK : CP_ERR_CONFLICT;
}

static void *write_events(void *arg)
{
    struct writer *w = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct round r = {.writer = w,
                          .events = 1 + cp_prng_below(&w->prng, 3),
                          .commit = cp_prng_below(&w->prng, 5) > 0};
        enum cp_err rc = db_run_tx_locking(w->pool, "write", round_body, &r, NULL);

        w->failed = w->failed || rc != (r.commit ? CP_OK : CP_ERR_CONFLICT);
    }
    (void)atomic_fetch_sub(w->left, 1);
    return NULL;
}

static void a_reader_misses_none_of_many_writers(void **state)
{
    struct fixture *f = *state;
    struct writer writers[WRITERS];
    struct db_pool *pool = NULL;
    atomic_int left = WRITERS;
    uint64_t after = 0;
    size_t seen = 0;
    bool last = false;
    int held_back = 0;

    OK(f, db_pool_open(fixture_conninfo(), WRITERS, &pool, &f->err));
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.pool = pool, .left = &left};
        cp_prng_seed(&writers[i].prng, (uint64_t)i + 1);
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_events, &writers[i]), 0);
    }
    while (!last) {
        struct reading r;

        last = atomic_load(&left) == 0; /* one more look after that */
        do {
            r = read_after(f, after);
            for (size_t i = 0; i < r.count; i++) {
                assert_true(r.rows[i].id > after);
                after = r.rows[i].id;
                seen++;
            }
            held_back += r.pending;
        } while (r.count == 64);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        assert_false(writers[i].failed);
    }
    db_pool_close(pool);
    assert_true(seen > WRITERS * ROUNDS);
    assert_true(held_back > 0); /* else this has tested nothing */
    assert_int_equal(seen, fixture_number(f, "SELECT count(*) FROM events"));
    assert_false(read_after(f, after).pending);
}

/* ---- lists ---- */

static size_t listed(struct fixture *f, const struct db_event_filter *filter, uint64_t before)
{
    struct db_event rows[8];
    struct db_conn *conn = fixture_begin(f);
    size_t count = 0;

    OK(f, db_event_list(conn, filter, before, 8, rows, &count, &f->err));
    fixture_commit(f);
    for (size_t i = 1; i < count; i++) {
        assert_true(rows[i].id < rows[i - 1].id);
    }
    return count;
}

static void lists_are_by_kind_subject_and_time(void **state)
{
    static const char *const kinds_of_rows[] = {"package-created", "package-changed",
                                                "package-created", "session-failed"};
    struct fixture *f = *state;
    char kinds[DB_KINDS_SIZE] = "";
    struct db_conn *conn = fixture_begin(f);

    for (int i = 0; i < 4; i++) {
        struct db_event e = package_event(kinds_of_rows[i], i % 2 == 0 ? "package a" : "package b");

        OK(f, db_event_add(conn, &e, &f->err));
    }
    fixture_sql(f, "UPDATE events SET time = now() - (5 - id) * interval '2 hours'");
    fixture_commit(f);
    assert_int_equal(listed(f, &(struct db_event_filter){.kinds = ""}, 0), 4);
    assert_int_equal(listed(f, &(struct db_event_filter){.kinds = ""}, 3), 2);
    assert_int_equal(listed(f, &(struct db_event_filter){.subject = "package a"}, 0), 2);
    assert_false(db_kinds_add(kinds, "no-such-kind"));
    assert_true(db_kinds_add(kinds, "package-created"));
    assert_int_equal(listed(f, &(struct db_event_filter){.kinds = kinds}, 0), 2);
    assert_true(db_kinds_add(kinds, "session-failed"));
    assert_true(db_kinds_add(kinds, "package-created"));
    assert_true(db_kinds_add(kinds, "session-failed"));
    assert_string_equal(kinds, "{package-created,session-failed}");
    assert_int_equal(listed(f, &(struct db_event_filter){.kinds = kinds}, 0), 3);
    assert_int_equal(listed(f, &(struct db_event_filter){.kinds = kinds}, 4), 2);
    assert_int_equal(
        listed(f, &(struct db_event_filter){.kinds = kinds, .subject = "package a"}, 0), 2);
    assert_int_equal(
        listed(f, &(struct db_event_filter){.since = cp_clock_wall() - 5 * 3600 * CP_SEC}, 0), 2);
    assert_int_equal(listed(f,
                            &(struct db_event_filter){.kinds = kinds,
                                                      .since = cp_clock_wall() - 3 * 3600 * CP_SEC},
                            0),
                     1);
}

/* Every kind fits into one array. */
static void the_whole_catalogue_is_one_list(void **state)
{
    struct fixture *f = *state;
    char kinds[DB_KINDS_SIZE] = "";
    struct db_conn *conn = fixture_begin(f);
    size_t count = 0;

    for (; cp_event_info_at(count) != NULL; count++) {
        struct db_event e = package_event(cp_event_info_at(count)->kind, "any");

        OK(f, db_event_add(conn, &e, &f->err));
        assert_true(db_kinds_add(kinds, e.kind));
    }
    fixture_commit(f);
    assert_int_equal(listed(f, &(struct db_event_filter){.kinds = kinds}, 0), 8);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM events"), (int64_t)count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_late_commit_holds_back_what_is_behind_it),
        TEST(what_is_rolled_back_holds_nothing_back),
        TEST(one_transaction_writes_very_many),
        TEST(a_savepoints_rollback_lets_nothing_through),
        TEST(a_reader_misses_none_of_many_writers),
        TEST(lists_are_by_kind_subject_and_time),
        TEST(the_whole_catalogue_is_one_list),
    };

    return cmocka_run_group_tests_name("db event", tests, NULL, NULL);
}
