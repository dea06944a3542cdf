/* SPDX-License-Identifier: Apache-2.0
 * All statements of db/: found by the symbols of the running program, which links the whole of it. A
 * statement is a static object whose name ends in _stmt, an array of them in _stmts. */
#ifndef TESTS_UNIT_DB_STATEMENTS_H
#define TESTS_UNIT_DB_STATEMENTS_H

#include <stddef.h>

#include "db/sql.h"

/* Calls visit for each of them; returns their number. */
size_t statements_visit(void (*visit)(void *arg, const struct db_stmt *stmt), void *arg);

#endif
