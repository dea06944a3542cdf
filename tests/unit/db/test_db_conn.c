/* SPDX-License-Identifier: Apache-2.0
 * Connections that break, time out, or are refused: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/db/pg_proxy.h"

static const struct db_stmt add_stmt = {"test_add", "UPDATE counter SET n = n + 1"};
static const struct db_stmt none_stmt = {"test_none", "SELECT n::bigint FROM counter"};
static const struct db_stmt sleep_stmt = {"test_sleep", "SELECT 1 FROM pg_sleep(20)"};

static void make_counter(struct fixture *f)
{
    fixture_sql(f, "CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0)");
}

/* A pool of one connection to the cluster, with that in its conninfo. */
static struct db_pool *open_pool(struct fixture *f, const char *more)
{
    struct db_pool *pool = NULL;
    char conninfo[256];

    (void)snprintf(conninfo, sizeof conninfo, "%s %s", fixture_conninfo(), more);
    OK(f, db_pool_open(conninfo, 1, &pool, &f->err));
    return pool;
}

struct work {
    const struct db_stmt *stmt;
    int runs;
};

static enum cp_err work_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct work *w = arg;

    w->runs++;
    return db_do(conn, (struct db_query){.stmt = w->stmt}, NULL, err);
}

/* ---- limits ---- */

static bool setting_is(struct fixture *f, const char *name, const char *value)
{
    char sql[160];

    (void)snprintf(sql, sizeof sql, "SELECT (current_setting('%s') = '%s')::int::bigint", name,
                   value);
    return fixture_number(f, sql) == 1;
}

static void limits_are_set(void **state)
{
    struct fixture *f = *state;

    assert_true(setting_is(f, "statement_timeout", "30s"));
    assert_true(setting_is(f, "lock_timeout", "10s"));
    assert_true(setting_is(f, "idle_in_transaction_session_timeout", "1min"));
    assert_true(setting_is(f, "client_encoding", "UTF8"));
    assert_true(setting_is(f, "application_name", "castpointd"));
}

static bool option_is(PGconn *pg, const char *keyword, const char *value)
{
    PQconninfoOption *options = PQconninfo(pg);
    bool is = false;

    assert_non_null(options);
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        is = is ||
             (strcmp(o->keyword, keyword) == 0 && o->val != NULL && strcmp(o->val, value) == 0);
    }
    PQconninfoFree(options);
    return is;
}

/* A server without power is noticed where nothing is sent, too. */
static void keepalives_are_set(void **state)
{
    struct fixture *f = *state;
    PGconn *pg = fixture_begin(f)->pg;

    assert_true(option_is(pg, "keepalives_idle", "30"));
    assert_true(option_is(pg, "keepalives_interval", "5"));
    assert_true(option_is(pg, "keepalives_count", "3"));
    assert_true(option_is(pg, "tcp_user_timeout", "10000"));
    fixture_commit(f);
    {
        char own[128];

        (void)snprintf(own, sizeof own, "%s keepalives_interval=9", fixture_conninfo());
        OK(f, db_connect(own, &pg, &f->err));
        assert_true(option_is(pg, "keepalives_interval", "9"));
        assert_true(option_is(pg, "keepalives_count", "3"));
        PQfinish(pg);
    }
}

static void long_statement_is_ended(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "options='-c statement_timeout=100'");
    struct work w = {.stmt = &sleep_stmt};

    assert_int_equal(db_run_tx(pool, "long", work_body, &w, &f->err), CP_ERR_DATABASE);
    assert_non_null(strstr(f->err.text, "statement timeout"));
    assert_int_equal(w.runs, 1); /* it would only be as long again */
    db_pool_close(pool);
}

