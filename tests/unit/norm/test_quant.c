/* SPDX-License-Identifier: Apache-2.0
 * Quantisers of header fields: values of RFC 5740 and of the reference implementation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/time.h"
#include "multicast/norm/wire.h"

/* Checks RFC5401 3.7.4. */
static void rtt_values(void **state)
{
    const struct {
        uint64_t ns;
        uint8_t q;
    } v[] = {
        {0, 0},
        {CP_USEC, 0},
        {2 * CP_USEC, 1},
        {32 * CP_USEC, 31},
        {CP_MSEC, 76},
        {5 * CP_MSEC, 97},
        {10 * CP_MSEC, 106},
        {250 * CP_MSEC, 148},
        {500 * CP_MSEC, 157},
        {1000 * CP_SEC, 255},
        {UINT64_MAX, 255},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        assert_int_equal(norm_rtt_quantize(v[i].ns), v[i].q);
    }
    assert_int_equal(norm_rtt_unquantize(0), CP_USEC);
    assert_int_equal(norm_rtt_unquantize(31), 32 * CP_USEC);
    assert_int_equal(norm_rtt_unquantize(255), 1000 * CP_SEC);
    assert_in_range(norm_rtt_unquantize(148), 266200 * CP_USEC, 266400 * CP_USEC);
}

static void rtt_round_trip(void **state)
{
    (void)state;
    for (unsigned q = 0; q < 256; q++) {
        assert_int_equal(norm_rtt_quantize(norm_rtt_unquantize((uint8_t)q)), q);
        assert_true(q == 0 ||
                    norm_rtt_unquantize((uint8_t)q) > norm_rtt_unquantize((uint8_t)(q - 1)));
    }
    for (uint64_t ns = 33 * CP_USEC; ns < 1000 * CP_SEC; ns += ns / 7) {
        uint64_t back = norm_rtt_unquantize(norm_rtt_quantize(ns));

        assert_true(back >= ns);
        assert_true((double)back <= (double)ns * 1.081);
    }
}

/* Checks RFC5740 4.2.1, 5.5.4. */
static void gsize_values(void **state)
{
    (void)state;
    assert_int_equal(norm_gsize_unquantize(0x0), 10);
    assert_int_equal(norm_gsize_unquantize(0x1), 100);
    assert_int_equal(norm_gsize_unquantize(0x2), 1000);
    assert_int_equal(norm_gsize_unquantize(0x3), 10000);
    assert_int_equal(norm_gsize_unquantize(0x7), 100000000);
    assert_int_equal(norm_gsize_unquantize(0x8), 50);
    assert_int_equal(norm_gsize_unquantize(0x9), 500);
    assert_int_equal(norm_gsize_unquantize(0xa), 5000);
    assert_int_equal(norm_gsize_unquantize(0xf), 500000000);
    for (uint8_t q = 0; q < 16; q++) {
        assert_int_equal(norm_gsize_quantize(norm_gsize_unquantize(q)), q);
    }
    assert_int_equal(norm_gsize_quantize(0), 0x0);
    assert_int_equal(norm_gsize_quantize(11), 0x8);
    assert_int_equal(norm_gsize_quantize(51), 0x1);
    assert_int_equal(norm_gsize_quantize(1001), 0xa);
    assert_int_equal(norm_gsize_quantize(UINT64_MAX), 0xf);
}

/* Checks RFC5740 4.2.3.4. */
static void rate_values(void **state)
{
    (void)state;
    assert_int_equal(norm_rate_quantize(32000), 0x51f4);
    assert_int_equal(norm_rate_quantize(2.5e6), 0x4006);
    assert_int_equal(norm_rate_quantize(1.25e9), 0x2009);
    assert_int_equal(norm_rate_quantize(1), 0x19a0);
    assert_int_equal(norm_rate_quantize(1000), 0x19a3);
    assert_int_equal(norm_rate_quantize(0.5), 0x0cd0);
    assert_int_equal(norm_rate_quantize(0), 0);
    assert_int_equal(norm_rate_quantize(-3), 0);
    assert_int_equal(norm_rate_quantize(NAN), 0);
}

/* The formula of the RFC turns 9.999e6 into 0. */
static void rate_never_overflows(void **state)
{
    (void)state;
    assert_int_equal(norm_rate_quantize(9.999e6), 0xfff6);
    assert_int_equal(norm_rate_quantize(9.99878e6), 0xfff6);
    assert_int_equal(norm_rate_quantize(9.9975e6), 0xfff6);
    assert_int_equal(norm_rate_quantize(1e7), 0x19a7);
    assert_int_equal(norm_rate_quantize(9.999e15), 0xffff);
    assert_int_equal(norm_rate_quantize(1e18), 0xffff);
    assert_int_equal(norm_rate_quantize(INFINITY), 0xffff);
    for (double rate = 1; rate < 9e15; rate *= 1.003) {
        double back = norm_rate_unquantize(norm_rate_quantize(rate));

        assert_true(fabs(back - rate) <= rate * 0.00125);
    }
}

static void rate_back(void **state)
{
    (void)state;
    assert_true(fabs(norm_rate_unquantize(0x51f4) - 32006.8) < 0.1);
    assert_true(norm_rate_unquantize(0) == 0);
    assert_true(norm_rate_unquantize(0x0001) == 0); /* the reference implementation's zero */
    assert_true(norm_rate_unquantize(0xffff) < 1e16);
}

static void loss_values(void **state)
{
    (void)state;
    assert_int_equal(norm_loss_quantize(0), 0);
    assert_int_equal(norm_loss_quantize(-1), 0);
    assert_int_equal(norm_loss_quantize(NAN), 0);
    assert_int_equal(norm_loss_quantize(0.01), 655);
    assert_int_equal(norm_loss_quantize(0.5), 32767);
    assert_int_equal(norm_loss_quantize(1), 65535);
    assert_int_equal(norm_loss_quantize(7), 65535);
    assert_true(fabs(norm_loss_unquantize(655) - 0.01) < 0.00002);
    assert_true(norm_loss_unquantize(65535) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rtt_values),           cmocka_unit_test(rtt_round_trip),
        cmocka_unit_test(gsize_values),         cmocka_unit_test(rate_values),
        cmocka_unit_test(rate_never_overflows), cmocka_unit_test(rate_back),
        cmocka_unit_test(loss_values),
    };

    return cmocka_run_group_tests_name("norm_quant", tests, NULL, NULL);
}
