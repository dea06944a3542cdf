/* SPDX-License-Identifier: Apache-2.0
 * NORM_ACK (RFC 5740 section 4.3.2) and the watermark that an ACK(FLUSH) echoes. Pure. */
#include "multicast/norm/codec.h"

#define ACK_BASE_SIZE 24u

static size_t ack_base_size(const struct norm_msg *msg)
{
    (void)msg;
    return ACK_BASE_SIZE;
}

static void ack_read(struct cp_reader *in, struct norm_msg *msg)
{
    msg->server_id = cp_read_u32(in);
    msg->instance_id = cp_read_u16(in);
    msg->ack_type = cp_read_u8(in);
    msg->ack_id = cp_read_u8(in);
    msg->time_sec = cp_read_u32(in);
    msg->time_usec = cp_read_u32(in);
}

static void ack_write(struct cp_writer *out, const struct norm_msg *msg)
{
    cp_write_u32(out, msg->server_id);
    cp_write_u16(out, msg->instance_id);
    cp_write_u8(out, msg->ack_type);
    cp_write_u8(out, msg->ack_id);
    cp_write_u32(out, msg->time_sec);
    cp_write_u32(out, msg->time_usec);
}

const struct norm_codec norm_codec_ack = {
    .base_size = ack_base_size,
    .read = ack_read,
    .write = ack_write,
    .item_size = 1,
    .payload_size_max = UINT16_MAX,
};

/* RFC5740 4.3.2: the "payload" of NORM_ACK(FLUSH) repeats the watermark that the sender named. */
enum cp_err norm_watermark_decode(const struct norm_msg *msg, struct norm_watermark *ret)
{
    struct norm_watermark wm = {0};
    struct cp_reader in;

    if (msg->type != NORM_ACK || msg->ack_type != NORM_ACK_FLUSH) {
        return CP_ERR_MALFORMED;
    }
    cp_reader_init(&in, msg->payload, msg->payload_size);
    wm.fec_id = cp_read_u8(&in);
    (void)cp_read_u8(&in); /* reserved */
    wm.object_id = cp_read_u16(&in);
    norm_payload_id_read(&in, wm.fec_id, &wm.id);
    if (in.failed || cp_reader_left(&in) != 0) {
        return CP_ERR_MALFORMED;
    }
    *ret = wm;
    return CP_OK;
}

size_t norm_watermark_encode(const struct norm_watermark *wm, uint8_t *buf, size_t cap)
{
    struct cp_writer out;

    if (!norm_payload_id_fits(wm->fec_id, &wm->id)) {
        return 0;
    }
    cp_writer_init(&out, buf, cap);
    norm_item_write(&out, wm->fec_id, wm->object_id, &wm->id);
    return out.failed ? 0 : out.at;
}
