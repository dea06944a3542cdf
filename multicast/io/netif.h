/* SPDX-License-Identifier: Apache-2.0
 * Network interfaces: by name, or by the route to a group. Asks the kernel; keeps nothing. */
#ifndef MULTICAST_IO_NETIF_H
#define MULTICAST_IO_NETIF_H

#include "common/err.h"
#include "multicast/io/udp.h"

struct io_netif {
    char name[IO_INTERFACE_SIZE];
    unsigned index;
    unsigned mtu;
    struct io_address address; /* to send from, port 0 */
};

/* The interface of that name, or (name "" or NULL) the one that the route to the group uses, with an
 * address of the group's family. CP_ERR_INTERFACE: none, down, or without such an address;
 * CP_ERR_NETWORK when the kernel cannot be asked. */
CP_MUST_CHECK enum cp_err io_netif_find(const char *name, const struct io_address *group,
                                        struct io_netif *ret_netif, struct cp_error *err);

#endif
