/* SPDX-License-Identifier: Apache-2.0
 * NORM sender of one file object: what to transmit next, repairs, flush, probes, squelch, rate.
 * Pure: no socket, clock, file, thread; back-off randomness comes from a seed. The core writes
 * headers and says which symbol belongs behind each; the driver fills the symbols in, seals and
 * sends. RFC 5740 section 5.4, profile of docs/protocol.md. */
#ifndef NORM_SENDER_H
#define NORM_SENDER_H

#include "common/err.h"
#include "common/time.h"
#include "multicast/norm/block.h"
#include "multicast/norm/trace.h"
#include "multicast/norm/wire.h"

#define NORM_TX_PACKETS_MAX 44u /* 44 × 1472 B: what one UDP_SEGMENT send can carry (64 KiB) */

enum norm_tx_kind { NORM_TX_CONTROL, NORM_TX_SOURCE, NORM_TX_PARITY };

/* One packet laid out in a txbuf. For SOURCE and PARITY the header is written and
 * `payload_size` bytes at payload_offset (from the packet's start) are the driver's to fill:
 * source symbol esi < k, or parity row esi - k. */
struct norm_tx_packet {
    enum norm_tx_kind kind;
    uint32_t sbn;
    uint16_t esi;
    uint16_t payload_offset;
    uint16_t payload_size;
    uint16_t auth_offset; /* of EXT_AUTH, 0 when none */
};

/* Packets back to back, each `stride` bytes but for the last, which may be shorter: the shape
 * that UDP_SEGMENT sends with one call. Storage belongs to the caller. */
struct norm_txbuf {
    uint8_t *data;
    size_t cap;
    size_t size;     /* bytes used */
    uint16_t stride; /* bytes of each packet but the last */
    unsigned count;
    bool unicast; /* receiver's feedback: to the sender's address; else to the group */
    struct norm_tx_packet packet[NORM_TX_PACKETS_MAX];
};

/* RFC5401 3.9: "Congestion control that fairly shares available network capacity […] is REQUIRED
 * for general Internet operation": TFMCC is there for networks that are not one's own. */
enum norm_rate_mode {
    NORM_RATE_FIXED, /* pacing runs at the ceiling */
    NORM_RATE_LAN,   /* as fast as the receivers can take it: networks of one's own */
    NORM_RATE_TFMCC  /* fair towards TCP, RFC 5740 5.5.2: shared networks */
};

struct norm_sender_config {
    uint32_t node_id;
    uint16_t instance_id;
    uint16_t object_id;
    uint8_t fec_id; /* 129, or 5 for interoperation */
    struct norm_fti fti;
    const uint8_t *info;     /* NORM_INFO bytes, copied; NULL: an empty INFO that carries the FTI */
    uint16_t info_size;      /* ≤ segment_size */
    uint8_t auth_size;       /* bytes reserved for EXT_AUTH in every packet; 0 or 24 */
    uint8_t auto_parity;     /* proactive parity symbols per block; to begin with, if adapted */
    uint8_t auto_parity_max; /* adapted to the reported loss, up to so many; 0: not adapted */
    bool
        repair_flag; /* set REPAIR on repairs (off towards NRL CURRENT-sync joiners: norm.md 4.14) */
    bool multicast_nack; /* receivers send feedback to the group: they hear each other and need no
                            REPAIR_ADV; else it comes to the sender's address */
    bool cc_probe_rate;  /* EXT_RATE on CMD(CC), which asks receivers for ACK(CC) */
    cp_time grtt;        /* start value */
    cp_time grtt_min, grtt_max;
    uint8_t backoff;       /* K */
    uint64_t gsize;        /* group size estimate */
    uint8_t robust_factor; /* 20 */
    uint64_t rate_bps;     /* ceiling, bits per second of UDP payload */
    enum norm_rate_mode rate_mode;
    uint64_t rate_start_bps; /* pace to begin with when it is controlled; 0: half the ceiling */
    uint64_t rate_floor_bps; /* never slower when it is controlled; 0: 1 Mbit/s */
    double slow_share; /* this share of the receivers may be left behind when they cannot keep half
                          the pace of the others (of three or more, one at least); 0: nobody */
    bool budget;       /* NACKs of receivers that ask for too much are not served for ever */
    norm_trace_fn *trace; /* decisions; NULL none */
    void *trace_arg;
    cp_time live_window; /* NACKs older than this behind the head go to the second pass (2 s) */
    cp_time hold;        /* keep flushing and serving at least this long after the data end */
    uint64_t seed;
};