static void long_wait_for_a_lock_is_ended(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "options='-c lock_timeout=100'");
    struct work w = {.stmt = &add_stmt};

    make_counter(f);
    (void)fixture_begin(f);
    fixture_sql(f, "SELECT 1 FROM counter FOR UPDATE");
    assert_int_equal(db_run_tx_locking(pool, "wait", work_body, &w, &f->err), CP_ERR_DB_RETRY);
    assert_int_equal(w.runs, 1);
    fixture_commit(f);
    OK(f, db_run_tx_locking(pool, "wait", work_body, &w, &f->err));
    db_pool_close(pool);
}

/* Sits in its transaction until the server has had enough of that; then does its work. */
static enum cp_err idle_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct work *w = arg;

    if (w->runs == 0) {
        struct pollfd p = {.fd = PQsocket(conn->pg), .events = POLLIN};

        assert_int_equal(poll(&p, 1, 20000), 1);
    }
    return work_body(conn, arg, err);
}

static void idle_transaction_is_ended(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "options='-c idle_in_transaction_session_timeout=100'");
    struct work w = {.stmt = &add_stmt};

    make_counter(f);
    OK(f, db_run_tx(pool, "idle", idle_body, &w, &f->err));
    assert_int_equal(w.runs, 2);
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 1);
    db_pool_close(pool);
}

/* libpq's own failures have no state, and may leave a connection that looks good. */
static void failure_without_a_state_is_a_loss(void **state)
{
    struct fixture *f = *state;
    struct db_conn *conn = fixture_begin(f);

    assert_int_equal(db_conn_failed(conn, NULL, "test", &f->err), CP_ERR_DATABASE);
    assert_int_equal(conn->fault, DB_FAULT_LOST);
    assert_true(db_conn_usable(conn));
    fixture_commit(f);
}

static const struct db_stmt param_stmt = {"test_param", "SELECT $1::bigint"};

/* A defect of ours is not "the database is away". */
static void wrong_parameters_are_a_defect(void **state)
{
    struct fixture *f = *state;
    struct work w = {.stmt = &param_stmt};

    assert_int_equal(db_run_read(f->pool, "defect", work_body, &w, &f->err), CP_ERR_INTERNAL);
    assert_int_equal(w.runs, 1);
}

static const struct db_stmt wide_stmt = {"test_wide", "SELECT * FROM counter"};

/* A migration changes what a prepared statement gives: it is prepared anew. */
static void stale_plan_is_made_anew(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "");
    struct work w = {.stmt = &wide_stmt};

    make_counter(f);
    OK(f, db_run_read(pool, "use", work_body, &w, &f->err));
    fixture_sql(f, "ALTER TABLE counter ADD COLUMN more int");
    OK(f, db_run_read(pool, "use", work_body, &w, &f->err));
    assert_int_equal(w.runs, 3);
    db_pool_close(pool);
}

/* ---- the server hangs ---- */

struct hanging {
    struct work work;
    pid_t pid;
    atomic_bool waits;
};

/* Stops its own server process, as a disk does that no longer answers. */
static enum cp_err hang_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct hanging *h = arg;

    h->pid = PQbackendPID(conn->pg);
    assert_int_equal(kill(h->pid, SIGSTOP), 0);
    atomic_store(&h->waits, true);
    return work_body(conn, &h->work, err);
}

static void hanging_server_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "options='-c statement_timeout=100'");
    struct hanging h = {.work.stmt = &add_stmt};
    cp_time started = cp_clock_now();

    make_counter(f);
    assert_int_equal(db_run_tx(pool, "hang", hang_body, &h, &f->err), CP_ERR_DATABASE);
    assert_non_null(strstr(f->err.text, "does not answer"));
    assert_true(cp_clock_now() - started < 10 * CP_SEC);
    assert_int_equal(h.work.runs, 1);
    /* The pool connects anew; what hung did nothing. */
    OK(f, db_run_tx(pool, "again", work_body, &h.work, &f->err));
    assert_int_equal(kill(h.pid, SIGCONT), 0);
    OK(f, db_run_tx(pool, "again", work_body, &h.work, &f->err));
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 2);
    db_pool_close(pool);
}

