/* SPDX-License-Identifier: Apache-2.0
 * The sender's estimate of the group's greatest round-trip time (RFC 5401 section 3.7.1). Pure. */
#ifndef NORM_GRTT_H
#define NORM_GRTT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/time.h"

struct norm_grtt {
    cp_time value; /* estimate, within [min, max] */
    cp_time peak;  /* largest sample since the last probe; 0: none */
    cp_time min, max;
    cp_time advertised; /* what receivers and the sender's own timers use: quantised upwards */
    uint8_t quantized;  /* the same as it travels */
};

/* packet_time: nominal time between packets, a lower limit of what is advertised. */
void norm_grtt_init(struct norm_grtt *g, cp_time start, cp_time min, cp_time max,
                    cp_time packet_time);
/* One receiver's round trip. */
void norm_grtt_sample(struct norm_grtt *g, cp_time rtt, cp_time packet_time);
/* A probe interval ends. While starting, the estimate is a guess of the configuration and falls
 * faster than RFC 5401 lets a measured one fall. */
void norm_grtt_probe(struct norm_grtt *g, cp_time packet_time, bool starting);

#endif
