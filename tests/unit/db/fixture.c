/* SPDX-License-Identifier: Apache-2.0
 * Fixture of the database tests. Talks to the throw-away cluster only. */
#include "tests/unit/db/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

void fixture_check(enum cp_err rc, const struct cp_error *err, const char *file, int line)
{
    if (rc != CP_OK) {
        print_error("%s:%d: %s: %s\n", file, line, cp_err_info(rc)->code, err->text);
        fail();
    }
}

const char *fixture_conninfo(void)
{
    const char *conninfo = getenv("CASTPOINT_TEST_DB");

    if (conninfo == NULL) {
        print_error("CASTPOINT_TEST_DB is not set: run this through tests/support/with-postgres\n");
        fail();
    }
    return conninfo;
}

int fixture_open(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct db_conn *conn;

    assert_non_null(f);
    *state = f;
    OK(f, db_pool_open(fixture_conninfo(), 4, &f->pool, &f->err));
    fixture_sql(f, "DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    OK(f, db_migrate(f->pool, &f->err));
    conn = fixture_begin(f);
    OK(f, db_node_register(conn, "dp1", "0.1.0", &f->node, &f->err));
    fixture_commit(f);
    return 0;
}

/* For tests/api/emitted.py: the kinds of events that the program wrote, of all tests. */
static void put_down_kinds(void)
{
    static const char *arrow = ">";
    char command[256];

    if (getenv("CASTPOINT_EVENT_KINDS") != NULL) {
        (void)snprintf(command, sizeof command,
                       "psql -qAtX \"$CASTPOINT_TEST_DB\" -c 'SELECT DISTINCT kind FROM events"
                       " WHERE node_id IS NOT NULL' %s \"$CASTPOINT_EVENT_KINDS\"",
                       arrow);
        assert_int_equal(system(command), 0);
        arrow = ">>";
    }
}

int fixture_close(void **state)
{
    struct fixture *f = *state;

    put_down_kinds();

    if (f->conn != NULL) {
        db_conn_close(f->conn);
        db_pool_release(f->pool, f->conn);
    }
    db_pool_close(f->pool);
    free(f);
    return 0;
}

struct db_conn *fixture_begin(struct fixture *f)
{
    assert_null(f->conn);
    OK(f, db_pool_acquire(f->pool, &f->conn, &f->err));
    if (!db_conn_usable(f->conn)) {
        OK(f, db_pool_connect(f->pool, f->conn, &f->err));
    }
    OK(f, db_conn_text(f->conn, "BEGIN ISOLATION LEVEL READ COMMITTED", &f->err));
    return f->conn;
}

void fixture_commit(struct fixture *f)
{
    OK(f, db_conn_text(f->conn, "COMMIT", &f->err));
    db_pool_release(f->pool, f->conn);
    f->conn = NULL;
}

void fixture_sql(struct fixture *f, const char *sql)
{
    bool own = f->conn == NULL;

    if (own) {
        (void)fixture_begin(f);
    }
    OK(f, db_conn_text(f->conn, sql, &f->err));
    if (own) {
        fixture_commit(f);
    }
}

struct number_row {
    int64_t number;
};

int64_t fixture_number(struct fixture *f, const char *sql)
{
    static const struct db_col cols[] = {DB_COL_INT(number_row, number)};
    /* Not prepared under one name twice: an unnamed statement is replaced each time. */
    struct db_stmt *stmt = calloc(1, sizeof *stmt);
    struct number_row row = {.number = -1};
    bool own = f->conn == NULL;

    assert_non_null(stmt);
    *stmt = (struct db_stmt){"", sql};
    if (own) {
        (void)fixture_begin(f);
    }
    OK(f, db_one(f->conn, (struct db_query){.stmt = stmt, .cols = cols, .col_count = 1}, &row,
                 &f->err));
    /* Forget it: its address may come again. */
    memset(f->conn->prepared, 0, sizeof f->conn->prepared);
    f->conn->prepared_count = 0;
    OK(f, db_conn_text(f->conn, "DEALLOCATE ALL", &f->err));
    if (own) {
        fixture_commit(f);
    }
    free(stmt);
    return row.number;
}

struct db_version fixture_draft(struct fixture *f, const char *package)
{
    struct db_package p = {.policy = DB_POLICY_PREFER, .encrypt = true};
    struct db_version v = {.number = 0};
    enum cp_err rc;

    (void)snprintf(p.name, sizeof p.name, "%s", package);
    (void)fixture_begin(f);
    rc = db_package_get(f->conn, package, &p, &f->err);
    if (rc == CP_ERR_PACKAGE_NOT_FOUND) {
        rc = db_package_create(f->conn, &p, &p, &f->err);
    }
    OK(f, rc);
    (void)snprintf(v.package, sizeof v.package, "%s", package);
    OK(f, db_version_create(f->conn, &v, &v, &f->err));
    fixture_commit(f);
    return v;
}

void fixture_put(struct fixture *f, const char *version_id, const char *path, uint64_t size)
{
    struct db_file file = {.size = size, .mode = 420};
    bool created;

    (void)snprintf(file.path, sizeof file.path, "%s", path);
    /* One digest per size is enough of a blob store. */
    (void)snprintf(file.sha256, sizeof file.sha256, "%064llx", (unsigned long long)size);
    (void)fixture_begin(f);
    OK(f, db_file_put(f->conn, version_id, &file, NULL, &created, &f->err));
    fixture_commit(f);
}

enum cp_err fixture_seal(struct fixture *f, const char *version_id, int64_t revision,
                         struct db_version *ret_version)
{
    static const char manifest[] = "{\"format\": 1}";
    const struct db_seal seal = {.manifest = manifest,
                                 .manifest_size = sizeof manifest - 1,
                                 .manifest_sha256 = DIGEST_A,
                                 .manifest_signature = "header..signature",
                                 .manifest_key = DIGEST_A,
                                 .stream_size = 1000,
                                 .content_size = 900};

    return db_version_seal(f->conn, version_id, revision, &seal, ret_version, &f->err);
}

struct db_version fixture_sealed(struct fixture *f, const char *package)
{
    struct db_version v = fixture_draft(f, package);

    fixture_put(f, v.id, "install.wim", 1000);
    (void)fixture_begin(f);
    OK(f, fixture_seal(f, v.id, DB_REVISION_ANY, &v));
    fixture_commit(f);
    return v;
}

struct db_session_new fixture_session_new(struct fixture *f, const struct db_version *version,
                                          char id[DB_ID_SIZE])
{
    static const uint8_t sealed[61] = {1, 2, 3};
    struct db_session_new in = {.id = id,
                                .node_id = f->node.id,
                                .version_id = version->id,
                                .secret_sealed = sealed,
                                .secret_sealed_size = sizeof sealed,
                                .instance_id = 4711,
                                .object_id = 1,
                                .fec_id = 129,
                                .segment_size = 1408,
                                .max_block_len = 128,
                                .num_parity = 32,
                                .content_size = 900,
                                .object_size = 1408,
                                .encrypt = true,
                                .gathering_delay_ms = 60000};
    bool own = f->conn == NULL;

    if (own) {
        (void)fixture_begin(f);
    }
    OK(f, db_uuid(f->conn, id, &f->err));
    if (own) {
        fixture_commit(f);
    }
    return in;
}

struct db_receiver_new fixture_join_new(struct fixture *f, const struct db_version *version,
                                        const char *session_id, const char *client,
                                        uint8_t hash[DB_HASH_SIZE])
{
    memset(hash, 0, DB_HASH_SIZE);
    (void)snprintf((char *)hash, DB_HASH_SIZE, "%s", client);
    return (struct db_receiver_new){.node_id = f->node.id,
                                    .session_id = session_id,
                                    .version_id = version->id,
                                    .client_id = client,
                                    .client_name = "lab-01",
                                    .client_version = "0.1.0",
                                    .address = "10.0.0.1",
                                    .correlation_id = "req-1",
                                    .token_hash = hash,
                                    .lifetime_ms = 3600000};
}

struct db_session fixture_session(struct fixture *f, const struct db_version *v)
{
    char id[DB_ID_SIZE];
    struct db_session_new in = fixture_session_new(f, v, id);
    struct db_session s = {.port = 0};
    bool created;

    OK(f, db_session_find_or_create(f->conn, &in, &s, &created, &f->err));
    return s;
}

struct db_receiver fixture_join(struct fixture *f, const struct db_version *v,
                                const char *session_id, const char *client, bool *ret_again)
{
    uint8_t hash[DB_HASH_SIZE];
    struct db_receiver_new in = fixture_join_new(f, v, session_id, client, hash);
    struct db_receiver r = {.norm_node_id = 0};

    OK(f, db_receiver_join(f->conn, &in, &r, ret_again, &f->err));
    return r;
}
