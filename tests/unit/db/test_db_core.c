/* SPDX-License-Identifier: Apache-2.0
 * Migrations, the transaction runner, the listener: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/listener.h"
#include "db/migrations.h"

static void test_migrate_twice(void **state)
{
    struct fixture *f = *state;

    OK(f, db_migrate(f->pool, &f->err));
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM schema_migrations"),
                     db_migration_count);
}

static void *migrate_thread(void *arg)
{
    struct db_pool *pool = NULL;
    enum cp_err rc = db_pool_open(fixture_conninfo(), 1, &pool, NULL);

    (void)arg;
    if (rc == CP_OK) {
        rc = db_migrate(pool, NULL);
    }
    db_pool_close(pool);
    return rc == CP_OK ? NULL : "failed";
}

static void test_migrate_at_once(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];

    fixture_sql(f, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_thread, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(fixture_number(f, "SELECT count(*) FROM schema_migrations"),
                     db_migration_count);
}

static void test_migrate_tampered(void **state)
{
    struct fixture *f = *state;

    fixture_sql(f, "UPDATE schema_migrations SET digest = repeat('0', 64) WHERE number = 1");
    assert_int_equal(db_migrate(f->pool, &f->err), CP_ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "0001_node.sql"));
}

static void test_migrate_newer(void **state)
{
    struct fixture *f = *state;

    fixture_sql(f, "INSERT INTO schema_migrations SELECT 9999, 'future.sql', repeat('0', 64)");
    assert_int_equal(db_migrate(f->pool, &f->err), CP_ERR_CONFLICT);
    assert_non_null(strstr(f->err.text, "newer"));
}

static void test_migrate_gap(void **state)
{
    struct fixture *f = *state;

    fixture_sql(f, "DELETE FROM schema_migrations WHERE number = 1");
    assert_int_equal(db_migrate(f->pool, &f->err), CP_ERR_CONFLICT);
}

static void test_everything_has_a_comment(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fixture_number(f, "SELECT count(*) FROM pg_class c WHERE relkind = 'r'"
                                       " AND relnamespace = 'public'::regnamespace"
                                       " AND obj_description(c.oid, 'pg_class') IS NULL"),
                     0);
    assert_int_equal(
        fixture_number(f, "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
                          " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
                          " AND attnum > 0 AND NOT attisdropped"
                          " AND col_description(c.oid, attnum) IS NULL"),
        0);
}

static void test_open_refused(void **state)
{
    struct db_pool *pool = NULL;
    struct cp_error err = {.text = ""};

    (void)state;
    assert_int_equal(db_pool_open("host=/nonexistent user=x", 1, &pool, &err), CP_ERR_DATABASE);
    assert_non_null(strstr(err.text, "/nonexistent"));
    assert_int_equal(db_pool_open("no such keyword=1", 1, &pool, &err), CP_ERR_USAGE);
    assert_null(pool);
    db_pool_close(NULL);
}

/* libpq does not tell the state of a refused connection, and the text may be in any language. */
static void test_refusals_are_told_apart(void **state)
{
    static const struct {
        const char *rest;
        enum cp_err code;
    } cases[] = {
        {"user=nobody_of_that_name dbname=postgres", CP_ERR_DATABASE_LOGIN},
        {"user=castpoint dbname=no_such_database", CP_ERR_DATABASE_MISSING},
        {"user=castpoint dbname=postgres port=1", CP_ERR_DATABASE},
    };
    struct fixture *f = *state;
    char host[256], conninfo[512];
    const char *given = getenv("CASTPOINT_TEST_DB");

    assert_int_equal(sscanf(given, "host=%255s", host), 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct db_pool *pool = NULL;
        int n = snprintf(conninfo, sizeof conninfo, "host=%s %s", host, cases[i].rest);

        assert_in_range(n, 1, sizeof conninfo - 1);
        assert_int_equal(db_pool_open(conninfo, 1, &pool, &f->err), cases[i].code);
        assert_int_equal(f->err.code, cases[i].code);
        assert_non_null(strstr(f->err.text, "connecting to the database: connection to server"));
        assert_true(cp_err_is_database(cases[i].code) && cp_err_is_inner(cases[i].code));
    }
}

