/* SPDX-License-Identifier: Apache-2.0
 * Sealing as a task: parameters {"package": name, "version": number, "id": of the version},
 * result {"manifest_sha256", "files", "stream_size"}. A version of another id is left as it is. */
#ifndef JOBS_SEAL_H
#define JOBS_SEAL_H

#include "jobs/job.h"

job_fn job_seal;

#endif