enum norm_sender_state {
    NORM_SENDER_SENDING,  /* first pass or repairs pending */
    NORM_SENDER_FLUSHING, /* all sent; CMD(FLUSH) goes out, NACKs reopen it */
    NORM_SENDER_IDLE      /* robust_factor flushes without a NACK: nobody asks any more */
};

struct norm_sender_stats {
    enum norm_sender_state state;
    uint64_t source_symbols; /* first transmissions */
    uint64_t parity_symbols; /* proactive */
    uint64_t repair_symbols; /* anything sent because of a NACK */
    uint64_t bytes_sent;     /* UDP payload bytes */
    uint64_t packets_sent;
    uint64_t nacks, acks, malformed, foreign; /* received; dropped */
    uint32_t next_block;     /* first pass position; == block_count when it is over */
    uint32_t pending_blocks; /* blocks with repairs waiting, live and deferred */
    cp_time grtt;
    uint64_t rate_bps; /* pace now */
    uint64_t rate_ceiling_bps;
    enum norm_reason rate_reason; /* why the pace is what it is … */
    uint32_t pace_setter;         /* … and the receiver that set it, 0 none */
    uint8_t auto_parity;          /* now */
    uint32_t reporters;           /* receivers that sent a report of late */
    uint32_t over_budget;         /* receivers that are not served any more */
    unsigned acks_missing;        /* nodes of the acking list that have not answered */
};

struct norm_sender;
struct norm_member; /* multicast/norm/members.h */

/* Allocates everything that will ever be needed. CP_ERR_INVALID / MALFORMED / NO_MEMORY. */
CP_MUST_CHECK enum cp_err norm_sender_new(const struct norm_sender_config *config, cp_time now,
                                          struct norm_sender **ret_sender);
void norm_sender_free(struct norm_sender *s);

const struct norm_partition *norm_sender_partition(const struct norm_sender *s);

/* One feedback packet (already authenticated by the driver when auth is on). CP_ERR_MALFORMED when
 * it was dropped as such; counted either way. */
CP_MUST_CHECK enum cp_err norm_sender_on_packet(struct norm_sender *s, cp_time now,
                                                const uint8_t *pkt, size_t size);
void norm_sender_on_timer(struct norm_sender *s, cp_time now);

/* Lays out the next packets that may go now, as many as fit, one GSO shape; count 0 when there is
 * nothing to send before norm_sender_next_time(). Control packets form a txbuf of their own. */
void norm_sender_fill(struct norm_sender *s, cp_time now, struct norm_txbuf *tx);

/* When on_timer or fill has something to do; CP_TIME_NEVER if idle. */
cp_time norm_sender_next_time(const struct norm_sender *s);

/* The ceiling; a controlled pace above it falls to it at once. */
void norm_sender_set_rate(struct norm_sender *s, cp_time now, uint64_t rate_bps);
/* The group as it is now: its size (advertised rounded up) and K. */
void norm_sender_set_gsize(struct norm_sender *s, uint64_t gsize);
void norm_sender_set_backoff(struct norm_sender *s, uint8_t backoff);

/* Keeps flushing and serving until that time at least (CP_TIME_NEVER: until told otherwise), so
 * that nodes that join after the end are served; opens an idle sender again. */
void norm_sender_set_hold(struct norm_sender *s, cp_time now, cp_time until);

/* Nodes asked for ACK(FLUSH) (watermark, RFC 5740 5.5.3). CP_ERR_NO_MEMORY past
 * NORM_ACKING_MAX. */
#define NORM_ACKING_MAX 4096u
CP_MUST_CHECK enum cp_err norm_sender_add_acker(struct norm_sender *s, uint32_t node_id);
bool norm_sender_acked(const struct norm_sender *s, uint32_t node_id);
/* The node has left: nothing is known of it any more, and nobody waits for it. Feedback of it would
 * make it a new member: the caller keeps that away. */
void norm_sender_remove_member(struct norm_sender *s, uint32_t node_id);

/* Stops offering the object: a SQUELCH that names it goes out, then EOT, then IDLE. */
void norm_sender_withdraw(struct norm_sender *s, cp_time now);

/* One EOT, which goes next: what is behind it does not matter any more. */
void norm_sender_goodbye(struct norm_sender *s);

/* CMD(APPLICATION) with these bytes, sent once, next. CP_ERR_INVALID when over segment_size. */
CP_MUST_CHECK enum cp_err norm_sender_command(struct norm_sender *s, const uint8_t *data,
                                              size_t size);

/* What is known of the index-th node that sent feedback, in order of first hearing but for places
 * that became free; NULL: no more. */
const struct norm_member *norm_sender_member(const struct norm_sender *s, size_t index);

void norm_sender_get_stats(const struct norm_sender *s, struct norm_sender_stats *ret_stats);

#endif
