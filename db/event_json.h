/* SPDX-License-Identifier: Apache-2.0
 * An event as lists, streams and webhooks show it. Pure but for malloc. */
#ifndef DB_EVENT_JSON_H
#define DB_EVENT_JSON_H

#include <jansson.h>

#include "db/event.h"

/* NULL: memory is out. */
json_t *db_event_json(const struct db_event *e);

#endif