static void test_ping_now_uuid(void **state)
{
    struct fixture *f = *state;
    char a[DB_ID_SIZE], b[DB_ID_SIZE];
    uint64_t now;
    struct db_conn *c;

    OK(f, db_ping(f->pool, &f->err));
    c = fixture_begin(f);
    OK(f, db_now(c, &now, &f->err));
    OK(f, db_uuid(c, a, &f->err));
    OK(f, db_uuid(c, b, &f->err));
    fixture_commit(f);
    assert_true(now > 1700000000ULL * 1000000000);
    assert_true(db_is_uuid(a));
    assert_string_not_equal(a, b);
    assert_false(db_is_uuid(""));
    assert_false(db_is_uuid("00000000-0000-0000-0000-00000000000"));
    assert_false(db_is_uuid("00000000-0000-0000-0000-0000000000000"));
    assert_false(db_is_uuid("00000000-0000-0000-0000-00000000000g"));
    assert_true(db_is_uuid("00000000-0000-0000-0000-00000000000F"));
}

static const struct db_stmt read_stmt = {"test_read", "SELECT n::bigint FROM counter"};
static const struct db_stmt write_stmt = {"test_write", "UPDATE counter SET n = $1::bigint"};

struct counter_row {
    int64_t n;
};
static const struct db_col counter_cols[] = {DB_COL_INT(counter_row, n)};

struct counting {
    struct db_pool *pool;
    int runs;
    enum cp_err rc;
};

/* Read, then write what was read plus one: right only when nobody writes in between. */
static enum cp_err count_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct counting *c = arg;
    struct counter_row row;

    c->runs++;
    CP_TRY(db_one(conn, (struct db_query){.stmt = &read_stmt, .cols = counter_cols, .col_count = 1},
                  &row, err));
    {
        struct db_param params[] = {db_p_i64(row.n + 1)};

        return db_do(conn, DB_COMMAND(&write_stmt, params), NULL, err);
    }
}

static void *count_thread(void *arg)
{
    struct counting *c = arg;

    for (int i = 0; i < 5; i++) {
        if (c->rc == CP_OK) {
            c->rc = db_run_tx(c->pool, "count", count_body, c, NULL);
        }
    }
    return NULL;
}

static void test_serialization_is_retried(void **state)
{
    struct fixture *f = *state;
    struct counting c[4];
    pthread_t threads[4];
    int runs = 0;

    fixture_sql(f, "CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0)");
    for (size_t i = 0; i < 4; i++) {
        c[i] = (struct counting){.pool = f->pool};
        assert_int_equal(pthread_create(&threads[i], NULL, count_thread, &c[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(c[i].rc, CP_OK);
        runs += c[i].runs;
    }
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 20);
    assert_true(runs >= 20);
}

/* A body that meets another writer on its first run, for certain: the second run succeeds. */
struct meeting {
    struct fixture *f;
    int runs;
};

static enum cp_err meet_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct meeting *m = arg;
    struct db_param params[] = {db_p_i64(7)};
    struct counter_row row;

    CP_TRY(db_one(conn, (struct db_query){.stmt = &read_stmt, .cols = counter_cols, .col_count = 1},
                  &row, err));
    if (m->runs++ == 0) {
        fixture_sql(m->f, "UPDATE counter SET n = 5");
    }
    return db_do(conn, DB_COMMAND(&write_stmt, params), NULL, err);
}

static void test_certain_conflict(void **state)
{
    struct fixture *f = *state;
    struct meeting m = {.f = f};

    fixture_sql(f, "CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0)");
    OK(f, db_run_tx(f->pool, "meet", meet_body, &m, &f->err));
    assert_int_equal(m.runs, 2);
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 7);
}

static enum cp_err always_conflict_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    int *runs = arg;

    (*runs)++;
    return db_conn_text(conn, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
                        err);
}

