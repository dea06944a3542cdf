/* SPDX-License-Identifier: Apache-2.0
 * Tokens of accounts. Only the SHA-256 of the secret is stored. */
#ifndef DB_TOKEN_H
#define DB_TOKEN_H

#include "db/account.h"
#include "db/db.h"

struct db_token {
    char id[DB_ID_SIZE];
    char account_id[DB_ID_SIZE];
    char account[DB_NAME_SIZE];
    enum db_role account_role;
    bool account_enabled;
    char name[DB_NAME_SIZE]; /* what its owner calls it; may be "" */
    char prefix[9];          /* of the secret, to recognise it by; "": not known */
    enum db_role scope;      /* effective role: the lower of scope and account_role */
    bool enabled;
    uint64_t expires_at; /* 0 never */
    bool expired;        /* by the database's clock */
    uint64_t last_used_at;
    uint64_t created_at;
    int64_t revision;
};

/* Uses account_id, name, prefix, scope, expires_at. hash: SHA-256 of the secret. CP_ERR_NOT_FOUND: no
 * such account. */
CP_MUST_CHECK enum cp_err db_token_create(struct db_conn *conn, const struct db_token *in,
                                          const uint8_t hash[DB_HASH_SIZE],
                                          struct db_token *ret_token, struct cp_error *err);

/* By hash, whatever its state: look at enabled, account_enabled, expired. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_token_find(struct db_conn *conn, const uint8_t hash[DB_HASH_SIZE],
                                        struct db_token *ret_token, struct cp_error *err);

CP_MUST_CHECK enum cp_err db_token_get(struct db_conn *conn, const char *id,
                                       struct db_token *ret_token, struct cp_error *err);

/* Of the token itself, whatever its account is: switched on and not past its end; past it, switched
 * on or off; switched off. */
enum db_token_state { DB_TOKEN_ANY, DB_TOKEN_ACTIVE, DB_TOKEN_EXPIRED, DB_TOKEN_DISABLED };

/* Which tokens, by id. */
struct db_token_list {
    const char *account_id; /* NULL: of all accounts */
    enum db_role upto;      /* those of at most that effective role */
    enum db_token_state state;
    const char *after; /* id of the last row before; "": from the start */
};
CP_MUST_CHECK enum cp_err db_token_list(struct db_conn *conn, const struct db_token_list *list,
                                        size_t limit, struct db_token *ret_items, size_t *ret_count,
                                        struct cp_error *err);

/* Stores name and enabled of in->id when in->revision is the present one (or DB_REVISION_ANY).
 * CP_ERR_NOT_FOUND, CP_ERR_PRECONDITION_FAILED. */
CP_MUST_CHECK enum cp_err db_token_update(struct db_conn *conn, const struct db_token *in,
                                          struct db_token *ret_token, struct cp_error *err);

/* Enabled tokens that expire within so many seconds and were not given out by this before, at most
 * limit; notes that they were. */
CP_MUST_CHECK enum cp_err db_token_expiring(struct db_conn *conn, uint64_t within_s, size_t limit,
                                            struct db_token *ret_items, size_t *ret_count,
                                            struct cp_error *err);

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_token_delete(struct db_conn *conn, const char *id,
                                          struct cp_error *err);

/* Notes use (rate-limited to one write a minute). */
CP_MUST_CHECK enum cp_err db_token_touch(struct db_conn *conn, const char *id,
                                         struct cp_error *err);

#endif
