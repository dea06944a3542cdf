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
struct api_lockout;
struct api_negotiate;
struct srv_trust;
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
    struct api_lockout *lockout;
    struct api_negotiate *negotiate;              /* NULL: no Kerberos */
    struct srv_trust *trust;                      /* NULL: no client certificates */
    char admin_password_path[SRV_PATH_SIZE + 16]; /* "" when no administrator was made now */
};

/* Waits about a second; true: give up, a signal came. */
typedef bool srv_pause(void);

/* What needs no database: with it HTTP can be served. Failures name what failed. */
CP_MUST_CHECK enum cp_err srv_parts_local(const struct srv_config *config,
                                          struct srv_parts *ret_parts, struct cp_error *err);

/* The rest, in one attempt; what an earlier, broken-off start left is used. Nothing of it is left
 * after a failure, so that it can be called again. A predecessor's claim on the node is waited for,
 * with pause between (CP_ERR_CONFLICT after 10 s; CP_ERR_INTERRUPTED when pause said so). */
CP_MUST_CHECK enum cp_err srv_parts_stored(const struct srv_config *config, srv_pause *pause,
                                           struct srv_parts *parts, struct cp_error *err);
void srv_parts_stored_done(struct srv_parts *p);

/* Brings the schema up to date, and what the service's role may do, and nothing else. */
CP_MUST_CHECK enum cp_err srv_migrate(const struct srv_config *config, struct cp_error *err);

/* Zeroed or half-made object allowed. */
void srv_parts_done(struct srv_parts *p);

#endif
