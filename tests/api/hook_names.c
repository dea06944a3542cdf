/* SPDX-License-Identifier: Apache-2.0
 * Stands before the C library's getaddrinfo, for libcurl too. Thread-safe. */
#include "tests/api/hook_names.h"

#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

typedef int look_up(const char *node, const char *service, const struct addrinfo *hints,
                    struct addrinfo **ret_list);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_list)
{
    static const char *const addresses[] = {"240.0.0.1", "127.0.0.1"};
    struct addrinfo **end = ret_list;
    look_up *real = NULL;
    int rc = 0;

    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node == NULL || strcmp(node, HOOK_NAME) != 0) {
        return real(node, service, hints, ret_list);
    }
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0] && rc == 0; i++) {
        rc = real(addresses[i], service, hints, end);
        while (rc == 0 && *end != NULL) {
            end = &(*end)->ai_next;
        }
    }
    return rc;
}
