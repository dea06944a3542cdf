/* SPDX-License-Identifier: Apache-2.0
 * SQL of sealed values: one row of the table below for each column that holds them. */
#include "db/sealed.h"

#include "db/sql.h"

/* X(table, column, purpose, which). table: has a uuid "id". purpose: SQL of the purpose that its
 * values are sealed for. which: SQL of the rows that matter; a secret of a session that has ended
 * opens nothing any more. */
#define PLACES(X)                                                                                  \
    X("keys", "private_sealed", "concat_ws(' ', 'key', node_id, kind, fingerprint)",               \
      "octet_length(private_sealed) > 0")                                                          \
    X("sessions", "secret_sealed", "'session-secret ' || id", "ended_at IS NULL")                  \
    X("webhooks", "secret_sealed", "'webhook ' || id", "true")                                     \
    X("idempotency", "answer_sealed", "concat_ws(' ', 'idempotency', account_id, key)",            \
      "created_at > now() - interval '1 day'")

#define NAME(table, column, purpose, which) table,
static const char *const places[] = {PLACES(NAME)};

#define LIST(table, column, purpose, which)                                                        \
    {"sealed_list_" table, "SELECT id, " purpose ", " column " FROM " table " WHERE (" which       \
                           ") AND ($1::uuid IS NULL OR id > $1)"                                   \
                           " ORDER BY id LIMIT $2 FOR NO KEY UPDATE"},
static const struct db_stmt list_stmts[] = {PLACES(LIST)};

#define REPLACE(table, column, purpose, which)                                                     \
    {"sealed_replace_" table, "UPDATE " table " SET " column " = $2 WHERE id = $1"},
static const struct db_stmt replace_stmts[] = {PLACES(REPLACE)};

static const struct db_stmt rekey_stmt = {
    "sealed_session_rekey",
    "UPDATE sessions SET secret_sealed = $2 WHERE id = $1 AND state = 'waiting'"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_sealed, id),
    DB_COL_TEXT(db_sealed, purpose),
    DB_COL_BLOB(db_sealed, data, size),
};

size_t db_sealed_places(void)
{
    return DB_COUNT(places);
}

const char *db_sealed_place(size_t place)
{
    CP_ASSERT(place < DB_COUNT(places));
    return places[place];
}

enum cp_err db_sealed_list(struct db_conn *conn, size_t place, const char *after, size_t limit,
                           struct db_sealed *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    CP_ASSERT(place < DB_COUNT(places));
    return db_many(conn, DB_QUERY(&list_stmts[place], params, cols), rows, err);
}

enum cp_err db_sealed_replace(struct db_conn *conn, size_t place, const char *id, const void *data,
                              size_t size, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(id), db_p_bytes(data, size)};

    CP_ASSERT(place < DB_COUNT(places));
    return db_do(conn, DB_COMMAND(&replace_stmts[place], params), NULL, err);
}

enum cp_err db_sealed_session_rekey(struct db_conn *conn, const char *session_id, const void *data,
                                    size_t size, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(session_id), db_p_bytes(data, size)};
    uint64_t changed = 0;

    CP_TRY(db_do(conn, DB_COMMAND(&rekey_stmt, params), &changed, err));
    return changed == 1 ? CP_OK
                        : cp_error_set(err, CP_ERR_CONFLICT, "Session %s does not wait any more.",
                                       session_id);
}
