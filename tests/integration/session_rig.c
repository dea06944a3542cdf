/* SPDX-License-Identifier: Apache-2.0
 * Test rig for sessions; see session_rig.h. */
#include "session_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/prng.h"
#include "multicast/seal/seal.h"

#define GROUP      "239.77.1.1"
#define FIRST_PORT 7400u

static bool loopback_up(void)
{
    struct ifreq ifr = {0};
    struct rtentry route = {0};
    char name[] = "lo";
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(ifr.ifr_name, name, sizeof(name));
    ifr.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_MULTICAST;
    struct sockaddr_in net = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xe0000000u)};
    struct sockaddr_in mask = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xf0000000u)};
    memcpy(&route.rt_dst, &net, sizeof(net));
    memcpy(&route.rt_genmask, &mask, sizeof(mask));
    route.rt_flags = RTF_UP;
    route.rt_dev = name;
    bool good = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &ifr) == 0 && ioctl(fd, SIOCADDRT, &route) == 0;
    close(fd);
    return good;
}

bool rig_namespace(void)
{
    /* As root the namespaces are ours to make; else a user namespace may allow them. */
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 &&
        unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) {
        return false;
    }
    (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    return loopback_up();
}

static int make_file(const char *folder, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

/* Three pieces of unequal size; the second lies behind a hole of 100 bytes in its file. */
static void make_extents(const char *folder, const char *prefix, size_t content_size, int *fd,
                         struct mc_extent *extent)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < RIG_FILES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s-%u", prefix, i);
        fd[i] = make_file(folder, name);
        uint64_t size = i + 1 < RIG_FILES ? content_size / (i + 3) + 1 : content_size - at;
        size = size > content_size - at ? content_size - at : size;
        extent[i] = (struct mc_extent){
            .fd = fd[i], .file_offset = i == 1 ? 100 : 0, .object_offset = at, .size = size};
        at += size;
    }
}

void rig_make(struct rig *r, size_t content_size)
{
    static unsigned rigs;
    struct cp_prng prng;

    memset(r, 0, sizeof(*r));
    snprintf(r->folder, sizeof(r->folder), "/tmp/session-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    r->content_size = content_size;
    r->content = malloc(content_size + sizeof(uint64_t));
    cp_prng_seed(&prng, content_size);
    for (size_t i = 0; i < content_size; i += sizeof(uint64_t)) {
        uint64_t value = cp_prng_u64(&prng);
        memcpy(r->content + i, &value, sizeof(value));
    }
    r->chunk_count = (content_size + MC_CHUNK_SIZE - 1) / MC_CHUNK_SIZE;
    r->digests = malloc(r->chunk_count * SEAL_DIGEST_SIZE);
    for (size_t i = 0; i < r->chunk_count; i++) {
        size_t left = content_size - i * MC_CHUNK_SIZE;
        assert_int_equal(seal_sha256(r->content + i * MC_CHUNK_SIZE,
                                     left < MC_CHUNK_SIZE ? left : MC_CHUNK_SIZE,
                                     r->digests + i * SEAL_DIGEST_SIZE),
                         CP_OK);
    }
    make_extents(r->folder, "source", content_size, r->fd, r->extent);
    for (unsigned i = 0; i < RIG_FILES; i++) {
        const struct mc_extent *e = &r->extent[i];
        assert_int_equal(
            pwrite(e->fd, r->content + e->object_offset, e->size, (off_t)e->file_offset),
            (ssize_t)e->size);
    }
    r->channel = (struct mc_channel){
        .group = GROUP,
        .port = (uint16_t)(FIRST_PORT + rigs),
        .interface = "lo",
        .object_id = 77,
        .fec_id = 129,
        .segment_size = 1408,
        .max_block_len = 128,
        .num_parity = 32,
        .content_size = content_size,
        .object_size = mc_object_size(content_size, 1408, 128),
        .auth = true,
        .encrypt = true,
        .secret = {1, 2, 3, 4, 5},
        .sender_id = 1000,
    };
    rigs++;
    r->source = "127.0.0.1";
    r->sender_config = (struct mc_sender_config){
        .instance_id = (uint16_t)(500 + rigs),
        .extents = r->extent,
        .extent_count = RIG_FILES,
        .ttl = 1,
        .loopback = true,
        .rate_bps = 300000000,
        .auto_parity = 2,
        .gsize = 5,
    };
}

static void *sender_thread(void *arg)
{
    struct rig *r = arg;
    r->code = mc_sender_run(r->sender, &r->err);
    return NULL;
}

static void *receiver_thread(void *arg)
{
    struct rig_receiver *x = arg;
    x->code = mc_receiver_run(x->mc, &x->err);
    return NULL;
}

void rig_open_sender(struct rig *r)
{
    r->sender_config.channel = r->channel;
    if (mc_sender_open(&r->sender_config, &r->sender, &r->err) != CP_OK) {
        fail_msg("sender: %s", r->err.text);
    }
}

void rig_start_sender(struct rig *r)
{
    r->running = pthread_create(&r->thread, NULL, sender_thread, r) == 0;
    assert_true(r->running);
}

enum cp_err rig_join_sender(struct rig *r)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    r->running = false;
    return r->code;
}

struct rig_receiver *rig_prepare(struct rig *r, unsigned index)
{
    struct rig_receiver *x = &r->receiver[index];
    char prefix[32];

