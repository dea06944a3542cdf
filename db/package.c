/* SPDX-License-Identifier: Apache-2.0
 * SQL of packages. */
#include "db/package.h"

#include <string.h>

#include "db/batch.h"
#include "db/live.h"
#include "db/names.h"

#define COLUMNS                                                                                    \
    "p.id, p.name, p.description, p.policy, p.encrypt, p.access,"                                  \
    " coalesce(p.current_number,"                                                                  \
    "   (SELECT max(number) FROM versions v WHERE v.package_id = p.id AND v.state = 'sealed')),"   \
    " p.current_number, (SELECT count(*) FROM versions v WHERE v.package_id = p.id),"              \
    " p.labels::text, p.revision, p.created_at, p.updated_at"

static const struct db_stmt create_stmt = {
    "package_create", "INSERT INTO packages (name, description, policy, encrypt, access, labels)"
                      " VALUES ($1, $2, $3, $4, $5, coalesce($6::jsonb, '{}'))"};
static const struct db_stmt get_stmt = {"package_get",
                                        "SELECT " COLUMNS " FROM packages p WHERE p.name = $1"};
static const struct db_stmt get_id_stmt = {"package_get_id",
                                           "SELECT " COLUMNS " FROM packages p WHERE p.id = $1"};

/* Every order in both directions, each with and without a label, is a statement of its own: an index
 * is used by a condition, not by "the parameter is NULL or". The prefix $1 is a range of the index
 * where the order is that of names ('~' comes after all that a name may have); elsewhere it must not
 * look like one, or that index is taken and everything sorted (1.2 s instead of 0.4 ms with 100,000
 * packages). A row's place is $2, in an order by time after $7. Versions are counted for the rows of
 * the page only, hence the inner SELECT. */
#define RANGE  "p.name >= $1 AND p.name < $1 || '~'"
#define FILTER "starts_with(p.name, $1)"
#define LIST(name, prefix, label, place, order)                                                    \
    {                                                                                              \
        "package_list_" name, "SELECT " COLUMNS " FROM (SELECT * FROM packages p WHERE " prefix    \
                              " AND " place " AND ($3::text IS NULL OR p.policy = $3)"             \
                              " AND ($4::text IS NULL OR p.access = $4) AND " label                \
                              " ORDER BY " order " LIMIT $5) p ORDER BY " order                    \
    }
#define BOTH(name, prefix, place, order)                                                           \
    {                                                                                              \
        LIST(name, prefix, "$6::text IS NULL", place, order),                                      \
            LIST(name "_label", FILTER, "p.labels @> $6::jsonb", place, order)                     \
    }
#define BY_TIME(name, column)                                                                      \
    {                                                                                              \
        BOTH(name, FILTER, "(" column ", p.name) > ($7, $2)", column ", p.name"),                  \
            BOTH(name "_down", FILTER, "(" column ", p.name) < ($7, $2)",                          \
                 column " DESC, p.name DESC")                                                      \
    }
static const struct db_stmt list_stmts[3][2][2] = {
    [DB_PACKAGE_BY_NAME] = {BOTH("name", RANGE, "p.name > $2 AND $7::timestamptz IS NULL",
                                 "p.name"),
                            BOTH("name_down", RANGE, "p.name < $2 AND $7::timestamptz IS NULL",
                                 "p.name DESC")},
    [DB_PACKAGE_BY_CREATED] = BY_TIME("created", "p.created_at"),
    [DB_PACKAGE_BY_UPDATED] = BY_TIME("updated", "p.updated_at"),
};
static const struct db_stmt lock_name_stmt = {
    "package_lock_name", "SELECT id, revision FROM packages WHERE name = $1 FOR UPDATE"};
static const struct db_stmt lock_id_stmt = {
    "package_lock_id", "SELECT id, revision FROM packages WHERE id = $1 FOR UPDATE"};
static const struct db_stmt update_stmt = {
    "package_update",
    "UPDATE packages SET description = $2, policy = $3, encrypt = $4, access = $5,"
    " labels = coalesce($6::jsonb, '{}'), revision = revision + 1, updated_at = now()"
    " WHERE id = $1"};
static const struct db_stmt named_stmt = {
    "package_named",
    "SELECT " COLUMNS " FROM packages p WHERE p.name = ANY ($1::text[]) ORDER BY p.name"};
