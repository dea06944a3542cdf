/* SPDX-License-Identifier: Apache-2.0
 * Writing the audit log: changes in their own transaction, refused attempts as many as fit. Touches
 * the database; thread-safe. What receivers say of themselves (joins, progress, results) is in the
 * receivers' table, not here. */
#ifndef API_EVENTS_AUDIT_H
#define API_EVENTS_AUDIT_H

#include <jansson.h>

#include "api/api.h"
#include "db/audit.h"
#include "db/db.h"

/* Bounds what strangers can make the log grow by: 300 refusals at once, then one a second. What is
 * left out is counted in the next entry. */
struct api_audit;
CP_MUST_CHECK enum cp_err api_audit_new(struct api_audit **ret_audit);
void api_audit_free(struct api_audit *audit);

/* What a call changed or asked for. */
struct api_change {
    enum db_audit_outcome outcome; /* done, or accepted */
    const char *subject;
    const json_t *before, *after; /* borrowed; NULL none */
};

/* One entry in the transaction of the change. api_event_write does it for every event. */
CP_MUST_CHECK enum cp_err api_audit_change(struct db_conn *conn, const struct api_context *ctx,
                                           const struct api_call *call,
                                           const struct api_change *change, struct cp_error *err);
/* The same of many, at least one, in their order. */
CP_MUST_CHECK enum cp_err api_audit_changes(struct db_conn *conn, const struct api_context *ctx,
                                            const struct api_call *call,
                                            const struct api_change *changes, size_t count,
                                            struct cp_error *err);

/* An attempt that was refused by 401, 403 or because the account is locked; a transaction of its own.
 * Of methods that only read: wrong credentials, those of no account, and those that do not suffice
 * for a route of administrators. Does nothing for all others, nor for other codes. */
void api_audit_refusal(const struct api_context *ctx, const struct api_request *rq,
                       const char *operation, const struct api_principal *who, enum cp_err code);

/* The code that such a status stands for; CP_OK: no refusal. */
enum cp_err api_audit_code(int status);

/* A copy in which what looks like a secret is blotted out: by the member's name (password, secret,
 * …) or by the form of castpoint's own tokens. NULL for NULL, and when memory is out. */
json_t *api_audit_blot(const json_t *value);

#endif
