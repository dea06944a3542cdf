/* SPDX-License-Identifier: Apache-2.0
 * The network link that multicast leaves by: its interface, its speed, and the rate ceiling that
 * follows from it. Touches /sys and one socket that sends nothing. */
#ifndef SERVER_LINK_H
#define SERVER_LINK_H

#include <stdint.h>

#include "common/err.h"

#define SRV_INTERFACE_SIZE 16

/* Mbit/s of an interface by <sys_class_net>/<name>/speed ("/sys/class/net"); 0 unknown: no such
 * interface, no carrier, or one without a speed (a bridge, a tunnel). */
uint32_t srv_link_speed_in(const char *sys_class_net, const char *interface);
uint32_t srv_link_speed(const char *interface);

/* Bytes that the interface carries in one packet; 0 unknown. */
uint32_t srv_link_mtu(const char *interface);

/* The interface by which packets to that group leave, by the routing table. CP_ERR_INTERFACE. */
CP_MUST_CHECK enum cp_err srv_link_by_route(const char *group,
                                            char ret_interface[SRV_INTERFACE_SIZE]);

/* The address that packets to that group leave from: the interface's of the group's family, or, for
 * interface "", the routing table's choice; "" when there is none. */
#define SRV_ADDRESS_SIZE 46
void srv_link_source(const char *interface, const char *group, char ret_source[SRV_ADDRESS_SIZE]);

/* Bytes of receive buffer that a UDP socket of this process gets when it asks for so many (beyond
 * net.core.rmem_max where it has the right); 0: no socket. */
uint32_t srv_link_receive_buffer(uint32_t wanted);

/* What a link of that speed is used for when no ceiling is configured: all of it; 1 Gbit/s when the
 * speed is not known (0). */
uint32_t srv_link_default_mbps(uint32_t link_mbps);

/* The ceiling of the distribution point in bits per second on the wire: the configured one, or (0)
 * what the link carries. */
uint64_t srv_link_ceiling(uint64_t configured_bps, uint32_t link_mbps);

/* Bits (or bytes) of UDP payload that so many on the wire of an Ethernet make, and back, when each
 * packet holds a segment of that size and goes to that group, IPv4 or IPv6. */
uint64_t srv_link_payload(uint64_t wire, uint32_t segment_size, const char *group);
uint64_t srv_link_wire(uint64_t payload, uint32_t segment_size, const char *group);

#endif
