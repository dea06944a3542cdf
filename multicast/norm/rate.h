/* SPDX-License-Identifier: Apache-2.0
 * Pacing: a token bucket kept as the time at which the next packet may leave. Exact over any
 * length of time, since the remainder of each division is carried. Pure. */
#ifndef NORM_RATE_H
#define NORM_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/time.h"

/* Time of the rate that makes one batch of packets. */
#define NORM_RATE_BATCH CP_MSEC

/* Most that may be made up for after the driver came late. A busy machine keeps a thread waiting
 * for a time slice or so, 3 ms and more; with less credit each such pause costs rate for good. At
 * any rate it fits the buffer of a switch's port: 500 kB at 1 Gbit/s. */
#define NORM_RATE_BURST (4 * CP_MSEC)

struct norm_rate {
    uint64_t bps;  /* > 0 */
    uint64_t rest; /* carried, in bit-nanoseconds per `bps` */
    cp_time ready; /* the next packet may leave then */
};

void norm_rate_init(struct norm_rate *r, cp_time now, uint64_t bps);
void norm_rate_set(struct norm_rate *r, uint64_t bps);

/* May a batch start now? Forgets credit beyond NORM_RATE_BURST. */
bool norm_rate_ready(struct norm_rate *r, cp_time now);

/* Accounts for bytes that leave now; may run into debt. */
void norm_rate_charge(struct norm_rate *r, cp_time now, size_t bytes);

/* Packets of this size that make NORM_RATE_BATCH, at least 1. */
unsigned norm_rate_batch(const struct norm_rate *r, size_t packet_size);

/* Time that so many bytes take, nanoseconds. */
cp_time norm_rate_time(const struct norm_rate *r, size_t bytes);

#endif
