/* SPDX-License-Identifier: Apache-2.0
 * What the service's role may do and what not: run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/audit.h"

/* As the service: its own pool, and a schema that the fixture's superuser made. */
struct roles {
    struct fixture *f;
    struct db_pool *service;
};

static int set_up(void **state)
{
    struct roles *r = calloc(1, sizeof *r);
    const char *conninfo = getenv("CASTPOINT_TEST_SERVICE_DB");
    void *fixture = NULL;

    assert_non_null(r);
    assert_non_null(conninfo); /* run under tests/support/with-postgres */
    assert_int_equal(fixture_open(&fixture), 0);
    r->f = fixture;
    OK(r->f, db_pool_open(conninfo, 1, &r->service, &r->f->err));
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct roles *r = *state;
    void *fixture = r->f;

    db_pool_close(r->service);
    free(r);
    return fixture_close(&fixture);
}

static void grant(const struct roles *r)
{
    char role[DB_NAME_SIZE];

    OK(r->f, db_role(r->service, role, &r->f->err));
    assert_string_equal(role, "castpoint_service");
    OK(r->f, db_grant(r->f->pool, role, &r->f->err));
}

static enum cp_err text_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    return db_conn_text(conn, arg, err);
}

/* The service's role may not do that. */
static void forbidden(const struct roles *r, const char *sql)
{
    struct cp_error err = {.text = ""};
    char copy[200];
    enum cp_err rc;

    (void)strncpy(copy, sql, sizeof copy - 1);
    copy[sizeof copy - 1] = '\0';
    rc = db_run_again(r->service, "forbidden", text_body, copy, &err);
    if (rc == CP_OK ||
        (strstr(err.text, "permission denied") == NULL && strstr(err.text, "must be") == NULL)) {
        fail_msg("%s: %s", sql, rc == CP_OK ? "it may" : err.text);
    }
}

static void schema_is_out_of_reach(void **state)
{
    static const char *const statements[] = {
        "CREATE TABLE mine (n int)",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE INDEX mine ON packages (description)",
        "CREATE SEQUENCE mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "CREATE TRIGGER mine AFTER UPDATE ON files EXECUTE FUNCTION files_protect()",
        "ALTER TABLE packages ADD COLUMN mine int",
        "ALTER TABLE versions DISABLE TRIGGER ALL",
        "ALTER TABLE packages OWNER TO castpoint_service",
        "ALTER FUNCTION versions_protect() OWNER TO castpoint_service",
        "DROP TABLE packages",
        "DROP TRIGGER versions_protect ON versions",
        "DROP FUNCTION castpoint_grant(name)",
        "TRUNCATE events",
        "GRANT ALL ON packages TO castpoint_service; TRUNCATE packages",
        "SELECT castpoint_grant('castpoint_service')",
        "INSERT INTO schema_migrations VALUES (9999, 'x', 'y')",
        "UPDATE schema_migrations SET digest = ''",
        "DELETE FROM schema_migrations",
        "SET session_replication_role = replica",
        "CREATE TEMPORARY TABLE mine (n int)",
        "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    };

    grant(*state);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        forbidden(*state, statements[i]);
    }
}

static void audit_is_only_added_to(void **state)
{
    const struct roles *r = *state;

    grant(r);
    forbidden(r, "UPDATE audit SET account = account");
    forbidden(r, "DELETE FROM audit");
    forbidden(r, "TRUNCATE audit");
    forbidden(r, "SELECT 1 FROM audit FOR UPDATE");
    assert_int_equal(
        fixture_number(r->f, "SELECT (has_table_privilege('castpoint_service', 'audit', 'INSERT')"
                             " AND has_table_privilege('castpoint_service', 'audit', 'SELECT'))"
                             "::int::bigint"),
        1);
}

static enum cp_err guarded_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    return db_audit_guarded(conn, arg, err);
}

static bool guarded_from(const struct roles *r, struct db_pool *pool)
{
    bool guarded = false;

    OK(r->f, db_run_read(pool, "guarded", guarded_body, &guarded, &r->f->err));
    return guarded;
}

