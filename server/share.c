/* SPDX-License-Identifier: Apache-2.0
 * Fair shares. */
#include "server/share.h"

#include <stdbool.h>

#define SAMPLE_MIN (500 * CP_MSEC)
/* Control starts at half of the share and is at its pace within seconds. */
#define LEARN_TIME (5 * CP_SEC)
/* Who uses that much of its share is held back by it. Pacing leaves a few percent unused. */
#define USED_PERCENT 90u
/* Room to grow from one sample to the next, and for a pace that swings. */
#define GROW_PERCENT 125u
#define IDLE_PART    10u

void srv_use_init(struct srv_use *u, cp_time now, uint64_t share_bps)
{
    *u = (struct srv_use){.began = now,
                          .since = now,
                          .share_bps = share_bps,
                          .least_bps = share_bps,
                          .want_bps = SRV_SHARE_ALL};
}

void srv_use_sample(struct srv_use *u, cp_time now, uint64_t bytes)
{
    cp_time time = now - u->since;
    double used;

    if (time < SAMPLE_MIN) {
        return;
    }
    used = (double)(bytes - u->bytes) * 8.0 * (double)CP_SEC / (double)time;
    if (now - u->began < LEARN_TIME || used * 100.0 >= (double)u->least_bps * USED_PERCENT) {
        u->want_bps = SRV_SHARE_ALL;
    } else {
        u->want_bps = (uint64_t)(used * GROW_PERCENT / 100.0);
    }
    u->since = now;
    u->bytes = bytes;
    u->least_bps = u->share_bps;
}

void srv_use_grant(struct srv_use *u, uint64_t share_bps)
{
    u->share_bps = share_bps;
    if (share_bps < u->least_bps) {
        u->least_bps = share_bps;
    }
}

static uint64_t want_of(const uint64_t *wants, size_t i, uint64_t idle_bps)
{
    return wants[i] > idle_bps ? wants[i] : idle_bps;
}

/* Grants those still open (SRV_SHARE_ALL) whose wish fits into an equal part of what is left; false
 * when there was none. */
static bool grant_modest(const uint64_t *wants, size_t count, uint64_t idle_bps, uint64_t *left_bps,
                         size_t *open, uint64_t *shares)
{
    uint64_t equal = *left_bps / *open;
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        uint64_t want = want_of(wants, i, idle_bps);

        if (shares[i] == SRV_SHARE_ALL && want <= equal) {
            shares[i] = want;
            *left_bps -= want;
            (*open)--;
            any = true;
        }
    }
    return any;
}

void srv_share_divide(uint64_t ceiling_bps, const uint64_t *wants, size_t count,
                      uint64_t *ret_shares)
{
    uint64_t left = ceiling_bps;
    size_t open = count;
    uint64_t more;

    if (count == 0) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ret_shares[i] = SRV_SHARE_ALL;
    }
    while (open > 0 &&
           grant_modest(wants, count, ceiling_bps / count / IDLE_PART, &left, &open, ret_shares)) {
    }
    more = open > 0 ? left / open : left / count;
    for (size_t i = 0; i < count; i++) {
        if (ret_shares[i] == SRV_SHARE_ALL) {
            ret_shares[i] = more;
        } else if (open == 0) {
            ret_shares[i] += more;
        }
    }
}
