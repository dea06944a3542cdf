/* SPDX-License-Identifier: Apache-2.0
 * Addresses, and how UDP sockets are opened or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/failing_alloc.h"
#include "tests/unit/io/udp_rig.h"

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

static void wrong_configurations_are_named(void **state)
{
    struct io_udp_config config = udp_config(IO_UDP_AUTO);

    (void)state;
    config.interface = "nosuch0";
    udp_assert_refused(&config, true, CP_ERR_INTERFACE, "nosuch0");
    udp_assert_refused(&config, false, CP_ERR_INTERFACE, "nosuch0");
    config.interface = "a-name-that-is-too-long-for-any-interface";
    udp_assert_refused(&config, false, CP_ERR_INTERFACE, "too-long");
    config = udp_config(IO_UDP_AUTO);
    config.group = "10.1.2.3";
    udp_assert_refused(&config, true, CP_ERR_INVALID, "10.1.2.3");
    config.group = "nonsense";
    udp_assert_refused(&config, false, CP_ERR_INVALID, "nonsense");
    config.group = NULL;
    udp_assert_refused(&config, false, CP_ERR_INVALID, "multicast");
    config = udp_config(IO_UDP_PLAIN);
    config.port = 0;
    udp_assert_refused(&config, true, CP_ERR_INVALID, UDP_GROUP);
    config = udp_config(IO_UDP_PLAIN);
    config.ttl = 0;
    udp_assert_refused(&config, true, CP_ERR_INVALID, "TTL");
    config.ttl = 1;
    config.dscp = 64;
    udp_assert_refused(&config, true, CP_ERR_INVALID, "DSCP");
    config = udp_config(IO_UDP_PLAIN);
    config.source = "::1";
    udp_assert_refused(&config, false, CP_ERR_INVALID, "::1");
    config.source = "who";
    udp_assert_refused(&config, false, CP_ERR_INVALID, "who");
}

/* Whichever allocation of ours fails: a refusal, and nothing leaks (ASan). */
static void without_memory_it_says_so(void **state)
{
    const struct io_udp_config config = udp_config(IO_UDP_AUTO);
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
    const struct io_udp_config config = udp_config(IO_UDP_AUTO);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct io_address a;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(io_address_parse("0.0.0.0", UDP_PORT, &a), CP_OK);
    assert_int_equal(bind(fd, &a.u.sa, a.size), 0); /* without SO_REUSEADDR */
    udp_assert_refused(&config, false, CP_ERR_ADDRESS_IN_USE, "17001");
    close(fd);
    io_udp_close(udp_open_receiver(IO_UDP_AUTO));
}

static void an_interface_that_is_down_is_named(void **state)
{
    struct io_udp_config config = udp_config(IO_UDP_AUTO);

    (void)state;
    if (!udp_own_namespace) {
        fail_msg("needs root: a network namespace, links and tc");
    }
    config.interface = "";
    udp_assert_refused(&config, true, CP_ERR_INTERFACE, "no route");
    udp_assert_refused(&config, false, CP_ERR_INTERFACE, UDP_GROUP);
    udp_lo_set_up(false);
    config.interface = "lo";
    udp_assert_refused(&config, true, CP_ERR_INTERFACE, "down");
    udp_assert_refused(&config, false, CP_ERR_INTERFACE, "ip link set lo up");
    udp_lo_set_up(true);
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
    struct io_udp *tx = udp_open_sender(IO_UDP_AUTO);
    struct io_udp *rx = udp_open_receiver(IO_UDP_AUTO);
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
    if (udp_own_namespace) {
        assert_int_equal(io_udp_interface_mtu(tx), UDP_NAMESPACE_MTU);
    }
    io_address_text(io_udp_local(rx), text);
    assert_string_equal(text, UDP_GROUP);
    assert_int_equal(io_address_port(io_udp_local(rx)), UDP_PORT);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(wrong_configurations_are_named),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(an_interface_that_is_down_is_named),
        cmocka_unit_test(sockets_are_set_up),
    };

    return cmocka_run_group_tests(tests, udp_enter_namespace, NULL);
}
