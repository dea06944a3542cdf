/* SPDX-License-Identifier: Apache-2.0
 * An account as fields of a request, and its making, change and removal with all that follows; for
 * accounts.c and configuration.c. Thread-safe. */
#ifndef API_ACCESS_ACCOUNTS_H
#define API_ACCESS_ACCOUNTS_H

#include "api/framework/fields.h"
#include "db/account.h"

/* Field "name": required, of the form of an account's name; borrowed. NULL: an error is collected. */
const char *api_account_read_name(struct api_fields *f);

/* All other fields but the password; what is not given stays as it is in *a. */
void api_account_read(struct api_fields *f, enum api_presence role_presence, struct db_account *a);

struct api_account_change {
    struct db_account present; /* unless it is new */
    struct db_account wanted;  /* wanted.revision is the expected one */
    struct db_account result;
    bool part; /* of several: between db_account_parts_begin and _end */
};

/* In a body of db_run_tx, with the event; make uses `wanted`, remove `present`. Errors in plain words
 * as db_account_create, _update, _delete. */
CP_MUST_CHECK enum cp_err api_account_make(struct db_conn *conn, const struct api_context *ctx,
                                           const struct api_call *call,
                                           struct api_account_change *c, struct cp_error *err);
CP_MUST_CHECK enum cp_err api_account_change(struct db_conn *conn, const struct api_context *ctx,
                                             const struct api_call *call,
                                             struct api_account_change *c, struct cp_error *err);
CP_MUST_CHECK enum cp_err api_account_remove(struct db_conn *conn, const struct api_context *ctx,
                                             const struct api_call *call,
                                             const struct api_account_change *c,
                                             struct cp_error *err);

#endif
