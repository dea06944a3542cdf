/* SPDX-License-Identifier: Apache-2.0
 * Packets by both UDP backends, and links that are narrow, full or down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "tests/unit/io/udp_rig.h"

#define OTHER_GROUP "239.255.77.78"

static void every_pair_of_modes_round_trips(void **state)
{
    (void)state;
    for (int m = 0; m < 9; m++) {
        struct io_udp *tx = udp_open_sender((enum io_udp_mode)(m % 3));
        struct io_udp *rx = udp_open_receiver((enum io_udp_mode)(m / 3));
        struct io_udp_stats stats;

        udp_assert_round_trip(tx, rx, 131 * 1000 - 877); /* two bundles and a shorter last packet */
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
        udp_assert_round_trip(tx, rx, 1);
        udp_assert_round_trip(tx, rx, 1000);
        udp_assert_round_trip(tx, rx, 2000);
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
    struct io_udp *tx = udp_open_sender(IO_UDP_AUTO);
    struct io_udp *rx = udp_open_receiver(IO_UDP_NO_GSO);
    struct io_udp_stats stats;
    struct cp_error err = {0};
    size_t total = 0;

    (void)state;
    udp_fill_out();
    assert_int_equal(setsockopt(io_udp_fd(rx), IPPROTO_UDP, UDP_GRO, &on, sizeof on), 0);
    assert_int_equal(io_udp_send(tx, NULL, udp_out, 44 * stride, stride, &err), CP_OK);
    io_udp_get_stats(tx, &stats);
    assert_int_equal(stats.send_calls, 1);
    for (int i = 0; i < 2; i++) {
        struct pollfd p = {.fd = io_udp_fd(rx), .events = POLLIN};

        assert_int_equal(poll(&p, 1, UDP_WAIT_MS), 1);
        const ssize_t size = recv(io_udp_fd(rx), bundle, sizeof bundle, 0);
        assert_int_equal(size, 22 * stride);
        assert_true((size_t)size + 22 * header < 65536 * 3 / 4);
        assert_memory_equal(bundle, udp_out + total, (size_t)size);
        total += (size_t)size;
    }
    io_udp_close(tx);
    io_udp_close(rx);
}