static const struct db_stmt large_stmt = {"test_large", "SELECT length($1::bytea)::bigint"};

/* The second one does not even get off: the server no longer reads. */
static enum cp_err large_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const char data[4 << 20];
    struct db_param params[] = {db_p_bytes(data, sizeof data)};
    pid_t *pid = arg;

    CP_TRY(db_do(conn, DB_COMMAND(&large_stmt, params), NULL, err));
    *pid = PQbackendPID(conn->pg);
    assert_int_equal(kill(*pid, SIGSTOP), 0);
    return db_do(conn, DB_COMMAND(&large_stmt, params), NULL, err);
}

static void stopped_sending_is_given_up(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "options='-c statement_timeout=1000'");
    pid_t pid = 0;

    assert_int_equal(db_run_read(pool, "large", large_body, &pid, &f->err), CP_ERR_DATABASE);
    assert_non_null(strstr(f->err.text, "does not answer"));
    assert_int_equal(kill(pid, SIGCONT), 0);
    db_pool_close(pool);
}

/* COMMIT takes longer than it is waited for: what became of it is found out, and not done again. */
static void slow_commit_is_not_done_again(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "options='-c statement_timeout=200'");
    struct work w = {.stmt = &add_stmt};

    make_counter(f);
    fixture_sql(f, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " PERFORM pg_sleep(8); RETURN NULL;"
                   " END $$;"
                   "CREATE CONSTRAINT TRIGGER slow AFTER UPDATE ON counter DEFERRABLE"
                   " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()");
    OK(f, db_run_tx(pool, "slow", work_body, &w, &f->err));
    assert_int_equal(w.runs, 1);
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 1);
    db_pool_close(pool);
}

struct hung_run {
    struct db_pool *pool;
    struct hanging h;
    enum cp_err rc;
};

static void *hung_thread(void *arg)
{
    struct hung_run *r = arg;

    r->rc = db_run_tx(r->pool, "hang", hang_body, &r->h, NULL);
    return NULL;
}

/* With 30 s to go: whoever stops the service does not wait for them. */
static void hurry_ends_a_wait(void **state)
{
    struct fixture *f = *state;
    struct hung_run r = {.pool = open_pool(f, ""), .h.work.stmt = &add_stmt};
    cp_time started = cp_clock_now();
    pthread_t thread;

    make_counter(f);
    assert_int_equal(pthread_create(&thread, NULL, hung_thread, &r), 0);
    while (!atomic_load(&r.h.waits)) {
        (void)sched_yield();
    }
    db_pool_hurry(r.pool);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(r.rc, CP_ERR_DATABASE);
    assert_true(cp_clock_now() - started < 15 * CP_SEC);
    assert_int_equal(kill(r.h.pid, SIGCONT), 0);
    db_pool_close(r.pool);
}

/* ---- prepared once ---- */

struct uses {
    int64_t statements;
    int64_t times;
};

static enum cp_err uses_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const struct db_stmt stmt = {
        "test_uses", "SELECT count(*), coalesce(sum(generic_plans + custom_plans), 0)::bigint"
                     " FROM pg_prepared_statements WHERE statement LIKE '%FROM counter'"};
    static const struct db_col cols[] = {DB_COL_INT(uses, statements), DB_COL_INT(uses, times)};

    return db_one(conn, (struct db_query){.stmt = &stmt, .cols = cols, .col_count = 2}, arg, err);
}

