/* SPDX-License-Identifier: Apache-2.0
 * Every kind of work there is. Pure data. */
#include "jobs/job.h"
#include "jobs/seal.h"

const struct job_kind job_kinds[] = {
    {"seal-version", job_seal, NULL, DB_TASK_BYTES},
    {NULL, NULL, NULL, DB_TASK_ITEMS},
};
