/* SPDX-License-Identifier: Apache-2.0
 * Accounts: who may administer or fetch content. */
#ifndef DB_ACCOUNT_H
#define DB_ACCOUNT_H

#include "db/db.h"

/* Same order and numbers as enum api_role. */
enum db_role { DB_ROLE_NONE, DB_ROLE_CONTENT, DB_ROLE_VIEWER, DB_ROLE_OPERATOR, DB_ROLE_ADMIN };

/* "content", "viewer", "operator", "admin"; NONE is "none" and is not parsed. */
const char *db_role_name(enum db_role role);
bool db_role_parse(const char *text, enum db_role *ret_role);

struct db_account {
    char id[DB_ID_SIZE];
    char name[DB_NAME_SIZE]; /* [a-z0-9][a-z0-9._@-]{0,62} */
    char description[DB_TEXT_SIZE];
    enum db_role role;
    bool enabled;
    char password_hash[DB_TEXT_SIZE]; /* encoded scrypt; "" : no password, tokens only */
    char principal[DB_TEXT_SIZE];     /* Kerberos principal; "": none */
    int64_t revision;
    uint64_t created_at, updated_at;
    uint64_t locked_until; /* by failed logins; 0: not locked now; never stored by this */
};

/* Uses name, description, role, enabled, password_hash, principal. CP_ERR_CONFLICT
 * ("accounts_name_key", "accounts_principal_key"), CP_ERR_INVALID. */
CP_MUST_CHECK enum cp_err db_account_create(struct db_conn *conn, const struct db_account *in,
                                            struct db_account *ret_account, struct cp_error *err);

/* ref: name or id. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_account_get(struct db_conn *conn, const char *ref,
                                         struct db_account *ret_account, struct cp_error *err);

/* Which of the names there are, in the order of names; count is at least one. */
CP_MUST_CHECK enum cp_err db_account_named(struct db_conn *conn, const char *const *names,
                                           size_t count, struct db_account *ret_items,
                                           size_t *ret_count, struct cp_error *err);

/* By its Kerberos principal. CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_account_by_principal(struct db_conn *conn, const char *principal,
                                                  struct db_account *ret_account,
                                                  struct cp_error *err);

/* By name, those after `after`, at most limit. */
CP_MUST_CHECK enum cp_err db_account_list(struct db_conn *conn, const char *after, size_t limit,
                                          struct db_account *ret_items, size_t *ret_count,
                                          struct cp_error *err);

/* Which accounts, in which order, from where. Zeroed: all by name. */
struct db_account_list {
    const char *role;    /* word; NULL: all */
    const bool *enabled; /* NULL: all */
    bool descending;
    const char *after; /* name of the last row before; NULL or "": from the start */
};
CP_MUST_CHECK enum cp_err db_account_page(struct db_conn *conn, const struct db_account_list *list,
                                          size_t limit, struct db_account *ret_items,
                                          size_t *ret_count, struct cp_error *err);

/* Stores description, role, enabled, password_hash, principal of in->id when in->revision is the
 * present one (or DB_REVISION_ANY). CP_ERR_NOT_FOUND, CP_ERR_PRECONDITION_FAILED, CP_ERR_CONFLICT:
 * nobody would be left who may administer, or another account has that principal. */
CP_MUST_CHECK enum cp_err db_account_update(struct db_conn *conn, const struct db_account *in,
                                            struct db_account *ret_account, struct cp_error *err);

/* Several accounts that change together. Between the two calls, which db_account_update_part and
 * db_account_delete_part belong to, the last administrator may go before another comes, and a
 * principal may be that of two accounts until one gives it away; the second call looks at what came
 * of it all, CP_ERR_CONFLICT as above. In one transaction. */
CP_MUST_CHECK enum cp_err db_account_parts_begin(struct db_conn *conn, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_account_update_part(struct db_conn *conn, const struct db_account *in,
                                                 struct db_account *ret_account,
                                                 struct cp_error *err);
CP_MUST_CHECK enum cp_err db_account_delete_part(struct db_conn *conn, const char *id,
                                                 int64_t expected_revision, struct cp_error *err);
CP_MUST_CHECK enum cp_err db_account_parts_end(struct db_conn *conn, struct cp_error *err);

/* Another verifier of the same password, in the place of `from`; where that is not any more, nothing
 * happens. */
CP_MUST_CHECK enum cp_err db_account_rehash(struct db_conn *conn, const char *id, const char *from,
                                            const char *to, struct cp_error *err);

/* Deletes it with its tokens. Errors as update. */
CP_MUST_CHECK enum cp_err db_account_delete(struct db_conn *conn, const char *id,
                                            int64_t expected_revision, struct cp_error *err);

/* All accounts; 0 at first start, when the one-time admin is to be made. */
CP_MUST_CHECK enum cp_err db_account_count(struct db_conn *conn, uint64_t *ret_count,
                                           struct cp_error *err);

#endif
