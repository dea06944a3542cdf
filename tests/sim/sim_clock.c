/* SPDX-License-Identifier: Apache-2.0
 * Clocks of simulated nodes, which are off and run fast or slow. Pure. */
#include "sim_inside.h"

#define MILLION 1000000

cp_time sim_clock_read(const struct sim_clock *c, cp_time now)
{
    int64_t drift = (int64_t)(now / MILLION) * c->ppm + (int64_t)(now % MILLION) * c->ppm / MILLION;

    return now + c->offset + (cp_time)drift;
}

cp_time sim_clock_true(const struct sim_clock *c, cp_time reading)
{
    cp_time at;

    if (reading == CP_TIME_NEVER) {
        return CP_TIME_NEVER;
    }
    if (reading <= c->offset) {
        return 0;
    }
    at = reading - c->offset;
    if (c->ppm == 0) {
        return at;
    }
    at = (cp_time)((double)at / (1.0 + (double)c->ppm / MILLION));
    while (sim_clock_read(c, at) < reading) { /* what floating point left, and rounding */
        at++;
    }
    return at;
}
