/* SPDX-License-Identifier: Apache-2.0
 * Tests of both UDP backends on the loopback interface, in a network namespace of their own where
 * the system lets them have one. */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "multicast/io/udp.h"
#include "tests/support/failing_alloc.h"

#define GROUP         "239.255.77.77"
#define OTHER_GROUP   "239.255.77.78"
#define PORT          17001
#define WAIT_MS       5000
#define PACKETS_MAX   200
#define PAYLOAD_MAX   2000
#define NAMESPACE_MTU 1500

static bool own_namespace; /* and so lo may be configured */

/* ---- the namespace ---- */

static void lo_request(unsigned long name, struct ifreq *request)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(request->ifr_name, "lo", 3);
    assert_int_equal(ioctl(fd, name, request), 0);
    close(fd);
}

static void lo_set_up(bool up)
{
    struct ifreq request = {0};

    lo_request(SIOCGIFFLAGS, &request);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    lo_request(SIOCSIFFLAGS, &request);
}

/* lo carries no IPv6 multicast and gives every frame back: some tests want a real interface. */
static bool veth_add(void)
{
    return own_namespace &&
           system("{ ip link add cpt0 type veth peer name cpt1 && ip link set cpt0 up && "
                  "ip link set cpt1 up && ip addr add 10.77.77.1/24 dev cpt0 && "
                  "ip addr add fd77::1/64 dev cpt0 nodad; } 2>/dev/null") == 0;
}

static void veth_remove(void)
{
    assert_int_equal(system("ip link del cpt0"), 0);
}

static int enter_namespace(void **state)
{
    (void)state;
    own_namespace = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    if (own_namespace) {
        struct ifreq request = {.ifr_mtu = NAMESPACE_MTU};

        lo_request(SIOCSIFMTU, &request);
        lo_set_up(true);
    }
    return 0;
}

/* ---- helpers ---- */

static struct io_udp_config make_config(enum io_udp_mode mode)
{
    return (struct io_udp_config){.group = GROUP,
                                  .port = PORT,
                                  .interface = "lo",
                                  .mode = mode,
                                  .ttl = 1,
                                  .dscp = 8,
                                  .loopback = true};
}

static struct io_udp *open_sender(enum io_udp_mode mode)
{
    const struct io_udp_config config = make_config(mode);
    struct cp_error err = {0};
    struct io_udp *u = NULL;

