/* SPDX-License-Identifier: Apache-2.0
 * The simulator's event queue and packet pool. One thread. */
#ifndef TESTS_SIM_SIM_EVENTS_H
#define TESTS_SIM_SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/time.h"

enum sim_event_kind { SIM_WAKE_SENDER, SIM_WAKE_RECEIVER, SIM_JOIN, SIM_DELIVER };

/* A packet shared by all its deliveries. */
struct sim_buf {
    struct sim_buf *next_free;
    unsigned references;
    unsigned from;
    size_t size;
    uint8_t data[];
};

struct sim_event {
    cp_time time;
    uint64_t order; /* first scheduled, first served among equals */
    enum sim_event_kind kind;
    unsigned node; /* 0: sender, else receiver index + 1 */
    struct sim_buf *buf;
};

struct sim_events;

struct sim_events *sim_events_new(size_t buf_size);
void sim_events_free(struct sim_events *q);
void sim_events_push(struct sim_events *q, struct sim_event event);
/* False when empty or the first is later than `until`. */
bool sim_events_pop(struct sim_events *q, cp_time until, struct sim_event *ret_event);
bool sim_events_empty(const struct sim_events *q);

struct sim_buf *sim_buf_get(struct sim_events *q, const uint8_t *data, size_t size, unsigned from);
void sim_buf_put(struct sim_events *q, struct sim_buf *buf);

#endif
