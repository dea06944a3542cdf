/* SPDX-License-Identifier: Apache-2.0
 * The catalogue of events as a table. Pure. */
#include "common/event.h"

#include <string.h>

#include "common/err.h"
#include "common/event_catalogue.h"

static const struct cp_event_info table[] = {
#define X(kind, severity, sentence, fields) {kind, CP_SEVERITY_##severity, sentence, fields},
    CP_EVENT_CATALOGUE(X)
#undef X
};

#define COUNT (sizeof table / sizeof table[0])

const struct cp_event_info *cp_event_info(const char *kind)
{
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(table[i].kind, kind) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

const struct cp_event_info *cp_event_info_at(size_t index)
{
    return index < COUNT ? &table[index] : NULL;
}

const char *cp_severity_name(enum cp_severity severity)
{
    static const char *const names[] = {"info", "warning", "error"};

    CP_ASSERT(severity < CP_SEVERITY_COUNT);
    return names[severity];
}
