/* SPDX-License-Identifier: Apache-2.0
 * NORM_NACK (RFC 5740 section 4.3.1). Its payload is read and written by repair.c. Pure. */
#include "multicast/norm/codec.h"

#define NACK_BASE_SIZE 24u

static size_t nack_base_size(const struct norm_msg *msg)
{
    (void)msg;
    return NACK_BASE_SIZE;
}

static void nack_read(struct cp_reader *in, struct norm_msg *msg)
{
    msg->server_id = cp_read_u32(in);
    msg->instance_id = cp_read_u16(in);
    (void)cp_read_u16(in); /* reserved */
    msg->time_sec = cp_read_u32(in);
    msg->time_usec = cp_read_u32(in);
}

static void nack_write(struct cp_writer *out, const struct norm_msg *msg)
{
    cp_write_u32(out, msg->server_id);
    cp_write_u16(out, msg->instance_id);
    cp_write_u16(out, 0);
    cp_write_u32(out, msg->time_sec);
    cp_write_u32(out, msg->time_usec);
}

const struct norm_codec norm_codec_nack = {
    .base_size = nack_base_size,
    .read = nack_read,
    .write = nack_write,
    .item_size = 1,
    .payload_size_max = UINT16_MAX,
};
