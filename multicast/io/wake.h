/* SPDX-License-Identifier: Apache-2.0
 * Waiting of an engine's thread: for descriptors, for a time, for another thread's call. Touches
 * an eventfd and poll. io_wake_raise() may be called from any thread and from signal handlers,
 * the rest belongs to the waiting thread. */
#ifndef MULTICAST_IO_WAKE_H
#define MULTICAST_IO_WAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/time.h"

struct io_wake {
    int fd; /* -1: none */
    atomic_bool raised;
};

/* CP_ERR_NO_MEMORY when the process or the system has no descriptor left. */
CP_MUST_CHECK enum cp_err io_wake_init(struct io_wake *w);
void io_wake_done(struct io_wake *w);
void io_wake_raise(struct io_wake *w);
/* Was it raised since the last time? */
bool io_wake_take(struct io_wake *w);

/* Sleeps until one of the descriptors (up to IO_WAIT_MAX, negative ones are left out) is readable
 * or the time has come; to the nanosecond as far as the kernel's timers go. True: one is readable. */
#define IO_WAIT_MAX 4u
bool io_wait(const int *fd, size_t count, cp_time now, cp_time until);

#endif
