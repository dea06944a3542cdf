/* SPDX-License-Identifier: Apache-2.0
 * Wire format of NORM messages (RFC 5740 section 4, EXT_AUTH of RFC 6584 section 5): decode and
 * encode, every message type, fec_id 129, 5 and 2 (m=8). Pure. One file per message implements it.
 * Decoding is strict: lengths, hel, reserved values that would mislead. */
#ifndef NORM_WIRE_H
#define NORM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cursor.h"
#include "common/err.h"

#define NORM_NODE_NONE 0x00000000u
#define NORM_NODE_ANY  0xffffffffu

enum norm_type { NORM_INFO = 1, NORM_DATA, NORM_CMD, NORM_NACK, NORM_ACK, NORM_REPORT };

enum norm_cmd {
    NORM_CMD_FLUSH = 1,
    NORM_CMD_EOT,
    NORM_CMD_SQUELCH,
    NORM_CMD_CC,
    NORM_CMD_REPAIR_ADV,
    NORM_CMD_ACK_REQ,
    NORM_CMD_APPLICATION
};

enum norm_object_flag {
    NORM_FLAG_REPAIR = 0x01,
    NORM_FLAG_EXPLICIT = 0x02,
    NORM_FLAG_INFO = 0x04,
    NORM_FLAG_UNRELIABLE = 0x08,
    NORM_FLAG_FILE = 0x10,
    NORM_FLAG_STREAM = 0x20
};

enum norm_repair_form { NORM_REPAIR_ITEMS = 1, NORM_REPAIR_RANGES = 2, NORM_REPAIR_ERASURES = 3 };
enum norm_repair_flag {
    NORM_REPAIR_SEGMENT = 0x01,
    NORM_REPAIR_BLOCK = 0x02,
    NORM_REPAIR_INFO = 0x04,
    NORM_REPAIR_OBJECT = 0x08
};

enum norm_ack_type { NORM_ACK_CC = 1, NORM_ACK_FLUSH = 2, NORM_ACK_APPLICATION = 16 /* … 255 */ };

enum norm_cc_flag {
    NORM_CC_CLR = 0x01,
    NORM_CC_PLR = 0x02,
    NORM_CC_RTT = 0x04,
    NORM_CC_START = 0x08,
    NORM_CC_LEAVE = 0x10,
    NORM_CC_SLOW = 0x40, /* ours: the receiver's own buffers fill. 0x20 is NRL's LIMIT */
    NORM_CC_PLAIN = 0x80 /* ours: cc_rate and cc_loss are what was measured, no equation's */
};

/* Ours, in the reserved byte of CMD(CC): rate and loss as measured are wanted (NORM_CC_PLAIN), and
 * of a large group a sample; without it RFC 5740 5.5.2.2 holds. */
#define NORM_PROBE_PLAIN 0x80u

/* Where a symbol stands. block_len travels with fec_id 129 only; 0 when unknown. */
struct norm_payload_id {
    uint32_t sbn;
    uint16_t block_len;
    uint16_t esi;
};

/* Object transmission information, EXT_FTI. num_parity is the reference implementation's reading
 * of the last field, which RFC 5510 calls max_n. */
struct norm_fti {
    uint64_t object_size; /* 48 bits */
    uint16_t instance;    /* fec_instance_id, 129 only */
    uint16_t segment_size;
    uint16_t max_block_len;
    uint16_t num_parity;
};

struct norm_ext_cc {
    uint16_t sequence;
    uint8_t flags; /* enum norm_cc_flag */
    uint8_t rtt;   /* quantised; with PLAIN: intervals between probes that the figures cover,
                    * 0: they are of the time since the probe */
    uint16_t loss; /* quantised */
    uint16_t rate; /* quantised */
};

/* Extensions found in, or wanted on, a message. */
struct norm_ext {
    bool has_fti, has_cc, has_rate, has_auth;
    struct norm_fti fti;
    struct norm_ext_cc cc;
    uint16_t rate;      /* EXT_RATE, quantised */
    size_t auth_offset; /* of the EXT_AUTH within the packet */
    size_t auth_size; /* whole extension; decode fills it; encode: bytes to reserve (24), 0 none */
};

/* One message in its decoded form. Only the fields of its type are meaningful. */
struct norm_msg {
    enum norm_type type;
    uint16_t sequence;
    uint32_t source_id;

    /* sender's word: INFO, DATA, CMD (NACK, ACK: instance_id is the sender's they answer) */
    uint16_t instance_id;
    uint8_t grtt;    /* quantised */
    uint8_t backoff; /* K, 0..15 */
    uint8_t gsize;   /* quantised, 4 bits */

    /* INFO, DATA; FLUSH and SQUELCH use fec_id, object_id and id */
    uint8_t flags; /* enum norm_object_flag; REPAIR_ADV: 0x01 LIMIT; CC: NORM_PROBE_PLAIN */
    uint8_t fec_id;
    uint16_t object_id;
    struct norm_payload_id id;

    /* CMD */
    enum norm_cmd cmd;
    uint16_t cc_sequence; /* CC */
    uint32_t time_sec;    /* CC: send time; NACK, ACK: grtt_response; 0/0 none */
    uint32_t time_usec;

    /* NACK, ACK */
    uint32_t server_id;
    uint8_t ack_type; /* ACK, ACK_REQ */
    uint8_t ack_id;

