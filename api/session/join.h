/* SPDX-License-Identifier: Apache-2.0
 * The transaction of a join: who may have what, by which way, in which session. Touches the
 * database through the connection it is given; joins.c wraps it in HTTP. */
#ifndef API_SESSION_JOIN_H
#define API_SESSION_JOIN_H

#include <stdbool.h>

#include "api/api.h"
#include "db/receiver.h"
#include "db/session.h"
#include "db/settings.h"
#include "db/version.h"
#include "keys/credentials.h"
#include "keys/keyring.h"

struct api_join {
    /* wish */
    const struct api_context *ctx;
    const struct api_call *call;
    const char *package;
    uint32_t number; /* version, 0: the current one */
    const char *client_id, *client_name, *client_version;
    bool multicast;
    uint8_t token_hash[KEYS_TOKEN_HASH_SIZE];
    /* answer, filled by api_join_body; wipe with api_join_done */
    struct db_settings settings;
    struct db_version version;
    struct keys_multicast key;
    struct api_link link;
    struct db_session session; /* id "" : none */
    uint8_t secret[32];
    struct db_receiver receiver;
    bool rejoined, session_made;
    enum cp_err no_session;
    const char *no_session_detail; /* static */
};

/* A body for db_run_tx_locking; arg: struct api_join. Errors: those of docs/protocol.md section 4. */
CP_MUST_CHECK enum cp_err api_join_body(struct db_conn *conn, void *arg, struct cp_error *err);

void api_join_done(struct api_join *j);

#endif
