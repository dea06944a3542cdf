/* SPDX-License-Identifier: Apache-2.0
 * Garbage collection as a task: what no file has had for the settings' grace goes. Parameter
 * {"dry_run": true} only counts. Result: {"dry_run", "blobs", "bytes", "stray_files", "stray_bytes",
 * "quarantined", "quarantined_bytes", "disk_bytes"}: what went (or would go) and what the store then
 * takes of the disk. */
#ifndef JOBS_COLLECT_H
#define JOBS_COLLECT_H

#include "jobs/job.h"

job_fn job_collect;
job_interval job_collect_interval;

#endif