/* One order for all who hold many: they wait for each other instead of in a circle. */
static const struct db_stmt hold_stmt = {
    "package_hold", "SELECT 1 FROM packages WHERE name = ANY ($1::text[]) ORDER BY name"
                    " FOR NO KEY UPDATE"};
static const struct db_stmt create_many_stmt = {
    "package_create_many",
    "INSERT INTO packages (name, description, policy, encrypt, access, labels)"
    " SELECT name, description, policy, encrypt, access, coalesce(labels, '{}')"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::jsonb[])"
    " AS n (name, description, policy, encrypt, access, labels)"};
static const struct db_stmt update_many_stmt = {
    "package_update_many",
    "UPDATE packages p SET description = n.description, policy = n.policy, encrypt = n.encrypt,"
    " access = n.access, labels = coalesce(n.labels, '{}'), revision = p.revision + 1,"
    " updated_at = now()"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::jsonb[])"
    " AS n (name, description, policy, encrypt, access, labels) WHERE p.name = n.name"};
static const struct db_stmt doom_stmt = {
    "package_doom",
    "SELECT 1 FROM packages WHERE name = ANY ($1::text[]) ORDER BY name FOR UPDATE"};
static const struct db_stmt doom_versions_stmt = {
    "package_doom_versions", "SELECT 1 FROM versions v JOIN packages p ON p.id = v.package_id"
                             " WHERE p.name = ANY ($1::text[]) ORDER BY v.id FOR UPDATE OF v"};
static const struct db_stmt delete_many_stmt = {
    "package_delete_many", "DELETE FROM packages WHERE name = ANY ($1::text[])"};
static const struct db_stmt sealed_stmt = {
    "package_sealed",
    "SELECT p.name, v.number FROM unnest($1::text[], $2::integer[]) AS w (name, number)"
    " JOIN packages p ON p.name = w.name JOIN versions v ON v.package_id = p.id"
    " AND v.number = w.number WHERE v.state = 'sealed' ORDER BY p.name"};
static const struct db_stmt lock_versions_stmt = {
    "package_lock_versions", "SELECT 1 FROM versions WHERE package_id = $1 ORDER BY id FOR UPDATE"};
static const struct db_stmt delete_stmt = {"package_delete", "DELETE FROM packages WHERE id = $1"};
static const struct db_stmt measure_stmt = {
    "package_measure",
    "SELECT count(*), coalesce(sum(v.file_count), 0)::bigint, coalesce(sum(v.file_bytes), "
    "0)::bigint,"
    " coalesce(sum((SELECT count(*) FROM sessions s WHERE s.version_id = v.id)), 0)::bigint"
    " FROM versions v WHERE v.package_id = $1"};
static const struct db_stmt measure_version_stmt = {
    "package_measure_version", "SELECT 1::bigint, v.file_count::bigint, v.file_bytes,"
                               " (SELECT count(*) FROM sessions s WHERE s.version_id = v.id)"
                               " FROM versions v WHERE v.id = $1"};

static const struct db_col cols[] = {
    DB_COL_TEXT(db_package, id),
    DB_COL_TEXT(db_package, name),
    DB_COL_TEXT(db_package, description),
    DB_COL_ENUM(db_package, policy, &db_policy_names),
    DB_COL_BOOL(db_package, encrypt),
    DB_COL_ENUM(db_package, access, &db_access_names),
    DB_COL_INT(db_package, current_version),
    DB_COL_INT(db_package, pinned_version),
    DB_COL_INT(db_package, version_count),
    DB_COL_TEXT(db_package, labels),
    DB_COL_INT(db_package, revision),
    DB_COL_TIME(db_package, created_at),
    DB_COL_TIME(db_package, updated_at),
};

struct lock_row {
    char id[DB_ID_SIZE];
    int64_t revision;
};
static const struct db_col lock_cols[] = {DB_COL_TEXT(lock_row, id),
                                          DB_COL_INT(lock_row, revision)};

static enum cp_err not_found(enum cp_err rc, const char *ref, struct cp_error *err)
{
    if (rc == CP_ERR_NOT_FOUND) {
        rc = cp_error_set(err, CP_ERR_PACKAGE_NOT_FOUND, "no package '%s'", ref);
    }
    return rc;
}

