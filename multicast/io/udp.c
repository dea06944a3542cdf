/* SPDX-License-Identifier: Apache-2.0
 * UDP sockets of the engine: what both backends share. Opening with the right options, waiting
 * when a queue is full, telling what went wrong. Touches the network and, while it waits, the
 * clock. One thread per object. */
#include "multicast/io/udp.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "multicast/io/udp_backend.h"

/* The kernel grants twice that. Small enough that a slow interface pushes back on the socket instead
 * of dropping behind it: with 4 MiB, a tbf of 300 Mbit/s and 1 MB dropped 89 % without a word, with
 * 256 KiB nothing; and an interface without limit is as fast with either. */
#define SNDBUF_DEFAULT (256 * 1024)
#define RCVBUF_DEFAULT (32 * 1024 * 1024) /* 250 ms at 1 Gbit/s: a stall of the disk */
#define RCVBUF_SENDER  (4 * 1024 * 1024)  /* feedback of a large group comes in bursts */
#define SEND_WAIT_MAX  (200 * CP_MSEC)
#define QUEUE_RETRY_MS 1 /* ENOBUFS: a device queue has no event to wait for */
#define DSCP_MAX       63

/* ---- opening ---- */

struct option {
    int level, name, value;
    const char *text;
};

static enum cp_err set_options(const struct io_udp *u, const struct option *option, size_t count,
                               struct cp_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (setsockopt(u->fd, option[i].level, option[i].name, &option[i].value,
                       sizeof option[i].value) != 0) {
            return cp_error_set(err, CP_ERR_NETWORK, "cannot set the %s of the socket on %s: %s",
                                option[i].text, u->netif.name, strerror(errno));
        }
    }
    return CP_OK;
}

/* FORCE passes the limits net.core.rmem_max and wmem_max, but wants CAP_NET_ADMIN. */
static uint32_t set_buffer(int fd, int force_name, int name, uint32_t bytes)
{
    const int want = bytes <= INT32_MAX ? (int)bytes : INT32_MAX;
    int got = 0;
    socklen_t size = sizeof got;

    if (setsockopt(fd, SOL_SOCKET, force_name, &want, sizeof want) != 0) {
        (void)setsockopt(fd, SOL_SOCKET, name, &want, sizeof want); /* as much as is allowed */
    }
    (void)getsockopt(fd, SOL_SOCKET, name, &got, &size);
    return (uint32_t)got;
}

static enum cp_err parse_group(const struct io_udp_config *config, struct io_address *ret_group,
                               struct cp_error *err)
{
    struct io_address group = {.size = 0};
    bool multicast = false;

    if (config->group != NULL && io_address_parse(config->group, config->port, &group) == CP_OK) {
        multicast = group.u.sa.sa_family == AF_INET6
                        ? IN6_IS_ADDR_MULTICAST(&group.u.v6.sin6_addr)
                        : IN_MULTICAST(ntohl(group.u.v4.sin_addr.s_addr));
    }
    if (!multicast || config->port == 0) {
        return cp_error_set(err, CP_ERR_INVALID, "'%s' port %u is not a multicast address and port",
                            config->group != NULL ? config->group : "", config->port);
    }
    *ret_group = group;
    return CP_OK;
}

/* Everything before the role's own options: storage, interface, socket, backend. */
static enum cp_err open_common(const struct io_udp_config *config, bool sender,
                               struct io_udp **ret_udp, struct cp_error *err)
{
    struct io_address group;
    struct io_netif netif;
    struct io_udp *u;
    int error;

    CP_TRY(parse_group(config, &group, err));
    CP_TRY(io_netif_find(config->interface, &group, &netif, err));
    u = calloc(1, sizeof *u);
    if (u == NULL) {
        return cp_error_set(err, CP_ERR_NO_MEMORY, "no memory for a socket's buffers");
    }
    u->fd = -1;
    u->sender = sender;
    u->from_each = true;
    u->group = group;
    u->netif = netif;
    if (group.u.sa.sa_family == AF_INET6) {
        u->group.u.v6.sin6_scope_id = netif.index;
    }
    u->slot = malloc((size_t)UDP_RX_BATCH * UDP_RX_STRIDE);
    u->from = calloc(UDP_RX_BATCH, sizeof *u->from);
    u->packet = malloc(sizeof *u->packet * UDP_RX_BATCH * UDP_RX_SPLIT);
    if (u->slot == NULL || u->from == NULL || u->packet == NULL) {
        io_udp_close(u);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "no memory for a socket's buffers");
    }
    u->fd = socket(group.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (u->fd < 0) {
        error = errno;
        io_udp_close(u);
        return cp_error_set(err, CP_ERR_NETWORK, "cannot open a UDP socket: %s", strerror(error));
    }
    u->backend = config->mode == IO_UDP_PLAIN ? &udp_plain : &udp_linux;
    error = u->backend->init(u, config->mode == IO_UDP_AUTO);
    if (error != 0) {
        u->backend = NULL;
        io_udp_close(u);
        return cp_error_set(err, CP_ERR_NO_MEMORY, "no memory for a socket's buffers");
    }
    *ret_udp = u;
    return CP_OK;
}

