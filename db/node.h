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
    uint64_t started_at;         /* last start */
    char library_id[DB_ID_SIZE]; /* of its content library; "": it has none yet */
    uint64_t
        library_foreign_since; /* the library that it finds is another one; 0: it is that one */
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

/* The library that the node finds is its own: it is known by `found` ("": one that has no identity)
 * from now on unless the node knows another identity of it already; fresh: by a new one in any case.
 * *ret_id: what the library is to say of itself. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_node_own_library(struct db_conn *conn, const char *node_id,
                                              const char *found, bool fresh,
                                              char ret_id[DB_ID_SIZE], struct cp_error *err);
/* The library that the node finds is another one's; *ret_news: that was not known. */
CP_MUST_CHECK enum cp_err db_node_foreign_library(struct db_conn *conn, const char *node_id,
                                                  bool *ret_news, struct cp_error *err);

/* Row lock on the node: changes of its keys queue up behind it. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_node_lock(struct db_conn *conn, const char *node_id,
                                       struct cp_error *err);

#endif
