/* SPDX-License-Identifier: Apache-2.0
 * NORM_CMD: choice of the sub-type, and the short ones: EOT, REPAIR_ADV, ACK_REQ, APPLICATION
 * (RFC 5740 sections 4.2.3.2, 4.2.3.5, 4.2.3.6 and 4.2.3.7). Reserved fields are written as zero
 * and ignored when read. Pure. */
#include "multicast/norm/cmd.h"

#define SHORT_BASE_SIZE 16u

static size_t short_base_size(const struct norm_msg *msg)
{
    (void)msg;
    return SHORT_BASE_SIZE;
}

static void reserved_read(struct cp_reader *in, struct norm_msg *msg)
{
    (void)msg;
    (void)cp_read_u24(in);
}

static void reserved_write(struct cp_writer *out, const struct norm_msg *msg)
{
    (void)msg;
    cp_write_u24(out, 0);
}

static void repair_adv_read(struct cp_reader *in, struct norm_msg *msg)
{
    msg->flags = cp_read_u8(in);
    (void)cp_read_u16(in);
}

static void repair_adv_write(struct cp_writer *out, const struct norm_msg *msg)
{
    cp_write_u8(out, msg->flags);
    cp_write_u16(out, 0);
}

/* RFC5740 4.2.3.6: the reserved field "SHALL be set to ZERO by senders and ignored by receivers" */
static void ack_req_read(struct cp_reader *in, struct norm_msg *msg)
{
    (void)cp_read_u8(in);
    msg->ack_type = cp_read_u8(in);
    msg->ack_id = cp_read_u8(in);
}

static void ack_req_write(struct cp_writer *out, const struct norm_msg *msg)
{
    cp_write_u8(out, 0);
    cp_write_u8(out, msg->ack_type);
    cp_write_u8(out, msg->ack_id);
}

const struct norm_codec norm_codec_eot = {
    .base_size = short_base_size,
    .read = reserved_read,
    .write = reserved_write,
    .item_size = 1,
    .payload_size_max = 0,
};

const struct norm_codec norm_codec_repair_adv = {
    .base_size = short_base_size,
    .read = repair_adv_read,
    .write = repair_adv_write,
    .item_size = 1,
    .payload_size_max = UINT16_MAX,
};

const struct norm_codec norm_codec_ack_req = {
    .base_size = short_base_size,
    .read = ack_req_read,
    .write = ack_req_write,
    .item_size = 4, /* node ids */
    .payload_size_max = UINT16_MAX,
};

const struct norm_codec norm_codec_application = {
    .base_size = short_base_size,
    .read = reserved_read,
    .write = reserved_write,
    .item_size = 1,
    .payload_size_max = UINT16_MAX,
};

/* RFC5740 4.2.3: "The "sub-type" field indicates the type of command to follow." */
const struct norm_codec *norm_codec_cmd(unsigned cmd)
{
    switch (cmd) {
    case NORM_CMD_FLUSH:
        return &norm_codec_flush;
    case NORM_CMD_EOT:
        return &norm_codec_eot;
    case NORM_CMD_SQUELCH:
        return &norm_codec_squelch;
    case NORM_CMD_CC:
        return &norm_codec_cc;
    case NORM_CMD_REPAIR_ADV:
        return &norm_codec_repair_adv;
    case NORM_CMD_ACK_REQ:
        return &norm_codec_ack_req;
    case NORM_CMD_APPLICATION:
        return &norm_codec_application;
    default:
        return NULL;
    }
}
