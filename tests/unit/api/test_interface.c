/* SPDX-License-Identifier: Apache-2.0
 * Tests of the words of the network that settings are checked by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/interface.h"

static void addresses(void **state)
{
    static const char *const wrong[] = {"",         "1.2.3",     "1.2.3.4.5", "1.2.3.4 ",
                                        " 1.2.3.4", "1.2.3.256", "01.2.3.4",  "1..3.4",
                                        "1.2.3.",   "a.2.3.4",   "1.2.3.4x",  "1234.1.1.1",
                                        "::1",      "-1.2.3.4",  "1,2.3.4"};
    uint32_t address = 0;

    (void)state;
    assert_true(api_ipv4_parse("239.255.0.1", &address));
    assert_int_equal(address, 0xEFFF0001u);
    assert_true(api_ipv4_parse("0.0.0.0", &address));
    assert_int_equal(address, 0);
    assert_true(api_ipv4_parse("255.255.255.255", &address));
    assert_int_equal(address, UINT32_MAX);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        address = 7;
        assert_false(api_ipv4_parse(wrong[i], &address));
        assert_int_equal(address, 7);
    }
}

static void interfaces(void **state)
{
    (void)state;
    assert_true(api_interface_exists("lo"));
    assert_false(api_interface_exists("l"));
    assert_false(api_interface_exists("lo "));
    assert_false(api_interface_exists("lo:"));
    assert_false(api_interface_exists("Inter-|   Receive"));
    assert_false(api_interface_exists(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(interfaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
