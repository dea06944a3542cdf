/* SPDX-License-Identifier: Apache-2.0
 * Losses of a link, as runs of packets that pass and runs that get lost (Gilbert-Elliott with
 * certain loss in the bad state). Independent losses are the case in which a bad run's mean length
 * is 1 / (1 - loss). Runs are drawn as a whole, so that a packet costs next to nothing. */
#include <math.h>

#include "sim_inside.h"

/* Length of a run that goes on after each packet with probability 1 - 1 / mean: geometric. */
static uint64_t run_length(struct cp_prng *prng, double mean)
{
    double length;

    if (mean <= 1.0) {
        return 1;
    }
    length = 1.0 + floor(log(1.0 - cp_prng_unit(prng)) / log1p(-1.0 / mean));
    return length < 1e18 ? (uint64_t)length : UINT64_C(1000000000000000000);
}

static void next_run(struct sim_losses *l, struct cp_prng *prng, const struct sim_link *link)
{
    double bad = link->burst > 0.0 ? link->burst : 1.0 / (1.0 - link->loss);

    /* The first run is of the kind that a look at any time would find: runs have no memory. */
    l->losing = l->begun ? !l->losing : cp_prng_unit(prng) < link->loss;
    l->begun = true;
    l->left = run_length(prng, l->losing ? bad : bad * (1.0 - link->loss) / link->loss);
}

uint64_t sim_losses_pass(struct sim_losses *l, struct cp_prng *prng, const struct sim_link *link,
                         uint64_t packets)
{
    uint64_t passed = packets;

    if (link->loss <= 0.0) {
        return packets;
    }
    if (link->loss >= 1.0) {
        return 0;
    }
    for (uint64_t rest = packets; rest != 0;) {
        if (l->left == 0) {
            next_run(l, prng, link);
        }
        unsigned count = (unsigned)__builtin_popcountll(rest);

        if (!l->losing && l->left >= count) {
            l->left -= count;
            break;
        }
        passed &= l->losing ? ~(rest & -rest) : ~UINT64_C(0);
        rest &= rest - 1;
        l->left--;
    }
    return passed;
}
