/* SPDX-License-Identifier: Apache-2.0
 * Tests of the multicast link: speed from a made-up /sys, ceilings, routes of this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/link.h"

struct fixture {
    char dir[64];
};

static void path_of(const struct fixture *f, const char *name, char ret_path[128])
{
    (void)snprintf(ret_path, 128, "%s/eth0%s%s", f->dir, *name == '\0' ? "" : "/", name);
}

static int make(void **state)
{
    static struct fixture f;
    char path[128];

    (void)snprintf(f.dir, sizeof f.dir, "/tmp/castpoint-test-XXXXXX");
    *state = &f;
    if (mkdtemp(f.dir) == NULL) {
        return -1;
    }
    path_of(&f, "", path);
    return mkdir(path, 0700);
}

static int clean(void **state)
{
    struct fixture *f = *state;
    char path[128];

    path_of(f, "speed", path);
    (void)unlink(path);
    path_of(f, "", path);
    return rmdir(path) == 0 && rmdir(f->dir) == 0 ? 0 : -1;
}

static uint32_t speed_of_text(const struct fixture *f, const char *text)
{
    char path[128];
    FILE *file;

    path_of(f, "speed", path);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return srv_link_speed_in(f->dir, "eth0");
}

static void speed_is_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(speed_of_text(f, "2500\n"), 2500);
    assert_int_equal(speed_of_text(f, "0\n"), 0);
    assert_int_equal(speed_of_text(f, "-1\n"), 0);
    assert_int_equal(speed_of_text(f, ""), 0);
    assert_int_equal(speed_of_text(f, "fast\n"), 0);
    assert_int_equal(srv_link_speed_in(f->dir, "eth1"), 0);
    assert_int_equal(srv_link_speed_in(f->dir, ""), 0);
    assert_int_equal(srv_link_speed_in(f->dir, "../eth0"), 0);
    assert_int_equal(srv_link_speed("no-such-link"), 0);
}

static void ceiling_leaves_room_for_headers(void **state)
{
    (void)state;
    assert_int_equal(srv_link_default_mbps(0), 1000);
    assert_int_equal(srv_link_default_mbps(100), 100);
    assert_int_equal(srv_link_default_mbps(40000), 40000);
    assert_int_equal(srv_link_ceiling(0, 0), 1000000000);
    assert_int_equal(srv_link_ceiling(0, 2500), UINT64_C(2500000000));
    assert_int_equal(srv_link_ceiling(64000, 2500), 64000);
    assert_int_equal(srv_link_payload(1538, 1408, "239.1.1.1"), 1472);
    assert_int_equal(srv_link_wire(1472, 1408, "239.1.1.1"), 1538);
    assert_int_equal(srv_link_payload(UINT64_C(100000000000), 1408, "239.1.1.1"),
                     UINT64_C(95708712613));
    assert_int_equal(srv_link_payload(1000000000, 448, "239.1.1.1"),
                     885813148); /* a tunnel pays more … */
    assert_int_equal(srv_link_payload(1000000000, 8896, "239.1.1.1"),
                     992687790); /* … and a jumbo frame less */
    assert_int_equal(srv_link_payload(0, 1408, "239.1.1.1"), 0);
    assert_int_equal(srv_link_payload(1494, 1344, "ff15::1"), 1408);
    assert_int_equal(srv_link_wire(1408, 1344, "ff15::1"), 1494);
}

static void receive_buffers_are_measured(void **state)
{
    (void)state;
    /* net.core.rmem_max is never below the kernel's 2304 bytes; little is granted to everybody. */
    assert_int_equal(srv_link_receive_buffer(2304), 2304);
    assert_true(srv_link_receive_buffer(1u << 20) <= 1u << 20);
    assert_true(srv_link_receive_buffer(1u << 20) > 2304);
}

static void addresses_are_found(void **state)
{
    char interface[SRV_INTERFACE_SIZE] = "";
    char source[SRV_ADDRESS_SIZE];

    (void)state;
    /* Loopback is the one link that every machine has. */
    assert_int_equal(srv_link_by_route("127.0.0.1", interface), CP_OK);
    assert_string_equal(interface, "lo");
    srv_link_source("lo", "239.255.1.1", source);
    assert_string_equal(source, "127.0.0.1");
    srv_link_source("", "127.0.0.1", source);
    assert_string_equal(source, "127.0.0.1");
    srv_link_source("no-such-link", "239.255.1.1", source);
    assert_string_equal(source, "");
    srv_link_source("lo", "not an address", source);
    assert_string_equal(source, "");
    assert_true(srv_link_mtu("lo") >= 1500);
    assert_int_equal(srv_link_mtu("no-such-link"), 0);
    assert_int_equal(srv_link_mtu("a-name-longer-than-any-link"), 0);
    assert_int_equal(srv_link_by_route("not an address", interface), CP_ERR_INTERFACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(speed_is_read, make, clean),
        cmocka_unit_test(ceiling_leaves_room_for_headers),
        cmocka_unit_test(receive_buffers_are_measured),
        cmocka_unit_test(addresses_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
