/* SPDX-License-Identifier: Apache-2.0
 * Failed logins by name. A name that no account has is counted and locked as any other, so that no
 * answer tells which accounts there are. */
#ifndef DB_LOGIN_H
#define DB_LOGIN_H

#include "db/db.h"

/* How often, and for how long: of the settings. */
struct db_login_limits {
    uint32_t failures;  /* within DB_LOGIN_WINDOW_S; 0: nothing is ever locked */
    uint32_t lockout_s; /* seconds */
};
#define DB_LOGIN_WINDOW_S 900

struct db_login {
    uint32_t failures;     /* of the present window; 0: none known */
    uint64_t locked_until; /* 0: not locked now */
    uint32_t wait_s;       /* until then, rounded up */
};

/* What is known of a name. name_hash: its SHA-256. Never CP_ERR_NOT_FOUND. */
CP_MUST_CHECK enum cp_err db_login_get(struct db_conn *conn, const uint8_t name_hash[DB_HASH_SIZE],
                                       struct db_login *ret_login, struct cp_error *err);

/* Counts one more. *ret_login: as it stands then; *ret_locked: this one locked it. */
CP_MUST_CHECK enum cp_err db_login_failed(struct db_conn *conn,
                                          const uint8_t name_hash[DB_HASH_SIZE],
                                          const struct db_login_limits *limits,
                                          struct db_login *ret_login, bool *ret_locked,
                                          struct cp_error *err);

/* Forgets them: a login that succeeded, an administrator. *ret_had: there were some. */
CP_MUST_CHECK enum cp_err db_login_clear(struct db_conn *conn,
                                         const uint8_t name_hash[DB_HASH_SIZE], bool *ret_had,
                                         struct cp_error *err);

/* Forgets all that count no more. */
CP_MUST_CHECK enum cp_err db_login_purge(struct db_conn *conn, uint64_t *ret_count,
                                         struct cp_error *err);

#endif
