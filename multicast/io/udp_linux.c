/* SPDX-License-Identifier: Apache-2.0
 * The Linux UDP backend: sendmmsg with UDP_SEGMENT (GSO, Linux 4.18), recvmmsg with UDP_GRO
 * (Linux 5.0). Where the kernel or the device refuses GSO, sendmmsg with one packet a message.
 * One thread per socket. */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "multicast/io/udp_backend.h"

#define TX_BATCH     64u
#define GSO_SEGMENTS 64u /* UDP_MAX_SEGMENTS before Linux 6.9 */
/* A shaper's bucket holds 64 KiB as a rule. A bundle that is larger, headers counted, it takes apart,
 * with a timer for each packet: at 1 Gbit/s that made three quarters of a sender's work. One that
 * fills it must find it full, and what came in late is lost: half of it leaves slack. */
#define GSO_BYTES (UDP_PAYLOAD_MAX / 2)

union tx_control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(uint16_t))];
};

union rx_control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
};

struct linux_state {
    struct mmsghdr tx_msg[TX_BATCH];
    struct iovec tx_iov[TX_BATCH];
    union tx_control tx_control[TX_BATCH];
    struct mmsghdr rx_msg[UDP_RX_BATCH];
    struct iovec rx_iov[UDP_RX_BATCH];
    union rx_control rx_control[UDP_RX_BATCH];
};

static int linux_init(struct io_udp *u, bool offload)
{
    const int on = 1;
    int segment;
    socklen_t size = sizeof segment;
    struct linux_state *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ENOMEM;
    }
    u->state = s;
    u->stats.gso = offload && getsockopt(u->fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &size) == 0;
    /* Feedback to a sender comes one by one. */
    u->stats.gro =
        offload && !u->sender && setsockopt(u->fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0;
    for (size_t i = 0; i < UDP_RX_BATCH; i++) {
        s->rx_iov[i].iov_base = u->slot + i * UDP_RX_STRIDE;
        s->rx_iov[i].iov_len = UDP_RX_SLOT;
        s->rx_msg[i].msg_hdr.msg_iov = &s->rx_iov[i];
        s->rx_msg[i].msg_hdr.msg_iovlen = 1;
    }
    return 0;
}

static void linux_done(struct io_udp *u)
{
    free(u->state);
}

/* ---- send ---- */

static void fill_message(struct linux_state *s, size_t i, const struct io_address *to,
                         const uint8_t *data, size_t size, size_t stride)
{
    struct msghdr *m = &s->tx_msg[i].msg_hdr;

    s->tx_iov[i].iov_base = (void *)data; /* sendmmsg's prototype lacks const */
    s->tx_iov[i].iov_len = size;
    memset(m, 0, sizeof *m);
    m->msg_name = (void *)&to->u;
    m->msg_namelen = to->size;
    m->msg_iov = &s->tx_iov[i];
    m->msg_iovlen = 1;
    if (size > stride) {
        const uint16_t segment = (uint16_t)stride;
        struct cmsghdr *c;

        m->msg_control = s->tx_control[i].space;
        m->msg_controllen = sizeof s->tx_control[i].space;
        c = CMSG_FIRSTHDR(m);
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(c), &segment, sizeof segment);
    }
}

/* What one call is asked to send. */
struct job {
    const struct io_address *to;
    const uint8_t *data;
    size_t size;
    size_t stride;
};

/* One sendmmsg of messages of up to `piece` bytes (a multiple of the stride). */
static size_t send_pieces(struct io_udp *u, const struct job *job, size_t piece, int *ret_error)
{
    struct linux_state *s = u->state;
    unsigned count = 0;
    size_t at = 0;
    int sent;

    while (at < job->size && count < TX_BATCH) {
        const size_t len = job->size - at < piece ? job->size - at : piece;

        fill_message(s, count++, job->to, job->data + at, len, job->stride);
        at += len;
    }
    u->stats.send_calls++;
    sent = sendmmsg(u->fd, s->tx_msg, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        *ret_error = errno;
        return 0;
    }
    *ret_error = 0;
    return (unsigned)sent == count ? at : (size_t)sent * piece;
}