static void addresses_come_with_each_packet_or_the_first(void **state)
{
    (void)state;
    for (int m = 0; m < 6; m++) {
        struct io_udp *tx = udp_open_sender(IO_UDP_PLAIN);
        struct io_udp *rx = udp_open_receiver((enum io_udp_mode)(m % 3));
        bool each = m >= 3 || m % 3 == IO_UDP_PLAIN;

        io_udp_ask_from(rx, false);
        io_udp_ask_from(rx, m >= 3);
        for (int i = 0; i < 3; i++) {
            udp_send_text(tx, NULL, "text");
        }
        for (size_t total = 0; total < 3;) {
            const struct io_udp_packet *packet;
            size_t count = 0;
            struct pollfd p = {.fd = io_udp_fd(rx), .events = POLLIN};

            assert_int_equal(poll(&p, 1, UDP_WAIT_MS), 1);
            assert_int_equal(io_udp_receive(rx, &packet, &count, NULL), CP_OK);
            for (size_t i = 0; i < count; i++) {
                assert_true(i > 0 && !each ? packet[i].from == NULL
                                           : io_address_equal(packet[i].from, io_udp_local(tx)));
            }
            total += count;
        }
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void an_empty_datagram_is_a_packet(void **state)
{
    (void)state;
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = udp_open_sender(IO_UDP_PLAIN);
        struct io_udp *rx = udp_open_receiver((enum io_udp_mode)m);
        const struct io_address *group = io_udp_local(rx);
        struct cp_error err = {0};

        udp_inbox.count = 0;
        assert_int_equal(sendto(io_udp_fd(tx), "", 0, 0, &group->u.sa, group->size), 0);
        udp_send_text(tx, NULL, "behind");
        udp_await(rx, &udp_inbox, 2);
        assert_int_equal(udp_inbox.size[0], 0);
        udp_assert_text(&udp_inbox, 1, "behind");
        assert_int_equal(io_udp_send(tx, NULL, udp_out, 0, 1000, &err), CP_OK); /* nothing */
        assert_int_equal(io_udp_send(tx, NULL, udp_out, 10, 0, &err), CP_ERR_INVALID);
        assert_int_equal(io_udp_send(tx, NULL, udp_out, 10, 65508, &err), CP_ERR_INVALID);
        udp_drain(rx, &udp_inbox);
        assert_int_equal(udp_inbox.count, 2);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void gso_refused_falls_back_for_good(void **state)
{
    static const int errors[] = {EINVAL, EIO, ENOPROTOOPT};

    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct io_udp *tx = udp_open_sender(IO_UDP_AUTO);
        struct io_udp *rx = udp_open_receiver(IO_UDP_AUTO);
        struct io_udp_stats stats;

        io_udp_fail_next_gso(tx, errors[i]);
        udp_assert_round_trip(tx, rx, 100 * 1000 - 1);
        io_udp_get_stats(tx, &stats);
        assert_false(stats.gso);
        assert_int_equal(stats.sent_packets, 100);
        assert_int_equal(stats.send_calls, 2);
        udp_assert_round_trip(tx, rx, 100 * 1000 - 1);
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.send_calls, 4);
        udp_drain(rx, &udp_inbox);
        assert_int_equal(udp_inbox.count, 100); /* nothing twice */
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void other_errors_do_not_end_gso(void **state)
{
    struct io_udp *tx = udp_open_sender(IO_UDP_AUTO);
    struct io_udp *rx = udp_open_receiver(IO_UDP_AUTO);
    struct cp_error err = {0};
    struct io_udp_stats stats;

    (void)state;
    io_udp_fail_next_gso(tx, EPERM);
    assert_int_equal(io_udp_send(tx, NULL, udp_out, 10000, 1000, &err), CP_ERR_NETWORK);
    assert_non_null(strstr(err.text, "firewall"));
    io_udp_fail_next_gso(tx, EAGAIN); /* waits, then goes */
    udp_assert_round_trip(tx, rx, 10000);
    io_udp_fail_next_gso(tx, ENOBUFS);
    udp_assert_round_trip(tx, rx, 10000);
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
    if (!udp_own_namespace) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = udp_open_sender((enum io_udp_mode)m);
        struct io_udp *rx = udp_open_receiver(IO_UDP_AUTO);
        struct cp_error err = {0};
        struct io_udp_stats stats;

        assert_int_equal(io_udp_send(tx, NULL, udp_out, 16000, 1600, &err), CP_ERR_NETWORK);
        assert_non_null(strstr(err.text, "MTU of the interface lo (1500)"));
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.gso, m == IO_UDP_AUTO); /* not GSO's fault */
        assert_int_equal(stats.send_lost, 10);
        udp_assert_round_trip(tx, rx, 10000);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void a_link_that_is_down_can_come_back(void **state)
{
    (void)state;
    if (!udp_own_namespace) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    for (int m = 0; m < 3; m++) {
        struct io_udp *tx = udp_open_sender((enum io_udp_mode)m);
        struct io_udp *rx = udp_open_receiver(IO_UDP_AUTO);
        struct cp_error err = {0};
        struct io_udp_stats stats;

        udp_lo_set_up(false);
        assert_int_equal(io_udp_send(tx, NULL, udp_out, 10000, 1000, &err), CP_ERR_UNAVAILABLE);
        assert_non_null(strstr(err.text, "lo"));
        udp_lo_set_up(true);
        udp_assert_round_trip(tx, rx, 10000);
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
        struct io_udp *tx = udp_open_sender((enum io_udp_mode)m);
        struct io_udp *feedback = udp_open_sender((enum io_udp_mode)m);
        struct io_udp *group = udp_open_receiver(IO_UDP_AUTO);

        udp_inbox.count = 0;
        udp_send_text(feedback, io_udp_local(tx), "unicast");
        udp_send_text(feedback, NULL, "multicast");
        udp_await(tx, &udp_inbox, 1);
        udp_assert_text(&udp_inbox, 0, "unicast");
        assert_true(io_address_equal(&udp_inbox.from[0], io_udp_local(feedback)));
        udp_await(group, &udp_inbox, 2);
        udp_assert_text(&udp_inbox, 1, "multicast");
        udp_drain(tx, &udp_inbox); /* the sender's socket hears no group */
        assert_int_equal(udp_inbox.count, 2);
        io_udp_close(tx);
        io_udp_close(feedback);
        io_udp_close(group);
    }
}

static void receivers_of_one_host_share_the_port(void **state)
{
    struct io_udp_config config = udp_config(IO_UDP_AUTO);
    struct io_udp *tx = udp_open_sender(IO_UDP_AUTO);
    struct io_udp *first = udp_open_receiver(IO_UDP_AUTO);
    struct io_udp *second = udp_open_receiver(IO_UDP_PLAIN);
    struct io_udp *other = NULL;
    struct io_address group;

    (void)state;
    config.group = OTHER_GROUP;
    assert_int_equal(io_udp_open_receiver(&config, &other, NULL), CP_OK);
    assert_int_equal(io_address_parse(OTHER_GROUP, UDP_PORT, &group), CP_OK);
    udp_inbox.count = 0;
    udp_send_text(tx, NULL, "to the group");
    udp_await(first, &udp_inbox, 1);
    udp_await(second, &udp_inbox, 2);
    udp_assert_text(&udp_inbox, 0, "to the group");
    udp_assert_text(&udp_inbox, 1, "to the group");
    udp_send_text(tx, &group, "to another group");
    udp_await(other, &udp_inbox, 3); /* and not "to the group" first */
    udp_assert_text(&udp_inbox, 2, "to another group");
    udp_drain(first, &udp_inbox);
    udp_drain(second, &udp_inbox);
    assert_int_equal(udp_inbox.count, 3);
    io_udp_close(tx);
    io_udp_close(first);
    io_udp_close(second);
    io_udp_close(other);
}

static void source_specific_join_keeps_others_out(void **state)
{
    struct io_udp_config config = udp_config(IO_UDP_AUTO);
    struct io_udp *tx = udp_open_sender(IO_UDP_AUTO);
    struct io_udp *any = udp_open_receiver(IO_UDP_AUTO);
    struct io_udp *from_it = NULL;
    struct io_udp *from_other = NULL;

    (void)state;
    config.source = "127.0.0.1";
    assert_int_equal(io_udp_open_receiver(&config, &from_it, NULL), CP_OK);
    config.source = "127.0.0.2";
    assert_int_equal(io_udp_open_receiver(&config, &from_other, NULL), CP_OK);
    udp_inbox.count = 0;
    udp_send_text(tx, NULL, "hello");
    udp_await(any, &udp_inbox, 1);
    udp_await(from_it, &udp_inbox, 2);
    udp_assert_text(&udp_inbox, 1, "hello");
    udp_drain(from_other, &udp_inbox);
    assert_int_equal(udp_inbox.count, 2);
    io_udp_close(tx);
    io_udp_close(any);
    io_udp_close(from_it);
    io_udp_close(from_other);
}

static void drops_of_a_full_buffer_are_counted(void **state)
{
    (void)state;
    for (int m = 0; m < 3; m++) {
        struct io_udp_config config = udp_config((enum io_udp_mode)m);
        struct io_udp *tx = udp_open_sender(IO_UDP_NO_GSO);
        struct io_udp *rx = NULL;
        struct io_udp_stats stats;
        struct cp_error err = {0};

        config.buffer_size = 20000;
        assert_int_equal(io_udp_open_receiver(&config, &rx, NULL), CP_OK);
        udp_inbox.count = 0;
        assert_int_equal(io_udp_send(tx, NULL, udp_out, sizeof udp_out, 1000, &err), CP_OK);
        udp_drain(rx, &udp_inbox); /* loopback delivers before sendmmsg returns */
        io_udp_get_stats(rx, &stats);
        assert_true(udp_inbox.count > 0 && udp_inbox.count < UDP_PACKETS_MAX);
        assert_int_equal(stats.socket_drops, UDP_PACKETS_MAX - udp_inbox.count);
        assert_true(stats.rcvbuf >= 20000);
        io_udp_close(tx);
        io_udp_close(rx);
    }
}

static void ipv6_round_trips(void **state)
{
    struct io_udp_config config = udp_config(IO_UDP_AUTO);
    struct io_udp *tx = NULL;
    struct io_udp *rx = NULL;
    struct io_udp_stats stats;
    struct cp_error err = {0};

    (void)state;
    if (!udp_veth_add()) {
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
    udp_assert_round_trip(tx, rx, 50 * 1000 - 3);
    io_udp_get_stats(tx, &stats);
    assert_int_equal(stats.send_calls, 1);
    io_udp_close(tx);
    io_udp_close(rx);
    config.source = "fd77::1";
    assert_int_equal(io_udp_open_sender(&config, &tx, NULL), CP_OK);
    assert_int_equal(io_udp_open_receiver(&config, &rx, NULL), CP_OK);
    udp_assert_round_trip(tx, rx, 1000);
    io_udp_close(tx);
    io_udp_close(rx);
    udp_veth_remove();
}

static void without_loopback_the_host_does_not_hear(void **state)
{
    struct io_udp_config config = udp_config(IO_UDP_AUTO);
    struct io_udp *loud = NULL;
    struct io_udp *quiet = NULL;
    struct io_udp *rx = NULL;
    char text[IO_ADDRESS_TEXT_SIZE];

    (void)state;
    if (!udp_veth_add()) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    config.interface = "cpt0";
    assert_int_equal(io_udp_open_receiver(&config, &rx, NULL), CP_OK);
    assert_int_equal(io_udp_open_sender(&config, &loud, NULL), CP_OK);
    config.interface = "cpt1";
    udp_assert_refused(&config, true, CP_ERR_INTERFACE, "no IPv4 address");
    udp_assert_refused(&config, false, CP_ERR_INTERFACE, "cpt1");
    config.interface = ""; /* by the route: 10.77.77.0/24 is none to the group */
    assert_int_equal(io_udp_open_sender(&config, &quiet, NULL), CP_ERR_INTERFACE);
    assert_int_equal(system("ip route add 224.0.0.0/4 dev cpt0"), 0);
    config.loopback = false;
    assert_int_equal(io_udp_open_sender(&config, &quiet, NULL), CP_OK);
    io_address_text(io_udp_local(quiet), text);
    assert_string_equal(text, "10.77.77.1");
    assert_int_equal(io_udp_interface_index(quiet), if_nametoindex("cpt0"));
    udp_inbox.count = 0;
    udp_send_text(quiet, NULL, "quiet");
    udp_send_text(loud, NULL, "loud");
    udp_await(rx, &udp_inbox, 1);
    udp_assert_text(&udp_inbox, 0, "loud");
    io_udp_close(loud);
    io_udp_close(quiet);
    io_udp_close(rx);
    udp_veth_remove();
}

/* A sender on a veth whose queue lets `rate` through. */
static struct io_udp *open_shaped(enum io_udp_mode mode, const char *rate)
{
    struct io_udp_config config = udp_config(mode);
    struct io_udp *u = NULL;
    char command[160];

    if (!udp_veth_add()) {
        return NULL;
    }
    snprintf(command, sizeof command,
             "tc qdisc add dev cpt0 root tbf rate %s burst 3200 limit 1000000 2>/dev/null", rate);
    if (system(command) != 0) {
        udp_veth_remove();
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
        assert_int_equal(io_udp_send(tx, NULL, udp_out, 150000, 1000, &err), CP_OK);
        io_udp_get_stats(tx, &stats);
        assert_int_equal(stats.sent_packets, 150);
        assert_int_equal(stats.send_lost, 0);
        assert_true(stats.send_waits > 0);
        io_udp_close(tx);
        udp_veth_remove();
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
    assert_int_equal(io_udp_send(tx, NULL, udp_out, 150000, 1000, &err), CP_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "cpt0 stays full"));
    assert_true(cp_clock_now() - start >= 200 * CP_MSEC);
    io_udp_get_stats(tx, &stats);
    assert_true(stats.send_lost > 0);
    assert_int_equal(stats.sent_packets + stats.send_lost, 150);
    io_udp_close(tx);
    udp_veth_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_modes_round_trips),
        cmocka_unit_test(bundles_leave_room_in_a_bucket_of_64_kib),
        cmocka_unit_test(addresses_come_with_each_packet_or_the_first),
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

    return cmocka_run_group_tests(tests, udp_enter_namespace, NULL);
}
