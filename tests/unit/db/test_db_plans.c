/* SPDX-License-Identifier: Apache-2.0
 * No statement of the program reads a whole table that grows: every one of them is prepared and its
 * generic plan looked at. Run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/db/statements.h"

/* Tables that stay small: as many rows as there are nodes, migrations, connections, digits. */
static const char *const small[] = {"nodes", "settings", "schema_migrations", "commit_marks",
                                    "library_totals"};

#define LIST                                                                                       \
    "a list with optional filters, which is planned for those that are given: it goes down an "    \
    "index in its order until it has enough"

#define REKEY "all of them, page by page, when the master key is changed"

/* Statements that read a whole index, and why that is no harm. */
static const struct {
    const char *name;
    const char *why;
} whole[] = {
    {"account_count", "asked once, at start"},
    {"audit_list", LIST},
    {"blob_figures", "of the library as a whole, when an operator asks"},
    {"event_list", LIST},
    {"sealed_list_idempotency", REKEY},
    {"sealed_list_keys", REKEY},
    {"sealed_list_webhooks", REKEY},
    {"session_list", LIST},
    {"task_list", LIST},
    {"token_list_all", LIST},
};

struct plans {
    struct fixture *f;
    size_t complaints;
    bool quiet; /* they are wanted */
};

static bool is_small(const char *table, size_t size)
{
    for (size_t i = 0; i < DB_COUNT(small); i++) {
        if (strlen(small[i]) == size && memcmp(small[i], table, size) == 0) {
            return true;
        }
    }
    return false;
}

/* A list must not gather all rows to sort them. */
static bool may_read_whole(const char *name, const char *plan)
{
    for (size_t i = 0; i < DB_COUNT(whole); i++) {
        if (strcmp(whole[i].name, name) == 0) {
            return strcmp(whole[i].why, LIST) != 0 ||
                   (strstr(plan, "Limit") != NULL && strstr(plan, "Sort Key") == NULL);
        }
    }
    return false;
}

static void complain(struct plans *p, const struct db_stmt *stmt, const char *what,
                     const char *plan)
{
    p->complaints++;
    if (p->quiet) {
        return;
    }
    (void)fprintf(stderr, "%s: %s\n  %s\n%s\n", stmt->name, what, stmt->sql, plan);
}

/* The table in "… on receivers r  (cost=…". */
static const char *table_of(const char *node, size_t *ret_size)
{
    const char *on = strstr(node, " on ");
    const char *end = on == NULL ? NULL : on + 4;

    while (end != NULL && (isalnum((unsigned char)*end) || *end == '_')) {
        end++;
    }
    *ret_size = on == NULL ? 0 : (size_t)(end - on - 4);
    return on == NULL ? NULL : on + 4;
}

/* The lines that say more about a node come before the next node's. */
static bool has_condition(const PGresult *plan, int row)
{
    for (int i = row + 1; i < PQntuples(plan); i++) {
        const char *line = PQgetvalue(plan, i, 0);

        if (strstr(line, "(cost=") != NULL) {
            return false;
        }
        if (strstr(line, "Index Cond:") != NULL) {
            return true;
        }
    }
    return false;
}

static PGresult *ask(const struct plans *p, const char *sql)
{
    PGresult *result = PQexec(p->f->conn->pg, sql);

    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK) {
        fail_msg("%s\n%s", sql, PQerrorMessage(p->f->conn->pg));
    }
    return result;
}

/* One that holds only what waits for something has few rows, whatever the table has. */
static bool is_partial_index(const struct plans *p, const char *line)
{
    const char *using = strstr(line, " using ");
    char sql[256];
    PGresult *result;
    bool partial;

    if (using == NULL) {
        using = strstr(line, "Bitmap Index Scan on ");
        assert_non_null(using);
        using = strstr(using, "on ") - 4;
    }
    (void)snprintf(sql, sizeof sql,
                   "SELECT indpred IS NOT NULL FROM pg_index WHERE indexrelid = '%.*s'::regclass",
                   (int)strcspn(using + 7, " "), using + 7);
    result = ask(p, sql);
    partial = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    return partial;
}

