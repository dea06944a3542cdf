/* SPDX-License-Identifier: Apache-2.0
 * A token bucket that holds one second of the rate at most. Reads the clock and the settings. */
#include "jobs/pace.h"

#include <linux/ioprio.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "db/settings.h"

#define SETTINGS_EVERY CP_SEC
#define SLICE_MS       50 /* so that a stop, a cancellation or a change is soon seen */
/* A bucket that is fuller than this is not filled on: the disk is then kept busy in bursts. */
#define FULL_NS CP_SEC

static void read_rate(struct job_pace *p, cp_time now)
{
    struct db_settings settings;

    if (now >= p->settings_at) {
        p->settings_at = now + SETTINGS_EVERY;
        /* While the database is away the old rate holds. */
        if (job_settings(p->job, &settings, NULL) == CP_OK) {
            p->rate_bps = settings.library_validate_rate_bps;
        }
    }
}

static void fill(struct job_pace *p, cp_time now)
{
    cp_time passed = p->filled_at != 0 ? now - p->filled_at : 0;
    int64_t full = (int64_t)p->rate_bps;

    if (passed > FULL_NS) {
        passed = FULL_NS;
    }
    p->filled_at = now;
    p->bits += (int64_t)((double)p->rate_bps * (double)passed / (double)CP_SEC);
    if (p->bits > full) {
        p->bits = full;
    }
}

enum cp_err job_pace_wait(struct job_pace *p, uint64_t bytes, struct cp_error *err)
{
    cp_time now = cp_clock_now();

    CP_TRY(job_progress(p->job, p->done, p->total, err));
    read_rate(p, now);
    fill(p, now);
    while (p->rate_bps > 0 && p->bits < 0) {
        (void)poll(NULL, 0, SLICE_MS);
        CP_TRY(job_progress(p->job, p->done, p->total, err));
        now = cp_clock_now();
        read_rate(p, now);
        fill(p, now);
    }
    if (p->rate_bps > 0) {
        p->bits -= (int64_t)(bytes * 8);
    } else {
        p->bits = 0;
    }
    p->done += bytes;
    return CP_OK;
}

void job_pace_idle(bool idle)
{
    /* 0 is the calling thread; glibc has no function for it. */
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                  idle ? IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0)
                       : IOPRIO_PRIO_VALUE(IOPRIO_CLASS_NONE, 0));
}
