/* SPDX-License-Identifier: Apache-2.0
 * The plain UDP backend: sendto and recvfrom, one system call a packet. What every system with
 * sockets has. One thread per socket. */
#include <errno.h>

#include "multicast/io/udp_backend.h"

static int plain_init(struct io_udp *u, bool offload)
{
    (void)u;
    (void)offload;
    return 0;
}

static void plain_done(struct io_udp *u)
{
    (void)u;
}

static size_t plain_send(struct io_udp *u, const struct io_address *to, const uint8_t *data,
                         size_t size, size_t stride, int *ret_error)
{
    size_t at = 0;

    *ret_error = 0;
    while (at < size) {
        const size_t piece = size - at < stride ? size - at : stride;

        u->stats.send_calls++;
        if (sendto(u->fd, data + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL, &to->u.sa, to->size) < 0) {
            *ret_error = errno;
            break;
        }
        at += piece;
    }
    return at;
}

static int plain_receive(struct io_udp *u)
{
    u->packet_count = 0;
    while (u->packet_count < UDP_RX_BATCH) {
        struct io_address *from = &u->from[u->packet_count];
        uint8_t *slot = u->slot + u->packet_count * UDP_RX_STRIDE;
        ssize_t got;

        from->size = sizeof from->u;
        u->stats.receive_calls++;
        got =
            recvfrom(u->fd, slot, UDP_RX_SLOT, MSG_DONTWAIT | MSG_TRUNC, &from->u.sa, &from->size);
        if (got < 0) {
            /* What came before the failure counts; a real one comes again. */
            return u->packet_count > 0 ? 0 : errno;
        }
        if ((size_t)got > UDP_RX_SLOT) {
            u->stats.receive_truncated++;
            continue;
        }
        u->packet[u->packet_count++] =
            (struct io_udp_packet){.data = slot, .size = (size_t)got, .from = from};
    }
    return 0;
}

const struct udp_backend udp_plain = {
    .name = "plain",
    .init = plain_init,
    .done = plain_done,
    .send = plain_send,
    .receive = plain_receive,
};
