/* SPDX-License-Identifier: Apache-2.0
 * See sim_limits.h. */
#include "sim_limits.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned failures;

void sim_expect(bool right, const char *what, double is, double limit)
{
    if (!right) {
        printf("  FAILED: %s is %.4f, limit %.4f\n", what, is, limit);
        failures++;
    }
}

void sim_finish(struct sim *sim)
{
    if (!sim_run(sim)) {
        printf("  FAILED: %s\n", sim->failure);
        failures++;
    }
}

int sim_limits_exit(void)
{
    printf("%u limits exceeded\n", failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
