/* SPDX-License-Identifier: Apache-2.0
 * How sessions end before their time, what receivers are told of it, and what the sender's owner
 * learns while it lasts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "multicast/norm/wire.h"
#include "multicast/seal/seal.h"
#include "session_rig.h"

#define MIB (1024u * 1024u)

/* The cable and the disk of the whole process, which a test can take away: -Wl,--wrap. */
static atomic_bool cable_out, disk_broken;

int __real_sendmmsg(int fd, struct mmsghdr *msg, unsigned count, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned count, int flags);
ssize_t __real_pread64(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset);

int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned count, int flags)
{
    if (atomic_load(&cable_out)) {
        errno = ENETDOWN;
        return -1;
    }
    return __real_sendmmsg(fd, msg, count, flags);
}

ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset)
{
    if (atomic_load(&disk_broken)) {
        errno = EIO;
        return -1;
    }
    return __real_pread64(fd, data, size, offset);
}

/* The sender goes as if its machine had lost power: nobody is told. */
static void vanish(struct rig *r)
{
    atomic_store(&cable_out, true);
    mc_sender_stop(r->sender, false);
    assert_int_equal(rig_join_sender(r), CP_ERR_CANCELLED);
    atomic_store(&cable_out, false);
}

static bool both_receive(void *arg)
{
    struct rig *r = arg;
    struct mc_receiver_stats a;
    struct mc_receiver_stats b;
    mc_receiver_get_stats(r->receiver[0].mc, &a);
    mc_receiver_get_stats(r->receiver[1].mc, &b);
    return a.symbol_bytes > MIB && b.symbol_bytes > MIB;
}

static void test_stop(void **state)
{
    (void)state;
    struct rig r;
    struct mc_receiver_stats st;

    rig_make(&r, 8 * MIB);
    r.sender_config.rate_bps = 50000000;
    rig_prepare(&r, 0);
    rig_prepare(&r, 1);
    rig_run_all(&r, 2);
    assert_true(rig_await(both_receive, &r));
    mc_receiver_stop(r.receiver[0].mc);
    assert_int_equal(rig_join_receiver(&r.receiver[0]), CP_ERR_CANCELLED);
    mc_receiver_get_stats(r.receiver[0].mc, &st);
    assert_int_equal(st.phase, MC_FAILED);
    /* Withdrawn: the receivers are told. */
    mc_sender_stop(r.sender, true);
    assert_int_equal(rig_join_receiver(&r.receiver[1]), CP_ERR_CANCELLED);
    assert_int_equal(rig_join_sender(&r), CP_ERR_CANCELLED);
    rig_drop(&r);
}

static void test_silence(void **state)
{
    (void)state;
    struct rig r;

    rig_make(&r, 8 * MIB);
    r.sender_config.rate_bps = 50000000;
    rig_prepare(&r, 0)->config.silence = 600 * CP_MSEC;
    rig_prepare(&r, 1)->config.silence = 600 * CP_MSEC;
    r.receiver[1].config.start_wait = 3600 * CP_SEC; /* counts until the first packet only */
    rig_prepare(&r, 2)->config.silence = 100 * CP_MSEC;
    r.receiver[2].config.start_wait = 200 * CP_MSEC;
    cp_time begin = cp_clock_now();
    rig_open_receiver(&r.receiver[2]);
    rig_start_receiver(&r.receiver[2]);
    assert_int_equal(rig_join_receiver(&r.receiver[2]), CP_ERR_NO_MULTICAST_HEARD);
    assert_true(cp_clock_now() - begin >= 300 * CP_MSEC);
    rig_run_all(&r, 2);
    assert_true(rig_await(both_receive, &r));
    vanish(&r);
    assert_int_equal(rig_join_receiver(&r.receiver[0]), CP_ERR_SENDER_SILENT);
    assert_int_equal(rig_join_receiver(&r.receiver[1]), CP_ERR_SENDER_SILENT);
    rig_drop(&r);
}

