/* SPDX-License-Identifier: Apache-2.0
 * NORM receiver of one object of one sender: which symbols are here, what to NACK and when. Pure.
 * Symbols themselves are stored by the driver, which the core tells what each packet brought.
 * RFC 5740 section 5.3, RFC 5401 section 3.2, profile of docs/protocol.md. */
#ifndef NORM_RECEIVER_H
#define NORM_RECEIVER_H

#include "common/err.h"
#include "common/time.h"
#include "multicast/norm/block.h"
#include "multicast/norm/sender.h" /* norm_txbuf */
#include "multicast/norm/wire.h"

struct norm_receiver_config {
    uint32_t node_id;
    uint32_t sender_id; /* NORM_NODE_ANY: the first sender heard is it */
    bool object_known;  /* object_id, fec_id and fti are preset (from the ticket) … */
    uint16_t object_id; /* … else the first object heard of is it */
    uint8_t fec_id;
    struct norm_fti fti;
    uint8_t auth_size;     /* bytes reserved for EXT_AUTH in feedback; 0 or 24 */
    bool unicast_nack;     /* feedback to the sender's address, else to the group */
    bool silent;           /* never transmits */
    bool defer_missed;     /* late join: do not NACK blocks before the join point until the
                                  sender's pass is over (FLUSH, or the position wraps) */
    uint8_t robust_factor; /* 20 */
    cp_time grtt;          /* until the sender advertises one */
    uint64_t seed;
};

/* What a packet brought; bits. */
enum norm_rx_event {
    NORM_RX_OBJECT = 0x01,    /* the object's partition is known now: norm_receiver_partition() */
    NORM_RX_INFO = 0x02,      /* NORM_INFO bytes in payload, first time */
    NORM_RX_SYMBOL = 0x04,    /* a new symbol: store payload for (sbn, esi) */
    NORM_RX_BLOCK = 0x08,     /* with SYMBOL: block sbn now has k symbols and can be finished */
    NORM_RX_COMPLETE = 0x10,  /* every block has k symbols */
    NORM_RX_COMMAND = 0x20,   /* CMD(APPLICATION): payload */
    NORM_RX_SQUELCHED = 0x40, /* the sender withdrew the object */
    NORM_RX_EOT = 0x80,       /* the sender ends */
    NORM_RX_RESTART = 0x100 /* new instance_id: all protocol state of the sender was dropped, blocks
                                 that are complete stay complete */
};

struct norm_rx {
    unsigned events;
    uint32_t sbn;
    uint16_t esi;
    bool repair;            /* sent as a repair (REPAIR flag) */
    const uint8_t *payload; /* borrowed from the packet */
    size_t payload_size;
};

struct norm_receiver_stats {
    uint64_t packets, bytes;      /* accepted from the sender */
    uint64_t symbols, duplicates; /* new; already there or for a complete block */
    uint64_t repair_symbols;      /* of symbols, those marked REPAIR */
    uint64_t malformed, foreign;
    uint64_t nacks_sent, nacks_suppressed, acks_sent;
    uint64_t symbols_lost; /* estimate, before repair: gaps seen in first transmissions */
    uint64_t symbols_expected;
    uint32_t blocks_complete, block_count;
    cp_time grtt;
    cp_time last_heard; /* 0: never */
};

struct norm_receiver;

CP_MUST_CHECK enum cp_err norm_receiver_new(const struct norm_receiver_config *config, cp_time now,
                                            struct norm_receiver **ret_receiver);
void norm_receiver_free(struct norm_receiver *r);

/* NULL until the object is known. */
const struct norm_partition *norm_receiver_partition(const struct norm_receiver *r);
uint16_t norm_receiver_object_id(const struct norm_receiver *r);

/* A packet of the group or of the sender (authenticated by the driver when auth is on): sender's
 * messages, and other receivers' NACKs overheard. CP_ERR_MALFORMED: dropped and counted.
 * CP_ERR_NO_MEMORY: the object that it announces found no room. When the packet decodes at all,
 * *ret_rx is filled even then: a restart that it brought has taken place. NORM_RX_COMPLETE comes with
 * the packet that completes; after norm_receiver_block_have() ask norm_receiver_complete(). */
CP_MUST_CHECK enum cp_err norm_receiver_on_packet(struct norm_receiver *r, cp_time now,
                                                  const uint8_t *pkt, size_t size,
                                                  struct norm_rx *ret_rx);
/* The same for a packet of `size` bytes that the driver has decoded already, to authenticate it. */
CP_MUST_CHECK enum cp_err norm_receiver_on_message(struct norm_receiver *r, cp_time now,
                                                   const struct norm_msg *msg, size_t size,
                                                   struct norm_rx *ret_rx);
void norm_receiver_on_timer(struct norm_receiver *r, cp_time now);

/* Feedback to send now (NACK, ACK): at most one packet per call; count 0 when none. */
void norm_receiver_fill(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx);
cp_time norm_receiver_next_time(const struct norm_receiver *r);

/* The driver has this block by other means (journal, HTTPS): it is complete and never asked for. */
void norm_receiver_block_have(struct norm_receiver *r, uint32_t sbn);
/* The block turned out wrong, or its buffer was given up: none of its symbols are here. */
void norm_receiver_block_forget(struct norm_receiver *r, uint32_t sbn);
/* Only the parity symbols of the block were given up. */
void norm_receiver_block_forget_parity(struct norm_receiver *r, uint32_t sbn);
bool norm_receiver_block_complete(const struct norm_receiver *r, uint32_t sbn);
bool norm_receiver_has_symbol(const struct norm_receiver *r, uint32_t sbn, uint16_t esi);
/* How full the driver's own buffers are (socket, blocks that wait for the disk), percent; told to
 * the sender in EXT_CC, which slows down rather than lose packets. */
void norm_receiver_set_backlog(struct norm_receiver *r, unsigned percent);
bool norm_receiver_complete(const struct norm_receiver *r);

/* The sender is silent beyond RFC 5740 5.3's inactivity rule and all re-NACKs were in vain. */
bool norm_receiver_inactive(const struct norm_receiver *r);

void norm_receiver_get_stats(const struct norm_receiver *r, struct norm_receiver_stats *ret_stats);

#endif