static void test_retries_end(void **state)
{
    struct fixture *f = *state;
    int runs = 0;

    assert_int_equal(db_run_tx(f->pool, "hopeless", always_conflict_body, &runs, &f->err),
                     CP_ERR_DB_RETRY);
    assert_int_equal(runs, 12);
    assert_non_null(strstr(f->err.text, "hopeless"));
}

static enum cp_err refuse_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct db_param params[] = {db_p_i64(9)};

    (void)arg;
    CP_TRY(db_do(conn, DB_COMMAND(&write_stmt, params), NULL, err));
    return cp_error_set(err, CP_ERR_INVALID, "changed my mind");
}

static void test_failure_rolls_back(void **state)
{
    struct fixture *f = *state;

    fixture_sql(f, "CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0)");
    assert_int_equal(db_run_tx(f->pool, "refuse", refuse_body, NULL, &f->err), CP_ERR_INVALID);
    assert_string_equal(f->err.text, "changed my mind");
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 0);
    assert_int_equal(db_run_read(f->pool, "read", refuse_body, NULL, &f->err), CP_ERR_INTERNAL);
}

/* The server kills the connection in the middle of the first run. */
static enum cp_err killed_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    int *runs = arg;
    struct db_param params[] = {db_p_i64(3)};

    if ((*runs)++ == 0) {
        return db_conn_text(conn, "SELECT pg_terminate_backend(pg_backend_pid())", err);
    }
    return db_do(conn, DB_COMMAND(&write_stmt, params), NULL, err);
}

static void test_killed_in_transaction(void **state)
{
    struct fixture *f = *state;
    int runs = 0;

    fixture_sql(f, "CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0)");
    OK(f, db_run_tx(f->pool, "killed", killed_body, &runs, &f->err));
    assert_int_equal(runs, 2);
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 3);
}

