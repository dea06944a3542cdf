/* SPDX-License-Identifier: Apache-2.0
 * One stored key: making it, and finding out whether it can be used. No database, no memory of its
 * own; thread-safe. */
#ifndef KEYS_CHECK_H
#define KEYS_CHECK_H

#include <stdbool.h>

#include "common/time.h"
#include "content/jws.h"
#include "db/key.h"

/* Lifetime of a multicast key's certificate, and when it is renewed before its end: a receiver must
 * never meet one that ends during a transmission. */
#define KEYS_CERTIFICATE_LIFETIME (365 * 86400 * CP_SEC)
#define KEYS_CERTIFICATE_RENEWAL  (30 * 86400 * CP_SEC)

/* Why no key can be used, nor repaired, while the master key is not there. */
#define KEYS_MASTER_MISSING "the master key is missing"

/* Unseals the row's private key and checks it against everything else in the row. True: *ret_pair
 * is usable (wipe it). False: reason says in plain words what is wrong. */
bool keys_check(const struct db_key *row, const uint8_t *master_key, struct jws_key *ret_pair,
                char ret_reason[DB_TEXT_SIZE]);

/* How the certificate of a multicast key is whose own parts are in order. */
enum keys_certificate {
    KEYS_CERTIFICATE_GOOD,
    KEYS_CERTIFICATE_ENDING, /* it is time for another one, nothing is wrong */
    KEYS_CERTIFICATE_WRONG   /* damaged, or not by this identity for this key and node */
};
/* reason: in plain words, unless it is good. */
enum keys_certificate keys_check_certificate(const struct db_key *row,
                                             const uint8_t identity[JWS_KEY_SIZE], uint64_t now_ns,
                                             char ret_reason[DB_TEXT_SIZE]);

/* A new certificate for the row's public key and node, from now_ns on, into the row. until_ns: its
 * end, 0: after the usual lifetime. CP_ERR_INTERNAL, NO_MEMORY. */
CP_MUST_CHECK enum cp_err keys_certify(const struct jws_key *identity, uint64_t now_ns,
                                       uint64_t until_ns, struct db_key *row);

/* What key to make. */
struct keys_spec {
    enum db_key_kind kind;
    const char *node_id;
    const uint8_t *master_key;
    const struct jws_key *identity; /* certifies a multicast key; NULL for an identity key */
    uint64_t now_ns;                /* where its certificate begins */
};

/* A new key pair and the row to store for it. Wipe *ret_pair. CP_ERR_INTERNAL, NO_MEMORY. */
CP_MUST_CHECK enum cp_err keys_make(const struct keys_spec *spec, struct db_key *ret_row,
                                    struct jws_key *ret_pair);

#endif
