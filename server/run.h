/* SPDX-License-Identifier: Apache-2.0
 * A running session as the scheduler sees it: its engine, its roster, its row. Belongs to the
 * scheduler's thread. */
#ifndef SERVER_RUN_H
#define SERVER_RUN_H

#include <stdbool.h>

#include "common/err.h"
#include "common/time.h"
#include "db/session.h"

struct api_context; /* api/api.h */
struct srv_run;
struct srv_use; /* server/share.h */

/* session: its row, in state running. Starts the engine. wake_fd as srv_engine_start; share_bps: of
 * the ceiling, on the wire. */
CP_MUST_CHECK enum cp_err srv_run_new(const struct api_context *api,
                                      const struct db_session *session, int wake_fd,
                                      uint64_t share_bps, struct srv_run **ret_run);

/* What it makes of its share; measured by sample, changed by grant. */
const struct srv_use *srv_run_use(const struct srv_run *r);
void srv_run_sample(struct srv_run *r, cp_time now);
void srv_run_grant(struct srv_run *r, uint64_t share_bps);

const char *srv_run_session_id(const struct srv_run *r);

/* Somebody joined or left, or the session was cancelled: the next round comes soon. */
void srv_run_touch(struct srv_run *r);

/* When the next round is due. */
cp_time srv_run_next_round(const struct srv_run *r);

/* Brings row and engine together: counters out, roster in, cancellation, end. *ret_over: the
 * session has ended and its engine too. A failure of the database changes nothing; the next round
 * does it. */
CP_MUST_CHECK enum cp_err srv_run_round(struct srv_run *r, cp_time now, bool *ret_over,
                                        struct cp_error *err);

/* The service stops: tells the receivers to leave; srv_run_interrupt later. */
void srv_run_withdraw(struct srv_run *r);
/* Waits for the engine and marks the session interrupted. */
CP_MUST_CHECK enum cp_err srv_run_interrupt(struct srv_run *r, struct cp_error *err);

/* Waits for the engine. NULL allowed. */
void srv_run_free(struct srv_run *r);

#endif
