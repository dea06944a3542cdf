/* SPDX-License-Identifier: Apache-2.0
 * Pacing of the sender's packets. Pure. */
#include "multicast/norm/rate.h"

#include "common/err.h"

void norm_rate_init(struct norm_rate *r, cp_time now, uint64_t bps)
{
    CP_ASSERT(bps > 0);
    *r = (struct norm_rate){.bps = bps, .ready = now};
}

void norm_rate_set(struct norm_rate *r, uint64_t bps)
{
    CP_ASSERT(bps > 0);
    r->bps = bps;
    r->rest = 0;
}

bool norm_rate_ready(struct norm_rate *r, cp_time now)
{
    if (cp_time_add(r->ready, NORM_RATE_BURST) < now) {
        r->ready = now - NORM_RATE_BURST;
    }
    return r->ready <= now;
}

void norm_rate_charge(struct norm_rate *r, cp_time now, size_t bytes)
{
    uint64_t total = (uint64_t)bytes * 8 * CP_SEC + r->rest;

    if (cp_time_add(r->ready, NORM_RATE_BURST) < now) {
        r->ready = now - NORM_RATE_BURST;
    }
    r->ready += total / r->bps;
    r->rest = total % r->bps;
}

unsigned norm_rate_batch(const struct norm_rate *r, size_t packet_size)
{
    uint64_t packets = r->bps / 8 * NORM_RATE_BATCH / CP_SEC / packet_size;

    if (packets == 0) {
        return 1;
    }
    return packets > 0xffff ? 0xffffu : (unsigned)packets;
}

cp_time norm_rate_time(const struct norm_rate *r, size_t bytes)
{
    return (uint64_t)bytes * 8 * CP_SEC / r->bps;
}
