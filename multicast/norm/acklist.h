/* SPDX-License-Identifier: Apache-2.0
 * The nodes of which the sender wants ACK(FLUSH) (RFC 5740 section 5.5.3): who answered, how often
 * each was asked. Fixed room, no allocation. Pure. */
#ifndef NORM_ACKLIST_H
#define NORM_ACKLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "multicast/norm/sender.h" /* NORM_ACKING_MAX */

/* Nobody is asked while more nodes than this are on the list: their answers to one FLUSH would come
 * within a GRTT. The end is then told by nobody's asking for repairs (RFC5740 5.5.3 leaves it to the
 * sender whom it asks). */
#define NORM_ACK_CROWD 150u

struct norm_acker {
    uint32_t node_id;
    uint8_t asked; /* FLUSHes that named it since the last restart */
    bool acked;
};

struct norm_acklist {
    struct norm_acker nodes[NORM_ACKING_MAX];
    unsigned count;
    unsigned missing; /* that have not answered */
    unsigned next;    /* where the next list begins, so that all get their turn */
};

/* Adding a node that is there changes nothing. CP_ERR_NO_MEMORY when full, CP_ERR_INVALID for a
 * reserved node id. */
CP_MUST_CHECK enum cp_err norm_acklist_add(struct norm_acklist *l, uint32_t node_id);
void norm_acklist_remove(struct norm_acklist *l, uint32_t node_id);
/* True if the node is on the list and had not answered yet. */
bool norm_acklist_ack(struct norm_acklist *l, uint32_t node_id);
bool norm_acklist_acked(const struct norm_acklist *l, uint32_t node_id);

/* Asks again from the start, after a repair. */
void norm_acklist_restart(struct norm_acklist *l);
/* Writes big-endian node ids of those to ask next, each at most robust_factor times, into at most
 * cap bytes; returns the bytes written. */
size_t norm_acklist_ask(struct norm_acklist *l, uint8_t robust_factor, uint8_t *buf, size_t cap);
/* Somebody has not answered and may still be asked. */
bool norm_acklist_pending(const struct norm_acklist *l, uint8_t robust_factor);

#endif