static void check_node(struct plans *p, const struct db_stmt *stmt, const PGresult *plan, int row,
                       const char *text)
{
    const char *line = PQgetvalue(plan, row, 0);
    size_t size;
    const char *table = table_of(line, &size);

    if (strstr(line, "(cost=") == NULL || table == NULL) {
        return;
    }
    if (strstr(line, "Seq Scan on ") != NULL && !is_small(table, size)) {
        complain(p, stmt, "reads a whole table", text);
    }
    /* Of a bitmap the lower node names an index, the upper one the table. */
    if ((strstr(line, "Index Scan ") != NULL || strstr(line, "Index Only Scan ") != NULL) &&
        !is_small(table, size) && !has_condition(plan, row) && !is_partial_index(p, line) &&
        !may_read_whole(stmt->name, text)) {
        complain(p, stmt, "reads a whole index", text);
    }
}

/* Some statements are utility commands, which have no plan. */
static PGresult *explain(const struct plans *p, const struct db_stmt *stmt)
{
    PGresult *result = PQprepare(p->f->conn->pg, "looked_at", stmt->sql, 0, NULL);
    char sql[512] = "EXPLAIN EXECUTE looked_at";
    int params;

    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        fail_msg("%s: %s", stmt->name, PQerrorMessage(p->f->conn->pg));
    }
    PQclear(result);
    result = ask(p, "SELECT cardinality(parameter_types) FROM pg_prepared_statements"
                    " WHERE name = 'looked_at'");
    params = atoi(PQgetvalue(result, 0, 0));
    PQclear(result);
    for (int i = 0; i < params; i++) {
        (void)strcat(sql, i == 0 ? " (NULL" : ", NULL");
    }
    (void)strcat(sql, params > 0 ? ")" : "");
    result = ask(p, sql);
    PQclear(ask(p, "DEALLOCATE looked_at"));
    return result;
}

static void look(void *arg, const struct db_stmt *stmt)
{
    struct plans *p = arg;
    PGresult *plan = explain(p, stmt);
    char text[8192] = "";

    for (int i = 0; i < PQntuples(plan); i++) {
        size_t used = strlen(text);

        (void)snprintf(text + used, sizeof text - used, "    %s\n", PQgetvalue(plan, i, 0));
    }
    for (int i = 0; i < PQntuples(plan); i++) {
        check_node(p, stmt, plan, i, text);
    }
    PQclear(plan);
}

static void begin(struct plans *p, struct fixture *f)
{
    *p = (struct plans){.f = f};
    (void)fixture_begin(f);
    fixture_sql(f, "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off;"
                   "SET LOCAL jit = off");
}

static void every_statement_has_its_index(void **state)
{
    struct plans p;
    size_t count;

    begin(&p, *state);
    count = statements_visit(look, &p);
    fixture_commit(p.f);
    assert_true(count > 100);
    assert_int_equal(p.complaints, 0);
}

/* Statements are made in one way, by which they are found. */
static void no_statement_is_missed(void **state)
{
    FILE *grep = popen("cat " TESTS_DB_FOLDER "/*.c | grep -E 'struct db_stmt [^*]' |"
                       " grep -vE 'static const struct db_stmt [a-z0-9_]+_stmt(s(\\[.*\\])+)? ='",
                       "r");
    char line[256] = "";

    (void)state;
    assert_non_null(grep);
    if (fgets(line, sizeof line, grep) != NULL) {
        print_error("%s", line);
    }
    (void)pclose(grep);
    assert_string_equal(line, "");
}

/* The test itself sees what it is there for. */
static void bad_statements_are_seen(void **state)
{
    static const struct db_stmt bad[] = {
        {"bad_filter", "SELECT 1 FROM packages WHERE description = $1"},
        {"bad_function", "SELECT 1 FROM receivers WHERE lower(client_name) = $1"},
        {"bad_join", "SELECT 1 FROM nodes n JOIN sessions s ON s.port = n.name::int"},
        {"bad_order", "SELECT 1 FROM packages WHERE description = $1 ORDER BY name LIMIT 10"},
        {"bad_count", "SELECT count(*) FROM receivers"},
    };
    static const struct db_stmt good[] = {
        {"good_key", "SELECT 1 FROM packages WHERE name = $1"},
        {"good_small", "SELECT 1 FROM nodes WHERE version = $1"},
    };
    struct plans p;

    begin(&p, *state);
    p.quiet = true;
    for (size_t i = 0; i < DB_COUNT(bad); i++) {
        p.complaints = 0;
        look(&p, &bad[i]);
        assert_true(p.complaints > 0);
    }
    p.complaints = 0;
    for (size_t i = 0; i < DB_COUNT(good); i++) {
        look(&p, &good[i]);
    }
    assert_int_equal(p.complaints, 0);
    fixture_commit(p.f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_statement_has_its_index),
        TEST(no_statement_is_missed),
        TEST(bad_statements_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
