/* SPDX-License-Identifier: Apache-2.0
 * Many packages at once, for imports: read, made and changed by a few statements whatever their
 * number, with an event and an audit entry of each. Touches the database through the connection it
 * is given; one object belongs to one request. */
#ifndef API_CONTENT_PACKAGE_BATCH_H
#define API_CONTENT_PACKAGE_BATCH_H

#include "api/api.h"
#include "db/package.h"

/* So many that the round trips do not count any more; 20 MB of which little is touched. */
#define API_PACKAGE_BATCH_MAX 500

struct api_package_batch;

CP_MUST_CHECK enum cp_err api_package_batch_new(struct api_package_batch **ret_batch);
void api_package_batch_free(struct api_package_batch *b);

/* Begins a batch: what there is of these names, at most API_PACKAGE_BATCH_MAX. */
CP_MUST_CHECK enum cp_err api_package_batch_read(struct db_conn *conn, struct api_package_batch *b,
                                                 const char *const *names, size_t count,
                                                 struct cp_error *err);

/* Of what was read, in the order of names. */
size_t api_package_batch_count(const struct api_package_batch *b);
const struct db_package *api_package_batch_at(const struct api_package_batch *b, size_t i);

/* Of what was read; NULL: there is none of that name. */
const struct db_package *api_package_batch_find(const struct api_package_batch *b,
                                                const char *name);

/* The package as it is, or a new one of that name: to be edited by the caller, and then added, or
 * left. Not more than were read. */
struct db_package *api_package_batch_draft(struct api_package_batch *b, const char *name);
void api_package_batch_add(struct api_package_batch *b);

/* In a body, of packages that are held (db_package_hold): makes and changes what was added. What follows from a change of
 * content access, and the pinned version, is the caller's. CP_ERR_CONFLICT: somebody has made one of
 * them meanwhile. */
CP_MUST_CHECK enum cp_err api_package_batch_write(struct db_conn *conn,
                                                  const struct api_context *ctx,
                                                  const struct api_call *call,
                                                  struct api_package_batch *b,
                                                  struct cp_error *err);

/* In a body, of packages that are locked for it (db_package_doom): deletes all that was read.
 * CP_ERR_CONFLICT: sessions of one have not ended. */
CP_MUST_CHECK enum cp_err api_package_batch_delete(struct db_conn *conn,
                                                   const struct api_context *ctx,
                                                   const struct api_call *call,
                                                   struct api_package_batch *b,
                                                   struct cp_error *err);

#endif
