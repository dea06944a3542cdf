/* SPDX-License-Identifier: Apache-2.0
 * A package as JSON and as fields of a request, and its making, change and removal with all that
 * follows; for packages.c, promotions.c and configuration.c. Thread-safe. */
#ifndef API_CONTENT_PACKAGES_H
#define API_CONTENT_PACKAGES_H

#include <jansson.h>

#include "api/access/access_change.h"
#include "api/framework/fields.h"
#include "db/package.h"

/* What a package has that no field says otherwise of. */
#define API_PACKAGE_NEW                                                                            \
    {                                                                                              \
        .policy = DB_POLICY_PREFER, .encrypt = true                                                \
    }

json_t *api_package_json(const struct db_package *p);

/* Field "name": required, of the form of a package's name; borrowed. NULL: an error is collected. */
const char *api_package_read_name(struct api_fields *f);

/* The fields that may be changed; what is not given stays as it is in *p. */
void api_package_read(struct api_fields *f, struct db_package *p);

/* In a body: with the events. Errors as db_package_create, _update, _delete. */
CP_MUST_CHECK enum cp_err api_package_make(struct db_conn *conn, const struct api_context *ctx,
                                           const struct api_call *call,
                                           const struct db_package *wanted,
                                           struct db_package *ret_package, struct cp_error *err);

struct api_package_change {
    struct db_package present, wanted; /* wanted.revision is the expected one */
    struct db_package result;
    struct api_consequences consequences;
    bool settle_later; /* the caller sees to what follows from a change of content access */
};

/* In a body of db_run_tx_locking. */
CP_MUST_CHECK enum cp_err api_package_change(struct db_conn *conn, const struct api_context *ctx,
                                             const struct api_call *call,
                                             struct api_package_change *change,
                                             struct cp_error *err);

/* In a body: pins that version as the current one (0: the newest sealed one is), with the event when
 * it was not; promotions.c. Errors as db_package_promote. */
CP_MUST_CHECK enum cp_err api_package_pin(struct db_conn *conn, const struct api_context *ctx,
                                          const struct api_call *call, const char *name,
                                          uint32_t version, struct cp_error *err);

CP_MUST_CHECK enum cp_err api_package_remove(struct db_conn *conn, const struct api_context *ctx,
                                             const struct api_call *call,
                                             const struct db_package *package,
                                             struct cp_error *err);

#endif
