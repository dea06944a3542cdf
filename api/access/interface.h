/* SPDX-License-Identifier: Apache-2.0
 * Words of the network that settings are checked by, without a socket. Reads /proc. Thread-safe. */
#ifndef API_ACCESS_INTERFACE_H
#define API_ACCESS_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

/* Whether this machine (network namespace) has such an interface; true too when /proc cannot say. */
bool api_interface_exists(const char *name);

/* Dotted IPv4 address to a number; false for anything else. Pure. */
bool api_ipv4_parse(const char *text, uint32_t *ret_address);
/* The 16 bytes of an IPv6 address. */
bool api_ipv6_parse(const char *text, uint8_t ret_address[16]);

#endif