/* EINVAL: kernel or packet size; EIO: the device has no checksum offload; ENOPROTOOPT: old kernel. */
static bool gso_refused(int error)
{
    return error == EINVAL || error == EIO || error == ENOPROTOOPT;
}

static size_t linux_send(struct io_udp *u, const struct io_address *to, const uint8_t *data,
                         size_t size, size_t stride, int *ret_error)
{
    const struct job job = {.to = to, .data = data, .size = size, .stride = stride};
    size_t segments = GSO_BYTES / stride;
    size_t done = 0;

    segments = segments < GSO_SEGMENTS ? segments : GSO_SEGMENTS;
    if (!u->stats.gso || size <= stride || segments < 2) {
        return send_pieces(u, &job, stride, ret_error);
    }
    *ret_error = u->fail_gso;
    u->fail_gso = 0;
    if (*ret_error == 0) {
        done = send_pieces(u, &job, segments * stride, ret_error);
    }
    if (done > 0 || !gso_refused(*ret_error)) {
        return done;
    }
    /* Is GSO to blame? Only if the same packets go without it. */
    done = send_pieces(u, &job, stride, ret_error);
    u->stats.gso = done == 0;
    return done;
}

/* ---- receive ---- */

/* Bytes of each packet in the bundle, 0 when it is a single packet. */
static size_t segment_size(struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int segment;

            memcpy(&segment, CMSG_DATA(c), sizeof segment);
            return segment > 0 ? (size_t)segment : 0;
        }
    }
    return 0;
}

static void hand_out(struct io_udp *u, size_t i, size_t size, size_t segment)
{
    const struct io_address *from = i == 0 || u->from_each ? &u->from[i] : NULL;
    uint8_t *data = u->slot + i * UDP_RX_STRIDE;
    size_t at = 0;

    if (segment == 0 || segment > size) {
        segment = size;
    }
    for (unsigned n = 0; n < UDP_RX_SPLIT; n++) {
        const size_t piece = size - at < segment ? size - at : segment;

        u->packet[u->packet_count++] =
            (struct io_udp_packet){.data = data + at, .size = piece, .from = from};
        at += piece;
        if (at >= size) {
            return;
        }
    }
    u->stats.receive_truncated++; /* more segments than any kernel bundles */
}

static int linux_receive(struct io_udp *u)
{
    struct linux_state *s = u->state;
    int got;

    u->packet_count = 0;
    for (size_t i = 0; i < UDP_RX_BATCH; i++) {
        struct msghdr *m = &s->rx_msg[i].msg_hdr;

        m->msg_name = i == 0 || u->from_each ? &u->from[i].u : NULL;
        m->msg_namelen = m->msg_name != NULL ? sizeof u->from[i].u : 0;
        m->msg_control = s->rx_control[i].space;
        m->msg_controllen = u->stats.gro ? sizeof s->rx_control[i].space : 0;
    }
    u->stats.receive_calls++;
    got = recvmmsg(u->fd, s->rx_msg, UDP_RX_BATCH, MSG_DONTWAIT, NULL);
    if (got < 0) {
        return errno;
    }
    for (size_t i = 0; i < (size_t)got; i++) {
        struct msghdr *m = &s->rx_msg[i].msg_hdr;

        if ((m->msg_flags & MSG_TRUNC) != 0) {
            u->stats.receive_truncated++;
            continue;
        }
        u->from[i].size = m->msg_namelen;
        hand_out(u, i, s->rx_msg[i].msg_len, segment_size(m));
    }
    return 0;
}

const struct udp_backend udp_linux = {
    .name = "linux",
    .init = linux_init,
    .done = linux_done,
    .send = linux_send,
    .receive = linux_receive,
};
