/* SPDX-License-Identifier: Apache-2.0
 * Receivers' progress between two flushes: a thousand reports a second become one statement. A
 * report that is lost with the process comes again a second later. Thread-safe. */
#ifndef API_SESSION_PROGRESS_H
#define API_SESSION_PROGRESS_H

#include <stddef.h>

#include "common/err.h"
#include "db/receiver.h"

#define API_PROGRESS_BATCH 1000u /* what db_receiver_progress takes at once */

struct api_progress;

CP_MUST_CHECK enum cp_err api_progress_new(struct api_progress **ret_table);
void api_progress_free(struct api_progress *t); /* NULL allowed */

/* Keeps the newest report of a receiver. CP_ERR_UNAVAILABLE when the table is full (65536
 * receivers have reported since the last flush), CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err api_progress_put(struct api_progress *t, const char *receiver_id,
                                           const struct db_progress *progress);

/* Forgets a receiver's report: it has a result, or joined anew. */
void api_progress_drop(struct api_progress *t, const char *receiver_id);

/* Takes up to cap reports out; 0: none left. */
size_t api_progress_take(struct api_progress *t, struct db_receiver_report *ret_reports,
                         size_t cap);

#endif
