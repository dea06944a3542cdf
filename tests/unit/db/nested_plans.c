/* SPDX-License-Identifier: Apache-2.0
 * Foreign keys are held against the catalogue's indexes; and rows are changed while auto_explain
 * tells the plan of every statement that PostgreSQL runs within. */
#include "tests/unit/db/nested_plans.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "db/conn.h"
#include "tests/unit/db/fixture.h"

/* Nodes are few and hardly ever deleted. */
#define UNINDEXED                                                                                  \
    "SELECT count(*) FROM pg_constraint c WHERE contype = 'f'"                                     \
    " AND connamespace = current_schema()::regnamespace AND confrelid <> 'nodes'::regclass"        \
    " AND NOT EXISTS (SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid"              \
    " JOIN pg_am a ON a.oid = i.relam WHERE x.indrelid = c.conrelid AND x.indisvalid"              \
    " AND x.indpred IS NULL AND a.amname = 'btree' AND x.indkey[0] = c.conkey[1])"

void foreign_keys_have_indexes(void **state)
{
    struct fixture *f = *state;

    (void)fixture_begin(f);
    assert_true(fixture_number(f, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") > 10);
    assert_int_equal(fixture_number(f, UNINDEXED), 0);
    /* and one that has none is seen */
    fixture_sql(f, "SAVEPOINT whole; DROP INDEX receivers_account_index");
    assert_int_equal(fixture_number(f, UNINDEXED), 1);
    fixture_sql(f, "ROLLBACK TO whole");
    fixture_commit(f);
}

struct told {
    size_t plans, whole_tables;
    bool quiet; /* they are wanted */
};

/* "… Seq Scan on receivers …" of a table that grows. */
static bool reads_whole_table(const char *plan)
{
    static const char words[] = "Seq Scan on ";

    while ((plan = strstr(plan, words)) != NULL) {
        size_t size = 0;

        plan += sizeof words - 1;
        plan += strncmp(plan, "only ", 5) == 0 ? 5 : 0;
        while (isalnum((unsigned char)plan[size]) || plan[size] == '_') {
            size++;
        }
        if (!plans_is_small(plan, size)) {
            return true;
        }
    }
    return false;
}

static void take_notice(void *arg, const PGresult *result)
{
    struct told *t = arg;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (text == NULL || strstr(text, "plan:\n") == NULL) {
        return;
    }
    t->plans++;
    if (reads_whole_table(text)) {
        t->whole_tables++;
        if (!t->quiet) {
            print_error("%s\n", text);
        }
    }
}

/* As the program does it, but by a key that these tables have; each meets triggers, or is referred
 * to. Nothing that is gone may be referred to by what follows. */
static const char *const changes[] = {
    "INSERT INTO blobs (sha256, size) VALUES (repeat('0', 64), 1), (repeat('1', 64), 1)",
    "INSERT INTO files (version_id, path, sha256, size)"
    " SELECT v.id, 'one', repeat('0', 64), 1 FROM versions v JOIN packages p ON p.id = package_id"
    " WHERE p.name = 'package6' AND number = 3",
    "UPDATE files SET sha256 = repeat('1', 64) WHERE path = 'one' AND version_id = (SELECT v.id"
    " FROM versions v JOIN packages p ON p.id = package_id WHERE p.name = 'package6' AND number = "
    "3)",
    "DELETE FROM files WHERE path = 'one' AND version_id = (SELECT v.id"
    " FROM versions v JOIN packages p ON p.id = package_id WHERE p.name = 'package6' AND number = "
    "3)",
    "DELETE FROM blobs WHERE sha256 IN (repeat('0', 64), repeat('1', 64))",
    "UPDATE versions SET state = 'retired', retired_at = now() WHERE id = (SELECT v.id FROM "
    "versions v"
    " JOIN packages p ON p.id = package_id WHERE p.name = 'package6' AND number = 1)",
    ("DELETE FROM versions WHERE id = (SELECT v.id FROM versions v"
     " JOIN packages p ON p.id = package_id WHERE p.name = 'package6' AND number = 3)"),
    "DELETE FROM packages WHERE name = 'package5'",
    "DELETE FROM accounts WHERE name = 'account5'",
    "DELETE FROM sessions WHERE id = md5('session7')::uuid",
    "DELETE FROM tasks WHERE id = md5('task7')::uuid",
    "DELETE FROM webhooks WHERE name = 'webhook7'",
    "INSERT INTO events (node_id, kind, subject) SELECT id, 'kind-1', '' FROM nodes",
};

static void run(struct fixture *f, const char *sql)
{
    fixture_sql(f, sql);
    fixture_sql(f, "SET CONSTRAINTS ALL IMMEDIATE");
}

void triggers_and_foreign_keys_read_little(void **state)
{
    struct fixture *f = *state;
    struct told told = {.plans = 0};
    PQnoticeReceiver usual;

    (void)fixture_begin(f);
    usual = PQsetNoticeReceiver(f->conn->pg, take_notice, &told);
    fixture_sql(f, "LOAD 'auto_explain'; SET LOCAL auto_explain.log_min_duration = 0;"
                   "SET LOCAL auto_explain.log_nested_statements = on;"
                   "SET LOCAL auto_explain.log_level = notice;"
                   "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off;"
                   "SET LOCAL track_functions = pl; SAVEPOINT whole");
    for (size_t i = 0; i < DB_COUNT(changes); i++) {
        run(f, changes[i]);
    }
    assert_true(told.plans > 2 * DB_COUNT(changes)); /* more than these statements' own */
    assert_int_equal(told.whole_tables, 0);
    told.quiet = true; /* from here on whole tables are wanted, or the catalogue's */
    /* No trigger was forgotten; the audit log's only refuses. */
    assert_int_equal(
        fixture_number(f, "SELECT count(DISTINCT tgfoid) FROM pg_trigger WHERE NOT tgisinternal"
                          " AND tgfoid <> 'audit_protect'::regproc AND tgfoid NOT IN"
                          " (SELECT funcid FROM pg_stat_xact_user_functions)"),
        0);
    fixture_sql(f, "ROLLBACK TO whole");
    /* and one that has no index is seen, of either kind */
    told.whole_tables = 0;
    fixture_sql(f, "DROP INDEX receivers_account_index");
    run(f, "DELETE FROM accounts WHERE name = 'account5'");
    assert_int_equal(told.whole_tables, 1);
    fixture_sql(f, "ROLLBACK TO whole");
    told.whole_tables = 0;
    fixture_sql(f, "ALTER TABLE files DROP CONSTRAINT files_sha256_fkey;"
                   "ALTER TABLE blobs DROP CONSTRAINT blobs_pkey CASCADE");
    fixture_sql(f, changes[1]);
    assert_true(told.whole_tables >= 1);
    fixture_sql(f, "ROLLBACK TO whole");
    (void)PQsetNoticeReceiver(f->conn->pg, usual, NULL);
    fixture_commit(f);
}
