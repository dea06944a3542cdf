/* SPDX-License-Identifier: Apache-2.0
 * The receiver's inside, shared by the receiver_*.c files only. */
#ifndef NORM_RECEIVER_STATE_H
#define NORM_RECEIVER_STATE_H

#include "common/prng.h"
#include "multicast/norm/bitset.h"
#include "multicast/norm/receiver.h"
#include "multicast/norm/tfmcc.h"

#define NORM_HEARD_WHOLE 255u /* in heard[]: the whole block is on its way */

#define NORM_GSIZE_SMALLEST 10u /* that the gsize field can express */

enum norm_nack_state { NORM_NACK_IDLE, NORM_NACK_BACKOFF, NORM_NACK_HOLDOFF };

/* Symbols and blocks that are here. */
struct norm_store {
    struct norm_bitset complete;
    uint64_t *symbols; /* bitmap, `words` per block */
    uint8_t *count;    /* distinct symbols per block, at most k */
    unsigned words;
    uint32_t low; /* no incomplete block below it */
};

/* Repair requests overheard since the back-off began. */
struct norm_heard {
    uint8_t *count;     /* per block: symbols asked for, NORM_HEARD_WHOLE */
    uint32_t low, high; /* blocks low … high - 1 may be non-zero in count */
    bool info, object;
    uint32_t limit; /* requests for blocks from here on wait (REPAIR_ADV's LIMIT) */
};

/* Loss and rate of all that the sender sends, by its sequence numbers: receiver_measure.c. */
#define NORM_SEEN_MAX 4096u

struct norm_measure {
    bool tracked;
    uint16_t high;                     /* latest sequence */
    uint64_t seen[NORM_SEEN_MAX / 64]; /* those that came, of the latest so many */
    unsigned astray;                   /* came from before those, one after the other */
    uint64_t expected, lost;           /* packets since the latest probe */

    /* of the time between the latest two probes; packets of it that were overtaken still count */
    uint8_t span;   /* intervals of the sender: probes may get lost */
    uint16_t ended; /* sequence of the message that ended it */
    uint64_t ended_expected, ended_lost;
    double rate; /* bytes per second; 0: not measured yet */

    cp_time marked; /* the latest probe came … */
    uint64_t marked_bytes;

    unsigned backlog; /* percent of the driver's buffers */
    bool slow;        /* … which fill */
    bool urgent;      /* the sender should know how bad it is before it asks */
    cp_time urgent_next;

    struct norm_loss_events events; /* RFC 5740 5.5.2 */
    cp_time rtt;                    /* that the sender measured of us, 0: never heard of it */
};

struct norm_receiver {
    struct norm_receiver_config config;
    struct cp_prng prng;

    /* sender */
    bool sender_known, instance_known, instance_replaced;
    uint32_t sender_id;
    uint16_t instance_id, instance_before;
    cp_time grtt;
    uint8_t backoff;
    uint64_t gsize;
    bool timed;                      /* grtt and gsize are what the sender advertises … */
    uint8_t grtt_coded, gsize_coded; /* … in these fields */

    /* object */
    bool object_named; /* object_id and fec_id are known */
    bool known;        /* … and its partition */
    uint16_t object_id;
    uint8_t fec_id;
    struct norm_fti fti;
    struct norm_partition part;
    struct norm_store store;
    bool info_offered, info_here;
    bool object_missed; /* its transmission was over before anything told what it is */
    bool squelched, ended;
    uint32_t window_low; /* SQUELCH: nothing below it can be had */

    /* position */
    bool joined;
    uint32_t at;   /* block of the latest DATA; block_count after a FLUSH */
    uint32_t join; /* blocks below it were missed by joining late */
    bool pass_over;

    /* NACK cycle */
    enum norm_nack_state nack_state;
    cp_time nack_at;     /* end of back-off or hold-off */
    uint32_t nack_limit; /* position when the cycle began */
    uint32_t nack_low;   /* lowest block needed when it began */
    bool nack_due;
    bool nack_silenced;  /* the latest cycle ended at once, by the rule for large groups */
    uint32_t held_below; /* blocks below were asked for by a NACK that had no room for more … */
    cp_time held_until;  /* … and are held off until then, while a new cycle asks for the rest */
    struct norm_heard heard;

    /* ACKs */
    cp_time flush_ack_at, cc_ack_at, cc_ack_next, app_ack_at;
    uint8_t app_ack_type, app_ack_id; /* of the latest ACK_REQ */
    bool cc_limiting;                 /* the sender listed us as CLR or PLR */
    struct norm_watermark watermark;

    /* probes */
    bool probed;
    uint16_t cc_sequence;
    cp_time probe_time;  /* send time in the sender's clock */
    cp_time probe_heard; /* when it came, ours */
    bool plain;          /* rate and loss are wanted as measured */
    struct norm_measure measure;

    /* loss estimate: latest symbol of the first transmission */
    bool tracked;
    uint32_t track_sbn;
    uint16_t track_esi;

