/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: statements with typed parameters, and rows decoded into structs by arrays of
 * column specifications. Parameters travel as text (bytes and times binary), results binary. */
#ifndef DB_SQL_H
#define DB_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "db/db.h"

/* One statement, static: its address is its identity. Prepared once on each connection. */
struct db_stmt {
    const char *name; /* unique: "package_get" */
    const char *sql;
};

enum db_param_kind {
    DB_P_NULL,
    DB_P_TEXT,
    DB_P_SIGNED,
    DB_P_UNSIGNED,
    DB_P_BOOL,
    DB_P_BYTES,
    DB_P_TIME
};

struct db_param {
    enum db_param_kind kind;
    const void *data;
    size_t size;
    uint64_t number;
};

static inline struct db_param db_p_text(const char *text)
{
    return (struct db_param){.kind = text == NULL ? DB_P_NULL : DB_P_TEXT, .data = text};
}

/* NULL for NULL and for "". */
static inline struct db_param db_p_some(const char *text)
{
    return db_p_text(text != NULL && text[0] != '\0' ? text : NULL);
}

/* NULL for what is not a uuid: it then equals no row's id, instead of failing as malformed. */
static inline struct db_param db_p_id(const char *id)
{
    return db_p_text(id != NULL && db_is_uuid(id) ? id : NULL);
}

static inline struct db_param db_p_u64(uint64_t number)
{
    return (struct db_param){.kind = DB_P_UNSIGNED, .number = number};
}

static inline struct db_param db_p_i64(int64_t number)
{
    return (struct db_param){.kind = DB_P_SIGNED, .number = (uint64_t)number};
}

static inline struct db_param db_p_bool(bool value)
{
    return (struct db_param){.kind = DB_P_BOOL, .number = value};
}

/* NULL for NULL. */
static inline struct db_param db_p_maybe(const bool *value)
{
    return value != NULL ? db_p_bool(*value) : db_p_text(NULL);
}

static inline struct db_param db_p_bytes(const void *data, size_t size)
{
    return (struct db_param){.kind = DB_P_BYTES, .data = data, .size = size};
}

/* Wall-clock nanoseconds; 0 is NULL. */
static inline struct db_param db_p_time(uint64_t wall_ns)
{
    return (struct db_param){.kind = wall_ns == 0 ? DB_P_NULL : DB_P_TIME, .number = wall_ns};
}

enum db_col_kind {
    DB_C_TEXT,  /* text, uuid → char[size]; NULL → "" */
    DB_C_INT,   /* any integer → unsigned or signed integer of `size` bytes; NULL → 0 */
    DB_C_BOOL,  /* NULL → false */
    DB_C_TIME,  /* timestamptz → uint64_t nanoseconds; NULL → 0 */
    DB_C_BYTES, /* bytea → uint8_t[size], count in the size_t at size_offset; cut when longer */
    DB_C_ENUM,  /* text → position in `names`, an enum */
    DB_C_BLOB   /* bytea or text → malloced char * with a NUL behind, count at size_offset */
};

struct db_names {
    const char *const *names;
    size_t count;
};

struct db_col {
    enum db_col_kind kind;
    size_t offset;
    size_t size;
    size_t size_offset;
    const struct db_names *names;
};

#define DB_COL_(k, s, f)                                                                           \
    .kind = (k), .offset = offsetof(struct s, f), .size = sizeof((struct s *)0)->f
#define DB_COL_TEXT(s, f)                                                                          \
    {                                                                                              \
        DB_COL_(DB_C_TEXT, s, f)                                                                   \
    }
#define DB_COL_INT(s, f)                                                                           \
    {                                                                                              \
        DB_COL_(DB_C_INT, s, f)                                                                    \
    }
#define DB_COL_BOOL(s, f)                                                                          \
    {                                                                                              \
        DB_COL_(DB_C_BOOL, s, f)                                                                   \
    }
#define DB_COL_TIME(s, f)                                                                          \
    {                                                                                              \
        DB_COL_(DB_C_TIME, s, f)                                                                   \
    }
#define DB_COL_BYTES(s, f, n)                                                                      \
    {                                                                                              \
        DB_COL_(DB_C_BYTES, s, f), .size_offset = offsetof(struct s, n)                            \
    }
#define DB_COL_BLOB(s, f, n)                                                                       \
    {                                                                                              \
        DB_COL_(DB_C_BLOB, s, f), .size_offset = offsetof(struct s, n)                             \
    }
#define DB_COL_ENUM(s, f, t)                                                                       \
    {                                                                                              \
        DB_COL_(DB_C_ENUM, s, f), .names = (t)                                                     \
    }

/* What a statement is given and what it gives. */
struct db_query {
    const struct db_stmt *stmt;
    const struct db_param *params;
    size_t param_count;
    const struct db_col *cols;
    size_t col_count;
    bool fresh; /* planned for these parameters, instead of prepared */
};

#define DB_COUNT(array) (sizeof(array) / sizeof(array)[0])
#define DB_QUERY(s, p, c)                                                                          \
    ((struct db_query){.stmt = (s),                                                                \
                       .params = (p),                                                              \
                       .param_count = DB_COUNT(p),                                                 \
                       .cols = (c),                                                                \
                       .col_count = DB_COUNT(c)})
/* For a list with filters that may not be given. For a prepared one PostgreSQL may take a plan for
 * any parameters (from its sixth run on), which uses no index by a filter. */
#define DB_QUERY_FRESH(s, p, c)                                                                    \
    ((struct db_query){.stmt = (s),                                                                \
                       .params = (p),                                                              \
                       .param_count = DB_COUNT(p),                                                 \
                       .cols = (c),                                                                \
                       .col_count = DB_COUNT(c),                                                   \
                       .fresh = true})
#define DB_COMMAND(s, p) ((struct db_query){.stmt = (s), .params = (p), .param_count = DB_COUNT(p)})

/* First row into the struct at ret_row (untouched when there is none: CP_ERR_NOT_FOUND, which is no
 * failure of the transaction, and err is left alone). */
CP_MUST_CHECK enum cp_err db_one(struct db_conn *conn, struct db_query query, void *ret_row,
                                 struct cp_error *err);

/* An array for the rows of a list. */
struct db_rows {
    void *items;
    size_t item_size;
    size_t limit;
    size_t *ret_count;
};

/* Rows into an array of structs. The statement's LIMIT must keep to rows.limit. */
CP_MUST_CHECK enum cp_err db_many(struct db_conn *conn, struct db_query query, struct db_rows rows,
                                  struct cp_error *err);

/* No rows wanted. ret_affected (may be NULL): rows changed, or returned by a SELECT. */
CP_MUST_CHECK enum cp_err db_do(struct db_conn *conn, struct db_query query, uint64_t *ret_affected,
                                struct cp_error *err);

/* Position of text in names; false when it is not among them. */
bool db_names_find(const struct db_names *names, const char *text, size_t *ret_index);

/* CP_ERR_PRECONDITION_FAILED unless expected is DB_REVISION_ANY or the present one. */
CP_MUST_CHECK enum cp_err db_revision_check(int64_t expected, int64_t present, const char *what,
                                            struct cp_error *err);

#endif
