/* SPDX-License-Identifier: Apache-2.0
 * The sender's way out: symbols from the source and the code, the seal, one send a batch. The
 * session's thread. */
#include <string.h>

#include "common/clock.h"
#include "multicast/session_sender.h"

#define EOT_COUNT   3u /* it is only a courtesy: silence says the same, later */
#define EOT_SPACING (5 * CP_MSEC)

static uint8_t *packet_at(struct mc_sender *s, unsigned index)
{
    return s->tx.data + (size_t)index * s->tx.stride;
}

static size_t packet_size(const struct mc_sender *s, unsigned index)
{
    return index + 1 < s->tx.count ? s->tx.stride : s->tx.size - (size_t)index * s->tx.stride;
}

/* Parity rows for the run of packets from `first` that belong to one block and follow one another;
 * *ret_count is the run's length. */
static enum cp_err fill_parity(struct mc_sender *s, unsigned first, unsigned *ret_count)
{
    const struct norm_tx_packet *p = &s->tx.packet[first];
    uint16_t segment = s->partition.segment_size;
    uint16_t block_len = norm_partition_block_len(&s->partition, p->sbn);
    uint8_t *out[NORM_TX_PACKETS_MAX];
    const uint8_t *data = NULL;
    unsigned count = 0;

    CP_TRY(io_source_get(s->source, p->sbn, &data));
    for (uint16_t i = 0; i < block_len; i++) {
        s->rows[i] = data + (size_t)i * segment;
    }
    if (p->payload_size != segment) { /* a short block of one symbol */
        fec_encode(s->code, block_len, s->rows, segment, (uint16_t)(p->esi - block_len), 1,
                   &s->parity);
        memcpy(packet_at(s, first) + p->payload_offset, s->parity, p->payload_size);
        *ret_count = 1;
        return CP_OK;
    }
    while (first + count < s->tx.count && p[count].kind == NORM_TX_PARITY &&
           p[count].sbn == p->sbn && p[count].esi == p->esi + count &&
           p[count].payload_size == segment) {
        out[count] = packet_at(s, first + count) + p[count].payload_offset;
        count++;
    }
    fec_encode(s->code, block_len, s->rows, segment, (uint16_t)(p->esi - block_len),
               (uint16_t)count, out);
    *ret_count = count;
    return CP_OK;
}

/* The run of source symbols from `first` that belong to one block. */
static enum cp_err fill_source(struct mc_sender *s, unsigned first, unsigned *ret_count)
{
    const uint32_t sbn = s->tx.packet[first].sbn;
    const uint8_t *data = NULL;
    unsigned count = 0;

    CP_TRY(io_source_get(s->source, sbn, &data));
    while (first + count < s->tx.count) {
        const struct norm_tx_packet *p = &s->tx.packet[first + count];
        if (p->kind != NORM_TX_SOURCE || p->sbn != sbn) {
            break;
        }
        memcpy(packet_at(s, first + count) + p->payload_offset,
               data + (size_t)p->esi * s->partition.segment_size, p->payload_size);
        count++;
    }
    *ret_count = count;
    return CP_OK;
}

static enum cp_err fill_symbols(struct mc_sender *s)
{
    unsigned index = 0;

    while (index < s->tx.count) {
        const struct norm_tx_packet *p = &s->tx.packet[index];
        unsigned run = 1;
        if (p->kind != NORM_TX_CONTROL) {
            s->head = p->sbn > s->head ? p->sbn : s->head;
            CP_TRY(p->kind == NORM_TX_SOURCE ? fill_source(s, index, &run)
                                             : fill_parity(s, index, &run));
        }
        index += run;
    }
    return CP_OK;
}

enum cp_err mc_outlet_send(struct mc_sender *s, struct cp_error *err)
{
    if (fill_symbols(s) != CP_OK) {
        return cp_error_set(err, CP_ERR_STORAGE, "reading the content failed");
    }
    for (unsigned i = 0; s->signer != NULL && i < s->tx.count; i++) {
        CP_TRY(
            seal_sign(s->signer, packet_at(s, i), packet_size(s, i), s->tx.packet[i].auth_offset));
    }
    enum cp_err code = io_udp_send(s->udp, NULL, s->tx.data, s->tx.size, s->tx.stride, err);
    /* For now it cannot go: as good as lost on the way, receivers will ask. */
    return code == CP_ERR_UNAVAILABLE ? CP_OK : code;
}

/* RFC5740 4.2.3.2: EOT tells that no more is sent. Losing it costs receivers nothing but time. */
void mc_outlet_say_goodbye(struct mc_sender *s)
{
    for (unsigned i = 0; i < EOT_COUNT; i++) {
        cp_time now = cp_clock_now();

        norm_sender_goodbye(s->core);
        norm_sender_fill(s->core, now, &s->tx);
        if (mc_outlet_send(s, NULL) != CP_OK) {
            return;
        }
        io_wait(&s->wake.fd, 1, now, now + EOT_SPACING);
    }
}
