/* SPDX-License-Identifier: Apache-2.0
 * Choice of proactive parity. A receiver that loses the fraction p of all symbols has k of k + a
 * with the probability of a negative binomial distribution, whose terms follow from each other:
 * t(0) = (1 - p)^k, t(a + 1) = t(a) p (k + a) / (a + 1). Pure. */
#include "multicast/norm/parity.h"

#include <math.h>
#include <string.h>

#include "common/err.h"

#define LEAST_EXPONENT (-16)
#define PER_OCTAVE     4.0
#define LOSS_MOST      0.9  /* beyond it no parity helps and powers underflow */
#define CURABLE        0.05 /* least chance that all parity serves a receiver that counts */
#define NEEDS_LEAST    64.0 /* blocks; fewer prove nothing */

/* Receivers of one bucket while `a` grows. */
struct series {
    double receivers, loss, term, served; /* served: P(no repair needed with a symbols) */
};

void norm_losses_clear(struct norm_losses *l)
{
    memset(l, 0, sizeof(*l));
}

void norm_losses_add(struct norm_losses *l, double loss)
{
    double at;
    unsigned i;

    l->total += 1.0;
    if (!(loss > 0.0)) {
        return;
    }
    loss = loss < LOSS_MOST ? loss : LOSS_MOST;
    at = (log2(loss) - LEAST_EXPONENT) * PER_OCTAVE;
    i = at > 0.0 ? (unsigned)at : 0;
    i = i < NORM_LOSS_BUCKETS ? i : NORM_LOSS_BUCKETS - 1;
    l->receivers[i] += 1.0;
    l->sum[i] += loss;
}

void norm_losses_stand_for(struct norm_losses *l, double receivers)
{
    double factor;

    if (l->total <= 0.0) {
        return;
    }
    factor = receivers / l->total;
    for (unsigned i = 0; i < NORM_LOSS_BUCKETS; i++) {
        l->receivers[i] *= factor;
        l->sum[i] *= factor;
    }
    l->total = receivers;
}

void norm_loss_mean(double *mean, cp_time *from, cp_time *at, double loss, cp_time now)
{
    cp_time span = cp_time_min(now - *from, NORM_LOSS_WINDOW);

    if (*at == 0 || span == 0) {
        *mean = loss;
        *from = *at == 0 ? now : *from;
    } else if (now > *at) {
        double part = (double)(now - *at) / (double)span;

        *mean += (loss - *mean) * (part < 1.0 ? part : 1.0);
    }
    *at = now;
}

void norm_needs_sent(struct norm_needs *n)
{
    n->blocks += 1.0;
}

void norm_needs_told(struct norm_needs *n, unsigned before, unsigned need)
{
    CP_ASSERT(before <= NORM_BLOCK_SYMBOLS_MAX && need <= NORM_BLOCK_SYMBOLS_MAX);
    if (need <= before) {
        return;
    }
    if (before > 0) { /* it may have aged since */
        n->asked[before] = n->asked[before] > 1.0 ? n->asked[before] - 1.0 : 0.0;
    }
    n->asked[need] += 1.0;
}

void norm_needs_age(struct norm_needs *n)
{
    n->blocks /= 2;
    for (unsigned i = 0; i <= NORM_BLOCK_SYMBOLS_MAX; i++) {
        n->asked[i] /= 2;
    }
}

static void series_step(struct series *s, unsigned k, unsigned a)
{
    s->term *= s->loss * (double)(k + a) / (double)(a + 1);
    s->served += s->term;
}

static void series_begin(struct series *s, unsigned k)
{
    s->term = pow(1.0 - s->loss, k);
    s->served = s->term;
}

/* Only of those that count; returns how many series. */
static unsigned make_series(const struct norm_losses *l, unsigned k, unsigned most,
                            struct series series[NORM_LOSS_BUCKETS])
{
    double hopeless = 0.0;
    unsigned count = 0, kept = 0;

    for (unsigned i = 0; i < NORM_LOSS_BUCKETS; i++) {
        if (l->receivers[i] <= 0.0) {
            continue;
        }
        struct series *s = &series[count++];

        *s = (struct series){.receivers = l->receivers[i], .loss = l->sum[i] / l->receivers[i]};
        series_begin(s, k);
        for (unsigned a = 0; a < most; a++) {
            series_step(s, k, a);
        }
        hopeless += s->served < CURABLE ? s->receivers : 0.0;
    }
    for (unsigned i = 0; i < count; i++) {
        if (series[i].served < CURABLE && 2.0 * hopeless < l->total) {
            continue;
        }
        series[kept] = series[i];
        series_begin(&series[kept], k);
        kept++;
    }
    return kept;
}

/* Share of the blocks for which `a` symbols would have been enough. Few requests may be chance: two
 * standard deviations of their number are not held against `a`. */
static double share_served(const struct norm_needs *n, double more)
{
    double certain = more - 2.0 * sqrt(more);

    if (n->blocks < NEEDS_LEAST || certain <= 0.0) {
        return 1.0;
    }
    return certain < n->blocks ? 1.0 - certain / n->blocks : 0.0;
}

unsigned norm_parity_choose(const struct norm_losses *l, const struct norm_needs *needs, unsigned k,
                            unsigned most, struct norm_parity_goal goal)
{
    struct series series[NORM_LOSS_BUCKETS];
    unsigned count = make_series(l, k, most, series);
    double vain = 0.0; /* expected symbols beyond the need: the sum of P(need ≤ j) over j < a */
    double more = 0.0; /* blocks that needed more than `a` */

    for (unsigned i = 1; needs != NULL && i <= NORM_BLOCK_SYMBOLS_MAX; i++) {
        more += needs->asked[i];
    }
    for (unsigned a = 0; a < most; a++) {
        double log_quiet = 0.0, quiet;

        for (unsigned i = 0; i < count; i++) {
            log_quiet += series[i].receivers * log(series[i].served < 1.0 ? series[i].served : 1.0);
            series_step(&series[i], k, a);
        }
        quiet = exp(log_quiet);
        if (needs != NULL) {
            double seen = share_served(needs, more);

            quiet = seen < quiet ? seen : quiet;
            more = more > needs->asked[a + 1] ? more - needs->asked[a + 1] : 0.0;
        }
        vain += quiet;
        if (quiet >= goal.quiet || vain > goal.spare) {
            return a;
        }
    }
    return most;
}
