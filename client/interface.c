/* SPDX-License-Identifier: Apache-2.0
 * Route look-up by connecting a datagram socket, which sends nothing. */
#include "client/interface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANY_PORT 9 /* discard; nothing is sent */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse(const char *text, union address *a)
{
    memset(a, 0, sizeof *a);
    if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons(ANY_PORT);
        return true;
    }
    if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons(ANY_PORT);
        return true;
    }
    return false;
}

/* The address that packets to `to` would leave from. */
static bool local_address(const union address *to, union address *ret_local)
{
    socklen_t size = sizeof *ret_local;
    int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok =
        fd >= 0 &&
        connect(fd, &to->any, to->any.sa_family == AF_INET ? sizeof to->v4 : sizeof to->v6) == 0 &&
        getsockname(fd, &ret_local->any, &size) == 0;

    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

static bool same(const union address *a, const struct sockaddr *b)
{
    union address other;

    if (b == NULL || b->sa_family != a->any.sa_family) {
        return false;
    }
    if (b->sa_family == AF_INET) {
        memcpy(&other.v4, b, sizeof other.v4);
        return other.v4.sin_addr.s_addr == a->v4.sin_addr.s_addr;
    }
    memcpy(&other.v6, b, sizeof other.v6);
    return memcmp(&other.v6.sin6_addr, &a->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

bool cl_interface_towards(const char *address, char ret_name[CL_INTERFACE_SIZE])
{
    union address to, local;
    struct ifaddrs *list = NULL;
    bool found = false;

    if (!parse(address, &to) || !local_address(&to, &local) || getifaddrs(&list) != 0) {
        return false;
    }
    for (const struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next) {
        if (same(&local, i->ifa_addr) && strlen(i->ifa_name) < CL_INTERFACE_SIZE) {
            (void)snprintf(ret_name, CL_INTERFACE_SIZE, "%s", i->ifa_name);
            found = true;
        }
    }
    freeifaddrs(list);
    return found;
}
