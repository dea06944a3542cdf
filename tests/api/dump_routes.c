/* SPDX-License-Identifier: Apache-2.0
 * Prints the route table, one row a line, for contract.py. */
#include <stdio.h>

#include "api/framework/router.h"

int main(void)
{
    const struct api_route *routes;
    size_t count;

    routes = api_routes(&count);
    for (size_t i = 0; i < count; i++) {
        (void)printf("%s %s %s %s", api_method_name(routes[i].method), routes[i].pattern,
                     api_need_name(routes[i].need), routes[i].operation);
        for (const char *const *name = routes[i].query; *name != NULL; name++) {
            (void)printf(" %s", *name);
        }
        (void)printf("\n");
    }
    return ferror(stdout) != 0;
}
