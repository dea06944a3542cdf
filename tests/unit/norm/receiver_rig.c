/* SPDX-License-Identifier: Apache-2.0
 * See receiver_rig.h. */
#include "receiver_rig.h"

struct norm_txbuf rcv_tx;
struct norm_rx rcv_rx;
static uint8_t tx_data[512];

struct norm_receiver *rcv_make(const struct norm_receiver_config *config)
{
    struct norm_receiver *r = NULL;

    assert_int_equal(norm_receiver_new(config, 0, &r), CP_OK);
    rcv_tx = (struct norm_txbuf){.data = tx_data, .cap = sizeof(tx_data)};
    return r;
}

struct norm_msg rcv_sender_msg(enum norm_type type)
{
    return (struct norm_msg){.type = type,
                             .source_id = SENDER,
                             .instance_id = 9,
                             .grtt = norm_rtt_quantize(10 * CP_MSEC),
                             .fec_id = 129,
                             .object_id = OBJECT,
                             .flags = NORM_FLAG_FILE};
}

enum cp_err rcv_give(struct norm_receiver *r, cp_time now, struct norm_msg *msg)
{
    static const uint8_t zeros[256];
    struct packet p = {0};

    if (msg->payload == NULL) {
        msg->payload = zeros;
    }
    p.size = norm_encode(msg, p.data, sizeof(p.data));
    assert_true(p.size > 0);
    return norm_receiver_on_packet(r, now, p.data, p.size, &rcv_rx);
}

struct norm_msg rcv_data_msg(uint32_t sbn, uint16_t esi)
{
    struct norm_msg msg = rcv_sender_msg(NORM_DATA);

    msg.id = (struct norm_payload_id){sbn, 8, esi};
    msg.ext.has_fti = true;
    msg.ext.fti = sender_config().fti;
    msg.payload_size = SEGMENT;
    return msg;
}

enum cp_err rcv_data(struct norm_receiver *r, cp_time now, uint32_t sbn, uint16_t esi)
{
    struct norm_msg msg = rcv_data_msg(sbn, esi);

    return rcv_give(r, now, &msg);
}

void rcv_flush(struct norm_receiver *r, cp_time now, const uint8_t *list, size_t size)
{
    struct norm_msg msg = rcv_sender_msg(NORM_CMD);

    msg.cmd = NORM_CMD_FLUSH;
    msg.id = (struct norm_payload_id){3, 8, 7};
    msg.payload = list;
    msg.payload_size = size;
    assert_int_equal(rcv_give(r, now, &msg), CP_OK);
}

bool rcv_feedback(struct norm_receiver *r, cp_time now, struct norm_msg *ret_msg)
{
    norm_receiver_on_timer(r, now);
    norm_receiver_fill(r, now, &rcv_tx);
    if (rcv_tx.count == 0) {
        return false;
    }
    assert_int_equal(norm_decode(rcv_tx.data, rcv_tx.size, ret_msg), CP_OK);
    return true;
}

struct norm_repair rcv_entry(const struct norm_msg *msg, unsigned index)
{
    struct norm_repair_reader reader;
    struct norm_repair e = {0};

    norm_repair_reader_init(&reader, msg->payload, msg->payload_size, 129);
    for (unsigned i = 0; i <= index; i++) {
        assert_true(norm_repair_next(&reader, &e));
    }
    return e;
}
