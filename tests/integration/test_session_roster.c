/* SPDX-License-Identifier: Apache-2.0
 * The sender and its roster: whose feedback counts, and what the group is told of its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "multicast/norm/members.h"
#include "multicast/norm/wire.h"
#include "multicast/seal/seal.h"
#include "session_rig.h"

#define MIB      (1024u * 1024u)
#define STRANGER 9000u
#define MANY     500u
#define PATIENCE (20 * CP_SEC)

/* ---- the group, overheard ---- */

static int listen_to_group(const struct rig *r)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(r->channel.port)};
    struct ip_mreqn group = {0};

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(inet_pton(AF_INET, r->channel.group, &at.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    group.imr_multiaddr = at.sin_addr;
    assert_int_equal(inet_pton(AF_INET, r->source, &group.imr_address), 1);
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)), 0);
    return fd;
}

/* Waits for a packet of the sender's that tells this size and K. */
static bool hears(int fd, uint64_t gsize, uint8_t backoff)
{
    uint8_t pkt[2048];
    cp_time end = cp_clock_now() + PATIENCE;
    struct norm_msg msg;

    while (cp_clock_now() < end) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 1000) != 1) {
            continue;
        }
        ssize_t size = recv(fd, pkt, sizeof(pkt), 0);
        if (size > 0 && norm_decode(pkt, (size_t)size, &msg) == CP_OK &&
            norm_gsize_unquantize(msg.gsize) == gsize && msg.backoff == backoff) {
            return true;
        }
    }
    return false;
}

/* The core was told 1; nobody of the roster exists, so that nothing but the roster tells. */
static void group_size_follows_the_roster(void **state)
{
    struct rig r;

    (void)state;
    rig_make(&r, MIB);
    r.sender_config.gsize = 1;
    int fd = listen_to_group(&r);
    rig_open_sender(&r);
    mc_sender_hold(r.sender, true);
    mc_sender_add_receiver(r.sender, 2);
    rig_start_sender(&r);
    assert_true(hears(fd, 10, 4));
    for (uint32_t id = 3; id < 2 + MANY; id++) {
        mc_sender_add_receiver(r.sender, id);
        mc_sender_add_receiver(r.sender, id); /* is one all the same */
    }
    assert_true(hears(fd, 500, 6));
    for (uint32_t id = 3; id < 2 + MANY - 49; id++) {
        mc_sender_remove_receiver(r.sender, id);
    }
    assert_true(hears(fd, 50, 4)); /* 50 are left */
    mc_sender_remove_receiver(r.sender, 2);
    for (uint32_t id = 2 + MANY - 49; id < 2 + MANY; id++) {
        mc_sender_remove_receiver(r.sender, id);
    }
    assert_true(hears(fd, 10, 4));
    close(fd);
    rig_drop(&r);
}

/* ---- feedback ---- */

/* NACK of block 0 with a report of 90 % loss, signed with the session's secret as that receiver. */
static size_t forge(const struct rig *r, uint32_t node_id, uint16_t sequence, uint8_t *pkt,
                    size_t cap)
{
    const struct mc_channel *c = &r->channel;
    struct norm_repair e = {.form = NORM_REPAIR_ITEMS, .flags = NORM_REPAIR_BLOCK};
    struct norm_repair_writer w;
    struct seal_signer *signer = NULL;
    uint8_t payload[64];
    struct norm_msg msg = {
        .type = NORM_NACK,
        .source_id = node_id,
        .server_id = c->sender_id,
        .instance_id = r->sender_config.instance_id,
    };

    e.first.object_id = e.last.object_id = c->object_id;
    e.first.id = e.last.id = (struct norm_payload_id){0, c->max_block_len, 0};
    norm_repair_writer_init(&w, payload, sizeof(payload), c->fec_id);
    assert_true(norm_repair_add(&w, &e));
    msg.payload_size = norm_repair_size(&w);
    msg.ext.has_cc = true;
    msg.ext.cc.sequence = sequence;
    msg.ext.cc.flags = NORM_CC_PLAIN;
    msg.ext.cc.loss = norm_loss_quantize(0.9);
    msg.ext.cc.rate = norm_rate_quantize(1e5);
    msg.ext.auth_size = SEAL_AUTH_SIZE;
    size_t size = norm_encode(&msg, pkt, cap);
    assert_true(size > 0);
    memcpy(pkt + size, payload, msg.payload_size);
    size += msg.payload_size;
    assert_int_equal(seal_signer_new(SEAL_HMAC_SHA256, c->secret, node_id,
                                     r->sender_config.instance_id, SEAL_FROM_RECEIVER, &signer),
                     CP_OK);
    seal_signer_skip(signer, sequence); /* SNs of their own */
    assert_int_equal(seal_sign(signer, pkt, size, msg.ext.auth_offset), CP_OK);
    seal_signer_free(signer);
    return size;
}

static void send_forged(const struct rig *r, uint32_t node_id, uint16_t sequence)
{
    uint8_t pkt[512];
    struct mc_sender_stats st;
    struct sockaddr_in to = {.sin_family = AF_INET};
    size_t size = forge(r, node_id, sequence, pkt, sizeof(pkt));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    mc_sender_get_stats(r->sender, &st);
    to.sin_port = htons(st.source_port);
    assert_int_equal(inet_pton(AF_INET, st.source, &to.sin_addr), 1);
    assert_int_equal(sendto(fd, pkt, size, 0, (struct sockaddr *)&to, sizeof(to)), (ssize_t)size);
    close(fd);
}

