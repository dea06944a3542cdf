/* SPDX-License-Identifier: Apache-2.0
 * Random back-off before feedback. Pure. */
#include "multicast/norm/backoff.h"

#include <math.h>

cp_time norm_backoff_random(struct cp_prng *prng, cp_time max_time, uint64_t group_size)
{
    if (max_time == 0) {
        return 0;
    }
    /* RFC5401 3.2.2: "L = log(groupSize) + 1"; with x of the text multiplied by T_maxBackoff / L,
     * x' is uniform in [1 / (exp(L) - 1), the same + 1]. */
    double lambda = log((double)(group_size > 0 ? group_size : 1)) + 1.0;
    double spread = exp(lambda) - 1.0;
    double x = cp_prng_unit(prng) + 1.0 / spread;
    double part = log(x * spread) / lambda; /* 0 … 1, a hair above 1 at the end */
    double t = (double)max_time * part;

    if (t <= 0.0) {
        return 0;
    }
    return t >= (double)max_time ? max_time : (cp_time)t;
}

cp_time norm_backoff_uniform(struct cp_prng *prng, cp_time max_time)
{
    return max_time == 0 ? 0 : (cp_time)(cp_prng_unit(prng) * (double)max_time);
}
