/* SPDX-License-Identifier: Apache-2.0
 * Receiver: feedback packets (RFC 5740 section 4.3). Pure. */
#include "multicast/norm/receiver_state.h"

/* Room for requests while the segment size is unknown: one INFO request. */
#define REQUESTS_UNKNOWN 64u

struct norm_msg norm_receiver_feedback(struct norm_receiver *r, cp_time now, enum norm_type type)
{
    struct norm_msg msg = {.type = type,
                           .sequence = r->sequence,
                           .source_id = r->config.node_id,
                           .server_id = r->sender_id,
                           .instance_id = r->instance_id};

    msg.ext.auth_size = r->config.auth_size;
    if (!r->probed) {
        return msg; /* RFC5740 4.3.1: "SHALL set the "grtt_response" to a ZERO value" */
    }
    /* RFC5740 4.3.1: "grtt_response = NORM_CMD(CC) send_time + receive_to_response_delta" */
    cp_time response = r->probe_time + (now - r->probe_heard);

    msg.time_sec = (uint32_t)(response / CP_SEC);
    msg.time_usec = (uint32_t)(response % CP_SEC / CP_USEC);
    msg.ext.has_cc = true;
    msg.ext.cc = norm_receiver_cc(r, now);
    return msg;
}

/* RFC5740 4.1: "NORM receivers SHOULD set the "sequence" field to support protection from
 * message replay attacks"; one counter, for one destination. */
void norm_receiver_emit(struct norm_receiver *r, struct norm_msg *msg, struct norm_txbuf *tx)
{
    size_t size = norm_encode(msg, tx->data, tx->cap);
    size_t payload_size = msg->payload_size;

    CP_ASSERT(size > 0);
    if (msg->payload == NULL) {
        size += payload_size;
    }
    CP_ASSERT(size <= tx->cap);
    r->sequence++;
    tx->count = 1;
    tx->size = size;
    tx->stride = (uint16_t)size;
    tx->unicast = r->config.unicast_nack;
    tx->packet[0] = (struct norm_tx_packet){.kind = NORM_TX_CONTROL,
                                            .payload_offset = (uint16_t)(size - payload_size),
                                            .payload_size = (uint16_t)payload_size,
                                            .auth_offset = (uint16_t)msg->ext.auth_offset};
}

static bool fill_nack(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = norm_receiver_feedback(r, now, NORM_NACK);
    size_t header = norm_header_size(&msg);
    /* RFC5740 4.3.1: "The "nack_payload" size SHALL NOT exceed the NormSegmentSize" */
    size_t cap = r->known ? r->part.segment_size : REQUESTS_UNKNOWN;
    uint32_t cut;

    CP_ASSERT(header > 0 && header < tx->cap);
    if (cap > tx->cap - header) {
        cap = tx->cap - header; /* a sender may announce larger segments than the driver sends */
    }
    r->nack_due = false;
    msg.payload_size = norm_receiver_requests(r, tx->data + header, cap, &cut);
    if (msg.payload_size == 0) {
        r->stats.nacks_suppressed++;
        return false;
    }
    r->stats.nacks_sent++;
    norm_receiver_nack_sent(r, now, cut);
    norm_receiver_cc_told(r, now);
    norm_receiver_emit(r, &msg, tx);
    return true;
}

void norm_receiver_fill(struct norm_receiver *r, cp_time now, struct norm_txbuf *tx)
{
    tx->count = 0;
    tx->size = 0;
    tx->stride = 0;
    tx->unicast = r->config.unicast_nack;
    if (r->config.silent || !r->instance_known) {
        return;
    }
    if (r->nack_due && fill_nack(r, now, tx)) {
        return;
    }
    (void)norm_receiver_fill_ack(r, now, tx);
}
