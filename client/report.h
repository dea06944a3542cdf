/* SPDX-License-Identifier: Apache-2.0
 * Tells the service how it goes: progress at the ticket's interval from a thread of its own, the
 * result once at the end (docs/protocol.md section 5). Touches the network through http.h. */
#ifndef CLIENT_REPORT_H
#define CLIENT_REPORT_H

#include <stdbool.h>

#include "client/counters.h"
#include "client/http.h"
#include "common/err.h"
#include "common/time.h"

struct cl_report;

struct cl_report_config {
    struct cl_http_config http; /* as for the join */
    const char *token;          /* the join's receiver token */
    const char *progress_url;
    const char *correlation_id;
    cp_time interval;
};

/* Starts the thread. Strings are borrowed until cl_report_stop(). CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err cl_report_start(const struct cl_report_config *config,
                                          struct cl_report **ret_report, struct cp_error *err);
/* The figures to tell next; a change of state is told at once. state is a static string of the
 * protocol; reason (CP_OK none) goes with "moved". */
void cl_report_update(struct cl_report *r, const struct cl_counters *counters, const char *state,
                      enum cp_err reason);
/* Whether the service asked the receiver to leave multicast; *ret_why says why then. */
bool cl_report_leave(struct cl_report *r, struct cp_error *ret_why);
/* Ends the thread, in the midst of a request if need be. NULL allowed. */
/* Reports at once, through a connection of the caller's that carries the receiver token, and waits
 * for the answer: cl_report_leave() knows it then. Failures are those of cl_http_call(). */
CP_MUST_CHECK enum cp_err cl_report_ask(struct cl_report *r, struct cl_http *http,
                                        struct cp_error *err);
void cl_report_stop(struct cl_report *r);

/* Puts the result. Tried a few times; once only when the failure is that the service is away, and
 * once and quickly after a signal. */
struct cl_result {
    const char *url;
    const struct cl_counters *counters;
    cp_time duration;
    const struct cp_error *failure; /* NULL: done */
    bool stopped;                   /* by a signal */
};
CP_MUST_CHECK enum cp_err cl_report_result(struct cl_http *http, const struct cl_result *result,
                                           struct cp_error *err);

/* Pure: the bodies; malloced, NULL when memory is out. */
char *cl_report_progress_body(const struct cl_counters *c, const char *state, enum cp_err reason);
char *cl_report_result_body(const struct cl_result *result);

#endif
