/* SPDX-License-Identifier: Apache-2.0
 * The multicast engine's façade, used by server and client: open, run in a thread of the caller's,
 * stop, statistics. Plain values in and out; nothing of HTTP, database or manifest is known here.
 * run() owns the session's state; stop() and get_stats() may be called from any thread. */
#ifndef MULTICAST_SESSION_H
#define MULTICAST_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/time.h"

#define MC_SECRET_SIZE 32u
#define MC_CHUNK_SIZE  (1024u * 1024u)

/* A piece of the object: `size` bytes at object_offset lie in a file at file_offset. Extents are
 * ascending, without gaps, from object_offset 0 to content_size. Descriptors stay the caller's. */
struct mc_extent {
    int fd;
    uint64_t file_offset;
    uint64_t object_offset;
    uint64_t size;
};

/* The packet MAC: docs/protocol.md section 6. */
enum mc_mac { MC_MAC_HMAC_SHA256, MC_MAC_AES256_GMAC };

/* What both sides must agree on: it is in the ticket. */
struct mc_channel {
    char group[46]; /* IPv4 (or IPv6) multicast address */
    uint16_t port;
    char interface[16]; /* network interface, "" = the kernel's choice by route */
    char source[46];    /* the sender's unicast address: receivers join source-specific when
                           ssm is set; "" any */
    bool ssm;
    uint16_t object_id;
    uint8_t fec_id;         /* 129 */
    uint16_t segment_size;  /* E: 1408 */
    uint16_t max_block_len; /* B: 128 */
    uint16_t num_parity;    /* P: 32 */
    uint64_t content_size;  /* bytes of content in the object, before padding; > 0 */
    uint64_t object_size;   /* mc_object_size(content_size, E, B) */
    bool auth;              /* EXT_AUTH on every packet (off only for interoperation) */
    enum mc_mac mac;        /* what EXT_AUTH holds */
    bool encrypt;           /* object is AES-256-CTR ciphertext */
    uint8_t secret[MC_SECRET_SIZE];
    uint32_t sender_id;
};

/* Padding: to whole blocks of B·E when larger than one block, to whole symbols otherwise. */
uint64_t mc_object_size(uint64_t content_size, uint16_t segment_size, uint16_t max_block_len);

/* ---- sender ---- */
enum mc_rate_mode {
    MC_RATE_FIXED, /* at the ceiling */
    MC_RATE_LAN,   /* as fast as nearly all receivers can take it */
    MC_RATE_TFMCC  /* fair towards TCP, for shared networks */
};

/* A decision of the sender's: what changed, why, and on whose account. The words are those of
 * docs/protocol.md. Borrowed during the call. */
struct mc_trace {
    cp_time at;
    const char *what;   /* "rate", "parity", "budget" … */
    const char *reason; /* "congestion", "ceiling" …; NULL: what it is says enough */
    uint32_t node_id;   /* decisive receiver, 0 none */
    uint64_t before, after;
    double loss;
    uint64_t rate_bps;
};
typedef void mc_trace_fn(void *arg, const struct mc_trace *t);

struct mc_sender_config {
    struct mc_channel channel;
    uint16_t instance_id;
    const struct mc_extent *extents; /* copied */
    size_t extent_count;
    uint8_t ttl;
    uint8_t dscp;
    bool loopback;     /* IP_MULTICAST_LOOP: receivers on this very host */
    uint64_t rate_bps; /* ceiling, UDP payload bits per second; 0: 1 Gbit/s */
    enum mc_rate_mode rate_mode;
    uint64_t rate_start_bps; /* pace to begin with; 0: half the ceiling */
    double slow_share;       /* see norm_sender_config; 0: the slowest sets the pace */
    bool budget;             /* receivers that ask for too much are not served for ever */
    uint8_t auto_parity;     /* proactive parity per block, to begin with (2) */
    uint8_t auto_parity_max; /* adapted up to so many; 0: not adapted */
    mc_trace_fn *trace;      /* the sender's decisions, told from run()'s thread; NULL none */
    void *trace_arg;
    uint64_t gsize;       /* receivers expected at least; the roster's size where that is more */
    bool force_plain_io;  /* no UDP_SEGMENT, no sendmmsg: the fallback, forced by a test */
    bool multicast_nack;  /* receivers send feedback to the group. It is heard there also without
                            this when auth is off (foreign receivers). */
    size_t buffer_memory; /* for blocks of content; 0: 44 MiB */
};

