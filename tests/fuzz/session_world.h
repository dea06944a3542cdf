/* SPDX-License-Identifier: Apache-2.0
 * The world of fuzz_norm_session: one sender and some receivers of a small object in virtual time,
 * packets on their way between them, and the promises that each side must keep. */
#ifndef TESTS_FUZZ_SESSION_WORLD_H
#define TESTS_FUZZ_SESSION_WORLD_H

#include "common/prng.h"
#include "multicast/norm/receiver.h"
#include "multicast/norm/sender.h"
#include "tests/fuzz/script.h"

#define WORLD_RECEIVERS  4u
#define WORLD_SENDER     WORLD_RECEIVERS /* index of the sender among the parties */
#define WORLD_PARTIES    (WORLD_RECEIVERS + 1)
#define WORLD_SENDER_ID  1u
#define WORLD_NODE_ID(i) (2u + (uint32_t)(i))
#define WORLD_FLIGHT_MAX 1024u /* packets on their way; more are lost, as in a full queue */

struct world_packet {
    cp_time due;
    size_t to;
    size_t size;
    uint8_t *data;
};

struct world {
    cp_time now, delay;
    struct norm_sender_config config;
    struct norm_sender *sender;
    struct norm_receiver_config receiver_config[WORLD_RECEIVERS];
    struct norm_receiver *receiver[WORLD_RECEIVERS]; /* NULL: not there */
    bool withdrawn;
    bool forged; /* something came that nobody of the group sent: nothing need ever complete */
    struct norm_txbuf tx;
    struct cp_prng prng;         /* losses */
    uint8_t loss[WORLD_PARTIES]; /* of what arrives there, of 256 */
    struct world_packet flight[WORLD_FLIGHT_MAX];
    size_t flight_at, flight_count;
    uint64_t ceiling_bps;
    double pace_level; /* bytes of DATA ahead of what the ceiling allows */
    cp_time pace_at;
    unsigned work; /* packets handled so far: bounds an input's time */
};

void world_open(struct world *w, struct script *s);
void world_close(struct world *w);

/* Replaces the sender by a new instance. */
void world_restart_sender(struct world *w);
/* A receiver of that index appears (again, with nothing). */
void world_join(struct world *w, size_t index);
void world_set_rate(struct world *w, uint64_t bps);

/* One packet arrives at one party. */
void world_give(struct world *w, size_t to, const uint8_t *pkt, size_t size);
/* What arrives next; NULL: nothing is on its way. */
struct world_packet *world_head(struct world *w);

/* To the next thing that happens; false: nothing ever does. */
bool world_step(struct world *w);

/* Everybody who listens has everything. */
bool world_complete(const struct world *w);

#endif
