/* SPDX-License-Identifier: Apache-2.0
 * Settings as JSON, as fields of a request, and their change with all that follows; for settings.c
 * and configuration.c. Thread-safe. */
#ifndef API_POINT_SETTINGS_H
#define API_POINT_SETTINGS_H

#include <jansson.h>

#include "api/access/access_change.h"
#include "api/framework/fields.h"
#include "db/node.h"
#include "db/settings.h"

/* The values that can be changed. */
json_t *api_settings_values(const struct db_settings *s);

/* The fields that are given; the others stay as they are in *s. local: of this node, whose network
 * interfaces are known. */
void api_settings_read(struct api_fields *f, bool local, struct db_settings *s);

struct api_settings_change {
    struct db_node node;
    struct db_settings present, wanted; /* wanted.revision is the expected one */
    struct db_settings result;
    struct api_consequences consequences;
    bool settle_later; /* the caller sees to what follows from a change of content access */
};

/* In a body of db_run_tx_locking that has written nothing yet. Errors as db_settings_update. Call
 * api_live_changed() after the commit. */
CP_MUST_CHECK enum cp_err api_settings_change(struct db_conn *conn, const struct api_context *ctx,
                                              const struct api_call *call,
                                              struct api_settings_change *change,
                                              struct cp_error *err);

#endif
