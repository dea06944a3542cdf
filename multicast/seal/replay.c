/* SPDX-License-Identifier: Apache-2.0
 * Anti-replay window (RFC 6584 section 3.3.2; the ring of bits is that of RFC 6479): sequence
 * numbers accepted lately, as bits at sn modulo the window's size. Pure. */
#include <string.h>

#include "multicast/seal/seal.h"

static uint64_t bit_of(uint64_t sn)
{
    return UINT64_C(1) << (sn % 64);
}

static size_t word_of(uint64_t sn)
{
    return (size_t)(sn % SEAL_REPLAY_WINDOW / 64);
}

/* RFC6584 5.3.2 "follows the principles described in Section 3.3.2": "Duplicates are rejected
 * through the use of a sliding receive window." */
bool seal_replay_seen(const struct seal_replay *r, uint64_t sn)
{
    if (sn == 0) {
        return true; /* the first packet has 1 */
    }
    if (sn > r->highest) {
        return false;
    }
    if (r->highest - sn >= SEAL_REPLAY_WINDOW) {
        return true;
    }
    return (r->bits[word_of(sn)] & bit_of(sn)) != 0;
}

void seal_replay_mark(struct seal_replay *r, uint64_t sn)
{
    if (sn == 0 || (sn <= r->highest && r->highest - sn >= SEAL_REPLAY_WINDOW)) {
        return; /* the bit belongs to another number by now */
    }
    if (sn > r->highest) {
        if (sn - r->highest >= SEAL_REPLAY_WINDOW) {
            memset(r->bits, 0, sizeof r->bits);
        } else {
            for (uint64_t skipped = r->highest + 1; skipped < sn; skipped++) {
                r->bits[word_of(skipped)] &= ~bit_of(skipped);
            }
        }
        r->highest = sn;
    }
    r->bits[word_of(sn)] |= bit_of(sn);
}
