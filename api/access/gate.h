/* SPDX-License-Identifier: Apache-2.0
 * Whether the service can be used yet. HTTP is served before the database is there; until then every
 * request but GET /healthz is answered 503 with the reason. Thread-safe. */
#ifndef API_ACCESS_GATE_H
#define API_ACCESS_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/err.h"

/* Once it is open it stays open: what fails later is each request's own failure. */
struct api_gate {
    atomic_bool open;
    pthread_mutex_t lock;
    struct cp_error why;
};

/* Shut, because the service is starting. */
void api_gate_init(struct api_gate *g);
void api_gate_done(struct api_gate *g);

/* Why it is shut now; copied. Its code is one that is answered 503. */
void api_gate_tell(struct api_gate *g, const struct cp_error *why);

/* From now on the parts of api_context are there: what was written to them before is seen by
 * whoever passes. */
void api_gate_open(struct api_gate *g);

/* CP_OK when it is open, or g is NULL; else the reason. */
CP_MUST_CHECK enum cp_err api_gate_pass(struct api_gate *g, struct cp_error *err);

#endif