static void prepared_once_a_connection(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = open_pool(f, "");
    struct work w = {.stmt = &none_stmt};
    struct uses uses;

    make_counter(f);
    for (int i = 0; i < 5; i++) {
        OK(f, db_run_read(pool, "use", work_body, &w, &f->err));
    }
    OK(f, db_run_read(pool, "look", uses_body, &uses, &f->err));
    assert_int_equal(uses.statements, 1);
    assert_int_equal(uses.times, 5);
    fixture_sql(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE pid <> pg_backend_pid() AND datname = current_database()");
    OK(f, db_run_read(pool, "use", work_body, &w, &f->err));
    OK(f, db_run_read(pool, "look", uses_body, &uses, &f->err));
    assert_int_equal(uses.statements, 1);
    assert_int_equal(uses.times, 1);
    db_pool_close(pool);
}

/* ---- the answer to COMMIT is lost ---- */

static void cut_once(struct fixture *f, enum pg_proxy_cut cut, int runs)
{
    struct pg_proxy *proxy = pg_proxy_start(fixture_conninfo());
    struct work w = {.stmt = &add_stmt};
    struct db_pool *pool = NULL;

    make_counter(f);
    OK(f, db_pool_open(pg_proxy_conninfo(proxy), 1, &pool, &f->err));
    OK(f, db_run_tx(pool, "before", work_body, &w, &f->err));
    for (int i = 0; i < 3; i++) {
        w.runs = 0;
        pg_proxy_arm(proxy, cut);
        OK(f, db_run_tx(pool, "cut", work_body, &w, &f->err));
        assert_int_equal(pg_proxy_cuts(proxy), i + 1);
        assert_int_equal(w.runs, runs);
        assert_int_equal(fixture_number(f, "SELECT n FROM counter"), i + 2);
    }
    db_pool_close(pool);
    pg_proxy_stop(proxy);
}

static void commit_that_happened_is_not_done_again(void **state)
{
    cut_once(*state, PG_PROXY_SWALLOW, 1);
}

static void commit_that_was_lost_is_done_again(void **state)
{
    cut_once(*state, PG_PROXY_LOSE, 2);
}

/* The very first transaction of a connection: its row is not there before. */
static void first_commit_is_known_too(void **state)
{
    struct fixture *f = *state;
    struct pg_proxy *proxy = pg_proxy_start(fixture_conninfo());
    struct work w = {.stmt = &add_stmt};
    struct db_pool *pool = NULL;

    make_counter(f);
    OK(f, db_pool_open(pg_proxy_conninfo(proxy), 1, &pool, &f->err));
    pg_proxy_arm(proxy, PG_PROXY_LOSE);
    OK(f, db_run_tx(pool, "first", work_body, &w, &f->err));
    assert_int_equal(w.runs, 2);
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 1);
    db_pool_close(pool);
    pg_proxy_stop(proxy);
}

/* What wrote nothing leaves no mark, and is simply done again. */
static void reading_leaves_no_mark(void **state)
{
    struct fixture *f = *state;
    struct pg_proxy *proxy = pg_proxy_start(fixture_conninfo());
    struct work w = {.stmt = &none_stmt};
    struct db_pool *pool = NULL;
    int64_t marks = fixture_number(f, "SELECT count(*) FROM commit_marks");

    make_counter(f);
    OK(f, db_pool_open(pg_proxy_conninfo(proxy), 1, &pool, &f->err));
    pg_proxy_arm(proxy, PG_PROXY_SWALLOW);
    OK(f, db_run_tx(pool, "nothing", work_body, &w, &f->err));
    assert_int_equal(w.runs, 2);
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM commit_marks"), marks);
    db_pool_close(pool);
    pg_proxy_stop(proxy);
}

static enum cp_err sweep_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    (void)arg;
    return db_marks_sweep(conn, err);
}

static void old_marks_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct work w = {.stmt = &add_stmt};

    make_counter(f);
    OK(f, db_run_tx(f->pool, "mark", work_body, &w, &f->err));
    fixture_sql(f, "INSERT INTO commit_marks VALUES (1, 5, now() - interval '2 days')");
    OK(f, db_run_tx(f->pool, "sweep", sweep_body, NULL, &f->err));
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM commit_marks WHERE slot = 1"), 0);
    assert_true(fixture_number(f, "SELECT count(*) FROM commit_marks") >= 1);
}

