/* SPDX-License-Identifier: Apache-2.0
 * The simulator's event queue and packets on their way. One thread. */
#ifndef TESTS_SIM_SIM_EVENTS_H
#define TESTS_SIM_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/time.h"
#include "multicast/norm/sender.h"

enum sim_event_kind {
    SIM_WAKE_SENDER,
    SIM_WAKE_RECEIVER,
    SIM_JOIN,
    SIM_LEAVE,
    SIM_DELIVER, /* to one node */
    SIM_FAN_OUT, /* to all receivers of a group */
    SIM_FORGE
};

enum sim_origin {
    SIM_GENUINE,
    SIM_CORRUPTED, /* what arrives is not what was sent */
    SIM_FORGED     /* by somebody who does not have the group's key */
};

/* Packets that one system call sent, back to back as in norm_txbuf, shared by their deliveries. */
struct sim_buf {
    unsigned references;
    unsigned from; /* 0: sender, else receiver index + 1 */
    enum sim_origin origin;
    unsigned count;
    size_t size, stride;
    uint8_t *data;         /* behind the messages */
    uint64_t decoded;      /* those of msg that are valid, bit per packet */
    struct norm_msg msg[]; /* decoded once for all who get them */
};

struct sim_event {
    cp_time time;
    uint64_t order; /* first scheduled, first served among equals */
    struct sim *sim;
    struct sim_buf *buf;
    uint64_t packets; /* of buf: bit per packet */
    enum sim_event_kind kind;
    unsigned node; /* 0: sender, else receiver index + 1; FAN_OUT: group */
};

struct sim_events;

struct sim_events *sim_events_new(void);
void sim_events_free(struct sim_events *q);
void sim_events_push(struct sim_events *q, struct sim_event event);
/* False when empty or the first is later than `until`. */
bool sim_events_pop(struct sim_events *q, cp_time until, struct sim_event *ret_event);
bool sim_events_empty(const struct sim_events *q);

/* Copies and decodes the packets; one reference is the caller's. */
struct sim_buf *sim_buf_get(const struct norm_txbuf *tx, unsigned from);
/* After its data changed. */
void sim_buf_decode(struct sim_buf *buf);
void sim_buf_put(struct sim_buf *buf);

static inline const uint8_t *sim_buf_packet(const struct sim_buf *buf, unsigned i, size_t *ret_size)
{
    size_t at = i * buf->stride;

    *ret_size = i + 1 < buf->count ? buf->stride : buf->size - at;
    return buf->data + at;
}

#endif
