/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: one statement for many rows. What would be the parameters of a statement for one
 * row becomes arrays, which the statement takes apart by unnest($1::text[], $2::uuid[], …). */
#ifndef DB_BATCH_H
#define DB_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "db/sql.h"

#define DB_BATCH_WIDTH_MAX 16

/* The text of a PostgreSQL array, without its last brace. */
struct db_array {
    char *text;
    size_t size, room;
};

/* Starts zeroed; ended by the statement that it is for. */
struct db_batch {
    size_t width;
    bool no_memory; /* told at the end */
    struct db_array columns[DB_BATCH_WIDTH_MAX];
};

/* Appends a row: `width` parameters, always as many, of every kind but bytes and times. */
void db_batch_add(struct db_batch *b, const struct db_param *row, size_t width);

/* Rows of one text each. */
void db_batch_add_names(struct db_batch *b, const char *const *names, size_t count);

/* Runs the statement with the arrays for its parameters, and ends the batch, which has at least one
 * row. Otherwise as db_do and db_many. */
CP_MUST_CHECK enum cp_err db_batch_do(struct db_conn *conn, const struct db_stmt *stmt,
                                      struct db_batch *b, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_batch_many(struct db_conn *conn, struct db_query query,
                                        struct db_batch *b, struct db_rows rows,
                                        struct cp_error *err);

#endif
