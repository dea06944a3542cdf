/* SPDX-License-Identifier: Apache-2.0
 * An event's detail as it is written, and the event as lists, streams and webhooks show it. Pure but
 * for malloc. */
#ifndef DB_EVENT_JSON_H
#define DB_EVENT_JSON_H

#include <jansson.h>

#include "db/event.h"

/* Sets what is told of an event: an object whose text is within DB_EVENT_DETAIL_SIZE. The longest
 * members give way, and "left_out" has their names. Takes the object over. False: memory is out, or
 * the detail is NULL. */
CP_MUST_CHECK bool db_event_set_detail(struct db_event *event, json_t *detail);

/* NULL: memory is out. */
json_t *db_event_json(const struct db_event *e);

#endif