/* ---- the database is away ---- */

struct door {
    char folder[64];
    char server[128];
    char socket[96];
    char conninfo[160];
};

/* A folder whose socket is a link to the server's: without the link nobody is there. */
static void make_door(struct door *d)
{
    char folder[64];

    assert_int_equal(sscanf(fixture_conninfo(), "host=%63s ", folder), 1);
    (void)snprintf(d->folder, sizeof d->folder, "/tmp/castpoint-door-XXXXXX");
    assert_non_null(mkdtemp(d->folder));
    (void)snprintf(d->server, sizeof d->server, "%s/.s.PGSQL.5432", folder);
    (void)snprintf(d->socket, sizeof d->socket, "%s/.s.PGSQL.5432", d->folder);
    (void)snprintf(d->conninfo, sizeof d->conninfo, "host=%s user=castpoint dbname=postgres",
                   d->folder);
}

static void open_door(const struct door *d)
{
    assert_int_equal(symlink(d->server, d->socket), 0);
}

static void shut_door(struct fixture *f, const struct door *d)
{
    assert_int_equal(unlink(d->socket), 0);
    fixture_sql(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE pid <> pg_backend_pid() AND datname = current_database()");
}

static void away_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    struct db_pool *pool = NULL;
    struct door d;
    cp_time started;
    enum cp_err rc;

    make_door(&d);
    open_door(&d);
    OK(f, db_pool_open(d.conninfo, 1, &pool, &f->err));
    shut_door(f, &d);
    /* At first it may be a restart: worth some tries. */
    started = cp_clock_now();
    do {
        assert_int_equal(db_ping(pool, &f->err), CP_ERR_DATABASE);
        assert_non_null(strstr(f->err.text, d.folder));
    } while (!db_pool_away(pool) && cp_clock_now() < started + 30 * CP_SEC);
    assert_true(cp_clock_now() - started > 2 * CP_SEC);
    /* Now it is away: a hundred requests take no time. */
    started = cp_clock_now();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(db_ping(pool, &f->err), CP_ERR_DATABASE);
        assert_non_null(strstr(f->err.text, d.folder));
    }
    assert_true(cp_clock_now() - started < 2 * CP_SEC);
    open_door(&d);
    started = cp_clock_now();
    do {
        rc = db_ping(pool, &f->err);
    } while (rc != CP_OK && cp_clock_now() < started + 30 * CP_SEC);
    OK(f, rc);
    assert_false(db_pool_away(pool));
    db_pool_close(pool);
    (void)unlink(d.socket);
    (void)rmdir(d.folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

/* libpq's own complaint quotes the word behind the blank. */
static void wrong_address_keeps_its_secret(void **state)
{
    struct fixture *f = *state;
    PGconn *pg = NULL;

    assert_int_equal(db_connect("host=db password=my hidden", &pg, &f->err), CP_ERR_USAGE);
    assert_non_null(strstr(f->err.text, "keyword=value"));
    assert_null(strstr(f->err.text, "hidden"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(limits_are_set),
        TEST(keepalives_are_set),
        TEST(long_statement_is_ended),
        TEST(long_wait_for_a_lock_is_ended),
        TEST(idle_transaction_is_ended),
        TEST(failure_without_a_state_is_a_loss),
        TEST(wrong_parameters_are_a_defect),
        TEST(stale_plan_is_made_anew),
        TEST(hanging_server_is_given_up),
        TEST(stopped_sending_is_given_up),
        TEST(slow_commit_is_not_done_again),
        TEST(hurry_ends_a_wait),
        TEST(prepared_once_a_connection),
        TEST(commit_that_happened_is_not_done_again),
        TEST(commit_that_was_lost_is_done_again),
        TEST(first_commit_is_known_too),
        TEST(reading_leaves_no_mark),
        TEST(old_marks_are_forgotten),
        TEST(away_is_told_at_once),
        TEST(wrong_address_keeps_its_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
