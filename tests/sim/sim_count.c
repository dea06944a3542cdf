/* SPDX-License-Identifier: Apache-2.0
 * Simulator: what is measured, and the bound that it is measured by. One thread. */
#include <math.h>
#include <stdlib.h>

#include "sim_inside.h"

/* Arrivals within the last second, a ring. */
struct sim_window {
    cp_time *at;
    size_t first, count, cap;
};

struct sim_window *sim_window_new(void)
{
    struct sim_window *w = calloc(1, sizeof(*w));

    CP_ASSERT(w != NULL);
    return w;
}

void sim_window_free(struct sim_window *w)
{
    free(w->at);
    free(w);
}

static void grow(struct sim_window *w)
{
    size_t cap = w->cap == 0 ? 1024 : 2 * w->cap;
    cp_time *at = malloc(cap * sizeof(*at));

    CP_ASSERT(at != NULL);
    for (size_t i = 0; i < w->count; i++) {
        at[i] = w->at[(w->first + i) % w->cap];
    }
    free(w->at);
    *w = (struct sim_window){at, 0, w->count, cap};
}

void sim_count_feedback(struct sim *sim)
{
    struct sim_window *w = sim->window;

    while (w->count > 0 && w->at[w->first] + CP_SEC <= sim->now) {
        w->first = (w->first + 1) % w->cap;
        w->count--;
    }
    if (w->count == w->cap) {
        grow(w);
    }
    w->at[(w->first + w->count) % w->cap] = sim->now;
    w->count++;
    sim->totals.feedback++;
    if (w->count > sim->totals.feedback_peak) {
        sim->totals.feedback_peak = (unsigned)w->count;
    }
}

static void count_kind(struct sim_totals *t, const struct norm_msg *m)
{
    switch (m->type) {
    case NORM_CMD:
        t->adverts += m->cmd == NORM_CMD_REPAIR_ADV;
        t->flushes += m->cmd == NORM_CMD_FLUSH;
        t->probes += m->cmd == NORM_CMD_CC;
        t->squelches += m->cmd == NORM_CMD_SQUELCH;
        break;
    case NORM_NACK:
        t->nacks++;
        break;
    case NORM_ACK:
        t->acks_cc += m->ack_type == NORM_ACK_CC;
        t->acks_flush += m->ack_type == NORM_ACK_FLUSH;
        break;
    case NORM_INFO:
    case NORM_DATA:
    case NORM_REPORT:
    default:
        break;
    }
}

/* Every packet that anybody sends must decode: what we write is strict. */
void sim_count_sent(struct sim *sim, const struct sim_packet *p)
{
    struct sim_totals *t = &sim->totals;

    if (p->msg == NULL) {
        sim_fail(sim, "a packet sent does not decode");
        return;
    }
    if (p->from == SIM_NODE_SENDER) {
        t->wire_bytes += p->size;
        *(p->msg->type == NORM_DATA ? &t->data_bytes : &t->control_bytes) += p->size;
    }
    count_kind(t, p->msg);
    if (sim->config.on_packet != NULL) {
        sim->config.on_packet(sim->config.arg, p);
    }
}

cp_time sim_last_completion(const struct sim *sim)
{
    cp_time last = 0;

    for (unsigned i = 0; i < sim->receiver_count; i++) {
        if (sim->receivers[i].complete && sim->receivers[i].complete_at > last) {
            last = sim->receivers[i].complete_at;
        }
    }
    return last;
}

/* P(all have k of t symbols) = P(Binomial(t, 1 - loss) ≥ k)^receivers; E[T] = Σ P(T > t). */
double sim_bound(unsigned k, unsigned receivers, double loss)
{
    double expected = k;
    double have = pow(1.0 - loss, k); /* P(the k-th symbol is the t-th sent or an earlier one) */
    double last = have;               /* P(it is the t-th) */

    for (unsigned t = k; loss > 0.0 && t < 8 * k + 64; t++) {
        expected += 1.0 - pow(have > 1.0 ? 1.0 : have, receivers);
        last *= loss * t / (t + 1.0 - k);
        have += last;
    }
    return (expected - k) / k;
}