enum mc_phase { MC_OPEN, MC_SENDING, MC_FLUSHING, MC_DONE, MC_FAILED };

struct mc_sender_stats {
    enum mc_phase phase;
    uint64_t bytes_sent, packets_sent;                 /* UDP payload */
    uint64_t source_bytes, repair_bytes, parity_bytes; /* symbol bytes by reason */
    uint64_t content_sent; /* progress of the first pass, bytes of content_size */
    uint64_t content_size;
    uint64_t nacks, forged, replayed;
    uint64_t unlisted; /* feedback from nodes not on the roster, not yet or no more: not heard */
    uint64_t rate_bps; /* pace now */
    uint64_t rate_ceiling_bps;
    const char *rate_reason; /* why it is what it is: "ceiling", "congestion" …; static text */
    uint32_t pace_setter;    /* the receiver that set it, 0 none */
    uint8_t auto_parity;     /* now */
    uint32_t over_budget;    /* receivers that are not served any more */
    bool gso;                /* UDP_SEGMENT in use */
    cp_time started, ended;  /* first packet, end; 0 none */
    char source[46];         /* address packets leave from */
    uint16_t source_port;
};

struct mc_sender;

/* Opens sockets and allocates. Errors: CP_ERR_INTERFACE, NETWORK, INVALID, NO_MEMORY. Each sender of
 * a channel's secret and sender_id needs an instance_id of its own: SNs begin at 1, and a nonce used
 * twice gives the key of MC_MAC_AES256_GMAC away. */
CP_MUST_CHECK enum cp_err mc_sender_open(const struct mc_sender_config *config,
                                         struct mc_sender **ret_sender, struct cp_error *err);
/* Sends until every acker added has acknowledged, or nobody asked for robust_factor flushes, or
 * stop; however it ends it sends EOT, which tells receivers that still miss something. CP_OK;
 * CP_ERR_CANCELLED after stop; CP_ERR_STORAGE when reading failed; CP_ERR_NETWORK. While the
 * disk does not answer, empty commands keep the receivers waiting. */
CP_MUST_CHECK enum cp_err mc_sender_run(struct mc_sender *s, struct cp_error *err);
/* Ends run() soon: with withdraw a SQUELCH and EOT tell the receivers. Any thread; async-signal-safe. */
void mc_sender_stop(struct mc_sender *s, bool withdraw);
/* The roster: node ids expected to acknowledge the end. Once somebody was added, nobody else's
 * feedback counts, nor that of those removed, of whom nothing is kept. Group size and K follow it. Past
 * NORM_ACKING_MAX the end waits for none, past NORM_MEMBERS_MAX none is heard. Any thread, before or
 * while running. */
void mc_sender_add_receiver(struct mc_sender *s, uint32_t node_id);
void mc_sender_remove_receiver(struct mc_sender *s, uint32_t node_id);
void mc_sender_set_rate(struct mc_sender *s, uint64_t rate_bps);
/* run() does not end by itself while held (the roster may still grow); released by false. */
void mc_sender_hold(struct mc_sender *s, bool hold);
void mc_sender_get_stats(struct mc_sender *s, struct mc_sender_stats *ret_stats);
/* What the sender knows of its receivers, from their feedback; at most `max`, in order of first
 * hearing. Returns how many there are. Any thread; as of the last tenth of a second. */
