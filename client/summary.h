/* SPDX-License-Identifier: Apache-2.0
 * The result of a run for machines: one JSON object in a file (castget(1), --summary). Touches
 * files. */
#ifndef CLIENT_SUMMARY_H
#define CLIENT_SUMMARY_H

#include "client/counters.h"
#include "common/err.h"
#include "common/time.h"
#include "content/manifest.h"

struct cl_summary {
    const char *package;
    const struct manifest *manifest; /* NULL when it did not come so far */
    const struct cl_counters *counters;
    cp_time duration;               /* of the whole run */
    cp_time transfer;               /* from the first to the last byte of content */
    const struct cp_error *failure; /* NULL: everything is verified and on the disk */
};

/* Pure: the text, malloced; NULL when memory is out. */
char *cl_summary_text(const struct cl_summary *s);

/* Replaces the file. CP_ERR_OUTPUT, CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err cl_summary_write(const char *path, const struct cl_summary *s,
                                           struct cp_error *err);

#endif