    /* silence */
    cp_time inactive_at;
    unsigned inactive_count;

    uint16_t sequence;
    struct norm_receiver_stats stats;
};

/* receiver_store.c */
CP_MUST_CHECK enum cp_err norm_store_init(struct norm_store *st, uint32_t block_count,
                                          unsigned symbols_per_block);
void norm_store_done(struct norm_store *st);
bool norm_store_has(const struct norm_store *st, uint32_t sbn, uint16_t esi);
/* True when the symbol is new; *ret_complete when it is the k-th. */
bool norm_store_add(struct norm_store *st, uint32_t sbn, uint16_t esi, uint16_t k,
                    bool *ret_complete);
void norm_store_have(struct norm_store *st, uint32_t sbn);
void norm_store_forget(struct norm_store *st, uint32_t sbn);
void norm_store_forget_parity(struct norm_store *st, uint32_t sbn, uint16_t k);
/* Forgets every block that is not complete. */
void norm_store_restart(struct norm_store *st);

/* receiver_data.c */
CP_MUST_CHECK enum cp_err norm_receiver_set_object(struct norm_receiver *r, uint16_t object_id,
                                                   uint8_t fec_id, const struct norm_fti *fti);
CP_MUST_CHECK enum cp_err norm_receiver_on_object(struct norm_receiver *r, cp_time now,
                                                  const struct norm_msg *msg, struct norm_rx *rx);
/* receiver_command.c */
CP_MUST_CHECK enum cp_err norm_receiver_on_command(struct norm_receiver *r, cp_time now,
                                                   const struct norm_msg *msg, struct norm_rx *rx);
/* receiver_heard.c */
void norm_receiver_heard_clear(struct norm_receiver *r);
CP_MUST_CHECK enum cp_err norm_receiver_heard_add(struct norm_receiver *r,
                                                  const struct norm_msg *msg);
bool norm_receiver_heard_covers(const struct norm_receiver *r, uint32_t sbn);

/* receiver_nack.c */
void norm_receiver_position(struct norm_receiver *r, cp_time now, uint32_t sbn);
/* Starts a cycle when something before the position is missing. */
void norm_receiver_consider(struct norm_receiver *r, cp_time now);
void norm_receiver_nack_timer(struct norm_receiver *r, cp_time now);
/* Lowest block from `from` on, below `end`, that we need and nobody asked for; end: none. */
uint32_t norm_receiver_next_need(const struct norm_receiver *r, uint32_t from, uint32_t end);
uint32_t norm_receiver_need_floor(const struct norm_receiver *r);
bool norm_receiver_needs_info(const struct norm_receiver *r);
/* receiver_request.c: requests into at most cap bytes; bytes written. *ret_cut: the first block
 * that found no room, UINT32_MAX when all did. */
size_t norm_receiver_requests(const struct norm_receiver *r, uint8_t *buf, size_t cap,
                              uint32_t *ret_cut);
/* receiver_nack.c: a NACK left; what it asked for is held off. */
void norm_receiver_nack_sent(struct norm_receiver *r, cp_time now, uint32_t cut);

/* receiver_measure.c */
/* Every packet of the sender that counts. */
void norm_receiver_measure(struct norm_receiver *r, cp_time now, uint16_t sequence);
/* A probe: what came since the one before is the new figure. */
void norm_receiver_measure_probe(struct norm_receiver *r, cp_time now, uint16_t cc_sequence);
/* EXT_CC of feedback. */
struct norm_ext_cc norm_receiver_cc(struct norm_receiver *r, cp_time now);
/* Rate by RFC 5740 5.5.2, bytes per second. *ret_start: twice what is received, there was no loss. */
double norm_receiver_cc_rate(const struct norm_receiver *r, bool *ret_start);

/* receiver_ack.c */
void norm_receiver_want_flush_ack(struct norm_receiver *r, cp_time now, const struct norm_msg *msg);
void norm_receiver_want_app_ack(struct norm_receiver *r, cp_time now, const struct norm_msg *msg);
void norm_receiver_on_probe(struct norm_receiver *r, cp_time now, const struct norm_msg *msg);
/* Feedback of another receiver, or the sender's word of it. */
void norm_receiver_cc_heard(struct norm_receiver *r, cp_time now, const struct norm_ext_cc *cc);
/* Feedback of ours left: it said what ACK(CC) would. */
void norm_receiver_cc_told(struct norm_receiver *r, cp_time now);
/* A report that nobody asked for. */
void norm_receiver_cc_unasked(struct norm_receiver *r, cp_time now);
/* Is one due after a loss? */
void norm_receiver_cc_urge(struct norm_receiver *r, cp_time now);
bool norm_receiver_fill_ack(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx);
/* receiver_fill.c: header of feedback, and the packet itself once the payload is in place. */
struct norm_msg norm_receiver_feedback(struct norm_receiver *r, cp_time now, enum norm_type type);
void norm_receiver_emit(struct norm_receiver *r, struct norm_msg *msg, struct norm_txbuf *tx);

#endif
