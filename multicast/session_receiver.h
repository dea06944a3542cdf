/* SPDX-License-Identifier: Apache-2.0
 * The receiver's inside, shared by session_receiver.c (life, loop), session_intake.c (packets) and
 * session_store.c (symbols, blocks, chunks) only. */
#ifndef MULTICAST_SESSION_RECEIVER_H
#define MULTICAST_SESSION_RECEIVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "multicast/fec/fec.h"
#include "multicast/io/blockpool.h"
#include "multicast/io/sink.h"
#include "multicast/io/udp.h"
#include "multicast/io/wake.h"
#include "multicast/norm/receiver.h"
#include "multicast/seal/seal.h"
#include "multicast/session_common.h"

/* What was heard of the sender, for the loop. */
struct mc_heard {
    bool any; /* a genuine packet */
    cp_time first, last;
    uint16_t instance_id;
    struct io_address address; /* where feedback goes */
    bool withdrawn;            /* SQUELCH */
    bool ended;                /* EOT */
    bool flush_unasked;        /* a FLUSH that asks nobody for an ACK */
};

struct mc_receiver {
    struct mc_receiver_config config; /* its pointers are to copies, below */
    struct io_extent *extents;
    uint8_t *digests;
    uint8_t *chunks_have;

    struct norm_receiver *core;
    struct io_udp *udp;
    struct seal_verifier *verifier; /* NULL: no authentication */
    struct seal_signer *signer;     /* made when the sender's instance is known */
    struct mc_heard heard;
    uint64_t forged, replayed, foreign;
    uint64_t symbol_bytes, repair_bytes;
    uint64_t bytes, packets;
    bool feedback_failed; /* logged once */
    bool acked;           /* ACK(FLUSH) sent since all was verified */
    bool settled;         /* all blocks are here and the sink has done with them */
    struct norm_txbuf tx;
    cp_time drain_interval;
    cp_time observed_at; /* when the statistics were brought up to date */
    cp_time wait_left;   /* how long this turn of the loop may still wait for the disk */

    /* Store: there once the object is known. */
    struct fec_code *code;
    struct io_pool *pool;
    struct io_sink *sink;
    struct norm_partition partition;
    uint64_t content_size;
    uint8_t *spilled;    /* one bit per block: source symbols of it lie on the disk only */
    uint8_t *unrepaired; /* per block: source symbols that came at the first transmission */

    struct io_wake wake;
    atomic_bool stop;
    pthread_mutex_t lock;
    struct mc_receiver_stats stats; /* under the lock */
};

/* session_intake.c: one datagram; counts and drops what is not genuine. Fails only when our own
 * means do (memory, cipher). */
CP_MUST_CHECK enum cp_err mc_intake(struct mc_receiver *r, cp_time now,
                                    const struct io_udp_packet *pkt, struct cp_error *err);

/* session_store.c. mc_store_open: the object is known; allocates buffers, starts the sink. */
CP_MUST_CHECK enum cp_err mc_store_open(struct mc_receiver *r, const struct norm_partition *p,
                                        struct cp_error *err);
void mc_store_close(struct mc_receiver *r);
/* Tells the core which blocks are had already; after mc_store_open() and with a core. */
void mc_store_report_had(struct mc_receiver *r);
/* Room for what one look at the socket may bring? Waits a little for the disk; while there is none
 * packets are best left in the socket. */
bool mc_store_has_room(struct mc_receiver *r);
/* Blocks that wait for the disk, percent of all buffers. */
unsigned mc_store_fill(struct mc_receiver *r);
/* A new symbol that the core has just taken. */
void mc_store_symbol(struct mc_receiver *r, const struct norm_rx *rx);
/* The sender began anew: incomplete blocks were dropped by the core. */
void mc_store_restart(struct mc_receiver *r);
/* Takes the sink's news: asks for bad chunks again. */
void mc_store_poll(struct mc_receiver *r);

#endif
