/* SPDX-License-Identifier: Apache-2.0
 * An event as JSON. Pure but for malloc. */
#include "db/event_json.h"

#include "common/clock.h"
#include "common/event.h"

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