    struct norm_ext ext;

    /* What follows the header: symbol (DATA), info bytes (INFO), node list (FLUSH, ACK_REQ), invalid
     * object ids (SQUELCH), cc_node_list (CC), repair requests (NACK, REPAIR_ADV), application
     * bytes, ACK(FLUSH) content. Borrowed from the packet on decode. */
    const uint8_t *payload;
    size_t payload_size;
};

/* Parses one datagram. CP_ERR_MALFORMED (and *ret_msg untouched) for anything that is not a
 * well-formed message of version 1: wrong lengths, hel 0 or past hdr_len, unknown type or
 * fec_id, list payloads that are no whole items, non-zero AR=0 SN, … Payload contents of
 * requests and lists are checked by their own readers below. */
CP_MUST_CHECK enum cp_err norm_decode(const uint8_t *pkt, size_t size, struct norm_msg *ret_msg);

/* Writes header, extensions (CC first, then RATE, FTI, AUTH last, the EXT_AUTH zeroed but for het
 * and hel) and, if msg->payload is not NULL, the payload. Sets msg->ext.auth_offset. Returns the
 * bytes written, 0 when they do not fit in cap or a field is out of range. With payload NULL the
 * caller appends payload_size bytes itself after the returned header (cap need not hold them). */
size_t norm_encode(struct norm_msg *msg, uint8_t *pkt, size_t cap);

/* Size of the header that norm_encode would write for this message. */
size_t norm_header_size(const struct norm_msg *msg);

/* ---- lists in payloads ---- */

/* One item of a repair request: object, block or symbol; two for a range. */
struct norm_repair_item {
    uint16_t object_id;
    struct norm_payload_id id;
};

/* One entry of a NACK or REPAIR_ADV: a single item (first == last) or an inclusive range. */
struct norm_repair {
    uint8_t form;  /* enum norm_repair_form */
    uint8_t flags; /* enum norm_repair_flag */
    struct norm_repair_item first;
    struct norm_repair_item last;
};

/* Walks the requests of a payload. fec_id says how payload ids are read; items of another fec_id
 * are skipped. */
struct norm_repair_reader {
    struct cp_reader in;
    struct cp_reader items; /* of the current request */
    uint8_t fec_id;
    uint8_t form;
    uint8_t flags;
    bool malformed;
};
void norm_repair_reader_init(struct norm_repair_reader *r, const uint8_t *payload, size_t size,
                             uint8_t fec_id);
/* false at the end or at the first malformed request (r->malformed then). ERASURES are skipped. */
bool norm_repair_next(struct norm_repair_reader *r, struct norm_repair *ret);

/* Builds a request payload within cap; consecutive entries of the same form and flags share one
 * request header. */
struct norm_repair_writer {
    struct cp_writer out;
    size_t length_at; /* of the open request's length field */
    uint8_t fec_id;
    uint8_t form;
    uint8_t flags;
};
void norm_repair_writer_init(struct norm_repair_writer *w, uint8_t *buf, size_t cap,
                             uint8_t fec_id);
/* Appends; false (nothing written) when it does not fit. */
bool norm_repair_add(struct norm_repair_writer *w, const struct norm_repair *entry);
size_t norm_repair_size(const struct norm_repair_writer *w); /* bytes written */

/* Node list of FLUSH and ACK_REQ. */
bool norm_node_list_has(const struct norm_msg *msg, uint32_t node_id);

struct norm_cc_node {
    uint32_t node_id;
    uint8_t flags;
    uint8_t rtt;
    uint16_t rate;
};
/* Item `index` of CMD(CC)'s list; false past its end. */
bool norm_cc_node_get(const struct norm_msg *msg, size_t index, struct norm_cc_node *ret);
#define NORM_CC_NODE_SIZE 8u
/* Writes it as item `index` of a list that has room for it. */
void norm_cc_node_put(uint8_t *list, size_t index, const struct norm_cc_node *node);

/* ACK(FLUSH)'s content: the watermark. */
struct norm_watermark {
    uint8_t fec_id;
    uint16_t object_id;
    struct norm_payload_id id;
};
CP_MUST_CHECK enum cp_err norm_watermark_decode(const struct norm_msg *msg,
                                                struct norm_watermark *ret);
/* Writes the content, returns its size (8 or 12), 0 when it does not fit. */
size_t norm_watermark_encode(const struct norm_watermark *wm, uint8_t *buf, size_t cap);

/* ---- quantisers (quant.c) ---- */

/* RFC5740 4.2.1, RFC5401 3.7.4: the 8-bit RTT; nanoseconds in and out. Rounds up by steps of 8 %
 * (below 33 µs: down to whole µs). */
uint8_t norm_rtt_quantize(uint64_t rtt_ns);
uint64_t norm_rtt_unquantize(uint8_t q);
/* 4-bit group size, rounded up. */
uint8_t norm_gsize_quantize(uint64_t gsize);
uint64_t norm_gsize_unquantize(uint8_t q);
/* 16-bit rate, bytes per second; a mantissa that would overflow its 12 bits is clamped. */
uint16_t norm_rate_quantize(double bytes_per_second);
double norm_rate_unquantize(uint16_t q);
uint16_t norm_loss_quantize(double fraction);
double norm_loss_unquantize(uint16_t q);

#endif
