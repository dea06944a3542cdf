/* SPDX-License-Identifier: Apache-2.0
 * SQL of the audit log. */
#include "db/audit.h"

#include "db/batch.h"
#include "db/names.h"
#include "db/sql.h"

static const char *const outcome_words[] = {"done", "accepted", "refused"};
static const struct db_names outcome_names = {outcome_words, DB_COUNT(outcome_words)};

static const struct db_stmt add_stmt = {
    "audit_add",
    "INSERT INTO audit (node_id, account, role, authentication, address, operation, method, path,"
    " request_id, outcome, code, subject, before, after, left_out)"
    " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
    " $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::jsonb[],"
    " $14::jsonb[], $15::bigint[])"};

/* A superuser has every privilege; who is, or may become, the owner can give itself any. */
static const struct db_stmt guarded_stmt = {
    "audit_guarded",
    "SELECT NOT (has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')"
    " OR pg_has_role(c.relowner, 'MEMBER')) FROM pg_class c WHERE c.oid = 'audit'::regclass"};

#define COLUMNS                                                                                    \
    "a.id, a.time, a.node_id, a.account, a.role, a.authentication, a.address, a.operation,"        \
    " a.method, a.path, a.request_id, a.outcome, a.code, a.subject,"                               \
    " coalesce(a.before::text, ''), coalesce(a.after::text, ''), a.left_out"
/* As with events: what is within the times has a number within these bounds. */
#define BOUNDS                                                                                     \
    " ($3::timestamptz IS NULL OR (a.time >= $3 AND a.id > coalesce((SELECT o.id FROM audit o"     \
    " WHERE o.time < $3 - interval '1 hour' ORDER BY o.time DESC LIMIT 1), 0)))"                   \
    " AND ($4::timestamptz IS NULL OR (a.time < $4 AND a.id < coalesce((SELECT o.id FROM audit o"  \
    " WHERE o.time > $4 + interval '1 hour' ORDER BY o.time LIMIT 1), 9223372036854775807)))"
#define FILTER                                                                                     \
    " AND ($1 = 0 OR a.id < $1) AND " BOUNDS " AND ($5::text IS NULL OR a.account = $5)"           \
    " AND ($6::text IS NULL OR a.subject = $6) AND ($7::text IS NULL OR a.operation = $7)"         \
    " AND ($8::text IS NULL OR a.address = $8) AND ($9::text IS NULL OR a.request_id = $9)"        \
    " AND ($10::text IS NULL OR a.outcome = $10) ORDER BY a.id DESC LIMIT $2"
/* The same question, each with the index that narrows it down most. */
static const struct db_stmt list_stmt = {"audit_list",
                                         "SELECT " COLUMNS " FROM audit a WHERE true" FILTER};
static const struct db_stmt list_subject_stmt = {
    "audit_list_subject", "SELECT " COLUMNS " FROM audit a WHERE a.subject = $6" FILTER};
static const struct db_stmt list_account_stmt = {
    "audit_list_account", "SELECT " COLUMNS " FROM audit a WHERE a.account = $5" FILTER};
static const struct db_stmt list_operation_stmt = {
    "audit_list_operation", "SELECT " COLUMNS " FROM audit a WHERE a.operation = $7" FILTER};
static const struct db_stmt list_address_stmt = {
    "audit_list_address", "SELECT " COLUMNS " FROM audit a WHERE a.address = $8" FILTER};
static const struct db_stmt list_request_stmt = {
    "audit_list_request", "SELECT " COLUMNS " FROM audit a WHERE a.request_id = $9" FILTER};

static const struct db_col cols[] = {
    DB_COL_INT(db_audit, id),
    DB_COL_TIME(db_audit, time),
    DB_COL_TEXT(db_audit, node_id),
    DB_COL_TEXT(db_audit, account),
    DB_COL_TEXT(db_audit, role),
    DB_COL_TEXT(db_audit, authentication),
    DB_COL_TEXT(db_audit, address),
    DB_COL_TEXT(db_audit, operation),
    DB_COL_TEXT(db_audit, method),
    DB_COL_TEXT(db_audit, path),
    DB_COL_TEXT(db_audit, request_id),
    DB_COL_ENUM(db_audit, outcome, &outcome_names),
    DB_COL_TEXT(db_audit, code),
    DB_COL_TEXT(db_audit, subject),
    DB_COL_BLOB(db_audit, before, before_size),
    DB_COL_BLOB(db_audit, after, after_size),
    DB_COL_INT(db_audit, left_out),
};

