/* SPDX-License-Identifier: Apache-2.0
 * The sender's inside, shared by the sender_*.c files only. */
#ifndef NORM_SENDER_STATE_H
#define NORM_SENDER_STATE_H

#include "multicast/norm/acklist.h"
#include "multicast/norm/bitset.h"
#include "multicast/norm/budget.h"
#include "multicast/norm/grtt.h"
#include "multicast/norm/members.h"
#include "multicast/norm/pace.h"
#include "multicast/norm/parity.h"
#include "multicast/norm/rate.h"
#include "multicast/norm/sender.h"
#include "multicast/norm/tfmcc.h"

/* Head positions of the past, one per 1/16 of the live window: they tell its lower edge. */
#define NORM_HEAD_SLOTS 17u

#define NORM_SYMBOL_WORDS 4u /* 256 symbols */

/* The requests of one NACK for one block. */
struct norm_wish {
    struct norm_member *member; /* NULL: unaccounted */
    uint32_t sbn;
    unsigned count;
    uint64_t symbols[NORM_SYMBOL_WORDS];
};

/* Unit of repaired_at: 65.5 µs; 32 bits last 78 hours. */
#define NORM_TICK_SHIFT 16u

/* Send times count from here, so that the first is not 0/0, which means "none". */
#define NORM_STAMP_OFFSET CP_SEC

/* More blocks in one request than this are a matter of the second pass. */
#define NORM_BULK_RUN 7u

/* Length of the slices of the second pass: the pause before each costs 2 (K + 2) GRTT. They grow,
 * since those who need but little are served soon. */
#define NORM_BULK_GRTTS 200u
#define NORM_BULK_LEAST (250 * CP_MSEC)
#define NORM_BULK_MOST  (4 * CP_SEC)

/* Round trips beyond so many grtt_max are no round trips. */
#define NORM_RTT_SANE 10u

/* What is wanted of each block. Arrays of block_count (explicit: × words_per_block). */
struct norm_repairs {
    struct norm_bitset asked;   /* heard in this aggregation period */
    struct norm_bitset pending; /* activated, to be sent */
    struct norm_bitset whole;   /* all source symbols are wanted */
    struct norm_bitset bulk;    /* long runs of whole blocks, for the second pass */
    bool bulk_runs;             /* a slice of the second pass is being sent … */
    cp_time bulk_until;         /* … and ends then */
    cp_time bulk_slice;         /* least length of the next */
    uint8_t *want;              /* fresh parity symbols wanted */
    uint8_t *parity_sent;       /* parity symbols sent so far, in order: the next one is fresh */
    uint32_t *repaired_at;      /* tick of the block's latest repair, 0: none */
    uint64_t *explicit_map;     /* symbols wanted by name */
    unsigned words;             /* of explicit_map per block */
    uint32_t at;                /* block that the latest repair belonged to */
    size_t bulk_turn;           /* member that the second pass serves */
    bool old_told;              /* that requests for blocks behind the live window wait */
    bool info_asked, info_pending;
    cp_time aggregate_end; /* CP_TIME_NEVER: no aggregation period runs */
    cp_time holdoff_end;
};

/* Proactive parity of today, and what it is chosen from. */
struct norm_protection {
    struct norm_losses losses;
    struct norm_needs needs;
    uint8_t now;   /* behind blocks of the first pass */
    uint8_t last;  /* behind the last of them: nothing is left to send while their repair waits */
    uint8_t alone; /* behind whole blocks repaired for few */
    uint8_t block; /* behind the block under way: latched at its begin */
    cp_time next;  /* time of the next choice */
    cp_time aged;  /* when `needs` was halved */
};

/* What was sent between two probes. */
struct norm_sent {
    bool known, busy;  /* busy: data to send all the time */
    bool data;         /* some was sent */
    uint16_t sequence; /* of the probe that ended it */
    uint64_t packets, bytes, bps;
    cp_time duration, end;
    uint64_t end_packets, end_bytes; /* sent in all by then */
};
#define NORM_SENT_SLOTS 64u

/* Rate control: sender_pace.c. */
struct norm_control {
    struct norm_pace pace;   /* NORM_RATE_LAN */
    struct norm_tfmcc tfmcc; /* NORM_RATE_TFMCC */
    struct norm_sent sent[NORM_SENT_SLOTS];
    cp_time began, duration;          /* of the interval that runs; of the one before */
    uint64_t bytes, packets, symbols; /* sent when it began */
    bool busy;                        /* there was data to send since then */
    enum norm_reason reason;
    uint32_t setter;
    uint32_t told_clr; /* what the trace knows of TFMCC */
    bool told_slow_start;
};

struct norm_sender {
    struct norm_sender_config config;
    struct norm_partition part;
    uint8_t *info;
    struct norm_msg data; /* header of DATA, but for sequence, flags and id */
    uint16_t data_header;
    enum norm_sender_state state;
    struct norm_rate rate;
    struct norm_control control;
    struct norm_grtt grtt;
    uint8_t gsize;
    uint16_t sequence;

    /* first pass */
    bool info_due;
    uint32_t next_block;
    uint16_t next_esi;
    uint32_t head_block[NORM_HEAD_SLOTS];
    cp_time head_next; /* when the next slot is taken */

    struct norm_repairs repairs;
    struct norm_protection protection;
    struct norm_budget budget;

    /* probes */
    cp_time probe_at, probe_interval, probe_first; /* probe_first: 0 none sent */
    bool probe_due;
    uint16_t cc_sequence;

    /* flush, end */
    cp_time flush_at, flush_first; /* the next; the first of this series */
    unsigned flush_count;
    cp_time hold_until;
    bool withdrawn;
    unsigned closing; /* SQUELCH + EOT still to send; the two alternate */

