/* SPDX-License-Identifier: Apache-2.0
 * What the simulator's own files share: network, nodes, forger. Tests do not include it. */
#ifndef TESTS_SIM_SIM_INSIDE_H
#define TESTS_SIM_SIM_INSIDE_H

#include "sim.h"
#include "sim_events.h"

#define SIM_NODE_SENDER 0u

/* What sessions share. */
struct sim_network {
    struct sim_events *events;
    struct sim_path trunk, branch[SIM_BRANCHES_MAX];
    struct sim *session[SIM_SESSIONS_MAX];
    unsigned session_count;
};

/* Receivers that one event serves, since all get their packets at the same time; or, not `alike`,
 * those whose links give each packet a time of its own. */
struct sim_group {
    bool alike;
    unsigned branch;
    cp_time delay;
    unsigned *member; /* indices of receivers */
    unsigned count;
};

/* sim.c */
void sim_fail(struct sim *sim, const char *why);
static inline double sim_unit(struct sim *sim)
{
    return cp_prng_unit(&sim->prng);
}

/* sim_clock.c: the clock reading at which the node's timer fires, in true time. */
cp_time sim_clock_true(const struct sim_clock *c, cp_time reading);

/* sim_losses.c: which of these packets, bit per packet, pass. */
uint64_t sim_losses_pass(struct sim_losses *l, struct cp_prng *prng, const struct sim_link *link,
                         uint64_t packets);

/* sim_links.c */
void sim_groups_init(struct sim *sim);
void sim_groups_done(struct sim *sim);
/* Of the sender, to all. */
void sim_send_to_all(struct sim *sim, struct sim_buf *buf);
/* Of a receiver: to the sender; when they are multicast, to the other receivers too. */
void sim_send_feedback(struct sim *sim, unsigned index, struct sim_buf *buf);
/* A packet as the tests see it. */
struct sim_packet sim_packet_of(const struct sim *sim, const struct sim_buf *buf, unsigned i);

/* sim_nodes.c: drivers of the cores */
void sim_drive_sender(struct sim *sim);
void sim_wake_sender(struct sim *sim);
void sim_wake_receiver(struct sim *sim, unsigned index);
void sim_sender_gets(struct sim *sim, const struct sim_event *e);
void sim_receiver_gets(struct sim *sim, unsigned index, const struct sim_buf *buf,
                       uint64_t packets);
void sim_timer_set(struct sim *sim, unsigned node, cp_time at);

/* sim_count.c: of a packet sent; of feedback that arrives, with its window of a second */
struct sim_window *sim_window_new(void);
void sim_window_free(struct sim_window *w);
void sim_count_sent(struct sim *sim, const struct sim_packet *p);
void sim_count_feedback(struct sim *sim);

/* sim_forge.c: another packet that does not belong here */
void sim_forge(struct sim *sim);
/* A copy with some bits changed. */
struct sim_buf *sim_corrupt(struct sim *sim, const struct sim_buf *buf, unsigned i);

#endif
