/* SPDX-License-Identifier: Apache-2.0
 * Words for the sender's decisions. Pure. */
#include "multicast/norm/trace.h"

#include "common/err.h"

const char *norm_trace_kind_name(enum norm_trace_kind kind)
{
    static const char *const names[NORM_TRACE_KINDS] = {
        "rate", "parity", "last-parity", "alone-parity", "budget", "wait", "defer",
        "pass", "limit",  "outlier",     "clr",          "grtt",   "state"};

    CP_ASSERT(kind < NORM_TRACE_KINDS);
    return names[kind];
}

const char *norm_reason_name(enum norm_reason reason)
{
    static const char *const names[] = {"none",       "start", "ceiling", "room",
                                        "congestion", "slow",  "random",  "silence",
                                        "sender",     "tfmcc", "wish"};

    CP_ASSERT((size_t)reason < sizeof(names) / sizeof(*names));
    return names[reason];
}
