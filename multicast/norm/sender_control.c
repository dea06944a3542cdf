/* SPDX-License-Identifier: Apache-2.0
 * Sender: INFO and the commands, one packet per call (RFC 5740 sections 4.2.2 and 4.2.3). Pure. */
#include <string.h>

#include "multicast/norm/sender_state.h"

#define OBJECT_ID_SIZE     2u
#define HOLD_FLUSH         (250 * CP_MSEC) /* spacing of flushes that only keep an ended session open */
#define PATIENT_FLUSH      (100 * CP_MSEC)
#define ADV_PACKETS        4u
#define DEFERRED_ADV_LEAST (20 * CP_MSEC)

/* RFC5740 4.1: "A monotonically increasing sequence number space MUST be maintained to mark NORM
 * sender messages". RFC5401 3.7.4: the GRTT is advertised "by simply embedding the estimate into
 * all pertinent messages transmitted by the sender". */
void norm_sender_fill_header(struct norm_sender *s, struct norm_msg *msg)
{
    msg->sequence = s->sequence;
    msg->source_id = s->config.node_id;
    msg->instance_id = s->config.instance_id;
    msg->grtt = s->grtt.quantized;
    msg->backoff = s->config.backoff;
    msg->gsize = s->gsize;
    msg->fec_id = s->config.fec_id;
    msg->object_id = s->config.object_id;
    msg->ext.auth_size = s->config.auth_size;
}

static struct norm_msg command(struct norm_sender *s, enum norm_cmd cmd)
{
    struct norm_msg msg = {.type = NORM_CMD, .cmd = cmd};

    norm_sender_fill_header(s, &msg);
    return msg;
}

/* Where the payload of a message with this header begins in the buffer. */
static uint8_t *payload_at(const struct norm_msg *msg, struct norm_txbuf *tx)
{
    size_t header = norm_header_size(msg);

    CP_ASSERT(header > 0 && header < tx->cap);
    return tx->data + header;
}

/* The payload, if any, is in place already. */
static void emit(struct norm_sender *s, cp_time now, struct norm_msg *msg, struct norm_txbuf *tx)
{
    size_t header = norm_encode(msg, tx->data, tx->cap);
    size_t size = header + msg->payload_size;

    CP_ASSERT(header > 0 && size <= tx->cap);
    s->sequence++;
    tx->count = 1;
    tx->size = size;
    tx->stride = (uint16_t)size;
    tx->packet[0] = (struct norm_tx_packet){.kind = NORM_TX_CONTROL,
                                            .payload_offset = (uint16_t)header,
                                            .payload_size = (uint16_t)msg->payload_size,
                                            .auth_offset = (uint16_t)msg->ext.auth_offset};
    norm_rate_charge(&s->rate, now, size);
    s->stats.bytes_sent += size;
    s->stats.packets_sent++;
}

/* RFC5740 4.2.2: "the NORM_INFO message SHALL be transmitted as the first message for the
 * NormObject" */
static void emit_info(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = {.type = NORM_INFO, .payload_size = s->config.info_size};

    norm_sender_fill_header(s, &msg);
    msg.flags = NORM_FLAG_FILE | NORM_FLAG_INFO;
    if (!s->info_due && s->config.repair_flag) {
        msg.flags |= NORM_FLAG_REPAIR;
    }
    msg.ext.has_fti = true;
    msg.ext.fti = s->config.fti;
    if (msg.payload_size > 0) {
        memcpy(payload_at(&msg, tx), s->info, msg.payload_size);
    }
    if (!s->info_due) {
        s->stats.repair_symbols++;
    }
    s->info_due = false;
    s->repairs.info_pending = false;
    emit(s, now, &msg, tx);
}

static void emit_probe(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = command(s, NORM_CMD_CC);
    cp_time clock = now + NORM_STAMP_OFFSET;

    msg.cc_sequence = s->cc_sequence;
    msg.time_sec = (uint32_t)(clock / CP_SEC);
    msg.time_usec = (uint32_t)(clock % CP_SEC / CP_USEC);
    /* RFC5740 5.5.1: "the NORM-CC Rate header extension MAY also be used to proactively solicit RTT
     * feedback from the receiver group" */
    msg.ext.has_rate = s->config.cc_probe_rate;
    norm_sender_rate_probe(s, now, &msg, payload_at(&msg, tx));
    msg.ext.rate = norm_rate_quantize((double)s->rate.bps / 8.0);
    if (s->probe_first == 0) {
        s->probe_first = now > 0 ? now : 1;
    }
    s->cc_sequence++;
    s->probe_due = false;
    s->probe_interval = norm_sender_probe_interval(s);
    s->probe_at = now + s->probe_interval;
    emit(s, now, &msg, tx);
}

static void position_end(const struct norm_sender *s, struct norm_msg *msg)
{
    uint32_t last = s->part.block_count - 1;
    uint16_t len = norm_partition_block_len(&s->part, last);

    msg->id = (struct norm_payload_id){last, len, (uint16_t)(len - 1)};
}

/* RFC5740 4.2.3.1: "This command is repeated once per 2*GRTT_sender". With the GRTT of a LAN
 * robust_factor repeats are over in 40 ms, less than a busy receiver may sleep; so the second half
 * of them is spread over the second that RFC5740 5.3 gives an inactive sender at least. */
static cp_time flush_spacing(const struct norm_sender *s)
{
    cp_time spacing = 2 * s->grtt.advertised;

    if (s->flush_count > s->config.robust_factor / 2u && spacing < PATIENT_FLUSH) {
        spacing = PATIENT_FLUSH;
    }
    return spacing;
}

