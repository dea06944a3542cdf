/* SPDX-License-Identifier: Apache-2.0
 * Inside keys/ only: what a keyring holds. */
#ifndef KEYS_KEYRING_PRIVATE_H
#define KEYS_KEYRING_PRIVATE_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
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
    bool missing; /* there is none: nothing can be sealed, opened or repaired */
};

struct keys_ring {
    char node_id[DB_ID_SIZE];
    struct keys_master_place place; /* path "": the master key came without a file */
    pthread_mutex_t changing;       /* held by a change of the master key, and by settling one */
    char told[CP_ERROR_TEXT_SIZE];  /* what was last told of its file, "" it is as it should be */
    pthread_rwlock_t lock;          /* of masters; taken after the other one */
    struct keys_masters masters;
    char missed[DB_DIGEST_SIZE]; /* fingerprint of the one that is missing */
    atomic_bool adopted;         /* another one was taken instead, which the database must learn */
};

/* A copy; wipe it after use. One that was missing is looked for first. */
void keys_ring_masters(struct keys_ring *k, struct keys_masters *ret_masters);

/* A credential is systemd's, and some keyrings have no file. */
bool keys_ring_has_file(const struct keys_ring *k);

/* ---- a master key that is not there (master_lost.c) ---- */

/* The keyring is without a master key; fingerprint: of the one that the database was sealed under. */
void keys_ring_lose_master(struct keys_ring *k, const char *fingerprint);
/* Takes the key that is missing when its file is there again; any: another key, too. */
bool keys_ring_seek_master(struct keys_ring *k, bool any);
bool keys_ring_adopted(const struct keys_ring *k);
void keys_ring_settle_adopted(struct keys_ring *k);
/* CP_ERR_KEY_UNUSABLE with its place and the remedy, for administrators. */
void keys_ring_say_missing(const struct keys_ring *k, struct cp_error *err);

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
