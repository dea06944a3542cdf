/* SPDX-License-Identifier: Apache-2.0
 * Inside keys/ only: one transaction's view of a node's keys, and the steps that change them. */
#ifndef KEYS_RING_H
#define KEYS_RING_H

#include <stdbool.h>

#include "content/jws.h"
#include "db/settings.h"
#include "keys/check.h"
#include "keys/keyring_private.h"
#include "keys/states.h"

/* The key in use of one kind, as found or made. */
struct ring_key {
    struct db_key row;
    struct jws_key pair;       /* of a sound one */
    bool stored;               /* there is a row in this place */
    bool sound;                /* its own parts are in order */
    bool usable;               /* sound, and a multicast key's certificate holds */
    char reason[DB_TEXT_SIZE]; /* not usable: why */
    bool has_pending;
    struct db_key pending;
};

struct ring {
    struct keys_ring *k;
    struct db_conn *conn;
    const char *actor;
    const char *request_id;
    uint64_t now_ns;
    bool force; /* an operator asked: repair whatever the setting says */
    struct keys_masters masters;
    struct ring_key keys[DB_KEY_KIND_COUNT];
    enum keys_certificate certificate;         /* of a sound multicast key */
    struct db_key previous[KEYS_PREVIOUS_MAX]; /* identities in overlap */
    size_t previous_count;
    struct db_settings settings; /* read with the first lock */
};

/* Malloced; actor and request_id are borrowed ("" for none). CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err ring_new(struct keys_ring *k, struct db_conn *conn, const char *actor,
                                   const char *request_id, struct ring **ret_ring,
                                   struct cp_error *err);
void ring_free(struct ring *ring); /* wipes */

/* Reads and checks the keys of the node. */
CP_MUST_CHECK enum cp_err ring_read(struct ring *ring, struct cp_error *err);
/* The same under the lock of the node, with its settings. */
CP_MUST_CHECK enum cp_err ring_lock(struct ring *ring, struct cp_error *err);

/* Unseals and checks one row by the present master key or the other one. */
bool ring_check(const struct ring *ring, const struct db_key *row, struct jws_key *ret_pair,
                char ret_reason[DB_TEXT_SIZE]);

/* A usable identity, and a usable multicast key; what is not is repaired, if that is allowed.
 * Needs ring_lock. CP_ERR_KEY_UNUSABLE. */
CP_MUST_CHECK enum cp_err ring_mend_identity(struct ring *ring, struct cp_error *err);
CP_MUST_CHECK enum cp_err ring_mend_multicast(struct ring *ring, struct cp_error *err);

/* How a key leaves its place, and how that is told. */
struct ring_reason {
    enum keys_change change; /* KEYS_SUPERSEDE, KEYS_REVOKE, KEYS_DAMAGE */
    const char *event; /* last word of the event's kind: "rotated"; NULL: created or replaced */
    const char *text;  /* why, in plain words */
};
/* Puts the pending key, or a new one, in the place of the present one, if there is one. */
CP_MUST_CHECK enum cp_err ring_replace(struct ring *ring, enum db_key_kind kind,
                                       const struct ring_reason *why, struct cp_error *err);
/* A new certificate for the multicast key by the present identity, with an event. */
CP_MUST_CHECK enum cp_err ring_certify(struct ring *ring, const char *why, struct cp_error *err);

/* Makes a key that waits to follow, unless there is one. */
CP_MUST_CHECK enum cp_err ring_prepare(struct ring *ring, enum db_key_kind kind,
                                       struct cp_error *err);

/* One transition of a row, by the table of states. */
CP_MUST_CHECK enum cp_err ring_move(struct ring *ring, struct db_key *row, enum keys_change change,
                                    const char *why, bool replaced, struct cp_error *err);

/* The end of a key's overlap, with its event. */
CP_MUST_CHECK enum cp_err ring_retire(struct ring *ring, struct db_key *row, const char *why,
                                      struct cp_error *err);
/* Why an identity's overlap ends before its time. */
#define RING_CROWDED "there were too many rotations: four former identities are the most"

/* An event "<kind>-key-<what>" about the row; old may be NULL. */
CP_MUST_CHECK enum cp_err ring_event(const struct ring *ring, const struct db_key *row,
                                     const char *what, const char *why, const char *old,
                                     struct cp_error *err);

#endif
