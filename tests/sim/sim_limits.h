/* SPDX-License-Identifier: Apache-2.0
 * Limits that a program of scenarios holds them to: what exceeds one is printed and counted. */
#ifndef TESTS_SIM_SIM_LIMITS_H
#define TESTS_SIM_SIM_LIMITS_H

#include "sim.h"

void sim_expect(bool right, const char *what, double is, double limit);
/* Runs it to its end, which must be good. */
void sim_finish(struct sim *sim);
/* The program's exit status; prints how many were exceeded. */
int sim_limits_exit(void);

#endif
