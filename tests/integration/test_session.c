/* SPDX-License-Identifier: Apache-2.0
 * The engine as a whole: real senders and receivers over multicast in a network namespace, with
 * files on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "multicast/norm/wire.h"
#include "multicast/seal/seal.h"
#include "session_rig.h"
#include "tests/support/failing_alloc.h"

#define MIB (1024u * 1024u)

static void transfer(size_t size, bool auth, bool encrypt, bool plain_io)
{
    struct rig r;

    rig_make(&r, size);
    r.channel.auth = auth;
    r.channel.encrypt = encrypt;
    r.sender_config.force_plain_io = plain_io;
    for (unsigned i = 0; i < 3; i++) {
        rig_prepare(&r, i)->config.force_plain_io = plain_io;
    }
    rig_run_all(&r, 3);
    rig_check_all(&r, 3);
    rig_drop(&r);
}

static void test_transfer_sealed(void **state)
{
    (void)state;
    transfer(7 * MIB + 12345, true, true, false);
}

static void test_transfer_authenticated(void **state)
{
    (void)state;
    transfer(2 * MIB, true, false, false);
}

static void test_transfer_bare(void **state)
{
    (void)state;
    transfer(2 * MIB + 1, false, false, false);
}

static void test_transfer_plain_io(void **state)
{
    (void)state;
    transfer(3 * MIB, true, true, true);
}

/* Other shapes: no parity at all, NACKs to the group. */
static void test_transfer_shapes(void **state)
{
    (void)state;
    struct rig r;

    rig_make(&r, 2 * MIB + 3);
    r.channel.num_parity = 0;
    rig_prepare(&r, 0);
    rig_run_all(&r, 1);
    rig_check_all(&r, 1);
    rig_drop(&r);

    rig_make(&r, 2 * MIB + 3);
    r.sender_config.multicast_nack = true;
    rig_prepare(&r, 0)->config.multicast_nack = true;
    rig_prepare(&r, 1)->config.multicast_nack = true;
    rig_run_all(&r, 2);
    rig_check_all(&r, 2);
    rig_drop(&r);
}

static void test_transfer_tiny(void **state)
{
    (void)state;
    transfer(7, true, true, false);    /* three pieces, one symbol */
    transfer(5000, true, true, false); /* one short block */
}

static bool half_sent(void *arg)
{
    struct rig *r = arg;
    struct mc_sender_stats st;
    mc_sender_get_stats(r->sender, &st);
    return st.content_sent > r->content_size / 2;
}

static bool first_done(void *arg)
{
    struct rig *r = arg;
    struct mc_receiver_stats st;
    mc_receiver_get_stats(r->receiver[0].mc, &st);
    return st.phase == MC_DONE;
}

/* The disk of the whole process, which a test can stop: -Wl,--wrap=pread64. */
static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

ssize_t __real_pread64(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset);

ssize_t __wrap_pread64(int fd, void *data, size_t size, off_t offset)
{
    pthread_mutex_lock(&disk);
    pthread_mutex_unlock(&disk);
    return __real_pread64(fd, data, size, offset);
}

static bool some_packets(void *arg)
{
    struct rig *r = arg;
    struct mc_receiver_stats st;
    mc_receiver_get_stats(r->receiver[0].mc, &st);
    return st.packets_received >= 8;
}

static void test_disk_stands_still(void **state)
{
    (void)state;
    struct rig r;
    struct mc_sender_stats st;

    rig_make(&r, 3 * MIB);
    rig_prepare(&r, 0)->config.silence = 2 * CP_SEC;
    pthread_mutex_lock(&disk);
    rig_run_all(&r, 1);
    /* No byte of content can go, but the receiver hears that somebody is there. */
    assert_true(rig_await(some_packets, &r));
    mc_sender_get_stats(r.sender, &st);
    assert_int_equal(st.source_bytes, 0);
    assert_int_equal(st.content_sent, 0);
    pthread_mutex_unlock(&disk);
    rig_check_all(&r, 1);
    rig_drop(&r);
}

static bool rate_changed(void *arg)
{
    struct rig *r = arg;
    struct mc_sender_stats st;
    mc_sender_get_stats(r->sender, &st);
    return st.rate_bps == 123000000;
}

