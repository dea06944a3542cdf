/* SPDX-License-Identifier: Apache-2.0
 * The distribution point's identity and multicast keys: made when first needed in the transaction
 * that needs them, checked on every use, replaced when they are missing, damaged or sealed under
 * another master key; rotated, revoked. Thread-safe; holds only the master key, the truth is in the
 * database. docs/keys.md tells the whole story. */
#ifndef KEYS_KEYRING_H
#define KEYS_KEYRING_H

#include <stdint.h>

#include "common/err.h"
#include "db/db.h"
#include "db/key.h"
#include "keys/credentials.h"

struct keys_ring;

/* master_key: 32 bytes, copied. node_id: whose keys. */
CP_MUST_CHECK enum cp_err keys_ring_new(const uint8_t *master_key, const char *node_id,
                                        struct keys_ring **ret_keyring);
void keys_ring_free(struct keys_ring *k); /* wipes */

/* Identities before the present one, whose overlap has not ended: clients that know one of them
 * only are given its certificate for the multicast key too. */
#define KEYS_PREVIOUS_MAX 4
struct keys_previous {
    uint8_t identity_key[32];
    char certificate[DB_CERTIFICATE_SIZE];
};

/* A usable multicast key with what a join's answer needs. Wipe with keys_multicast_done. */
struct keys_multicast {
    char id[DB_ID_SIZE];
    char fingerprint[DB_DIGEST_SIZE];
    uint8_t seed[32]; /* private */
    uint8_t public_key[32];
    char certificate[DB_CERTIFICATE_SIZE]; /* JWS by the identity key */
    uint8_t identity_key[32];              /* public */
    char identity_fingerprint[DB_DIGEST_SIZE];
    struct keys_previous previous[KEYS_PREVIOUS_MAX];
    size_t previous_count;
};
void keys_multicast_done(struct keys_multicast *key);

/* The active multicast key, after its self-check. In a body of db_run_tx_locking (it may lock the
 * node's row and write). What is unusable is replaced, or certified anew, and told by the events
 * "multicast-key-replaced", "multicast-key-certified", "identity-key-replaced" (the plain reason in
 * detail), all in this transaction. request_id: for the events. CP_ERR_KEY_UNUSABLE when the
 * setting key_repair forbids that, or not even a new one works. */
CP_MUST_CHECK enum cp_err keys_ring_multicast(struct keys_ring *k, struct db_conn *conn,
                                              const char *request_id,
                                              struct keys_multicast *ret_key, struct cp_error *err);

/* The identity's public key and fingerprint; same rules. */
CP_MUST_CHECK enum cp_err keys_ring_identity(struct keys_ring *k, struct db_conn *conn,
                                             const char *request_id, uint8_t ret_public[32],
                                             char ret_fingerprint[DB_DIGEST_SIZE],
                                             struct cp_error *err);

/* Who asks for a change of keys, and for which request: for the events. */
struct keys_caller {
    const char *actor; /* account's name, "" the service itself */
    const char *request_id;
};

/* Puts the prepared key of that kind, or a new one, in place of the present one. For the setting
 * key_overlap_hours what the old one signed still holds (an old identity goes on certifying for
 * clients that know only it). Only the multicast key's certificate changes with the identity.
 * Works on a damaged key even where the setting key_repair is off; but then a multicast key needs a
 * good identity (CP_ERR_KEY_UNUSABLE): rotate that one first. */
CP_MUST_CHECK enum cp_err keys_ring_rotate(struct keys_ring *k, struct db_conn *conn,
                                           enum db_key_kind kind, const struct keys_caller *caller,
                                           struct cp_error *err);

/* Somebody else may have the key: it is trusted no more, from now on. fingerprint: which, NULL the
 * one in use, whose place a new one takes. reason: of the caller, kept with the key.
 * CP_ERR_NOT_FOUND; CP_ERR_CONFLICT: it is revoked already. */
struct keys_revocation {
    enum db_key_kind kind;
    const char *fingerprint;
    const char *reason;
};
CP_MUST_CHECK enum cp_err keys_ring_revoke(struct keys_ring *k, struct db_conn *conn,
                                           const struct keys_revocation *revocation,
                                           const struct keys_caller *caller, struct cp_error *err);

/* Compact JWS over payload (a ticket), or, detached, "protected..signature" (a manifest). Malloced
 * text, caller frees. */
CP_MUST_CHECK enum cp_err keys_ring_sign(const struct keys_multicast *key, const void *payload,
                                         size_t size, char **ret_jws, struct cp_error *err);
CP_MUST_CHECK enum cp_err keys_ring_sign_detached(const struct keys_multicast *key,
                                                  const void *payload, size_t size, char **ret_jws,
                                                  struct cp_error *err);

/* ---- other secrets ---- */

/* Seals what is stored in the database under the present master key; purpose as with keys_seal.
 * ret_sealed has room for size + KEYS_SEAL_OVERHEAD. Every column of sealed bytes has a row in
 * db/sealed.c: what has none is lost when the master key changes. CP_ERR_KEY_UNUSABLE: the master
 * key is missing; CP_ERR_INTERNAL, NO_MEMORY. */
CP_MUST_CHECK enum cp_err keys_ring_seal(struct keys_ring *k, const char *purpose, const void *data,
                                         size_t size, uint8_t *ret_sealed, size_t *ret_sealed_size);
/* CP_ERR_SIGNATURE: damaged, for another purpose, or sealed under another master key.
 * CP_ERR_KEY_UNUSABLE: the master key is missing; it opens again when that is back. cap: room in
 * ret_data; wipe it after use. */
CP_MUST_CHECK enum cp_err keys_ring_unseal(struct keys_ring *k, const char *purpose,
                                           struct keys_sealed sealed, void *ret_data, size_t cap,
                                           size_t *ret_size);

/* Session secrets: 32 random bytes, sealed for that session's row. */
CP_MUST_CHECK enum cp_err keys_ring_secret_new(struct keys_ring *k, const char *session_id,
                                               uint8_t ret_sealed[DB_SEALED_SIZE],
                                               size_t *ret_sealed_size, struct cp_error *err);
/* CP_ERR_KEY_UNUSABLE: the row was sealed under another master key or is damaged. */
CP_MUST_CHECK enum cp_err keys_ring_secret_open(struct keys_ring *k, const char *session_id,
                                                const uint8_t *sealed, size_t sealed_size,
                                                uint8_t ret_secret[32], struct cp_error *err);

/* Sessions of a node that have not ended, and how many secrets of them this keyring cannot open. */
struct keys_secrets {
    uint32_t waiting, running;
    uint32_t unusable;
};
CP_MUST_CHECK enum cp_err keys_ring_secrets(struct keys_ring *k, struct db_conn *conn,
                                            const char *node_id, struct keys_secrets *ret_secrets,
                                            struct cp_error *err);

/* A new secret for a session that has not started: tickets given before are worth nothing for it
 * any more (their receivers hear nothing that they can verify and turn to HTTPS), so revoke the
 * receivers that must not have it and tell the others to leave in the same transaction. Writes the
 * event "session-rekeyed" with `reason`, a plain sentence. CP_ERR_CONFLICT: the session does not
 * wait any more; its secret stays. */
CP_MUST_CHECK enum cp_err keys_ring_session_rekey(struct keys_ring *k, struct db_conn *conn,
                                                  const char *session_id, const char *reason,
                                                  const char *request_id, struct cp_error *err);

#endif
