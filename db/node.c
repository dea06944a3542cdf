/* SPDX-License-Identifier: Apache-2.0
 * SQL of nodes. */
#include "db/node.h"

#include <string.h>

#include "db/sql.h"

#define COLUMNS "id, name, version, created_at, started_at, library_id, library_foreign_since"

static const struct db_stmt register_stmt = {
    "node_register", "INSERT INTO nodes (name, version, started_at) VALUES ($1, $2, now())"
                     " ON CONFLICT (name) DO UPDATE SET version = $2, started_at = now()"
                     " RETURNING " COLUMNS};
static const struct db_stmt settings_stmt = {
    "node_settings", "INSERT INTO settings (node_id) VALUES ($1) ON CONFLICT DO NOTHING"};
static const struct db_stmt get_stmt = {"node_get",
                                        "SELECT " COLUMNS " FROM nodes WHERE id = $1 OR name = $2"
                                        " ORDER BY (id = $1) DESC NULLS LAST LIMIT 1"};
static const struct db_stmt list_stmt = {
    "node_list", "SELECT " COLUMNS " FROM nodes WHERE name > $1 ORDER BY name LIMIT $2"};
static const struct db_stmt lock_stmt = {"node_lock",
                                         "SELECT 1 FROM nodes WHERE id = $1 FOR NO KEY UPDATE"};

static const struct db_stmt own_stmt = {
    "node_own_library",
    "UPDATE nodes SET library_foreign_since = NULL, library_id = CASE WHEN $3 THEN"
    " gen_random_uuid() ELSE coalesce(library_id, $2, gen_random_uuid()) END WHERE id = $1"
    " RETURNING " COLUMNS};
static const struct db_stmt foreign_stmt = {"node_foreign_library",
                                            "UPDATE nodes SET library_foreign_since = now() WHERE "
                                            "id = $1 AND library_foreign_since IS NULL"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_node, id),
    DB_COL_TEXT(db_node, name),
    DB_COL_TEXT(db_node, version),
    DB_COL_TIME(db_node, created_at),
    DB_COL_TIME(db_node, started_at),
    DB_COL_TEXT(db_node, library_id),
    DB_COL_TIME(db_node, library_foreign_since),
};

enum cp_err db_node_register(struct db_conn *conn, const char *name, const char *version,
                             struct db_node *ret_node, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(name), db_p_text(version)};
    struct db_param id[1];
    struct db_node node;

    CP_TRY(db_one(conn, DB_QUERY(&register_stmt, params, cols), &node, err));
    id[0] = db_p_text(node.id);
    CP_TRY(db_do(conn, DB_COMMAND(&settings_stmt, id), NULL, err));
    *ret_node = node;
    return CP_OK;
}

enum cp_err db_node_get(struct db_conn *conn, const char *ref, struct db_node *ret_node,
                        struct cp_error *err)
{
    struct db_param params[] = {db_p_id(ref), db_p_text(ref)};
    enum cp_err rc = db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_node, err);

    if (rc == CP_ERR_NOT_FOUND) {
        (void)cp_error_set(err, rc, "no distribution point '%s'", ref);
    }
    return rc;
}

enum cp_err db_node_list(struct db_conn *conn, const char *after, size_t limit,
                         struct db_node *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(after), db_p_u64(limit)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY(&list_stmt, params, cols), rows, err);
}

enum cp_err db_node_own_library(struct db_conn *conn, const char *node_id, const char *found,
                                bool fresh, char ret_id[DB_ID_SIZE], struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id), db_p_id(found), db_p_bool(fresh)};
    struct db_node node;

    CP_TRY(db_one(conn, DB_QUERY(&own_stmt, params, cols), &node, err));
    memcpy(ret_id, node.library_id, DB_ID_SIZE);
    return CP_OK;
}

enum cp_err db_node_foreign_library(struct db_conn *conn, const char *node_id, bool *ret_news,
                                    struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id)};
    uint64_t changed;

    CP_TRY(db_do(conn, DB_COMMAND(&foreign_stmt, params), &changed, err));
    *ret_news = changed > 0;
    return CP_OK;
}

enum cp_err db_node_lock(struct db_conn *conn, const char *node_id, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(node_id)};
    uint64_t found;

    CP_TRY(db_do(conn, DB_COMMAND(&lock_stmt, params), &found, err));
    if (found == 0) {
        return cp_error_set(err, CP_ERR_NOT_FOUND, "no distribution point '%s'", node_id);
    }
    return CP_OK;
}
