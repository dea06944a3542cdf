/* SPDX-License-Identifier: Apache-2.0
 * Prints docs/events.md from the catalogue in common/event_catalogue.h. */
#include <stdio.h>

#include "common/event.h"

int main(void)
{
    (void)puts("# Events\n\n"
               "Generated from common/event_catalogue.h (build the target `events_doc` and run "
               "it); a test "
               "compares.\nEvents are listed by `GET /api/v1/events`, told as they happen by "
               "`GET /api/v1/events/stream` (server-sent\nevents), and sent to webhooks. *Fields* "
               "are those "
               "of `detail`.\n\n"
               "| kind | severity | what happened | fields |\n|---|---|---|---|");
    for (size_t i = 0; cp_event_info_at(i) != NULL; i++) {
        const struct cp_event_info *e = cp_event_info_at(i);

        (void)printf("| `%s` | %s | %s | %s |\n", e->kind, cp_severity_name(e->severity),
                     e->sentence, e->fields[0] != '\0' ? e->fields : "–");
    }
    return 0;
}