static bool is_member(struct rig *r, uint32_t node_id)
{
    struct mc_member members[16];
    size_t count = mc_sender_get_members(r->sender, members, 16);

    for (size_t i = 0; i < count && i < 16; i++) {
        if (members[i].node_id == node_id) {
            return true;
        }
    }
    return false;
}

static bool some_refused(void *arg)
{
    struct rig *r = arg;
    struct mc_sender_stats st;
    mc_sender_get_stats(r->sender, &st);
    return st.unlisted >= 3;
}

static bool first_is_member(void *arg)
{
    struct rig *r = arg;
    return is_member(r, r->receiver[0].config.node_id);
}

static bool first_is_none(void *arg)
{
    return !first_is_member(arg);
}

static bool stranger_is_member(void *arg)
{
    return is_member(arg, STRANGER);
}

/* Without a roster anybody's feedback counts; that shows that the forged packets are well made. */
static void a_session_without_roster_is_open(void **state)
{
    struct rig r;

    (void)state;
    rig_make(&r, MIB);
    rig_open_sender(&r);
    mc_sender_hold(r.sender, true);
    rig_start_sender(&r);
    send_forged(&r, STRANGER, 1);
    assert_true(rig_await(stranger_is_member, &r));
    rig_drop(&r);
}

static void strangers_are_not_heard(void **state)
{
    struct rig r;
    struct mc_sender_stats st;

    (void)state;
    rig_make(&r, 8 * MIB);
    r.sender_config.rate_mode = MC_RATE_LAN;
    r.sender_config.rate_bps = 100000000;
    struct rig_receiver *x = rig_prepare(&r, 0);
    rig_run_all(&r, 1);
    assert_true(rig_await(first_is_member, &r));
    for (uint32_t i = 0; i < 3; i++) {
        send_forged(&r, STRANGER + i, 1);
    }
    assert_true(rig_await(some_refused, &r));
    assert_int_equal(rig_join_receiver(x), CP_OK);
    assert_int_equal(rig_join_sender(&r), CP_OK);
    assert_true(rig_equal(&r, x));
    mc_sender_get_stats(r.sender, &st);
    assert_int_equal(st.unlisted, 3);
    assert_int_equal(st.forged, 0);
    assert_int_equal(st.replayed, 0);
    assert_true(st.pace_setter < STRANGER);
    for (uint32_t i = 0; i < 3; i++) {
        assert_false(is_member(&r, STRANGER + i));
    }
    rig_drop(&r);
}

/* Its place is free again, and what it sends from then on does not count. */
static void who_was_removed_is_not_heard(void **state)
{
    struct rig r;

    (void)state;
    rig_make(&r, MIB);
    struct rig_receiver *x = rig_prepare(&r, 0);
    rig_open_sender(&r);
    mc_sender_hold(r.sender, true);
    mc_sender_add_receiver(r.sender, x->config.node_id);
    rig_start_sender(&r);
    send_forged(&r, x->config.node_id, 1);
    assert_true(rig_await(first_is_member, &r));
    mc_sender_remove_receiver(r.sender, x->config.node_id);
    assert_true(rig_await(first_is_none, &r));
    for (uint16_t i = 2; i < 5; i++) {
        send_forged(&r, x->config.node_id, i);
    }
    assert_true(rig_await(some_refused, &r));
    assert_true(first_is_none(&r));
    rig_drop(&r);
}

/* The roster comes later than the receiver: it asks again, and the end waits for it. */
static void one_added_after_its_first_feedback_is_served(void **state)
{
    struct rig r;
    struct mc_sender_stats st;

    (void)state;
    rig_make(&r, 2 * MIB);
    struct rig_receiver *early = rig_prepare(&r, 0), *late = rig_prepare(&r, 1);
    rig_run_all(&r, 1);
    mc_sender_hold(r.sender, true);
    assert_int_equal(rig_join_receiver(early), CP_OK);
    /* All is sent: it needs everything again. */
    rig_open_receiver(late);
    rig_start_receiver(late);
    assert_true(rig_await(some_refused, &r));
    mc_sender_add_receiver(r.sender, late->config.node_id);
    mc_sender_hold(r.sender, false);
    assert_int_equal(rig_join_receiver(late), CP_OK);
    assert_true(rig_equal(&r, late));
    assert_int_equal(rig_join_sender(&r), CP_OK);
    mc_sender_get_stats(r.sender, &st);
    assert_true(st.unlisted >= 3);
    assert_int_equal(st.forged, 0);
    rig_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_size_follows_the_roster),
        cmocka_unit_test(a_session_without_roster_is_open),
        cmocka_unit_test(strangers_are_not_heard),
        cmocka_unit_test(who_was_removed_is_not_heard),
        cmocka_unit_test(one_added_after_its_first_feedback_is_served),
    };

    if (!rig_namespace()) {
        fputs("test_session_roster: needs a network namespace of its own (root or user "
              "namespaces)\n",
              stderr);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