/* PROBE sets DF and heeds the interface's MTU, but no path MTU that anybody's ICMP may claim. */
static enum cp_err set_sender_options(struct io_udp *u, const struct io_udp_config *config,
                                      struct cp_error *err)
{
    const struct option v4[] = {
        {IPPROTO_IP, IP_MULTICAST_TTL, config->ttl, "TTL"},
        {IPPROTO_IP, IP_MULTICAST_LOOP, config->loopback, "multicast loopback"},
        {IPPROTO_IP, IP_TOS, config->dscp << 2, "DSCP"},
        {IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, "don't-fragment mode"},
    };
    const struct option v6[] = {
        {IPPROTO_IPV6, IPV6_V6ONLY, 1, "family"},
        {IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)u->netif.index, "outgoing interface"},
        {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, config->ttl, "hop limit"},
        {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, config->loopback, "multicast loopback"},
        {IPPROTO_IPV6, IPV6_TCLASS, config->dscp << 2, "DSCP"},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE, "don't-fragment mode"},
        {IPPROTO_IPV6, IPV6_DONTFRAG, 1, "don't-fragment mode"},
    };
    const struct ip_mreqn out = {.imr_address = u->netif.address.u.v4.sin_addr,
                                 .imr_ifindex = (int)u->netif.index};

    if (u->group.u.sa.sa_family == AF_INET6) {
        return set_options(u, v6, sizeof v6 / sizeof v6[0], err);
    }
    if (setsockopt(u->fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out) != 0) {
        return cp_error_set(err, CP_ERR_NETWORK, "cannot send multicast through %s: %s",
                            u->netif.name, strerror(errno));
    }
    return set_options(u, v4, sizeof v4 / sizeof v4[0], err);
}

static enum cp_err bind_sender(struct io_udp *u, struct cp_error *err)
{
    char text[IO_ADDRESS_TEXT_SIZE];

    u->local = u->netif.address;
    if (bind(u->fd, &u->local.u.sa, u->local.size) != 0 ||
        getsockname(u->fd, &u->local.u.sa, &u->local.size) != 0) {
        const int error = errno;

        io_address_text(&u->local, text);
        return cp_error_set(err, CP_ERR_NETWORK,
                            "cannot bind a UDP socket to %s of the interface %s: %s", text,
                            u->netif.name, strerror(error));
    }
    return CP_OK;
}

enum cp_err io_udp_open_sender(const struct io_udp_config *config, struct io_udp **ret_udp,
                               struct cp_error *err)
{
    struct io_udp *u;
    enum cp_err rc;

    if (config->ttl == 0 || config->dscp > DSCP_MAX) {
        return cp_error_set(err, CP_ERR_INVALID, "TTL %u or DSCP %u is out of range", config->ttl,
                            config->dscp);
    }
    CP_TRY(open_common(config, true, &u, err));
    u->stats.sndbuf = set_buffer(u->fd, SO_SNDBUFFORCE, SO_SNDBUF,
                                 config->buffer_size > 0 ? config->buffer_size : SNDBUF_DEFAULT);
    u->stats.rcvbuf = set_buffer(u->fd, SO_RCVBUFFORCE, SO_RCVBUF, RCVBUF_SENDER);
    rc = set_sender_options(u, config, err);
    if (rc == CP_OK) {
        rc = bind_sender(u, err);
    }
    if (rc != CP_OK) {
        io_udp_close(u);
        return rc;
    }
    *ret_udp = u;
    return CP_OK;
}

