/* SPDX-License-Identifier: Apache-2.0
 * SQL of the current version: pinned by a promotion or a rollback, else the newest sealed one. Every
 * change holds the package's row lock and is written down. */
#include "db/names.h"
#include "db/package.h"
#include "db/version.h"

/* $1: the package. What is current now, what is pinned, and the promotion that holds. */
static const struct db_stmt present_stmt = {
    "promotion_present", "SELECT p.id, p.revision, p.current_number,"
                         " coalesce(p.current_number, (SELECT max(number) FROM versions v"
                         "   WHERE v.package_id = p.id AND v.state = 'sealed'))"
                         " FROM packages p WHERE p.name = $1 FOR NO KEY UPDATE"};
static const struct db_stmt state_stmt = {
    "promotion_state",
    "SELECT state FROM versions WHERE package_id = $1 AND number = $2 FOR NO KEY UPDATE"};
/* The promotion that made the pinned version current, unless a rollback has undone it. */
static const struct db_stmt open_stmt = {
    "promotion_open", "SELECT id, number, previous FROM promotions WHERE package_id = $1 AND open"
                      " ORDER BY id DESC LIMIT 1"};
static const struct db_stmt below_stmt = {
    "promotion_below", "SELECT max(number) FROM versions WHERE package_id = $1 AND number < $2"
                       " AND state = 'sealed' HAVING max(number) IS NOT NULL"};
static const struct db_stmt pin_stmt = {
    "promotion_pin", "UPDATE packages SET current_number = nullif($2, 0), revision = revision + 1"
                     " WHERE id = $1"};
static const struct db_stmt close_stmt = {
    "promotion_close", "UPDATE promotions SET open = false WHERE package_id = $1 AND open"
                       " AND id >= $2"};
static const struct db_stmt add_stmt = {
    "promotion_add", "INSERT INTO promotions (package_id, kind, number, previous, open, actor)"
                     " VALUES ($1, $2, nullif($3, 0), nullif($4, 0), $2 = 'promote', $5)"};
static const struct db_stmt id_stmt = {"promotion_package",
                                       "SELECT id FROM packages WHERE name = $1"};
static const struct db_stmt list_stmt = {
    "promotion_list", "SELECT id, kind, number, previous, actor, created_at FROM promotions"
                      " WHERE package_id = $1 AND id < $2 AND ($4::text IS NULL OR kind = $4)"
                      " ORDER BY id DESC LIMIT $3"};

struct present_row {
    char id[DB_ID_SIZE];
    int64_t revision;
    uint32_t pinned, current;
};
static const struct db_col present_cols[] = {
    DB_COL_TEXT(present_row, id),
    DB_COL_INT(present_row, revision),
    DB_COL_INT(present_row, pinned),
    DB_COL_INT(present_row, current),
};

struct open_row {
    uint64_t id;
    uint32_t version, previous;
};
static const struct db_col open_cols[] = {
    DB_COL_INT(open_row, id),
    DB_COL_INT(open_row, version),
    DB_COL_INT(open_row, previous),
};

static const struct db_col cols[] = {
    DB_COL_INT(db_promotion, id),      DB_COL_ENUM(db_promotion, kind, &db_promotion_kind_names),
    DB_COL_INT(db_promotion, version), DB_COL_INT(db_promotion, previous),
    DB_COL_TEXT(db_promotion, actor),  DB_COL_TIME(db_promotion, created_at),
};

static enum cp_err present(struct db_conn *conn, const char *name, int64_t expected_revision,
                           struct present_row *ret_row, struct cp_error *err)
{
    struct db_param params[] = {db_p_text(name)};
    enum cp_err rc = db_one(conn, DB_QUERY(&present_stmt, params, present_cols), ret_row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_PACKAGE_NOT_FOUND, "no package '%s'", name);
    }
    CP_TRY(rc);
    return db_revision_check(expected_revision, ret_row->revision, "package", err);
}

struct state_row {
    enum db_version_state state;
};

/* Its row lock makes a retirement wait for the pin. CP_ERR_NOT_FOUND. */
static enum cp_err lock_version(struct db_conn *conn, const char *package_id, uint32_t version,
                                struct state_row *ret_row, struct cp_error *err)
{
    static const struct db_col state_cols[] = {
        DB_COL_ENUM(state_row, state, &db_version_state_names)};
    struct db_param params[] = {db_p_id(package_id), db_p_u64(version)};

    return db_one(conn, DB_QUERY(&state_stmt, params, state_cols), ret_row, err);
}

/* Only what is sealed can be current. */
static enum cp_err check_sealed(struct db_conn *conn, const char *package_id, uint32_t version,
                                struct cp_error *err)
{
    struct state_row row = {.state = DB_VERSION_DRAFT};
    enum cp_err rc = lock_version(conn, package_id, version, &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_VERSION_NOT_FOUND, "the package has no version %u",
                            (unsigned)version);
    }
    CP_TRY(rc);
    if (row.state != DB_VERSION_SEALED) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "version %u is %s: only a sealed version can be current; promote "
                            "another one",
                            (unsigned)version, db_version_state_name(row.state));
    }
    return CP_OK;
}

