/* SPDX-License-Identifier: Apache-2.0
 * The configuration as one JSON document: its sections, for its export (configuration.c) and import
 * (configuration_import.c). Touches the database through the connection it is given. */
#ifndef API_POINT_CONFIGURATION_H
#define API_POINT_CONFIGURATION_H

#include <jansson.h>

#include "api/access/accounts.h"
#include "api/content/packages.h"
#include "api/events/webhooks.h"
#include "api/framework/etag.h"
#include "api/framework/fields.h"
#include "api/point/settings.h"
#include "db/db.h"

#define API_CONFIGURATION_FORMAT 1

/* One thing as the document has it: all that can be configured, no secret, no state. */
json_t *api_configuration_package(const struct db_package *p);
json_t *api_configuration_account(const struct db_account *a);
json_t *api_configuration_node(const struct db_node *node, const struct db_settings *s);

/* ETag of the configuration as it is: the digest of its export. */
CP_MUST_CHECK enum cp_err api_configuration_etag(struct db_conn *conn, char ret_etag[API_ETAG_SIZE],
                                                 struct cp_error *err);

#endif
