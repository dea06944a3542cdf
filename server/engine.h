/* SPDX-License-Identifier: Apache-2.0
 * One running session's sender in a thread of its own: from the database's row, the manifest and
 * the blobs to packets. Every function but free may be called from any thread. */
#ifndef SERVER_ENGINE_H
#define SERVER_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "db/decision.h"
#include "db/session.h"
#include "multicast/session.h"

struct api_context; /* api/api.h */
struct srv_engine;

/* Begins to prepare and to send; failures come as the engine's end. The engine is held: it does not
 * end by itself until srv_engine_release. wake_fd (an eventfd) is written to when it has ended;
 * rate_bps is its ceiling, bits of UDP payload. CP_ERR_NO_MEMORY, CP_ERR_UNAVAILABLE (no thread). */
CP_MUST_CHECK enum cp_err srv_engine_start(const struct api_context *api,
                                           const struct db_session *session, int wake_fd,
                                           uint64_t rate_bps, struct srv_engine **ret_engine);

/* Another ceiling. */
void srv_engine_set_rate(struct srv_engine *e, uint64_t rate_bps);

/* The receivers that the sender waits for: node ids, ascending. CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err srv_engine_set_roster(struct srv_engine *e, const uint32_t *node_ids,
                                                size_t count);

/* Lets it end when everybody has answered or nobody asks any more. */
void srv_engine_release(struct srv_engine *e);
/* Ends it soon; withdraw tells the receivers first. */
void srv_engine_stop(struct srv_engine *e, bool withdraw);

/* Counters, also after the end; zeros before the first packet. */
void srv_engine_get_stats(struct srv_engine *e, struct mc_sender_stats *ret_stats);

/* As mc_sender_get_members; 0 while there is no sender. */
size_t srv_engine_get_members(struct srv_engine *e, struct mc_member *ret_members, size_t max);
/* What was decided since the last time, at most cap, oldest first; also after the end. */
size_t srv_engine_take_decisions(struct srv_engine *e, struct db_decision *ret_items, size_t cap);

/* Has it ended, and how: CP_OK; CP_ERR_CANCELLED after stop; else the failure. ret_err may be
 * NULL. */
bool srv_engine_ended(struct srv_engine *e, enum cp_err *ret_result, struct cp_error *ret_err);

/* Waits for the thread (stop it first) and frees. NULL allowed. */
void srv_engine_free(struct srv_engine *e);

#endif
