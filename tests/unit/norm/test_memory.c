/* SPDX-License-Identifier: Apache-2.0
 * Memory of sender and receiver: every failed allocation is survived, a 50 GB object stays small,
 * and the packet path allocates nothing. malloc and calloc are wrapped by the linker. */
#include "core.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

static int fail_at = -1; /* allocations until one fails; -1: none does */
static unsigned allocations;
static size_t allocated;

static bool failing(size_t size)
{
    allocations++;
    allocated += size;
    if (fail_at < 0) {
        return false;
    }
    return fail_at-- == 0;
}

void *__wrap_malloc(size_t size)
{
    return failing(size) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return failing(count * size) ? NULL : __real_calloc(count, size);
}

static void every_allocation_may_fail(void **state)
{
    struct norm_sender_config sc = sender_config();
    struct norm_receiver_config rc = receiver_config();
    struct norm_sender *s = NULL;
    struct norm_receiver *r = NULL;
    int n = 0;

    (void)state;
    for (;; n++) {
        fail_at = n;
        if (norm_sender_new(&sc, 0, &s) == CP_OK) {
            break;
        }
        assert_null(s);
    }
    assert_in_range(n, 5, 40);
    for (n = 0;; n++) {
        fail_at = n;
        if (norm_receiver_new(&rc, 0, &r) == CP_OK) {
            break;
        }
        assert_null(r);
    }
    assert_in_range(n, 3, 20);
    fail_at = -1;
    norm_sender_free(s);
    norm_receiver_free(r);
}

static void fifty_gigabytes_stay_small(void **state)
{
    struct norm_sender_config sc = sender_config();
    struct norm_receiver_config rc = receiver_config();
    struct norm_sender *s = NULL;
    struct norm_receiver *r = NULL;

    (void)state;
    sc.fti = (struct norm_fti){.object_size = UINT64_C(50000000000),
                               .segment_size = 1408,
                               .max_block_len = 128,
                               .num_parity = 32};
    rc.fti = sc.fti;
    allocated = 0;
    assert_int_equal(norm_sender_new(&sc, 0, &s), CP_OK);
    assert_in_range(allocated, 1, 12u << 20);
    allocated = 0;
    assert_int_equal(norm_receiver_new(&rc, 0, &r), CP_OK);
    assert_in_range(allocated, 1, 12u << 20);
    norm_sender_free(s);
    norm_receiver_free(r);
}

static void the_packet_path_allocates_nothing(void **state)
{
    struct norm_sender_config sc = sender_config();
    struct norm_receiver_config rc = receiver_config();
    struct norm_sender *s = NULL;
    struct norm_receiver *r = NULL;
    uint8_t data[4096], feedback[512];
    struct norm_txbuf tx = {.data = data, .cap = sizeof(data)};
    struct norm_txbuf back = {.data = feedback, .cap = sizeof(feedback)};
    unsigned sent = 0;
    struct norm_rx rx;

    (void)state;
    assert_int_equal(norm_sender_new(&sc, 0, &s), CP_OK);
    assert_int_equal(norm_receiver_new(&rc, 0, &r), CP_OK);
    allocations = 0;
    for (cp_time now = 0; now < 10 * CP_SEC; now += CP_MSEC / 4) {
        norm_sender_fill(s, now, &tx);
        for (size_t i = 0, at = 0; i < tx.count; i++, at += tx.stride) {
            size_t size = i + 1 < tx.count ? tx.stride : tx.size - at;

            if (++sent % 3 != 0) {
                assert_int_equal(norm_receiver_on_packet(r, now, data + at, size, &rx), CP_OK);
            }
        }
        norm_receiver_on_timer(r, now);
        norm_receiver_fill(r, now, &back);
        if (back.count > 0) {
            assert_int_equal(norm_sender_on_packet(s, now, feedback, back.size), CP_OK);
        }
    }
    assert_true(norm_receiver_complete(r));
    assert_int_equal(allocations, 0);
    norm_sender_free(s);
    norm_receiver_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(fifty_gigabytes_stay_small),
        cmocka_unit_test(the_packet_path_allocates_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