static void test_late_joiner(void **state)
{
    (void)state;
    struct rig r;

    rig_make(&r, 6 * MIB);
    r.sender_config.rate_bps = 100000000;
    rig_prepare(&r, 0);
    rig_prepare(&r, 1);
    rig_prepare(&r, 2);
    rig_run_all(&r, 1);
    mc_sender_hold(r.sender, true);
    assert_true(rig_await(half_sent, &r));
    rig_open_receiver(&r.receiver[1]);
    mc_sender_add_receiver(r.sender, r.receiver[1].config.node_id);
    rig_start_receiver(&r.receiver[1]);
    assert_true(rig_await(first_done, &r));
    assert_int_equal(rig_join_receiver(&r.receiver[1]), CP_OK);
    assert_true(rig_equal(&r, &r.receiver[1]));
    /* One more after everything was sent and acknowledged: the held sender begins again. */
    rig_open_receiver(&r.receiver[2]);
    mc_sender_add_receiver(r.sender, r.receiver[2].config.node_id);
    rig_start_receiver(&r.receiver[2]);
    assert_int_equal(rig_join_receiver(&r.receiver[2]), CP_OK);
    assert_true(rig_equal(&r, &r.receiver[2]));
    struct mc_sender_stats st;
    mc_sender_get_stats(r.sender, &st);
    assert_int_equal(st.ended, 0);
    assert_true(st.repair_bytes > r.content_size);
    mc_sender_set_rate(r.sender, 123000000);
    assert_true(rig_await(rate_changed, &r));
    mc_sender_remove_receiver(r.sender, r.receiver[1].config.node_id);
    mc_sender_hold(r.sender, false);
    assert_int_equal(rig_join_sender(&r), CP_OK);
    rig_drop(&r);
}

/* Random loss at everybody's ingress, per mille; 0 ends it. False: no nftables. */
static bool lose(unsigned per_mille)
{
    char command[256];

    snprintf(command, sizeof(command),
             "printf 'table inet t {\\n chain c {\\n type filter hook input priority 0;\\n "
             "meta l4proto udp numgen random mod 1000 < %u drop\\n }\\n}\\n' | nft -f -",
             per_mille);
    return system(per_mille == 0 ? "nft flush ruleset" : command) == 0;
}

static void test_loss(void **state)
{
    (void)state;
    struct rig r;
    struct mc_receiver_stats st;

    /* Each receiver loses 5 % by itself, feedback included. */
    if (!lose(50)) {
        fail_msg("needs root and nftables");
    }
    rig_make(&r, 12 * MIB);
    for (unsigned i = 0; i < 3; i++) {
        rig_prepare(&r, i)->config.force_plain_io = true;
    }
    r.sender_config.force_plain_io = true; /* one packet, one throw of the dice */
    rig_run_all(&r, 3);
    rig_check_all(&r, 3);
    mc_receiver_get_stats(r.receiver[0].mc, &st);
    assert_true(st.symbols_lost > 0);
    assert_true(st.repair_bytes > 0);
    assert_true(lose(0));
    rig_drop(&r);
}

/* A few block buffers only, so that most blocks that wait for a repair must go to the disk. */
static void test_loss_with_little_memory(void **state)
{
    (void)state;
    struct rig r;

    if (!lose(50)) {
        fail_msg("needs root and nftables");
    }
    rig_make(&r, 12 * MIB);
    r.sender_config.force_plain_io = true;
    r.sender_config.buffer_memory = MIB;
    for (unsigned i = 0; i < 2; i++) {
        rig_prepare(&r, i)->config.force_plain_io = true;
        r.receiver[i].config.buffer_memory = i == 0 ? 1 : 2 * MIB;
    }
    rig_run_all(&r, 2);
    rig_check_all(&r, 2);
    assert_true(lose(0));
    rig_drop(&r);
}

/* A DATA packet as an outsider would make it. */
static size_t forge(struct rig *r, uint8_t *pkt, size_t cap, bool with_auth)
{
    struct norm_msg msg = {
        .type = NORM_DATA,
        .source_id = r->channel.sender_id,
        .instance_id = r->sender_config.instance_id,
        .flags = NORM_FLAG_FILE,
        .fec_id = 129,
        .object_id = r->channel.object_id,
        .id = {.sbn = 3, .block_len = 128, .esi = 5},
        .payload_size = r->channel.segment_size,
    };
    msg.ext.auth_size = with_auth ? SEAL_AUTH_SIZE : 0;
    size_t size = norm_encode(&msg, pkt, cap);
    assert_true(size > 0);
    memset(pkt + size, 0x5a, msg.payload_size);
    size += msg.payload_size;
    if (with_auth) {
        struct seal_signer *signer = NULL;
        const uint8_t wrong[SEAL_SECRET_SIZE] = {9};
        assert_int_equal(seal_signer_new(SEAL_HMAC_SHA256, wrong, r->channel.sender_id,
                                         r->sender_config.instance_id, SEAL_FROM_SENDER, &signer),
                         CP_OK);
        assert_int_equal(seal_sign(signer, pkt, size, msg.ext.auth_offset), CP_OK);
        seal_signer_free(signer);
    }
    return size;
}

