/* SPDX-License-Identifier: Apache-2.0
 * What the rig holds against every test at its end: each operation that changed something is in the
 * audit log, with what was before and after; the kinds of events that were written are put down for
 * emitted.py. */
#ifndef TESTS_API_RIG_AUDIT_H
#define TESTS_API_RIG_AUDIT_H

#include "tests/api/rig.h"

/* After each answer. */
void rig_audit_note(const struct api_request *rq, int status);
/* A test whose calls of it changed nothing. */
void rig_audit_forget(const char *operation);
/* A test whose calls of it, a PATCH, all ask for what is so already. */
void rig_audit_same(const char *operation);
/* While the database is open. False: something is amiss, and was printed. */
bool rig_audit_check(struct rig *r);
void rig_audit_kinds(void);

#endif
