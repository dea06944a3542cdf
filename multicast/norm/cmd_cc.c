/* SPDX-License-Identifier: Apache-2.0
 * NORM_CMD(CC): the round-trip and congestion-control probe, and its node list (RFC 5740 section
 * 4.2.3.4). Pure. */
#include "multicast/norm/cmd.h"

#define CC_BASE_SIZE 24u

static size_t cc_base_size(const struct norm_msg *msg)
{
    (void)msg;
    return CC_BASE_SIZE;
}

/* RFC5740 4.2.3.4: "fields to enable sender-to-group GRTT measurement and to excite the group
 * for congestion control feedback" */
static void cc_read(struct cp_reader *in, struct norm_msg *msg)
{
    msg->flags = cp_read_u8(in) & NORM_PROBE_PLAIN; /* NRL's NormSocket sets 0x01 */
    msg->cc_sequence = cp_read_u16(in);
    msg->time_sec = cp_read_u32(in);
    msg->time_usec = cp_read_u32(in);
}

static void cc_write(struct cp_writer *out, const struct norm_msg *msg)
{
    cp_write_u8(out, msg->flags & NORM_PROBE_PLAIN);
    cp_write_u16(out, msg->cc_sequence);
    cp_write_u32(out, msg->time_sec);
    cp_write_u32(out, msg->time_usec);
}

const struct norm_codec norm_codec_cc = {
    .base_size = cc_base_size,
    .read = cc_read,
    .write = cc_write,
    .item_size = NORM_CC_NODE_SIZE,
    .payload_size_max = UINT16_MAX,
};

bool norm_cc_node_get(const struct norm_msg *msg, size_t index, struct norm_cc_node *ret)
{
    struct cp_reader in;

    if (msg->type != NORM_CMD || msg->cmd != NORM_CMD_CC ||
        index >= msg->payload_size / NORM_CC_NODE_SIZE) {
        return false;
    }
    cp_reader_init(&in, msg->payload + index * NORM_CC_NODE_SIZE, NORM_CC_NODE_SIZE);
    ret->node_id = cp_read_u32(&in);
    ret->flags = cp_read_u8(&in);
    ret->rtt = cp_read_u8(&in);
    ret->rate = cp_read_u16(&in);
    return true;
}

void norm_cc_node_put(uint8_t *list, size_t index, const struct norm_cc_node *node)
{
    struct cp_writer out;

    cp_writer_init(&out, list + index * NORM_CC_NODE_SIZE, NORM_CC_NODE_SIZE);
    cp_write_u32(&out, node->node_id);
    cp_write_u8(&out, node->flags);
    cp_write_u8(&out, node->rtt);
    cp_write_u16(&out, node->rate);
    CP_ASSERT(!out.failed);
}
