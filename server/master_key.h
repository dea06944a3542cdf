/* SPDX-License-Identifier: Apache-2.0
 * castpointd --rotate-master-key: seals all secrets under another master key while no castpointd
 * works for the node; --new-master-key: begins anew without the former one. Touches the database and
 * the key files. */
#ifndef SERVER_MASTER_KEY_H
#define SERVER_MASTER_KEY_H

#include "server/config.h"

/* The new key is that of the file config->rotate_master_key, made when it is missing. Says on
 * standard output what is to be done then. CP_ERR_CONFLICT: castpointd runs; CP_ERR_NOT_FOUND: the
 * node never did; CP_ERR_MASTER_KEY: a file; CP_ERR_DATABASE. Killed at any point of it, the next
 * start, or another try, goes on with one of both keys. */
CP_MUST_CHECK enum cp_err srv_rotate_master_key(const struct srv_config *config,
                                                struct cp_error *err);

/* A master key in the place of one that is lost for good, for a castpointd that runs or will start:
 * it makes everything anew that was sealed under the former one. CP_ERR_CONFLICT: there is one. */
CP_MUST_CHECK enum cp_err srv_new_master_key(const struct srv_config *config, struct cp_error *err);

#endif
