/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: a blob's columns, for the files of db/blob*. */
#ifndef DB_BLOB_ROW_H
#define DB_BLOB_ROW_H

#include "db/sql.h"

#define DB_BLOB_COLUMNS                                                                            \
    "b.sha256, b.size, b.reference_count, b.state, b.unused_since, b.checked_at,"                  \
    " b.checked_node_id, b.created_at"
#define DB_BLOB_COLUMN_COUNT 8

extern const struct db_col db_blob_cols[DB_BLOB_COLUMN_COUNT];

#endif