    snprintf(prefix, sizeof(prefix), "out-%u", index);
    make_extents(r->folder, prefix, r->content_size, x->fd, x->extent);
    x->config = (struct mc_receiver_config){
        .channel = r->channel,
        .node_id = 2000 + index,
        .extents = x->extent,
        .extent_count = RIG_FILES,
        .chunk_digests = r->digests,
        .chunk_count = r->chunk_count,
        .silence = 20 * CP_SEC,
    };
    return x;
}

void rig_open_receiver(struct rig_receiver *x)
{
    if (mc_receiver_open(&x->config, &x->mc, &x->err) != CP_OK) {
        fail_msg("receiver: %s", x->err.text);
    }
}

void rig_start_receiver(struct rig_receiver *x)
{
    x->running = pthread_create(&x->thread, NULL, receiver_thread, x) == 0;
    assert_true(x->running);
}

enum cp_err rig_join_receiver(struct rig_receiver *x)
{
    assert_int_equal(pthread_join(x->thread, NULL), 0);
    x->running = false;
    return x->code;
}

void rig_drop(struct rig *r)
{
    if (r->running) {
        mc_sender_stop(r->sender, false);
        pthread_join(r->thread, NULL);
    }
    mc_sender_close(r->sender);
    for (unsigned i = 0; i < RIG_RECEIVERS; i++) {
        struct rig_receiver *x = &r->receiver[i];
        if (x->running) {
            mc_receiver_stop(x->mc);
            pthread_join(x->thread, NULL);
        }
        mc_receiver_close(x->mc);
        for (unsigned j = 0; j < RIG_FILES && x->config.extents != NULL; j++) {
            close(x->fd[j]);
            char path[128];
            snprintf(path, sizeof(path), "%s/out-%u-%u", r->folder, i, j);
            unlink(path);
        }
    }
    for (unsigned j = 0; j < RIG_FILES; j++) {
        close(r->fd[j]);
        char path[128];
        snprintf(path, sizeof(path), "%s/source-%u", r->folder, j);
        unlink(path);
    }
    rmdir(r->folder);
    free(r->content);
    free(r->digests);
}

void rig_run_all(struct rig *r, unsigned receivers)
{
    for (unsigned i = 0; i < receivers; i++) {
        rig_open_receiver(&r->receiver[i]);
        rig_start_receiver(&r->receiver[i]);
    }
    rig_open_sender(r);
    for (unsigned i = 0; i < receivers; i++) {
        mc_sender_add_receiver(r->sender, r->receiver[i].config.node_id);
    }
    rig_start_sender(r);
}

void rig_check_all(struct rig *r, unsigned receivers)
{
    for (unsigned i = 0; i < receivers; i++) {
        struct rig_receiver *x = &r->receiver[i];
        struct mc_receiver_stats st;
        assert_int_equal(rig_join_receiver(x), CP_OK);
        assert_true(rig_equal(r, x));
        mc_receiver_get_stats(x->mc, &st);
        assert_int_equal(st.phase, MC_DONE);
        assert_int_equal(st.content_verified, r->content_size);
        assert_int_equal(st.content_size, r->content_size);
        assert_int_equal(st.forged, 0);
        assert_int_equal(st.chunks_bad, 0);
        assert_true(st.heard && st.rmem > 0 && st.started > 0 && st.ended >= st.started);
    }
    assert_int_equal(rig_join_sender(r), CP_OK);
    struct mc_sender_stats st;
    mc_sender_get_stats(r->sender, &st);
    assert_int_equal(st.phase, MC_DONE);
    assert_int_equal(st.content_sent, r->content_size);
    assert_int_equal(st.forged, 0);
    assert_true(st.source_bytes >= r->channel.object_size);
    assert_true(st.bytes_sent > st.source_bytes);
    assert_string_equal(st.source, r->source);
}

bool rig_equal(struct rig *r, const struct rig_receiver *x)
{
    uint8_t *got = malloc(r->content_size);
    bool equal = true;

    for (unsigned i = 0; i < RIG_FILES; i++) {
        const struct mc_extent *e = &x->extent[i];
        equal = equal && pread(e->fd, got, e->size, (off_t)e->file_offset) == (ssize_t)e->size &&
                memcmp(got, r->content + e->object_offset, e->size) == 0 &&
                lseek(e->fd, 0, SEEK_END) == (off_t)(e->file_offset + e->size);
    }
    free(got);
    return equal;
}

void rig_write_chunk(struct rig *r, struct rig_receiver *x, size_t chunk)
{
    uint64_t begin = chunk * (uint64_t)MC_CHUNK_SIZE;
    uint64_t end = begin + MC_CHUNK_SIZE;

    for (unsigned i = 0; i < RIG_FILES; i++) {
        const struct mc_extent *e = &x->extent[i];
        uint64_t from = begin > e->object_offset ? begin : e->object_offset;
        uint64_t to = e->object_offset + e->size < end ? e->object_offset + e->size : end;
        if (from < to) {
            assert_int_equal(pwrite(e->fd, r->content + from, to - from,
                                    (off_t)(e->file_offset + from - e->object_offset)),
                             (ssize_t)(to - from));
        }
    }
}

bool rig_await(rig_condition *condition, void *arg)
{
    cp_time end = cp_clock_now() + 20 * CP_SEC;

    while (!condition(arg)) {
        if (cp_clock_now() > end) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return true;
}