static void test_sender_gives_up(void **state)
{
    (void)state;
    struct rig r;

    /* Nobody is on the roster, and the receiver hears nothing but the end: it is told at once,
     * without waiting for its silence time. */
    rig_make(&r, MIB);
    struct rig_receiver *x = rig_prepare(&r, 0);
    x->config.channel.object_id++; /* waits for another object of this sender */
    x->config.channel.encrypt = r.channel.encrypt;
    rig_run_all(&r, 1);
    mc_sender_remove_receiver(r.sender, x->config.node_id);
    assert_int_equal(rig_join_sender(&r), CP_OK);
    assert_int_equal(rig_join_receiver(x), CP_ERR_SENDER_SILENT);
    rig_drop(&r);
}

static void test_sender_restarts(void **state)
{
    (void)state;
    struct rig r;

    rig_make(&r, 6 * MIB);
    r.sender_config.rate_bps = 100000000;
    rig_prepare(&r, 0);
    rig_prepare(&r, 1);
    rig_run_all(&r, 2);
    assert_true(rig_await(both_receive, &r));
    vanish(&r);
    mc_sender_close(r.sender);
    r.sender_config.instance_id++;
    rig_open_sender(&r);
    mc_sender_add_receiver(r.sender, r.receiver[0].config.node_id);
    mc_sender_add_receiver(r.sender, r.receiver[1].config.node_id);
    rig_start_sender(&r);
    rig_check_all(&r, 2);
    rig_drop(&r);
}

/* All ends but a withdrawal: who misses something hears it at once, not after its silence time. */
static void test_end_is_told(void **state)
{
    (void)state;
    struct rig r;
    cp_time begin;

    rig_make(&r, 8 * MIB);
    r.sender_config.rate_bps = 50000000;
    rig_prepare(&r, 0);
    rig_prepare(&r, 1);
    rig_run_all(&r, 2);
    assert_true(rig_await(both_receive, &r));
    begin = cp_clock_now();
    mc_sender_stop(r.sender, false);
    assert_int_equal(rig_join_sender(&r), CP_ERR_CANCELLED);
    assert_int_equal(rig_join_receiver(&r.receiver[0]), CP_ERR_SENDER_SILENT);
    assert_int_equal(rig_join_receiver(&r.receiver[1]), CP_ERR_SENDER_SILENT);
    assert_true(cp_clock_now() - begin < r.receiver[0].config.silence / 2);
    rig_drop(&r);
}

static void test_broken_disk_is_told(void **state)
{
    (void)state;
    struct rig r;
    struct mc_sender_stats st;
    cp_time begin;

    rig_make(&r, 8 * MIB);
    r.sender_config.rate_bps = 50000000;
    r.sender_config.buffer_memory = MIB; /* little is read ahead */
    rig_prepare(&r, 0);
    rig_prepare(&r, 1);
    rig_run_all(&r, 2);
    assert_true(rig_await(both_receive, &r));
    begin = cp_clock_now();
    atomic_store(&disk_broken, true);
    assert_int_equal(rig_join_sender(&r), CP_ERR_STORAGE);
    atomic_store(&disk_broken, false);
    mc_sender_get_stats(r.sender, &st);
    assert_int_equal(st.phase, MC_FAILED);
    assert_int_equal(rig_join_receiver(&r.receiver[0]), CP_ERR_SENDER_SILENT);
    assert_int_equal(rig_join_receiver(&r.receiver[1]), CP_ERR_SENDER_SILENT);
    assert_true(cp_clock_now() - begin < r.receiver[0].config.silence / 2);
    rig_drop(&r);
}

/* ---- an instance that is heard again ---- */

#define INSTANCES 2u

/* A sender in the test's own hand, of two instances. */
struct hand {
    struct rig *rig;
    int fd;
    struct sockaddr_in to;
    struct seal_signer *signer[INSTANCES];
    struct seal_verifier *verifier;
    uint16_t heard; /* instance that the latest feedback is for */
};

