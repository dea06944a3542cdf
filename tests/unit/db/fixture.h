/* SPDX-License-Identifier: Apache-2.0
 * What the database tests share: a pool on the throw-away cluster (tests/support/with-postgres),
 * raw SQL, and rows to start from. */
#ifndef TESTS_UNIT_DB_FIXTURE_H
#define TESTS_UNIT_DB_FIXTURE_H

/* cmocka needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "db/db.h"
#include "db/file.h"
#include "db/node.h"
#include "db/package.h"
#include "db/pool.h"
#include "db/receiver.h"
#include "db/session.h"
#include "db/version.h"

struct fixture {
    struct db_pool *pool;
    struct db_conn *conn; /* of the open transaction */
    struct db_node node;
    struct cp_error err;
};

/* cmocka set-up and tear-down: an empty database, migrated, with one node "dp1". */
int fixture_open(void **state);
int fixture_close(void **state);

/* Conninfo of the cluster. */
const char *fixture_conninfo(void);

/* One transaction at a time on the test's own connection. */
struct db_conn *fixture_begin(struct fixture *f);
void fixture_commit(struct fixture *f);

/* SQL text in the open transaction, or in one of its own. */
void fixture_sql(struct fixture *f, const char *sql);
/* First column of the first row, a bigint. */
int64_t fixture_number(struct fixture *f, const char *sql);

/* A package with a sealed version of one file; returns the version. */
struct db_version fixture_sealed(struct fixture *f, const char *package);
struct db_version fixture_draft(struct fixture *f, const char *package);
void fixture_put(struct fixture *f, const char *version_id, const char *path, uint64_t size);
enum cp_err fixture_seal(struct fixture *f, const char *version_id, int64_t revision,
                         struct db_version *ret_version);

/* What a join of that version would make, with a fresh id. */
struct db_session_new fixture_session_new(struct fixture *f, const struct db_version *version,
                                          char id[DB_ID_SIZE]);
/* A join of a client; token_hash is filled with the client's name. */
struct db_receiver_new fixture_join_new(struct fixture *f, const struct db_version *version,
                                        const char *session_id, const char *client,
                                        uint8_t hash[DB_HASH_SIZE]);
/* In the open transaction: the version's session, made when there is none; a client's join. */
struct db_session fixture_session(struct fixture *f, const struct db_version *v);
struct db_receiver fixture_join(struct fixture *f, const struct db_version *v,
                                const char *session_id, const char *client, bool *ret_again);

void fixture_check(enum cp_err rc, const struct cp_error *err, const char *file, int line);
#define OK(f, expr) fixture_check((expr), &(f)->err, __FILE__, __LINE__)

/* The expression fails with that code; the transaction goes on as if it had not been tried. */
#define REFUSED(f, expected, expr)                                                                 \
    do {                                                                                           \
        enum cp_err refused_rc_;                                                                   \
        fixture_sql((f), "SAVEPOINT refused");                                                     \
        refused_rc_ = (expr);                                                                      \
        fixture_sql((f), "ROLLBACK TO refused");                                                   \
        assert_string_equal(cp_err_info(refused_rc_)->code, cp_err_info(expected)->code);          \
    } while (0)

#endif
