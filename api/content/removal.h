/* SPDX-License-Identifier: Apache-2.0
 * Deleting a package or version: what goes along, a dry run of it, and who is in the way. The dry run
 * is the deletion itself, rolled back: it answers exactly what the deletion would. Touches the
 * database through the connection it is given; thread-safe. */
#ifndef API_CONTENT_REMOVAL_H
#define API_CONTENT_REMOVAL_H

#include "api/api.h"
#include "db/live.h"
#include "db/package.h"

#define API_REMOVAL_SHOWN 20 /* sessions that a refusal names */

struct api_removal {
    bool dry_run;
    bool held_back; /* all went well, and it is rolled back because it is a dry run */
    struct db_package_extent extent;
    struct db_live live[API_REMOVAL_SHOWN];
    size_t live_count;
};

/* The query's dry_run. False: *ret_response refuses it. */
bool api_removal_read(const struct api_call *call, struct api_removal *ret_removal,
                      struct api_response *ret_response);

/* In the transaction, before the deletion: of a package, or of a version (the other is NULL). */
CP_MUST_CHECK enum cp_err api_removal_look(struct db_conn *conn, struct api_removal *removal,
                                           const char *package_id, const char *version_id,
                                           struct cp_error *err);

/* In the transaction, after the deletion: CP_OK, or, in a dry run, the failure that rolls it back. */
CP_MUST_CHECK enum cp_err api_removal_end(struct api_removal *removal);

/* The answer to what the transaction came to: 204, 200 with what would go, or the refusal, with the
 * sessions that are in the way in `errors`. */
struct api_response api_removal_respond(const struct api_call *call,
                                        const struct api_removal *removal,
                                        const struct cp_error *err);

#endif