static void who_can_change_the_audit_log_is_known(void **state)
{
    static const char *const too_much[] = {"UPDATE", "DELETE", "TRUNCATE"};
    const struct roles *r = *state;
    char sql[100];

    assert_false(guarded_from(r, r->f->pool)); /* a superuser */
    grant(r);
    assert_true(guarded_from(r, r->service));
    for (size_t i = 0; i < sizeof too_much / sizeof too_much[0]; i++) {
        (void)snprintf(sql, sizeof sql, "GRANT %s ON audit TO castpoint_service", too_much[i]);
        fixture_sql(r->f, sql);
        assert_false(guarded_from(r, r->service));
        grant(r); /* makes it exact again */
        assert_true(guarded_from(r, r->service));
    }
    fixture_sql(r->f, "ALTER TABLE audit OWNER TO castpoint_service");
    assert_false(guarded_from(r, r->service));
    fixture_sql(r->f, "REVOKE ALL ON audit FROM castpoint_service");
    assert_false(guarded_from(r, r->service)); /* it can give itself back what it took */
    fixture_sql(r->f, "CREATE ROLE castpoint_member; ALTER TABLE audit OWNER TO castpoint_member;"
                      " GRANT castpoint_member TO castpoint_service");
    assert_false(guarded_from(r, r->service));
    fixture_sql(r->f, "ALTER TABLE audit OWNER TO castpoint; DROP ROLE castpoint_member");
    assert_int_equal(fixture_number(r->f, "SELECT count(*) FROM pg_roles"
                                          " WHERE rolname = 'castpoint_member'"),
                     0);
}

/* Counts tables on which the role has not exactly what it should. */
static void all_others_are_its_own(void **state)
{
    const struct roles *r = *state;

    grant(r);
    assert_int_equal(
        fixture_number(
            r->f,
            "SELECT count(*) FROM pg_tables, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE',"
            " 'TRUNCATE', 'REFERENCES', 'TRIGGER']) WITH ORDINALITY AS p (name, place)"
            " WHERE schemaname = 'public'"
            " AND has_table_privilege('castpoint_service', 'public.' || tablename, p.name)"
            " <> (place <= CASE tablename WHEN 'audit' THEN 2 WHEN 'schema_migrations' THEN 1"
            " ELSE 4 END)"),
        0);
    assert_true(fixture_number(r->f, "SELECT count(*) FROM pg_tables"
                                     " WHERE schemaname = 'public'") > 10);
}

