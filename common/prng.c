/* SPDX-License-Identifier: Apache-2.0
 * xoshiro256** 1.0. Pure. */
#include "common/prng.h"

#include "common/err.h"

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

void cp_prng_seed(struct cp_prng *p, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9e3779b97f4a7c15u;

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        p->s[i] = z ^ z >> 31;
    }
}

uint64_t cp_prng_u64(struct cp_prng *p)
{
    uint64_t *s = p->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t cp_prng_below(struct cp_prng *p, uint64_t bound)
{
    uint64_t limit, v;

    CP_ASSERT(bound > 0);
    limit = UINT64_MAX - UINT64_MAX % bound; /* the largest multiple of bound */
    do {
        v = cp_prng_u64(p);
    } while (v >= limit);
    return v % bound;
}

double cp_prng_unit(struct cp_prng *p)
{
    return (double)(cp_prng_u64(p) >> 11) * 0x1.0p-53;
}
