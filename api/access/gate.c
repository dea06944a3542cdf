/* SPDX-License-Identifier: Apache-2.0
 * The gate that requests wait behind until the service is there. */
#include "api/access/gate.h"

void api_gate_init(struct api_gate *g)
{
    atomic_init(&g->open, false);
    (void)pthread_mutex_init(&g->lock, NULL);
    (void)cp_error_set(&g->why, CP_ERR_UNAVAILABLE, "The service is starting.");
}

void api_gate_done(struct api_gate *g)
{
    (void)pthread_mutex_destroy(&g->lock);
}

void api_gate_tell(struct api_gate *g, const struct cp_error *why)
{
    CP_ASSERT(cp_err_info(why->code)->http_status == 503);
    (void)pthread_mutex_lock(&g->lock);
    g->why = *why;
    (void)pthread_mutex_unlock(&g->lock);
}

void api_gate_open(struct api_gate *g)
{
    atomic_store_explicit(&g->open, true, memory_order_release);
}

enum cp_err api_gate_pass(struct api_gate *g, struct cp_error *err)
{
    if (g == NULL || atomic_load_explicit(&g->open, memory_order_acquire)) {
        return CP_OK;
    }
    (void)pthread_mutex_lock(&g->lock);
    *err = g->why;
    (void)pthread_mutex_unlock(&g->lock);
    return err->code;
}
