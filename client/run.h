/* SPDX-License-Identifier: Apache-2.0
 * One run of castget: join, fetch by what the plan decides, verify, name the files, report. */
#ifndef CLIENT_RUN_H
#define CLIENT_RUN_H

#include <stdatomic.h>

#include "client/options.h"
#include "common/err.h"

/* CP_OK: every byte is verified and on the disk. Otherwise nothing is left at the output. Ends soon
 * after *stop is set, with CP_ERR_INTERRUPTED. Writes progress to standard error, the closing line
 * to standard output. */
CP_MUST_CHECK enum cp_err cl_run(const struct cl_options *options, const atomic_bool *stop,
                                 struct cp_error *err);

#endif