static void hand_make(struct hand *h, struct rig *r)
{
    const struct mc_channel *c = &r->channel;
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = 10};

    h->rig = r;
    h->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    h->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(c->port)};
    assert_int_equal(inet_pton(AF_INET, c->group, &h->to.sin_addr), 1);
    assert_int_equal(bind(h->fd, (struct sockaddr *)&local, sizeof(local)), 0);
    assert_int_equal(setsockopt(h->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    for (uint16_t i = 0; i < INSTANCES; i++) {
        assert_int_equal(seal_signer_new(SEAL_AES256_GMAC, c->secret, c->sender_id, i,
                                         SEAL_FROM_SENDER, &h->signer[i]),
                         CP_OK);
    }
    assert_int_equal(seal_verifier_new(SEAL_AES256_GMAC, c->secret, 4, &h->verifier), CP_OK);
}

static void hand_done(struct hand *h)
{
    for (unsigned i = 0; i < INSTANCES; i++) {
        seal_signer_free(h->signer[i]);
    }
    seal_verifier_free(h->verifier);
    close(h->fd);
}

/* The first symbol of a block; every other is missing. */
static void hand_send(struct hand *h, uint16_t instance, uint32_t sbn)
{
    uint8_t pkt[2048] = {0};
    struct norm_msg msg = {
        .type = NORM_DATA,
        .source_id = h->rig->channel.sender_id,
        .instance_id = instance,
        .grtt = norm_rtt_quantize(CP_MSEC),
        .backoff = 1,
        .flags = NORM_FLAG_FILE,
        .fec_id = 129,
        .object_id = h->rig->channel.object_id,
        .id = {.sbn = sbn, .block_len = 128, .esi = 0},
        .payload_size = h->rig->channel.segment_size,
        .ext.auth_size = SEAL_AUTH_SIZE,
    };
    size_t size = norm_encode(&msg, pkt, sizeof(pkt));

    assert_true(size > 0);
    size += msg.payload_size;
    assert_int_equal(seal_sign(h->signer[instance], pkt, size, msg.ext.auth_offset), CP_OK);
    assert_int_equal(sendto(h->fd, pkt, size, 0, (struct sockaddr *)&h->to, sizeof(h->to)),
                     (ssize_t)size);
}

/* SN of the next feedback, and the instance that it is for. */
static uint64_t hand_hear(struct hand *h)
{
    uint8_t pkt[2048];
    struct norm_msg msg;
    uint64_t sn = 0;
    ssize_t size = recv(h->fd, pkt, sizeof(pkt), 0);

    assert_true(size > 0);
    assert_int_equal(norm_decode(pkt, (size_t)size, &msg), CP_OK);
    assert_true(msg.ext.has_auth);
    assert_int_equal(seal_verify(h->verifier, msg.source_id, msg.instance_id, SEAL_FROM_RECEIVER,
                                 pkt, (size_t)size, msg.ext.auth_offset),
                     SEAL_GOOD);
    for (unsigned i = 3; i < 8; i++) {
        sn = sn << 8 | pkt[msg.ext.auth_offset + i];
    }
    h->heard = msg.instance_id;
    return sn;
}

/* Packets of two instances that take turns, as a network that delays some may deliver them. The
 * present one gets its feedback, whatever comes of the one that it replaced; the other when it goes
 * on alone. No SN comes twice, since that would give GMAC's key away. */
static void test_feedback_numbers_go_on(void **state)
{
    (void)state;
    struct rig r;
    struct hand h;
    uint64_t last = 0;

    rig_make(&r, 4 * MIB);
    r.channel.mac = MC_MAC_AES256_GMAC;
    rig_open_receiver(rig_prepare(&r, 0));
    rig_start_receiver(&r.receiver[0]);
    hand_make(&h, &r);
    for (uint32_t turn = 0; turn < 3; turn++) {
        uint16_t instance = (uint16_t)(turn % INSTANCES);
        uint64_t sn;
        do { /* until the present one is silent for long enough */
            hand_send(&h, instance, 2 * turn);
            hand_send(&h, instance, 2 * turn + 2);
            sn = hand_hear(&h);
        } while (h.heard != instance);
        assert_true(sn > last);
        last = sn;
    }
    hand_done(&h);
    rig_drop(&r);
}

/* ---- what the owner learns ---- */

static bool both_known(void *arg)
{
    struct rig *r = arg;
    struct mc_member m[RIG_RECEIVERS];
    size_t count = mc_sender_get_members(r->sender, m, RIG_RECEIVERS);

    return count == 2 && m[0].rate_bps > 0 && m[1].rate_bps > 0;
}

static void test_members(void **state)
{
    (void)state;
    struct rig r;
    struct mc_member m[2] = {{.node_id = 0}};
    struct mc_sender_stats st;

    rig_make(&r, 6 * MIB);
    r.sender_config.rate_bps = 40000000;
    rig_prepare(&r, 0);
    rig_prepare(&r, 1);
    rig_run_all(&r, 2);
    assert_true(rig_await(both_known, &r));
    assert_int_equal(mc_sender_get_members(r.sender, m, 1), 2);
    assert_true(m[0].node_id == r.receiver[0].config.node_id ||
                m[0].node_id == r.receiver[1].config.node_id);
    assert_int_equal(m[1].node_id, 0); /* not written to */
    assert_int_equal(mc_sender_get_members(r.sender, NULL, 0), 2);
    mc_sender_get_stats(r.sender, &st);
    assert_int_equal(st.rate_ceiling_bps, 40000000);
    assert_non_null(st.rate_reason);
    rig_check_all(&r, 2);
    /* They are there after the end, too. */
    assert_int_equal(mc_sender_get_members(r.sender, m, 2), 2);
    assert_int_not_equal(m[0].node_id, m[1].node_id);
    rig_drop(&r);
}

/* The last decision about parity. */
struct told {
    atomic_uint count;
    atomic_uint_fast64_t before, after;
};

static void note(void *arg, const struct mc_trace *t)
{
    struct told *told = arg;

    if (strcmp(t->what, "parity") == 0 && t->at > 0 && t->reason[0] != '\0') {
        atomic_store(&told->before, t->before);
        atomic_store(&told->after, t->after);
        atomic_fetch_add(&told->count, 1);
    }
}

static bool was_told(void *arg)
{
    struct told *told = arg;

    return atomic_load(&told->count) > 0;
}

/* Nobody loses anything, so parity is given up: a decision. */
static void test_trace(void **state)
{
    (void)state;
    struct rig r;
    struct told told = {0};
    struct mc_sender_stats st;

    rig_make(&r, 6 * MIB);
    r.sender_config.rate_bps = 40000000;
    r.sender_config.auto_parity_max = 32;
    r.sender_config.trace = note;
    r.sender_config.trace_arg = &told;
    rig_prepare(&r, 0);
    rig_prepare(&r, 1);
    rig_run_all(&r, 2);
    assert_true(rig_await(was_told, &told));
    assert_int_equal(told.before, 2);
    assert_true(told.after < 2);
    rig_check_all(&r, 2);
    mc_sender_get_stats(r.sender, &st);
    assert_int_equal(st.auto_parity, told.after);
    rig_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_sender_gives_up),
        cmocka_unit_test(test_sender_restarts),
        cmocka_unit_test(test_end_is_told),
        cmocka_unit_test(test_broken_disk_is_told),
        cmocka_unit_test(test_feedback_numbers_go_on),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_trace),
    };
    if (!rig_namespace()) {
        fputs("test_session_end: needs a network namespace of its own (root or user namespaces)\n",
              stderr);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
