/* SPDX-License-Identifier: Apache-2.0
 * An event as JSON. Pure but for malloc. */
#include "db/event_json.h"

#include <string.h>

#include "common/clock.h"
#include "common/event.h"

#define LEFT_OUT "left_out"

/* The name of the longest member, NULL: none is left. */
static const char *longest(json_t *object)
{
    const char *found = NULL;
    size_t most = 0;
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        size_t size = json_dumpb(value, NULL, 0, JSON_ENCODE_ANY);

        if (size > most && strcmp(name, LEFT_OUT) != 0) {
            most = size;
            found = name;
        }
    }
    return found;
}

bool db_event_set_detail(struct db_event *event, json_t *detail)
{
    json_t *kept = json_copy(detail);
    json_t *left_out = json_array();
    bool good = kept != NULL && left_out != NULL;
    size_t size = 0;

    /* with spaces and escapes as PostgreSQL writes them, whose text it will be */
    while (good && (size = json_dumpb(kept, event->detail, sizeof event->detail, 0)) >=
                       sizeof event->detail) {
        const char *name = longest(kept);

        good = name != NULL && json_array_append_new(left_out, json_string(name)) == 0 &&
               json_object_del(kept, name) == 0 && json_object_set(kept, LEFT_OUT, left_out) == 0;
    }
    good = good && size > 0;
    event->detail[good ? size : 0] = '\0';
    json_decref(left_out);
    json_decref(kept);
    json_decref(detail);
    return good;
}

static json_t *text_or_null(const char *text)
{
    return text[0] != '\0' ? json_string(text) : json_null();
}

json_t *db_event_json(const struct db_event *e)
{
    /* A database may hold kinds that an earlier or later program wrote. */
    const struct cp_event_info *info = cp_event_info(e->kind);
    json_t *detail = json_loads(e->detail[0] != '\0' ? e->detail : "{}", 0, NULL);
    char time[CP_RFC3339_SIZE];

    cp_clock_rfc3339(e->time, time);
    return json_pack("{s:I, s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "id", (json_int_t)e->id,
                     "time", time, "node_id", text_or_null(e->node_id), "kind", e->kind, "severity",
                     cp_severity_name(info != NULL ? info->severity : CP_SEVERITY_INFO), "summary",
                     info != NULL ? info->sentence : e->kind, "subject", e->subject, "actor",
                     text_or_null(e->actor), "detail", detail != NULL ? detail : json_object(),
                     "request_id", text_or_null(e->request_id));
}