/* A group's packets that another socket of the host joined on another interface stay away (ALL 0). */
static enum cp_err bind_receiver(struct io_udp *u, struct cp_error *err)
{
    const struct option v4[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1, "address reuse"},
        {IPPROTO_IP, IP_MULTICAST_ALL, 0, "group filter"},
    };
    const struct option v6[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1, "address reuse"},
        {IPPROTO_IPV6, IPV6_V6ONLY, 1, "family"},
        {IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, "group filter"},
    };
    char text[IO_ADDRESS_TEXT_SIZE];

    if (u->group.u.sa.sa_family == AF_INET6) {
        CP_TRY(set_options(u, v6, sizeof v6 / sizeof v6[0], err));
    } else {
        CP_TRY(set_options(u, v4, sizeof v4 / sizeof v4[0], err));
    }
    u->local = u->group;
    if (bind(u->fd, &u->local.u.sa, u->local.size) != 0) {
        const int error = errno;

        io_address_text(&u->group, text);
        if (error == EADDRINUSE) {
            return cp_error_set(err, CP_ERR_ADDRESS_IN_USE,
                                "UDP port %u for the group %s is taken by another program; "
                                "'ss -ulnp' shows which",
                                io_address_port(&u->group), text);
        }
        return cp_error_set(err, CP_ERR_NETWORK,
                            "cannot bind a UDP socket to the group %s port %u: %s", text,
                            io_address_port(&u->group), strerror(error));
    }
    return CP_OK;
}

static enum cp_err join_failed(const struct io_udp *u, const char *source, int error,
                               struct cp_error *err)
{
    char text[IO_ADDRESS_TEXT_SIZE];

    io_address_text(&u->group, text);
    if (error == ENOBUFS) {
        return cp_error_set(err, CP_ERR_NETWORK,
                            "cannot join the group %s on %s: too many groups; raise "
                            "net.ipv4.igmp_max_memberships (or net.ipv6.mld_max_msf)",
                            text, u->netif.name);
    }
    return cp_error_set(err, error == ENODEV ? CP_ERR_INTERFACE : CP_ERR_NETWORK,
                        "cannot join the group %s%s%s on the interface %s: %s", text,
                        source[0] != '\0' ? " from " : "", source, u->netif.name, strerror(error));
}

static enum cp_err join_group(struct io_udp *u, const char *source, struct cp_error *err)
{
    const int level = u->group.u.sa.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    int rc;

    if (source[0] == '\0') {
        struct group_req join;

        memset(&join, 0, sizeof join);
        join.gr_interface = u->netif.index;
        memcpy(&join.gr_group, &u->group.u, u->group.size);
        rc = setsockopt(u->fd, level, MCAST_JOIN_GROUP, &join, sizeof join);
    } else {
        struct group_source_req join;
        struct io_address from;

        if (io_address_parse(source, 0, &from) != CP_OK ||
            from.u.sa.sa_family != u->group.u.sa.sa_family) {
            return cp_error_set(err, CP_ERR_INVALID,
                                "'%s' is not a sender's address of the group's family", source);
        }
        memset(&join, 0, sizeof join);
        join.gsr_interface = u->netif.index;
        memcpy(&join.gsr_group, &u->group.u, u->group.size);
        memcpy(&join.gsr_source, &from.u, from.size);
        rc = setsockopt(u->fd, level, MCAST_JOIN_SOURCE_GROUP, &join, sizeof join);
    }
    return rc == 0 ? CP_OK : join_failed(u, source, errno, err);
}

enum cp_err io_udp_open_receiver(const struct io_udp_config *config, struct io_udp **ret_udp,
                                 struct cp_error *err)
{
    struct io_udp *u;
    enum cp_err rc;

    CP_TRY(open_common(config, false, &u, err));
    u->stats.rcvbuf = set_buffer(u->fd, SO_RCVBUFFORCE, SO_RCVBUF,
                                 config->buffer_size > 0 ? config->buffer_size : RCVBUF_DEFAULT);
    rc = bind_receiver(u, err);
    if (rc == CP_OK) {
        rc = join_group(u, config->source != NULL ? config->source : "", err);
    }
    if (rc != CP_OK) {
        io_udp_close(u);
        return rc;
    }
    *ret_udp = u;
    return CP_OK;
}

void io_udp_close(struct io_udp *u)
{
    if (u == NULL) {
        return;
    }
    if (u->backend != NULL) {
        u->backend->done(u);
    }
    if (u->fd >= 0) {
        (void)close(u->fd);
    }
    free(u->packet);
    free(u->from);
    free(u->slot);
    free(u);
}

/* ---- what it is ---- */

int io_udp_fd(const struct io_udp *u)
{
    return u->fd;
}

const struct io_address *io_udp_local(const struct io_udp *u)
{
    return &u->local;
}

unsigned io_udp_interface_index(const struct io_udp *u)
{
    return u->netif.index;
}

unsigned io_udp_interface_mtu(const struct io_udp *u)
{
    return u->netif.mtu;
}

