/* SPDX-License-Identifier: Apache-2.0
 * The master key: where it is, which one it is, and its change. It seals everything that must not
 * be read from the database alone. Touches files and the database. */
#ifndef KEYS_MASTER_H
#define KEYS_MASTER_H

#include <stdbool.h>

#include "keys/keyring.h"

#define KEYS_PATH_SIZE 4096

/* Where the master key is, or should be. */
struct keys_master_place {
    char path[KEYS_PATH_SIZE];
    /* False: a file of ours, made at the first start, replaced when the key changes. True: systemd
     * gives it ($CREDENTIALS_DIRECTORY/master.key): never written, may belong to root. */
    bool credential;
};

/* option: --master-key, "" not given. Then the credential, if there is one; then master.key in the
 * state folder. CP_ERR_USAGE: too long a path. */
CP_MUST_CHECK enum cp_err keys_master_find(const char *option, const char *state_dir,
                                           struct keys_master_place *ret_place,
                                           struct cp_error *err);

/* Name of a master key that may be known: hexadecimal SHA-256 over a prefix and the key. */
CP_MUST_CHECK enum cp_err keys_master_fingerprint(const uint8_t key[KEYS_MASTER_SIZE],
                                                  char ret_text[DB_DIGEST_SIZE]);
CP_MUST_CHECK enum cp_err keys_ring_master_fingerprint(struct keys_ring *k,
                                                       char ret_text[DB_DIGEST_SIZE],
                                                       struct cp_error *err);

/* Where the keyring has it from: "file", "credential". */
const char *keys_ring_master_source(const struct keys_ring *k);

/* The keyring of a node with the master key of that place. A change that was cut off is brought to
 * its end, or undone: whichever of the two keys the database was sealed under counts. Call while
 * nobody else works for the node. A node whose database was sealed under a key that is not there
 * gets a keyring without one: nothing of it works (CP_ERR_KEY_UNUSABLE), and nothing is made or
 * replaced, until the right key is back, which is noticed at the next use, or keys_ring_care finds
 * another one. CP_ERR_KEY_UNUSABLE (the file), CP_ERR_DATABASE, NO_MEMORY. */
CP_MUST_CHECK enum cp_err keys_ring_open(const struct keys_master_place *place, struct db_pool *db,
                                         const char *node_id, struct keys_ring **ret_keyring,
                                         struct cp_error *err);

/* Seals every secret of the database (db/sealed.h) anew under another master key, in one
 * transaction. new_key: 32 bytes, NULL a random one (not with a credential: CP_ERR_CONFLICT). The
 * old key is kept beside the new one until keys_ring_settle_master; killed at any point of it,
 * keys_ring_open finds its way. *ret_sealed: how many secrets. */
CP_MUST_CHECK enum cp_err keys_ring_change_master(struct keys_ring *k, struct db_pool *db,
                                                  const uint8_t *new_key,
                                                  const struct keys_caller *caller,
                                                  uint64_t *ret_sealed, struct cp_error *err);

/* Finishes a change whose COMMIT happened unknown to us, or whose file could not be put in its place;
 * forgets the old key of one that is min_age nanoseconds old, after what was sealed under it
 * meanwhile was sealed anew. Nothing to do: CP_OK. CP_ERR_KEY_UNUSABLE: the file (nothing is
 * forgotten then). */
CP_MUST_CHECK enum cp_err keys_ring_settle_master(struct keys_ring *k, struct db_pool *db,
                                                  uint64_t min_age, struct cp_error *err);

/* Is the master key of the database there? */
bool keys_ring_has_master(struct keys_ring *k);

/* CP_ERR_KEY_UNUSABLE: the sentence, for everybody, that it is not. */
CP_MUST_CHECK enum cp_err keys_ring_missing(struct cp_error *err);

/* Does its file hold the master key that is in use? CP_ERR_KEY_UNUSABLE, with what is wrong: it does
 * not, and the next start will not find the key; or none is in use, since it is missing. CP_OK also
 * for a credential, and while the key is being changed. */
CP_MUST_CHECK enum cp_err keys_ring_check_master(struct keys_ring *k, struct cp_error *err);

/* The same, waiting for a change to end; a finding that is another one than the last time is told by
 * the event "master-key-lost" or "master-key-found", and in the log. *ret_finding: code and text, as
 * keys_ring_check_master has them. CP_ERR_DATABASE. */
CP_MUST_CHECK enum cp_err keys_ring_watch_master(struct keys_ring *k, struct db_pool *db,
                                                 const struct keys_caller *caller,
                                                 struct cp_error *ret_finding,
                                                 struct cp_error *err);

#endif
