/* SPDX-License-Identifier: Apache-2.0
 * Client certificates that stand for an account: one by its SHA-256, or all of a subject and
 * issuer. */
#ifndef DB_CERTIFICATE_H
#define DB_CERTIFICATE_H

#include "db/account.h"
#include "db/db.h"

struct db_certificate {
    char id[DB_ID_SIZE];
    char account_id[DB_ID_SIZE];
    char account[DB_NAME_SIZE];
    enum db_role account_role;
    bool account_enabled;
    char name[DB_NAME_SIZE];     /* what people call it; may be "" */
    char sha256[DB_DIGEST_SIZE]; /* "": by names */
    char subject[DB_TEXT_SIZE];  /* RFC 4514; "": by digest */
    char issuer[DB_TEXT_SIZE];
    uint64_t last_used_at, created_at;
};

/* Uses account_id, name and sha256, or subject and issuer. CP_ERR_CONFLICT: it stands for an
 * account already. CP_ERR_NOT_FOUND: no such account. */
CP_MUST_CHECK enum cp_err db_certificate_create(struct db_conn *conn,
                                                const struct db_certificate *in,
                                                struct db_certificate *ret_certificate,
                                                struct cp_error *err);

/* The row of a certificate that was shown: that of its digest, else that of its names.
 * CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_certificate_find(struct db_conn *conn, const char *sha256,
                                              const char *subject, const char *issuer,
                                              struct db_certificate *ret_certificate,
                                              struct cp_error *err);

CP_MUST_CHECK enum cp_err db_certificate_get(struct db_conn *conn, const char *id,
                                             struct db_certificate *ret_certificate,
                                             struct cp_error *err);

/* Of an account by id, those after `after` ("" from the start), at most limit. */
CP_MUST_CHECK enum cp_err db_certificate_list(struct db_conn *conn, const char *account_id,
                                              const char *after, size_t limit,
                                              struct db_certificate *ret_items, size_t *ret_count,
                                              struct cp_error *err);

/* CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_certificate_delete(struct db_conn *conn, const char *id,
                                                struct cp_error *err);

/* Notes use (rate-limited to one write a minute). */
CP_MUST_CHECK enum cp_err db_certificate_touch(struct db_conn *conn, const char *id,
                                               struct cp_error *err);

#endif
