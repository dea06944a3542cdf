/* SPDX-License-Identifier: Apache-2.0
 * Brings the schema up to date. Each migration is one transaction that also records it; an advisory
 * lock makes services that start at the same moment take turns. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "db/migrations.h"
#include "db/pool.h"

/* Any fixed number that nobody else uses: "cstpnt" in ASCII. */
#define LOCK_KEY "109356474494580"

#define APPLIED_MAX 1000

static const struct db_stmt applied_stmt = {
    "migrate_applied", "SELECT number, digest FROM schema_migrations ORDER BY number LIMIT 1000"};
static const struct db_stmt record_stmt = {
    "migrate_record", "INSERT INTO schema_migrations (number, name, digest) VALUES ($1, $2, $3)"};
static const struct db_stmt encoding_stmt = {"migrate_encoding",
                                             "SELECT current_setting('server_encoding')"};

static const struct db_stmt standing_stmt = {
    "migrate_standing",
    "SELECT current_user::text, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),"
    " to_regclass('schema_migrations') IS NOT NULL,"
    " coalesce(has_table_privilege(to_regclass('schema_migrations'), 'SELECT'), true)"};
static const struct db_stmt role_stmt = {"migrate_role", "SELECT current_user::text"};
static const struct db_stmt grant_stmt = {"migrate_grant", "SELECT castpoint_grant($1::name)"};

static const char create_sql[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "    number integer PRIMARY KEY, name text NOT NULL, digest text NOT NULL,"
    "    applied_at timestamptz NOT NULL DEFAULT now());"
    "COMMENT ON TABLE schema_migrations IS 'Migrations that were applied to this database.';"
    "COMMENT ON COLUMN schema_migrations.number IS 'Number of the migration, from 1.';"
    "COMMENT ON COLUMN schema_migrations.name IS 'Its file.';"
    "COMMENT ON COLUMN schema_migrations.digest IS 'SHA-256 of the file as it was applied.';"
    "COMMENT ON COLUMN schema_migrations.applied_at IS 'When.'";

struct applied {
    int32_t number;
    char digest[DB_DIGEST_SIZE];
};

struct encoding {
    char name[DB_NAME_SIZE];
};

struct standing {
    char role[DB_NAME_SIZE];
    bool may_create;
    bool begun; /* the table of migrations is there */
    bool may_read;
};

/* SQL_ASCII, for instance, would let any bytes in as text. */
static enum cp_err check_encoding(struct db_conn *conn, struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(encoding, name)};
    struct encoding encoding;

    CP_TRY(db_one(conn, (struct db_query){.stmt = &encoding_stmt, .cols = cols, .col_count = 1},
                  &encoding, err));
    if (strcmp(encoding.name, "UTF8") != 0) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "the database's encoding is %s, UTF8 is needed: create it with "
                            "ENCODING 'UTF8' TEMPLATE template0",
                            encoding.name);
    }
    return CP_OK;
}

/* What is recorded must be a beginning of what the program has, digest by digest. */
static enum cp_err check_applied(struct db_conn *conn, size_t *ret_count, struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_INT(applied, number), DB_COL_TEXT(applied, digest)};
    static const size_t batch = APPLIED_MAX;
    struct applied applied[APPLIED_MAX];
    size_t count;
    struct db_rows rows = {applied, sizeof applied[0], batch, &count};

    CP_TRY(db_many(conn, (struct db_query){.stmt = &applied_stmt, .cols = cols, .col_count = 2},
                   rows, err));
    for (size_t i = 0; i < count; i++) {
        if (applied[i].number > (int32_t)db_migration_count) {
            return cp_error_set(err, CP_ERR_CONFLICT,
                                "the database is newer than this program: it has migration "
                                "%" PRId32 ", the program knows %zu; start the newer program",
                                applied[i].number, db_migration_count);
        }
        if (applied[i].number != (int32_t)i + 1) {
            return cp_error_set(err, CP_ERR_CONFLICT,
                                "migration %zu is not recorded in schema_migrations", i + 1);
        }
        if (strcmp(applied[i].digest, db_migrations[i].digest) != 0) {
            return cp_error_set(err, CP_ERR_CONFLICT,
                                "migration %s was applied in another form (SHA-256 %.12s…, the "
                                "program has %.12s…): this is not this program's database",
                                db_migrations[i].name, applied[i].digest, db_migrations[i].digest);
        }
    }
    *ret_count = count;
    return CP_OK;
}

