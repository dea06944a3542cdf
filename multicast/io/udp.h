/* SPDX-License-Identifier: Apache-2.0
 * UDP sockets of the engine: a sender's (bound to the interface's address, sends to the group or
 * to one node) and a group receiver's. Two backends: sendmmsg + UDP_SEGMENT / recvmmsg + UDP_GRO,
 * and plain sendto / recvfrom. Non-blocking: wait with poll or epoll on io_udp_fd(). Touches the
 * network. An object belongs to one thread. */
#ifndef MULTICAST_IO_UDP_H
#define MULTICAST_IO_UDP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/err.h"

#define IO_ADDRESS_TEXT_SIZE 64u /* "[v6%scope]" without port, with room */
#define IO_INTERFACE_SIZE    16u /* IFNAMSIZ */

/* An address and port of either family; plain value. */
struct io_address {
    union {
        struct sockaddr sa;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } u;
    socklen_t size; /* 0: none */
};

/* Numeric IPv4 or IPv6 text. CP_ERR_INVALID for anything else. */
CP_MUST_CHECK enum cp_err io_address_parse(const char *text, uint16_t port,
                                           struct io_address *ret_address);
/* Numeric text of the address without the port ("" for none). */
void io_address_text(const struct io_address *a, char ret_text[IO_ADDRESS_TEXT_SIZE]);
uint16_t io_address_port(const struct io_address *a);
/* Same family, address and port. */
bool io_address_equal(const struct io_address *a, const struct io_address *b);

enum io_udp_mode {
    IO_UDP_AUTO,   /* the best the kernel offers */
    IO_UDP_NO_GSO, /* sendmmsg and recvmmsg, one packet a message: no UDP_SEGMENT, no UDP_GRO */
    IO_UDP_PLAIN   /* one system call a packet */
};

struct io_udp_config {
    const char *group;     /* multicast address, numeric */
    uint16_t port;         /* the session's port */
    const char *interface; /* name; "" or NULL: that of the route to the group */
    enum io_udp_mode mode;
    /* Bytes of socket buffer to ask for. 0: a receiver gets what the kernel grants of 32 MiB, a
     * sender 256 KiB, so that a slow interface pushes back instead of dropping. */
    uint32_t buffer_size;
    /* Sender only. */
    uint8_t ttl;   /* TTL or hop limit, ≥ 1 */
    uint8_t dscp;  /* 0 … 63 */
    bool loopback; /* receivers on this very host hear it */
    /* Receiver only. */
    const char *source; /* source-specific join (SSM) to this address; "" or NULL: any source */
};

/* One datagram received; borrowed until the next receive on the same object. */
struct io_udp_packet {
    uint8_t *data; /* may be written to (EXT_AUTH is zeroed while it is checked) */
    size_t size;
    const struct io_address *from; /* NULL: not asked for */
};

struct io_udp_stats {
    uint64_t sent_packets, sent_bytes, send_calls; /* UDP payload; system calls */
    uint64_t send_waits; /* the socket or the interface's queue was full, waited */
    uint64_t send_lost;  /* packets given up (see io_udp_send) */
    uint64_t received_packets, received_bytes, receive_calls;
    uint64_t receive_truncated; /* datagrams over 64 KiB less headers: cannot happen, dropped */
    uint64_t socket_drops;      /* dropped by the kernel because the buffer was full (SO_MEMINFO) */
    uint32_t sndbuf, rcvbuf;    /* granted, bytes as the kernel counts them (with overhead) */
    uint32_t rcvbuf_used;       /* of it packets that wait to be received */
    bool gso, gro;              /* UDP_SEGMENT, UDP_GRO in use now */
};

struct io_udp;

/* A socket that sends to the group and to nodes, and receives what nodes send to its own address
 * (feedback). Bound to the interface's address and a port of the kernel's choice; DF set.
 * CP_ERR_INTERFACE, CP_ERR_NETWORK, CP_ERR_INVALID, CP_ERR_NO_MEMORY. */
CP_MUST_CHECK enum cp_err io_udp_open_sender(const struct io_udp_config *config,
                                             struct io_udp **ret_udp, struct cp_error *err);

/* A socket that receives the group's packets on the port, from the interface only; several
 * processes of a host may open it at once. Also CP_ERR_ADDRESS_IN_USE. */
CP_MUST_CHECK enum cp_err io_udp_open_receiver(const struct io_udp_config *config,
                                               struct io_udp **ret_udp, struct cp_error *err);
void io_udp_close(struct io_udp *u); /* NULL allowed */

int io_udp_fd(const struct io_udp *u);
/* Sender: its own unicast address and port. Receiver: group and port. Borrowed. */
const struct io_address *io_udp_local(const struct io_udp *u);
/* Index and MTU of the interface in use. */
unsigned io_udp_interface_index(const struct io_udp *u);
unsigned io_udp_interface_mtu(const struct io_udp *u);

/* Sends `size` bytes as packets of `stride` bytes each, the last one with what is left, to the
 * group (to NULL) or to a node. One system call where UDP_SEGMENT works; when the kernel or the
 * device refuses it the object falls back for good, and nothing is lost or sent twice. When the
 * socket's or the interface's queue is full it waits, at most 200 ms without any progress.
 * CP_ERR_UNAVAILABLE: for now the rest cannot go (queue stays full, link down, no route); it
 * counts as lost on the way (send_lost) and the caller may go on. CP_ERR_NETWORK: it will not get
 * better by itself (packet larger than the MTU, refused by the local firewall, interface gone). */
CP_MUST_CHECK enum cp_err io_udp_send(struct io_udp *u, const struct io_address *to,
                                      const uint8_t *data, size_t size, size_t stride,
                                      struct cp_error *err);

/* Everything that one call can take out of the socket: *ret_packets is an array of *ret_count
 * packets (0: nothing there now). Call again until 0, or until time is up. CP_ERR_NETWORK when
 * the socket failed. */
CP_MUST_CHECK enum cp_err io_udp_receive(struct io_udp *u, const struct io_udp_packet **ret_packets,
                                         size_t *ret_count, struct cp_error *err);

/* Whether each packet comes with its sender's address, as at first, or only the first of each
 * io_udp_receive() surely: an address costs 110 ns a packet, as much as the packet's copy. */
void io_udp_ask_from(struct io_udp *u, bool each);

void io_udp_get_stats(const struct io_udp *u, struct io_udp_stats *ret_stats);

/* For tests: the next send with UDP_SEGMENT acts as if the kernel had answered this errno. */
void io_udp_fail_next_gso(struct io_udp *u, int error);

#endif