static void test_forged(void **state)
{
    (void)state;
    struct rig r;
    uint8_t pkt[2048];
    struct mc_receiver_stats st;
    struct mc_sender_stats sst;

    rig_make(&r, 3 * MIB);
    struct rig_receiver *x = rig_prepare(&r, 0);
    rig_open_receiver(x);
    rig_open_sender(&r);
    mc_sender_add_receiver(r.sender, x->config.node_id);
    mc_sender_get_stats(r.sender, &sst);

    /* Before anybody else speaks, to the group and to the sender. */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(r.channel.port)};
    struct sockaddr_in sender = {.sin_family = AF_INET, .sin_port = htons(sst.source_port)};
    assert_int_equal(inet_pton(AF_INET, r.channel.group, &to.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET, sst.source, &sender.sin_addr), 1);
    for (int auth = 0; auth < 2; auth++) {
        size_t size = forge(&r, pkt, sizeof(pkt), auth != 0);
        assert_int_equal(sendto(fd, pkt, size, 0, (struct sockaddr *)&to, sizeof(to)),
                         (ssize_t)size);
        assert_int_equal(sendto(fd, pkt, size, 0, (struct sockaddr *)&sender, sizeof(sender)),
                         (ssize_t)size);
    }
    close(fd);
    rig_start_receiver(x);
    rig_start_sender(&r);
    assert_int_equal(rig_join_receiver(x), CP_OK);
    assert_int_equal(rig_join_sender(&r), CP_OK);
    assert_true(rig_equal(&r, x));
    mc_receiver_get_stats(x->mc, &st);
    assert_int_equal(st.forged, 2);
    mc_sender_get_stats(r.sender, &sst);
    assert_int_equal(sst.forged, 2);
    rig_drop(&r);
}

static void test_wrong_digest(void **state)
{
    (void)state;
    struct rig r;
    uint8_t chunks[4];
    struct mc_receiver_stats st;

    rig_make(&r, 4 * MIB);
    r.digests[SEAL_DIGEST_SIZE + 3] ^= 1;
    rig_prepare(&r, 0);
    rig_run_all(&r, 1);
    assert_int_equal(rig_join_receiver(&r.receiver[0]), CP_ERR_CHUNK_DIGEST);
    mc_receiver_get_chunks(r.receiver[0].mc, chunks, 4);
    assert_int_equal(chunks[0], 1);
    assert_int_equal(chunks[1], 0);
    assert_int_equal(chunks[2], 1);
    assert_int_equal(chunks[3], 1);
    mc_receiver_get_stats(r.receiver[0].mc, &st);
    assert_int_equal(st.phase, MC_FAILED);
    assert_int_equal(st.chunks_bad, 3); /* asked for again twice */
    assert_int_equal(st.content_verified, 3 * MIB);
    assert_int_equal(rig_join_sender(&r), CP_OK);
    rig_drop(&r);
}

static void test_resume(void **state)
{
    (void)state;
    struct rig r;
    const uint8_t some[6] = {1, 1, 0, 1, 0, 0};
    const uint8_t all[6] = {1, 1, 1, 1, 1, 1};
    struct mc_receiver_stats st;

    rig_make(&r, 5 * MIB + 1000);
    struct rig_receiver *x = rig_prepare(&r, 0);
    x->config.chunks_have = some;
    for (size_t i = 0; i < sizeof(some); i++) {
        if (some[i] != 0) {
            rig_write_chunk(&r, x, i);
        }
    }
    rig_run_all(&r, 1);
    rig_check_all(&r, 1);
    mc_receiver_get_stats(x->mc, &st);
    assert_true(st.symbol_bytes < 4 * MIB); /* the rest, with the blocks that straddle */
    /* With everything there nobody needs to send. */
    struct rig_receiver *y = rig_prepare(&r, 1);
    y->config.chunks_have = all;
    for (size_t i = 0; i < sizeof(all); i++) {
        rig_write_chunk(&r, y, i);
    }
    rig_open_receiver(y);
    rig_start_receiver(y);
    assert_int_equal(rig_join_receiver(y), CP_OK);
    assert_true(rig_equal(&r, y));
    rig_drop(&r);
}

static void test_output_full(void **state)
{
    (void)state;
    struct rig r;
    char folder[] = "/tmp/session-full-XXXXXX";
    char path[64];

    rig_make(&r, 4 * MIB);
    struct rig_receiver *x = rig_prepare(&r, 0);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mount("tmpfs", folder, "tmpfs", 0, "size=1m"), 0);
    snprintf(path, sizeof(path), "%s/out", folder);
    FILE *f = fopen(path, "w+e");
    assert_non_null(f);
    for (unsigned i = 0; i < RIG_FILES; i++) {
        x->extent[i].fd = fileno(f);
        x->extent[i].file_offset = x->extent[i].object_offset;
    }
    rig_run_all(&r, 1);
    assert_int_equal(rig_join_receiver(x), CP_ERR_OUTPUT_FULL);
    fclose(f);
    assert_int_equal(umount(folder), 0);
    rmdir(folder);
    rig_drop(&r);
}

