/* SPDX-License-Identifier: Apache-2.0
 * The sender's inside, shared by session_sender.c (life, other threads' calls), session_sender_run.c
 * (loop, feedback), session_report.c (what others are told) and session_outlet.c (packets out)
 * only. */
#ifndef MULTICAST_SESSION_SENDER_H
#define MULTICAST_SESSION_SENDER_H

#include <pthread.h>
#include <stdatomic.h>

#include "multicast/fec/fec.h"
#include "multicast/io/source.h"
#include "multicast/io/udp.h"
#include "multicast/io/wake.h"
#include "multicast/norm/members.h"
#include "multicast/norm/sender.h"
#include "multicast/seal/seal.h"
#include "multicast/session_common.h"
#include "multicast/session_roster.h"

#define MC_RATE_DEFAULT UINT64_C(1000000000)

enum mc_stop { MC_STOP_NO, MC_STOP_NOW, MC_STOP_WITHDRAW };

struct mc_sender {
    struct mc_sender_config config;
    struct norm_partition partition;
    struct norm_sender *core; /* made by run() */
    struct io_source *source;
    struct io_udp *udp;
    struct io_udp *group; /* hears feedback sent to the group; NULL: there is none */
    struct fec_code *code;
    struct seal_signer *signer;     /* NULL: no authentication */
    struct seal_verifier *verifier; /* the same */
    struct norm_txbuf tx;
    uint8_t *parity; /* a symbol, for packets that carry less than one */
    const uint8_t **rows;
    uint64_t forged, replayed, unlisted;
    struct mc_roster roster; /* as the core knows it … */
    bool closed;             /* … and once it named somebody, nobody else is heard */
    uint64_t group_size;     /* as the core knows it */
    uint32_t reporters;      /* most at a time, of a group that is not closed */
    bool holding, withdrawing;
    cp_time withdrawn_at;
    cp_time sent_at, first_sent_at; /* 0: nothing yet */
    cp_time looked_at;              /* for feedback */
    uint32_t head;                  /* highest block of which something was sent … */
    uint64_t ready_end;             /* … and the first not known to be in memory */
    cp_time reported_at, members_at;
    enum norm_sender_state reported_state;

    struct io_wake wake;
    atomic_int stop; /* enum mc_stop */
    atomic_bool hold;
    atomic_uint_fast64_t rate_bps; /* wish; 0 none */
    pthread_mutex_t lock;
    struct mc_roster
        wanted; /* under the lock, as the rest: what other threads made of the roster … */
    bool roster_changed; /* … since the core was told */
    struct mc_sender_stats stats;
    struct mc_member *members; /* NORM_MEMBERS_MAX; pages not written take no memory */
    size_t member_count;
};

/* session_report.c. The core's trace, in the façade's words. */
norm_trace_fn mc_report_trace;
/* Brings statistics and members up to date for other threads, not more often than they need; `end`
 * MC_OPEN: at work, else how it ended. */
void mc_report(struct mc_sender *s, cp_time now, const struct norm_sender_stats *core,
               enum mc_phase end);

/* session_outlet.c: fills the symbols in, seals and sends what the core laid out in s->tx.
 * CP_ERR_STORAGE when reading failed, CP_ERR_NETWORK. */
CP_MUST_CHECK enum cp_err mc_outlet_send(struct mc_sender *s, struct cp_error *err);
/* Tells receivers that no more is sent. */
void mc_outlet_say_goodbye(struct mc_sender *s);

#endif
