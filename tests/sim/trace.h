/* SPDX-License-Identifier: Apache-2.0
 * Transcript of a simulated run: one line per message, runs of DATA in one line, so that a test
 * reads like the story it tells. */
#ifndef TESTS_SIM_TRACE_H
#define TESTS_SIM_TRACE_H

#include "sim.h"

#define TRACE_SIZE 16384u

struct trace {
    char text[TRACE_SIZE];
    size_t size;
    bool acks_cc, probes; /* show these too */
    bool decisions_only;  /* no traffic */
    /* open run of DATA */
    bool open;
    const char *kind;
    uint32_t sbn;
    uint16_t first, last;
};

/* As sim_config.on_packet; sees what is sent, before any loss. */
void trace_packet(struct trace *t, const struct sim_packet *p);
/* As norm_sender_config.trace, with the transcript as trace_arg. */
void trace_decision(void *arg, const struct norm_trace *d);
/* Closes the transcript and returns it. */
const char *trace_text(struct trace *t);

#endif
