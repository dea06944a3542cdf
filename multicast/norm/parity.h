/* SPDX-License-Identifier: Apache-2.0
 * How much parity to send before anybody asks: from the losses that receivers report, and from what
 * blocks turned out to need. Pure; bounded work, no allocation. */
#ifndef NORM_PARITY_H
#define NORM_PARITY_H

#include <stdint.h>

#include "common/time.h"
#include "multicast/norm/block.h"

#define NORM_LOSS_BUCKETS 64u /* four per octave, up from 2^-16, the step of the report */

/* Receivers by the loss that they report. */
struct norm_losses {
    double receivers[NORM_LOSS_BUCKETS]; /* with some loss */
    double sum[NORM_LOSS_BUCKETS];       /* of their losses */
    double total;                        /* receivers, those without loss too */
};

void norm_losses_clear(struct norm_losses *l);
/* One receiver that loses this fraction. */
void norm_losses_add(struct norm_losses *l, double loss);
/* Lets those that reported stand for so many; without any report nothing changes. */
void norm_losses_stand_for(struct norm_losses *l, double receivers);

/* Mean of reports, of which each speaks of the time since the one before: over all that time, or
 * later the latest NORM_LOSS_WINDOW. `mean`: until `at`, begun at `from`; both 0: no mean yet. */
#define NORM_LOSS_WINDOW (300 * CP_MSEC)
void norm_loss_mean(double *mean, cp_time *from, cp_time *at, double loss, cp_time now);

/* What blocks of the first pass needed, of late: symbols beyond the source. */
struct norm_needs {
    double blocks;                            /* sent */
    double asked[NORM_BLOCK_SYMBOLS_MAX + 1]; /* of them, by the need that NACKs told */
};

void norm_needs_sent(struct norm_needs *n);
/* A NACK tells a block's need; `before`: what an earlier one told, 0 none. */
void norm_needs_told(struct norm_needs *n, unsigned before, unsigned need);
/* Halves what is known, so that new blocks count more. */
void norm_needs_age(struct norm_needs *n);

struct norm_parity_goal {
    double quiet; /* probability that no receiver needs a repair */
    double spare; /* at the price of so many symbols more than needed, on average, at most */
};

/* Least number of parity symbols ≤ most behind a block of k that reaches the goal, or the largest
 * that its price allows. Losses are taken as independent; where blocks turned out to need more
 * (`needs`, may be NULL), that counts. Receivers that not even `most` would serve are left out
 * while they are the minority. */
unsigned norm_parity_choose(const struct norm_losses *l, const struct norm_needs *needs, unsigned k,
                            unsigned most, struct norm_parity_goal goal);

#endif