static void emit_flush(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = command(s, NORM_CMD_FLUSH);
    cp_time spacing;
    bool more;

    position_end(s, &msg);
    msg.payload_size = norm_acklist_ask(&s->ackers, s->config.robust_factor, payload_at(&msg, tx),
                                        s->part.segment_size);
    if (s->flush_count == 0) {
        s->flush_first = now;
    }
    s->flush_count++;
    more = s->flush_count < s->config.robust_factor ||
           norm_acklist_pending(&s->ackers, s->config.robust_factor);
    spacing = flush_spacing(s);
    if (!more && spacing < HOLD_FLUSH && s->hold_until > now) {
        spacing = HOLD_FLUSH;
    }
    s->flush_at = now + spacing;
    emit(s, now, &msg, tx);
}

/* The window begins with our object, or behind it when it was withdrawn. */
static void emit_squelch(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = command(s, NORM_CMD_SQUELCH);
    uint32_t block = 0;

    if (s->withdrawn) {
        msg.object_id++;
    }
    msg.id = (struct norm_payload_id){block, norm_partition_block_len(&s->part, block), 0};
    /* RFC5740 4.2.3.3: entries "MUST be ordinally greater than the "object_transport_id" marking
     * the beginning of the sender's repair window" */
    if (s->squelch_listed && (int16_t)(s->squelch_object - msg.object_id) > 0) {
        uint8_t *list = payload_at(&msg, tx);

        list[0] = (uint8_t)(s->squelch_object >> 8);
        list[1] = (uint8_t)s->squelch_object;
        msg.payload_size = OBJECT_ID_SIZE;
    }
    s->squelch_due = false;
    s->squelch_listed = false;
    /* RFC5740 5.4.3: "limited to once per 2*GRTT_sender" */
    s->squelch_at = now + 2 * s->grtt.advertised;
    emit(s, now, &msg, tx);
}

/* Blocks first … end - 1; nothing is sent when nothing of them is wanted. */
static bool emit_adv(struct norm_sender *s, cp_time now, uint32_t first, uint32_t end,
                     struct norm_txbuf *tx)
{
    struct norm_msg msg = command(s, NORM_CMD_REPAIR_ADV);
    bool limit = false;
    bool newest = end == s->part.block_count;

    msg.ext.has_cc = norm_sender_adv_cc(s, &msg.ext.cc);
    msg.payload_size = norm_sender_adv_payload(s, first, end, payload_at(&msg, tx), &limit);
    if (msg.payload_size == 0) {
        return false;
    }
    /* RFC5740 4.2.3.5: LIMIT "is set by the sender when it is unable to fit its full current
     * repair state"; of deferred repairs it would silence requests for the live window. */
    msg.flags = limit && newest ? 0x01 : 0;
    emit(s, now, &msg, tx);
    return true;
}

/* RFC5740 5.4.4: "The transmission of NORM_CMD(REPAIR_ADV) messages is subject to the sender transmit
 * rate limit": at a slow rate most of it is data all the same. */
static cp_time adv_spacing(const struct norm_sender *s, cp_time least)
{
    cp_time packets = ADV_PACKETS * norm_sender_packet_time(s);

    return least > packets ? least : packets;
}

static bool fill_adv(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    uint32_t floor = norm_sender_live_floor(s);

    if (s->adv_due && now >= s->adv_at) {
        s->adv_due = false;
        s->adv_at = now + adv_spacing(s, s->grtt.advertised / 2);
        if (emit_adv(s, now, floor, s->part.block_count, tx)) {
            return true;
        }
    }
    if (now >= s->deferred_at && norm_sender_defers(s)) {
        cp_time spacing = (cp_time)s->config.backoff * s->grtt.advertised / 3;

        spacing = spacing > DEFERRED_ADV_LEAST ? spacing : DEFERRED_ADV_LEAST;
        s->deferred_at = now + adv_spacing(s, spacing);
        return emit_adv(s, now, 0, floor > 0 ? floor : s->part.block_count, tx);
    }
    return false;
}

/* RFC5740 4.2.3.7: "The command message preempts any ongoing data transmission". It goes out
 * once per call: how often a message of its own is repeated is the caller's to say. */
static void emit_application(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = command(s, NORM_CMD_APPLICATION);

    msg.payload_size = s->command_size;
    if (msg.payload_size > 0) {
        memcpy(payload_at(&msg, tx), s->command, s->command_size);
    }
    s->command_due = false;
    emit(s, now, &msg, tx);
}

static void emit_eot(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    struct norm_msg msg = command(s, NORM_CMD_EOT);

    s->eot_due = false;
    emit(s, now, &msg, tx);
}

bool norm_sender_fill_control(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    if (s->command_due) {
        emit_application(s, now, tx);
    } else if (s->squelch_due && now >= s->squelch_at) {
        emit_squelch(s, now, tx);
    } else if (s->eot_due) {
        emit_eot(s, now, tx);
    } else if (s->withdrawn) {
        return false;
    } else if (s->probe_due) {
        emit_probe(s, now, tx);
    } else if (s->info_due || s->repairs.info_pending) {
        emit_info(s, now, tx);
    } else if (s->state == NORM_SENDER_FLUSHING && now >= s->flush_at) {
        emit_flush(s, now, tx);
    } else {
        return fill_adv(s, now, tx);
    }
    return true;
}
