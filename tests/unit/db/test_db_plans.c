/* SPDX-License-Identifier: Apache-2.0
 * No statement of the program reads much of a table that grows: the tables are filled (grown.sql),
 * every statement is prepared and the planner's own choice for it looked at. For the sizes see
 * CONTRIBUTING.md. Run through tests/support/with-postgres. */
#include "tests/unit/db/fixture.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/db/nested_plans.h"
#include "tests/unit/db/statements.h"

/* Tables that stay small: as many rows as there are nodes, migrations, connections, digits, or what
 * an operator sets up one by one; the deliveries of a webhook are trimmed (a bitmap scan names their
 * index); and a sequence. */
static const char *const small[] = {
    "nodes",
    "settings",
    "schema_migrations",
    "commit_marks",
    "library_totals",
    "keys",
    "master_keys",
    "webhooks",
    "webhook_deliveries",
    "webhook_deliveries_index",
    "events_number",
};

/* More entries of an index than a statement may want, and what it is asked for of a list. */
#define MANY 1000
#define PAGE "100"

/* Statements that may read much, and why that is no harm. */
enum allowance {
    NOTHING,
    PASSED_BY, /* ten times as much or a tenth of the table, of which its filters leave a page */
    ALL
};

#define LIST                                                                                       \
    PASSED_BY, "a list goes down an index in its order; a filter without an index of its own is "  \
               "for what is not rare, or the planner has a better index when it is"

static const struct {
    const char *name;
    enum allowance may;
    const char *why;
} allowed[] = {
    {"account_count", ALL, "asked once, at start"},
    {"account_list*", LIST},
    {"audit_list*", LIST},
    {"blob_figures", ALL, "of the library as a whole, when an operator asks"},
    {"blob_list", LIST},
    {"blob_total_fix", PASSED_BY, "a sixteenth of all blobs, in a task"},
    {"blob_unchecked_bytes", ALL, "asked by a task that goes on to read all these blobs"},
    {"event_follow_kinds", PASSED_BY, "what was written since, of other kinds"},
    {"event_list*", LIST},
    {"history_events", PASSED_BY, "the creation of keys, which is kept"},
    {"history_tasks", PASSED_BY, "the newest of a kind, which is kept"},
    {"login_purge", ALL, "reads what it deletes, and what is still locked"},
    {"package_list_*", LIST},
    {"sealed_list_idempotency", PASSED_BY,
     "all of them, page by page, when the master key changes"},
    {"session_list", LIST},
    {"session_page_*", LIST},
    {"task_list", LIST},
    {"token_list", LIST},
    {"upload_expired", PASSED_BY, "reads what it removes"},
    {"upload_list", LIST},
};

struct plans {
    struct fixture *f;
    size_t complaints;
    bool quiet; /* they are wanted */
};

/* A plan's node, in the order of the text. */
struct node {
    const char *line;
    int row;
    int indent;
    double read; /* entries of indexes that it and those below it read, by the planner's estimate */
};

struct plan {
    PGresult *result;
    struct node nodes[64];
    size_t count;
    char text[16384];
};

bool plans_is_small(const char *table, size_t size)
{
    for (size_t i = 0; i < DB_COUNT(small); i++) {
        if (strlen(small[i]) == size && memcmp(small[i], table, size) == 0) {
            return true;
        }
    }
    return false;
}

static enum allowance allowance_of(const char *name)
{
    for (size_t i = 0; i < DB_COUNT(allowed); i++) {
        const char *own = allowed[i].name;
        size_t size = strcspn(own, "*");

        if (strncmp(own, name, size) == 0 && (own[size] == '*' || name[size] == '\0')) {
            return allowed[i].may;
        }
    }
    return NOTHING;
}

static PGresult *ask(const struct plans *p, const char *sql)
{
    PGresult *result = PQexec(p->f->conn->pg, sql);

    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK) {
        fail_msg("%s\n%s", sql, PQerrorMessage(p->f->conn->pg));
    }
    return result;
}

/* "$4::text IS NULL OR ", "$1 = 0 OR ", "NOT $3::boolean OR " at the start of a filter that may not
 * be given: its length, or 0. */