static void test_learns_object(void **state)
{
    (void)state;
    struct rig r;

    rig_make(&r, 2 * MIB + 77);
    r.channel.auth = false;
    r.channel.encrypt = false;
    r.channel.object_size = r.content_size; /* not padded, as a foreign sender's */
    struct rig_receiver *x = rig_prepare(&r, 0);
    x->config.channel.object_size = 0;
    x->config.channel.content_size = 0;
    x->config.channel.sender_id = 0;
    x->config.chunk_digests = NULL;
    x->config.chunk_count = 0;
    x->config.multicast_nack = true;
    x->extent[RIG_FILES - 1].size = INT64_MAX;
    rig_run_all(&r, 1);
    assert_int_equal(rig_join_receiver(x), CP_OK);
    assert_int_equal(rig_join_sender(&r), CP_OK);
    x->extent[RIG_FILES - 1].size = r.extent[RIG_FILES - 1].size;
    assert_true(rig_equal(&r, x));
    struct mc_receiver_stats st;
    mc_receiver_get_stats(x->mc, &st);
    assert_int_equal(st.content_size, r.content_size);
    rig_drop(&r);
}

static void test_refused(void **state)
{
    (void)state;
    struct rig r;
    struct cp_error err = {0};
    struct mc_sender *s = NULL;
    struct mc_receiver *x = NULL;

    rig_make(&r, 100000);
    r.sender_config.channel = r.channel;
    r.sender_config.channel.object_size++;
    assert_int_equal(mc_sender_open(&r.sender_config, &s, &err), CP_ERR_INVALID);
    assert_true(err.text[0] != '\0');
    r.sender_config.channel = r.channel;
    r.sender_config.channel.num_parity = 200;
    assert_int_equal(mc_sender_open(&r.sender_config, &s, &err), CP_ERR_INVALID);
    r.sender_config.channel = r.channel;
    snprintf(r.sender_config.channel.interface, sizeof(r.channel.interface), "nope0");
    assert_int_equal(mc_sender_open(&r.sender_config, &s, &err), CP_ERR_INTERFACE);
    assert_true(err.text[0] != '\0');
    struct mc_receiver_config config = rig_prepare(&r, 0)->config;
    config.channel.object_size = 0; /* sealed and unknown do not go together */
    assert_int_equal(mc_receiver_open(&config, &x, &err), CP_ERR_INVALID);
    const uint8_t two_digests[2 * SEAL_DIGEST_SIZE] = {0};
    config.channel = r.channel;
    config.chunk_digests = two_digests;
    config.chunk_count = 2;
    assert_int_equal(mc_receiver_open(&config, &x, &err), CP_ERR_INVALID);
    config.chunk_count = 1;
    config.extent_count = 2;
    assert_int_equal(mc_receiver_open(&config, &x, &err), CP_ERR_OUTPUT_FULL);
    assert_null(s);
    assert_null(x);
    mc_sender_close(NULL);
    mc_receiver_close(NULL);
    rig_drop(&r);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct rig r;
    bool failed = true;
    unsigned refused = 0;

    rig_make(&r, 100000);
    r.sender_config.channel = r.channel;
    for (int i = 0; failed; i++) {
        failing_alloc_after(i);
        enum cp_err code = mc_sender_open(&r.sender_config, &r.sender, &r.err);
        failed = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_int_equal(code, failed ? CP_ERR_NO_MEMORY : CP_OK);
        refused += failed;
    }
    struct rig_receiver *x = rig_prepare(&r, 0);
    const uint8_t have[1] = {0};
    x->config.chunks_have = have;
    failed = true;
    for (int i = 0; failed; i++) {
        failing_alloc_after(i);
        enum cp_err code = mc_receiver_open(&x->config, &x->mc, &x->err);
        failed = failing_alloc_happened();
        failing_alloc_after(-1);
        assert_int_equal(code, failed ? CP_ERR_NO_MEMORY : CP_OK);
        refused += failed;
    }
    assert_true(refused > 30);
    rig_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_transfer_bare),
        cmocka_unit_test(test_transfer_authenticated),
        cmocka_unit_test(test_transfer_sealed),
        cmocka_unit_test(test_transfer_plain_io),
        cmocka_unit_test(test_transfer_tiny),
        cmocka_unit_test(test_late_joiner),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_disk_stands_still),
        cmocka_unit_test(test_loss_with_little_memory),
        cmocka_unit_test(test_transfer_shapes),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_wrong_digest),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_output_full),
        cmocka_unit_test(test_learns_object),
    };
    if (!rig_namespace()) {
        fputs("test_session: needs a network namespace of its own (root or user namespaces)\n",
              stderr);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