/* A schema that is up to date is only looked at; one that is not is said to be. */
static void service_does_not_migrate(void **state)
{
    const struct roles *r = *state;
    struct cp_error *err = &r->f->err;

    fixture_sql(r->f, "GRANT USAGE ON SCHEMA public TO castpoint_service");
    assert_int_equal(db_migrate(r->service, err), CP_ERR_CONFLICT);
    assert_non_null(strstr(err->text, "nothing was granted"));
    assert_non_null(strstr(err->text, "--migrate"));
    grant(r);
    OK(r->f, db_migrate(r->service, err));
    fixture_sql(r->f, "DELETE FROM schema_migrations WHERE number = (SELECT max(number)"
                      " FROM schema_migrations)");
    assert_int_equal(db_migrate(r->service, err), CP_ERR_CONFLICT);
    assert_non_null(strstr(err->text, "castpoint_service"));
    assert_non_null(strstr(err->text, "--migrate"));
    fixture_sql(r->f, "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                      " GRANT USAGE ON SCHEMA public TO PUBLIC");
    assert_int_equal(db_migrate(r->service, err), CP_ERR_CONFLICT);
    assert_non_null(strstr(err->text, "0001_node.sql"));
}

/* ---- functions that run with the owner's rights ---- */

static void as_service(const struct roles *r, const char *sql)
{
    char copy[600];

    assert_true(strlen(sql) < sizeof copy);
    (void)snprintf(copy, sizeof copy, "%s", sql);
    OK(r->f, db_run_again(r->service, "service", text_body, copy, &r->f->err));
}

/* A service that puts its own things in the place of theirs; where its owner is not the database's,
 * it may still make temporary ones. */
static void owners_functions_look_at_nothing_of_a_callers(void **state)
{
    static const char *const baits[] = {
        "pg_locks AS SELECT 'advisory'::text AS locktype, 1::smallint AS objsubid,"
        " 'ShareLock'::text AS mode, pg_temp.bite() AS classid, 1::oid AS objid, oid AS database "
        "FROM pg_database"
        " WHERE datname = current_database()",
        "pg_database AS SELECT pg_temp.bite() AS oid, current_database() AS datname",
        "events_number AS SELECT pg_temp.bite()::bigint AS last_value, true AS is_called",
    };
    const struct roles *r = *state;

    grant(r);
    fixture_sql(r->f, "INSERT INTO audit (authentication, method, path, outcome)"
                      " VALUES ('none', 'GET', '/', 'done');"
                      " GRANT TEMPORARY ON DATABASE postgres TO castpoint_service");
    as_service(r, "CREATE FUNCTION pg_temp.bite() RETURNS oid LANGUAGE plpgsql AS $$ BEGIN"
                  " ALTER TABLE public.audit DISABLE TRIGGER audit_protect;"
                  " UPDATE public.audit SET account = 'bitten'; RETURN 1;"
                  " EXCEPTION WHEN insufficient_privilege THEN RETURN 1; END $$");
    for (size_t i = 0; i < sizeof baits / sizeof baits[0]; i++) {
        char sql[500];

        /* The functions' plans keep what they have found: look again. */
        (void)snprintf(sql, sizeof sql, "CREATE TEMPORARY VIEW %s; DISCARD PLANS", baits[i]);
        as_service(r, "INSERT INTO events (kind, subject) VALUES ('package-created', 'bait')");
        as_service(r, sql);
        as_service(r, "SELECT * FROM events_settled()");
    }
    assert_int_equal(fixture_number(r->f, "SELECT count(*) FROM audit WHERE account = 'bitten'"),
                     0);
    /* A type whose check runs when the trigger gives the row its number. */
    as_service(r, "CREATE DOMAIN pg_temp.bait AS bigint CHECK (pg_temp.bite() IS NOT NULL);"
                  " CREATE TEMPORARY TABLE mine (id pg_temp.bait)");
    forbidden(r, "CREATE TRIGGER mine BEFORE INSERT ON mine FOR EACH ROW"
                 " EXECUTE FUNCTION events_number()");
}

static void all_of_them_say_where_they_look(void **state)
{
    const struct roles *r = *state;

    assert_int_equal(
        fixture_number(r->f, "SELECT count(*) FROM pg_proc WHERE prosecdef"
                             " AND pronamespace = 'public'::regnamespace AND proconfig IS DISTINCT"
                             " FROM ARRAY['search_path=pg_catalog, public, pg_temp']"),
        0);
    assert_true(fixture_number(r->f, "SELECT count(*) FROM pg_proc WHERE prosecdef"
                                     " AND pronamespace = 'public'::regnamespace") > 0);
}

/* What an earlier grant or PUBLIC gave too much is taken back. */
static void grants_are_made_exact(void **state)
{
    const struct roles *r = *state;

    fixture_sql(r->f, "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC, castpoint_service;"
                      " GRANT ALL ON SCHEMA public TO PUBLIC, castpoint_service;"
                      " GRANT TEMPORARY ON DATABASE postgres TO PUBLIC, castpoint_service");
    all_others_are_its_own(state);
    schema_is_out_of_reach(state);
}

static void owner_is_no_service(void **state)
{
    const struct roles *r = *state;
    struct cp_error *err = &r->f->err;

    assert_int_equal(db_grant(r->f->pool, "castpoint", err), CP_ERR_CONFLICT);
    assert_non_null(strstr(err->text, "role of its own"));
    assert_int_equal(db_grant(r->f->pool, "nobody of that name", err), CP_ERR_INTERNAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(schema_is_out_of_reach),
        TEST(audit_is_only_added_to),
        TEST(who_can_change_the_audit_log_is_known),
        TEST(all_others_are_its_own),
        TEST(service_does_not_migrate),
        TEST(grants_are_made_exact),
        TEST(owner_is_no_service),
        TEST(owners_functions_look_at_nothing_of_a_callers),
        TEST(all_of_them_say_where_they_look),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
