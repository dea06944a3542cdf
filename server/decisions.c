/* SPDX-License-Identifier: Apache-2.0
 * The ring of decisions. */
#include "server/decisions.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"

#define PPM 1e6

void srv_decisions_init(struct srv_decisions *d)
{
    memset(d, 0, sizeof *d);
    CP_ASSERT(pthread_mutex_init(&d->lock, NULL) == 0);
}

void srv_decisions_done(struct srv_decisions *d)
{
    (void)pthread_mutex_destroy(&d->lock);
}

/* What a reader of the API can make use of: others' before and after are the engine's own, such as
 * numbers of its states. */
static bool is_kept(const char *what)
{
    static const char *const kept[] = {"rate", "parity", "budget"};
    bool found = false;

    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        found = found || strcmp(what, kept[i]) == 0;
    }
    return found;
}

static struct db_decision to_row(const struct mc_trace *t)
{
    cp_time now = cp_clock_now();
    cp_time age = now > t->at ? now - t->at : 0;
    struct db_decision row = {.time = cp_clock_wall() - age,
                              .norm_node_id = t->node_id,
                              .before = t->before,
                              .after = t->after,
                              .loss_ppm = (uint32_t)(t->loss * PPM),
                              .rate_bps = t->rate_bps};

    (void)snprintf(row.what, sizeof row.what, "%s", t->what);
    (void)snprintf(row.reason, sizeof row.reason, "%s", t->reason == NULL ? "" : t->reason);
    return row;
}

void srv_decisions_note(void *arg, const struct mc_trace *t)
{
    struct srv_decisions *d = arg;
    struct db_decision row = to_row(t);

    cp_log(CP_LOG_DEBUG, "decision", "what", row.what, "reason", row.reason, "before",
           cp_log_u64(row.before), "after", cp_log_u64(row.after), "node_id",
           cp_log_u64(row.norm_node_id), "loss_ppm", cp_log_u64(row.loss_ppm), "rate_bps",
           cp_log_u64(row.rate_bps), NULL);
    if (!is_kept(row.what)) {
        return;
    }
    (void)pthread_mutex_lock(&d->lock);
    d->ring[(d->first + d->count) % DB_DECISIONS_KEPT] = row;
    if (d->count < DB_DECISIONS_KEPT) {
        d->count++;
    } else {
        d->first = (d->first + 1) % DB_DECISIONS_KEPT;
    }
    (void)pthread_mutex_unlock(&d->lock);
}

size_t srv_decisions_take(struct srv_decisions *d, struct db_decision *ret_items, size_t cap)
{
    size_t count;

    (void)pthread_mutex_lock(&d->lock);
    count = d->count < cap ? d->count : cap;
    for (size_t i = 0; i < count; i++) {
        ret_items[i] = d->ring[(d->first + i) % DB_DECISIONS_KEPT];
    }
    d->first = (d->first + count) % DB_DECISIONS_KEPT;
    d->count -= count;
    (void)pthread_mutex_unlock(&d->lock);
    return count;
}