const char *db_audit_outcome_name(enum db_audit_outcome outcome)
{
    CP_ASSERT(outcome < DB_COUNT(outcome_words));
    return outcome_words[outcome];
}

bool db_audit_outcome_parse(const char *text, enum db_audit_outcome *ret_outcome)
{
    size_t index;

    if (!db_names_find(&outcome_names, text, &index)) {
        return false;
    }
    *ret_outcome = (enum db_audit_outcome)index;
    return true;
}

enum cp_err db_audit_add(struct db_conn *conn, const struct db_audit *entry, struct cp_error *err)
{
    return db_audit_add_many(conn, entry, 1, err);
}

enum cp_err db_audit_add_many(struct db_conn *conn, const struct db_audit *entries, size_t count,
                              struct cp_error *err)
{
    struct db_batch batch = {.width = 0};

    for (size_t i = 0; i < count; i++) {
        const struct db_audit *e = &entries[i];
        struct db_param row[] = {
            db_p_id(e->node_id),      db_p_text(e->account),
            db_p_text(e->role),       db_p_text(e->authentication),
            db_p_text(e->address),    db_p_text(e->operation),
            db_p_text(e->method),     db_p_text(e->path),
            db_p_text(e->request_id), db_p_text(db_audit_outcome_name(e->outcome)),
            db_p_text(e->code),       db_p_text(e->subject),
            db_p_text(e->before),     db_p_text(e->after),
            db_p_u64(e->left_out)};

        db_batch_add(&batch, row, DB_COUNT(row));
    }
    return db_batch_do(conn, &add_stmt, &batch, err);
}

struct guard {
    bool guarded;
};

enum cp_err db_audit_guarded(struct db_conn *conn, bool *ret_guarded, struct cp_error *err)
{
    static const struct db_col guard_cols[] = {DB_COL_BOOL(guard, guarded)};
    struct guard guard;

    CP_TRY(db_one(conn,
                  (struct db_query){.stmt = &guarded_stmt, .cols = guard_cols, .col_count = 1},
                  &guard, err));
    *ret_guarded = guard.guarded;
    return CP_OK;
}

static const struct db_stmt *statement_for(const struct db_audit_filter *filter)
{
    const struct {
        const char *given;
        const struct db_stmt *stmt;
    } by[] = {{filter->request_id, &list_request_stmt},
              {filter->subject, &list_subject_stmt},
              {filter->address, &list_address_stmt},
              {filter->account, &list_account_stmt},
              {filter->operation, &list_operation_stmt}};

    for (size_t i = 0; i < DB_COUNT(by); i++) {
        if (by[i].given != NULL) {
            return by[i].stmt;
        }
    }
    return &list_stmt;
}

enum cp_err db_audit_list(struct db_conn *conn, const struct db_audit_filter *filter,
                          uint64_t before, size_t limit, struct db_audit *ret_items,
                          size_t *ret_count, struct cp_error *err)
{
    const char *outcome = filter->outcome != NULL ? db_audit_outcome_name(*filter->outcome) : NULL;
    struct db_param params[] = {db_p_u64(before > INT64_MAX ? 0 : before),
                                db_p_u64(limit),
                                db_p_time(filter->since),
                                db_p_time(filter->until),
                                db_p_text(filter->account),
                                db_p_text(filter->subject),
                                db_p_text(filter->operation),
                                db_p_text(filter->address),
                                db_p_text(filter->request_id),
                                db_p_text(outcome)};
    struct db_rows rows = {ret_items, sizeof *ret_items, limit, ret_count};

    return db_many(conn, DB_QUERY_FRESH(statement_for(filter), params, cols), rows, err);
}
