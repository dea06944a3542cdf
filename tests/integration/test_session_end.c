/* SPDX-License-Identifier: Apache-2.0
 * How sessions end before their time, what receivers are told of it, and what the sender's owner
 * learns while it lasts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "common/clock.h"
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