/* Pins `version` (0: nothing) and writes it down. */
static enum cp_err change(struct db_conn *conn, const struct present_row *now,
                          enum db_promotion_kind kind, uint32_t version, const char *actor,
                          struct cp_error *err)
{
    struct db_param pin[] = {db_p_id(now->id), db_p_u64(version)};
    struct db_param add[] = {db_p_id(now->id), db_p_text(db_promotion_kind_name(kind)),
                             db_p_u64(version), db_p_u64(now->current), db_p_text(actor)};

    CP_TRY(db_do(conn, DB_COMMAND(&pin_stmt, pin), NULL, err));
    return db_do(conn, DB_COMMAND(&add_stmt, add), NULL, err);
}

/* Promotions from that one on cannot be undone any more. */
static enum cp_err close_from(struct db_conn *conn, const char *package_id, uint64_t id,
                              struct cp_error *err)
{
    struct db_param params[] = {db_p_id(package_id), db_p_u64(id)};

    return db_do(conn, DB_COMMAND(&close_stmt, params), NULL, err);
}

enum cp_err db_package_promote(struct db_conn *conn, const char *name, uint32_t version,
                               int64_t expected_revision, const char *actor, bool *ret_changed,
                               struct cp_error *err)
{
    struct present_row now;

    CP_TRY(present(conn, name, expected_revision, &now, err));
    CP_TRY(check_sealed(conn, now.id, version, err));
    if (now.pinned != version) {
        CP_TRY(change(conn, &now, DB_PROMOTION_PROMOTE, version, actor, err));
    }
    *ret_changed = now.pinned != version;
    return CP_OK;
}

static enum cp_err below(struct db_conn *conn, const struct present_row *now, uint32_t *ret_version,
                         struct cp_error *err)
{
    static const struct db_col version_cols[] = {DB_COL_INT(open_row, version)};
    struct db_param params[] = {db_p_id(now->id), db_p_u64(now->current)};
    struct open_row row;
    enum cp_err rc = db_one(conn, DB_QUERY(&below_stmt, params, version_cols), &row, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_CONFLICT,
                            "there is no sealed version before version %u to go back to",
                            (unsigned)now->current);
    }
    CP_TRY(rc);
    *ret_version = row.version;
    return CP_OK;
}

/* Undoes the promotion that holds; 0: there is none, or what was current before it was retired or
 * deleted since. */
static enum cp_err undo(struct db_conn *conn, const char *package_id, uint32_t *ret_version,
                        struct cp_error *err)
{
    struct db_param id[] = {db_p_id(package_id)};
    struct open_row open = {.id = 0};
    struct state_row before = {.state = DB_VERSION_DRAFT};
    enum cp_err rc = db_one(conn, DB_QUERY(&open_stmt, id, open_cols), &open, err);

    *ret_version = 0;
    if (rc == CP_OK && open.previous > 0) {
        CP_TRY(close_from(conn, package_id, open.id, err));
        rc = lock_version(conn, package_id, open.previous, &before, err);
        *ret_version = before.state == DB_VERSION_SEALED ? open.previous : 0;
    }
    return rc == CP_ERR_NOT_FOUND ? CP_OK : rc;
}

enum cp_err db_package_rollback(struct db_conn *conn, const char *name, int64_t expected_revision,
                                const char *actor, struct cp_error *err)
{
    struct present_row now;
    uint32_t target;

    CP_TRY(present(conn, name, expected_revision, &now, err));
    CP_TRY(undo(conn, now.id, &target, err));
    if (target == 0) {
        CP_TRY(below(conn, &now, &target, err));
        CP_TRY(check_sealed(conn, now.id, target, err));
    }
    return change(conn, &now, DB_PROMOTION_ROLLBACK, target, actor, err);
}

enum cp_err db_package_unpin(struct db_conn *conn, const char *name, int64_t expected_revision,
                             const char *actor, bool *ret_changed, struct cp_error *err)
{
    struct present_row now;

    CP_TRY(present(conn, name, expected_revision, &now, err));
    if (now.pinned > 0) {
        CP_TRY(close_from(conn, now.id, 0, err));
        CP_TRY(change(conn, &now, DB_PROMOTION_UNPIN, 0, actor, err));
    }
    *ret_changed = now.pinned > 0;
    return CP_OK;
}

enum cp_err db_promotion_list(struct db_conn *conn, const struct db_promotion_list *list,
                              size_t limit, struct db_promotion *ret_items, size_t *ret_count,
                              struct cp_error *err)
{
    static const struct db_col id_cols[] = {DB_COL_TEXT(present_row, id)};
    struct db_param by_name[] = {db_p_text(list->package)};
    uint64_t before = list->before == 0 || list->before > INT64_MAX ? INT64_MAX : list->before;
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};
    struct present_row package;
    enum cp_err rc = db_one(conn, DB_QUERY(&id_stmt, by_name, id_cols), &package, err);

    if (rc == CP_ERR_NOT_FOUND) {
        return cp_error_set(err, CP_ERR_PACKAGE_NOT_FOUND, "no package '%s'", list->package);
    }
    CP_TRY(rc);
    {
        struct db_param params[] = {db_p_text(package.id), db_p_u64(before), db_p_u64(limit),
                                    db_p_text(list->kind)};

        return db_many(conn, DB_QUERY_FRESH(&list_stmt, params, cols), rows, err);
    }
}
