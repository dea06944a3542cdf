/* SPDX-License-Identifier: Apache-2.0
 * Keys of a node: at most one identity and one multicast key in use, and at most one of each that
 * waits to follow. Private halves are sealed under the master key before they come here
 * (keys/keyring.h); which transition is allowed says keys/states.h. */
#ifndef DB_KEY_H
#define DB_KEY_H

#include "db/db.h"

enum db_key_kind { DB_KEY_IDENTITY, DB_KEY_MULTICAST, DB_KEY_KIND_COUNT };

/* "identity", "multicast". */
const char *db_key_kind_name(enum db_key_kind kind);
bool db_key_kind_parse(const char *text, enum db_key_kind *ret_kind);

enum db_key_state {
    DB_KEY_PENDING, /* made, not used yet */
    DB_KEY_ACTIVE,
    DB_KEY_OVERLAP, /* what it signed still holds; it signs nothing new */
    DB_KEY_RETIRED,
    DB_KEY_REVOKED,
    DB_KEY_DAMAGED, /* keeps its place (retired_at 0) until another key takes it */
    DB_KEY_STATE_COUNT
};
const char *db_key_state_name(enum db_key_state state);

#define DB_CERTIFICATE_SIZE 2048

struct db_key {
    char id[DB_ID_SIZE];
    char node_id[DB_ID_SIZE];
    enum db_key_kind kind;
    enum db_key_state state;
    char fingerprint[DB_DIGEST_SIZE];
    uint8_t public_key[64]; /* as stored, cut at the field's size: damaged rows must be readable */
    size_t public_key_size;
    uint8_t private_sealed[DB_SEALED_SIZE]; /* nothing once it is retired or revoked */
    size_t private_sealed_size;
    char certificate[DB_CERTIFICATE_SIZE]; /* multicast: JWS by the identity key; else "" */
    uint64_t not_before, not_after;        /* 0: without end */
    uint64_t created_at, activated_at, overlap_until, retired_at;
    char retired_reason[DB_TEXT_SIZE];
    uint64_t last_used_at;           /* at most one minute old */
    uint64_t checked_at;             /* last self-check */
    char check_result[DB_TEXT_SIZE]; /* "ok" or what is wrong; "" never checked */
};

/* The one in use: active, or damaged and not replaced. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_key_active(struct db_conn *conn, const char *node_id,
                                        enum db_key_kind kind, struct db_key *ret_key,
                                        struct cp_error *err);

/* Those of a kind that are not retired, revoked or replaced, newest first; at most limit. */
CP_MUST_CHECK enum cp_err db_key_present(struct db_conn *conn, const char *node_id,
                                         enum db_key_kind kind, size_t limit,
                                         struct db_key *ret_items, size_t *ret_count,
                                         struct cp_error *err);

/* Those of a kind that were in use, could be used no more, and were replaced; newest first. */
CP_MUST_CHECK enum cp_err db_key_lost(struct db_conn *conn, const char *node_id,
                                      enum db_key_kind kind, size_t limit, struct db_key *ret_items,
                                      size_t *ret_count, struct cp_error *err);

/* CP_ERR_NOT_FOUND: the node has no key of that kind and fingerprint. */
CP_MUST_CHECK enum cp_err db_key_by_fingerprint(struct db_conn *conn, const char *node_id,
                                                enum db_key_kind kind, const char *fingerprint,
                                                struct db_key *ret_key, struct cp_error *err);

/* Stores a new pending key: node_id, kind, fingerprint, public_key, private_sealed, certificate,
 * not_before, not_after are used. CP_ERR_CONFLICT: there is a pending one. */
CP_MUST_CHECK enum cp_err db_key_insert(struct db_conn *conn, const struct db_key *key,
                                        char ret_id[DB_ID_SIZE], struct cp_error *err);

/* One transition. */
struct db_key_move {
    const char *id;
    enum db_key_state from, to;
    const char *reason;     /* to retired, revoked, damaged: why */
    uint64_t overlap_until; /* to overlap */
    bool replaced;          /* to damaged: another key takes its place */
};
/* Guarded by the state that it leaves: CP_ERR_CONFLICT when the key is in another one. Retired and
 * revoked keys lose their private half. */
CP_MUST_CHECK enum cp_err db_key_move(struct db_conn *conn, const struct db_key_move *move,
                                      struct cp_error *err);

/* Another certificate: id, certificate, not_before, not_after are used. */
CP_MUST_CHECK enum cp_err db_key_certify(struct db_conn *conn, const struct db_key *key,
                                         struct cp_error *err);

/* Which keys of a node: kind and state as words, NULL any; those after the key `after` ("" or NULL
 * from the start). */
struct db_key_list {
    const char *node_id, *kind, *state, *after;
};
/* Newest first, at most limit. */
CP_MUST_CHECK enum cp_err db_key_list(struct db_conn *conn, const struct db_key_list *list,
                                      size_t limit, struct db_key *ret_items, size_t *ret_count,
                                      struct cp_error *err);

/* Notes a use, which a good self-check came before (rate-limited to one write a minute; never waits
 * for another writer). */
CP_MUST_CHECK enum cp_err db_key_touch(struct db_conn *conn, const char *id, struct cp_error *err);

/* Notes the result of a self-check. */
CP_MUST_CHECK enum cp_err db_key_checked(struct db_conn *conn, const char *id, const char *result,
                                         struct cp_error *err);

/* ---- what a key signed ---- */

/* Sealed versions whose manifest a multicast key of the node signed that is not in use any more (in
 * overlap, retired, revoked, replaced), at most limit of them. */
struct db_key_manifest {
    char version_id[DB_ID_SIZE];
    char *manifest; /* malloced */
    size_t size;
};
CP_MUST_CHECK enum cp_err db_key_stale_manifests(struct db_conn *conn, const char *node_id,
                                                 size_t limit, struct db_key_manifest *ret_items,
                                                 size_t *ret_count, struct cp_error *err);

/* ---- which master key seals ---- */

struct db_master_key {
    char fingerprint[DB_DIGEST_SIZE];
    uint64_t changed_at;
};
/* CP_ERR_NOT_FOUND: nothing was sealed yet, or by a castpointd that did not tell. */
CP_MUST_CHECK enum cp_err db_master_key_get(struct db_conn *conn, const char *node_id,
                                            struct db_master_key *ret_key, struct cp_error *err);
/* The same after every transaction that is about to change it has ended, even one whose client has
 * gone without knowing whether its COMMIT happened. In a body of db_run_tx_locking. */
CP_MUST_CHECK enum cp_err db_master_key_lock(struct db_conn *conn, const char *node_id,
                                             struct db_master_key *ret_key, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_master_key_set(struct db_conn *conn, const char *node_id,
                                            const char *fingerprint, struct cp_error *err);

/* Sessions of the node that have not ended, oldest first: what their secrets open is for the
 * caller to find out. */
struct db_session_secret {
    char session_id[DB_ID_SIZE];
    bool waiting; /* it has not started */
    uint8_t sealed[DB_SEALED_SIZE];
    size_t sealed_size;
};
CP_MUST_CHECK enum cp_err db_session_secrets(struct db_conn *conn, const char *node_id,
                                             const char *after, size_t limit,
                                             struct db_session_secret *ret_items, size_t *ret_count,
                                             struct cp_error *err);

#endif