void io_udp_ask_from(struct io_udp *u, bool each)
{
    u->from_each = each;
}

void io_udp_fail_next_gso(struct io_udp *u, int error)
{
    u->fail_gso = error;
}

void io_udp_get_stats(const struct io_udp *u, struct io_udp_stats *ret_stats)
{
    uint32_t memory[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof memory;

    *ret_stats = u->stats;
    /* Up to date at any time, while SO_RXQ_OVFL tells only with the next packet that gets in. */
    if (getsockopt(u->fd, SOL_SOCKET, SO_MEMINFO, memory, &size) == 0) {
        ret_stats->socket_drops = memory[SK_MEMINFO_DROPS];
        ret_stats->rcvbuf_used = memory[SK_MEMINFO_RMEM_ALLOC];
    }
}

/* ---- sending ---- */

/* False when the time is up. *deadline 0: not waited yet. */
static bool wait_for_room(struct io_udp *u, int error, cp_time *deadline)
{
    const cp_time now = cp_clock_now();
    struct pollfd p = {.fd = u->fd, .events = POLLOUT};

    u->stats.send_waits++;
    if (*deadline == 0) {
        *deadline = now + SEND_WAIT_MAX;
    } else if (now >= *deadline) {
        return false;
    }
    if (error == ENOBUFS) {
        (void)poll(NULL, 0, QUEUE_RETRY_MS);
    } else {
        (void)poll(&p, 1, (int)((*deadline - now) / CP_MSEC) + 1);
    }
    return true;
}

static enum cp_err send_failed(struct io_udp *u, const struct io_address *to, size_t stride,
                               int error, struct cp_error *err)
{
    char text[IO_ADDRESS_TEXT_SIZE];

    io_address_text(to, text);
    switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        return cp_error_set(err, CP_ERR_UNAVAILABLE,
                            "the send queue of the interface %s stays full", u->netif.name);
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ECONNREFUSED:
        return cp_error_set(err, CP_ERR_UNAVAILABLE, "%s port %u is not reachable through %s: %s",
                            text, io_address_port(to), u->netif.name, strerror(error));
    case EMSGSIZE:
        return cp_error_set(err, CP_ERR_NETWORK,
                            "packets of %zu bytes and headers do not fit the MTU of the interface "
                            "%s (%u); raise it or make the segment size smaller",
                            stride, u->netif.name, u->netif.mtu);
    case EPERM:
    case EACCES:
        return cp_error_set(err, CP_ERR_NETWORK,
                            "the local firewall refuses UDP to %s port %u through %s; allow it",
                            text, io_address_port(to), u->netif.name);
    default:
        return cp_error_set(err, CP_ERR_NETWORK, "cannot send to %s port %u through %s: %s", text,
                            io_address_port(to), u->netif.name, strerror(error));
    }
}

enum cp_err io_udp_send(struct io_udp *u, const struct io_address *to, const uint8_t *data,
                        size_t size, size_t stride, struct cp_error *err)
{
    cp_time deadline = 0;

    if (stride == 0 || stride > UDP_PAYLOAD_MAX) {
        return cp_error_set(err, CP_ERR_INVALID, "packets of %zu bytes", stride);
    }
    if (to == NULL) {
        to = &u->group;
    }
    while (size > 0) {
        int error = 0;
        const size_t done = u->backend->send(u, to, data, size, stride, &error);

        u->stats.sent_packets += (done + stride - 1) / stride;
        u->stats.sent_bytes += done;
        data += done;
        size -= done;
        deadline = done > 0 ? 0 : deadline;
        if (error == 0 || error == EINTR) {
            continue;
        }
        if ((error == EAGAIN || error == ENOBUFS) && wait_for_room(u, error, &deadline)) {
            continue;
        }
        u->stats.send_lost += (size + stride - 1) / stride;
        return send_failed(u, to, stride, error, err);
    }
    return CP_OK;
}

/* ---- receiving ---- */

enum cp_err io_udp_receive(struct io_udp *u, const struct io_udp_packet **ret_packets,
                           size_t *ret_count, struct cp_error *err)
{
    const int error = u->backend->receive(u);

    if (error != 0 && error != EAGAIN && error != EINTR) {
        return cp_error_set(err, CP_ERR_NETWORK, "cannot receive on the interface %s: %s",
                            u->netif.name, strerror(error));
    }
    u->stats.received_packets += u->packet_count;
    for (size_t i = 0; i < u->packet_count; i++) {
        u->stats.received_bytes += u->packet[i].size;
    }
    *ret_packets = u->packet;
    *ret_count = u->packet_count;
    return CP_OK;
}
