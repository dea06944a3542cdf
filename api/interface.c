/* SPDX-License-Identifier: Apache-2.0
 * Names of interfaces from /proc/self/net/dev, which always shows this process's namespace. */
#include "api/interface.h"

#include <stdio.h>
#include <string.h>

#define LINE_SIZE 512

bool api_interface_exists(const char *name)
{
    FILE *file = fopen("/proc/self/net/dev", "re");
    char line[LINE_SIZE];
    bool found = false;

    if (file == NULL) {
        return true;
    }
    while (!found && fgets(line, sizeof line, file) != NULL) {
        const char *at = line + strspn(line, " ");
        size_t size = strcspn(at, ":");

        found = at[size] == ':' && size == strlen(name) && memcmp(at, name, size) == 0;
    }
    (void)fclose(file);
    return found;
}

bool api_ipv4_parse(const char *text, uint32_t *ret_address)
{
    uint32_t address = 0;

    for (int part = 0; part < 4; part++) {
        size_t digits = strspn(text, "0123456789");
        uint32_t value = 0;

        if (digits == 0 || digits > 3 || (digits > 1 && text[0] == '0')) {
            return false;
        }
        for (size_t i = 0; i < digits; i++) {
            value = value * 10 + (uint32_t)(text[i] - '0');
        }
        text += digits;
        if (value > 255 || *text != (part < 3 ? '.' : '\0')) {
            return false;
        }
        text += part < 3 ? 1 : 0;
        address = address << 8 | value;
    }
    *ret_address = address;
    return true;
}
