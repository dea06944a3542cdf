/* SPDX-License-Identifier: Apache-2.0
 * Nodes: the distribution points that share this database. */
#ifndef DB_NODE_H
#define DB_NODE_H

#include "db/db.h"

struct db_node {
    char id[DB_ID_SIZE];
    char name[DB_NAME_SIZE];
    char version[32]; /* castpoint's version at its last start */
    uint64_t created_at;
    uint64_t started_at; /* last start */
};

/* Finds the node by name or makes it, with default settings, and marks its start. */
CP_MUST_CHECK enum cp_err db_node_register(struct db_conn *conn, const char *name,
                                           const char *version, struct db_node *ret_node,
                                           struct cp_error *err);

/* ref: id or name. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_node_get(struct db_conn *conn, const char *ref,
                                      struct db_node *ret_node, struct cp_error *err);

/* By name, those after `after` ("" from the start), at most limit; ask for one more than you show
 * to know whether there is a next page. */
CP_MUST_CHECK enum cp_err db_node_list(struct db_conn *conn, const char *after, size_t limit,
                                       struct db_node *ret_items, size_t *ret_count,
                                       struct cp_error *err);

/* Row lock on the node: changes of its keys queue up behind it. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_node_lock(struct db_conn *conn, const char *node_id,
                                       struct cp_error *err);

#endif