    /* REPAIR_ADV and SQUELCH */
    bool adv_due, squelch_due, command_due, eot_due;
    cp_time adv_at;      /* earliest next REPAIR_ADV */
    cp_time deferred_at; /* next REPAIR_ADV of deferred repairs */
    cp_time squelch_at;  /* earliest next SQUELCH */
    bool squelch_listed;
    uint16_t squelch_object; /* the invalid object asked for */
    uint8_t *command;
    size_t command_size;

    enum norm_sender_state told_state; /* by the trace */
    cp_time told_grtt;

    struct norm_sender_stats stats;
    struct norm_acklist ackers;
    struct norm_members members;
};

/* sender_repair.c */
CP_MUST_CHECK enum cp_err norm_repairs_init(struct norm_repairs *r, uint32_t block_count,
                                            unsigned symbols_per_block);
void norm_repairs_done(struct norm_repairs *r);
/* One NACK's wish for a block: the named symbols, `count` of them, and more fresh parity beyond
 * them. Returns the symbols to charge its node for: 0 when the wish was about the past. */
unsigned norm_sender_want_symbols(struct norm_sender *s, cp_time now, const struct norm_wish *wish);
/* Whole blocks. The first repair of each is free: an outage or a late join. */
uint64_t norm_sender_want_blocks(struct norm_sender *s, cp_time now, uint32_t first, uint32_t last,
                                 struct norm_member *member);
/* A NACK added to what waits for the second pass. m NULL: unaccounted. */
void norm_sender_tell_deferred(const struct norm_sender *s, cp_time now,
                               const struct norm_member *m);
void norm_sender_want_info(struct norm_sender *s, cp_time now);
/* The aggregation period is over: what was asked becomes pending. */
void norm_sender_activate(struct norm_sender *s, cp_time now);
/* The next repair that may go now; false when there is none. Takes it. */
bool norm_sender_next_repair(struct norm_sender *s, cp_time now, uint32_t *ret_sbn,
                             uint16_t *ret_esi, bool *ret_explicit);
bool norm_sender_has_repair(const struct norm_sender *s);
/* In the quiet after a FLUSH: the time at which the second pass goes on; CP_TIME_NEVER: never. */
cp_time norm_sender_bulk_time(const struct norm_sender *s);
void norm_sender_bulk_timer(struct norm_sender *s, cp_time now);
/* Repairs of blocks below it wait for the second pass. */
uint32_t norm_sender_live_floor(const struct norm_sender *s);
void norm_sender_head_tick(struct norm_sender *s, cp_time now);
bool norm_sender_data_over(const struct norm_sender *s); /* nothing to send but in
                                                              the second pass */

/* Some repairs wait for the second pass. */
bool norm_sender_defers(const struct norm_sender *s);

/* sender_adapt.c: parity and budgets follow what receivers report. */
void norm_sender_adapt_init(struct norm_sender *s, cp_time now);
void norm_sender_adapt(struct norm_sender *s, cp_time now);
/* Parity behind the block that begins now. */
uint8_t norm_sender_block_parity(const struct norm_sender *s);
/* Parity to add to a repair of so many symbols, so that it is the last. */
unsigned norm_sender_spare_parity(const struct norm_sender *s, const struct norm_member *member,
                                  unsigned count);
/* Asks for too much now: its requests wait. */
bool norm_sender_refuses(const struct norm_sender *s, cp_time now, const struct norm_member *m);
/* The same for a NACK of it, and tells what changed. */
bool norm_sender_makes_wait(const struct norm_sender *s, cp_time now, struct norm_member *m);
/* A NACK cost so much; leaves out who asks for too much for too long. */
void norm_sender_charge(struct norm_sender *s, cp_time now, struct norm_member *m,
                        uint64_t symbols);

/* sender_control.c */
void norm_sender_fill_header(struct norm_sender *s, struct norm_msg *msg);
bool norm_sender_fill_control(struct norm_sender *s, cp_time now, struct norm_txbuf *tx);
bool norm_sender_control_due(const struct norm_sender *s);

/* sender_adv.c: payload of REPAIR_ADV for blocks first … end - 1; size written, 0 none. */
size_t norm_sender_adv_payload(const struct norm_sender *s, uint32_t first, uint32_t end,
                               uint8_t *buf, bool *ret_limit);

/* sender_pace.c */
void norm_sender_rate_init(struct norm_sender *s, cp_time now);
/* The message is a probe about to leave; its flags and list (room for a segment) are filled in. */
void norm_sender_rate_probe(struct norm_sender *s, cp_time now, struct norm_msg *msg,
                            uint8_t *list);
cp_time norm_sender_probe_interval(const struct norm_sender *s);
void norm_sender_rate_ceiling(struct norm_sender *s, cp_time now, uint64_t bps);
/* Feedback with EXT_CC. m NULL: unaccounted. */
void norm_sender_on_report(struct norm_sender *s, cp_time now, struct norm_member *m,
                           const struct norm_msg *msg);
/* Round-trip time that feedback tells; 0: none. */
cp_time norm_sender_rtt(const struct norm_sender *s, cp_time now, const struct norm_msg *msg);
/* EXT_CC of REPAIR_ADV; false: none. */
bool norm_sender_adv_cc(const struct norm_sender *s, struct norm_ext_cc *ret_cc);

/* sender_feedback.c, sender.c */
void norm_sender_tell(const struct norm_sender *s, const struct norm_trace *decision);
cp_time norm_sender_packet_time(const struct norm_sender *s);
void norm_sender_run_timers(struct norm_sender *s, cp_time now);

#endif
