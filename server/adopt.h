/* SPDX-License-Identifier: Apache-2.0
 * castpointd --adopt-library: makes a content library that another database filled this database's
 * own, while no castpointd works with it. Touches the database and the content library. */
#ifndef SERVER_ADOPT_H
#define SERVER_ADOPT_H

#include "server/config.h"

/* Says on standard output what came of it. A library that is the node's own stays as it is. Killed
 * at any point of it, the library is foreign still, or adopted. CP_ERR_STORAGE: castpointd runs, or
 * the library is not there, cannot be read, or belongs to another user; CP_ERR_NODE_TAKEN: castpointd runs elsewhere under the node's name;
 * CP_ERR_NOT_FOUND: the node never ran with this database; CP_ERR_DATABASE. */
CP_MUST_CHECK enum cp_err srv_adopt_library(const struct srv_config *config, struct cp_error *err);

#endif
