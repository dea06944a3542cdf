/* SPDX-License-Identifier: Apache-2.0
 * What the sender knows of each node whose feedback it heard: latest report, and what its repairs
 * cost. Pure; storage is allocated once. */
#ifndef NORM_MEMBERS_H
#define NORM_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"

#define NORM_MEMBERS_MAX 8192u

struct norm_member {
    uint32_t node_id;
    cp_time first_heard, last_heard;

    /* EXT_CC of its latest feedback */
    bool reported;
    cp_time reported_at;
    uint16_t cc_sequence; /* of the probe that it answers */
    double loss;          /* fraction before repair, since its report before */
    uint64_t rate_bps;    /* received, UDP payload bits per second */
    bool slow;            /* its own buffers fill */
    bool outlier;         /* left out of the choice of the pace */

    /* Rate control's own. */
    double base_loss; /* that lower paces did not cure */

    /* Repairs */
    uint64_t asked;                 /* symbols its NACKs asked for so far */
    double recent;                  /* of late: a leaky bucket, symbols */
    cp_time recent_at;              /* when it leaked last */
    bool over_budget;               /* its NACKs are not served any more */
    uint32_t bulk_first, bulk_last; /* blocks it waits for in the second pass; first > last: none */

    size_t next; /* in its bucket */
};

struct norm_members {
    struct norm_member *member; /* count of them, in order of first hearing */
    size_t count, max;
    size_t *bucket;
    size_t mask;
};

/* Room for `max` nodes (≤ NORM_MEMBERS_MAX). CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err norm_members_init(struct norm_members *m, size_t max);
void norm_members_done(struct norm_members *m);

/* NULL: never heard of. */
struct norm_member *norm_members_find(const struct norm_members *m, uint32_t node_id);
/* Notes that the node was heard; a new one gets a place. NULL: no room, it is served unaccounted. */
struct norm_member *norm_members_heard(struct norm_members *m, cp_time now, uint32_t node_id);
/* Back to nobody. */
void norm_members_clear(struct norm_members *m);

#endif
