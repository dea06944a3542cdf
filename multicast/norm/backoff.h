/* SPDX-License-Identifier: Apache-2.0
 * Random back-off before feedback (RFC 5401 section 3.2.2). Pure; randomness from the caller's
 * seeded generator. */
#ifndef NORM_BACKOFF_H
#define NORM_BACKOFF_H

#include <stdint.h>

#include "common/prng.h"
#include "common/time.h"

/* Truncated exponential in [0, max_time]; 0 when max_time is. group_size ≥ 1. */
cp_time norm_backoff_random(struct cp_prng *prng, cp_time max_time, uint64_t group_size);

/* Uniform in [0, max_time). */
cp_time norm_backoff_uniform(struct cp_prng *prng, cp_time max_time);

#endif
