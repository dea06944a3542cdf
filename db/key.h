/* SPDX-License-Identifier: Apache-2.0
 * Keys of a node: at most one active identity and one active multicast key. Private halves are
 * sealed under the master key before they come here (keys/keyring.h). */
#ifndef DB_KEY_H
#define DB_KEY_H

#include "db/db.h"

enum db_key_kind { DB_KEY_IDENTITY, DB_KEY_MULTICAST };

/* "identity", "multicast". */
const char *db_key_kind_name(enum db_key_kind kind);
bool db_key_kind_parse(const char *text, enum db_key_kind *ret_kind);

#define DB_CERTIFICATE_SIZE 2048

struct db_key {
    char id[DB_ID_SIZE];
    char node_id[DB_ID_SIZE];
    enum db_key_kind kind;
    bool active; /* false: retired */
    char fingerprint[DB_DIGEST_SIZE];
    uint8_t public_key[64]; /* as stored, cut at the field's size: damaged rows must be readable */
    size_t public_key_size;
    uint8_t private_sealed[DB_SEALED_SIZE];
    size_t private_sealed_size;
    char certificate[DB_CERTIFICATE_SIZE]; /* multicast: JWS by the identity key; else "" */
    uint64_t not_before, not_after;        /* 0: without end */
    uint64_t created_at, retired_at;
    char retired_reason[DB_TEXT_SIZE];
    uint64_t last_used_at;           /* at most one minute old */
    uint64_t checked_at;             /* last self-check */
    char check_result[DB_TEXT_SIZE]; /* "ok" or what is wrong; "" never checked */
};

/* The active one. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_key_active(struct db_conn *conn, const char *node_id,
                                        enum db_key_kind kind, struct db_key *ret_key,
                                        struct cp_error *err);

/* Stores a new active key: node_id, kind, fingerprint, public_key, private_sealed, certificate,
 * not_before, not_after are used. CP_ERR_CONFLICT: there is an active one. */
CP_MUST_CHECK enum cp_err db_key_insert(struct db_conn *conn, const struct db_key *key,
                                        char ret_id[DB_ID_SIZE], struct cp_error *err);

CP_MUST_CHECK enum cp_err db_key_retire(struct db_conn *conn, const char *id, const char *reason,
                                        struct cp_error *err);

/* Newest first; after: id of the last one seen, "" from the start. */
CP_MUST_CHECK enum cp_err db_key_list(struct db_conn *conn, const char *node_id, const char *after,
                                      size_t limit, struct db_key *ret_items, size_t *ret_count,
                                      struct cp_error *err);

/* Notes a use, which a good self-check came before (rate-limited to one write a minute; never waits
 * for another writer). */
CP_MUST_CHECK enum cp_err db_key_touch(struct db_conn *conn, const char *id, struct cp_error *err);

/* Notes the result of a self-check. */
CP_MUST_CHECK enum cp_err db_key_checked(struct db_conn *conn, const char *id, const char *result,
                                         struct cp_error *err);

#endif