    if (io_udp_open_sender(&config, &u, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
    return u;
}

static struct io_udp *open_receiver(enum io_udp_mode mode)
{
    const struct io_udp_config config = make_config(mode);
    struct cp_error err = {0};
    struct io_udp *u = NULL;

    if (io_udp_open_receiver(&config, &u, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
    return u;
}

/* Packets copied out of a receiver. */
struct inbox {
    size_t count;
    size_t size[PACKETS_MAX];
    uint8_t data[PACKETS_MAX][PAYLOAD_MAX];
    struct io_address from[PACKETS_MAX];
};

static void drain(struct io_udp *u, struct inbox *inbox)
{
    const struct io_udp_packet *packet;
    struct cp_error err = {0};
    size_t count;

    do {
        assert_int_equal(io_udp_receive(u, &packet, &count, &err), CP_OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(inbox->count < PACKETS_MAX && packet[i].size <= PAYLOAD_MAX);
            memcpy(inbox->data[inbox->count], packet[i].data, packet[i].size);
            inbox->size[inbox->count] = packet[i].size;
            inbox->from[inbox->count++] = *packet[i].from;
        }
    } while (count > 0);
}

static void await(struct io_udp *u, struct inbox *inbox, size_t count)
{
    struct pollfd p = {.fd = io_udp_fd(u), .events = POLLIN};

    while (inbox->count < count) {
        if (poll(&p, 1, WAIT_MS) != 1) {
            fail_msg("only %zu of %zu packets came", inbox->count, count);
        }
        drain(u, inbox);
    }
}

static void send_text(struct io_udp *u, const struct io_address *to, const char *text)
{
    struct cp_error err = {0};

    if (io_udp_send(u, to, (const uint8_t *)text, strlen(text), 1400, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
}

static void assert_text(const struct inbox *inbox, size_t i, const char *text)
{
    assert_true(i < inbox->count);
    assert_int_equal(inbox->size[i], strlen(text));
    assert_memory_equal(inbox->data[i], text, strlen(text));
}

/* `size` bytes that differ from packet to packet. */
static void fill(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i * 31 + i / 251);
    }
}

static struct inbox inbox;
static uint8_t out[PACKETS_MAX * 1000];

/* Sends out[0 … size) in packets of 1000 bytes; every one arrives once, in order. */
static void assert_round_trip(struct io_udp *tx, struct io_udp *rx, size_t size)
{
    const size_t count = (size + 999) / 1000;
    struct cp_error err = {0};

    inbox.count = 0;
    fill(out, sizeof out);
    assert_int_equal(io_udp_send(tx, NULL, out, size, 1000, &err), CP_OK);
    await(rx, &inbox, count);
    assert_int_equal(inbox.count, count);
    for (size_t i = 0; i < count; i++) {
        const size_t want = size - i * 1000 < 1000 ? size - i * 1000 : 1000;

        assert_int_equal(inbox.size[i], want);
        assert_memory_equal(inbox.data[i], out + i * 1000, want);
        assert_true(io_address_equal(&inbox.from[i], io_udp_local(tx)));
    }
}

/* ---- addresses ---- */

static void addresses(void **state)
{
    struct io_address a, b;
    char text[IO_ADDRESS_TEXT_SIZE];

    (void)state;
    assert_int_equal(io_address_parse("10.1.2.3", 7001, &a), CP_OK);
    io_address_text(&a, text);
    assert_string_equal(text, "10.1.2.3");
    assert_int_equal(io_address_port(&a), 7001);
    assert_int_equal(io_address_parse("10.1.2.3", 7002, &b), CP_OK);
    assert_false(io_address_equal(&a, &b));
    assert_int_equal(io_address_parse("ff15::77", 7001, &b), CP_OK);
    io_address_text(&b, text);
    assert_string_equal(text, "ff15::77");
    assert_int_equal(io_address_port(&b), 7001);
    assert_false(io_address_equal(&a, &b));
    assert_true(io_address_equal(&b, &b));
    assert_int_equal(io_address_parse("", 1, &a), CP_ERR_INVALID);
    assert_int_equal(io_address_parse("host", 1, &a), CP_ERR_INVALID);
    assert_int_equal(io_address_parse("10.1.2.3.4", 1, &a), CP_ERR_INVALID);
    memset(&a, 0, sizeof a);
    io_address_text(&a, text);
    assert_string_equal(text, "");
    assert_int_equal(io_address_port(&a), 0);
    assert_false(io_address_equal(&a, &b));
    assert_true(io_address_equal(&a, &a));
}

/* ---- opening ---- */

static void assert_refused(const struct io_udp_config *config, bool sender, enum cp_err code,
                           const char *word)
{
    struct io_udp *u = NULL;
    struct cp_error err = {0};

    assert_int_equal(sender ? io_udp_open_sender(config, &u, &err)
                            : io_udp_open_receiver(config, &u, &err),
                     code);
    assert_null(u);
    assert_int_equal(err.code, code);
    if (strstr(err.text, word) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, word);
    }
    /* Nobody has to ask for the text. */
    assert_int_equal(sender ? io_udp_open_sender(config, &u, NULL)
                            : io_udp_open_receiver(config, &u, NULL),
                     code);
}

static void wrong_configurations_are_named(void **state)
{
    struct io_udp_config config = make_config(IO_UDP_AUTO);

    (void)state;
    config.interface = "nosuch0";
    assert_refused(&config, true, CP_ERR_INTERFACE, "nosuch0");
    assert_refused(&config, false, CP_ERR_INTERFACE, "nosuch0");
    config.interface = "a-name-that-is-too-long-for-any-interface";
    assert_refused(&config, false, CP_ERR_INTERFACE, "too-long");
    config = make_config(IO_UDP_AUTO);
    config.group = "10.1.2.3";
    assert_refused(&config, true, CP_ERR_INVALID, "10.1.2.3");
    config.group = "nonsense";
    assert_refused(&config, false, CP_ERR_INVALID, "nonsense");
    config.group = NULL;
    assert_refused(&config, false, CP_ERR_INVALID, "multicast");
    config = make_config(IO_UDP_PLAIN);
    config.port = 0;
    assert_refused(&config, true, CP_ERR_INVALID, GROUP);
    config = make_config(IO_UDP_PLAIN);
    config.ttl = 0;
    assert_refused(&config, true, CP_ERR_INVALID, "TTL");
    config.ttl = 1;
    config.dscp = 64;
    assert_refused(&config, true, CP_ERR_INVALID, "DSCP");
    config = make_config(IO_UDP_PLAIN);
    config.source = "::1";
    assert_refused(&config, false, CP_ERR_INVALID, "::1");
    config.source = "who";
    assert_refused(&config, false, CP_ERR_INVALID, "who");
}

/* Whichever allocation of ours fails: a refusal, and nothing leaks (ASan). */
static void without_memory_it_says_so(void **state)
{
    const struct io_udp_config config = make_config(IO_UDP_AUTO);
    struct io_udp *u = NULL;
    int count = 0;

    (void)state;
    for (;; count++) {
        enum cp_err rc;

        failing_alloc_after(count);
        rc = io_udp_open_sender(&config, &u, NULL);
        if (rc == CP_OK) {
            break;
        }
        assert_true(failing_alloc_happened());
        assert_int_equal(rc, CP_ERR_NO_MEMORY);
        assert_null(u);
    }
    assert_int_equal(count, 5);
    failing_alloc_after(-1);
    io_udp_close(u);
}

static void a_port_in_use_is_named(void **state)
{
    const struct io_udp_config config = make_config(IO_UDP_AUTO);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct io_address a;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(io_address_parse("0.0.0.0", PORT, &a), CP_OK);
    assert_int_equal(bind(fd, &a.u.sa, a.size), 0); /* without SO_REUSEADDR */
    assert_refused(&config, false, CP_ERR_ADDRESS_IN_USE, "17001");
    close(fd);
    io_udp_close(open_receiver(IO_UDP_AUTO));
}

static void an_interface_that_is_down_is_named(void **state)
{
    struct io_udp_config config = make_config(IO_UDP_AUTO);

    (void)state;
    if (!own_namespace) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    config.interface = "";
    assert_refused(&config, true, CP_ERR_INTERFACE, "no route");
    assert_refused(&config, false, CP_ERR_INTERFACE, GROUP);
    lo_set_up(false);
    config.interface = "lo";
    assert_refused(&config, true, CP_ERR_INTERFACE, "down");
    assert_refused(&config, false, CP_ERR_INTERFACE, "ip link set lo up");
    lo_set_up(true);
}

static int option_of(const struct io_udp *u, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    assert_int_equal(getsockopt(io_udp_fd(u), level, name, &value, &size), 0);
    return value;
}

static void sockets_are_set_up(void **state)
{
    struct io_udp *tx = open_sender(IO_UDP_AUTO);
    struct io_udp *rx = open_receiver(IO_UDP_AUTO);
    struct io_udp_stats stats;
    char text[IO_ADDRESS_TEXT_SIZE];

    (void)state;
    assert_int_equal(option_of(tx, IPPROTO_IP, IP_MULTICAST_TTL), 1);
    assert_int_equal(option_of(tx, IPPROTO_IP, IP_TOS), 8 << 2);
    assert_int_equal(option_of(tx, IPPROTO_IP, IP_MULTICAST_LOOP), 1);
    assert_int_equal(option_of(tx, IPPROTO_IP, IP_MTU_DISCOVER), IP_PMTUDISC_PROBE);
    io_address_text(io_udp_local(tx), text);
    assert_string_equal(text, "127.0.0.1");
    assert_true(io_address_port(io_udp_local(tx)) != 0);
    assert_int_equal(io_udp_interface_index(tx), if_nametoindex("lo"));
    if (own_namespace) {
        assert_int_equal(io_udp_interface_mtu(tx), NAMESPACE_MTU);
    }
    io_address_text(io_udp_local(rx), text);
    assert_string_equal(text, GROUP);
    assert_int_equal(io_address_port(io_udp_local(rx)), PORT);
    assert_int_equal(option_of(rx, IPPROTO_IP, IP_MULTICAST_ALL), 0);
    io_udp_get_stats(rx, &stats);
    assert_int_equal(stats.rcvbuf, option_of(rx, SOL_SOCKET, SO_RCVBUF));
    assert_true(stats.rcvbuf > 100000);
    io_udp_get_stats(tx, &stats);
    assert_int_equal(stats.sndbuf, option_of(tx, SOL_SOCKET, SO_SNDBUF));
    io_udp_close(tx);
    io_udp_close(rx);
    io_udp_close(NULL);
}

/* ---- packets ---- */

static void every_pair_of_modes_round_trips(void **state)
{
    (void)state;
    for (int m = 0; m < 9; m++) {
        struct io_udp *tx = open_sender((enum io_udp_mode)(m % 3));
        struct io_udp *rx = open_receiver((enum io_udp_mode)(m / 3));
        struct io_udp_stats stats;

        assert_round_trip(tx, rx, 131 * 1000 - 877); /* two bundles and a shorter last packet */
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.sent_packets, 131);
        assert_int_equal(stats.sent_bytes, 131 * 1000 - 877);
        assert_int_equal(stats.send_lost, 0);
        switch ((enum io_udp_mode)(m % 3)) {
        case IO_UDP_AUTO:
            assert_true(stats.gso); /* Linux 4.18 or later */
            assert_int_equal(stats.send_calls, 1);
            break;
        case IO_UDP_NO_GSO:
            assert_false(stats.gso);
            assert_int_equal(stats.send_calls, 3); /* of 64 */
            break;
        case IO_UDP_PLAIN:
            assert_false(stats.gso);
            assert_int_equal(stats.send_calls, 131);
            break;
        }
        io_udp_get_stats(rx, &stats);
        assert_int_equal(stats.received_packets, 131);
        assert_int_equal(stats.received_bytes, 131 * 1000 - 877);
        assert_int_equal(stats.receive_truncated, 0);
        assert_int_equal(stats.socket_drops, 0);
        assert_int_equal(stats.gro, m / 3 == IO_UDP_AUTO);
        /* A single short packet, and a whole one. */
        assert_round_trip(tx, rx, 1);
        assert_round_trip(tx, rx, 1000);
        assert_round_trip(tx, rx, 2000);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

/* A receiver with UDP_GRO gets on lo what the sender gave the kernel as one. */
static void bundles_leave_room_in_a_bucket_of_64_kib(void **state)
{
    static uint8_t bundle[65536];
    const size_t stride = 1472;
    const size_t header = 14 + 20 + 8;
    const int on = 1;
    struct io_udp *tx = open_sender(IO_UDP_AUTO);
    struct io_udp *rx = open_receiver(IO_UDP_NO_GSO);
    struct io_udp_stats stats;
    struct cp_error err = {0};
    size_t total = 0;

    (void)state;
    fill(out, sizeof out);
    assert_int_equal(setsockopt(io_udp_fd(rx), IPPROTO_UDP, UDP_GRO, &on, sizeof on), 0);
    assert_int_equal(io_udp_send(tx, NULL, out, 44 * stride, stride, &err), CP_OK);
    io_udp_get_stats(tx, &stats);
    assert_int_equal(stats.send_calls, 1);
    for (int i = 0; i < 2; i++) {
        struct pollfd p = {.fd = io_udp_fd(rx), .events = POLLIN};

        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        const ssize_t size = recv(io_udp_fd(rx), bundle, sizeof bundle, 0);
        assert_int_equal(size, 22 * stride);
        assert_true((size_t)size + 22 * header < 65536 * 3 / 4);
        assert_memory_equal(bundle, out + total, (size_t)size);
        total += (size_t)size;
    }
    io_udp_close(tx);
    io_udp_close(rx);
}

static void an_empty_datagram_is_a_packet(void **state)
{
    (void)state;
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = open_sender(IO_UDP_PLAIN);
        struct io_udp *rx = open_receiver((enum io_udp_mode)m);
        const struct io_address *group = io_udp_local(rx);
        struct cp_error err = {0};

        inbox.count = 0;
        assert_int_equal(sendto(io_udp_fd(tx), "", 0, 0, &group->u.sa, group->size), 0);
        send_text(tx, NULL, "behind");
        await(rx, &inbox, 2);
        assert_int_equal(inbox.size[0], 0);
        assert_text(&inbox, 1, "behind");
        assert_int_equal(io_udp_send(tx, NULL, out, 0, 1000, &err), CP_OK); /* nothing */
        assert_int_equal(io_udp_send(tx, NULL, out, 10, 0, &err), CP_ERR_INVALID);
        assert_int_equal(io_udp_send(tx, NULL, out, 10, 65508, &err), CP_ERR_INVALID);
        drain(rx, &inbox);
        assert_int_equal(inbox.count, 2);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void gso_refused_falls_back_for_good(void **state)
{
    static const int errors[] = {EINVAL, EIO, ENOPROTOOPT};

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct io_udp *tx = open_sender(IO_UDP_AUTO);
        struct io_udp *rx = open_receiver(IO_UDP_AUTO);
        struct io_udp_stats stats;

        io_udp_fail_next_gso(tx, errors[i]);
        assert_round_trip(tx, rx, 100 * 1000 - 1);
        io_udp_get_stats(tx, &stats);
        assert_false(stats.gso);
        assert_int_equal(stats.sent_packets, 100);
        assert_int_equal(stats.send_calls, 2);
        assert_round_trip(tx, rx, 100 * 1000 - 1);
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.send_calls, 4);
        drain(rx, &inbox);
        assert_int_equal(inbox.count, 100); /* nothing twice */
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void other_errors_do_not_end_gso(void **state)
{
    struct io_udp *tx = open_sender(IO_UDP_AUTO);
    struct io_udp *rx = open_receiver(IO_UDP_AUTO);
    struct cp_error err = {0};
    struct io_udp_stats stats;

    (void)state;
    io_udp_fail_next_gso(tx, EPERM);
    assert_int_equal(io_udp_send(tx, NULL, out, 10000, 1000, &err), CP_ERR_NETWORK);
    assert_non_null(strstr(err.text, "firewall"));
    io_udp_fail_next_gso(tx, EAGAIN); /* waits, then goes */
    assert_round_trip(tx, rx, 10000);
    io_udp_fail_next_gso(tx, ENOBUFS);
    assert_round_trip(tx, rx, 10000);
    io_udp_get_stats(tx, &stats);
    assert_true(stats.gso);
    assert_int_equal(stats.send_lost, 10);
    assert_int_equal(stats.send_waits, 2);
    io_udp_close(tx);
    io_udp_close(rx);
}

static void packets_over_the_mtu_are_named(void **state)
{
    (void)state;
    if (!own_namespace) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = open_sender((enum io_udp_mode)m);
        struct io_udp *rx = open_receiver(IO_UDP_AUTO);
        struct cp_error err = {0};
        struct io_udp_stats stats;

        assert_int_equal(io_udp_send(tx, NULL, out, 16000, 1600, &err), CP_ERR_NETWORK);
        assert_non_null(strstr(err.text, "MTU of the interface lo (1500)"));
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.gso, m == IO_UDP_AUTO); /* not GSO's fault */
        assert_int_equal(stats.send_lost, 10);
        assert_round_trip(tx, rx, 10000);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void a_link_that_is_down_can_come_back(void **state)
{
    (void)state;
    if (!own_namespace) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = open_sender((enum io_udp_mode)m);
        struct io_udp *rx = open_receiver(IO_UDP_AUTO);
        struct cp_error err = {0};
        struct io_udp_stats stats;

        lo_set_up(false);
        assert_int_equal(io_udp_send(tx, NULL, out, 10000, 1000, &err), CP_ERR_UNAVAILABLE);
        assert_non_null(strstr(err.text, "lo"));
        lo_set_up(true);
        assert_round_trip(tx, rx, 10000);
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.send_lost, 10);
        assert_int_equal(stats.gso, m == IO_UDP_AUTO);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void feedback_reaches_the_sender(void **state)
{
    (void)state;
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = open_sender((enum io_udp_mode)m);
        struct io_udp *feedback = open_sender((enum io_udp_mode)m);
        struct io_udp *group = open_receiver(IO_UDP_AUTO);

        inbox.count = 0;
        send_text(feedback, io_udp_local(tx), "unicast");
        send_text(feedback, NULL, "multicast");
        await(tx, &inbox, 1);
        assert_text(&inbox, 0, "unicast");
        assert_true(io_address_equal(&inbox.from[0], io_udp_local(feedback)));
        await(group, &inbox, 2);
        assert_text(&inbox, 1, "multicast");
        drain(tx, &inbox); /* the sender's socket hears no group */
        assert_int_equal(inbox.count, 2);
        io_udp_close(tx);
        io_udp_close(feedback);
        io_udp_close(group);
    }
}

static void receivers_of_one_host_share_the_port(void **state)
{
    struct io_udp_config config = make_config(IO_UDP_AUTO);
    struct io_udp *tx = open_sender(IO_UDP_AUTO);
    struct io_udp *first = open_receiver(IO_UDP_AUTO);
    struct io_udp *second = open_receiver(IO_UDP_PLAIN);
    struct io_udp *other = NULL;
    struct io_address group;

    (void)state;
    config.group = OTHER_GROUP;
    assert_int_equal(io_udp_open_receiver(&config, &other, NULL), CP_OK);
    assert_int_equal(io_address_parse(OTHER_GROUP, PORT, &group), CP_OK);
    inbox.count = 0;
    send_text(tx, NULL, "to the group");
    await(first, &inbox, 1);
    await(second, &inbox, 2);
    assert_text(&inbox, 0, "to the group");
    assert_text(&inbox, 1, "to the group");
    send_text(tx, &group, "to another group");
    await(other, &inbox, 3); /* and not "to the group" first */
    assert_text(&inbox, 2, "to another group");
    drain(first, &inbox);
    drain(second, &inbox);
    assert_int_equal(inbox.count, 3);
    io_udp_close(tx);
    io_udp_close(first);
    io_udp_close(second);
    io_udp_close(other);
}

static void source_specific_join_keeps_others_out(void **state)
{
    struct io_udp_config config = make_config(IO_UDP_AUTO);
    struct io_udp *tx = open_sender(IO_UDP_AUTO);
    struct io_udp *any = open_receiver(IO_UDP_AUTO);
    struct io_udp *from_it = NULL;
    struct io_udp *from_other = NULL;

    (void)state;
    config.source = "127.0.0.1";
    assert_int_equal(io_udp_open_receiver(&config, &from_it, NULL), CP_OK);
    config.source = "127.0.0.2";
    assert_int_equal(io_udp_open_receiver(&config, &from_other, NULL), CP_OK);
    inbox.count = 0;
    send_text(tx, NULL, "hello");
    await(any, &inbox, 1);
    await(from_it, &inbox, 2);
    assert_text(&inbox, 1, "hello");
    drain(from_other, &inbox);
    assert_int_equal(inbox.count, 2);
    io_udp_close(tx);
    io_udp_close(any);
    io_udp_close(from_it);
    io_udp_close(from_other);
}

static void drops_of_a_full_buffer_are_counted(void **state)
{
    (void)state;
    for (int m = 0; m < 3; m++) {
        struct io_udp_config config = make_config((enum io_udp_mode)m);
        struct io_udp *tx = open_sender(IO_UDP_NO_GSO);
        struct io_udp *rx = NULL;
        struct io_udp_stats stats;
        struct cp_error err = {0};

        config.buffer_size = 20000;
        assert_int_equal(io_udp_open_receiver(&config, &rx, NULL), CP_OK);
        inbox.count = 0;
        assert_int_equal(io_udp_send(tx, NULL, out, sizeof out, 1000, &err), CP_OK);
        drain(rx, &inbox); /* loopback delivers before sendmmsg returns */
        io_udp_get_stats(rx, &stats);
        assert_true(inbox.count > 0 && inbox.count < PACKETS_MAX);
        assert_int_equal(stats.socket_drops, PACKETS_MAX - inbox.count);
        assert_true(stats.rcvbuf >= 20000);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void ipv6_round_trips(void **state)
{
    struct io_udp_config config = make_config(IO_UDP_AUTO);
    struct io_udp *tx = NULL;
    struct io_udp *rx = NULL;
    struct io_udp_stats stats;
    struct cp_error err = {0};

    (void)state;
    if (!veth_add()) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    config.group = "ff15::7777";
    config.interface = "cpt0";
    if (io_udp_open_sender(&config, &tx, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
    if (io_udp_open_receiver(&config, &rx, &err) != CP_OK) {
        fail_msg("%s", err.text);
    }
    assert_round_trip(tx, rx, 50 * 1000 - 3);
    io_udp_get_stats(tx, &stats);
    assert_int_equal(stats.send_calls, 1);
    io_udp_close(tx);
    io_udp_close(rx);
    config.source = "fd77::1";
    assert_int_equal(io_udp_open_sender(&config, &tx, NULL), CP_OK);
    assert_int_equal(io_udp_open_receiver(&config, &rx, NULL), CP_OK);
    assert_round_trip(tx, rx, 1000);
    io_udp_close(tx);
    io_udp_close(rx);
    veth_remove();
}

static void without_loopback_the_host_does_not_hear(void **state)
{
    struct io_udp_config config = make_config(IO_UDP_AUTO);
    struct io_udp *loud = NULL;
    struct io_udp *quiet = NULL;
    struct io_udp *rx = NULL;
    char text[IO_ADDRESS_TEXT_SIZE];

    (void)state;
    if (!veth_add()) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    config.interface = "cpt0";
    assert_int_equal(io_udp_open_receiver(&config, &rx, NULL), CP_OK);
    assert_int_equal(io_udp_open_sender(&config, &loud, NULL), CP_OK);
    config.interface = "cpt1";
    assert_refused(&config, true, CP_ERR_INTERFACE, "no IPv4 address");
    assert_refused(&config, false, CP_ERR_INTERFACE, "cpt1");
    config.interface = ""; /* by the route: 10.77.77.0/24 is none to the group */
    assert_int_equal(io_udp_open_sender(&config, &quiet, NULL), CP_ERR_INTERFACE);
    assert_int_equal(system("ip route add 224.0.0.0/4 dev cpt0"), 0);
    config.loopback = false;
    assert_int_equal(io_udp_open_sender(&config, &quiet, NULL), CP_OK);
    io_address_text(io_udp_local(quiet), text);
    assert_string_equal(text, "10.77.77.1");
    assert_int_equal(io_udp_interface_index(quiet), if_nametoindex("cpt0"));
    inbox.count = 0;
    send_text(quiet, NULL, "quiet");
    send_text(loud, NULL, "loud");
    await(rx, &inbox, 1);
    assert_text(&inbox, 0, "loud");
    io_udp_close(loud);
    io_udp_close(quiet);
    io_udp_close(rx);
    veth_remove();
}

/* A sender on a veth whose queue lets `rate` through. */
static struct io_udp *open_shaped(enum io_udp_mode mode, const char *rate)
{
    struct io_udp_config config = make_config(mode);
    struct io_udp *u = NULL;
    char command[160];

    if (!veth_add()) {
        return NULL;
    }
    snprintf(command, sizeof command,
             "tc qdisc add dev cpt0 root tbf rate %s burst 3200 limit 1000000 2>/dev/null", rate);
    if (system(command) != 0) {
        veth_remove();
        return NULL;
    }
    config.interface = "cpt0";
    config.buffer_size = 20000;
    assert_int_equal(io_udp_open_sender(&config, &u, NULL), CP_OK);
    return u;
}

static void a_slow_interface_pushes_back(void **state)
{
    (void)state;
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = open_shaped((enum io_udp_mode)m, "20mbit");
        struct cp_error err = {0};
        struct io_udp_stats stats;

        if (tx == NULL) {
            fail_msg("needs root: a network namespace, links and tc");
        }
        assert_int_equal(io_udp_send(tx, NULL, out, 150000, 1000, &err), CP_OK);
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.sent_packets, 150);
        assert_int_equal(stats.send_lost, 0);
        assert_true(stats.send_waits > 0);
        io_udp_close(tx);
        veth_remove();
    }
}

static void a_stuck_interface_is_not_waited_for(void **state)
{
    struct io_udp *tx = open_shaped(IO_UDP_AUTO, "1kbit");
    struct cp_error err = {0};
    struct io_udp_stats stats;
    const cp_time start = cp_clock_now();

    (void)state;
    if (tx == NULL) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    assert_int_equal(io_udp_send(tx, NULL, out, 150000, 1000, &err), CP_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "cpt0 stays full"));
    assert_true(cp_clock_now() - start >= 200 * CP_MSEC);
    io_udp_get_stats(tx, &stats);
    assert_true(stats.send_lost > 0);
    assert_int_equal(stats.sent_packets + stats.send_lost, 150);
    io_udp_close(tx);
    veth_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(wrong_configurations_are_named),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(an_interface_that_is_down_is_named),
        cmocka_unit_test(sockets_are_set_up),
        cmocka_unit_test(every_pair_of_modes_round_trips),
        cmocka_unit_test(bundles_leave_room_in_a_bucket_of_64_kib),
        cmocka_unit_test(an_empty_datagram_is_a_packet),
        cmocka_unit_test(gso_refused_falls_back_for_good),
        cmocka_unit_test(other_errors_do_not_end_gso),
        cmocka_unit_test(packets_over_the_mtu_are_named),
        cmocka_unit_test(a_link_that_is_down_can_come_back),
        cmocka_unit_test(feedback_reaches_the_sender),
        cmocka_unit_test(receivers_of_one_host_share_the_port),
        cmocka_unit_test(source_specific_join_keeps_others_out),
        cmocka_unit_test(drops_of_a_full_buffer_are_counted),
        cmocka_unit_test(ipv6_round_trips),
        cmocka_unit_test(without_loopback_the_host_does_not_hear),
        cmocka_unit_test(a_slow_interface_pushes_back),
        cmocka_unit_test(a_stuck_interface_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
