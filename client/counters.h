/* SPDX-License-Identifier: Apache-2.0
 * Figures of one fetch, for display, reports and summary. Plain values. */
#ifndef CLIENT_COUNTERS_H
#define CLIENT_COUNTERS_H

#include <stdint.h>

struct cl_counters {
    uint64_t bytes_total;     /* of the stream */
    uint64_t bytes_done;      /* verified and written; zeros and what was there before included */
    uint64_t bytes_multicast; /* content by multicast as first sent, repairs not included … */
    uint64_t bytes_repair;    /* … content by multicast repairs and parity */
    uint64_t bytes_https;     /* content over HTTPS */
    uint64_t rate_bps;        /* of content, now; in the end: while content came */
    uint32_t loss_ppm;        /* packets lost before repair */
    uint64_t nacks;
};

#endif
