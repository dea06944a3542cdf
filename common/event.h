/* SPDX-License-Identifier: Apache-2.0
 * What kinds of events there are (event_catalogue.h). Pure. */
#ifndef CP_COMMON_EVENT_H
#define CP_COMMON_EVENT_H

#include <stddef.h>

enum cp_severity { CP_SEVERITY_INFO, CP_SEVERITY_WARNING, CP_SEVERITY_ERROR, CP_SEVERITY_COUNT };

/* One row of the catalogue; the strings are static. */
struct cp_event_info {
    const char *kind; /* "version-sealed" */
    enum cp_severity severity;
    const char *sentence;
    const char *fields; /* of the detail, for people; "" none */
};

/* NULL: there is no such kind. */
const struct cp_event_info *cp_event_info(const char *kind);

/* By position from 0; NULL behind the last. */
const struct cp_event_info *cp_event_info_at(size_t index);

/* "info", "warning", "error". */
const char *cp_severity_name(enum cp_severity severity);

#endif
