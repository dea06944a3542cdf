/* SPDX-License-Identifier: Apache-2.0
 * Which network interface multicast is to be expected on, when the user names none. Asks the
 * kernel's routing table. */
#ifndef CLIENT_INTERFACE_H
#define CLIENT_INTERFACE_H

#include <stdbool.h>

#define CL_INTERFACE_SIZE 16u

/* The interface on the way to `address` (numeric, IPv4 or IPv6): multicast from there comes in the
 * same way (RFC 7761's reverse path), also on machines without a route for groups. False: not an
 * address, no route, or no interface with the local address (ret_name untouched). */
bool cl_interface_towards(const char *address, char ret_name[CL_INTERFACE_SIZE]);

#endif
