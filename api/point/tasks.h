/* SPDX-License-Identifier: Apache-2.0
 * Asking for long work: for the handlers that answer 202. Touches the database; thread-safe. */
#ifndef API_POINT_TASKS_H
#define API_POINT_TASKS_H

#include <jansson.h>

#include "api/api.h"
#include "db/task.h"

struct api_task {
    const char *kind;
    enum db_task_unit unit;
    char subject[DB_TEXT_SIZE];
    char node_id[DB_ID_SIZE]; /* whose workers; "" this node's */
    json_t *params;           /* taken over by api_task_ask; NULL for none */
    struct db_task made;      /* by api_task_ask */
};

/* Makes the task in the transaction of a body, by the call's account and request; or finds the same
 * one that has not ended. */
CP_MUST_CHECK enum cp_err api_task_ask(struct db_conn *conn, const struct api_context *ctx,
                                       const struct api_call *call, struct api_task *task,
                                       struct cp_error *err);

/* 202 with the task and its address in Location. */
struct api_response api_task_accepted(const struct api_task *task);

#endif
