/* SPDX-License-Identifier: Apache-2.0
 * NORM_INFO and NORM_DATA (RFC 5740 sections 4.2.1 and 4.2.2). Pure. */
#include "multicast/norm/codec.h"

#define INFO_BASE_SIZE 16u

void norm_sender_word_read(struct cp_reader *in, struct norm_msg *msg)
{
    uint8_t nibbles;

    msg->instance_id = cp_read_u16(in);
    msg->grtt = cp_read_u8(in);
    nibbles = cp_read_u8(in);
    msg->backoff = nibbles >> 4;
    msg->gsize = nibbles & 0x0f;
}

void norm_sender_word_write(struct cp_writer *out, const struct norm_msg *msg)
{
    cp_write_u16(out, msg->instance_id);
    cp_write_u8(out, msg->grtt);
    cp_write_u8(out, (uint8_t)(msg->backoff << 4 | msg->gsize));
}

static void info_read(struct cp_reader *in, struct norm_msg *msg)
{
    norm_sender_word_read(in, msg);
    msg->flags = cp_read_u8(in);
    msg->fec_id = cp_read_u8(in);
    msg->object_id = cp_read_u16(in);
    if (norm_payload_id_size(msg->fec_id) == 0) {
        in->failed = true;
    }
}

static void info_write(struct cp_writer *out, const struct norm_msg *msg)
{
    norm_sender_word_write(out, msg);
    cp_write_u8(out, msg->flags);
    cp_write_u8(out, msg->fec_id);
    cp_write_u16(out, msg->object_id);
}

static size_t info_base_size(const struct norm_msg *msg)
{
    return norm_payload_id_size(msg->fec_id) == 0 ? 0 : INFO_BASE_SIZE;
}

/* RFC5401 3.5: "The data and repair content […] requires some form of identification in the
 * protocol header fields." */
static void data_read(struct cp_reader *in, struct norm_msg *msg)
{
    info_read(in, msg);
    norm_payload_id_read(in, msg->fec_id, &msg->id);
}

static void data_write(struct cp_writer *out, const struct norm_msg *msg)
{
    info_write(out, msg);
    norm_payload_id_write(out, msg->fec_id, &msg->id);
}

/* RFC5740 4.2.1: "The NORM_DATA base "hdr_len" value is 4 […] plus the size of the
 * "fec_payload_id" field." */
static size_t data_base_size(const struct norm_msg *msg)
{
    if (!norm_payload_id_fits(msg->fec_id, &msg->id)) {
        return 0;
    }
    return INFO_BASE_SIZE + norm_payload_id_size(msg->fec_id);
}

const struct norm_codec norm_codec_info = {
    .base_size = info_base_size,
    .read = info_read,
    .write = info_write,
    .item_size = 1,
    .payload_size_max = UINT16_MAX,
};

/* A symbol has at least one byte: an empty one would complete a block with nothing in it. */
const struct norm_codec norm_codec_data = {
    .base_size = data_base_size,
    .read = data_read,
    .write = data_write,
    .item_size = 1,
    .payload_size_min = 1,
    .payload_size_max = UINT16_MAX,
};
