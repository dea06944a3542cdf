/* SPDX-License-Identifier: Apache-2.0
 * What a former process of this node left running: taken up again, or ended. Touches the database. */
#ifndef SERVER_RECOVERY_H
#define SERVER_RECOVERY_H

#include <stddef.h>

#include "common/err.h"
#include "db/session.h"

struct api_context; /* api/api.h */

/* Called for each session that goes on, with its row as it is now. */
typedef enum cp_err srv_resume(void *arg, const struct db_session *session, struct cp_error *err);

/* Running sessions of this node with a receiver heard of in the last minute get a new sender
 * instance and are handed to resume; others, and draining ones, become interrupted. */
CP_MUST_CHECK enum cp_err srv_recover(const struct api_context *api, srv_resume *resume, void *arg,
                                      struct cp_error *err);

#endif
