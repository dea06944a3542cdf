/* SPDX-License-Identifier: Apache-2.0
 * Network interfaces by getifaddrs, a route look-up (connect of a datagram socket sends nothing)
 * and SIOCGIFMTU. Linux and BSD. */
#include "multicast/io/netif.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *family_name(int family)
{
    return family == AF_INET6 ? "IPv6" : "IPv4";
}

/* The address that packets to the group would leave from. */
static enum cp_err address_by_route(const struct io_address *group, struct io_address *ret_address,
                                    struct cp_error *err)
{
    struct io_address a = {.size = sizeof a.u};
    char text[IO_ADDRESS_TEXT_SIZE];
    const int fd = socket(group->u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok;

    if (fd < 0) {
        return cp_error_set(err, CP_ERR_NETWORK, "cannot open a socket: %s", strerror(errno));
    }
    ok = connect(fd, &group->u.sa, group->size) == 0 && getsockname(fd, &a.u.sa, &a.size) == 0;
    (void)close(fd);
    if (!ok) {
        io_address_text(group, text);
        return cp_error_set(err, CP_ERR_INTERFACE,
                            "there is no route to the group %s; name the interface to use", text);
    }
    *ret_address = a;
    return CP_OK;
}

static bool same_host(const struct sockaddr *sa, const struct io_address *a)
{
    struct io_address b = {.size = a->size};

    if (sa->sa_family != a->u.sa.sa_family) {
        return false;
    }
    memcpy(&b.u, sa, a->size);
    b.u.v4.sin_port = a->u.v4.sin_port; /* at the same place in both families */
    return io_address_equal(&b, a);
}

/* A link-local address serves only where there is no other, or where the group is link-local. */
static bool better_address(const struct sockaddr *sa, const struct io_address *group,
                           const struct io_address *so_far)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)sa;

    if (so_far->size == 0) {
        return true;
    }
    if (sa->sa_family != AF_INET6) {
        return false;
    }
    return IN6_IS_ADDR_LINKLOCAL(&so_far->u.v6.sin6_addr) !=
               IN6_IS_ADDR_MC_LINKLOCAL(&group->u.v6.sin6_addr) &&
           IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) ==
               IN6_IS_ADDR_MC_LINKLOCAL(&group->u.v6.sin6_addr);
}

static unsigned mtu_of(const char *name)
{
    struct ifreq request = {0};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsigned mtu = 0;

    if (fd < 0) {
        return 0;
    }
    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0) {
        mtu = (unsigned)request.ifr_mtu;
    }
    (void)close(fd);
    return mtu;
}

struct search {
    const char *name;               /* "" to search by address */
    const struct io_address *route; /* the address, NULL to search by name */
    const struct io_address *group;
    bool seen; /* the interface exists … */
    bool up;   /* … and is up */
};

static void scan(const struct ifaddrs *list, struct search *search, struct io_netif *netif)
{
    const int family = search->group->u.sa.sa_family;

    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        if (search->route == NULL) {
            if (strcmp(i->ifa_name, search->name) != 0) {
                continue;
            }
            search->seen = true;
            search->up = search->up || (i->ifa_flags & IFF_UP) != 0;
        }
        if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family ||
            (search->route != NULL && !same_host(i->ifa_addr, search->route)) ||
            !better_address(i->ifa_addr, search->group, &netif->address)) {
            continue;
        }
        search->seen = true;
        search->up = search->up || (i->ifa_flags & IFF_UP) != 0;
        netif->address.size =
            family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
        memcpy(&netif->address.u, i->ifa_addr, netif->address.size);
        memcpy(netif->name, i->ifa_name, strlen(i->ifa_name) + 1);
    }
}

static enum cp_err why_not(const struct search *search, struct cp_error *err)
{
    if (!search->seen) {
        return cp_error_set(err, CP_ERR_INTERFACE, "there is no network interface '%s'",
                            search->name);
    }
    if (!search->up) {
        return cp_error_set(err, CP_ERR_INTERFACE,
                            "the network interface '%s' is down; 'ip link set %s up' raises it",
                            search->name, search->name);
    }
    return cp_error_set(err, CP_ERR_INTERFACE,
                        "the network interface '%s' has no %s address; give it one, or name "
                        "another interface",
                        search->name, family_name(search->group->u.sa.sa_family));
}

enum cp_err io_netif_find(const char *name, const struct io_address *group,
                          struct io_netif *ret_netif, struct cp_error *err)
{
    struct io_address route;
    struct search search = {.name = name != NULL ? name : "", .group = group};
    struct io_netif netif = {.index = 0};
    struct ifaddrs *list;

    if (search.name[0] == '\0') {
        CP_TRY(address_by_route(group, &route, err));
        search.route = &route;
    } else if (strlen(search.name) >= IO_INTERFACE_SIZE) {
        return why_not(&search, err);
    }
    if (getifaddrs(&list) != 0) {
        return cp_error_set(err, CP_ERR_NETWORK, "cannot list the network interfaces: %s",
                            strerror(errno));
    }
    scan(list, &search, &netif);
    freeifaddrs(list);
    if (netif.address.size == 0 || !search.up) {
        return why_not(&search, err);
    }
    netif.index = if_nametoindex(netif.name);
    netif.mtu = mtu_of(netif.name);
    if (netif.index == 0) {
        return why_not(&(struct search){.name = netif.name, .group = group}, err);
    }
    *ret_netif = netif;
    return CP_OK;
}