static void test_killed_while_idle(void **state)
{
    struct fixture *f = *state;

    OK(f, db_ping(f->pool, &f->err));
    (void)fixture_begin(f);
    fixture_sql(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE pid <> pg_backend_pid() AND datname = current_database()");
    OK(f, db_ping(f->pool, &f->err));
    fixture_commit(f);
    OK(f, db_ping(f->pool, &f->err));
}

/* A deferred trigger kills the connection inside COMMIT: the answer never comes, nothing was
 * committed, the runner finds that out and runs the body again. */
static void test_killed_at_commit(void **state)
{
    struct fixture *f = *state;
    struct counting c = {.pool = f->pool};

    fixture_sql(f, "CREATE TABLE counter (n bigint); INSERT INTO counter VALUES (0);"
                   "CREATE TABLE kills (id int); CREATE SEQUENCE tries;"
                   "CREATE FUNCTION kill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " IF nextval('tries') = 1 THEN"
                   "  PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(0.1);"
                   " END IF; RETURN NULL; END $$;"
                   "CREATE CONSTRAINT TRIGGER kill AFTER UPDATE ON counter DEFERRABLE"
                   " INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION kill()");
    OK(f, db_run_tx(f->pool, "count", count_body, &c, &f->err));
    assert_int_equal(c.runs, 2);
    assert_int_equal(fixture_number(f, "SELECT n FROM counter"), 1);
}

/* A constraint's name reaches the caller, for whom it is; no text that is shown has it. */
static void test_constraint_name(void **state)
{
    struct fixture *f = *state;
    struct db_package p = {.name = "win11"};
    struct db_conn *c = fixture_begin(f);

    OK(f, db_package_create(c, &p, &p, &f->err));
    fixture_sql(f, "SAVEPOINT s");
    assert_int_equal(db_package_create(c, &p, &p, &f->err), CP_ERR_CONFLICT);
    assert_string_equal(db_constraint(c), "packages_name_key");
    fixture_sql(f, "ROLLBACK TO s");
    assert_int_equal(db_conn_text(c, "INSERT INTO packages (name) VALUES ('win11')", &f->err),
                     CP_ERR_CONFLICT);
    assert_string_equal(f->err.text, "Something else has such a value already, and only one may "
                                     "have it.");
    fixture_sql(f, "ROLLBACK TO s");
    assert_int_equal(db_conn_text(c, "UPDATE settings SET node_id = gen_random_uuid()", &f->err),
                     CP_ERR_CONFLICT);
    assert_string_equal(db_constraint(c), "settings_node_id_fkey");
    assert_string_equal(f->err.text, "What this refers to is not there any more, or something "
                                     "refers to it still.");
    fixture_sql(f, "ROLLBACK TO s");
    assert_int_equal(
        db_conn_text(c, "DO $$ BEGIN RAISE 'as it is' USING ERRCODE = 'CP002'; END $$", &f->err),
        CP_ERR_CONFLICT);
    assert_string_equal(f->err.text, "as it is"); /* ours: without the statement's name */
    fixture_sql(f, "ROLLBACK TO s");
    (void)snprintf(p.name, sizeof p.name, "Bad Name");
    assert_int_equal(db_package_create(c, &p, &p, &f->err), CP_ERR_INVALID);
    assert_string_equal(db_constraint(c), "packages_name_check");
    assert_string_equal(f->err.text, "The database does not take such a value.");
    fixture_sql(f, "ROLLBACK TO s");
    fixture_commit(f);
}

/* Waits for the listener's descriptor and takes one notification. */
static bool await(struct fixture *f, struct db_listener *l, struct db_notification *n)
{
    for (int i = 0; i < 20; i++) {
        struct pollfd p = {.fd = db_listener_fd(l), .events = POLLIN};
        bool any = false;

        OK(f, db_listener_next(l, &any, n, &f->err));
        if (any) {
            return true;
        }
        (void)poll(&p, 1, 500);
    }
    return false;
}

static void test_listener(void **state)
{
    static const char *const channels[] = {DB_CHANNEL_SESSIONS, "Odd \"name"};
    struct fixture *f = *state;
    struct db_listener *l = NULL;
    struct db_notification n;
    enum cp_err rc = CP_OK;
    bool any = true;

    OK(f, db_listener_open(fixture_conninfo(), channels, 2, &l, &f->err));
    OK(f, db_listener_next(l, &any, &n, &f->err));
    assert_false(any);
    (void)fixture_begin(f);
    OK(f, db_notify(f->conn, "Odd \"name", "hello", &f->err));
    fixture_commit(f);
    assert_true(await(f, l, &n));
    assert_string_equal(n.channel, "Odd \"name");
    assert_string_equal(n.payload, "hello");

    fixture_sql(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()");
    for (int i = 0; i < 20 && rc == CP_OK; i++) {
        struct pollfd p = {.fd = db_listener_fd(l), .events = POLLIN};

        (void)poll(&p, 1, 500);
        rc = db_listener_next(l, &any, &n, &f->err);
    }
    assert_int_equal(rc, CP_ERR_DATABASE);
    assert_int_equal(db_listener_fd(l), -1);
    assert_int_equal(db_listener_next(l, &any, &n, &f->err), CP_ERR_DATABASE);
    OK(f, db_listener_reconnect(l, &f->err));
    (void)fixture_begin(f);
    OK(f, db_notify(f->conn, DB_CHANNEL_SESSIONS, "again", &f->err));
    fixture_commit(f);
    assert_true(await(f, l, &n));
    assert_string_equal(n.payload, "again");
    db_listener_close(l);
    db_listener_close(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_migrate_twice),      TEST(test_migrate_at_once),
        TEST(test_migrate_tampered),   TEST(test_migrate_newer),
        TEST(test_migrate_gap),        TEST(test_everything_has_a_comment),
        TEST(test_open_refused),       TEST(test_refusals_are_told_apart),
        TEST(test_ping_now_uuid),      TEST(test_serialization_is_retried),
        TEST(test_certain_conflict),   TEST(test_retries_end),
        TEST(test_failure_rolls_back), TEST(test_killed_in_transaction),
        TEST(test_killed_while_idle),  TEST(test_killed_at_commit),
        TEST(test_constraint_name),    TEST(test_listener),
    };

    return cmocka_run_group_tests_name("db core", tests, NULL, NULL);
}
