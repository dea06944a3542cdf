/* SPDX-License-Identifier: Apache-2.0
 * Inside db/ only: what receiver.c and receiver_progress.c share. */
#ifndef DB_RECEIVER_ROW_H
#define DB_RECEIVER_ROW_H

#include <stdio.h>

#include "db/receiver.h"
#include "db/session_row.h"

/* NOTIFY DB_CHANNEL_RECEIVERS of the receiver's session; none: nothing. */
CP_MUST_CHECK enum cp_err db_receiver_notify(struct db_conn *conn, const struct db_receiver *r,
                                             struct cp_error *err);

#endif
