/* SPDX-License-Identifier: Apache-2.0
 * Sender: the next packets. Control first, then repairs, then new data, paced. Pure. */
#include "multicast/norm/sender_state.h"

/* What one packet carries. */
struct pick {
    uint32_t sbn;
    uint16_t esi;
    bool repair, named;
};

/* First pass: blocks ascending, each with its proactive parity behind; how much is settled when it
 * begins. RFC5401 3.6: "benefits […] for transmitting some predetermined quantity of FEC repair
 * packets multiplexed with the regular data symbol transmissions" */
static bool pick_new(struct norm_sender *s, struct pick *p)
{
    unsigned k;

    if (s->next_block == s->part.block_count) {
        return false;
    }
    k = norm_partition_block_len(&s->part, s->next_block);
    if (s->next_esi == 0) {
        s->protection.block = norm_sender_block_parity(s);
    }
    *p = (struct pick){.sbn = s->next_block, .esi = s->next_esi};
    if (s->next_esi >= k) {
        s->repairs.parity_sent[s->next_block]++;
    }
    s->next_esi++;
    if (s->next_esi == k + s->protection.block) {
        norm_needs_sent(&s->protection.needs);
        s->next_esi = 0;
        s->next_block++;
    }
    return true;
}

/* RFC5740 5: repairs go first, "The sender immediately assumes transmission of new content once it
 * has sent pending repairs." */
static bool pick_next(struct norm_sender *s, cp_time now, bool *repairs, struct pick *p)
{
    if (*repairs) {
        if (norm_sender_next_repair(s, now, &p->sbn, &p->esi, &p->named)) {
            p->repair = true;
            return true;
        }
        *repairs = false;
    }
    return pick_new(s, p);
}

static uint16_t payload_size(const struct norm_sender *s, const struct pick *p, unsigned k)
{
    if (p->esi < k) {
        return norm_partition_symbol_size(&s->part, p->sbn, p->esi);
    }
    /* Parity is as long as the longest source symbol of its block. */
    return norm_partition_symbol_size(&s->part, p->sbn, 0);
}

/* RFC5740 5.4.2: "NORM_DATA messages sent as repair transmissions SHALL be flagged with the
 * NORM_FLAG_REPAIR flag", "SHOULD flag NORM_DATA transmissions sent as explicit repair with the
 * NORM_FLAG_EXPLICIT flag". The configuration may leave it out for the reference receiver. */
static uint8_t flags_of(const struct norm_sender *s, const struct pick *p)
{
    uint8_t flags = NORM_FLAG_FILE | NORM_FLAG_INFO;

    if (p->repair && s->config.repair_flag) {
        flags |= NORM_FLAG_REPAIR;
        if (p->named) {
            flags |= NORM_FLAG_EXPLICIT;
        }
    }
    return flags;
}

static void count_symbol(struct norm_sender *s, const struct pick *p, bool parity)
{
    if (p->repair) {
        s->stats.repair_symbols++;
    } else if (parity) {
        s->stats.parity_symbols++;
    } else {
        s->stats.source_symbols++;
    }
}

/* Writes one header at the buffer's end and leaves room for its symbol. */
static void emit(struct norm_sender *s, const struct pick *p, struct norm_txbuf *tx)
{
    unsigned k = norm_partition_block_len(&s->part, p->sbn);
    struct norm_msg *msg = &s->data;
    size_t header;

    msg->sequence = s->sequence;
    msg->flags = flags_of(s, p);
    msg->id = (struct norm_payload_id){p->sbn, (uint16_t)k, p->esi};
    msg->payload_size = payload_size(s, p, k);
    header = norm_encode(msg, tx->data + tx->size, tx->cap - tx->size);
    CP_ASSERT(header == s->data_header);
    s->sequence++;
    tx->packet[tx->count] = (struct norm_tx_packet){
        .kind = p->esi < k ? NORM_TX_SOURCE : NORM_TX_PARITY,
        .sbn = p->sbn,
        .esi = p->esi,
        .payload_offset = (uint16_t)header,
        .payload_size = (uint16_t)msg->payload_size,
        .auth_offset = (uint16_t)msg->ext.auth_offset,
    };
    tx->count++;
    tx->size += header + msg->payload_size;
    count_symbol(s, p, p->esi >= k);
}

static void fill_data(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    size_t full = (size_t)s->data_header + s->part.segment_size;
    unsigned batch = norm_rate_batch(&s->rate, full);
    bool repairs = norm_sender_has_repair(s);

    CP_ASSERT(tx->cap >= full);
    batch = batch < NORM_TX_PACKETS_MAX ? batch : NORM_TX_PACKETS_MAX;
    norm_sender_fill_header(s, &s->data);
    while (tx->count < batch && tx->cap - tx->size >= full) {
        struct pick p = {0};

        if (!pick_next(s, now, &repairs, &p)) {
            break;
        }
        emit(s, &p, tx);
        if (tx->count == 1) {
            tx->stride = (uint16_t)tx->size;
        }
        if (tx->packet[tx->count - 1].payload_size < s->part.segment_size) {
            break; /* only the last packet of a batch may be shorter */
        }
    }
    norm_rate_charge(&s->rate, now, tx->size);
    s->stats.bytes_sent += tx->size;
    s->stats.packets_sent += tx->count;
}

/* RFC5401 3.1: "it is RECOMMENDED that all data transmissions from multicast senders be subject
 * to rate limitations" */
void norm_sender_fill(struct norm_sender *s, cp_time now, struct norm_txbuf *tx)
{
    tx->count = 0;
    tx->size = 0;
    tx->stride = 0;
    tx->unicast = false;
    norm_sender_run_timers(s, now);
    if (norm_sender_fill_control(s, now, tx) || s->withdrawn || s->state != NORM_SENDER_SENDING) {
        return;
    }
    if (norm_rate_ready(&s->rate, now)) {
        fill_data(s, now, tx);
    }
}
