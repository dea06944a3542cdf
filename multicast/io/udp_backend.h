/* SPDX-License-Identifier: Apache-2.0
 * What udp.c shares with its two backends. Private to multicast/io. */
#ifndef MULTICAST_IO_UDP_BACKEND_H
#define MULTICAST_IO_UDP_BACKEND_H

#include "multicast/io/netif.h"
#include "multicast/io/udp.h"

#define UDP_PAYLOAD_MAX 65507u /* 65535 less IPv4 and UDP headers */
#define UDP_RX_BATCH    64u    /* datagrams or GRO bundles per call */
#define UDP_RX_SPLIT    128u   /* packets a bundle may hold: UDP_MAX_SEGMENTS since Linux 6.9 */
#define UDP_RX_SLOT     65536u
/* Slots are not a power of two apart: else the heads of all would compete for a few cache lines. */
#define UDP_RX_STRIDE (UDP_RX_SLOT + 1600u)

struct udp_backend {
    const char *name;
    /* Socket options and storage of its own in u->state; errno-like code, 0 is success. */
    int (*init)(struct io_udp *u, bool offload);
    void (*done)(struct io_udp *u);
    /* Sends as many whole packets from the start as go at once. Returns their bytes; with fewer
     * than `size`, *ret_error says why, or is 0: call again. */
    size_t (*send)(struct io_udp *u, const struct io_address *to, const uint8_t *data, size_t size,
                   size_t stride, int *ret_error);
    /* Fills u->packet and u->packet_count from one go at the socket; errno, 0 is success. */
    int (*receive)(struct io_udp *u);
};

extern const struct udp_backend udp_linux; /* sendmmsg + UDP_SEGMENT, recvmmsg + UDP_GRO */
extern const struct udp_backend udp_plain; /* sendto, recvfrom */

struct io_udp {
    const struct udp_backend *backend;
    void *state; /* the backend's */
    int fd;
    bool sender;
    struct io_address group, local;
    struct io_netif netif;
    bool from_each; /* io_udp_ask_from */
    int fail_gso;   /* io_udp_fail_next_gso */
    struct io_udp_stats stats;
    uint8_t *slot;           /* UDP_RX_BATCH × UDP_RX_STRIDE; pages not written take no memory */
    struct io_address *from; /* UDP_RX_BATCH */
    struct io_udp_packet *packet; /* UDP_RX_BATCH × UDP_RX_SPLIT */
    size_t packet_count;
};

#endif