#define ROW_WIDTH 6

static void row_params(const struct db_package *in, struct db_param ret_params[ROW_WIDTH])
{
    ret_params[0] = db_p_text(in->name);
    ret_params[1] = db_p_text(in->description);
    ret_params[2] = db_p_text(db_policy_name(in->policy));
    ret_params[3] = db_p_bool(in->encrypt);
    ret_params[4] = db_p_text(db_access_name(in->access));
    ret_params[5] = db_p_some(in->labels);
}

enum cp_err db_package_create(struct db_conn *conn, const struct db_package *in,
                              struct db_package *ret_package, struct cp_error *err)
{
    struct db_param params[ROW_WIDTH];
    enum cp_err rc;

    row_params(in, params);
    rc = db_do(conn, DB_COMMAND(&create_stmt, params), NULL, err);
    if (rc == CP_ERR_CONFLICT) {
        return cp_error_set(err, rc, "a package '%s' exists", in->name);
    }
    CP_TRY(rc);
    return db_package_get(conn, in->name, ret_package, err);
}

enum cp_err db_package_get(struct db_conn *conn, const char *name, struct db_package *ret_package,
                           struct cp_error *err)
{
    struct db_param params[] = {db_p_text(name)};

    return not_found(db_one(conn, DB_QUERY(&get_stmt, params, cols), ret_package, err), name, err);
}

/* Before the first row and behind the last one of any order. */
#define NAME_FIRST ""
#define NAME_LAST  "~"
#define TIME_FIRST 1000                                    /* 1970 */
#define TIME_LAST  ((uint64_t)8 * 1000000000 * 1000000000) /* 2223 */

enum cp_err db_package_list(struct db_conn *conn, const struct db_package_list *l, size_t limit,
                            struct db_package *ret_items, size_t *ret_count, struct cp_error *err)
{
    const char *prefix = l->name_prefix != NULL ? l->name_prefix : "";
    bool from_start = l->after == NULL || l->after[0] == '\0';
    const char *after = from_start ? (l->descending ? NAME_LAST : NAME_FIRST) : l->after;
    uint64_t time = from_start ? (l->descending ? TIME_LAST : TIME_FIRST) : l->after_time;
    struct db_param params[] = {db_p_text(prefix),
                                db_p_text(after),
                                db_p_text(l->policy),
                                db_p_text(l->access),
                                db_p_u64(limit),
                                db_p_text(l->label),
                                db_p_time(l->sort == DB_PACKAGE_BY_NAME ? 0 : time)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(
        conn, DB_QUERY_FRESH(&list_stmts[l->sort][l->descending][l->label != NULL], params, cols),
        rows, err);
}

enum cp_err db_package_update(struct db_conn *conn, const struct db_package *in,
                              struct db_package *ret_package, struct cp_error *err)
{
    struct db_param id[] = {db_p_id(in->id)};
    struct db_param params[] = {db_p_id(in->id),
                                db_p_text(in->description),
                                db_p_text(db_policy_name(in->policy)),
                                db_p_bool(in->encrypt),
                                db_p_text(db_access_name(in->access)),
                                db_p_some(in->labels)};
    struct lock_row present;

    CP_TRY(not_found(db_one(conn, DB_QUERY(&lock_id_stmt, id, lock_cols), &present, err), in->id,
                     err));
    CP_TRY(db_revision_check(in->revision, present.revision, "package", err));
    CP_TRY(db_do(conn, DB_COMMAND(&update_stmt, params), NULL, err));
    return not_found(db_one(conn, DB_QUERY(&get_id_stmt, id, cols), ret_package, err), in->id, err);
}

enum cp_err db_package_named(struct db_conn *conn, const char *const *names, size_t count,
                             struct db_package *ret_items, size_t *ret_count, struct cp_error *err)
{
    struct db_query query = {.stmt = &named_stmt, .cols = cols, .col_count = DB_COUNT(cols)};
    struct db_rows rows = {ret_items, sizeof *ret_items, count, ret_count};
    struct db_batch batch = {.width = 0};

    db_batch_add_names(&batch, names, count);
    return db_batch_many(conn, query, &batch, rows, err);
}

static enum cp_err write_many(struct db_conn *conn, const struct db_stmt *stmt,
                              const struct db_package *const *items, size_t count,
                              struct cp_error *err)
{
    struct db_batch batch = {.width = 0};

