/* SPDX-License-Identifier: Apache-2.0
 * The migrations that are part of the program; the array is generated from migrations/ at build
 * time. Pure data. */
#ifndef DB_MIGRATIONS_H
#define DB_MIGRATIONS_H

#include <stddef.h>

struct db_migration {
    int number; /* 1, 2, … without gaps */
    const char *name;
    const char *digest; /* SHA-256 of the file, hex */
    const char *sql;
};

extern const struct db_migration db_migrations[];
extern const size_t db_migration_count;

#endif
