/* SPDX-License-Identifier: Apache-2.0
 * What scenarios of rate control share: the pace alone is at work, and is looked at over a time. */
#ifndef TESTS_SIM_SIM_RATE_RIG_H
#define TESTS_SIM_SIM_RATE_RIG_H

#include "sim.h"

#define MBIT      UINT64_C(1000000)
#define GBIT      UINT64_C(1000000000)
#define MB        UINT64_C(1000000)
#define RATE_STEP (10 * CP_MSEC) /* between two looks */

/* An object in bytes, for a group of so many, below a ceiling: nobody is left behind, parity does
 * not change. */
struct sim_config rate_lan(uint64_t object_size, uint64_t gsize, uint64_t ceiling);

/* Pace over a time, bit/s. */
struct rate_pace {
    double mean, least, most;
    unsigned samples;
};
void rate_sample(struct rate_pace *p, uint64_t bps);

/* The sender's pace now; whether its first pass is still under way. */
uint64_t rate_of(const struct sim *sim);
bool rate_sending(const struct sim *sim);
/* Looks at the pace from `from` on until `until` or the first pass is over. */
struct rate_pace rate_watch(struct sim *sim, cp_time from, cp_time until);

/* Bytes on the wire over those of the object. */
double rate_wire(const struct sim *sim);
void rate_report(const char *name, const struct sim *sim, const struct rate_pace *p);

/* main() of such a program: runs the scenario named by its argument and prints what the sender
 * decides, or runs all; the exit status. */
struct rate_scenario {
    const char *name;
    void (*run)(void);
};
int rate_run(int argc, char **argv, const struct rate_scenario *scenarios, size_t count);

#endif
