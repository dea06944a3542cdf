/* SPDX-License-Identifier: Apache-2.0
 * The distribution point's identity and multicast keys: made when first needed in the transaction
 * that needs them, checked on every use, replaced when they are missing, damaged or sealed under
 * another master key. Thread-safe; holds only the master key, the truth is in the database. */
#ifndef KEYS_KEYRING_H
#define KEYS_KEYRING_H

#include <stdint.h>

#include "common/err.h"
#include "db/db.h"
#include "db/key.h"

struct keys_ring;

/* master_key: 32 bytes, copied. node_id: whose keys. */
CP_MUST_CHECK enum cp_err keys_ring_new(const uint8_t *master_key, const char *node_id,
                                        struct keys_ring **ret_keyring);
void keys_ring_free(struct keys_ring *k); /* wipes */

/* A usable multicast key with what a join's answer needs. Wipe with keys_multicast_done. */
struct keys_multicast {
    char id[DB_ID_SIZE];
    char fingerprint[DB_DIGEST_SIZE];
    uint8_t seed[32]; /* private */
    uint8_t public_key[32];
    char certificate[DB_CERTIFICATE_SIZE]; /* JWS by the identity key */
    uint8_t identity_key[32];              /* public */
    char identity_fingerprint[DB_DIGEST_SIZE];
};
void keys_multicast_done(struct keys_multicast *key);

/* The active multicast key, after its self-check. In a body of db_run_tx_locking (it may lock the
 * node's row and write). What is unusable is retired, replaced, certified, and told by the events
 * "multicast-key-replaced" / "identity-key-replaced" (the plain reason in detail), all in this
 * transaction. request_id: for the events. CP_ERR_KEY_UNUSABLE when not even a new one works. */
CP_MUST_CHECK enum cp_err keys_ring_multicast(struct keys_ring *k, struct db_conn *conn,
                                              const char *request_id,
                                              struct keys_multicast *ret_key, struct cp_error *err);

/* The identity's public key and fingerprint; same rules. */
CP_MUST_CHECK enum cp_err keys_ring_identity(struct keys_ring *k, struct db_conn *conn,
                                             const char *request_id, uint8_t ret_public[32],
                                             char ret_fingerprint[DB_DIGEST_SIZE],
                                             struct cp_error *err);

/* Makes a new key of that kind in place of the active one and certifies. A new identity also
 * brings a new multicast key's certificate. actor: account's name for the event. */
CP_MUST_CHECK enum cp_err keys_ring_rotate(struct keys_ring *k, struct db_conn *conn,
                                           enum db_key_kind kind, const char *actor,
                                           const char *request_id, struct cp_error *err);

/* Compact JWS over payload (a ticket), or, detached, "protected..signature" (a manifest). Malloced
 * text, caller frees. */
CP_MUST_CHECK enum cp_err keys_ring_sign(const struct keys_multicast *key, const void *payload,
                                         size_t size, char **ret_jws, struct cp_error *err);
CP_MUST_CHECK enum cp_err keys_ring_sign_detached(const struct keys_multicast *key,
                                                  const void *payload, size_t size, char **ret_jws,
                                                  struct cp_error *err);

/* Session secrets: 32 random bytes, sealed for that session's row. */
CP_MUST_CHECK enum cp_err keys_ring_secret_new(struct keys_ring *k, const char *session_id,
                                               uint8_t ret_sealed[DB_SEALED_SIZE],
                                               size_t *ret_sealed_size, struct cp_error *err);
/* CP_ERR_KEY_UNUSABLE: the row was sealed under another master key or is damaged. */
CP_MUST_CHECK enum cp_err keys_ring_secret_open(struct keys_ring *k, const char *session_id,
                                                const uint8_t *sealed, size_t sealed_size,
                                                uint8_t ret_secret[32], struct cp_error *err);

#endif
