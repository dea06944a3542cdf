/* SPDX-License-Identifier: Apache-2.0
 * Whose content library a node works with. Garbage collection removes what the database does not
 * know, so it must be sure that this is the database that filled the library: both keep the library's
 * identity. Any thread. */
#ifndef JOBS_LIBRARY_H
#define JOBS_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct jobs_context; /* jobs/job.h */

/* What was found; files only as far as it was looked for. */
struct jobs_library {
    bool own;       /* what the database does not know may be removed */
    bool was_own;   /* and it said so before this look */
    uint64_t files; /* in the library */
    uint64_t known; /* of them, to the database */
};

/* Looks whether the library is the one that this database knows, and writes down what changed, with
 * an event: library-foreign, library-accepted. An empty library is the node's own from now on; so is one
 * most of whose files the database knows, when one of both has no identity and it was not found foreign
 * before. adopt: whatever it is. Call it before the first task, and whenever it matters: a database may be replaced
 * while the service runs. Killed at any point, the next call completes it. Uses db, blobs and node_id
 * of ctx. CP_ERR_STORAGE, failures of the database. */
CP_MUST_CHECK enum cp_err jobs_library_look(const struct jobs_context *ctx, bool adopt,
                                            struct jobs_library *ret_library, struct cp_error *err);

/* CP_ERR_LIBRARY_FOREIGN when nothing may be removed from it; what: names for people what would be
 * removed ("Garbage"). */
CP_MUST_CHECK enum cp_err jobs_library_own(const struct jobs_context *ctx, const char *what,
                                           struct cp_error *err);

#endif
