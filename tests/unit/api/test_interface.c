/* SPDX-License-Identifier: Apache-2.0
 * Tests of the words of the network that settings are checked by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "api/access/interface.h"

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

static void ipv6_addresses(void **state)
{
    static const char *const right[] = {"ff15::1",
                                        "::",
                                        "::1",
                                        "1::",
                                        "1:2:3:4:5:6:7:8",
                                        "FF3e:0:0:abcd::9",
                                        "1:2:3:4:5:6:7::",
                                        "::2:3:4:5:6:7:8"};
    static const char *const wrong[] = {"",
                                        ":",
                                        ":1",
                                        "1:",
                                        "1",
                                        "1:::2",
                                        "1::2::3",
                                        "ff15::1:",
                                        "g::",
                                        "12345::",
                                        "ff15::1 ",
                                        "ff15::1%lo",
                                        "::1.2.3.4",
                                        ":::",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4::5:6:7:8:9",
                                        "1:2:3:4::5:6:7:8"};
    uint8_t address[16], same[16];

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_int_equal(inet_pton(AF_INET6, right[i], same), 1);
        if (!api_ipv6_parse(right[i], address)) {
            fail_msg("%s is refused", right[i]);
        }
        assert_memory_equal(address, same, 16);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memset(address, 7, sizeof address);
        if (api_ipv6_parse(wrong[i], address)) {
            fail_msg("%s is taken", wrong[i]);
        }
        assert_int_equal(address[0], 7);
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
        cmocka_unit_test(ipv6_addresses),
        cmocka_unit_test(interfaces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
