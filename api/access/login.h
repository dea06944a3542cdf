/* SPDX-License-Identifier: Apache-2.0
 * Names and passwords (Basic), with the limits on guessing: wrong passwords are counted by name in
 * the database and by address in memory. Touches the database; thread-safe. */
#ifndef API_ACCESS_LOGIN_H
#define API_ACCESS_LOGIN_H

#include "api/api.h"
#include "db/account.h"
#include "db/db.h"

/* text: what follows "Basic". CP_ERR_AUTH_FAILED without saying what was wrong,
 * CP_ERR_ACCOUNT_LOCKED whether there is such an account or not, CP_ERR_TOO_MANY_REQUESTS. */
CP_MUST_CHECK enum cp_err api_login_password(const struct api_context *ctx,
                                             const struct api_request *rq, const char *text,
                                             struct api_principal *ret_who, struct cp_error *err);

/* What failed logins are counted under. */
CP_MUST_CHECK enum cp_err api_login_name_hash(const char *name, uint8_t ret_hash[DB_HASH_SIZE],
                                              struct cp_error *err);

/* The one answer to wrong credentials of every kind. */
enum cp_err api_login_refuse(struct cp_error *err);

/* Who has that account. */
void api_login_as(const struct db_account *account, enum api_auth_method method,
                  struct api_principal *ret_who);

#endif
