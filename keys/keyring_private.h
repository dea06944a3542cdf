/* SPDX-License-Identifier: Apache-2.0
 * Inside keys/ only: what a keyring holds. */
#ifndef KEYS_KEYRING_PRIVATE_H
#define KEYS_KEYRING_PRIVATE_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "keys/credentials.h"
#include "keys/keyring.h"
#include "keys/master.h"

/* Master keys: everything is sealed under the current one; what was sealed under the other one
 * opens too, as long as a change of the master key is under way. */
struct keys_masters {
    uint8_t current[KEYS_MASTER_SIZE];
    uint8_t other[KEYS_MASTER_SIZE];
    bool has_other;
};

struct keys_ring {
    char node_id[DB_ID_SIZE];
    struct keys_master_place place; /* path "": the master key came without a file */
    pthread_mutex_t changing;       /* held by a change of the master key, and by settling one */
    pthread_rwlock_t lock;          /* of masters; taken after the other one */
    struct keys_masters masters;
};

/* A copy; wipe it after use. */
void keys_ring_masters(struct keys_ring *k, struct keys_masters *ret_masters);

/* Writes an event of the keyring's node; takes over detail. */
struct keys_event {
    const char *kind;
    const char *subject;
    const char *actor;
    const char *request_id;
    json_t *detail;
};
CP_MUST_CHECK enum cp_err keys_event_write(struct db_conn *conn, const struct keys_ring *k,
                                           const struct keys_event *event, struct cp_error *err);

#endif