struct step {
    bool done;
};

static enum cp_err refuse(const struct standing *now, const char *what, struct cp_error *err)
{
    return cp_error_set(err, CP_ERR_CONFLICT,
                        "%s, and the role '%s' may not change that: run castpointd --migrate, with "
                        "--migrate-database naming the schema's owner",
                        what, now->role);
}

/* How far the schema is; makes the table that says so. */
static enum cp_err look(struct db_conn *conn, size_t *ret_count, struct cp_error *err)
{
    static const struct db_col cols[] = {
        DB_COL_TEXT(standing, role), DB_COL_BOOL(standing, may_create),
        DB_COL_BOOL(standing, begun), DB_COL_BOOL(standing, may_read)};
    struct db_query query = {.stmt = &standing_stmt, .cols = cols, .col_count = DB_COUNT(cols)};
    struct standing now;
    size_t count = 0;

    CP_TRY(db_one(conn, query, &now, err));
    if (!now.may_read) {
        return refuse(&now, "nothing was granted in this database", err);
    }
    if (now.begun) {
        CP_TRY(check_applied(conn, &count, err));
    }
    if (count < db_migration_count && !now.may_create) {
        char what[128];

        (void)snprintf(what, sizeof what, "the database lacks migration %s",
                       db_migrations[count].name);
        return refuse(&now, what, err);
    }
    if (!now.begun) {
        CP_TRY(db_conn_text(conn, create_sql, err));
    }
    *ret_count = count;
    return CP_OK;
}

/* Applies the first migration that is missing. The lock is held to the end of the transaction. */
static enum cp_err apply_next(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct step *step = arg;
    const struct db_migration *next;
    size_t count = 0;
    enum cp_err rc;

    /* A migration of a large table may take its time. */
    CP_TRY(db_conn_text(conn, "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0", err));
    CP_TRY(db_conn_text(conn, "SELECT pg_advisory_xact_lock(" LOCK_KEY ")", err));
    CP_TRY(check_encoding(conn, err));
    CP_TRY(look(conn, &count, err));
    step->done = count == db_migration_count;
    if (step->done) {
        return CP_OK;
    }
    next = &db_migrations[count];
    {
        struct db_param params[] = {db_p_i64(next->number), db_p_text(next->name),
                                    db_p_text(next->digest)};

        CP_TRY(db_do(conn, DB_COMMAND(&record_stmt, params), NULL, err));
    }
    rc = db_conn_text(conn, next->sql, err);
    if (rc != CP_OK) {
        cp_error_prefix(err, "migration %s", next->name);
    }
    return rc;
}

static enum cp_err step_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    cp_time limit = conn->limit;
    enum cp_err rc;

    conn->limit = 0;
    rc = apply_next(conn, arg, err);
    conn->limit = limit;
    return rc;
}

enum cp_err db_migrate(struct db_pool *pool, struct cp_error *err)
{
    struct step step = {.done = false};

    while (!step.done) {
        CP_TRY(db_run_again(pool, "migrate", step_body, &step, err));
    }
    return CP_OK;
}

struct role_row {
    char role[DB_NAME_SIZE];
};

static enum cp_err role_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    static const struct db_col cols[] = {DB_COL_TEXT(role_row, role)};

    return db_one(conn, (struct db_query){.stmt = &role_stmt, .cols = cols, .col_count = 1}, arg,
                  err);
}

enum cp_err db_role(struct db_pool *pool, char ret_role[DB_NAME_SIZE], struct cp_error *err)
{
    struct role_row row;

    CP_TRY(db_run_read(pool, "role", role_body, &row, err));
    memcpy(ret_role, row.role, DB_NAME_SIZE);
    return CP_OK;
}

/* Two owners that grant at the same moment would meet in the catalogue. */
static enum cp_err grant_body(struct db_conn *conn, void *arg, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(arg)};

    CP_TRY(db_conn_text(conn, "SELECT pg_advisory_xact_lock(" LOCK_KEY ")", err));
    return db_do(conn, DB_COMMAND(&grant_stmt, params), NULL, err);
}

enum cp_err db_grant(struct db_pool *owner, const char *role, struct cp_error *err)
{
    char name[DB_NAME_SIZE];

    (void)snprintf(name, sizeof name, "%s", role);
    return db_run_again(owner, "grant", grant_body, name, err);
}