static size_t optional_size(const char *at)
{
    const char *p = at + (strncmp(at, "NOT ", 4) == 0 ? 4 : 0);
    bool is_not = p != at;

    if (*p++ != '$') {
        return 0;
    }
    p += strspn(p, "0123456789");
    if (strncmp(p, "::", 2) == 0) {
        p += 2 + strspn(p + 2, "abcdefghijklmnopqrstuvwxyz[]");
    }
    if (!is_not) {
        if (strncmp(p, " IS NULL", 8) == 0) {
            p += 8;
        } else if (strncmp(p, " = 0", 4) == 0) {
            p += 4;
        } else {
            return 0;
        }
    }
    return strncmp(p, " OR ", 4) == 0 ? (size_t)(p + 4 - at) : 0;
}

/* Past the parenthesis that ends what stands at the text. */
static const char *closing(const char *at)
{
    for (int depth = 1; depth > 0; at++) {
        depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
        assert_true(*at != '\0');
    }
    return at;
}

/* The statement as it is when of its optional filters only the one of that number is given, and
 * with the limit that a list has instead of one that the planner takes for a tenth of all rows.
 * Returns the number of its optional filters. */
static size_t as_given(const char *sql, size_t given, char *ret, size_t size)
{
    size_t filters = 0;
    size_t used = 0;

    while (*sql != '\0') {
        size_t skip = *sql == '(' ? optional_size(sql + 1) : 0;

        assert_true(used + 16 < size);
        if (skip > 0) {
            bool kept = filters++ == given;

            used += (size_t)snprintf(ret + used, size - used, kept ? "(" : "true");
            sql = kept ? sql + 1 + skip : closing(sql + 1);
        } else if (strncmp(sql, "starts_with(", 12) == 0) {
            used += (size_t)snprintf(ret + used, size - used, "true"); /* with "" */
            sql = closing(sql + 12);
        } else if (strncmp(sql, "LIMIT $", 7) == 0) {
            used += (size_t)snprintf(ret + used, size - used, "LIMIT " PAGE);
            sql += 7 + strspn(sql + 7, "0123456789");
        } else {
            ret[used++] = *sql++;
        }
    }
    ret[used] = '\0';
    return filters;
}

/* Types of the parameters, which some of are not mentioned any more in a text as given. */
static int types_of(const struct plans *p, const struct db_stmt *stmt, char *ret, size_t size)
{
    PGresult *result = PQprepare(p->f->conn->pg, "looked_at", stmt->sql, 0, NULL);
    int count;

    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        fail_msg("%s: %s", stmt->name, PQerrorMessage(p->f->conn->pg));
    }
    PQclear(result);
    result = ask(p, "SELECT cardinality(parameter_types), array_to_string(parameter_types, ',')"
                    " FROM pg_prepared_statements WHERE name = 'looked_at'");
    count = atoi(PQgetvalue(result, 0, 0));
    (void)snprintf(ret, size, "%s", PQgetvalue(result, 0, 1));
    PQclear(result);
    PQclear(ask(p, "DEALLOCATE looked_at"));
    return count;
}

static double cost_of(const char *line)
{
    const char *cost = strstr(line, "(cost=");

    return strtod(strstr(cost, "..") + 2, NULL);
}

static void take_nodes(struct plan *plan)
{
    size_t used = 0;

    plan->count = 0;
    for (int i = 0; i < PQntuples(plan->result); i++) {
        const char *line = PQgetvalue(plan->result, i, 0);

        used += (size_t)snprintf(plan->text + used, sizeof plan->text - used, "    %.200s\n", line);
        assert_true(used < sizeof plan->text && plan->count < DB_COUNT(plan->nodes));
        if (strstr(line, "(cost=") != NULL || strstr(line, "InitPlan") != NULL ||
            strstr(line, "SubPlan ") == line + strspn(line, " ") ||
            strstr(line, "CTE ") == line + strspn(line, " ")) {
            plan->nodes[plan->count++] =
                (struct node){.line = line, .row = i, .indent = (int)strspn(line, " ")};
        }
    }
}

/* The same plan with an entry of an index dearer by a little tells by its cost how many it reads:
 * EXPLAIN itself shows only what is left of them after the filter. False: the plan is another. */