    for (size_t i = 0; i < count; i++) {
        struct db_param row[ROW_WIDTH];

        row_params(items[i], row);
        db_batch_add(&batch, row, ROW_WIDTH);
    }
    return db_batch_do(conn, stmt, &batch, err);
}

enum cp_err db_package_create_many(struct db_conn *conn, const struct db_package *const *items,
                                   size_t count, struct cp_error *err)
{
    return write_many(conn, &create_many_stmt, items, count, err);
}

enum cp_err db_package_update_many(struct db_conn *conn, const struct db_package *const *items,
                                   size_t count, struct cp_error *err)
{
    return write_many(conn, &update_many_stmt, items, count, err);
}

static enum cp_err by_names(struct db_conn *conn, const struct db_stmt *stmt,
                            const char *const *names, size_t count, struct cp_error *err)
{
    struct db_batch batch = {.width = 0};

    db_batch_add_names(&batch, names, count);
    return db_batch_do(conn, stmt, &batch, err);
}

enum cp_err db_package_hold(struct db_conn *conn, const char *const *names, size_t count,
                            struct cp_error *err)
{
    return by_names(conn, &hold_stmt, names, count, err);
}

enum cp_err db_package_doom(struct db_conn *conn, const char *const *names, size_t count,
                            struct cp_error *err)
{
    CP_TRY(by_names(conn, &doom_stmt, names, count, err));
    return by_names(conn, &doom_versions_stmt, names, count, err);
}

enum cp_err db_package_delete_many(struct db_conn *conn, const char *const *names, size_t count,
                                   struct cp_error *err)
{
    CP_TRY(db_live_refuse_named(conn, names, count, err));
    return by_names(conn, &delete_many_stmt, names, count, err);
}

static const struct db_col sealed_cols[] = {
    DB_COL_TEXT(db_package_version, package),
    DB_COL_INT(db_package_version, number),
};

enum cp_err db_package_sealed(struct db_conn *conn, const struct db_package_version *items,
                              size_t count, struct db_package_version *ret_items, size_t *ret_count,
                              struct cp_error *err)
{
    struct db_query query = {
        .stmt = &sealed_stmt, .cols = sealed_cols, .col_count = DB_COUNT(sealed_cols)};
    struct db_rows rows = {ret_items, sizeof *ret_items, count, ret_count};
    struct db_batch batch = {.width = 0};

    for (size_t i = 0; i < count; i++) {
        struct db_param row[] = {db_p_text(items[i].package), db_p_u64(items[i].number)};

        db_batch_add(&batch, row, DB_COUNT(row));
    }
    return db_batch_many(conn, query, &batch, rows, err);
}

enum cp_err db_package_delete(struct db_conn *conn, const char *name, int64_t expected_revision,
                              struct cp_error *err)
{
    struct db_param by_name[] = {db_p_text(name)};
    struct db_param id[1];
    struct lock_row present;

    CP_TRY(not_found(db_one(conn, DB_QUERY(&lock_name_stmt, by_name, lock_cols), &present, err),
                     name, err));
    CP_TRY(db_revision_check(expected_revision, present.revision, "package", err));
    id[0] = db_p_text(present.id);
    /* A join takes its version's row lock: it now comes before or after the deletion. */
    CP_TRY(db_do(conn, DB_COMMAND(&lock_versions_stmt, id), NULL, err));
    CP_TRY(db_live_refuse(conn, present.id, NULL, err));
    return db_do(conn, DB_COMMAND(&delete_stmt, id), NULL, err);
}

static const struct db_col extent_cols[] = {
    DB_COL_INT(db_package_extent, versions),
    DB_COL_INT(db_package_extent, files),
    DB_COL_INT(db_package_extent, bytes),
    DB_COL_INT(db_package_extent, sessions),
};

enum cp_err db_package_measure(struct db_conn *conn, const char *package_id, const char *version_id,
                               struct db_package_extent *ret_extent, struct cp_error *err)
{
    struct db_param params[] = {db_p_id(package_id != NULL ? package_id : version_id)};

    return db_one(
        conn,
        DB_QUERY(package_id != NULL ? &measure_stmt : &measure_version_stmt, params, extent_cols),
        ret_extent, err);
}
