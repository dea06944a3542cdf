/* SPDX-License-Identifier: Apache-2.0
 * Seedable pseudo-random numbers (xoshiro256**, seeded by splitmix64; Blackman & Vigna 2018) for
 * back-off timers and simulations. Never for keys. Pure; the state belongs to the caller. */
#ifndef CP_COMMON_PRNG_H
#define CP_COMMON_PRNG_H

#include <stdint.h>

struct cp_prng {
    uint64_t s[4];
};

void cp_prng_seed(struct cp_prng *p, uint64_t seed);
uint64_t cp_prng_u64(struct cp_prng *p);

/* Uniform in [0, bound), bound > 0, without modulo bias. */
uint64_t cp_prng_below(struct cp_prng *p, uint64_t bound);

/* Uniform in [0, 1) with 53 bits. */
double cp_prng_unit(struct cp_prng *p);

#endif
