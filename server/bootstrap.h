/* SPDX-License-Identifier: Apache-2.0
 * What must be there before the service can serve: state folder, certificate, master key, content
 * library, database with its schema, this node's row, keys, the first administrator. */
#ifndef SERVER_BOOTSTRAP_H
#define SERVER_BOOTSTRAP_H

#include <stdbool.h>

#include "common/err.h"
#include "db/node.h"
#include "server/config.h"
#include "server/tls_cert.h"

struct api_auth_cache;
struct keys_ring;
struct blob_store;
struct db_listener;
struct db_pool;

/* All owned. */
struct srv_parts {
    struct srv_tls tls;
    struct blob_store *blobs;
    struct db_pool *db;
    struct db_node node;
    struct db_listener *listener; /* for the scheduler; holds the claim on the node */
    struct keys_ring *keyring;
    struct db_listener *task_listener;
    struct api_auth_cache *auth_cache;
    char admin_password_path[SRV_PATH_SIZE + 16]; /* "" when no administrator was made now */
};

/* Waits about a second; true: give up, a signal came. */
typedef bool srv_pause(void);

/* Makes or opens everything; what an earlier, broken-off start left is used. While PostgreSQL is
 * away it tries again for 30 s, with pause between. Failures name what failed; CP_ERR_INTERRUPTED
 * when pause said so. Logs. */
CP_MUST_CHECK enum cp_err srv_bootstrap(const struct srv_config *config, srv_pause *pause,
                                        struct srv_parts *ret_parts, struct cp_error *err);

/* Zeroed or half-made object allowed. */
void srv_parts_done(struct srv_parts *p);

#endif
