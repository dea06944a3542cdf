/* SPDX-License-Identifier: Apache-2.0
 * Receiver: the sender's commands (RFC 5740 section 4.2.3). Pure. */
#include "multicast/norm/receiver_state.h"

static bool serial_less(uint16_t a, uint16_t b)
{
    return (int16_t)(a - b) < 0;
}

static bool squelch_lists(const struct norm_msg *msg, uint16_t object_id)
{
    for (size_t i = 0; i + 1 < msg->payload_size; i += 2) {
        if ((uint16_t)(msg->payload[i] << 8 | msg->payload[i + 1]) == object_id) {
            return true;
        }
    }
    return false;
}

/* RFC5740 4.2.3.3: "Receivers SHALL NOT generate repair requests for content identified as invalid
 * by a NORM_CMD(SQUELCH)." */
static void on_squelch(struct norm_receiver *r, const struct norm_msg *msg, struct norm_rx *rx)
{
    if (!r->object_named || r->squelched) {
        return;
    }
    if (serial_less(r->object_id, msg->object_id) || squelch_lists(msg, r->object_id)) {
        r->squelched = true;
        r->nack_state = NORM_NACK_IDLE;
        r->nack_due = false;
        rx->events |= NORM_RX_SQUELCHED;
    } else if (r->known && r->object_id == msg->object_id && msg->fec_id == r->fec_id &&
               msg->id.sbn < r->part.block_count) {
        r->window_low = msg->id.sbn;
    }
}

/* RFC5740 4.2.3.1: "receivers are expected to check their completion state THROUGH (including)
 * this transmission position. If receivers have outstanding repair needs in this range, they SHALL
 * initiate the NORM NACK Repair Process" */
static enum cp_err on_flush(struct norm_receiver *r, cp_time now, const struct norm_msg *msg)
{
    if (!r->object_named) {
        r->object_named = true; /* all of it was missed */
        r->object_id = msg->object_id;
        r->fec_id = msg->fec_id;
    }
    if (msg->object_id != r->object_id) {
        r->stats.foreign++;
        return CP_OK;
    }
    if (msg->fec_id != r->fec_id || (r->known && msg->id.sbn >= r->part.block_count)) {
        return CP_ERR_MALFORMED;
    }
    if (!r->known) {
        r->object_missed = !r->info_offered;
        norm_receiver_consider(r, now);
        return CP_OK;
    }
    r->joined = true;
    r->pass_over = true;
    norm_receiver_position(r, now, msg->id.sbn + 1);
    norm_receiver_consider(r, now);
    if (norm_node_list_has(msg, r->config.node_id)) {
        norm_receiver_want_flush_ack(r, now, msg);
    }
    return CP_OK;
}

enum cp_err norm_receiver_on_command(struct norm_receiver *r, cp_time now,
                                     const struct norm_msg *msg, struct norm_rx *rx)
{
    switch (msg->cmd) {
    case NORM_CMD_FLUSH:
        return on_flush(r, now, msg);
    case NORM_CMD_EOT:
        r->ended = true;
        r->nack_state = NORM_NACK_IDLE;
        r->nack_due = false;
        rx->events |= NORM_RX_EOT;
        return CP_OK;
    case NORM_CMD_SQUELCH:
        on_squelch(r, msg, rx);
        return CP_OK;
    case NORM_CMD_CC:
        norm_receiver_on_probe(r, now, msg);
        return CP_OK;
    case NORM_CMD_REPAIR_ADV:
        if (msg->ext.has_cc) {
            norm_receiver_cc_heard(r, now, &msg->ext.cc);
        }
        return norm_receiver_heard_add(r, msg);
    case NORM_CMD_APPLICATION:
        rx->events |= NORM_RX_COMMAND;
        rx->payload = msg->payload;
        rx->payload_size = msg->payload_size;
        return CP_OK;
    case NORM_CMD_ACK_REQ:
        if (norm_node_list_has(msg, r->config.node_id)) {
            norm_receiver_want_app_ack(r, now, msg);
        }
        return CP_OK;
    default:
        return CP_OK;
    }
}
