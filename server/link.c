/* SPDX-License-Identifier: Apache-2.0
 * Speed of the multicast link. */
#include "server/link.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_MBPS 1000u
/* NORM DATA with EXT_FTI, EXT_AUTH and payload id (norm.md section 6.3); IPv4 20, UDP 8, Ethernet 14
 * and 4, preamble 8, gap 12 (IEEE 802.3). 1408 bytes of content are 1472 of UDP payload in 1538 on
 * the wire: 95.7 %. */
#define NORM_HEADERS 64u
#define LINK_HEADERS 66u
#define IPV6_MORE    20u

uint32_t srv_link_speed_in(const char *sys_class_net, const char *interface)
{
    char path[256];
    long mbps = 0;
    FILE *f;

    if (*interface == '\0' || strchr(interface, '/') != NULL) {
        return 0;
    }
    (void)snprintf(path, sizeof path, "%s/%s/speed", sys_class_net, interface);
    f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    if (fscanf(f, "%9ld", &mbps) != 1 || mbps < 0) {
        mbps = 0; /* the kernel says -1 for "unknown" */
    }
    (void)fclose(f);
    return (uint32_t)mbps;
}

uint32_t srv_link_speed(const char *interface)
{
    return srv_link_speed_in("/sys/class/net", interface);
}

uint32_t srv_link_mtu(const char *interface)
{
    struct ifreq rq;
    uint32_t mtu = 0;
    int fd;

    if (strlen(interface) >= sizeof rq.ifr_name) {
        return 0;
    }
    memset(&rq, 0, sizeof rq);
    memcpy(rq.ifr_name, interface, strlen(interface));
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &rq) == 0 && rq.ifr_mtu > 0) {
        mtu = (uint32_t)rq.ifr_mtu;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return mtu;
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    if (a == NULL || a->sa_family != b->sa_family) {
        return false;
    }
    if (a->sa_family == AF_INET) {
        return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
    }
    return a->sa_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

/* The address that the kernel would send from: connecting a datagram socket sends nothing. */
static bool source_for(const char *group, struct sockaddr_storage *ret_source)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(9)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
    bool is_v4 = inet_pton(AF_INET, group, &v4.sin_addr) == 1;
    const void *to = is_v4 ? (const void *)&v4 : (const void *)&v6;
    socklen_t size = is_v4 ? sizeof v4 : sizeof v6;
    bool good;
    int fd;

    if (!is_v4 && inet_pton(AF_INET6, group, &v6.sin6_addr) != 1) {
        return false;
    }
    fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    good = connect(fd, to, size) == 0;
    size = sizeof *ret_source;
    good = good && getsockname(fd, (struct sockaddr *)ret_source, &size) == 0;
    (void)close(fd);
    return good;
}

enum cp_err srv_link_by_route(const char *group, char ret_interface[SRV_INTERFACE_SIZE])
{
    struct sockaddr_storage source;
    struct ifaddrs *list = NULL;
    enum cp_err rc = CP_ERR_INTERFACE;

    if (!source_for(group, &source) || getifaddrs(&list) != 0) {
        return CP_ERR_INTERFACE;
    }
    for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
        if (same_address(i->ifa_addr, (const struct sockaddr *)&source) &&
            strlen(i->ifa_name) < SRV_INTERFACE_SIZE) {
            (void)snprintf(ret_interface, SRV_INTERFACE_SIZE, "%s", i->ifa_name);
            rc = CP_OK;
            break;
        }
    }
    freeifaddrs(list);
    return rc;
}

static bool family_of(const char *group, int *ret_family)
{
    struct in6_addr any;

    if (inet_pton(AF_INET, group, &any) == 1) {
        *ret_family = AF_INET;
        return true;
    }
    *ret_family = AF_INET6;
    return inet_pton(AF_INET6, group, &any) == 1;
}

static void address_text(const struct sockaddr *sa, char ret_text[SRV_ADDRESS_SIZE])
{
    const void *address =
        sa->sa_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr
            : (const void *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

    if (inet_ntop(sa->sa_family, address, ret_text, SRV_ADDRESS_SIZE) == NULL) {
        ret_text[0] = '\0';
    }
}

void srv_link_source(const char *interface, const char *group, char ret_source[SRV_ADDRESS_SIZE])
{
    struct sockaddr_storage source;
    struct ifaddrs *list = NULL;
    int family;

    ret_source[0] = '\0';
    if (!family_of(group, &family)) {
        return;
    }
    if (interface[0] == '\0') {
        if (source_for(group, &source)) {
            address_text((const struct sockaddr *)&source, ret_source);
        }
        return;
    }
    if (getifaddrs(&list) != 0) {
        return;
    }
    for (const struct ifaddrs *i = list; i != NULL && ret_source[0] == '\0'; i = i->ifa_next) {
        if (strcmp(i->ifa_name, interface) == 0 && i->ifa_addr != NULL &&
            i->ifa_addr->sa_family == family) {
            address_text(i->ifa_addr, ret_source);
        }
    }
    freeifaddrs(list);
}

uint32_t srv_link_default_mbps(uint32_t link_mbps)
{
    return link_mbps == 0 ? DEFAULT_MBPS : link_mbps;
}

uint64_t srv_link_ceiling(uint64_t configured_bps, uint32_t link_mbps)
{
    return configured_bps > 0 ? configured_bps
                              : UINT64_C(1000000) * srv_link_default_mbps(link_mbps);
}

static uint64_t link_headers(const char *group)
{
    return LINK_HEADERS + (strchr(group, ':') != NULL ? IPV6_MORE : 0);
}

uint64_t srv_link_payload(uint64_t wire, uint32_t segment_size, const char *group)
{
    uint64_t payload = segment_size + NORM_HEADERS;

    return (uint64_t)((double)wire * (double)payload / (double)(payload + link_headers(group)));
}

uint64_t srv_link_wire(uint64_t payload, uint32_t segment_size, const char *group)
{
    uint64_t each = segment_size + NORM_HEADERS;

    return (uint64_t)((double)payload * (double)(each + link_headers(group)) / (double)each);
}

uint32_t srv_link_receive_buffer(uint32_t wanted)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int size = (int)wanted;
    socklen_t length = sizeof size;

    if (fd < 0) {
        return 0;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &length) != 0) {
        size = 0;
    }
    (void)close(fd);
    return (uint32_t)size / 2; /* socket(7): the kernel doubles for its own needs */
}
