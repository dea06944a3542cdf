/* SPDX-License-Identifier: Apache-2.0
 * NORM_CMD(FLUSH) and NORM_CMD(SQUELCH), the commands that name a position (RFC 5740 sections
 * 4.2.3.1 and 4.2.3.3), and the node list of FLUSH and ACK_REQ. Pure. */
#include "multicast/norm/cmd.h"

#define POSITION_BASE_SIZE 16u
#define NODE_SIZE          4u

static void position_read(struct cp_reader *in, struct norm_msg *msg)
{
    msg->fec_id = cp_read_u8(in);
    msg->object_id = cp_read_u16(in);
    norm_payload_id_read(in, msg->fec_id, &msg->id);
}

static void position_write(struct cp_writer *out, const struct norm_msg *msg)
{
    cp_write_u8(out, msg->fec_id);
    cp_write_u16(out, msg->object_id);
    norm_payload_id_write(out, msg->fec_id, &msg->id);
}

static size_t position_base_size(const struct norm_msg *msg)
{
    if (!norm_payload_id_fits(msg->fec_id, &msg->id)) {
        return 0;
    }
    return POSITION_BASE_SIZE + norm_payload_id_size(msg->fec_id);
}

const struct norm_codec norm_codec_flush = {
    .base_size = position_base_size,
    .read = position_read,
    .write = position_write,
    .item_size = NODE_SIZE,
    .payload_size_max = UINT16_MAX,
};

const struct norm_codec norm_codec_squelch = {
    .base_size = position_base_size,
    .read = position_read,
    .write = position_write,
    .item_size = 2, /* invalid object ids */
    .payload_size_max = UINT16_MAX,
};

bool norm_node_list_has(const struct norm_msg *msg, uint32_t node_id)
{
    struct cp_reader list;

    if (msg->type != NORM_CMD || (msg->cmd != NORM_CMD_FLUSH && msg->cmd != NORM_CMD_ACK_REQ)) {
        return false;
    }
    cp_reader_init(&list, msg->payload, msg->payload_size);
    while (cp_reader_left(&list) >= NODE_SIZE) {
        if (cp_read_u32(&list) == node_id) {
            return true;
        }
    }
    return false;
}
