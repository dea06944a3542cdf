/* SPDX-License-Identifier: Apache-2.0
 * A webhook as JSON and as fields of a request, and its making, change and removal with all that
 * follows; for webhooks.c and configuration.c. Thread-safe. */
#ifndef API_EVENTS_WEBHOOKS_H
#define API_EVENTS_WEBHOOKS_H

#include <jansson.h>

#include "api/framework/fields.h"
#include "db/webhook.h"
#include "keys/credentials.h"

/* What people set: name, url, allow_http, kinds, enabled. */
json_t *api_webhook_values(const struct db_webhook *w);

/* Field "name": required, of the form of a webhook's name; borrowed. NULL: an error is collected. */
const char *api_webhook_read_name(struct api_fields *f);

/* The other fields that people set; what is not given stays as it is in *w. */
void api_webhook_read(struct api_fields *f, bool create, struct db_webhook *w);

struct api_webhook_change {
    struct db_webhook present; /* unless it is new */
    struct db_webhook wanted;  /* wanted.revision is the expected one */
    struct db_webhook result;
    char secret[KEYS_TOKEN_SIZE]; /* made by this change; "" : none. Wipe it. */
};

/* In a body, with the event; make uses `wanted` and makes a secret, remove `present`. Errors as
 * db_webhook_create, _update, _delete. */
CP_MUST_CHECK enum cp_err api_webhook_make(struct db_conn *conn, const struct api_context *ctx,
                                           const struct api_call *call,
                                           struct api_webhook_change *c, struct cp_error *err);
CP_MUST_CHECK enum cp_err api_webhook_change(struct db_conn *conn, const struct api_context *ctx,
                                             const struct api_call *call,
                                             struct api_webhook_change *c, struct cp_error *err);
CP_MUST_CHECK enum cp_err api_webhook_remove(struct db_conn *conn, const struct api_context *ctx,
                                             const struct api_call *call,
                                             const struct api_webhook_change *c,
                                             struct cp_error *err);

#endif
