/* SPDX-License-Identifier: Apache-2.0
 * Socket addresses as values: parse, print, compare. Pure but for libc's number conversions. */
#include <arpa/inet.h>
#include <string.h>

#include "multicast/io/udp.h"

enum cp_err io_address_parse(const char *text, uint16_t port, struct io_address *ret_address)
{
    struct io_address a;

    memset(&a, 0, sizeof a);
    if (inet_pton(AF_INET, text, &a.u.v4.sin_addr) == 1) {
        a.u.v4.sin_family = AF_INET;
        a.u.v4.sin_port = htons(port);
        a.size = sizeof a.u.v4;
    } else if (inet_pton(AF_INET6, text, &a.u.v6.sin6_addr) == 1) {
        a.u.v6.sin6_family = AF_INET6;
        a.u.v6.sin6_port = htons(port);
        a.size = sizeof a.u.v6;
    } else {
        return CP_ERR_INVALID;
    }
    *ret_address = a;
    return CP_OK;
}

void io_address_text(const struct io_address *a, char ret_text[IO_ADDRESS_TEXT_SIZE])
{
    const void *bytes = a->u.sa.sa_family == AF_INET6 ? (const void *)&a->u.v6.sin6_addr
                                                      : (const void *)&a->u.v4.sin_addr;

    if (a->size == 0 ||
        inet_ntop(a->u.sa.sa_family, bytes, ret_text, IO_ADDRESS_TEXT_SIZE) == NULL) {
        ret_text[0] = '\0';
    }
}

uint16_t io_address_port(const struct io_address *a)
{
    if (a->size == 0) {
        return 0;
    }
    return ntohs(a->u.sa.sa_family == AF_INET6 ? a->u.v6.sin6_port : a->u.v4.sin_port);
}

bool io_address_equal(const struct io_address *a, const struct io_address *b)
{
    if (a->size == 0 || b->size == 0) {
        return a->size == b->size;
    }
    if (a->u.sa.sa_family != b->u.sa.sa_family || io_address_port(a) != io_address_port(b)) {
        return false;
    }
    if (a->u.sa.sa_family == AF_INET6) {
        return memcmp(&a->u.v6.sin6_addr, &b->u.v6.sin6_addr, sizeof a->u.v6.sin6_addr) == 0;
    }
    return a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
}