static bool count_read(const struct plans *p, struct plan *plan, const char *execute, double dearer)
{
    char sql[128];
    PGresult *result;
    bool same;

    (void)snprintf(sql, sizeof sql, "SET LOCAL cpu_index_tuple_cost = %.4f; DISCARD PLANS",
                   0.005 + dearer);
    PQclear(ask(p, sql));
    result = ask(p, execute);
    PQclear(ask(p, "SET LOCAL cpu_index_tuple_cost = 0.005; DISCARD PLANS"));
    same = PQntuples(result) == PQntuples(plan->result);
    for (size_t i = 0; same && i < plan->count; i++) {
        struct node *node = &plan->nodes[i];
        const char *line = PQgetvalue(result, node->row, 0);
        const char *cost = strstr(node->line, "(cost=");

        if (cost == NULL) {
            continue;
        }
        same = strncmp(line, node->line, (size_t)(cost - node->line) + 6) == 0;
        node->read = same ? (cost_of(line) - cost_of(node->line)) / dearer : 0;
    }
    PQclear(result);
    return same;
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
static bool has_filter(const struct plan *plan, size_t n)
{
    int end = n + 1 < plan->count ? plan->nodes[n + 1].row : PQntuples(plan->result);

    for (int i = plan->nodes[n].row + 1; i < end; i++) {
        if (strstr(PQgetvalue(plan->result, i, 0), " Filter:") != NULL) {
            return true;
        }
    }
    return false;
}

/* One that holds only what waits for something has few entries, whatever the table has. */
static bool is_small_index(const struct plans *p, const char *line)
{
    const char *name = strstr(line, " using ");
    char sql[512];
    PGresult *result;
    bool few;

    if (name != NULL) {
        name += strlen(" using ");
    } else {
        name = strstr(line, " on ");
        assert_non_null(name);
        name += strlen(" on ");
    }
    (void)snprintf(sql, sizeof sql,
                   "SELECT x.indpred IS NOT NULL AND i.reltuples * 50 < t.reltuples FROM pg_index x"
                   " JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
                   " WHERE i.oid = '%.*s'::regclass",
                   (int)strcspn(name, " "), name);
    result = ask(p, sql);
    few = strcmp(PQgetvalue(result, 0, 0), "t") == 0;
    PQclear(result);
    return few;
}

static double rows_of(const struct plans *p, const char *table, size_t size)
{
    char sql[128];
    PGresult *result;
    double rows;

    (void)snprintf(sql, sizeof sql, "SELECT reltuples FROM pg_class WHERE oid = '%.*s'::regclass",
                   (int)size, table);
    result = ask(p, sql);
    rows = strtod(PQgetvalue(result, 0, 0), NULL);
    PQclear(result);
    return rows;
}

/* How much of what a scan would read is read before a limit above it is reached: 1 when there is
 * none, or when something between gathers all rows first. */
static double share_read(const struct plan *plan, size_t n)
{
    static const char *const gather[] = {"Sort",        "Aggregate", "Hash  ",
                                         "Materialize", "InitPlan",  "SubPlan",
                                         "CTE ",        "Unique",    "WindowAgg"};
    int indent = plan->nodes[n].indent;
    double child = plan->nodes[n].read;

    for (size_t i = n; i-- > 0 && indent > 0;) {
        const struct node *node = &plan->nodes[i];

        if (node->indent >= indent) {
            continue;
        }
        for (size_t g = 0; g < DB_COUNT(gather); g++) {
            if (strstr(node->line, gather[g]) != NULL && strstr(node->line, "Scan") == NULL) {
                return 1;
            }
        }
        if (strstr(node->line, "Limit  (") != NULL) {
            return child > 0 ? fmin(node->read / child, 1) : 1;
        }
        indent = node->indent;
        child = node->read;
    }
    return 1;
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

static void check_node(struct plans *p, const struct db_stmt *stmt, const struct plan *plan,
                       size_t n)
{
    const struct node *node = &plan->nodes[n];
    enum allowance may = allowance_of(stmt->name);
    size_t size;
    const char *table = table_of(node->line, &size);
    double read = node->read;

    if (table == NULL || plans_is_small(table, size) || may == ALL) {
        return;
    }
    if (strstr(node->line, "Seq Scan on ") != NULL) {
        complain(p, stmt, "reads a whole table", plan->text);
    }
    if (strstr(node->line, "Index Scan ") == NULL &&
        strstr(node->line, "Index Only Scan ") == NULL) {
        return; /* of a bitmap the lower node names an index, the upper one the table */
    }
    /* A filter may never find what it looks for. */
    if (may == PASSED_BY || !has_filter(plan, n)) {
        read *= share_read(plan, n);
    }
    if (read > (may == PASSED_BY ? fmax(10 * MANY, rows_of(p, table, size) / 10) : MANY) &&
        !is_small_index(p, node->line)) {
        complain(p, stmt, "reads much of an index", plan->text);
    }
}

/* Some statements are utility commands, which have no plan. */
static void look_as_given(struct plans *p, const struct db_stmt *stmt, const char *sql)
{
    char types[512];
    char prepare[16384];
    char execute[512] = "EXPLAIN EXECUTE looked_at";
    struct plan plan;
    int params = types_of(p, stmt, types, sizeof types);

    for (int i = 0; i < params; i++) {
        (void)strcat(execute, i == 0 ? " (NULL" : ", NULL");
    }
    (void)strcat(execute, params > 0 ? ")" : "");
    if (params > 0) {
        (void)snprintf(prepare, sizeof prepare, "PREPARE looked_at (%s) AS %s", types, sql);
        PQclear(ask(p, prepare));
    } else {
        PQclear(PQprepare(p->f->conn->pg, "looked_at", sql, 0, NULL));
    }
    plan.result = ask(p, execute);
    take_nodes(&plan);
    if (!count_read(p, &plan, execute, 0.0001) && !count_read(p, &plan, execute, -0.0001)) {
        complain(p, stmt, "has a plan that is as good as another", plan.text);
    }
    for (size_t i = 0; i < plan.count; i++) {
        check_node(p, stmt, &plan, i);
    }
    PQclear(plan.result);
    PQclear(ask(p, "DEALLOCATE looked_at"));
}

static void look(void *arg, const struct db_stmt *stmt)
{
    char sql[16384];
    size_t filters = as_given(stmt->sql, SIZE_MAX, sql, sizeof sql);

    look_as_given(arg, stmt, sql);
    for (size_t i = 0; i < filters; i++) {
        (void)as_given(stmt->sql, i, sql, sizeof sql);
        look_as_given(arg, stmt, sql);
    }
}

static void begin(struct plans *p, struct fixture *f)
{
    *p = (struct plans){.f = f};
    (void)fixture_begin(f);
    fixture_sql(f, "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off;"
                   "SET LOCAL max_parallel_workers_per_gather = 0");
}

static const char *number_of(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value != NULL ? value : otherwise;
}

static int grow(void **state)
{
    char command[512];

    if (fixture_open(state) != 0) {
        return -1;
    }
    (void)snprintf(command, sizeof command,
                   "psql -qX -v ON_ERROR_STOP=1 -v packages=%d -v receivers=%d -f " TESTS_GROWN
                   " \"$CASTPOINT_TEST_DB\" >&2",
                   atoi(number_of("CASTPOINT_PLANS_PACKAGES", "10000")),
                   atoi(number_of("CASTPOINT_PLANS_RECEIVERS", "20000")));
    return system(command);
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
        {"bad_narrow", "SELECT 1 FROM tasks WHERE node_id = $1 AND code = $2"},
        {"bad_other", "SELECT 1 FROM events WHERE node_id = $1 AND subject <> $2"},
        {"bad_first",
         "SELECT 1 FROM tasks WHERE node_id = $1 AND code = $2 ORDER BY number LIMIT 1"},
        {"bad_given", "SELECT 1 FROM packages WHERE ($1::text IS NULL OR description = $1)"
                      " ORDER BY name LIMIT $2"},
    };
    static const struct db_stmt good[] = {
        {"good_key", "SELECT 1 FROM packages WHERE name = $1"},
        {"good_small", "SELECT 1 FROM nodes WHERE version = $1"},
        {"good_page", "SELECT 1 FROM events WHERE ($1 = 0 OR id < $1) ORDER BY id DESC LIMIT $2"},
        {"good_waiting", "SELECT 1 FROM tasks WHERE node_id = $1 AND state = 'waiting'"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statement_has_its_index),
        cmocka_unit_test(foreign_keys_have_indexes),
        cmocka_unit_test(triggers_and_foreign_keys_read_little),
        cmocka_unit_test(no_statement_is_missed),
        cmocka_unit_test(bad_statements_are_seen),
    };

    return cmocka_run_group_tests(tests, grow, fixture_close);
}
