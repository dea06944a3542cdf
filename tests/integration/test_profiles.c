/* SPDX-License-Identifier: Apache-2.0
 * The profiles of docs/protocol.md section 7 on links of their own MTU: Ethernet, jumbo frames and
 * IPv6, each with both MACs, with and without segmentation offload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "session_rig.h"

#define MIB       (1024u * 1024u)
#define RECEIVERS 2u

struct profile {
    unsigned mtu;
    uint16_t segment_size;
    const char *group, *source;
};

static const struct profile ethernet = {1500, 1408, "239.77.1.1", "198.18.86.1"};
static const struct profile jumbo = {9000, 8896, "239.77.1.1", "198.18.86.1"};
static const struct profile ipv6 = {1500, 1344, "ff15::77:1", "fd00:86::1"};
static const struct profile ipv6_jumbo = {9000, 8832, "ff15::77:1", "fd00:86::1"};

static void run_shell(const char *command)
{
    if (system(command) != 0) {
        fail_msg("failed: %s", command);
    }
}

/* One interface that loops its multicast back, as if receivers were behind it. */
static bool make_link(void)
{
    return system(
               "ip link add cp0 type veth peer name cp1 && ip address add 198.18.86.1/24 dev cp0 &&"
               " ip link set cp0 up && ip link set cp1 up && ip address add fd00:86::1/64 dev cp0 "
               "nodad") == 0;
}

static void set_mtu(unsigned mtu)
{
    char command[64];

    snprintf(command, sizeof(command), "ip link set cp0 mtu %u", mtu);
    run_shell(command);
}

static void use_profile(struct rig *r, const struct profile *p)
{
    struct mc_channel *c = &r->channel;

    set_mtu(p->mtu);
    snprintf(c->group, sizeof(c->group), "%s", p->group);
    snprintf(c->interface, sizeof(c->interface), "cp0");
    c->segment_size = p->segment_size;
    c->object_size = mc_object_size(r->content_size, c->segment_size, c->max_block_len);
    r->source = p->source;
}

static void transfer(const struct profile *p, enum mc_mac mac, bool plain_io)
{
    struct rig r;
    struct mc_sender_stats st;

    rig_make(&r, 5 * MIB + 3);
    use_profile(&r, p);
    r.channel.mac = mac;
    r.sender_config.force_plain_io = plain_io;
    for (unsigned i = 0; i < RECEIVERS; i++) {
        rig_prepare(&r, i)->config.force_plain_io = plain_io;
    }
    rig_run_all(&r, RECEIVERS);
    rig_check_all(&r, RECEIVERS);
    mc_sender_get_stats(r.sender, &st);
    assert_int_equal(st.gso, !plain_io);
    rig_drop(&r);
}

static void transfer_each_way(const struct profile *p)
{
    transfer(p, MC_MAC_HMAC_SHA256, false);
    transfer(p, MC_MAC_AES256_GMAC, false);
    transfer(p, MC_MAC_HMAC_SHA256, true);
    transfer(p, MC_MAC_AES256_GMAC, true);
}

static void test_ethernet(void **state)
{
    (void)state;
    transfer_each_way(&ethernet);
}

static void test_jumbo(void **state)
{
    (void)state;
    transfer_each_way(&jumbo);
}

static void test_ipv6(void **state)
{
    (void)state;
    transfer_each_way(&ipv6);
}

static void test_ipv6_jumbo(void **state)
{
    (void)state;
    transfer_each_way(&ipv6_jumbo);
}

/* Nothing is ever fragmented: packets that do not fit are the sender's fault, and it says so. */
static void test_too_large_for_the_link(void **state)
{
    (void)state;
    struct rig r;

    rig_make(&r, MIB);
    use_profile(&r, &jumbo);
    set_mtu(ethernet.mtu);
    rig_open_sender(&r);
    rig_start_sender(&r);
    assert_int_equal(rig_join_sender(&r), CP_ERR_NETWORK);
    assert_non_null(strstr(r.err.text, "MTU"));
    rig_drop(&r);
}

/* Receivers of the other MAC take nothing for genuine. */
static void test_macs_do_not_mix(void **state)
{
    (void)state;
    struct rig r;
    struct mc_receiver_stats st;

    rig_make(&r, MIB);
    use_profile(&r, &ethernet);
    r.channel.mac = MC_MAC_AES256_GMAC;
    struct rig_receiver *x = rig_prepare(&r, 0);
    x->config.channel.mac = MC_MAC_HMAC_SHA256;
    x->config.silence = 500 * CP_MSEC;
    rig_open_receiver(x);
    rig_start_receiver(x);
    rig_open_sender(&r);
    rig_start_sender(&r);
    assert_int_equal(rig_join_sender(&r), CP_OK);
    assert_int_equal(rig_join_receiver(x), CP_ERR_NO_MULTICAST_HEARD);
    mc_receiver_get_stats(x->mc, &st);
    assert_true(st.forged > 700);
    assert_int_equal(st.packets_received, 0);
    rig_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ethernet),
        cmocka_unit_test(test_jumbo),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_ipv6_jumbo),
        cmocka_unit_test(test_too_large_for_the_link),
        cmocka_unit_test(test_macs_do_not_mix),
    };
    if (!rig_namespace() || !make_link()) {
        fputs("test_profiles: needs a network namespace of its own (root or user namespaces) and"
              " ip of iproute2\n",
              stderr);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
