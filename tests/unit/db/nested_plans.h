/* SPDX-License-Identifier: Apache-2.0
 * Part of test_db_plans.c: what PostgreSQL runs by itself within a statement, which EXPLAIN does not
 * show: the actions of foreign keys, and the SQL of triggers. */
#ifndef TESTS_UNIT_DB_NESTED_PLANS_H
#define TESTS_UNIT_DB_NESTED_PLANS_H

#include <stdbool.h>
#include <stddef.h>

/* Of test_db_plans.c: a table that stays small. */
bool plans_is_small(const char *table, size_t size);

/* cmocka tests, on the tables that test_db_plans.c filled. */
void foreign_keys_have_indexes(void **state);
void triggers_and_foreign_keys_read_little(void **state);

#endif