struct mc_member {
    uint32_t node_id;
    double loss;       /* latest report: fraction before repair */
    uint64_t rate_bps; /* latest report: received */
    bool slow;         /* its own buffers fill */
    bool outlier;      /* left out of the choice of the pace */
    bool over_budget;  /* its NACKs are not served any more */
    uint64_t asked_symbols;
};
size_t mc_sender_get_members(struct mc_sender *s, struct mc_member *ret_members, size_t max);
void mc_sender_close(struct mc_sender *s); /* after run() returned; NULL allowed */

/* ---- receiver ---- */
struct mc_receiver_config {
    struct mc_channel channel;
    uint32_t node_id;
    const struct mc_extent *extents; /* output files, open for reading and writing; copied */
    size_t extent_count;
    /* SHA-256 of every MC_CHUNK_SIZE bytes of content (the last shorter): 32 × chunk_count bytes,
     * copied. NULL: no verification (interoperation). */
    const uint8_t *chunk_digests;
    size_t chunk_count;
    const uint8_t *chunks_have; /* bytes 0/1: verified already (journal); NULL none; copied */
    cp_time silence;            /* give up when nothing was heard for so long */
    cp_time start_wait;         /* before the first packet: so much longer */
    bool multicast_nack;        /* feedback to the group instead of the sender (interoperation) */
    bool force_plain_io;        /* no recvmmsg, no UDP_GRO: the fallback, forced by a test */
    size_t buffer_memory;       /* for blocks that are not on the disk yet; 0: 44 MiB */
};

struct mc_receiver_stats {
    enum mc_phase phase;
    uint64_t bytes_received, packets_received; /* UDP payload, genuine packets of the session */
    uint64_t symbol_bytes, repair_bytes; /* in whole blocks; of these, not by first transmission */
    uint64_t symbols_lost, symbols_expected; /* before repair */
    uint64_t content_verified;               /* bytes in verified chunks */
    uint64_t content_size;
    uint64_t chunks_bad; /* digest mismatches seen */
    uint64_t nacks, forged, replayed, socket_drops;
    bool heard; /* at least one genuine packet */
    bool gro;
    uint32_t rmem; /* receive buffer granted, bytes */
    cp_time started, ended;
};

struct mc_receiver;

/* Joins the group and allocates. Errors: CP_ERR_INTERFACE, NETWORK, ADDRESS_IN_USE, INVALID,
 * NO_MEMORY, OUTPUT_FULL (extents hold less than content_size). The object may be left open
 * (object_size, content_size, sender_id 0; neither auth nor encrypt, no digests): it is learned
 * from the first packet, all of it is content, and the extents must cover it, for instance one of
 * INT64_MAX bytes; its size is in the statistics then. node_id is to be a new one for each start of
 * a receiver: with MC_MAC_AES256_GMAC an SN used twice gives its key away. (SNs of feedback go on
 * with the time of day, so that without GMAC a clock that does not go back is enough.) */
CP_MUST_CHECK enum cp_err mc_receiver_open(const struct mc_receiver_config *config,
                                           struct mc_receiver **ret_receiver, struct cp_error *err);
/* Receives until all content is there (and verified, when digests were given) and the sender's
 * wish for ACK(FLUSH) is answered. CP_OK; CP_ERR_NO_MULTICAST_HEARD; CP_ERR_SENDER_SILENT;
 * CP_ERR_CANCELLED (stop, or withdrawn by the sender); CP_ERR_OUTPUT, OUTPUT_FULL;
 * CP_ERR_CHUNK_DIGEST when a chunk stayed wrong. Chunks verified so far stay valid in all cases. */
CP_MUST_CHECK enum cp_err mc_receiver_run(struct mc_receiver *r, struct cp_error *err);
void mc_receiver_stop(struct mc_receiver *r); /* any thread; async-signal-safe */
void mc_receiver_get_stats(struct mc_receiver *r, struct mc_receiver_stats *ret_stats);
/* After run(): one byte per chunk, 1 = verified and written. */
void mc_receiver_get_chunks(struct mc_receiver *r, uint8_t *ret_chunks, size_t chunk_count);
void mc_receiver_close(struct mc_receiver *r);

#endif
