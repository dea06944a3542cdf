/* SPDX-License-Identifier: Apache-2.0
 * Private to the codec of wire.h: what each message's file gives to the dispatch in wire.c, and the
 * pieces they share. Pure. */
#ifndef MULTICAST_NORM_CODEC_H
#define MULTICAST_NORM_CODEC_H

#include "multicast/norm/wire.h"

#define NORM_VERSION     1u
#define NORM_COMMON_SIZE 8u /* version … source_id */

#define NORM_FEC_RS_8          5u   /* RFC 5510 section 5, GF(2^8) */
#define NORM_FEC_RS_M          2u   /* RFC 5510 section 4, m = 8 only */
#define NORM_FEC_SB_SYSTEMATIC 129u /* RFC 5445 section 3.4 */

/* One kind of message. read and write handle what lies between the common header and the
 * extensions; both leave errors in the cursor. */
struct norm_codec {
    /* Bytes of the base header, common header included; 0: the fields cannot be encoded. */
    size_t (*base_size)(const struct norm_msg *msg);
    void (*read)(struct cp_reader *in, struct norm_msg *msg);
    void (*write)(struct cp_writer *out, const struct norm_msg *msg);
    /* Bytes of one item of the payload: the payload is a whole number of them. */
    size_t item_size;
    size_t payload_size_min;
    size_t payload_size_max;
};

extern const struct norm_codec norm_codec_info;
extern const struct norm_codec norm_codec_data;
extern const struct norm_codec norm_codec_nack;
extern const struct norm_codec norm_codec_ack;
extern const struct norm_codec norm_codec_report;

/* NULL when there is no such sub-type. */
const struct norm_codec *norm_codec_cmd(unsigned cmd);

/* ---- shared fields ---- */

/* instance_id, grtt, backoff, gsize: the second word of INFO, DATA and CMD. */
void norm_sender_word_read(struct cp_reader *in, struct norm_msg *msg);
void norm_sender_word_write(struct cp_writer *out, const struct norm_msg *msg);

/* Bytes of a fec_payload_id, 0 for an fec_id that we do not know. */
size_t norm_payload_id_size(uint8_t fec_id);
/* Can this id be written with this fec_id? */
bool norm_payload_id_fits(uint8_t fec_id, const struct norm_payload_id *id);
/* An unknown fec_id marks the cursor as failed. */
void norm_payload_id_read(struct cp_reader *in, uint8_t fec_id, struct norm_payload_id *ret_id);
void norm_payload_id_write(struct cp_writer *out, uint8_t fec_id, const struct norm_payload_id *id);

/* fec_id (8), zero (8), object id (16), fec_payload_id: repair item and watermark. */
void norm_item_write(struct cp_writer *out, uint8_t fec_id, uint16_t object_id,
                     const struct norm_payload_id *id);

/* ---- extensions (ext.c) ---- */

/* `in` covers the packet's header and stands behind the base. */
CP_MUST_CHECK enum cp_err norm_ext_read(struct cp_reader *in, struct norm_msg *msg);
/* Bytes of the extensions wanted; false when one of them cannot be encoded. */
bool norm_ext_size(const struct norm_msg *msg, size_t *ret_size);
/* `out` stands where the extensions begin, its data at the packet's start. */
void norm_ext_write(struct cp_writer *out, struct norm_msg *msg);

#endif
